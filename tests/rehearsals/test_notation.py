"""The notation of series against its laws, and against promtool itself, which it is taken from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.rehearsal.notation import MOST_VALUES, Missing, Value, expanded, written
from service_monitoring.settings import InvalidValue

PROMTOOL = shutil.which("promtool")
LOOK = "sum by (case) (last_over_time(value[30s]))"
"""A range of less than the interval: only the minute's own sample is in it, and a stale one is none."""
_, STALE = Missing.BLANK, Missing.STALE

WORDS = {
    "1 2 3": (1, 2, 3),
    "1+1x10": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    "1-2x4": (1, -1, -3, -5, -7),
    "-2+4x3": (-2, 2, 6, 10),
    "5x3": (5, 5, 5, 5),
    "1 _ 3": (1, _, 3),
    "1 _x3 2": (1, _, _, _, 2),
    "1 stale 2": (1, STALE, 2),
    "0.1+0.1x4 1e3": (0.1, 0.1 + 0.1, 0.1 + 0.1 + 0.1, 0.1 + 0.1 + 0.1 + 0.1, 0.1 + 0.1 + 0.1 + 0.1 + 0.1, 1000),
    "0x3": (0, 0, 0, 0),
}

values = st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(Missing)), min_size=1)


@pytest.mark.parametrize("text", WORDS)
def test_a_series_is_written_as_in_promtool(text: str) -> None:
    assert expanded(text) == WORDS[text]


@given(values)
def test_what_is_written_is_read_again(values: list[Value]) -> None:
    assert expanded(written(values)) == tuple(values)


@given(st.one_of(st.text(), st.text("0123456789.+-x_ estalE")))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    try:
        found = expanded(text)
    except InvalidValue:
        return
    assert found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "without values"),
        ("1 NaN", '"NaN" is no value'),
        ("1e999", "leaves the finite numbers"),
        ("1x", '"1x" is no value'),
        ("stalex3", '"stalex3" is no value'),
        ("1, 2", '"1," is no value'),
        ("1e308+1e308x3", "leaves the finite numbers"),
        (f"1x{MOST_VALUES}", "more than"),
        ("1x999999999", "more than"),
        ("\u0661", "is no value"),
    ],
)
def test_what_is_no_series_is_refused_with_a_sentence(text: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        expanded(text)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus")
def test_promtool_sees_the_same_samples(tmp_path: Path) -> None:
    """Each value at its minute, and nothing where there is none: seen by promtool through a range of one minute."""
    rules, tests = ["groups: []"], ["rule_files: [rules.yaml]", "tests:"]
    for number, (text, expected) in enumerate(WORDS.items()):
        tests += [
            "- interval: 1m",
            f"  input_series: [{{series: 'value{{case=\"{number}\"}}', values: '{text}'}}]",
            "  promql_expr_test:",
        ]
        for minute, value in enumerate(expected):
            there = isinstance(value, int | float)
            samples = f"[{{labels: '{{case=\"{number}\"}}', value: {value!r}}}]" if there else "[]"
            tests.append(f"    - {{expr: '{LOOK}', eval_time: {minute}m, exp_samples: {samples}}}")
    (tmp_path / "rules.yaml").write_text("\n".join(rules))
    (tmp_path / "tests.yaml").write_text("\n".join(tests))
    assert PROMTOOL is not None
    said = subprocess.run(
        [PROMTOOL, "test", "rules", "tests.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr

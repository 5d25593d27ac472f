"""Sweeps: how they are written, where their values go, and what is said of one that goes nowhere."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as draw

from service_monitoring.domain.comparisons import Comparison, Operator
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.strategies import Threshold
from service_monitoring.settings import InvalidSettings, InvalidValue, Secrets, Settings, current, grid, load, sweep
from tests.settings.rigs import SINKS, SOURCES, rule

SLOW = """
when: {check: health, metric: duration_seconds, above: 800ms}
recover: {below: 0.5, for: 2m}
worse: {critical: {above: 2}}
"""


def varied(folder: Path, text: str, *sweeps: str, **more: Any) -> list[Settings]:
    """The settings of every combination."""
    path = folder / "monitoring.yaml"
    path.write_text(text, encoding="utf-8")
    return [
        load(path, sources=SOURCES, sinks=SINKS, environment={}, variations=variations, **more)
        for variations in grid([sweep(each) for each in sweeps])
    ]


def slow(settings: Settings) -> Rule:
    return settings.configuration.services[0].rules[0]


def texts(text: str) -> list[str]:
    return [variation.text for variation in sweep(text).variations]


def refused(folder: Path, text: str, *sweeps: str) -> str:
    with pytest.raises(InvalidSettings) as raised:
        varied(folder, text, *sweeps)
    return str(raised.value).replace(f"{folder}/", "")


def test_decimal_steps_are_exact_and_the_upper_end_is_one_of_them_when_it_is_hit() -> None:
    assert texts("shop.slow.above=0.4:1.2:0.1") == ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1", "1.1", "1.2"]
    assert texts("shop.slow.above=0.4:0.75:0.1") == ["0.4", "0.5", "0.6", "0.7"]
    assert [each.given for each in sweep("shop.slow.above=0.6:0.8:0.1").variations] == [0.6, 0.7, 0.8]


@given(draw.integers(0, 10**6), draw.integers(1, 10**4), draw.integers(0, 100), draw.integers(0, 6))
def test_every_value_of_a_range_is_the_decimal_that_a_person_would_write(
    first: int, step: int, count: int, places: int
) -> None:
    scale = Decimal(10) ** -places
    begin, width = first * scale, step * scale
    found = sweep(f"shop.slow.above={begin:f}:{begin + count * width:f}:{width:f}").variations
    assert [Decimal(each.text) for each in found] == [begin + index * width for index in range(count + 1)]
    assert all(each.given == float(each.text) for each in found)


def test_durations_and_sizes_are_stepped_in_their_own_words() -> None:
    assert texts("shop.slow.for=1m:2m30s:30s") == ["1m", "1m30s", "2m", "2m30s"]
    assert texts("shop.slow.for=0:2m:1m") == ["0s", "1m", "2m"]
    assert texts("shop.slow.above=1MiB:2MiB:512KiB") == ["1024KiB", "1536KiB", "2048KiB"]
    assert texts("shop.slow.aggregate=p50,p95") == ["p50", "p95"]
    assert texts("shop.slow.above=0.4, 0.8,1.20") == ["0.4", "0.8", "1.20"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shop.slow.above", "says no values of a key"),
        ("shop..above=1", "says no values of a key"),
        ("shop.slow.above=1:2", "is neither a range nor a list"),
        ("shop.slow.above=1:2m:1", "is not a range of numbers, durations or sizes"),
        ("shop.slow.above=1:2:0", "the step 0 leads nowhere"),
        ("shop.slow.above=2:1:1", "the range ends at 1, before it begins at 2"),
        ("shop.slow.above=0:1:0.001", "these are 1001 variants, and at most 200 are tried"),
        ("shop.slow.above=1,,2", "a value is missing"),
    ],
)
def test_what_is_no_sweep_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        sweep(text)
    assert said in str(raised.value)


def test_two_sweeps_are_every_combination_of_their_values(tmp_path: Path) -> None:
    found = varied(tmp_path, rule(SLOW), "shop.slow.above=0.6,0.8", "shop.slow.for=1m:3m:1m")
    assert [(slow(each).strategy, slow(each).holds_for) for each in found] == [
        (Threshold(Comparison(Operator.ABOVE, limit)), Duration(minutes * MINUTE))
        for limit in (0.6, 0.8)
        for minutes in (1, 2, 3)
    ]


def test_a_grid_has_at_most_two_hundred_points_and_each_key_once() -> None:
    with pytest.raises(InvalidValue, match="these are 400 variants"):
        grid([sweep("shop.slow.above=1:20:1"), sweep("shop.slow.for=1m:20m:1m")])
    with pytest.raises(InvalidValue, match=r"shop\.slow\.above is swept twice"):
        grid([sweep("shop.slow.above=1"), sweep("shop.slow.above=2")])


def test_keys_within_a_rule_are_reached_and_nothing_else_changes(tmp_path: Path) -> None:
    (recovered,) = varied(tmp_path, rule(SLOW), "shop.slow.recover.below=0.3")
    (worse,) = varied(tmp_path, rule(SLOW), "shop.slow.worse.critical.above=3s")
    (plain,) = varied(tmp_path, rule(SLOW), "shop.slow.when.above=0.8")
    comparison = slow(recovered).recovery.comparison
    assert comparison is not None and comparison.operand == 0.3
    assert slow(worse).worse[0].comparison.operand == 3.0
    assert slow(plain) == slow(load_plain(tmp_path, rule(SLOW)))


def load_plain(folder: Path, text: str) -> Settings:
    (folder / "monitoring.yaml").write_text(text, encoding="utf-8")
    return load(folder / "monitoring.yaml", sources=SOURCES, sinks=SINKS, environment={})


def test_the_values_in_force_are_named_as_the_sweeps_write_them(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text(rule(SLOW), encoding="utf-8")
    assert current(path, [sweep("shop.slow.above=0.4:1.2:0.4"), sweep("shop.slow.for=0s:1m:1m")]) == ("0.8", "0s")
    assert current(path, [sweep("shop.slow.recover.for=1m,120s")]) == ("120s",)
    assert current(path, [sweep("shop.slow.above=0.5,0.6")]) is None


def test_intervals_of_a_route_are_swept_also_where_the_file_leaves_them_out(tmp_path: Path) -> None:
    found = varied(tmp_path, rule(SLOW), "routes[0].group_wait=0s:1m:30s")
    assert [each.configuration.routes[0].wait for each in found] == [0, 30 * SECOND, 60 * SECOND]


def test_what_aliases_share_is_changed_for_the_rule_that_is_named_alone(tmp_path: Path) -> None:
    text = rule("when: &it {check: health, metric: duration_seconds, above: 0.8}").replace(
        "channels:", "      other:\n        when: *it\n        for: 1m\nchannels:"
    )
    (found,) = varied(tmp_path, text, "shop.slow.above=0.5")
    limits = [each.strategy.comparison.operand for each in found.configuration.services[0].rules]  # type: ignore[union-attr]  # thresholds
    assert limits == [0.5, 0.8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "shop.slow.below=1",
            (
                "monitoring.yaml:6:7 --sweep shop.slow.below: shop.slow has above: 800ms, recover.below: 0.5, "
                "recover.for: 2m, worse.critical.above: 2 and no below; write shop.slow.above=1, or add it to the file"
            ),
        ),
        (
            "shop.slow.recover.above=1",
            (
                "monitoring.yaml:8:9 --sweep shop.slow.recover.above: shop.slow.recover has below: 0.5, for: 2m and no "
                "above; write shop.slow.recover.below=1, or add it to the file"
            ),
        ),
        ("shp.slow.above=1", "monitoring.yaml:1:1 --sweep shp.slow.above: there is no service shp; write shop"),
        ("shop.slo.above=1", "--sweep shop.slo.above: shop has no rule slo; write shop.slow"),
        ("shop.slow=1", "this names no key of a rule or route; write SERVICE.RULE.KEY, or routes[0].group_wait"),
        ("routes[3].group_wait=1m", "routes has [0] and no [3]; name one from [0] to [0]"),
        ("inhibit[0].a=1", "this names no key of a rule or route"),
        ("shop.slow.recover=1", "this is more than one value: below: 0.5, for: 2m; name one of them"),
    ],
)
def test_a_key_that_is_not_there_is_answered_with_what_is(text: str, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, rule(SLOW), text)


def test_a_value_that_cannot_be_is_refused_as_in_the_file_with_the_value_that_was_tried(tmp_path: Path) -> None:
    said = refused(tmp_path, rule(SLOW), "shop.slow.above=3")
    assert "monitoring.yaml:9:27" in said
    assert "services.shop.rules.slow.worse.critical: with shop.slow.above=3, above 2 is not stronger" in said


def test_where_nothing_will_be_sent_no_secret_has_to_be_there(tmp_path: Path) -> None:
    text = rule(SLOW).replace(
        "channels: {log: {console: true}}",
        "channels: {log: {console: true}, hook: {webhook: http://h/, headers: {A: {env: NOWHERE}, B: {file: none}}}}",
    )
    (found,) = varied(tmp_path, text, "shop.slow.above=0.8", secrets=Secrets.UNREAD)
    assert set(found.channels) == {"log", "hook"} and found.secrets == ()
    assert "the environment has no variable NOWHERE" in refused(tmp_path, text, "shop.slow.above=0.8")
    assert replace(found, channels={}).configuration.routes

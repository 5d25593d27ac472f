"""What a terminal shows of a rehearsal."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest

from service_monitoring.cli.show_rehearsal import rehearsed
from service_monitoring.rehearsal.difference import difference_of
from service_monitoring.rehearsal.figures import figures_of
from service_monitoring.rehearsal.judging import TrueIncident, judge
from service_monitoring.rehearsal.report import as_json, report_of
from service_monitoring.rehearsal.sweep import sweep_of
from service_monitoring.testing.builders import instant
from tests.rehearsals.made_weeks import a_team, a_week


@lru_cache(maxsize=1)
def the_answer() -> dict[str, Any]:
    one, other = a_week(), a_week(a_team(1.5, holds_for="30m"))
    truth = [
        TrueIncident("outage-7", instant("+26h"), instant("+29h"), {"service": "shop"}),
        TrueIncident("outage-8", instant("+34h"), instant("+35h"), {"service": "shop"}),
    ]
    report = report_of(
        figures_of(one),
        difference=difference_of(one, other, names=("monitoring.yaml", "calmer.yaml")),
        sweep=sweep_of(["shop.slow.above"], [(("1.0",), one), (("1.5",), other)], current=("1.0",)),
        judgement=judge(one, truth),
    )
    answer: dict[str, Any] = json.loads(as_json(report))
    return answer


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    rehearsed(the_answer(), "monitoring.yaml")
    return capsys.readouterr().out.splitlines()


def test_a_screen_of_80_columns_is_enough(shown: list[str]) -> None:
    assert max(map(len, shown)) <= 80


def test_it_says_who_is_paged_and_what_each_rule_costs(shown: list[str]) -> None:
    said = "\n".join(shown)
    figures = the_answer()["rehearsal"]
    assert f"{figures['pages']} pages ({figures['at_night']} at night)" in said
    ada = next(line for line in shown if line.startswith("  ada "))
    assert ada.endswith("Europe/Berlin")
    assert "shop.sluggish (draft)" in said
    assert "pay.errors is flapping, which is told once" in said


def test_it_says_what_changes_and_which_point_is_in_force(shown: list[str]) -> None:
    said = "\n".join(shown)
    assert "Difference: monitoring.yaml to calmer.yaml" in said
    assert "* 1.0 (now)" in said
    assert "missed: outage-8" in said


def test_it_says_its_limits_with_file_and_line(shown: list[str]) -> None:
    said = " ".join(shown)
    assert "samples.csv:7: the value is not a number (3 rows not taken)" in said
    assert "1 act of people met no incident" in said


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(json.dumps(the_answer()).replace("shop.slow", "shop.\\u001b[31mslow"))
    rehearsed(answer, "\x1b]0;title\x07")
    assert "\x1b" not in capsys.readouterr().out


def test_long_tables_say_how_much_more_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    answer = the_answer()
    figures = {**answer["rehearsal"], "recipients": answer["rehearsal"]["recipients"] * 5}
    rehearsed({**answer, "rehearsal": figures})
    assert "and 7 more (all are in the JSON)" in capsys.readouterr().out

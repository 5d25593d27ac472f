"""Samples of others: what such a history cannot say opens nothing, and is said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as draw

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.schedules import Failing
from service_monitoring.domain.strategies import Absence, Composite, Heartbeat
from service_monitoring.domain.stretches import Steps, Stretch
from service_monitoring.rehearsal.assumed import Assumed, Assumption
from service_monitoring.rehearsal.paces import Pace, Paces
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.sampled import sampled
from service_monitoring.storage.history.csv import CsvHistory
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_heartbeat,
    a_rule,
    a_series,
    a_service,
    span,
)

BACKUP = Rule("shop", "backup", "backup", "", Heartbeat((Failing.MISSED, Failing.LATE)))
LEFT_OUT = "rules that wait for what this history does not have were left out, or its silence would page: "
END = START.plus(Duration(60 * MINUTE))


def silent(check: str, after: str = "2m") -> Rule:
    return Rule("shop", f"{check}_silent", check, "value", Absence(span(after)))


def rehearsed(
    folder: Path, rules: Iterable[Rule], checks: Iterable[Check], seconds: Iterable[int], ack: str = ""
) -> Rehearsed:
    """An hour of `shop/health/value`, 2 at each of these seconds, under rules."""
    rows = [f"shop,health,value,{START.plus(Duration(at * SECOND))},2" for at in seconds]
    file = folder / "samples.csv"
    file.write_text("\n".join(["service,check,metric,at,value", *rows]) + "\n")
    configuration = a_configuration(a_service(*rules, checks=checks))
    assumed = Assumed(Assumption(span(ack)), configuration) if ack else None
    with CsvHistory([file]) as history:
        return sampled(history, configuration, START, END, assumed=assumed)


def opened(made: Rehearsed) -> list[str]:
    moved = (each.incident for each in made.decisions if isinstance(each, IncidentMoved))
    return [incident.rule for incident in moved if incident.state is State.OPEN]


def test_a_history_without_reports_is_no_job_that_missed_its_slot(tmp_path: Path) -> None:
    made = rehearsed(
        tmp_path,
        [a_rule(), BACKUP],
        [a_check(every="1m", stale_after="3m"), a_heartbeat(period="5m")],
        range(0, 3600, 60),
    )
    assert opened(made) == ["slow"]
    assert LEFT_OUT + "shop.backup" in made.limits
    assert not any("nothing was recorded of shop.backup" in limit for limit in made.limits)


def test_what_joins_rules_that_were_left_out_goes_by_the_others(tmp_path: Path) -> None:
    either = Rule("shop", "either", "", "", Composite(("shop.slow", "shop.backup"), need=1))
    both = Rule("shop", "both", "", "", Composite(("shop.slow", "shop.backup"), need=2))
    checks = [a_check(every="1m", stale_after="3m"), a_heartbeat(period="5m")]
    made = rehearsed(tmp_path, [a_rule(), BACKUP, either, both], checks, range(0, 3600, 60))
    assert opened(made) == ["slow", "either"]


def test_a_check_that_was_never_recorded_is_not_silent(tmp_path: Path) -> None:
    checks = [a_check(every="1m", stale_after="3m"), a_check("other", every="1m")]
    made = rehearsed(tmp_path, [a_rule(), silent("health"), silent("other")], checks, range(0, 3600, 60), ack="5m")
    assert opened(made) == ["slow"]
    assert LEFT_OUT + "shop.other_silent" in made.limits
    assert "nothing was recorded of shop.other: rules on it say nothing" in made.limits
    acknowledged = [
        each for each in made.decisions if isinstance(each, IncidentMoved) and each.incident.state is State.ACKNOWLEDGED
    ]
    assert len(acknowledged) == 1


def test_a_check_that_fell_silent_is_silent(tmp_path: Path) -> None:
    checks = [a_check(every="1m", stale_after="3m")]
    made = rehearsed(tmp_path, [silent("health")], checks, [*range(0, 1200, 60), *range(2400, 3600, 60)])
    assert opened(made) == ["health_silent"]
    assert any("there are no samples of shop.health (34%)" in limit for limit in made.limits), made.limits


def test_a_history_that_is_slower_than_its_check_says_so_with_a_remedy(tmp_path: Path) -> None:
    checks = [a_check(every="5s", stale_after="12s")]
    made = rehearsed(tmp_path, [a_rule(), silent("health")], checks, range(0, 3600, 300))
    assert (
        "shop.health has a sample every 5m here, and verdicts are unknown 12s after each: most of the time rules on it "
        "know nothing; rehearse it with stale_after: 12m30s"
    ) in made.limits
    assert any(limit.startswith("shop.health_silent waits 2m for a sample, and here") for limit in made.limits)


def test_a_history_at_the_pace_of_its_check_says_what_samples_alone_cannot(tmp_path: Path) -> None:
    checks = [a_check(every="1m", stale_after="3m")]
    alone = rehearsed(tmp_path, [a_rule()], checks, range(0, 3601, 60))
    assert [limit.partition(":")[0] for limit in alone.limits] == ["samples alone are known here"]
    assert "nobody acknowledges anything" in alone.limits[0]
    acted = rehearsed(tmp_path, [a_rule()], checks, range(0, 3601, 60), ack="5m")
    assert "nobody acknowledges" not in acted.limits[0] and "it is assumed that" in acted.limits[1]


# Paces ----------------------------------------------------------------------------------------------------------------


@given(draw.lists(draw.integers(0, 300), min_size=1, max_size=60, unique=True), draw.data())
def test_a_pace_does_not_depend_on_how_a_history_is_cut(minutes: list[int], data: draw.DataObject) -> None:
    instants = np.array(sorted(minutes), dtype=np.int64) * MINUTE + START.ns
    whole, parts = Pace(), Pace()
    whole.take(instants, Steps.of(instants))
    cuts = sorted(data.draw(draw.lists(draw.integers(0, len(instants)), max_size=4)))
    for part in np.split(instants, cuts):
        parts.take(part, Steps.of(part))
    until = START.plus(Duration(300 * MINUTE))
    assert whole.usual == parts.usual
    assert 0 <= whole.silent(START, until) == parts.silent(START, until) <= 1


@pytest.mark.parametrize(("seconds", "usual"), [(300, 300), (15, 15), (0.25, 0.25), (75, 75), (86_400, 86_400)])
def test_the_usual_interval_is_the_median(seconds: float, usual: float) -> None:
    pace = Pace()
    step = int(seconds * SECOND)
    instants = np.array([START.ns + number * step for number in (0, 1, 2, 3, 9, 10)], dtype=np.int64)
    pace.take(instants, Steps.of(instants))
    assert pace.usual == Duration(int(usual * SECOND))


def test_series_of_one_check_are_one_pace_and_what_is_outside_of_the_range_is_none() -> None:
    check = a_check()
    paces = Paces(START, END)
    instants = np.arange(-600, 7200, 60, dtype=np.int64) * SECOND + START.ns
    paces.take([Stretch(a_series(host=host), instants, np.zeros(len(instants))) for host in ("a", "b")])
    assert paces.of(check).usual == Duration(MINUTE)
    assert paces.of(check).silent(START, END) == 0
    assert Instant(paces.of(check).first) == START
    assert paces.of(a_check("other")).usual is None

"""Planted bugs: the comparison of ledgers notices each of them, and the count on fingers those of observed time.

A proof that the other tests of this folder look where mistakes are made: order at one instant, resets, gaps, steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from service_monitoring.domain import flushes, groups, holds, policy
from service_monitoring.domain.course import Course, Decision
from service_monitoring.domain.holds import Doubt, Hold, Phase, Step, Terms
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Admitted, Order, Stamp
from service_monitoring.domain.policy import MonitoringPolicy
from service_monitoring.domain.verdicts import Code
from service_monitoring.wire.ledger import ledger
from tests.domain import test_course
from tests.domain.days import a_day
from tests.domain.test_holds import Fingers, Script, a_script, decided

DAYS = 120
SCRIPTS = 150

Plant = Callable[[pytest.MonkeyPatch], None]
PLANTS: dict[str, Plant] = {}
OF_TIME: list[str] = []


def plant(planted: Plant) -> Plant:
    """A bug that only the ledgers can show."""
    PLANTS[planted.__name__] = planted
    return planted


def plant_of_time(planted: Plant) -> Plant:
    """A bug in observed time: an oracle of seconds must notice it, too."""
    OF_TIME.append(planted.__name__)
    return plant(planted)


def patched(target: Any, name: str, make: Callable[[Any], Any]) -> Plant:
    """Replace an attribute by what `make` makes of the original."""
    return lambda monkeypatch: monkeypatch.setattr(target, name, make(getattr(target, name)))


@plant_of_time
def timers_come_before_samples_at_one_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(Course, "_fire", lambda fire: lambda self, stamp, _: fire(self, stamp, Order.GAP_START))(monkeypatch)


@plant_of_time
def a_healthy_verdict_does_not_reset_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(healthy: Any) -> Any:
        return lambda now, terms, cause: Step(now) if now.phase is Phase.PENDING else healthy(now, terms, cause)

    patched(holds, "_healthy", keep)(monkeypatch)


@plant_of_time
def time_accrues_through_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "blinded", lambda hold, _: hold)


@plant_of_time
def a_gap_resets_for(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(holds, "blinded", lambda blinded: lambda hold, at: replace(blinded(hold, at), accrued=0))(monkeypatch)


@plant_of_time
def every_verdict_returns_after_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(holds, "sighted", lambda sighted: lambda hold, terms, at, _: sighted(hold, terms, at, at))(monkeypatch)


@plant_of_time
def for_accrues_while_the_verdict_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_all(counted_to: Any) -> Any:
        def mutant(hold: Hold, at: int) -> Hold:
            counted: Hold = counted_to(hold, at)
            idle = hold.code is Code.UNKNOWN and hold.phase is Phase.PENDING and not hold.blind
            return replace(counted, accrued=counted.accrued + at - hold.at) if idle else counted

        return mutant

    patched(holds, "counted_to", count_all)(monkeypatch)


@plant_of_time
def an_unknown_run_resets_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(unknown: Any) -> Any:
        def mutant(hold: Hold, terms: Terms, at: int) -> Step:
            step: Step = unknown(hold, terms, at)
            return replace(step, hold=replace(step.hold, accrued=0))

        return mutant

    patched(holds, "unknown", forget)(monkeypatch)


@plant_of_time
def between_the_limits_recovery_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def go_on(healthy: Any) -> Any:
        def mutant(now: Hold, terms: Terms, cause: Any) -> Step:
            step: Step = healthy(now, terms, cause)
            between = now.phase is Phase.OPEN and now.code is Code.BETWEEN
            return Step(replace(step.hold, accrued=now.accrued)) if between else step

        return mutant

    patched(holds, "_healthy", go_on)(monkeypatch)


@plant_of_time
def nothing_ever_turns_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(policy, "terms_of", lambda terms: lambda rule, check: replace(terms(rule, check), stale_after=None))(
        monkeypatch
    )


@plant_of_time
def a_person_bars_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(holds, "resolved", lambda resolved: lambda hold, at: replace(resolved(hold, at), barred=False))(monkeypatch)


@plant_of_time
def an_absence_takes_a_gap_for_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(sighted: Any) -> Any:
        return lambda hold, terms, at, heard: replace(sighted(hold, terms, at, heard), anchor=hold.anchor)

    patched(holds, "sighted", keep)(monkeypatch)


@plant_of_time
def a_timer_that_moved_meanwhile_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(fire: Any) -> Any:
        def mutant(self: MonitoringPolicy, key: Any, order: Order, at: Any) -> Any:
            events = fire(self, key, order, at)
            if not events:
                self._agenda.cancel(key)
            return events

        return mutant

    patched(MonitoringPolicy, "fire", lose)(monkeypatch)


@plant_of_time
def missing_data_counts_anew_with_every_unknown_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def anew(unknown: Any) -> Any:
        def mutant(hold: Hold, terms: Terms, at: int) -> Step:
            step: Step = unknown(hold, terms, at)
            silent = step.hold.doubt is Doubt.SILENT
            return replace(step, hold=replace(step.hold, silent=0)) if silent else step

        return mutant

    patched(holds, "unknown", anew)(monkeypatch)


@plant
def a_step_of_the_clock_leaves_holds_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "shifted", lambda hold, _: hold)


@plant
def a_pending_parent_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_open(incidents: Any) -> Any:
        return lambda self: (known for known in incidents(self) if known.state is not State.PENDING)

    patched(MonitoringPolicy, "incidents", only_open)(monkeypatch)


@plant
def any_run_releases_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MonitoringPolicy, "breached_now", lambda *_: True)


@plant
def the_end_is_told_at_each_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushes._Flush, "_forget", lambda *_: None)


@plant
def what_has_not_changed_is_told_at_each_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushes._Flush, "_is_due_again", lambda *_: True)


@plant
def an_acknowledgement_does_not_stop_the_escalation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "clocked", lambda group, *_: group)


@plant
def a_group_flushes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(groups, "begin", lambda begin: lambda route, *rest: begin(replace(route, wait=0), *rest))(monkeypatch)


@plant
def the_incident_before_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(begin: Any) -> Any:
        def mutant(self: MonitoringPolicy, track: Any, *rest: Any) -> Any:
            track.previous = ""
            return begin(self, track, *rest)

        return mutant

    patched(MonitoringPolicy, "_begin", forget)(monkeypatch)


@cache
def the_inputs() -> tuple[tuple[list[Admitted], bytes], ...]:
    """The days as they are, with the ledgers of the unharmed course."""
    days = [a_day(seed) for seed in range(DAYS)]
    return tuple((day.inputs, ledger(decision for _, decision in day.decided)) for day in days)


@cache
def the_scripts() -> tuple[tuple[Script, list[tuple[int, str]]], ...]:
    scripts = [a_script(seed, absence=seed % 3 == 0) for seed in range(SCRIPTS)]
    return tuple((script, Fingers(script).live()) for script in scripts)


def ledgers_differ() -> bool:
    for inputs, wanted in the_inputs():
        course = Course()
        decisions: list[tuple[Stamp, Decision]] = []
        for admitted in inputs:
            decisions += course.step(admitted).decisions
        if ledger(decision for _, decision in decisions) != wanted:
            return True
    return False


def test_without_a_planted_bug_no_ledger_differs() -> None:
    assert not ledgers_differ()
    assert all(decided(script) == wanted for script, wanted in the_scripts())


@pytest.mark.parametrize("name", PLANTS)
def test_the_comparison_of_ledgers_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    the_inputs()
    PLANTS[name](monkeypatch)
    assert ledgers_differ()


@pytest.mark.parametrize("name", OF_TIME)
def test_the_count_on_fingers_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = the_scripts()
    PLANTS[name](monkeypatch)
    assert any(decided(script) != moved for script, moved in wanted)


# A restart that loses something ---------------------------------------------------------------------------------------


def losing(**lost: object) -> Plant:
    """Holds come back without these."""
    return patched(
        MonitoringPolicy,
        "restore",
        lambda restore: lambda self, stored, incident: restore(self, replace(stored, **lost), incident),
    )


LOSSES: dict[str, Plant] = {
    "the_sample_that_silence_counts_from": losing(heard=0),
    "its_value": losing(value=-1.0),
    "the_incident_before": losing(previous=""),
    "what_was_heard": lambda monkeypatch: monkeypatch.setattr(Course, "recall", lambda *_: None),
    "its_timers": lambda monkeypatch: monkeypatch.setattr(Course, "rebook", lambda _: None),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_days_with_restarts_notice_a_restart_that_loses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    LOSSES[name](monkeypatch)
    with pytest.raises(AssertionError, match="restarts"):
        test_course.test_after_a_restart_at_any_input_the_day_goes_on_as_if_nothing_had_happened(0)

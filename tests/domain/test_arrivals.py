"""What arrives by itself: pushed samples, judged when their allowance is over, and the reports of jobs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.inputs import Pinged, Pushed, PushedSample, Signal, Taken
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.rules import NoDataMode, Rule
from service_monitoring.domain.schedules import Failing
from service_monitoring.domain.strategies import Absence, Aggregate, Function, Heartbeat, Threshold
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_configuration,
    a_heartbeat,
    a_push,
    a_rule,
    a_service,
    above,
    instant,
    no_data,
    span,
)
from tests.drawing import drawn


def pushed(*rules: Rule, **more: Any) -> Trial:
    return Trial(a_configuration(a_service(*rules, checks=[a_push(**more)])))


def a_pushed_rule(name: str = "few", **more: Any) -> Rule:
    return a_rule(name, check="orders", **more)


# Pushed samples -------------------------------------------------------------------------------------------------------


def test_a_pushed_sample_is_judged_when_its_allowance_is_over_and_true_at_its_instant() -> None:
    trial = pushed(a_pushed_rule()).push("+12s", ("+10s", 2.0)).wait("+30s")
    assert trial.moves() == ["+20s pending", "+20s open"]
    events = [each for _, each in trial.decisions if isinstance(each, IncidentMoved)]
    assert {event.at for event in events} == {instant("+10s")}
    assert {event.decided_at for event in events} == {instant("+20s")}
    assert trial.incidents()[-1].opened_at == instant("+10s")
    assert trial.notices()[0].decided_at == instant("+20s")


def test_samples_that_come_in_disorder_are_judged_in_the_order_of_their_instants() -> None:
    trial = pushed(a_pushed_rule(holds_for="6s")).push("+12s", ("+12s", 2.0)).push("+13s", ("+8s", 0.0), ("+10s", 2.0))
    assert trial.wait("+1m").moves() == ["+20s pending", "+26s open"]
    assert trial.taken == [Taken.JUDGED] * 3


def test_a_sample_older_than_its_allowance_is_late_and_changes_nothing() -> None:
    trial = pushed(a_pushed_rule()).push("+30s", ("+19s", 2.0), ("+20s", 0.0)).wait("+1m")
    assert trial.taken == [Taken.LATE, Taken.JUDGED]
    assert trial.moves() == []


def test_a_sample_more_than_its_allowance_ahead_is_refused_as_future() -> None:
    trial = pushed(a_pushed_rule()).push("+10s", ("+20s", 2.0), ("+21s", 2.0))
    assert trial.taken == [Taken.JUDGED, Taken.FUTURE]


def test_a_series_has_one_value_at_an_instant_and_the_first_stands() -> None:
    trial = pushed(a_pushed_rule()).push("+10s", ("+9s", 2.0), ("+9s", 2.0)).push("+11s", ("+9s", 0.0)).wait("+1m")
    assert trial.taken == [Taken.JUDGED, Taken.DUPLICATE, Taken.CONFLICT]
    assert trial.moves()[-1] == "+19s open"


def test_what_is_pushed_to_nobody_is_unknown() -> None:
    trial = pushed(a_pushed_rule()).push("+10s", ("+9s", 2.0), check="nobody")
    assert trial.taken == [Taken.UNKNOWN]


def test_timers_of_a_pushed_series_run_on_its_own_time() -> None:
    silent = a_pushed_rule("silent", strategy=Absence(span("1m")))
    resolving = a_pushed_rule(on_no_data=no_data(NoDataMode.RESOLVE))
    trial = pushed(silent, resolving).push("+10s", ("+10s", 2.0)).wait("+3m")
    assert trial.moves("few") == ["+20s pending", "+20s open", "+1m20s resolved"], "stale a minute after its instant"
    assert trial.moves("silent") == ["+1m20s pending", "+1m20s open"]
    assert [incident.changed_at for incident in trial.incidents("silent")] == [instant("+1m10s")] * 2


def test_an_absence_waits_for_any_series_and_the_first_that_speaks_does_not_silence_the_others() -> None:
    silent = a_pushed_rule("silent", strategy=Absence(span("1m")))
    trial = pushed(silent, a_pushed_rule())
    came = (
        PushedSample(instant("+8s"), "value", 0.0, (("zone", "b"),)),
        PushedSample(instant("+9s"), "value", 2.0),
    )
    trial.tell("+10s", Pushed("shop", "orders", came)).wait("+30s")
    assert trial.moves("few") == ["+19s pending", "+19s open"]
    assert trial.wait("+2m").moves("silent") == ["+1m18s pending", "+1m18s open", "+1m19s pending", "+1m19s open"]


def test_what_waits_when_a_gap_begins_is_judged_at_its_end() -> None:
    trial = pushed(a_pushed_rule()).push("+12s", ("+10s", 2.0)).gap("+15s", "+5m").wait("+6m")
    assert trial.moves() == ["+5m pending", "+5m open"]
    assert trial.incidents()[0].breached_at == instant("+10s")


def test_what_is_older_than_the_end_of_a_gap_comes_too_late() -> None:
    trial = pushed(a_pushed_rule()).push("+10s", ("+10s", 0.0)).gap("+30s", "+5m").push("+301s", ("+4m58s", 2.0))
    assert trial.taken == [Taken.JUDGED, Taken.LATE]
    assert trial.push("+302s", ("+301s", 2.0)).wait("+6m").moves() == ["+5m11s pending", "+5m11s open"]


def test_nothing_is_late_because_the_wall_clock_was_set() -> None:
    for by in ("1h", "-1h"):
        trial = pushed(a_pushed_rule()).push("+10s", ("+10s", 0.0)).step_clock("+30s", by).push("+31s", ("+31s", 2.0))
        assert trial.taken == [Taken.JUDGED, Taken.JUDGED]
        assert trial.wait("+1m").moves() == ["+41s pending", "+41s open"]


def test_a_person_who_resolves_is_not_contradicted_by_what_was_on_its_way() -> None:
    trial = pushed(a_pushed_rule()).push("+10s", ("+10s", 2.0)).push("+18s", ("+18s", 2.0)).wait("+21s")
    trial.resolve("+22s", "few").push("+25s", ("+24s", 2.0)).wait("+1m")
    assert trial.moves() == ["+20s pending", "+20s open", "+22s resolved"]
    assert trial.push("+70s", ("+70s", 0.0)).push("+75s", ("+75s", 2.0)).wait("+2m").moves()[-1] == "+1m25s open"


def with_a_sum(*rules: Rule) -> Configuration:
    total = a_pushed_rule("total", strategy=Aggregate(above(1.5), function=Function.SUM, over=span("5m")))
    return a_configuration(a_service(*rules, total, checks=[a_push()]))


def sums(trial: Trial) -> list[float | None]:
    return [each.evidence.value for each in trial.course.policy("shop").standings("total")]


def test_a_new_window_holds_what_was_pushed_out_of_order_before_and_after_the_clock_was_set() -> None:
    trial = pushed(a_pushed_rule()).push("+10s", ("+18s", 4.0)).step_clock("+11s", "-1h").push("+12s", ("+9s", 1.0))
    trial.configure("+40s", with_a_sum(a_pushed_rule()))
    assert trial.taken == [Taken.JUDGED] * 2 and sums(trial) == [5.0]


@given(
    some.lists(
        some.tuples(some.integers(0, 60), some.integers(-9, 9), some.sampled_from(["", "", "", "1h", "-1h"])),
        max_size=12,
        unique_by=lambda each: each[0],
    )
)
@settings(max_examples=drawn(2), deadline=None)
def test_a_window_holds_the_same_whenever_its_rule_came(arrivals: list[tuple[int, int, str]]) -> None:
    always, later = Trial(with_a_sum(a_pushed_rule())), pushed(a_pushed_rule())
    for number, (second, ahead, step) in enumerate(sorted(arrivals)):
        for trial in (always, later):
            if step:
                trial.step_clock(f"+{second}s", step)
            else:
                trial.push(f"+{second}s", (f"+{max(0, second + ahead)}s", float(2**number)))
    for trial in (always, later):
        trial.configure("+64s", with_a_sum(a_pushed_rule()))
    assert sums(always) == sums(later)
    assert always.taken == later.taken


VALUES = some.sampled_from([0.0, 2.0, 3.0])
ARRIVALS = some.lists(some.tuples(some.integers(0, 60), some.integers(-9, 9), VALUES), min_size=1, max_size=30)
RULES = (
    a_pushed_rule("plain"),
    a_pushed_rule("held", holds_for="4s"),
    a_pushed_rule("mean", strategy=Aggregate(above(1.5), function=Function.AVG, over=span("8s"))),
    a_pushed_rule("silent", strategy=Absence(span("7s"))),
)


@given(ARRIVALS, some.randoms(use_true_random=False), some.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_in_whatever_order_and_how_often_they_come_the_incidents_are_the_same(
    arrivals: list[tuple[int, int, float]], dice: Any, copies: int
) -> None:
    """Within the allowance: each sample comes once or more, up to nine seconds before or after its instant."""
    measured = {at: value for at, _, value in arrivals}
    in_order = [(at, at, value) for at, value in sorted(measured.items())]
    shuffled = [
        (at + offset, at, measured[at])
        for at, _, _ in in_order
        for offset in (dice.randint(-9, 9) for _ in range(copies))
        if at + offset >= 0
    ] + in_order
    assert _decided(in_order) == _decided(shuffled)


def _decided(arrivals: list[tuple[int, int, float]]) -> list[str]:
    trial = pushed(*RULES, stale_after="12s")
    for receipt, at, value in sorted(arrivals):
        sample = PushedSample(START.plus(Duration(at * SECOND)), "value", value)
        trial.tell(f"+{receipt}s", Pushed("shop", "orders", (sample,)))
    trial.wait("+10m")
    assert set(trial.taken) <= {Taken.JUDGED, Taken.DUPLICATE}
    return [
        f"{each.at} {each.decided_at} {each.incident}" for _, each in trial.decisions if isinstance(each, IncidentMoved)
    ]


# Reports of jobs ------------------------------------------------------------------------------------------------------

ALL = Heartbeat(tuple(Failing))


def reported(*rules: Rule, **more: Any) -> Trial:
    return Trial(a_configuration(a_service(*rules, checks=[a_heartbeat(**more)])))


def a_job_rule(name: str = "backup_missing", counts: Heartbeat = ALL, **more: Any) -> Rule:
    return a_rule(name, counts, check="backup", metric="", **more)


def test_a_job_that_never_reports_is_missed_by_timer() -> None:
    trial = reported(a_job_rule(), cron="30 2 * * *", grace="20m").wait("+1d")
    assert trial.moves() == ["+2h50m pending", "+2h50m open"]
    assert str(trial.incidents()[0].series) == "shop/backup/heartbeat"


def test_a_job_that_reports_in_time_is_well() -> None:
    trial = reported(a_job_rule(), cron="30 2 * * *", grace="20m").report("+2h40m").wait("+1d")
    assert trial.moves() == []


def test_a_late_report_ends_what_was_missed_unless_late_counts_too() -> None:
    missed = a_job_rule("missed", Heartbeat((Failing.MISSED,)))
    trial = reported(missed, a_job_rule(), cron="30 2 * * *", grace="20m").report("+3h").wait("+1d")
    assert trial.moves("missed") == ["+2h50m pending", "+2h50m open", "+3h resolved"]
    assert trial.moves("backup_missing") == ["+2h50m pending", "+2h50m open"]
    assert trial.report("+26h31m").moves("backup_missing")[-1] == "+1d2h31m resolved"


def test_a_failure_is_told_at_once_and_ends_with_the_next_success() -> None:
    trial = reported(a_job_rule(), period="1h").report("+10m", Signal.FAIL).report("+15m")
    assert trial.moves() == ["+10m pending", "+10m open", "+15m resolved"]
    trial = reported(a_job_rule(), period="1h").report("+10m", code=3).report("+15m", code=0)
    assert trial.moves() == ["+10m pending", "+10m open", "+15m resolved"]


def test_a_run_that_takes_too_long_overruns_by_timer() -> None:
    trial = reported(a_job_rule(), period="1h", max_runtime="10m").report("+5m", Signal.START, run="1").wait("+20m")
    assert trial.moves() == ["+15m pending", "+15m open"]
    assert trial.report("+25m", run="1").moves()[-1] == "+25m resolved"


def test_what_a_job_says_of_itself_judges_nothing() -> None:
    assert reported(a_job_rule(), period="1h").report("+10m", Signal.LOG).wait("+1h").moves() == []


def test_a_rule_on_a_heartbeat_holds_like_any_other() -> None:
    trial = reported(a_job_rule(holds_for="10m"), period="1h").report("+10m", Signal.FAIL).wait("+30m")
    assert trial.moves() == ["+10m pending", "+20m open"]


def test_reports_to_a_check_that_expects_none_are_refused() -> None:
    trial = reported(a_job_rule(), period="1h")
    assert "no heartbeat" in trial.refused("+10m", Pinged("shop", "other", Signal.SUCCESS))
    assert "no service" in trial.refused("+11m", Pinged("other", "backup", Signal.SUCCESS))


def test_a_log_of_reports_that_is_replayed_three_times_changes_nothing() -> None:
    def told(trial: Trial, at: int) -> None:
        trial.report(f"+{at}m", Signal.START, run="1").report(f"+{at + 5}m", code=0, run="1")
        trial.report(f"+{at + 6}m", Signal.START, run="2").report(f"+{at + 7}m", Signal.FAIL, run="2")

    once, thrice = (reported(a_job_rule(), period="1h", max_runtime="30m") for _ in range(2))
    told(once, 10)
    for at in (10, 20, 30):
        told(thrice, at)
    assert thrice.moves() == once.moves() == ["+17m pending", "+17m open"]


def test_a_suspend_of_eight_hours_opens_nothing_of_itself() -> None:
    trial = reported(a_job_rule(), period="1h", grace="5m").report("+30m").gap("+40m", "+8h40m")
    assert trial.wait("+9h39m").moves() == [], "one interval after waking"
    assert trial.report("+9h39m30s").wait("+10h").moves() == []


@pytest.mark.parametrize(
    ("began", "found"), [("2h29m", "2h50m"), ("2h30m", "2h50m20s"), ("2h35m", "2h55m20s"), ("2h49m", "3h9m20s")]
)
def test_a_restart_in_the_grace_of_a_job_that_does_not_run_finds_it_missed_all_the_same(began: str, found: str) -> None:
    trial = reported(a_job_rule(), cron="30 2 * * *", grace="20m").gap(f"+{began}", f"+{began}10s").wait("+4h")
    assert trial.moves() == [f"+{found} pending", f"+{found} open"]


def test_a_composite_may_join_a_job_with_a_pushed_series() -> None:
    both = a_rule("both", Threshold(above(1)), check="orders")
    trial = Trial(a_configuration(a_service(both, a_job_rule(), checks=[a_push(), a_heartbeat(period="1h")])))
    trial.report("+5m", Signal.FAIL).push("+6m", ("+6m", 2.0)).wait("+7m")
    assert trial.moves() == ["+5m pending", "+5m open", "+6m10s pending", "+6m10s open"]

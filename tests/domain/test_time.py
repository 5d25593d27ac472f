"""SEMANTICS, "Time and order" and "Observations and samples": each test is a sentence of it that this version keeps."""

from __future__ import annotations

from msgspec.structs import replace

from service_monitoring.domain.incidents import Cause
from service_monitoring.domain.inputs import Act, Acted, GapCause, Order
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.rules import NoDataMode, Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason, samples_of
from service_monitoring.domain.strategies import Absence, Aggregate, Function, LastOf, Threshold
from service_monitoring.testing.builders import (
    a_check,
    a_configuration,
    a_rule,
    a_series,
    a_service,
    a_trial,
    above,
    an_observation,
    below,
    instant,
    no_data,
    recovering,
    span,
)

HELD = a_rule(holds_for="15s")


# Order ----------------------------------------------------------------------------------------------------------------


def test_before_an_input_stamped_t_is_decided_every_timer_due_before_t_fires_at_its_own_due_instant() -> None:
    assert a_trial(HELD).hear("+10s", value=2).hear("+30s", value=0).moves() == [
        "+10s pending",
        "+25s open",
        "+30s resolved",
    ]


def test_a_timer_is_decided_with_its_due_instant_however_late_the_loop_wakes() -> None:
    trial = a_trial(a_rule(holds_for="15s", on_no_data=no_data(NoDataMode.RESOLVE)))
    assert trial.hear("+10s", value=2).wait("+9h").moves() == ["+10s pending", "+25s open", "+35s resolved"]


def test_people_come_before_samples_at_one_instant_and_samples_before_timers() -> None:
    assert [order.name for order in sorted(Order)] == [
        "PERSON", "CONFIGURATION", "OBSERVATION", "OUTCOME", "MARK", "SAMPLE", "GAP_END", "HOURS",
        "HOLD", "WORSE", "RECOVERY", "SCHEDULE", "STALE", "ABSENCE", "NO_DATA", "FORGET", "GAP_START",
        "RECHECK", "EXPIRY", "FLUSH", "STEP",
    ]  # fmt: skip
    trial = a_trial(a_rule()).hear("+10s", value=2).resolve("+20s", "slow").hear("+20s", value=0).hear("+30s", value=2)
    assert trial.moves() == ["+10s pending", "+10s open", "+20s resolved", "+30s pending", "+30s open"]
    assert [incident.cause for incident in trial.incidents()][2] is Cause.PERSON


def test_a_hold_comes_before_a_turn_to_unknown_at_the_same_instant() -> None:
    trial = a_trial(a_rule(holds_for="25s")).hear("+10s", value=2).wait("+1m")
    assert trial.moves() == ["+10s pending", "+35s open"]


def test_what_is_due_where_a_gap_begins_counts_as_decided() -> None:
    assert a_trial(HELD).hear("+10s", value=2).gap("+25s", "+5m").moves() == ["+10s pending", "+25s open"]


def test_ties_go_by_service_then_rule_then_series() -> None:
    late, early = a_rule("a", holds_for="5s"), a_rule("b", holds_for="5s", service="base")
    trial = a_trial()
    trial.configure("+1s", a_configuration(a_service(late), a_service(early, name="base")))
    trial.hear("+10s", value=2).hear("+10s", service="base", value=2).wait("+20s")
    opened = [incident.service for incident in trial.incidents() if incident.opened_at is not None]
    assert opened == ["base", "shop"]


# Gaps -----------------------------------------------------------------------------------------------------------------


def test_in_a_gap_nothing_accrues_and_nothing_is_reset() -> None:
    trial = a_trial(HELD).hear("+10s", value=2).gap("+20s", "+30s").hear("+31s", value=2).wait("+1m")
    assert trial.moves() == ["+10s pending", "+35s open"], "10 seconds before the gap and 5 after it"


def test_a_gap_triggers_no_no_data() -> None:
    trial = a_trial(a_rule(on_no_data=no_data(NoDataMode.RESOLVE)))
    trial.hear("+10s", value=2).gap("+20s", "+9h").hear("+32410s", value=2).wait("+32420s")
    assert trial.moves() == ["+10s pending", "+10s open"]


def test_at_the_end_of_a_gap_the_last_verdict_returns_if_its_sample_is_younger_than_stale_after() -> None:
    # 5 s before the gap; at its end the sample is 24 s old, so it counts on from there.
    trial = a_trial(HELD).hear("+10s", value=2).gap("+15s", "+34s").wait("+50s")
    assert trial.moves() == ["+10s pending", "+44s open"]


def test_at_the_end_of_a_gap_an_older_verdict_is_unknown_until_the_next_sample() -> None:
    trial = a_trial(HELD).hear("+10s", value=2).gap("+15s", "+35s").wait("+50s")
    assert trial.moves() == ["+10s pending"]
    assert trial.hear("+51s", value=2).wait("+70s").moves() == ["+10s pending", "+1m1s open"]


def test_a_restart_longer_than_stale_after_is_not_missing_data_until_stale_after_has_passed_again() -> None:
    trial = a_trial(a_rule(on_no_data=no_data(NoDataMode.RESOLVE)))
    trial.hear("+10s", value=2).gap("+15s", "+5m").wait("+10m")
    assert trial.moves() == ["+10s pending", "+10s open", "+5m25s resolved"]


def test_a_window_that_our_own_gap_emptied_is_no_missing_data() -> None:
    rate = Aggregate(above(0.1), function=Function.RATE, over=span("15s"))
    trial = a_trial(a_rule(strategy=rate, on_no_data=no_data(NoDataMode.RESOLVE)))
    trial.play("0 5 10").gap("+31s", "+5m").hear("+301s", value=11).hear("+311s", value=20).wait("+315s")
    assert trial.moves() == ["+20s pending", "+20s open"]


def test_recovery_does_not_accrue_in_a_gap() -> None:
    trial = a_trial(a_rule(recovery=recovering(holds_for="10s")))
    trial.hear("+10s", value=2).hear("+20s", value=0).gap("+25s", "+35s").wait("+42s")
    assert trial.moves() == ["+10s pending", "+10s open", "+40s resolved"]


def test_a_suspend_and_a_lag_are_gaps_like_a_restart() -> None:
    moves = {
        tuple(a_trial(HELD).hear("+10s", value=2).gap("+20s", "+30s", cause).wait("+1m").moves()) for cause in GapCause
    }
    assert moves == {("+10s pending", "+35s open")}


# Steps of the wall clock ----------------------------------------------------------------------------------------------


def test_a_step_of_the_wall_clock_opens_nothing_resolves_nothing_and_keeps_what_accrued() -> None:
    for by in ("1h", "-1h", "400d", "-400d"):
        trial = a_trial(HELD, a_rule("silent", Absence(span("30s"))))
        trial.hear("+10s", value=2).step_clock("+12s", by)
        assert trial.moves() == ["+10s pending"], by
        trial.hear("+20s", value=2).wait("+30s")
        assert trial.moves() == ["+10s pending", "+25s open"], by
        assert trial.hear("+31s", value=0).moves("slow")[-1] == "+31s resolved", by


def test_order_is_by_epoch_first_so_that_nothing_is_late_because_of_an_earlier_epoch() -> None:
    trial = a_trial(a_rule()).hear("+1h", value=2).step_clock("+3601s", "-1h").hear("+3602s", value=0)
    assert trial.moves() == ["+1h pending", "+1h open", "+1h2s resolved"]
    opened, resolved = trial.incidents()[1:]
    assert resolved.changed_at < opened.changed_at
    assert trial.course.progress.judged.epoch == 1


def test_a_window_is_as_long_after_a_step_as_before() -> None:
    counting = a_rule(strategy=Aggregate(above(2.5), function=Function.COUNT, over=span("30s")))
    trial = a_trial(counting).hear("+10s", value=1).hear("+20s", value=1).step_clock("+25s", "1h")
    assert trial.hear("+30s", value=1).moves() == ["+30s pending", "+30s open"]


def test_silence_counts_across_a_step_what_was_never_heard_stays_so() -> None:
    silent = a_rule("silent", Absence(span("30s")), metric="depth", selects={"queue": "a"})
    trial = a_trial(silent).step_clock("+10s", "1h").wait("+28s")
    assert trial.moves() == []
    trial.observe("+29s", Observation(Outcome.OK, measurements=(Measurement("depth", 1.0, (("queue", "a"),)),)))
    assert trial.wait("+58s").moves() == []


# Observations and samples ---------------------------------------------------------------------------------------------


def test_only_ok_and_failed_judge_a_service() -> None:
    down = a_rule("down", Threshold(below(1)), metric="up")
    trial = a_trial(down).unknown("+10s").fail("+20s").unknown("+25s").hear("+30s")
    assert trial.moves() == ["+20s pending", "+20s open", "+30s resolved"]


def test_an_unknown_observation_yields_no_samples() -> None:
    unknown = an_observation({"value": 1.0}, outcome=Outcome.UNKNOWN, reason=Reason.SHUTDOWN)
    assert samples_of("shop", "health", unknown, instant("+1s")) == ()


def test_an_unknown_observation_turns_the_verdicts_of_its_checks_series_unknown_at_its_instant() -> None:
    trial = a_trial(HELD).hear("+10s", value=2).unknown("+20s").hear("+40s", value=2).wait("+1m")
    assert trial.moves() == ["+10s pending", "+45s open"], "`for` paused from 20 to 40"


def test_an_unknown_observation_of_one_check_says_nothing_of_another() -> None:
    trial = a_trial()
    checks = [a_check(), a_check("other")]
    trial.configure("+1s", a_configuration(a_service(HELD, checks=checks))).hear("+10s", value=2)
    assert trial.unknown("+20s", check="other").wait("+30s").moves() == ["+10s pending", "+25s open"]


def test_each_run_yields_up_and_what_was_measured() -> None:
    failed = an_observation({"duration_seconds": 0.5}, outcome=Outcome.FAILED, reason=Reason.STATUS)
    samples = samples_of("shop", "health", failed, instant("+1s"))
    assert [(str(sample.series), sample.value) for sample in samples] == [
        ("shop/health/up", 0.0),
        ("shop/health/duration_seconds", 0.5),
    ]


def test_a_failed_run_without_a_phase_does_not_make_a_dead_service_look_fast() -> None:
    trial = a_trial(a_rule(strategy=Threshold(above(1)), metric="duration_seconds"))
    trial.hear("+10s", duration_seconds=2.0).fail("+20s").fail("+30s")
    assert trial.moves() == ["+10s pending", "+10s open"]


def test_the_reason_travels_as_evidence_of_the_up_sample() -> None:
    trial = a_trial(a_rule("down", Threshold(below(1)), metric="up")).fail("+10s", Reason.CONNECT)
    evidence = trial.incident("down").evidence
    assert (evidence.value, evidence.reason, evidence.sample) == (
        0.0,
        Reason.CONNECT,
        samples_of("shop", "health", an_observation(outcome=Outcome.FAILED), instant("+10s"))[0],
    )


def test_a_series_has_one_value_at_an_instant_and_the_first_stands() -> None:
    twice = Observation(Outcome.OK, measurements=(Measurement("value", 0.0), Measurement("value", 2.0)))
    trial = a_trial(a_rule(), a_rule("last", LastOf(2, 2, above(1))))
    assert trial.observe("+10s", twice).observe("+10s", an_observation({"value": 2.0})).moves() == []
    assert trial.hear("+20s", value=2).moves() == ["+20s pending", "+20s open"]


def test_a_run_of_a_service_that_was_removed_meanwhile_decides_nothing() -> None:
    trial = a_trial(a_rule()).configure("+1s", a_configuration(a_service(name="base")))
    assert trial.hear("+10s", value=2).moves() == []
    assert trial.course.due() is None


def test_an_act_on_an_incident_that_is_not_open_is_refused_and_changes_nothing() -> None:
    trial = a_trial(HELD)
    assert trial.refused("+1s", Acted("nothing", Act.RESOLVE, "ada")) == "no incident nothing is open"
    trial.hear("+10s", value=2)
    pending = trial.incident("slow")
    sentence = trial.refused("+11s", Acted(pending.id, Act.ACKNOWLEDGE, "ada"))
    assert sentence == f"incident {pending.id} is pending: it cannot acknowledge"
    assert trial.incident("slow") == pending


def test_a_stale_after_that_was_made_shorter_asks_for_nothing_in_the_past() -> None:
    rule = a_rule(on_no_data=no_data(NoDataMode.RESOLVE), severity=Severity.CRITICAL)
    trial = a_trial(rule).hear("+10s", value=2)
    shorter = a_service(rule, checks=[replace(a_check(), stale_after=Duration(5 * SECOND))])
    trial.configure("+20s", a_configuration(shorter)).wait("+30s")
    assert trial.moves() == ["+10s pending", "+10s open", "+20s resolved"]
    presumed = a_rule(on_no_data=no_data(NoDataMode.BREACH_AFTER, after="1s"))
    trial = a_trial(presumed).hear("+10s", value=0)
    shorter = a_service(presumed, checks=[replace(a_check(), stale_after=Duration(5 * SECOND))])
    assert trial.configure("+20s", a_configuration(shorter)).wait("+30s").moves() == ["+21s pending", "+21s open"]


def test_a_metric_that_nobody_judges_is_no_incident() -> None:
    trial = a_trial(a_rule(selects={"queue": "a"}))
    assert trial.hear("+10s", value=9).moves() == []
    labelled = Observation(Outcome.OK, measurements=(Measurement("value", 9.0, (("queue", "a"),)),))
    trial.observe("+20s", labelled)
    assert trial.incident("slow").series == a_series(queue="a")

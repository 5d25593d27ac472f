"""SEMANTICS, "Rules" and "Incidents": each test is a sentence of it that this version keeps."""

from __future__ import annotations

import pytest

from service_monitoring.domain.configuration import with_drafts_active
from service_monitoring.domain.events import RuleMoved
from service_monitoring.domain.incidents import Cause, State
from service_monitoring.domain.inputs import Act, Acted, Configured, Retired
from service_monitoring.domain.rules import Lifecycle, NoDataMode, Rule, Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome
from service_monitoring.domain.strategies import Absence, Aggregate, Change, Function, LastOf, Threshold
from service_monitoring.errors import Refused
from service_monitoring.testing.builders import (
    Trial,
    a_check,
    a_configuration,
    a_rule,
    a_service,
    a_trial,
    above,
    below,
    instant,
    no_data,
    recovering,
    span,
)


def a_queue(depth: float, queue: str) -> Observation:
    return Observation(Outcome.OK, measurements=(Measurement("depth", depth, (("queue", queue),)),))


def quietly(*rules: Rule) -> Trial:
    """A trial in which no verdict turns stale."""
    trial = Trial()
    return trial.configure("+0s", a_configuration(a_service(*rules, checks=[a_check(stale_after="30d")])))


# Strategies through the course ----------------------------------------------------------------------------------------


def test_a_threshold_compares_the_value() -> None:
    assert a_trial(a_rule()).play("1 1.01 1").moves() == ["+20s pending", "+20s open", "+30s resolved"]


def test_of_last_n_is_unknown_until_n_samples_are_there() -> None:
    rule = a_rule(strategy=LastOf(3, 2, above(1)))
    assert a_trial(rule).play("2 2 0 0").moves() == ["+30s pending", "+30s open", "+40s resolved"]


def test_an_aggregate_looks_at_the_window_from_t_minus_over_exclusive_to_t_inclusive() -> None:
    rule = a_rule(strategy=Aggregate(above(1.0), function=Function.SUM, over=span("20s")))
    trial = a_trial(rule).play("1 0 1 1")
    assert trial.moves() == ["+40s pending", "+40s open"]
    assert trial.incident("slow").evidence.value == 2.0


def test_a_change_is_last_minus_first_in_the_window() -> None:
    trial = a_trial(a_rule(strategy=Change(above(0.5), over=span("25s")))).play("1 1.4 1.6")
    assert trial.moves() == ["+30s pending", "+30s open"]
    assert trial.incident("slow").evidence.value == 1.6 - 1


def test_an_absence_is_breached_by_timer_after_the_last_sample() -> None:
    trial = a_trial(a_rule("silent", Absence(span("30s")))).hear("+10s", value=1).hear("+15s").wait("+1m")
    assert trial.moves() == ["+40s pending", "+40s open"]
    assert trial.incident("silent").cause is Cause.TIMER
    assert trial.incident("silent").evidence.value is None


def test_before_any_sample_absence_counts_from_the_rules_activation() -> None:
    assert a_trial(a_rule("silent", Absence(span("30s")))).wait("+1m").moves() == ["+30s pending", "+30s open"]
    drafted = a_rule("silent", Absence(span("30s")), state=Lifecycle.DRAFT)
    activated = a_configuration(a_service(a_rule("silent", Absence(span("30s")))))
    trial = a_trial(drafted).configure("+1m", activated).wait("+2m")
    told = [(incident.state, incident.changed_at) for incident in trial.incidents() if not incident.draft]
    assert told == [(State.PENDING, instant("+1m30s")), (State.OPEN, instant("+1m30s"))]


def test_a_sample_exactly_when_an_absence_is_due_keeps_it_from_opening() -> None:
    trial = a_trial(a_rule("silent", Absence(span("30s")))).hear("+10s", value=1).hear("+40s", value=1).wait("+1m")
    assert trial.moves() == []


def test_an_absence_counts_from_the_end_of_the_last_gap() -> None:
    trial = a_trial(a_rule("silent", Absence(span("30s")))).hear("+10s", value=1).gap("+20s", "+50s").wait("+2m")
    assert trial.moves() == ["+1m20s pending", "+1m20s open"]


def test_a_gap_inside_an_episode_makes_an_absence_unknown_until_its_time_has_passed_again_or_a_sample_comes() -> None:
    rule = a_rule("silent", Absence(span("30s")), holds_for="20s")
    trial = a_trial(rule).hear("+10s", value=1).gap("+50s", "+1m").wait("+3m")
    assert trial.moves() == ["+40s pending", "+1m40s open"], "10 s before the gap, 10 s from 1m30s on"


def test_an_unknown_run_is_no_silence() -> None:
    trial = a_trial(a_rule("silent", Absence(span("30s")))).hear("+10s", value=1).unknown("+35s").wait("+1m")
    assert trial.moves() == []
    assert trial.wait("+2m").moves() == ["+1m5s pending", "+1m5s open"]


def test_an_absence_on_labels_waits_for_any_series_that_carries_them() -> None:
    rule = a_rule("silent", Absence(span("30s")), metric="depth", selects={"queue": "a"})
    both = (("host", "x"), ("queue", "a"))
    trial = a_trial(rule).observe("+10s", Observation(Outcome.OK, measurements=(Measurement("depth", 1.0, both),)))
    trial.wait("+50s")
    assert trial.moves() == ["+40s pending", "+40s open"]
    assert trial.incident("silent").series.labels == both


def test_an_absence_that_had_opened_for_a_series_never_heard_is_over_when_one_speaks() -> None:
    rule = a_rule("silent", Absence(span("30s")), metric="depth")
    trial = a_trial(rule).wait("+35s").observe("+40s", a_queue(1.0, "a")).observe("+45s", a_queue(1.0, "b"))
    assert trial.moves() == ["+30s pending", "+30s open", "+40s resolved"]
    trial.observe("+50s", a_queue(1.0, "a")).wait("+78s")
    assert trial.moves()[3:] == ["+1m15s pending", "+1m15s open"]
    assert trial.incident("silent").series.labels == (("queue", "b"),)


def test_an_unlabelled_series_that_speaks_after_a_labelled_one_is_judged_too() -> None:
    trial = a_trial(a_rule("silent", Absence(span("30s")), metric="depth")).observe("+10s", a_queue(1.0, "a"))
    trial.hear("+20s", depth=1.0).observe("+30s", a_queue(1.0, "a")).wait("+55s")
    assert trial.incident("silent").series.labels == ()


# Modifiers ------------------------------------------------------------------------------------------------------------


def test_the_breach_must_hold_for_d_and_opens_at_the_first_instant_at_which_it_has() -> None:
    assert a_trial(a_rule(holds_for="25s")).play("0 2 2 2 2").moves() == ["+20s pending", "+45s open"]


def test_one_healthy_verdict_resets_for() -> None:
    assert a_trial(a_rule(holds_for="25s")).play("2 2 0 2 2").moves() == [
        "+10s pending",
        "+30s dropped",
        "+40s pending",
    ]


def test_a_healthy_sample_exactly_at_the_due_instant_keeps_the_incident_from_opening() -> None:
    trial = a_trial(a_rule(holds_for="20s")).play("2 2 0 0")
    assert trial.moves() == ["+10s pending", "+30s dropped"]
    assert trial.told() == []


def test_a_breached_sample_exactly_at_the_due_instant_lets_it_open() -> None:
    assert a_trial(a_rule(holds_for="20s")).play("2 2 2").wait("+31s").moves() == ["+10s pending", "+30s open"]


def test_a_verdict_turns_unknown_when_no_sample_comes_for_stale_after_and_for_pauses() -> None:
    trial = a_trial(a_rule(holds_for="30s")).hear("+10s", value=2).hear("+2m", value=2).wait("+3m")
    assert trial.moves() == ["+10s pending", "+2m5s open"], "25 s until stale, 5 s after the next sample"


def test_without_recover_one_healthy_verdict_resolves() -> None:
    assert a_trial(a_rule()).play("2 0").moves() == ["+10s pending", "+10s open", "+20s resolved"]


def test_between_the_two_limits_the_clock_of_recovery_resets() -> None:
    rule = a_rule(recovery=recovering(below(0.5), holds_for="15s"))
    assert a_trial(rule).play("2 0 0.7 0 0 0").moves() == ["+10s pending", "+10s open", "+55s resolved"]


def test_pending_uses_the_opening_comparison() -> None:
    rule = a_rule(recovery=recovering(below(0.5)), holds_for="15s")
    assert a_trial(rule).play("2 0.7").moves() == ["+10s pending", "+20s dropped"]


def test_a_breach_inside_the_time_of_recovery_keeps_it_open_and_resets_the_clock() -> None:
    rule = a_rule(recovery=recovering(holds_for="15s"))
    assert a_trial(rule).play("2 0 2 0 0").wait("+1m").moves() == ["+10s pending", "+10s open", "+55s resolved"]


def test_unknown_pauses_recovery_and_never_resets_it() -> None:
    rule = a_rule(recovery=recovering(holds_for="15s"))
    assert a_trial(rule).play("2 0 ? 0").wait("+1m").moves() == ["+10s pending", "+10s open", "+45s resolved"]


def test_no_data_keep_freezes_the_rule() -> None:
    assert a_trial(a_rule()).hear("+10s", value=2).wait("+9h").moves() == ["+10s pending", "+10s open"]
    pending = a_trial(a_rule(holds_for="30s")).hear("+10s", value=2).wait("+9h")
    assert pending.moves() == ["+10s pending"]
    assert pending.hear("+32401s", value=2).wait("+32410s").moves() == ["+10s pending", "+9h6s open"]


def test_no_data_resolve_drops_pending_and_resolves_open_at_that_instant() -> None:
    mode = no_data(NoDataMode.RESOLVE)
    trial = a_trial(a_rule(on_no_data=mode), a_rule("held", holds_for="50s", on_no_data=mode))
    trial.hear("+10s", value=2).wait("+1m")
    assert trial.moves("slow") == ["+10s pending", "+10s open", "+35s resolved"]
    assert trial.moves("held") == ["+10s pending", "+35s dropped"]
    assert trial.incidents()[-1].cause is Cause.NO_DATA


def test_no_data_breach_after_makes_the_verdict_breached_d_later_and_for_counts_from_there() -> None:
    rule = a_rule(on_no_data=no_data(NoDataMode.BREACH_AFTER, after="1m"), holds_for="10s")
    trial = a_trial(rule).hear("+10s", value=0).wait("+3m")
    assert trial.moves() == ["+1m35s pending", "+1m45s open"]
    opened = trial.incident("slow")
    assert (opened.cause, opened.evidence.value) == (Cause.NO_DATA, None)
    assert trial.hear("+3m1s", value=0).moves()[-1] == "+3m1s resolved"


def test_healthy_then_unknown_then_breached_starts_at_zero() -> None:
    assert a_trial(a_rule(holds_for="15s")).play("0 ? 2 2").wait("+50s").moves() == ["+30s pending", "+45s open"]


def test_breached_then_unknown_then_breached_goes_on_under_keep() -> None:
    assert a_trial(a_rule(holds_for="15s")).play("2 ? 2 2").wait("+50s").moves() == ["+10s pending", "+35s open"]


def test_a_series_never_heard_is_no_missing_data() -> None:
    rule = a_rule(on_no_data=no_data(NoDataMode.BREACH_AFTER, after="1s"))
    assert a_trial(rule).hear("+10s").unknown("+20s").wait("+9h").moves() == []


# Lifecycle ------------------------------------------------------------------------------------------------------------


def test_a_draft_never_pages() -> None:
    assert a_trial(a_rule(state=Lifecycle.DRAFT)).play("2 2").told() == []


def test_retired_is_for_ever_with_a_reason_and_its_incidents_close_as_retired() -> None:
    trial = a_trial(a_rule(), a_rule("held", holds_for="1m")).hear("+10s", value=2).retire("+15s", "slow")
    assert [(i.rule, i.state, i.cause) for i in trial.incidents("slow")][-1] == ("slow", State.CLOSED, Cause.RETIRED)
    moved = trial.decisions[-1][1]
    assert isinstance(moved, RuleMoved)
    assert (moved.state, moved.reason) == (Lifecycle.RETIRED, "no longer needed")
    assert trial.hear("+20s", value=2).moves("slow")[-1] == "+15s closed"
    assert trial.retire("+25s", "held").moves("held") == ["+10s pending", "+25s dropped"]
    again = Retired("shop", "slow", "again", "ada")
    assert trial.refused("+30s", again) == "rule shop.slow is retired: it cannot retire"
    reloaded = a_configuration(a_service(a_rule(severity=Severity.CRITICAL), a_rule("held", holds_for="1m")))
    assert trial.configure("+35s", reloaded).hear("+40s", value=2).moves("slow")[-1] == "+15s closed"


def test_a_rule_that_does_not_exist_is_refused_with_a_sentence() -> None:
    trial = a_trial(a_rule())
    assert trial.refused("+1s", Retired("shop", "fast", "-", "ada")) == "service shop has no rule fast"
    assert trial.refused("+2s", Retired("base", "fast", "-", "ada")) == "there is no service base"
    assert trial.course.take_changes() is None, "nothing of what was refused is to be stored"


def test_two_active_rules_of_one_policy_must_not_have_the_same_signature() -> None:
    twins = a_configuration(a_service(a_rule("one"), a_rule("two")))
    trial = a_trial(a_rule("old"))
    assert trial.refused("+1s", Configured(twins)) == "rules shop.one and shop.two are the same rule twice"
    assert trial.hear("+10s", value=2).incident("old").rule == "old", "the running configuration goes on"
    drafted = a_configuration(a_service(a_rule("one"), a_rule("two", state=Lifecycle.DRAFT)))
    trial.configure("+20s", drafted)


def test_a_changed_summary_label_or_severity_loses_no_accrued_time() -> None:
    trial = a_trial(a_rule(holds_for="15s")).hear("+10s", value=2)
    reworded = a_rule(holds_for="15s", severity=Severity.CRITICAL, labels={"team": "payments"})
    assert trial.configure("+20s", a_configuration(a_service(reworded))).wait("+30s").moves() == [
        "+10s pending",
        "+25s open",
    ]


def test_a_removed_rule_retires_as_removed_and_is_told_in_its_old_words() -> None:
    trial = a_trial(a_rule(labels={"team": "payments"})).hear("+10s", value=2)
    trial.configure("+20s", a_configuration(a_service()))
    assert trial.incidents()[-1].cause is Cause.REMOVED
    assert trial.told() == ["+10s ops first slow", "+20s ops closed slow"]
    closed = trial.notices()[-1].facts
    assert (closed.summary, dict(closed.labels)["team"]) == ("slow of shop", "payments")


def test_a_removed_service_takes_its_incidents_along_and_is_told_in_its_old_words() -> None:
    trial = a_trial(a_rule()).hear("+10s", value=2).configure("+20s", a_configuration(a_service(name="base")))
    assert trial.told() == ["+10s ops first slow", "+20s ops closed slow"]
    assert trial.notices()[-1].facts.summary == "slow of shop"


def test_an_id_that_was_removed_may_return() -> None:
    trial = a_trial(a_rule()).configure("+20s", a_configuration(a_service()))
    trial.configure("+30s", a_configuration(a_service(a_rule())))
    assert trial.hear("+40s", value=2).moves() == ["+40s pending", "+40s open"]


# Incidents ------------------------------------------------------------------------------------------------------------


def test_the_key_is_policy_rule_and_series_one_episode_at_a_time() -> None:
    trial = a_trial(a_rule(metric="depth"), a_rule("other", Threshold(above(1.5)), metric="depth"))
    trial.observe("+10s", a_queue(2, "a")).observe("+20s", a_queue(2, "b")).observe("+25s", a_queue(2, "a"))
    assert sorted((i.rule, i.series.labels[0][1]) for i in trial.course.incidents()) == [
        ("other", "a"), ("other", "b"), ("slow", "a"), ("slow", "b"),
    ]  # fmt: skip


def test_a_new_breach_after_resolution_is_a_new_incident_that_names_the_one_before() -> None:
    trial = a_trial(a_rule()).play("2 0 2")
    first, again = trial.incidents()[0], trial.incident("slow")
    assert again.id != first.id
    assert again.previous == first.id


def test_an_episode_that_was_dropped_is_not_named_by_the_next() -> None:
    assert a_trial(a_rule(holds_for="15s")).play("2 0 2").incident("slow").previous == ""


def test_resolved_by_a_person_while_breached_no_new_incident_until_one_healthy_verdict() -> None:
    trial = a_trial(a_rule()).hear("+10s", value=2).resolve("+15s", "slow")
    assert trial.play("2 2", every="20s").moves()[-1] == "+15s resolved"
    assert trial.hear("+50s", value=0).hear("+1m", value=2).moves()[-2:] == ["+1m pending", "+1m open"]


def test_resolved_by_a_person_while_healthy_a_new_breach_is_a_new_incident() -> None:
    rule = a_rule(recovery=recovering(holds_for="1m"))
    trial = a_trial(rule).play("2 0").resolve("+25s", "slow").hear("+30s", value=2)
    assert trial.moves()[-2:] == ["+30s pending", "+30s open"]


def test_an_acknowledged_incident_resolves_by_itself_and_names_who_took_it_on() -> None:
    trial = a_trial(a_rule()).hear("+10s", value=2).acknowledge("+15s", "slow", by="ada")
    taken = trial.incident("slow")
    assert (taken.state, taken.acknowledged_by, taken.sequence) == (State.ACKNOWLEDGED, "ada", 3)
    assert trial.refused("+16s", Acted(taken.id, Act.ACKNOWLEDGE, "bob")).endswith("it cannot acknowledge")
    assert trial.hear("+20s", value=0).moves()[-1] == "+20s resolved"


def test_every_transition_has_its_instant_a_cause_and_a_sequence_number_without_holes() -> None:
    trial = a_trial(a_rule(holds_for="5s")).hear("+10s", value=2).wait("+16s").acknowledge("+17s", "slow")
    trial.hear("+20s", value=0)
    assert [(i.sequence, i.state.value, i.cause.value) for i in trial.incidents()] == [
        (1, "pending", "sample"), (2, "open", "timer"), (3, "acknowledged", "person"), (4, "resolved", "sample"),
    ]  # fmt: skip


def test_a_reload_of_the_same_file_is_no_transition() -> None:
    same = a_configuration(a_service(a_rule(holds_for="15s")))
    trial = Trial(same).hear("+10s", value=2)
    before = len(trial.decisions)
    assert len(trial.configure("+20s", same).decisions) == before
    assert trial.wait("+30s").moves() == ["+10s pending", "+25s open"]


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 0.0, -0.0])
def test_any_finite_value_is_judged_by_every_kind_of_rule(value: float) -> None:
    functions = [function for function in Function if function is not Function.PERCENTILE]
    aggregates = [a_rule(function, Aggregate(above(0), function=function, over=span("10m"))) for function in functions]
    changes = [a_rule("change", Change(above(0), samples=7)), a_rule("last", LastOf(5, 5, above(0)))]
    trial = quietly(*aggregates, *changes)
    for second in range(1, 12):
        trial.hear(f"+{second}s", value=value if second % 2 else -value)
    # A change of 2e308 lies beyond what a float holds; it is judged, and shown, as the largest there is.
    assert all(incident.evidence.value == incident.evidence.value for incident in trial.incidents())
    assert trial.incidents("max" if value else "count") != []


def test_with_its_drafts_active_a_revision_pages_for_them() -> None:
    drafted = a_configuration(a_service(a_rule(state=Lifecycle.DRAFT)))
    assert Trial(drafted).play("2").told() == []
    assert Trial(with_drafts_active(drafted)).play("2").told() == ["+10s ops first slow"]
    assert with_drafts_active(with_drafts_active(drafted)) == with_drafts_active(drafted)


def test_a_draft_that_says_what_an_active_rule_says_is_not_made_active() -> None:
    twins = a_configuration(a_service(a_rule("one"), a_rule("two", state=Lifecycle.DRAFT)))
    with pytest.raises(Refused, match=r"rules shop\.one and shop\.two are the same rule twice"):
        with_drafts_active(twins)

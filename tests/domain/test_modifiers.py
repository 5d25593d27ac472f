"""What a rule may say beside its condition: worse, active hours, drafts, flapping, expiry, and being forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain import flapping
from service_monitoring.domain.events import SeriesFlapped
from service_monitoring.domain.flapping import Flips
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.rules import Flapping, Lifecycle, NoDataMode, Rule, Severity, Worse
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.domain.strategies import Absence, LastOf, Threshold
from service_monitoring.testing.builders import (
    Trial,
    a_check,
    a_configuration,
    a_rule,
    a_service,
    a_trial,
    above,
    below,
    no_data,
    recovering,
    span,
)

CRITICAL = Worse(Severity.CRITICAL, above(3), span("20s"))


def severities(trial: Trial) -> list[str]:
    return [f"{incident.state} {incident.severity}" for incident in trial.incidents()]


# Worse ----------------------------------------------------------------------------------------------------------------


def test_a_stronger_comparison_raises_the_severity_when_it_has_held() -> None:
    trial = a_trial(a_rule(worse=[CRITICAL])).play("2 4 4 4").wait("+41s")
    assert trial.moves() == ["+10s pending", "+10s open", "+40s open"]
    assert severities(trial)[-2:] == ["open warning", "open critical"]
    assert trial.told() == ["+10s ops first slow", "+40s ops raised slow"]


def test_a_severity_rises_by_timer_between_two_samples() -> None:
    worse = Worse(Severity.CRITICAL, above(3), span("15s"))
    assert a_trial(a_rule(worse=[worse])).play("4 4 4").moves()[-1] == "+25s open"


def test_one_sample_that_is_not_that_bad_starts_the_clock_of_the_rise_again() -> None:
    assert a_trial(a_rule(worse=[CRITICAL])).play("4 4 2 4 4 4").wait("+61s").moves()[-1] == "+1m open"


def test_silence_pauses_the_clock_of_the_rise() -> None:
    trial = a_trial(a_rule(worse=[CRITICAL])).hear("+10s", value=4).wait("+1m")
    assert trial.moves() == ["+10s pending", "+10s open", "+30s open"], "the silence begins at 35 seconds"
    slower = Worse(Severity.CRITICAL, above(3), span("30s"))
    trial = a_trial(a_rule(worse=[slower])).hear("+10s", value=4).hear("+1m", value=4).wait("+2m")
    assert trial.moves()[-1] == "+1m5s open", "25 seconds before the silence and five after it"


def test_a_severity_never_falls() -> None:
    trial = a_trial(a_rule(worse=[CRITICAL])).play("4 4 4 2 2 0")
    assert severities(trial)[-2:] == ["open critical", "resolved critical"]


def test_a_rise_is_a_transition_and_ends_an_acknowledgement() -> None:
    trial = a_trial(a_rule(worse=[CRITICAL])).hear("+10s", value=2).acknowledge("+15s", "slow")
    trial.hear("+20s", value=4).hear("+30s", value=4).hear("+40s", value=4)
    trial.wait("+41s")
    assert severities(trial) == ["pending warning", "open warning", "acknowledged warning", "open critical"]
    assert [incident.sequence for incident in trial.incidents()] == [1, 2, 3, 4]


def test_a_pending_incident_may_rise_and_opens_as_bad_as_it_is() -> None:
    trial = a_trial(a_rule(holds_for="30s", worse=[CRITICAL])).play("4 4 4 4").wait("+41s")
    assert severities(trial) == ["pending warning", "pending critical", "open critical"]
    assert trial.told() == ["+40s ops first slow"]


def test_two_levels_rise_one_after_the_other_or_at_once() -> None:
    levels = [Worse(Severity.WARNING, above(2), span("10s")), Worse(Severity.CRITICAL, above(3), span("10s"))]
    rule = a_rule(severity=Severity.INFO, worse=levels)
    assert severities(a_trial(rule).play("2.5 2.5 4 4 4"))[1:] == ["open info", "open warning", "open critical"]
    assert severities(a_trial(rule).play("4 4 4"))[1:] == ["open info", "open critical"]


def test_a_rise_of_no_time_comes_with_the_opening() -> None:
    trial = a_trial(a_rule(worse=[Worse(Severity.CRITICAL, above(3))])).play("4")
    assert severities(trial) == ["pending warning", "open warning", "open critical"]


# Active hours ---------------------------------------------------------------------------------------------------------

MORNING = ActiveHours("UTC", spans=(Span(1, 5),))
"""From one minute past midnight to five past; `START` is midnight."""


def test_outside_of_its_hours_nothing_opens_and_a_breach_that_goes_on_begins_with_them() -> None:
    trial = a_trial(a_rule(active=MORNING, holds_for="20s")).play("2 2 2 2 2 2 2 2 2").wait("+2m")
    assert trial.moves() == ["+1m pending", "+1m20s open"]


def test_outside_of_its_hours_nothing_accrues() -> None:
    trial = a_trial(a_rule(active=MORNING, holds_for="2m")).play(" ".join(["2"] * 120)).wait("+24h2m")
    assert trial.moves()[0] == "+1m pending"
    late = ActiveHours("UTC", spans=(Span(1, 2), Span(10, 12)))
    trial = a_trial(a_rule(active=late, holds_for="90s")).play(" ".join(["2"] * 80))
    assert trial.moves() == ["+1m pending", "+10m30s open"], "a minute before the break and half a minute after it"


def test_outside_of_its_hours_a_healthy_verdict_still_resolves() -> None:
    trial = a_trial(a_rule(active=MORNING)).play(" ".join(["0"] * 8 + ["2"] * 30 + ["0"]))
    assert trial.moves() == ["+1m30s pending", "+1m30s open", "+6m30s resolved"]
    kept = a_trial(a_rule(active=MORNING, recovery=recovering(holds_for="1m")))
    assert kept.play(" ".join(["0"] * 8 + ["2"] * 30 + ["0"] * 8)).moves()[-1] == "+7m30s resolved"


def test_hours_that_begin_in_a_gap_count_from_the_first_sample_after_it() -> None:
    trial = a_trial(a_rule(active=MORNING)).hear("+50s", value=2).gap("+55s", "+70s").hear("+80s", value=2)
    assert trial.moves() == ["+1m20s pending", "+1m20s open"]


def test_after_a_step_of_the_clock_the_hours_are_asked_again() -> None:
    trial = a_trial(a_rule(active=MORNING)).hear("+10s", value=2).step_clock("+15s", "2m")
    assert trial.moves() == ["+15s pending", "+15s open"]
    trial = a_trial(a_rule(active=MORNING)).hear("+10s", value=2).step_clock("+15s", "1h").hear("+20s", value=2)
    assert trial.moves() == []


# Drafts ---------------------------------------------------------------------------------------------------------------


def test_a_draft_is_judged_in_shadow_and_tells_nobody() -> None:
    trial = a_trial(a_rule(state=Lifecycle.DRAFT)).play("2 0")
    assert trial.moves() == ["+10s pending", "+10s open", "+20s resolved"]
    assert all(incident.draft for incident in trial.incidents())
    assert trial.told() == []


def test_a_draft_holds_nobody_back() -> None:
    drafted = a_rule("m", Threshold(above(1)), metric="depth", state=Lifecycle.DRAFT)
    trial = a_trial(drafted, a_rule("child", depends_on=["shop.m"])).hear("+10s", value=2, depth=2)
    assert trial.told() == ["+10s ops first child"]


def test_a_draft_that_becomes_active_starts_anew() -> None:
    trial = a_trial(a_rule(state=Lifecycle.DRAFT, holds_for="20s")).play("2 2 2 2")
    trial.configure("+45s", a_configuration(a_service(a_rule(holds_for="20s")))).hear("+50s", value=2).wait("+2m")
    assert trial.moves() == ["+10s pending", "+30s open", "+45s closed", "+45s pending", "+1m5s open"]
    assert trial.told() == ["+1m5s ops first slow"]


# Flapping -------------------------------------------------------------------------------------------------------------


@given(some.lists(some.booleans(), min_size=20, max_size=20))
def test_the_share_of_changes_is_icingas_formula(changed: list[bool]) -> None:
    bits = sum(1 << (19 - place) for place, each in enumerate(changed) if each)
    expected = sum(0.8 + 0.02 * place for place, each in enumerate(changed) if each) / 20 * 100
    assert flapping.percent(bits) == pytest.approx(expected, abs=1e-9)


def test_what_changes_at_every_verdict_is_all_change_and_what_never_does_none() -> None:
    assert flapping.percent((1 << 20) - 1) == pytest.approx(99.0)
    assert flapping.percent(0) == 0


def test_it_starts_above_thirty_and_stops_at_twenty_five() -> None:
    flips, shares = Flips(), []
    for number in range(12):
        flips = flapping.seen(flips, Flapping(), breached=number % 2 == 0)
        shares.append((flapping.percent(flips.changes) > 30, flips.flapping))
    assert all(above_thirty is flaps for above_thirty, flaps in shares)
    assert flips.flapping
    before = 100.0
    while flips.flapping:
        before = flapping.percent(flips.changes)
        flips = flapping.seen(flips, Flapping(), breached=False)
    assert before > 25 >= flapping.percent(flips.changes)


FLAPPING = Flapping()


def test_while_a_series_flaps_one_notice_says_so_and_the_rest_is_held() -> None:
    trial = a_trial(a_rule(flapping=FLAPPING)).play(" ".join(["2 0"] * 12))
    (start,) = (each for _, each in trial.decisions if isinstance(each, SeriesFlapped))
    assert start.flapping
    assert start.percent > 30
    told = [line for line in trial.told() if "held" not in line]
    assert len([line for line in told if "flapping" in line]) == 1
    after = trial.told()[trial.told().index(next(line for line in trial.told() if " flapping " in line)) + 1 :]
    assert after
    assert all(line.endswith("held flapping") for line in after)


def test_when_a_series_is_steady_those_who_heard_hear_how_it_is() -> None:
    trial = a_trial(a_rule(flapping=FLAPPING)).play(" ".join(["2 0"] * 6 + ["2"] * 20 + ["0"]))
    told = [line for line in trial.told() if "held" not in line]
    assert told[-2].split()[1:] == ["ops", "steady", "slow"]
    assert trial.notices()[-2].facts.summary.endswith("is steady again: open")
    assert told[-1].split()[1:] == ["ops", "recovered", "slow"], "the notice that it is steady told that it is open"


def test_flapping_of_half_a_minute_for_an_hour_is_few_notices() -> None:
    trial = Trial(
        a_configuration(a_service(a_rule(flapping=FLAPPING), checks=[a_check(every="30s", stale_after="75s")]))
    )
    trial.play(" ".join(["2 0"] * 60), every="30s")
    told = [line for line in trial.told() if "held" not in line]
    first = next(place for place, line in enumerate(told) if " flapping " in line)
    assert len(told[first:]) == 1
    assert len(told) <= 8


def test_a_rule_without_flapping_counts_nothing() -> None:
    trial = a_trial(a_rule(flapping=None)).play(" ".join(["2 0"] * 12))
    assert not [each for _, each in trial.decisions if isinstance(each, SeriesFlapped)]


def test_flapping_that_is_switched_off_by_a_reload_is_over() -> None:
    trial = a_trial(a_rule(flapping=FLAPPING)).play(" ".join(["2 0"] * 8 + ["2"]))
    assert trial.course.policy("shop").flapping("slow", trial.incident("slow").series)
    trial.configure("+175s", a_configuration(a_service(a_rule(flapping=None)))).hear("+180s", value=0)
    assert [line.split()[2] for line in trial.told()[-2:]] == ["steady", "recovered"]


# Acknowledgements that expire -----------------------------------------------------------------------------------------


def test_an_acknowledgement_expires_and_the_incident_is_open_again() -> None:
    trial = a_trial(a_rule()).play("2 2").acknowledge("+25s", "slow", expires_after="1m")
    assert trial.wait("+2m").moves()[-1] == "+1m25s open"
    assert trial.incident("slow").acknowledged_by == "ada"


def test_an_incident_that_is_over_does_not_open_again_by_an_expiry() -> None:
    trial = a_trial(a_rule()).play("2").acknowledge("+15s", "slow", expires_after="1m").hear("+20s", value=0)
    assert trial.wait("+5m").moves()[-1] == "+20s resolved"


def test_an_expiry_counts_elapsed_time_whatever_the_wall_clock_does() -> None:
    trial = a_trial(a_rule(on_no_data=no_data(NoDataMode.KEEP))).play("2")
    trial.acknowledge("+15s", "slow", expires_after="1m").step_clock("+20s", "1h").wait("+3m")
    assert trial.moves()[-1] == "+1m15s open"


def test_an_expiry_that_falls_in_a_gap_is_decided_at_its_end() -> None:
    trial = a_trial(a_rule()).play("2").acknowledge("+15s", "slow", expires_after="1m").gap("+20s", "+5m").wait("+6m")
    assert trial.moves()[-1] == "+5m open"


def test_a_second_acknowledgement_is_refused_while_the_first_holds() -> None:
    trial = a_trial(a_rule()).play("2").acknowledge("+15s", "slow", expires_after="1m")
    assert "cannot acknowledge" in trial.refused("+20s", Acted(trial.incident("slow").id, Act.ACKNOWLEDGE, "bob"))


# Forgotten series -----------------------------------------------------------------------------------------------------


def forgetful(*rules: Rule, after: str = "10m") -> Trial:
    return Trial(a_configuration(a_service(*rules, checks=[a_check(forget_after=after)])))


def test_a_series_that_is_silent_for_long_is_forgotten_and_its_incident_closed_as_vanished() -> None:
    trial = forgetful(a_rule()).hear("+10s", value=2).wait("+1h")
    assert trial.moves() == ["+10s pending", "+10s open", "+10m10s closed"]
    assert [str(incident.cause) for incident in trial.incidents()][-1] == "vanished"
    assert trial.told()[-1] == "+10m10s ops closed slow"


def test_a_pending_incident_of_a_forgotten_series_is_dropped() -> None:
    assert forgetful(a_rule(holds_for="1h")).hear("+10s", value=2).wait("+1h").moves()[-1] == "+10m10s dropped"


def test_a_forgotten_series_may_come_back_as_a_new_one() -> None:
    trial = forgetful(a_rule()).hear("+10s", value=2).wait("+1h").hear("+61m", value=2)
    assert trial.moves()[-2:] == ["+1h1m pending", "+1h1m open"]


def test_a_series_is_forgotten_although_its_first_sample_let_nobody_say_anything() -> None:
    trial = forgetful(a_rule(strategy=LastOf(2, 2, above(1)))).hear("+10s", value=2).wait("+1h")
    assert trial.hear("+61m", value=2).moves() == []
    assert trial.hear("+62m", value=2).moves() == ["+1h2m pending", "+1h2m open"]


def test_a_rule_that_forgot_a_series_judges_it_again_although_an_absence_kept_waiting_for_it() -> None:
    trial = forgetful(a_rule(), a_rule("silent", Absence(span("5m")))).hear("+10s", value=0).wait("+1h")
    assert trial.hear("+61m", value=2).incident("slow").state == "open"


def test_time_that_nobody_watched_forgets_nothing() -> None:
    trial = forgetful(a_rule()).hear("+10s", value=2).gap("+1m", "+50m").wait("+55m")
    assert trial.moves()[-1] == "+10s open"
    assert trial.wait("+1h").moves()[-1] == "+59m10s closed"


def test_an_absence_is_never_forgotten() -> None:
    trial = forgetful(a_rule("silent", Absence(span("1m")))).hear("+10s", value=1).wait("+2h")
    assert trial.moves() == ["+1m10s pending", "+1m10s open"]


def test_a_series_that_speaks_seldom_is_not_forgotten_between_two_samples() -> None:
    weekly = a_check(every="7d", stale_after="18d")
    trial = Trial(a_configuration(a_service(a_rule(strategy=Threshold(below(1))), checks=[weekly])))
    assert trial.hear("+10s", value=0).hear("+7d", value=0).moves() == ["+10s pending", "+10s open"]

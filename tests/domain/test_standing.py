"""How a rule stands: what is said to whoever asks agrees with what the rule does next."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.inputs import Order, Signal
from service_monitoring.domain.instants import NANOSECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Flapping, NoDataMode, Rule
from service_monitoring.domain.schedules import Failing
from service_monitoring.domain.standing import Count, Counted, Standing
from service_monitoring.domain.strategies import Absence, Aggregate, Function, Heartbeat
from service_monitoring.errors import Refused
from service_monitoring.settings.lengths import duration_text
from service_monitoring.testing.builders import (
    Trial,
    a_configuration,
    a_heartbeat,
    a_push,
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


def standing(trial: Trial, rule: str = "slow") -> Standing:
    (found,) = trial.course.policy("shop").standings(rule)
    return found


def said(trial: Trial, rule: str = "slow") -> tuple[str, list[str]]:
    """The verdict, and why."""
    found, at = standing(trial, rule), trial.course.progress.judged.at
    return found.verdict, [str(each) for each in found.why(at)]


def counted(trial: Trial, rule: str = "slow") -> list[Count]:
    return list(standing(trial, rule).counts(trial.course.progress.judged.at))


def a_count(what: Counted, accrued: str, needed: str) -> Count:
    return Count(what, span(accrued), span(needed))


def test_a_rule_without_a_series_stands_nowhere_and_one_that_is_not_there_is_refused() -> None:
    trial = a_trial(a_rule())
    assert trial.course.policy("shop").standings("slow") == []
    with pytest.raises(Refused):
        trial.course.policy("shop").standings("other")


def test_a_pending_rule_says_how_much_of_for_is_over_and_when_it_opens() -> None:
    trial = a_trial(a_rule(holds_for="1m")).play("0 2 2").wait("+35s")
    assert said(trial) == ("breached", [])
    assert standing(trial).since() == instant("+20s")
    assert counted(trial) == [a_count(Counted.HOLD, "15s", "1m")]
    assert standing(trial).due() == (instant("+55s"), Order.STALE)
    trial.play_from("+40s", "2 2 2 2").wait("+79s")
    assert counted(trial) == [a_count(Counted.HOLD, "59s", "1m")]
    assert standing(trial).due() == (instant("+80s"), Order.HOLD)


def test_an_open_rule_says_how_far_it_has_recovered() -> None:
    trial = a_trial(a_rule(recovery=recovering(below(0.5), holds_for="1m"))).play("2 0 0").wait("+35s")
    assert said(trial) == ("healthy", [])
    assert counted(trial) == [a_count(Counted.RECOVERY, "15s", "1m")]
    trial.hear("+40s", value=0.7)
    assert said(trial) == ("healthy", ["not_yet_recovered"])
    assert counted(trial) == []


def test_silence_is_stale_and_counts_toward_no_data() -> None:
    rule = a_rule(on_no_data=no_data(NoDataMode.BREACH_AFTER, after="1m"))
    trial = a_trial(rule).play("0").wait("+45s")
    assert said(trial) == ("unknown", ["stale"])
    assert standing(trial).since() == instant("+35s")
    assert counted(trial) == [a_count(Counted.NO_DATA, "10s", "1m")]
    assert standing(trial).due() == (instant("+95s"), Order.NO_DATA)
    assert standing(trial).evidence.value is None
    trial.wait("+2m")
    assert said(trial) == ("breached", ["no_data"])


def test_an_unknown_run_is_no_silence() -> None:
    trial = a_trial(a_rule()).play("0 ?")
    assert said(trial) == ("unknown", ["not_measured"])
    assert standing(trial).since() == instant("+20s")


def test_a_window_that_is_not_full_holds_too_little() -> None:
    rising = Aggregate(above(0.2), function=Function.RATE, over=span("1m"))
    trial = a_trial(a_rule(strategy=rising)).play("2")
    assert said(trial) == ("unknown", ["too_little"])
    assert standing(trial).since() is None


def test_in_a_gap_nothing_is_said_and_after_it_that_it_was() -> None:
    trial = a_trial(a_rule()).play("2")
    trial.gap("+20s", "+10m")
    assert said(trial) == ("unknown", ["after_gap"])
    assert standing(trial).since() == instant("+10m")
    trial.hear("+11m", value=2)
    assert said(trial) == ("breached", [])


def test_what_a_person_ended_says_so_until_it_is_healthy() -> None:
    trial = a_trial(a_rule()).play("2").resolve("+15s", "slow")
    assert said(trial) == ("breached", ["resolved_by_hand"])
    assert said(trial.hear("+20s", value=0)) == ("healthy", [])


def test_a_series_that_flaps_says_so() -> None:
    trial = a_trial(a_rule(flapping=Flapping())).play("2 0 2 0 2 0 2")
    assert said(trial) == ("breached", ["flapping"])


def test_an_absence_counts_from_the_last_sample() -> None:
    trial = a_trial(a_rule(strategy=Absence(span("5m")))).wait("+1m")
    assert said(trial) == ("unknown", ["nothing_heard"])
    assert counted(trial) == [a_count(Counted.ABSENCE, "1m", "5m")]
    trial.hear("+2m", value=0).wait("+3m")
    assert said(trial) == ("healthy", [])
    assert counted(trial) == [a_count(Counted.ABSENCE, "1m", "5m")]
    assert standing(trial).due() == (instant("+7m"), Order.ABSENCE)


def test_a_rule_on_a_job_says_when_the_job_is_asked_for() -> None:
    rule = a_rule("job", Heartbeat((Failing.MISSED,)), check="backup", metric="")
    trial = Trial(a_configuration(a_service(rule, checks=[a_heartbeat(period="1h", grace="5m")])))
    trial.report("+10m", Signal.SUCCESS)
    assert standing(trial, "job").due() == (instant("+75m"), Order.SCHEDULE)


def test_what_is_pushed_is_due_an_allowance_later() -> None:
    rule = a_rule(check="orders", holds_for="30s")
    trial = Trial(a_configuration(a_service(rule, checks=[a_push(allowance="10s")])))
    trial.push("+20s", ("+20s", 2.0)).wait("+41s")
    assert standing(trial).due() == (instant("+60s"), Order.HOLD)
    assert counted(trial) == [a_count(Counted.HOLD, "11s", "30s")]


RULES = some.builds(
    a_rule,
    holds_for=some.sampled_from(["0s", "15s"]),
    recovery=some.sampled_from([recovering(), recovering(holds_for="15s")]),
    on_no_data=some.sampled_from([no_data(NoDataMode.KEEP), no_data(NoDataMode.BREACH_AFTER, after="20s")]),
)


@given(RULES, some.lists(some.sampled_from(["0", "2", "?", "-"]), min_size=1, max_size=8))
def test_what_is_due_next_is_what_happens_next(rule: Rule, words: list[str]) -> None:
    trial = a_trial(rule)
    for number, word in enumerate(words, start=1):
        at = f"+{10 * number}s"
        if word == "?":
            trial.unknown(at)
        elif word == "-":
            trial.wait(at)
        else:
            trial.hear(at, value=float(word))
    found = trial.course.policy("shop").standings("slow")
    if not found:
        return
    due = found[0].due()
    assert due is not None
    before = events(trial)
    hold = found[0].stored.hold
    step(trial, due[0])
    assert events(trial) == before
    assert standing(trial).stored.hold == hold
    step(trial, due[0].plus(NANOSECOND))
    after = trial.course.policy("shop").standings("slow")
    assert not after or after[0].stored.hold != hold
    if due[1] in {Order.HOLD, Order.RECOVERY}:
        needed = next(iter(found[0].counts(due[0])))
        assert needed.accrued == needed.needed
        assert events(trial) > before


def events(trial: Trial) -> int:
    """How many were decided; notices are repeated meanwhile."""
    return sum(not isinstance(decision, Notice) for _, decision in trial.decisions)


def step(trial: Trial, at: Instant) -> None:
    since = Duration(at.ns - instant("+0s").ns)
    trial.wait(f"+{duration_text(since)}")

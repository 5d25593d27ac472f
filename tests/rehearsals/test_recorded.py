"""A recording of ours under another configuration: what means something there, and what is said of the rest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as draw
from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration, Person
from service_monitoring.domain.course import Ruling
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Admitted, Delivery, Input, Marked, MarkKind, Stamp
from service_monitoring.domain.instants import NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.rules import Recovery, Rule
from service_monitoring.domain.strategies import Absence, Aggregate, Function, Threshold
from service_monitoring.errors import Refused
from service_monitoring.rehearsal.assumed import Assumed, Assumption
from service_monitoring.rehearsal.recorded import as_recorded, look_back, under
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_check,
    a_configuration,
    a_grouping,
    a_rule,
    a_service,
    a_step,
    above,
    instant,
    span,
)
from service_monitoring.wire.ledger import ledger
from tests.drawing import drawn
from tests.rehearsals.loop import Recording
from tests.rehearsals.test_days import EVENTS, FLUSHED_BEFORE_A_STEP, live, the_configuration

ALWAYS = Instant(0)
FOREVER = START.plus(Duration(10**18))


class Lived(Trial):
    """A trial that remembers everything that it was told."""

    def __init__(self, configuration: Configuration) -> None:
        self.told_of: list[Admitted] = []
        super().__init__(configuration)

    def _step(self, at: str, what: Input) -> Ruling:
        self.told_of.append(Admitted(Stamp(self._epoch, self._at(at)), what))
        return super()._step(at, what)


def of(lived: Lived) -> Recording:
    return Recording(lived.told_of, lived.course.progress.judged)


def slow(limit: float, **more: Any) -> Rule:
    return a_rule("slow", Threshold(above(limit)), **more)


def moves(rehearsed: Rehearsed) -> list[str]:
    return [
        f"{moved.incident.rule} {moved.incident.state} +{(moved.decided_at.ns - START.ns) // SECOND}s"
        for moved in rehearsed.decisions
        if isinstance(moved, IncidentMoved)
    ]


def pages(rehearsed: Rehearsed) -> list[str]:
    return [
        f"{notice.page} {notice.recipient} +{(notice.decided_at.ns - START.ns) // SECOND}s"
        for notice in rehearsed.decisions
        if isinstance(notice, Notice) and notice.held is None
    ]


@given(draw.lists(EVENTS.filter(lambda event: event[0] != "reload"), min_size=5, max_size=50))
@example(FLUSHED_BEFORE_A_STEP)
@settings(max_examples=drawn(1), deadline=None)
def test_a_day_under_the_configuration_that_it_had_is_the_day_itself(script: list[tuple[str, Any]]) -> None:
    day = asyncio.run(live(script))
    assert day.store._progress is not None
    recording = Recording(day.recorded(), day.store._progress.judged)
    again = under(recording, the_configuration(), ALWAYS, FOREVER)
    assert ledger(again.decisions) == ledger(day.decided())
    assert again.unmatched == ()
    assert ledger(as_recorded(recording, ALWAYS, FOREVER).decisions) == ledger(day.decided())
    # All that the clock ever showed, though it was set back meanwhile.
    instants = [
        each.stamp.at for each in (*day.recorded(), Admitted(day.store._progress.judged, Marked(MarkKind.ALIVE)))
    ]
    since, until = min(instants), max(instants).plus(NANOSECOND)
    for exactly in (under(recording, the_configuration(), since, until), as_recorded(recording, since, until)):
        assert ledger(exactly.decisions) == ledger(day.decided())
        assert not any(limit.startswith("the recording ends") for limit in exactly.limits)


@given(
    draw.lists(EVENTS, min_size=5, max_size=50),
    draw.integers(0, 5),
    draw.integers(0, 300),
    draw.sampled_from([None, 7]),
)
@settings(max_examples=100, deadline=None)
def test_any_day_can_be_rehearsed_under_any_configuration_from_any_instant(
    script: list[tuple[str, Any]], revision: int, after: int, ack: int | None
) -> None:
    day = asyncio.run(live(script))
    assert day.store._progress is not None
    recorded = day.recorded()
    since = recorded[0].stamp.at.plus(Duration(after * SECOND))
    until = since.plus(Duration(600 * SECOND))

    def rehearsed() -> Rehearsed:
        configuration = the_configuration(revision)
        assumed = None if ack is None else Assumed(Assumption(Duration(ack * SECOND)), configuration)
        recording = Recording(recorded, day.store._progress.judged)  # type: ignore[union-attr]  # asserted above
        return under(recording, configuration, since, until, assumed=assumed)

    once = rehearsed()
    assert once == rehearsed()
    ids = {each.incident.id for each in once.decisions if isinstance(each, IncidentMoved)}
    assert not ids & {each.incident for each in once.unmatched if each.act is Act.NOTE}
    assert all(since <= each.at < until for each in once.unmatched)


def test_another_limit_makes_other_incidents_of_the_same_samples() -> None:
    trial = Lived(a_configuration(a_service(slow(5.0)))).play("1 3 3 1 6 1")
    again = under(of(trial), a_configuration(a_service(slow(2.0))), ALWAYS, FOREVER)
    assert moves(again) == [
        "slow pending +20s",
        "slow open +20s",
        "slow resolved +40s",
        "slow pending +50s",
        "slow open +50s",
        "slow resolved +60s",
    ]
    assert again.samples == 12


def test_recorded_revisions_are_left_out_where_one_is_in_force_throughout() -> None:
    trial = Lived(a_configuration(a_service(slow(5.0)))).play("1 3")
    trial.configure("+21s", a_configuration(a_service(slow(2.0)))).hear("+30s", value=3.0).hear("+40s", value=1.0)
    again = under(of(trial), a_configuration(a_service(slow(5.0))), ALWAYS, FOREVER)
    assert moves(again) == []
    assert as_recorded(of(trial), ALWAYS, FOREVER).configuration == a_configuration(a_service(slow(2.0)))


def test_an_act_on_an_incident_that_is_none_here_is_listed_and_applied_to_no_other() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0)))).play("1 3")
    trial.acknowledge("+25s", "slow").note("+26s", "slow", "looking").hear("+30s", value=6.0)
    again = under(of(trial), a_configuration(a_service(slow(5.0))), ALWAYS, FOREVER)
    assert [(each.at, each.act, each.by) for each in again.unmatched] == [
        (instant("+25s"), Act.ACKNOWLEDGE, "ada"),
        (instant("+26s"), Act.NOTE, "ada"),
    ]
    assert moves(again) == ["slow pending +30s", "slow open +30s"]
    assert "2 acts of people were about incidents that are none here" in " ".join(again.limits)


def test_an_act_on_the_same_incident_is_applied() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0)))).play("1 3").acknowledge("+25s", "slow")
    again = under(of(trial), a_configuration(a_service(slow(2.5))), ALWAYS, FOREVER)
    assert moves(again)[-1] == "slow acknowledged +25s" and again.unmatched == ()


def test_an_outcome_counts_for_the_notice_of_the_same_key_alone() -> None:
    configured = a_configuration(a_service(slow(2.0)))
    parked = replace(configured, owners=("mail",))
    trial = Lived(parked).play("1 3")
    (notice,) = trial.notices()
    trial.settle("+22s", notice, Delivery.PARKED)
    same = under(of(trial), parked, ALWAYS, FOREVER)
    assert [each.page for each in same.decisions if isinstance(each, Notice)] == [Page.FIRST, Page.OWNER]
    other = under(of(trial), replace(parked, services=(a_service(slow(5.0)),)), ALWAYS, FOREVER)
    assert moves(other) == []
    assert "1 recorded outcomes were about notices that are none here" in " ".join(other.limits)


def test_a_silence_that_was_made_before_it_begins_holds() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0)))).silence("+1s", "1h").play("1 1 1 1 1 1 3")
    again = under(of(trial), a_configuration(a_service(slow(2.0, flapping=None))), instant("+65s"), FOREVER)
    assert moves(again) == ["slow pending +70s", "slow open +70s"]
    assert pages(again) == []


def test_a_rule_that_was_retired_before_it_begins_stays_retired() -> None:
    configuration = a_configuration(a_service(slow(2.0), a_rule("high", Threshold(above(4.0)))))
    trial = Lived(configuration).retire("+1s", "slow").play("1 1 1 1 1 1 5")
    again = under(of(trial), configuration, instant("+65s"), FOREVER)
    assert moves(again) == ["high pending +70s", "high open +70s"]
    trial.configure("+80s", configuration).hear("+90s", value=1.0)
    late = under(of(trial), configuration, instant("+110s"), FOREVER)
    assert moves(late) == []


def test_inputs_of_checks_that_are_not_configured_are_left_out_and_counted() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0), checks=(a_check(), a_check("stock"))))).play("3 3")
    trial.hear("+30s", check="stock", value=5.0)
    there = a_service(a_rule(check="other"), a_rule("low", check="stock"))
    again = under(of(trial), a_configuration(there), ALWAYS, FOREVER)
    assert moves(again) == ["low pending +30s", "low open +30s"] and again.samples == 2
    assert "nothing was recorded of shop.other: rules on it say nothing" in again.limits
    assert "2 inputs of shop.health were left out: the configuration has no such check" in again.limits


def test_a_recording_of_no_configured_check_is_refused_with_what_it_has() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0)))).play("3 3")
    with pytest.raises(Refused, match=r"it is of shop\.health; give the services and checks"):
        under(of(trial), a_configuration(a_service(a_rule(check="other"))), ALWAYS, FOREVER)


def test_a_configuration_that_cannot_be_in_force_is_refused() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0)))).play("3 3")
    with pytest.raises(Refused, match="are the same rule twice"):
        under(of(trial), a_configuration(a_service(slow(2.0), a_rule("twin", Threshold(above(2.0))))), ALWAYS, FOREVER)


def test_it_begins_cold_so_long_before_as_rules_look_back() -> None:
    rule = Rule(
        "shop",
        "mean",
        "health",
        "value",
        Aggregate(above(2.0), function=Function.AVG, over=span("5m")),
        holds_for=span("1m"),
        recovery=Recovery(holds_for=span("2m")),
        flapping=None,
    )
    configuration = a_configuration(a_service(rule))
    # A window, twice the time after which silence is Unknown, and what is counted at the longest.
    assert look_back(configuration) == span("5m") + 2 * span("25s") + span("2m")
    trial = Lived(configuration).play(" ".join(["1"] * 120))
    warm = under(of(trial), configuration, instant("+15m"), instant("+20m"))
    cold = under(of(trial), configuration, instant("+1m"), instant("+20m"))
    assert warm.warm == instant("+15m")
    assert cold.warm == instant("+0s").plus(look_back(configuration))
    assert len(warm.limits) == 1 and warm.limits[0].startswith("probes are not run again")


def test_what_was_decided_before_and_after_the_range_is_not_in_it() -> None:
    trial = Lived(a_configuration(a_service(slow(2.0)))).play("3 1 3 1 3 1")
    again = under(of(trial), a_configuration(a_service(slow(2.0))), instant("+30s"), instant("+50s"))
    assert moves(again) == ["slow pending +30s", "slow open +30s", "slow resolved +40s"]


def test_nobody_knows_what_came_after_the_last_input() -> None:
    silent = Rule("shop", "silent", "health", "value", Absence(span("1m")))
    trial = Lived(a_configuration(a_service(silent))).play("1 1").wait("+30s")
    again = under(of(trial), a_configuration(a_service(silent)), START, FOREVER)
    assert moves(again) == []
    assert "the recording ends at 2026-01-05T00:00:30Z: nothing is known of the time after" in again.limits


def test_a_gap_in_the_recording_is_a_gap_here() -> None:
    silent = Rule("shop", "silent", "health", "value", Absence(span("1m")))
    trial = Lived(a_configuration(a_service(silent))).play("1 1").gap("+21s", "+10m").hear("+10m10s", value=1.0)
    assert moves(under(of(trial), a_configuration(a_service(silent)), ALWAYS, FOREVER)) == []


# Assumed acknowledgements ---------------------------------------------------------------------------------------------


def called(after: str) -> Configuration:
    """A channel is told at once, ada after a minute, bob ten minutes later."""
    steps = (a_step("channel.ops"), a_step("person.ada", after="1m"), a_step("person.bob", after="11m"))
    route = a_grouping(steps=steps, wait=span("0s"), interval=span("0s"))
    people = (Person("ada", ("mail",)), Person("bob", ("mail",)))
    return Configuration((a_service(slow(2.0)),), (route,), people=people)


def test_an_assumed_acknowledgement_stops_an_escalation_so_long_after_a_person_was_paged() -> None:
    configuration = called("1m")
    trial = Lived(configuration).play(" ".join(["3"] * 120))
    awake = Assumed(Assumption(span("5m"), "the night shift"), configuration)
    asleep = Assumed(Assumption(span("15m")), configuration)
    quick = under(of(trial), configuration, ALWAYS, FOREVER, assumed=awake)
    late = under(of(trial), configuration, ALWAYS, FOREVER, assumed=asleep)
    assert pages(quick) == ["first channel.ops +10s", "escalated person.ada +70s"]
    assert moves(quick)[-1] == "slow acknowledged +370s"
    assert pages(late) == [*pages(quick), "escalated person.bob +670s"]
    assert (
        "it is assumed that the night shift acknowledges each incident 5m after the first notice of it to a person, "
        "once more where it pages again"
    ) in quick.limits


def test_what_is_assumed_happens_also_while_nothing_comes_in() -> None:
    configuration = called("1m")
    trial = Lived(configuration).play("3").wait("+30m")
    again = under(of(trial), configuration, ALWAYS, FOREVER, assumed=Assumed(Assumption(span("5m")), configuration))
    assert pages(again) == ["first channel.ops +10s", "escalated person.ada +70s"]
    assert moves(again)[-1] == "slow acknowledged +370s"


def test_what_is_assumed_of_an_incident_that_is_over_by_then_is_nothing() -> None:
    configuration = called("1m")
    trial = Lived(configuration).play("3 3 3 3 3 3 3 3 1").wait("+30m")
    again = under(of(trial), configuration, ALWAYS, FOREVER, assumed=Assumed(Assumption(span("5m")), configuration))
    assert moves(again)[-1] == "slow resolved +90s" and again.unmatched == ()


def test_where_the_clock_is_set_what_is_assumed_comes_after_as_much_time() -> None:
    configuration = called("1m")
    trial = Lived(configuration).play(" ".join(["3"] * 12)).step_clock("+3m", "-1h").wait("+30m")
    again = under(of(trial), configuration, ALWAYS, FOREVER, assumed=Assumed(Assumption(span("5m")), configuration))
    assert moves(again)[-1] == "slow acknowledged +-3230s"


def test_without_people_a_notice_to_a_channel_is_one_to_somebody() -> None:
    configuration = a_configuration(a_service(slow(2.0)))
    trial = Lived(configuration).play("3").wait("+1h")
    assumed = Assumed(Assumption(span("5m")), configuration)
    again = under(of(trial), configuration, ALWAYS, FOREVER, assumed=assumed)
    acknowledged = [
        each.incident
        for each in again.decisions
        if isinstance(each, IncidentMoved) and each.incident.state is State.ACKNOWLEDGED
    ]
    assert [each.acknowledged_by for each in acknowledged] == ["somebody"]


def test_a_check_that_no_recording_knew_is_not_silent_and_one_that_it_knew_is() -> None:
    known, strange = a_check("jobs"), a_check("unknown")
    rules = [
        Rule("shop", f"{check.name}_silent", check.name, "value", Absence(span("30s"))) for check in (known, strange)
    ]
    trial = Lived(a_configuration(a_service(slow(5.0), checks=[a_check(), known]))).play("1 1 1 1 1 1 1 1")
    again = under(
        of(trial), a_configuration(a_service(slow(5.0), *rules, checks=[a_check(), known, strange])), ALWAYS, FOREVER
    )
    assert moves(again) == ["jobs_silent pending +30s", "jobs_silent open +30s"]
    assert again.limits[0].endswith("its silence would page: shop.unknown_silent")


def test_it_says_for_how_long_nobody_watched() -> None:
    configuration = a_configuration(a_service(slow(5.0)))
    trial = Lived(configuration).play("1 1 1").gap("+30s", "+90s").wait("+120s")
    said = "for 1m of the range (50.0%) nobody watched: what happened meanwhile is not known"
    assert said in under(of(trial), configuration, START, instant("+120s")).limits
    assert said in as_recorded(of(trial), START, instant("+120s")).limits
    assert not any("nobody watched" in limit for limit in as_recorded(of(trial), START, instant("+30s")).limits)

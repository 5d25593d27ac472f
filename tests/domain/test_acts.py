"""What people do to incidents: snoozes end, assignments and notes change no state, and no number is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.events import IncidentMoved, IncidentNoted
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import Act, Acted, Admitted, Marked, MarkKind, Observed, Stamp
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.rules import Severity, Worse
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_configuration,
    a_course,
    a_rule,
    a_service,
    a_trial,
    above,
    an_observation,
    span,
)


def noted(trial: Trial) -> list[IncidentNoted]:
    return [decision for _, decision in trial.decisions if isinstance(decision, IncidentNoted)]


def acted(trial: Trial, act: Act, **more: object) -> Acted:
    return Acted(trial.incident("slow").id, act, "bob", **more)  # type: ignore[arg-type]  # fields by name


# Snoozes --------------------------------------------------------------------------------------------------------------


def test_a_snooze_is_an_acknowledgement_that_ends() -> None:
    trial = a_trial(a_rule()).play("2 2").snooze("+25s", "slow", "1m")
    assert trial.moves()[-1] == "+25s acknowledged"
    assert trial.incident("slow").acknowledged_by == "ada"
    assert trial.wait("+2m").moves()[-1] == "+1m25s open"


def test_a_snooze_says_for_how_long() -> None:
    trial = a_trial(a_rule()).play("2")
    assert trial.refused("+15s", acted(trial, Act.SNOOZE)) == "a snooze has an end: say for how long"
    assert trial.incident("slow").state is State.OPEN


def test_who_snoozes_last_says_until_when() -> None:
    trial = a_trial(a_rule()).play("2").acknowledge("+15s", "slow").snooze("+20s", "slow", "5m", by="bob")
    trial.snooze("+25s", "slow", "1m", by="eve")
    assert [incident.acknowledged_by for incident in trial.incidents()][-3:] == ["ada", "bob", "eve"]
    assert trial.wait("+10m").moves()[-2:] == ["+25s acknowledged", "+1m25s open"]


def test_a_rise_ends_a_snooze() -> None:
    rule = a_rule(worse=(Worse(Severity.CRITICAL, above(5.0), span("10s")),))
    trial = a_trial(rule).play("2").snooze("+15s", "slow", "1h").hear("+20s", value=6).wait("+31s")
    assert trial.moves()[-1] == "+30s open"
    assert trial.told()[-1] == "+30s ops raised slow"


def test_a_snooze_that_is_over_tells_nobody_by_itself() -> None:
    trial = a_trial(a_rule()).play("2").snooze("+15s", "slow", "1m").hear("+20s", value=0).wait("+5m")
    assert trial.moves()[-1] == "+20s resolved"


@pytest.mark.parametrize("act", [Act.SNOOZE, Act.ASSIGN, Act.RESOLVE, Act.ACKNOWLEDGE])
def test_what_is_over_takes_no_act_but_a_note(act: Act) -> None:
    trial = a_trial(a_rule()).play("2")
    late = acted(trial, act, expires_after=span("1m"), to="grace")
    trial.hear("+20s", value=0)
    assert trial.refused("+25s", late) == f"no incident {late.incident} is open"


# Assignments and notes ------------------------------------------------------------------------------------------------


def test_an_assignment_is_shown_and_changes_no_state() -> None:
    trial = a_trial(a_rule()).play("2")
    before = trial.incident("slow")
    trial.assign("+15s", "slow", to="grace")
    after = trial.incident("slow")
    assert (after.assigned_to, after.state, after.sequence) == ("grace", before.state, before.sequence)
    (event,) = noted(trial)
    assert (event.act, event.by, event.to, event.incident) == (Act.ASSIGN, "ada", "grace", before.id)
    assert (event.service, event.rule, event.series) == ("shop", "slow", before.series)


def test_an_assignment_goes_along_with_every_move_that_follows() -> None:
    trial = a_trial(a_rule()).play("2").assign("+15s", "slow", to="grace").acknowledge("+16s", "slow")
    trial.hear("+20s", value=0)
    assert [incident.assigned_to for incident in trial.incidents()] == ["", "", "grace", "grace"]


def test_to_assign_to_whom_it_is_assigned_already_is_nothing_new() -> None:
    trial = a_trial(a_rule()).play("2")
    trial.assign("+15s", "slow", to="grace").assign("+16s", "slow", to="grace").assign("+17s", "slow", to="bob")
    assert [event.to for event in noted(trial)] == ["grace", "bob"]


@pytest.mark.parametrize(("act", "sentence"), [(Act.ASSIGN, "say to whom"), (Act.NOTE, "say what is to be kept")])
def test_an_act_that_lacks_what_it_is_about_is_refused(act: Act, sentence: str) -> None:
    trial = a_trial(a_rule()).play("2")
    assert sentence in trial.refused("+15s", acted(trial, act, comment=" "))
    assert noted(trial) == []


def test_a_note_may_be_written_on_an_incident_that_is_pending_open_or_over() -> None:
    trial = a_trial(a_rule(holds_for="30s")).hear("+10s", value=2).note("+15s", "slow", "first")
    trial.hear("+20s", value=2).hear("+30s", value=2).hear("+40s", value=2).note("+45s", "slow", "second")
    late = acted(trial, Act.NOTE, comment="it was the index")
    trial.hear("+50s", value=0).tell("+55s", late)
    assert [event.text for event in noted(trial)] == ["first", "second", "it was the index"]
    assert {event.incident for event in noted(trial)} == {late.incident}
    assert trial.moves() == ["+10s pending", "+40s open", "+50s resolved"]


def test_nobody_is_told_of_assignments_and_notes() -> None:
    trial = a_trial(a_rule()).play("2")
    told = trial.told()
    trial.assign("+15s", "slow", to="grace").note("+16s", "slow", "looking")
    assert trial.told() == told


def test_what_a_person_did_and_wrote_stands_in_the_event() -> None:
    trial = a_trial(a_rule()).play("2")
    trial.tell("+15s", acted(trial, Act.SNOOZE, comment="after lunch", expires_after=span("1m")))
    trial.tell("+20s", acted(trial, Act.RESOLVE, comment="fixed"))
    moves = [decision for _, decision in trial.decisions if isinstance(decision, IncidentMoved)]
    assert [(move.act, move.by, move.comment) for move in moves] == [
        (None, "", ""),
        (None, "", ""),
        (Act.SNOOZE, "bob", "after lunch"),
        (Act.RESOLVE, "bob", "fixed"),
    ]


# Laws -----------------------------------------------------------------------------------------------------------------

STEPS = st.lists(st.sampled_from([*Act, 0.0, 2.0, 2.0, "wait"]), min_size=1, max_size=40)


@given(STEPS)
def test_numbers_have_no_holes_and_only_moves_change_a_state(steps: list[Act | float | str]) -> None:
    course = a_course(a_rule(holds_for="3s"), at="+0s")
    states: dict[str, Incident] = {}
    last = ""
    for second, what in enumerate(steps, start=1):
        at = START.plus(Duration(second * SECOND))
        before = {incident.id: incident for incident in course.incidents()}
        told: Acted | Observed | Marked
        if isinstance(what, Act):
            told = Acted(next(iter(before), last), what, "ada", "seen", Duration(4 * SECOND), to=f"person {second % 2}")
        elif isinstance(what, float):
            told = Observed("shop", "health", an_observation({"value": what}), at)
        else:
            told = Marked(MarkKind.ALIVE)
        ruling = course.step(Admitted(Stamp(0, at), told))
        for _, decision in ruling.decisions:
            if isinstance(decision, IncidentMoved):
                incident = decision.incident
                number = states[incident.id].sequence if incident.id in states else 0
                assert incident.sequence == number + 1
                states[incident.id], last = incident, incident.id
            elif isinstance(decision, IncidentNoted):
                assert decision.act in {Act.ASSIGN, Act.NOTE}
        if isinstance(told, Acted) and told.act in {Act.ASSIGN, Act.NOTE}:
            by_this = [decision for stamp, decision in ruling.decisions if stamp.at == at]
            assert not any(isinstance(decision, IncidentMoved) for decision in by_this)
        assert {incident.id for incident in course.incidents()} == {
            id for id, incident in states.items() if incident.state not in FINAL
        }


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_a_snooze_ends_where_the_last_one_says(lengths: list[int]) -> None:
    trial = Trial(a_configuration(a_service(a_rule()))).play("2")
    for number, length in enumerate(lengths):
        trial.snooze(f"+{11 + number * 31}s", "slow", f"{31 if number < len(lengths) - 1 else length}s")
        if number < len(lengths) - 1:
            # The next one comes while this one still holds: at its last instant a person comes before a timer.
            assert trial.incident("slow").state is State.ACKNOWLEDGED
    ends = 11 + (len(lengths) - 1) * 31 + lengths[-1]
    trial.wait(f"+{ends + 1}s")
    last = trial.incidents()[-1]
    assert (last.state, last.changed_at) == (State.OPEN, START.plus(Duration(ends * SECOND)))
    assert [incident.state for incident in trial.incidents()].count(State.OPEN) == 2

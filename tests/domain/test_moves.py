"""The two tables of moves, walked whole: what is in them happens, everything else is refused with a sentence."""

from __future__ import annotations

from itertools import product

import pytest

from service_monitoring.domain import incidents, rules
from service_monitoring.domain.incidents import FINAL, Cause, Incident, Move, State
from service_monitoring.domain.rules import Lifecycle, LifecycleMove, Severity
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.errors import Refused
from service_monitoring.testing.builders import a_rule, a_series, instant

WAYS: dict[State, tuple[Move, ...]] = {
    State.PENDING: (),
    State.OPEN: (Move.OPEN,),
    State.ACKNOWLEDGED: (Move.OPEN, Move.ACKNOWLEDGE),
    State.DROPPED: (Move.DROP,),
    State.RESOLVED: (Move.OPEN, Move.RESOLVE),
    State.CLOSED: (Move.OPEN, Move.CLOSE),
}


def an_incident(state: State) -> Incident:
    """An incident that came to `state` by moves of the table."""
    incident = incidents.begin(
        "shop",
        "slow",
        a_series(),
        severity=Severity.WARNING,
        at=instant("+1s"),
        cause=Cause.SAMPLE,
        evidence=Evidence(2.0),
        previous="",
    )
    for what in WAYS[state]:
        incident = incidents.move(incident, what, at=instant("+2s"), cause=Cause.TIMER, by="ada")
    assert incident.state is state
    return incident


@pytest.mark.parametrize(("state", "what"), list(product(State, Move)))
def test_an_incident_moves_by_its_table_and_no_other_way(state: State, what: Move) -> None:
    before = an_incident(state)
    wanted = incidents.MOVES.get((state, what))
    if wanted is None:
        with pytest.raises(Refused) as refused:
            incidents.move(before, what, at=instant("+3s"), cause=Cause.PERSON)
        assert str(refused.value) == f"incident {before.id} is {state}: it cannot {what}"
        return
    after = incidents.move(before, what, at=instant("+3s"), cause=Cause.PERSON, by="ada")
    assert (after.state, after.sequence, after.changed_at) == (wanted, before.sequence + 1, instant("+3s"))
    assert (after.ended_at is not None) == (wanted in FINAL)
    assert after.evidence == before.evidence


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_moves_what_is_over(state: State) -> None:
    assert not [pair for pair in incidents.MOVES if pair[0] is state]


@pytest.mark.parametrize(("state", "what"), list(product(Lifecycle, LifecycleMove)))
def test_a_rule_moves_by_its_table_and_no_other_way(state: Lifecycle, what: LifecycleMove) -> None:
    wanted = rules.MOVES.get((state, what))
    if wanted is None:
        with pytest.raises(Refused) as refused:
            rules.moved("shop.slow", state, what)
        assert str(refused.value) == f"rule shop.slow is {state}: it cannot {what}"
    else:
        assert rules.moved("shop.slow", state, what) is wanted


def test_retired_is_for_ever() -> None:
    assert not [pair for pair in rules.MOVES if pair[0] is Lifecycle.RETIRED]


def test_every_state_but_the_first_is_reached_by_some_move() -> None:
    reached = {after for (before, _), after in incidents.MOVES.items() if after is not before}
    assert reached == set(State) - {State.PENDING}
    assert set(rules.MOVES.values()) == set(Lifecycle) - {Lifecycle.DRAFT}


def test_an_id_is_derived_from_service_rule_series_and_the_first_breached_sample() -> None:
    ids = {
        incidents.identity(service, rule, series, instant(at))
        for service, rule, series, at in product(
            ("shop", "base"), ("slow", "down"), (a_series(), a_series(queue="a")), ("+1s", "+2s")
        )
    }
    assert len(ids) == 16
    assert an_incident(State.PENDING).id == incidents.identity("shop", "slow", a_series(), instant("+1s"))


def test_wording_labels_and_severity_make_no_new_revision_of_a_rule() -> None:
    reworded = a_rule(severity=Severity.CRITICAL, labels={"team": "payments"}, depends_on=["base"])
    assert reworded.revision == a_rule().revision
    assert a_rule(holds_for="1s").revision != a_rule().revision

"""The agenda against a sorted list, and its orders at one instant."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service_monitoring.domain.agenda import Agenda

KEYS = some.sampled_from("abcdefgh")
# Coarse on purpose: ties are where the mistakes are, and so are the edges of buckets, a power of two wide.
DUES = some.builds(lambda bucket, within: (bucket << 20) + within, some.integers(-2, 3), some.integers(0, 2))
ORDERS = some.integers(0, 2)


class AgendaAgainstAList(RuleBasedStateMachine):
    """Whatever is booked, put off, cancelled, shifted and popped, the agenda is the sorted list of its bookings."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda: Agenda[str] = Agenda()
        self.model: dict[str, tuple[int, int]] = {}

    def in_order(self) -> list[tuple[int, int, str]]:
        return sorted((due, order, key) for key, (due, order) in self.model.items())

    @rule(key=KEYS, due=DUES, order=ORDERS)
    def book(self, key: str, due: int, order: int) -> None:
        self.agenda.book(key, due, order)
        self.model[key] = (due, order)

    @rule(key=KEYS)
    def cancel(self, key: str) -> None:
        self.agenda.cancel(key)
        self.model.pop(key, None)

    @rule(delta=some.integers(-3, 3) | some.integers(-2, 2).map(lambda buckets: buckets << 20))
    def shift(self, delta: int) -> None:
        self.agenda.shift(delta)
        self.model = {key: (due + delta, order) for key, (due, order) in self.model.items()}

    @rule()
    def pop(self) -> None:
        expected = self.in_order()[0] if self.model else None
        assert self.agenda.pop() == expected
        if expected is not None:
            del self.model[expected[2]]

    @rule(due=DUES, order=ORDERS)
    def pop_before(self, due: int, order: int) -> None:
        first = self.in_order()[0] if self.model else None
        expected = first if first is not None and first[:2] < (due, order) else None
        assert self.agenda.pop_before(due, order) == expected
        if expected is not None:
            del self.model[expected[2]]

    @rule(until=DUES)
    def pop_due(self, until: int) -> None:
        expected = [entry for entry in self.in_order() if entry[0] <= until]
        assert list(self.agenda.pop_due(until)) == expected
        for entry in expected:
            del self.model[entry[2]]

    @invariant()
    def the_dead_are_counted(self) -> None:
        assert entries_of(self.agenda) == len(self.agenda) + self.agenda._dead

    @invariant()
    def the_first_is_the_least(self) -> None:
        assert self.agenda.peek() == (self.in_order()[0] if self.model else None)
        assert len(self.agenda) == len(self.model)
        assert all(self.agenda.due(key) == due for key, (due, _) in self.model.items())


TestAgendaAgainstAList = AgendaAgainstAList.TestCase


@given(some.permutations([("b", 5, 1), ("a", 5, 1), ("c", 5, 0), ("d", 4, 9)]))
def test_ties_go_by_order_then_key_however_they_were_booked(bookings: list[tuple[str, int, int]]) -> None:
    agenda: Agenda[str] = Agenda()
    for key, due, order in bookings:
        agenda.book(key, due, order)
    assert [key for _, _, key in agenda.pop_due(5)] == ["d", "c", "a", "b"]


def test_what_is_booked_while_popping_counts_even_when_it_is_due_earlier() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.book("late", 9)
    agenda.book("first", 1)
    seen = []
    for due, _, key in agenda.pop_due(9):
        seen.append(key)
        if key == "first":
            agenda.book("early", due + 1)
    assert seen == ["first", "early", "late"]


def test_what_is_cancelled_while_popping_does_not_come() -> None:
    agenda: Agenda[str] = Agenda()
    for key in ("a", "b", "c"):
        agenda.book(key, 1)
    seen = []
    for _, _, key in agenda.pop_due(1):
        seen.append(key)
        agenda.cancel("b")
    assert seen == ["a", "c"]


def entries_of(agenda: Agenda[Any]) -> int:
    return len(agenda._front) - agenda._next + sum(len(bucket) for bucket in agenda._buckets.values())


def test_a_timer_that_every_sample_pushes_back_leaves_one_entry_behind() -> None:
    agenda: Agenda[str] = Agenda()
    for due in range(10_000):
        agenda.book("stale", due)
    assert entries_of(agenda) == 1
    assert agenda.peek() == (9_999, 0, "stale")


def test_garbage_stays_bounded_when_bookings_are_drawn_earlier_or_cancelled() -> None:
    agenda: Agenda[tuple[str, int]] = Agenda()
    for number in range(10_000):
        agenda.book(("same", 0), -number)
        agenda.book(("cancelled", number), number)
        agenda.cancel(("cancelled", number))
        assert entries_of(agenda) <= 100

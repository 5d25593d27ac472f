"""Slots as arithmetic: against counting them one by one, and how evenly names spread."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.cadence import FIRST_ROUND, Cadence, phase
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration

EVERY = some.integers(1, 7)
MOMENT = some.integers(-30, 30)


@given(every=EVERY, shift=some.integers(0, 6), after=MOMENT)
def test_the_next_slot_is_the_first_one_later_than_the_moment(every: int, shift: int, after: int) -> None:
    cadence = Cadence(Duration(every), Duration(shift % every))
    slots = [slot for slot in range(-60, 60) if (slot - shift) % every == 0]
    assert cadence.next_slot(after) == next(slot for slot in slots if slot > after)


@given(every=EVERY, shift=some.integers(0, 6), due=MOMENT, late=some.integers(-3, 30))
def test_missed_slots_are_counted_without_walking_them(every: int, shift: int, due: int, late: int) -> None:
    cadence = Cadence(Duration(every), Duration(shift % every))
    now = due + late
    assert cadence.missed(due, now) == sum((slot - shift) % every == 0 for slot in range(due + 1, now + 1))


def test_thirty_days_of_missed_slots_are_one_number() -> None:
    cadence = Cadence.of("shop.health", SECOND)
    due = cadence.next_slot(0)
    assert cadence.missed(due, due + 30 * DAY) == 30 * 86_400
    assert cadence.next_slot(due + 30 * DAY) == due + 30 * DAY + SECOND


def test_the_phase_is_the_same_in_every_process() -> None:
    assert phase("shop.health", MINUTE) == 3_843_175_951
    assert phase("shop.health", Duration(2 * MINUTE)) // 2 == phase("shop.health", MINUTE)


@given(name=some.text(max_size=20), every=some.integers(1, DAY), origin=some.integers(-DAY, DAY))
def test_slots_lie_at_the_same_instants_whatever_the_time_line_begins_with(name: str, every: int, origin: int) -> None:
    plain = Cadence.of(name, Duration(every))
    assert Cadence.of(name, Duration(every), origin=origin).next_slot(0) + origin == plain.next_slot(origin)


@pytest.mark.parametrize("pattern", ["service{}.health", "{}.up", "eu-west/{:05}.http", "a{0}.b{0}"])
def test_five_thousand_checks_at_one_minute_start_at_most_125_in_any_second(pattern: str) -> None:
    starts = sorted(Cadence.of(pattern.format(number), MINUTE).next_slot(0) for number in range(5_000))
    around = starts + [start + MINUTE for start in starts]
    most = max(bisect_left(around, start + SECOND) - index for index, start in enumerate(starts))
    assert most <= 125


def test_the_first_round_of_hourly_checks_is_spread_over_the_first_minute() -> None:
    firsts = sorted(Cadence.of(f"service{number}.certificate", HOUR).first(0) for number in range(5_000))
    assert firsts[0] > 0
    assert firsts[-1] <= MINUTE
    assert max(bisect_left(firsts, first + SECOND) - index for index, first in enumerate(firsts)) <= 125


@given(every=some.integers(1, DAY), shift=some.integers(0, DAY), start=some.integers(-DAY, DAY))
def test_after_a_start_every_check_runs_within_a_minute_and_never_later_than_its_slot(
    every: int, shift: int, start: int
) -> None:
    cadence = Cadence(Duration(every), Duration(shift % every))
    first = cadence.first(start)
    assert start < first <= start + FIRST_ROUND
    assert first <= cadence.next_slot(start)
    assert first == cadence.next_slot(start) or cadence.next_slot(start) - start > FIRST_ROUND

"""Rotas against a walk through every minute: who is on call where clocks are put forward and back, and at every edge.

Thirty rotas by their seeds in six zones, near every change of an offset in two years; the two whole years are walked by
`make oracle`. The walk (`watching_rotas`) shares no code with the calendar nor with the rota.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, NANOSECOND, Duration, Instant
from service_monitoring.domain.oncall import Shift, next_change, shifts, who, whole_shifts, with_overrides
from service_monitoring.domain.rotas import DAILY, WEEKLY, Handover, Layer, Override, Rota, Swap
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.errors import Refused
from tests.domain import walking
from tests.domain.walking import BEGINS, ENDS
from tests.domain.watching_rotas import NOBODY, PEOPLE, ZONES, LayerPlan, People, Plan, planned, walked

SEEDS = range(30)
BERLIN = "Europe/Berlin"


def an_instant(minute: int) -> Instant:
    return Instant(minute * MINUTE)


def a_layer(plan: LayerPlan, zone: str) -> Layer:
    return Layer(
        tuple(PEOPLE[person] for person in plan.people),
        Duration(plan.turn * MINUTE),
        Handover(plan.minute, plan.weekday),
        None if plan.starts is None else an_instant(plan.starts),
        tuple(ActiveHours(zone, days, tuple(Span(*span) for span in spans)) for days, spans in plan.hours),
    )


def a_rota(plan: Plan) -> Rota:
    return Rota(
        "primary",
        plan.zone,
        tuple(a_layer(layer, plan.zone) for layer in plan.layers),
        tuple(Override(PEOPLE[who], an_instant(begin), an_instant(end)) for who, begin, end in plan.overrides),
        tuple(
            Swap(PEOPLE[one], PEOPLE[two], an_instant(begin), an_instant(end)) for one, two, begin, end in plan.swaps
        ),
    )


def in_minutes(rota: Rota, first: int, last: int) -> People:
    """The shifts that the rota finds, minute by minute; they must be in order and in the range."""
    found: People = np.full(last - first, NOBODY, dtype=np.int64)
    end = an_instant(first)
    for shift in shifts(rota, an_instant(first), an_instant(last)):
        assert end <= shift.begin < shift.end <= an_instant(last)
        assert shift.begin.ns % MINUTE == shift.end.ns % MINUTE == 0
        end = shift.end
        found[shift.begin.ns // MINUTE - first : shift.end.ns // MINUTE - first] = PEOPLE.index(shift.person)
    return found


def near_changes(zone: str) -> list[tuple[int, int]]:
    """From midnight (UTC) two days before to midnight two days after each change of the zone's offset."""
    days = [change.at // walking.DAY for change in walking.changes_of(zone)[1] if BEGINS <= change.at < ENDS]
    return [((day - 2) * walking.DAY, (day + 3) * walking.DAY) for day in days] or [(BEGINS, BEGINS + 5 * walking.DAY)]


def berlin(text: str) -> Instant:
    """`2026-03-29T09:00+02:00`, to be read beside what the wall shows."""
    return Instant.parse(f"{text[:16]}:00{text[16:]}")


MONDAYS = Handover(9 * 60, 0)


def weekly(*people: str, handover: Handover = MONDAYS) -> Layer:
    return Layer(people, WEEKLY, handover, berlin("2026-01-05T00:00+01:00"))


# Against the walk ------------------------------------------------------------------------------------------------


def test_the_seeds_have_six_zones_and_every_part_of_a_rota() -> None:
    plans = [planned(seed) for seed in SEEDS]
    assert {plan.zone for plan in plans} == set(ZONES)
    assert all(any(getattr(plan, part) for plan in plans) for part in ("overrides", "swaps"))
    assert any(layer.hours for plan in plans for layer in plan.layers)
    assert {layer.turn for plan in plans for layer in plan.layers} >= {walking.DAY, 7 * walking.DAY, 36 * 60}


@pytest.mark.parametrize("seed", SEEDS)
def test_near_every_change_of_an_offset_one_person_is_on_call_and_it_is_whom_the_walk_says(seed: int) -> None:
    plan = planned(seed)
    rota = a_rota(plan)
    for first, last in near_changes(plan.zone):
        expected = walked(plan, first, last)
        assert (in_minutes(rota, first, last) == expected).all(), (plan, first)
        assert (expected != NOBODY).all(), "the lowest layer is bare"
        for turn in np.flatnonzero(expected[1:] != expected[:-1]) + 1:
            for minute in (turn - 1, turn):
                assert who(rota, an_instant(first + int(minute))) == (PEOPLE[expected[minute]],)


@pytest.mark.oracle
@pytest.mark.timeout(3600)
def test_through_two_whole_years_one_person_is_on_call_and_it_is_whom_the_walk_says() -> None:
    minutes = turned = 0
    for seed in SEEDS:
        plan = planned(seed)
        rota, expected = a_rota(plan), walked(plan, BEGINS, ENDS)
        assert (in_minutes(rota, BEGINS, ENDS) == expected).all(), plan
        turns = [int(turn) + 1 for turn in np.flatnonzero(expected[1:] != expected[:-1])]
        found, at = [], an_instant(BEGINS)
        while (change := next_change(rota, at)) is not None and change < an_instant(ENDS):
            found.append(change.ns // MINUTE - BEGINS)
            at = change
        assert found == turns, plan
        for turn in turns:
            assert who(rota, an_instant(BEGINS + turn)) == (PEOPLE[expected[turn]],)
        minutes, turned = minutes + len(expected), turned + len(turns)
    print(f"{len(SEEDS)} rotas, {minutes} minutes, {turned} changes: one person at each, the right one")


# Handovers -------------------------------------------------------------------------------------------------------


def test_a_handover_is_at_the_local_time_written_on_days_of_23_and_25_hours_too() -> None:
    rota = Rota("primary", BERLIN, (Layer(("ann", "bob"), DAILY, Handover(9 * 60), berlin("2026-01-05T00:00+01:00")),))
    spring = list(shifts(rota, berlin("2026-03-28T09:00+01:00"), berlin("2026-03-30T09:00+02:00")))
    assert [shift.end.since(shift.begin) for shift in spring] == [23 * HOUR, 24 * HOUR]
    assert spring[0].end == berlin("2026-03-29T09:00+02:00")
    autumn = list(shifts(rota, berlin("2026-10-24T09:00+02:00"), berlin("2026-10-26T09:00+01:00")))
    assert [shift.end.since(shift.begin) for shift in autumn] == [25 * HOUR, 24 * HOUR]


def test_a_handover_in_the_skipped_hour_is_at_the_first_valid_instant() -> None:
    rota = Rota("primary", BERLIN, (weekly("ann", "bob", handover=Handover(150, 6)),))
    at = berlin("2026-03-29T03:00+02:00")
    assert who(rota, at.plus(Duration(-1))) != who(rota, at)
    assert next_change(rota, at.plus(Duration(-1))) == at
    assert next_change(rota, at) == berlin("2026-04-05T02:30+02:00")


def test_a_handover_in_the_repeated_hour_happens_once_in_its_first_pass() -> None:
    rota = Rota("primary", BERLIN, (weekly("ann", "bob", handover=Handover(150, 6)),))
    at = berlin("2026-10-25T02:30+02:00")
    assert next_change(rota, at.plus(Duration(-1))) == at
    assert who(rota, berlin("2026-10-25T02:10+01:00")) == who(rota, at)
    assert next_change(rota, at) == berlin("2026-11-01T02:30+01:00")


def test_turns_of_twelve_hours_begin_at_the_same_local_times_all_year() -> None:
    rota = Rota(
        "primary",
        BERLIN,
        (Layer(("ann", "bob"), Duration(12 * HOUR), Handover(480), berlin("2026-01-01T00:00+01:00")),),
    )
    for day in ("2026-01-10T08:00+01:00", "2026-07-10T08:00+02:00"):
        assert who(rota, berlin(day)) == ("ann",)
        assert who(rota, berlin(day).plus(Duration(-1))) == ("bob",)


def test_a_turn_that_the_skipped_hour_leaves_no_room_for_does_not_take_place() -> None:
    rota = Rota("primary", BERLIN, (Layer(("ann", "bob", "cay"), HOUR, Handover(0), berlin("2026-03-29T00:00+01:00")),))
    night = shifts(rota, berlin("2026-03-29T00:00+01:00"), berlin("2026-03-29T04:00+02:00"))
    assert [(shift.person, str(shift.begin)[11:16]) for shift in night] == [
        ("ann", "23:00"),
        ("bob", "00:00"),
        ("ann", "01:00"),
    ]


def test_the_first_person_takes_over_at_the_first_handover_after_the_start_and_nobody_is_before() -> None:
    begin = berlin("2026-01-12T09:00+01:00")
    for starts in ("2026-01-05T09:01+01:00", "2026-01-07T12:00+01:00", "2026-01-12T09:00+01:00"):
        rota = Rota("primary", BERLIN, (Layer(("ann", "bob"), WEEKLY, Handover(9 * 60, 0), berlin(starts)),))
        assert who(rota, begin.plus(Duration(-1))) == ()
        assert who(rota, begin) == ("ann",)


def test_without_a_start_turns_are_counted_from_the_first_monday_of_1970() -> None:
    rota = Rota("primary", "UTC", (Layer(("ann", "bob"), WEEKLY, Handover(0, 0)),))
    assert who(rota, Instant(0)) == ()
    assert who(rota, Instant(4 * DAY)) == ("ann",)
    assert who(rota, Instant(11 * DAY)) == ("bob",)


# What counts above what ------------------------------------------------------------------------------------------


def test_the_last_layer_that_has_somebody_counts() -> None:
    nights = Layer(("cay",), restrictions=(ActiveHours(BERLIN, spans=(Span(22 * 60, 6 * 60),)),))
    rota = Rota("primary", BERLIN, (weekly("ann", "bob"), nights))
    assert who(rota, berlin("2026-01-06T21:59+01:00")) == ("ann",)
    assert who(rota, berlin("2026-01-06T22:00+01:00")) == ("cay",)
    assert next_change(rota, berlin("2026-01-06T22:00+01:00")) == berlin("2026-01-07T06:00+01:00")
    assert [
        shift.layer for shift in shifts(rota, berlin("2026-01-06T12:00+01:00"), berlin("2026-01-07T12:00+01:00"))
    ] == [
        0,
        1,
        0,
    ]


def test_a_layer_counts_while_any_of_its_restrictions_is_active() -> None:
    days = Layer(
        ("ann",),
        restrictions=(
            ActiveHours(BERLIN, (0, 1, 2, 3, 4), (Span(9 * 60, 17 * 60),)),
            ActiveHours(BERLIN, (5,), (Span(10 * 60, 12 * 60),)),
        ),
    )
    rota = Rota("primary", BERLIN, (days,))
    assert who(rota, berlin("2026-07-04T11:00+02:00")) == ("ann",)
    assert who(rota, berlin("2026-07-04T12:00+02:00")) == ()
    assert next_change(rota, berlin("2026-07-04T12:00+02:00")) == berlin("2026-07-06T09:00+02:00")


def test_overrides_count_above_all_layers_and_the_last_made_of_them_first() -> None:
    begin, end = berlin("2026-01-07T00:00+01:00"), berlin("2026-01-08T00:00+01:00")
    rota = Rota("primary", BERLIN, (weekly("ann", "bob"),), (Override("cay", begin, end),))
    assert who(rota, begin) == ("cay",)
    later = with_overrides(rota, [Override("dan", begin.plus(HOUR), end.plus(Duration(-HOUR)))])
    assert [shift.person for shift in shifts(later, begin, end)] == ["cay", "dan", "cay"]
    assert [shift.layer for shift in shifts(later, begin, end)] == [None] * 3
    assert who(later, end) == ("ann",)


def test_a_swap_exchanges_two_people_where_layers_say_them_and_nowhere_else() -> None:
    begin, end = berlin("2026-01-05T09:00+01:00"), berlin("2026-01-19T09:00+01:00")
    rota = Rota("primary", BERLIN, (weekly("ann", "bob", "cay"),), swaps=(Swap("bob", "ann", begin, end),))
    found = [shift.person for shift in shifts(rota, begin, end.plus(Duration(2 * WEEKLY)))]
    assert found == ["bob", "ann", "cay", "ann"]
    stood_in = with_overrides(rota, [Override("ann", begin, begin.plus(HOUR))])
    assert who(stood_in, begin) == ("ann",)


def test_a_swap_with_somebody_of_no_layer_lets_them_stand_in() -> None:
    begin = berlin("2026-01-05T09:00+01:00")
    rota = Rota("primary", BERLIN, (weekly("ann", "bob"),), swaps=(Swap("ann", "eve", begin, begin.plus(DAY)),))
    assert [shift.person for shift in shifts(rota, begin, begin.plus(WEEKLY))] == ["eve", "ann"]


def test_a_handover_to_the_same_person_begins_a_shift_and_changes_nobody() -> None:
    begin = berlin("2026-01-05T09:00+01:00")
    rota = Rota("primary", BERLIN, (weekly("ann"),))
    assert len(list(shifts(rota, begin, begin.plus(Duration(2 * WEEKLY))))) == 2
    assert next_change(rota, begin) is None
    assert next_change(rota, begin.plus(Duration(-1))) == begin


def test_a_rota_without_layers_has_nobody_and_never_changes() -> None:
    rota = Rota("primary", BERLIN)
    assert who(rota, Instant(0)) == ()
    assert list(shifts(rota, Instant(0), Instant(DAY))) == []
    assert next_change(rota, Instant(0)) is None


def test_whole_shifts_are_not_cut_by_the_range() -> None:
    rota = Rota("primary", BERLIN, (weekly("ann", "bob"),))
    begin, end = berlin("2026-01-07T00:00+01:00"), berlin("2026-01-13T00:00+01:00")
    assert list(whole_shifts(rota, begin, end)) == [
        Shift("ann", berlin("2026-01-05T09:00+01:00"), berlin("2026-01-12T09:00+01:00"), 0),
        Shift("bob", berlin("2026-01-12T09:00+01:00"), berlin("2026-01-19T09:00+01:00"), 0),
    ]


def test_what_cannot_be_is_refused() -> None:
    for turn in (0, -1, MINUTE, HOUR + 1):
        with pytest.raises(Refused, match="a turn is"):
            Layer(("ann",), Duration(turn))
    with pytest.raises(Refused, match="needs people"):
        Layer(())
    with pytest.raises(Refused, match="ends before it begins"):
        Override("ann", Instant(1), Instant(1))
    with pytest.raises(Refused, match="ends before it begins"):
        Swap("ann", "bob", Instant(1), Instant(0))


# Laws ------------------------------------------------------------------------------------------------------------

MOMENTS = st.integers(BEGINS * 60, ENDS * 60).map(lambda second: Instant(second * 1_000_000_000))
RANGES = st.tuples(MOMENTS, st.integers(0, 60 * 24 * 60)).map(
    lambda range_: (range_[0], range_[0].plus(Duration(range_[1] * MINUTE)))
)
ROTAS = st.integers(0, 10_000).map(lambda seed: a_rota(planned(seed)))


@given(rota=ROTAS, range_=RANGES)
def test_shifts_agree_with_who_at_and_just_before_every_boundary(rota: Rota, range_: tuple[Instant, Instant]) -> None:
    since, until = range_
    found = list(shifts(rota, since, until))
    for shift in found:
        assert since <= shift.begin < shift.end <= until
        assert who(rota, shift.begin) == who(rota, shift.end.plus(Duration(-NANOSECOND))) == (shift.person,)
    edges = [since, *(edge for shift in found for edge in (shift.begin, shift.end)), until]
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if begin < end:
            assert who(rota, begin) == who(rota, end.plus(Duration(-NANOSECOND))) == ()


@given(rota=ROTAS, range_=RANGES, part=st.floats(0, 1))
def test_the_shifts_of_a_range_are_those_of_its_parts(rota: Rota, range_: tuple[Instant, Instant], part: float) -> None:
    since, until = range_
    cut = since.plus(Duration(round(until.since(since) * part)))
    parts = [*shifts(rota, since, cut), *shifts(rota, cut, until)]
    expected = []
    for shift in shifts(rota, since, until):
        if shift.begin < cut < shift.end:
            expected += [
                Shift(shift.person, shift.begin, cut, shift.layer),
                Shift(shift.person, cut, shift.end, shift.layer),
            ]
        else:
            expected.append(shift)
    assert parts == expected


@given(rota=ROTAS, range_=RANGES)
def test_whole_shifts_cut_at_the_range_are_its_shifts(rota: Rota, range_: tuple[Instant, Instant]) -> None:
    since, until = range_
    cut = [
        Shift(shift.person, max(shift.begin, since), min(shift.end, until), shift.layer)
        for shift in whole_shifts(rota, since, until)
        if since < until
    ]
    assert cut == list(shifts(rota, since, until))


@given(rota=ROTAS, range_=RANGES)
def test_a_shift_is_whole_whatever_range_touches_it(rota: Rota, range_: tuple[Instant, Instant]) -> None:
    whole = list(whole_shifts(rota, *range_))
    for shift in whole[:5]:
        middle = shift.begin.plus(Duration(shift.end.since(shift.begin) // 2))
        assert list(whole_shifts(rota, middle, middle.plus(Duration(1)))) == [shift]


@given(rota=ROTAS, after=MOMENTS)
def test_nobody_else_is_on_call_before_the_next_change_and_somebody_else_from_it_on(rota: Rota, after: Instant) -> None:
    now = who(rota, after)
    change = next_change(rota, after)
    end = after.plus(Duration(60 * DAY)) if change is None else change
    assert end > after
    assert {shift.person for shift in shifts(rota, after, min(end, after.plus(Duration(60 * DAY))))} == set(now)
    assert change is None or who(rota, change) != now == who(rota, change.plus(Duration(-NANOSECOND)))


@given(rota=ROTAS, range_=RANGES)
def test_where_the_lowest_layer_has_somebody_always_shifts_follow_each_other_without_a_gap(
    rota: Rota, range_: tuple[Instant, Instant]
) -> None:
    found = list(shifts(rota, *range_))
    assert all(before.end == after.begin for before, after in pairwise(found))

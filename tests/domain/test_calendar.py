"""The calendar against a walk through every minute: what cron and hours mean where clocks are put forward and back.

In every zone of the time zone database, near every change of its offset in two years; the two whole years are walked by
`make oracle`. The walk (`walking`) shares no code with the calendar.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.calendar import (
    active_hours,
    is_active,
    local_instant,
    local_text,
    next_change,
    next_slot,
    previous_slot,
    refuse_bad_cron,
)
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.schedules import ActiveHours, Cron, Span
from service_monitoring.errors import Refused
from tests.domain import walking
from tests.domain.walking import BEGINS, ENDS, Change, changes, zones

DAILY = (
    "0 0 * * *",
    "30 0 * * *",
    "15 1 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "30 23 * * *",
)
HOURLY = ("0 * * * *", "7 */2 * * *", "*/20 * * * *")
ODD = (
    "0,30 1,2 * * *",
    "10-50/20 0-3 * * *",
    "5 0 * * sun",
    "30 2 */2 * 7",
    "17 0-4 1-7,25-31 * 0",
    "0 2 29 2 *",
    "*/30 0 * * SUN",
    "*/10 2 * * *",
    "*/15 1,23 * * 6,0",
    "45 */1 * 3,10 mon-sat",
)
HOURS = (
    ((0, 1, 2, 3, 4, 5, 6), ((7 * 60, 22 * 60),)),
    ((0, 1, 2, 3, 4), ((0, 24 * 60),)),
    ((6,), ((2 * 60 + 10, 2 * 60 + 40),)),
    ((5, 6), ((30, 90), (90, 150), (23 * 60 + 15, 45))),
    ((0, 2, 4, 6), ((22 * 60, 6 * 60), (5 * 60, 7 * 60))),
    ((6,), ((1 * 60 + 30, 1 * 60 + 15),)),
)


def an_instant(minute: int) -> Instant:
    return Instant(minute * MINUTE)


def walked(schedule: Cron, first: int, last: int) -> list[int]:
    """The slots that the calendar finds from `first` to before `last`, one by one."""
    found: list[int] = []
    at = Instant(first * MINUTE - 1)
    while (slot := next_slot(schedule, at)) is not None and slot.ns < last * MINUTE:
        assert slot > at
        found.append(slot.ns // MINUTE)
        at = slot
    return found


def walked_back(schedule: Cron, first: int, last: int) -> list[int]:
    found: list[int] = []
    at = Instant(last * MINUTE - 1)
    while (slot := previous_slot(schedule, at)) is not None and slot.ns >= first * MINUTE:
        assert slot <= at
        found.append(slot.ns // MINUTE)
        at = slot.plus(Duration(-1))
    return found[::-1]


def changes_walked(hours: ActiveHours, first: int, last: int) -> list[int]:
    found: list[int] = []
    at = Instant(first * MINUTE)
    while (change := next_change(hours, at)) is not None and change.ns < last * MINUTE:
        assert change > at
        found.append(change.ns // MINUTE)
        at = change
    return found


def near(change: Change) -> tuple[int, int]:
    """From midnight (UTC) two days before to midnight two days after."""
    day = change.at // walking.DAY
    return (day - 2) * walking.DAY, (day + 3) * walking.DAY


def given_hours(weekdays: tuple[int, ...], spans: tuple[tuple[int, int], ...], zone: str) -> ActiveHours:
    return ActiveHours(zone, weekdays, tuple(Span(*span) for span in spans))


def test_all_zones_are_walked() -> None:
    assert len(zones()) > 50
    assert len(changes()) > 100
    assert any(change.after - change.before == 30 for change in changes())


@pytest.mark.parametrize("expression", DAILY + HOURLY + ODD)
def test_near_every_change_of_an_offset_no_slot_is_missed_and_none_is_doubled(expression: str) -> None:
    for change, zone in changes().items():
        first, last = near(change)
        expected = walking.slots(expression, zone, first, last)
        schedule = Cron(expression, zone)
        assert walked(schedule, first, last) == expected, (zone, change)
        assert walked_back(schedule, first, last) == expected, (zone, change)


@pytest.mark.parametrize("expression", DAILY)
def test_a_daily_job_runs_after_a_day_give_or_take_the_change(expression: str) -> None:
    for change, zone in changes().items():
        slots = walked(Cron(expression, zone), *near(change))
        assert len(slots) >= 4
        for before, after in pairwise(slots):
            assert abs(after - before - walking.DAY) <= abs(change.after - change.before), (zone, change)


def test_an_hourly_job_keeps_sixty_minutes_where_whole_hours_are_skipped_or_repeated() -> None:
    for change, zone in changes().items():
        if (change.after - change.before) % 60 == 0:
            slots = walked(Cron("0 * * * *", zone), *near(change))
            assert {after - before for before, after in pairwise(slots)} == {60}, (zone, change)


@pytest.mark.parametrize(("weekdays", "spans"), HOURS)
def test_near_every_change_of_an_offset_hours_begin_and_end_where_the_walk_says(
    weekdays: tuple[int, ...], spans: tuple[tuple[int, int], ...]
) -> None:
    for change, zone in changes().items():
        first, last = near(change)
        awake = walking.active(weekdays, spans, zone, first - 3 * walking.DAY, last + 3 * walking.DAY)
        awake = awake[3 * walking.DAY : -3 * walking.DAY]
        hours = given_hours(weekdays, spans, zone)
        turns = [int(turn) + first + 1 for turn in np.flatnonzero(awake[1:] != awake[:-1])]
        assert changes_walked(hours, first, last) == turns, (zone, change)
        looked_at = {first, change.at - 1, change.at, *(turn + off for turn in turns for off in (-1, 0))}
        for minute in looked_at:
            assert is_active(hours, an_instant(minute)) == awake[minute - first], (zone, minute)


@given(data=st.data())
def test_from_any_instant_the_next_slot_is_the_next_and_the_last_the_last(data: st.DataObject) -> None:
    change, zone = data.draw(st.sampled_from(sorted(changes().items(), key=lambda item: (item[0].at, item[1]))))
    expression = data.draw(st.sampled_from(DAILY + HOURLY + ODD[:2]))
    first, last = near(change)
    slots = walking.slots(expression, zone, first, last)
    at = Instant(data.draw(st.integers((change.at - 300) * MINUTE, (change.at + 300) * MINUTE)))
    schedule = Cron(expression, zone)
    assert next_slot(schedule, at) == an_instant(min(slot for slot in slots if slot * MINUTE > at.ns))
    assert previous_slot(schedule, at) == an_instant(max(slot for slot in slots if slot * MINUTE <= at.ns))


@pytest.mark.oracle
@pytest.mark.timeout(3600)
def test_through_two_whole_years_in_every_zone_no_slot_is_missed_and_none_is_doubled() -> None:
    missed = doubled = total = 0
    for zone in zones().values():
        for expression in (*DAILY, "0 * * * *", "7 */2 * * *", *ODD):
            expected = walking.slots(expression, zone, BEGINS, ENDS)
            found = walked(Cron(expression, zone), BEGINS, ENDS)
            total += len(expected)
            missed += len(set(expected) - set(found))
            doubled += len(found) - len(set(found) & set(expected))
            assert found == expected, (zone, expression)
    print(f"{len(zones())} zones, {total} slots: {missed} missed, {doubled} doubled")


@pytest.mark.oracle
@pytest.mark.timeout(3600)
def test_through_two_whole_years_in_every_zone_hours_begin_and_end_where_the_walk_says() -> None:
    turned = 0
    for zone in zones().values():
        for weekdays, spans in HOURS:
            awake = walking.active(weekdays, spans, zone, BEGINS - walking.DAY, ENDS + walking.DAY)
            awake = awake[walking.DAY : -walking.DAY]
            turns = [int(turn) + BEGINS + 1 for turn in np.flatnonzero(awake[1:] != awake[:-1])]
            hours = given_hours(weekdays, spans, zone)
            assert changes_walked(hours, BEGINS, ENDS) == turns, zone
            assert all(is_active(hours, an_instant(turn)) == awake[turn - BEGINS] for turn in turns), zone
            turned += len(turns)
    print(f"{len(zones())} zones, {turned} changes of hours: all where they belong")


def test_a_job_in_the_skipped_hour_runs_once_at_the_first_valid_instant() -> None:
    nightly = Cron("30 2 * * *", "Europe/Berlin")
    slot = next_slot(nightly, Instant.parse("2026-03-28T12:00:00Z"))
    assert slot == Instant.parse("2026-03-29T03:00:00+02:00")
    assert next_slot(nightly, slot) == Instant.parse("2026-03-30T02:30:00+02:00")


def test_a_job_in_the_repeated_hour_runs_once_in_its_first_pass() -> None:
    nightly = Cron("30 2 * * *", "Europe/Berlin")
    slot = next_slot(nightly, Instant.parse("2026-10-24T12:00:00Z"))
    assert slot == Instant.parse("2026-10-25T02:30:00+02:00")
    assert next_slot(nightly, slot) == Instant.parse("2026-10-26T02:30:00+01:00")
    second_pass = Instant.parse("2026-10-25T02:10:00+01:00")
    assert next_slot(nightly, second_pass) == Instant.parse("2026-10-26T02:30:00+01:00")
    assert previous_slot(nightly, second_pass) == slot


def test_a_job_with_a_star_follows_real_time() -> None:
    quarterly = Cron("*/15 2 * * *", "Europe/Berlin")
    assert next_slot(quarterly, Instant.parse("2026-03-29T00:30:00Z")) == Instant.parse("2026-03-30T02:00:00+02:00")
    repeated = Instant.parse("2026-10-25T00:00:00Z").ns // MINUTE
    assert len(walked(quarterly, repeated, repeated + 120)) == 8


def test_a_day_that_begins_with_a_skipped_hour_gives_no_slot_to_a_star_of_that_hour() -> None:
    hour_zero = Cron("*/30 0 * * sun", "America/Santiago")
    before = Instant.parse("2026-09-05T12:00:00Z")
    assert next_slot(hour_zero, before) == Instant.parse("2026-09-13T00:00:00-03:00")


def test_half_an_hour_that_is_skipped_or_repeated_loses_no_slot() -> None:
    fives = Cron("*/5 2 * * *", "Australia/Lord_Howe")
    assert next_slot(fives, Instant.parse("2026-04-05T01:45:00+10:30")) == Instant.parse("2026-04-05T02:00:00+10:30")


def test_a_day_that_never_comes_has_no_slot() -> None:
    never = Cron("0 0 * 2 1#5", "UTC")
    far = next_slot(never, Instant.parse("2026-01-01T00:00:00Z"))
    assert far == Instant.parse("2044-02-29T00:00:00Z")
    assert next_slot(Cron("0 0 31 4,6 1#1", "UTC"), Instant.parse("2026-01-01T00:00:00Z")) is not None


def test_the_29th_of_february_comes_in_leap_years_alone() -> None:
    slots = [Instant.parse("2026-01-01T00:00:00Z")]
    for _ in range(20):
        slot = next_slot(Cron("30 2 29 2 *", "Europe/Berlin"), slots[-1])
        assert slot is not None
        slots.append(slot)
    years = [int(str(slot)[:4]) for slot in slots[1:]]
    assert years == [year for year in range(2028, 2110, 4) if year != 2100][:20]
    assert all("-02-29T01:30:00" in str(slot) for slot in slots[1:])


@given(
    st.integers(Instant.parse("2037-12-01T00:00:00Z").ns, Instant.parse("2038-03-01T00:00:00Z").ns),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_the_end_of_32_bits_is_a_second_like_any_other(ns: int, zone: str) -> None:
    at = Instant(ns)
    daily = next_slot(Cron("14 3 * * *", zone), at)
    assert daily is not None and daily > at
    after = next_slot(Cron("14 3 * * *", zone), daily)
    assert after is not None and after.since(daily) == DAY
    assert previous_slot(Cron("14 3 * * *", zone), Instant(after.ns - 1)) == daily


@given(
    st.integers(Instant.parse("1971-01-01T00:00:00Z").ns, Instant.parse("2200-01-01T00:00:00Z").ns),
    st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"]
    ),
    st.sampled_from(DAILY),
)
def test_in_any_year_a_daily_job_waits_about_a_day_and_calls_agree(ns: int, zone: str, expression: str) -> None:
    schedule, at = Cron(expression, zone), Instant(ns)
    slot = next_slot(schedule, at)
    assert slot is not None
    assert at < slot <= at.plus(Duration(DAY + 2 * HOUR))
    assert slot.ns % SECOND == 0
    assert previous_slot(schedule, slot) == slot
    before = previous_slot(schedule, at)
    assert before is not None and before <= at
    assert next_slot(schedule, before) == slot


@given(
    st.integers(Instant.parse("1971-01-01T00:00:00Z").ns, Instant.parse("2200-01-01T00:00:00Z").ns),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.sampled_from(HOURS[:2]),
)
def test_in_any_year_hours_stay_as_they_are_until_their_change(
    ns: int, zone: str, given_: tuple[tuple[int, ...], tuple[tuple[int, int], ...]]
) -> None:
    hours, at = given_hours(*given_, zone), Instant(ns)
    change = next_change(hours, at)
    assert change is not None and change > at
    just_before = change.plus(Duration(-NANOSECOND))
    assert is_active(hours, at) == is_active(hours, just_before) != is_active(hours, change)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-24T09:00", "2026-12-24T08:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("2026-03-29T02:30", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z"),
        ("2026-12-24T09:00:00.000001", "2026-12-24T08:00:00.000001Z"),
        ("2026-12-24T09:00:00.5Z", "2026-12-24T09:00:00.5Z"),
    ],
)
def test_a_local_moment_is_the_first_instant_at_which_its_zone_reaches_it(text: str, instant: str) -> None:
    assert local_instant(text, "Europe/Berlin") == Instant.parse(instant)


@pytest.mark.parametrize("text", ["soon", "", "2026-02-30", "0001-01-01", "9999-12-31T23:59:59Z"])
def test_what_is_no_moment_or_too_far_away_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        local_instant(text, "Europe/Berlin")


@given(
    st.integers(BEGINS * 60, ENDS * 60), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
)
def test_what_the_wall_shows_with_its_offset_is_the_instant_again(second: int, zone: str) -> None:
    at = Instant(second * SECOND)
    assert Instant.parse(local_text(at, zone)) == at == local_instant(local_text(at, zone), zone)


def test_a_span_over_midnight_belongs_to_its_first_day() -> None:
    fridays = active_hours(("fri",), "22:00-06:00", "Europe/Berlin")
    assert next_change(fridays, Instant.parse("2026-07-01T00:00:00Z")) == Instant.parse("2026-07-03T22:00:00+02:00")
    assert is_active(fridays, Instant.parse("2026-07-04T05:59:59+02:00"))
    assert not is_active(fridays, Instant.parse("2026-07-04T06:00:00+02:00"))
    assert not is_active(fridays, Instant.parse("2026-07-03T05:00:00+02:00"))


def test_hours_that_begin_in_the_skipped_hour_begin_at_the_first_valid_instant() -> None:
    sundays = active_hours(("sun",), "02:30-05:00", "Europe/Berlin")
    begins = next_change(sundays, Instant.parse("2026-03-29T00:00:00Z"))
    assert begins == Instant.parse("2026-03-29T03:00:00+02:00")
    assert next_change(sundays, begins) == Instant.parse("2026-03-29T05:00:00+02:00")


def test_hours_within_the_skipped_hour_are_left_out_that_day() -> None:
    sundays = active_hours(("sun",), "02:10-02:40", "Europe/Berlin")
    assert next_change(sundays, Instant.parse("2026-03-29T00:00:00Z")) == Instant.parse("2026-04-05T02:10:00+02:00")


def test_hours_in_the_repeated_hour_last_from_the_first_pass_to_the_last() -> None:
    sundays = active_hours(("sun",), "02:10-02:40", "Europe/Berlin")
    begins = next_change(sundays, Instant.parse("2026-10-25T00:00:00Z"))
    assert begins == Instant.parse("2026-10-25T02:10:00+02:00")
    assert next_change(sundays, begins) == Instant.parse("2026-10-25T02:40:00+01:00")


def test_what_is_always_or_never_active_never_changes() -> None:
    at = Instant.parse("2026-01-01T00:00:00Z")
    always = active_hours(None, None, "Europe/Berlin")
    assert always == ActiveHours("Europe/Berlin")
    assert next_change(always, at) is None and is_active(always, at)
    halves = ActiveHours("UTC", spans=(Span(12 * 60, 11 * 60), Span(10 * 60, 13 * 60)))
    assert next_change(halves, at) is None and is_active(halves, at)
    never = ActiveHours("UTC", weekdays=())
    assert next_change(never, at) is None and not is_active(never, at)


def test_hours_are_read_as_people_write_them() -> None:
    hours = active_hours(("mon", "tue", "sat"), "07:00-22:30", "Europe/Berlin")
    assert hours == ActiveHours("Europe/Berlin", (0, 1, 5), (Span(7 * 60, 22 * 60 + 30),))


@pytest.mark.parametrize(
    ("weekdays", "times", "zone"),
    [
        (None, "07:00", "UTC"),
        (None, "07:60-09:00", "UTC"),
        (None, "24:00-06:00", "UTC"),
        (None, "00:00-24:01", "UTC"),
        (None, "09:00-09:00", "UTC"),
        (("someday",), None, "UTC"),
        (None, None, "Atlantis/Capital"),
    ],
)
def test_hours_that_mean_nothing_are_refused(weekdays: tuple[str, ...] | None, times: str | None, zone: str) -> None:
    with pytest.raises(Refused):
        active_hours(weekdays, times, zone)


def test_cron_has_five_fields() -> None:
    refuse_bad_cron("30 2 * * *")
    for text in ("30 2 * *", "0 30 2 * * *", "", "61 * * * *"):
        with pytest.raises(Refused):
            refuse_bad_cron(text)

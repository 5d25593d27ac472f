"""When planned work is: windows against a walk through every minute that asks the standard library what the wall shows.

Each window begins when local time reaches what is meant, and ends so much real time later. The walk shares no code with
the calendar: it looks at the wall minute after minute.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.calendar import last_begin, local_instant, next_begin, recurrence
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.maintenance import (
    Maintenance,
    Once,
    When,
    covers,
    flexible_window,
    in_maintenance,
    maintained,
    window_at,
    windows,
)
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.schedules import Cron, Monthly, Recurrence, Recurring, Weekly
from service_monitoring.errors import Refused

BERLIN = "Europe/Berlin"
SHOP = {"service": "shop", "team": "payments"}


def of(text: str) -> Instant:
    return Instant.parse(text)


def equals(label: str, value: str) -> Matcher:
    return Matcher(label, MatchOperator.EQUALS, value)


def planned(when: When, lasts: Duration = HOUR, *, after_failure: Duration | None = None) -> Maintenance:
    return Maintenance("work", (equals("service", "shop"),), when, lasts, after_failure=after_failure)


# The walk -------------------------------------------------------------------------------------------------------------

Meant = Callable[[datetime], bool]
"""Whether a minute of local time is one that is meant."""


def weekly(weekday: int, minute: int) -> Meant:
    return lambda shown: shown.weekday() == weekday and 60 * shown.hour + shown.minute == minute


def monthly(day: int, minute: int) -> Meant:
    def meant(shown: datetime) -> bool:
        last = (shown + timedelta(days=1)).month != shown.month
        return (shown.day == day if day else last) and 60 * shown.hour + shown.minute == minute

    return meant


@cache
def reached(zone: str, first: datetime, last: datetime) -> list[tuple[datetime, Instant]]:
    """Each minute of local time with the minute of UTC at which the wall first shows it, or a later one."""
    here, at = ZoneInfo(zone), first - timedelta(days=2)
    furthest, found = at.astimezone(here).replace(tzinfo=None), []
    while at < last:
        shown = at.astimezone(here).replace(tzinfo=None)
        while furthest < shown:
            furthest += timedelta(minutes=1)
            if at >= first:
                found.append((furthest, Instant(round(at.timestamp()) * SECOND)))
        at += timedelta(minutes=1)
    return found


# Forward and back in Berlin and New York, half an hour on Lord Howe, midnight in Santiago, a day that Samoa left out.
CHANGES = [
    (BERLIN, datetime(2026, 3, 29, tzinfo=UTC)),
    (BERLIN, datetime(2026, 10, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 5, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 4, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
]
TIMES = (0, 30, 60 + 45, 2 * 60, 2 * 60 + 10, 2 * 60 + 30, 3 * 60, 23 * 60 + 59)


def check(when: Recurring, meant: Meant, first: datetime, last: datetime) -> None:
    """The calendar has the beginnings of the walk, and windows are the beginnings with their length."""
    expected = sorted({at for shown, at in reached(when.zone, first, last) if meant(shown)})
    since, until = (Instant(round(each.timestamp()) * SECOND) for each in (first, last))
    found = list(windows(planned(when, MINUTE), since, until))
    assert [begins for begins, _ in found] == expected, when
    assert all(ends.since(begins) == MINUTE for begins, ends in found)
    for before, begins in pairwise(expected):
        assert last_begin(when, begins.plus(Duration(-1))) == before, when


@pytest.mark.parametrize(
    ("zone", "day"), CHANGES, ids=lambda given: given if isinstance(given, str) else str(given.date())
)
def test_near_every_sort_of_change_windows_begin_when_local_time_reaches_what_is_meant(
    zone: str, day: datetime
) -> None:
    first, last = day - timedelta(days=2), day + timedelta(days=3)
    days = {(day + timedelta(days=shift)) for shift in range(-1, 2)}
    for minute in TIMES:
        for each in days:
            check(Weekly(zone, each.weekday(), minute), weekly(each.weekday(), minute), first, last)
            check(Monthly(zone, each.day, minute), monthly(each.day, minute), first, last)
        rule = f"FREQ=DAILY;BYHOUR={minute // 60};BYMINUTE={minute % 60}"
        recurring = recurrence(rule, "2011-01-01", zone)
        check(recurring, lambda shown, minute=minute: 60 * shown.hour + shown.minute == minute, first, last)  # type: ignore[misc]  # a default is how a loop's value is bound


@pytest.mark.parametrize("day", [0, 1, 28, 30, 31])
def test_a_month_that_lacks_the_day_is_left_out_and_the_last_is_in_every_month(day: int) -> None:
    first, last = datetime(2028, 1, 25, tzinfo=UTC), datetime(2028, 5, 3, tzinfo=UTC)
    check(Monthly(BERLIN, day, 180), monthly(day, 180), first, last)


# Laws -----------------------------------------------------------------------------------------------------------------

ZONES = some.sampled_from([zone for zone, _ in CHANGES])
MINUTES = some.integers(0, 24 * 60 - 1)
RULES = some.sampled_from(
    [
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=DAILY;COUNT=40",
        "FREQ=DAILY;UNTIL=20260405T120000",
        "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=29",
        "FREQ=HOURLY;INTERVAL=5",
    ]
)
WHENS: some.SearchStrategy[Recurring] = some.one_of(
    some.builds(Weekly, ZONES, some.integers(0, 6), MINUTES),
    some.builds(Monthly, ZONES, some.integers(0, 31), MINUTES),
    some.builds(
        lambda zone, rule, minute: recurrence(rule, f"2026-03-01T{minute // 60:02}:{minute % 60:02}", zone),
        ZONES,
        RULES,
        MINUTES,
    ),
    some.builds(Cron, some.sampled_from(["30 2 * * *", "*/20 1-3 * * *", "0 2 * * sun", "0 0 29 2 *"]), ZONES),
)
LENGTHS = some.integers(1, 4 * 24 * 60).map(lambda minutes: Duration(minutes * MINUTE))
# Around the changes of spring 2026.
INSTANTS = some.integers(0, 45 * 24 * 60).map(lambda minute: of("2026-03-01T00:00:00Z").plus(Duration(minute * MINUTE)))


@given(WHENS, LENGTHS, INSTANTS, LENGTHS)
def test_windows_and_membership_agree_at_every_boundary(
    when: Recurring, lasts: Duration, since: Instant, span: Duration
) -> None:
    work, until = planned(when, lasts), since.plus(span)
    found = list(windows(work, since, until))
    assert found == sorted(found)
    asked = {since, until.plus(Duration(-1))} | {
        each.plus(Duration(by)) for window in found for each in window for by in (-1, 0, 1)
    }
    for at in sorted(asked):
        if since <= at < until:
            inside = any(begins <= at < ends for begins, ends in found)
            assert (in_maintenance([work], SHOP, at) is work) is inside, at
            assert (window_at(work, at) in found) is inside


@given(WHENS, LENGTHS, INSTANTS, LENGTHS, LENGTHS)
def test_windows_of_a_range_are_those_of_its_parts(
    when: Recurring, lasts: Duration, since: Instant, one: Duration, other: Duration
) -> None:
    work, middle = planned(when, lasts), since.plus(one)
    until = middle.plus(other)
    parts = [*windows(work, since, middle), *windows(work, middle, until)]
    assert sorted(set(parts)) == list(windows(work, since, until))


@given(WHENS, INSTANTS)
def test_the_next_beginning_and_the_last_are_neighbours(when: Recurring, at: Instant) -> None:
    following = next_begin(when, at)
    if following is not None:
        assert following > at
        assert last_begin(when, following) == following
        before = last_begin(when, following.plus(Duration(-1)))
        assert before is None or before <= at


def test_once_is_a_window_like_any_other() -> None:
    begins, ends = of("2026-12-24T08:00:00Z"), of("2026-12-26T08:00:00Z")
    work = planned(Once(begins, ends), Duration(0))
    assert list(windows(work, begins.plus(Duration(-1)), begins)) == []
    assert list(windows(work, begins, begins.plus(NANOSECOND))) == [(begins, ends)]
    assert list(windows(work, ends.plus(Duration(-1)), ends)) == [(begins, ends)]
    assert list(windows(work, ends, ends.plus(DAY))) == []
    assert list(windows(work, ends, begins)) == []
    assert in_maintenance([work], SHOP, begins) is work and in_maintenance([work], SHOP, ends) is None


def test_an_hour_of_work_is_an_hour_of_real_time_on_every_night() -> None:
    work = planned(Weekly(BERLIN, 6, 2 * 60 + 30))
    assert list(windows(work, of("2026-03-28T00:00:00Z"), of("2026-03-30T00:00:00Z"))) == [
        (of("2026-03-29T03:00:00+02:00"), of("2026-03-29T04:00:00+02:00"))
    ]
    assert list(windows(work, of("2026-10-24T00:00:00Z"), of("2026-10-26T00:00:00Z"))) == [
        (of("2026-10-25T02:30:00+02:00"), of("2026-10-25T02:30:00+01:00"))
    ]


# Labels ---------------------------------------------------------------------------------------------------------------


def test_only_what_all_matchers_hold_for_is_in_maintenance() -> None:
    at = of("2026-12-24T08:00:00Z")
    work = planned(Once(at, at.plus(HOUR)), Duration(0))
    assert in_maintenance([work], {"service": "bank"}, at) is None
    everything = Maintenance("all", (), Once(at, at.plus(HOUR)))
    assert in_maintenance([work, everything], {"service": "bank"}, at) is everything


def test_a_matcher_on_another_label_never_covers_a_whole_service() -> None:
    once = Once(of("2026-01-01T00:00:00Z"), of("2026-01-02T00:00:00Z"))
    for matchers, whole in (
        ((), True),
        ((equals("service", "shop"),), True),
        ((equals("service", "shop"), equals("team", "payments")), True),
        ((equals("service", "bank"),), False),
        ((equals("service", "shop"), equals("rule", "slow")), False),
        ((equals("service", "shop"), Matcher("zone", MatchOperator.DIFFERS, "a")), False),
    ):
        assert covers(Maintenance("work", matchers, once), SHOP) is whole, matchers


# Flexible -------------------------------------------------------------------------------------------------------------

NIGHT = of("2026-01-04T02:00:00Z")
FLEXIBLE = planned(Weekly("UTC", 6, 120), Duration(4 * HOUR), after_failure=Duration(30 * MINUTE))


def night(minutes: int) -> Instant:
    return NIGHT.plus(Duration(minutes * MINUTE))


@pytest.mark.parametrize(
    ("failed", "begins"), [(-90, 0), (0, 0), (17, 17), (239, 239), (240, None), (600, None)], ids=str
)
def test_a_flexible_one_lasts_from_the_first_failure_in_its_window(failed: int, begins: int | None) -> None:
    window = flexible_window(FLEXIBLE, (NIGHT, night(240)), night(failed))
    assert window == (None if begins is None else (night(begins), night(begins + 30)))
    for minute in range(max(failed, -1), 700):
        inside = begins is not None and begins <= minute < begins + 30
        found = in_maintenance([FLEXIBLE], SHOP, night(minute), failed_at=night(failed))
        assert (found is FLEXIBLE) is inside, minute


def test_a_flexible_one_that_is_told_of_no_failure_does_not_hold() -> None:
    assert in_maintenance([FLEXIBLE], SHOP, night(10)) is None


def test_a_fixed_one_holds_whatever_failed() -> None:
    window = (NIGHT, night(60))
    assert flexible_window(planned(Weekly("UTC", 6, 120)), window, night(900)) == window


def test_a_flexible_one_holds_once_in_each_window() -> None:
    failures = [(night(-60), night(-30)), (night(17), night(18)), (night(100), night(200))]
    held = list(maintained(FLEXIBLE, night(-600), night(8 * 24 * 60), failures))
    assert held == [(night(17), night(47))]
    assert list(maintained(FLEXIBLE, night(47), night(240), failures)) == []
    assert list(maintained(FLEXIBLE, night(46), night(240), failures)) == held
    on_and_on = [(night(-60), night(10 * 24 * 60))]
    week = 7 * 24 * 60
    assert list(maintained(FLEXIBLE, night(-600), night(8 * 24 * 60), on_and_on)) == [
        (NIGHT, night(30)),
        (night(week), night(week + 30)),
    ]


# What is read ---------------------------------------------------------------------------------------------------------


def test_a_local_moment_is_the_first_instant_that_reaches_it() -> None:
    for text, instant in (
        ("2026-12-24", "2026-12-24T00:00:00+01:00"),
        ("2026-12-24T09:30", "2026-12-24T09:30:00+01:00"),
        ("2026-03-29T02:30", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T02:30:00+01:00"),
        ("2026-12-24T09:30:15.25Z", "2026-12-24T09:30:15.25Z"),
    ):
        assert local_instant(text, BERLIN) == of(instant), text
    for text in ("2026-02-30", "tomorrow", ""):
        with pytest.raises(Refused):
            local_instant(text, BERLIN)


@pytest.mark.parametrize(
    ("rule", "starts", "why"),
    [
        ("FREQ=MINUTELY", None, "FREQ=MINUTELY is not done"),
        ("FREQ=YEARLY;BYWEEKNO=20", None, "BYWEEKNO is not done"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "2026-01-01", "may never meet"),
        ("FREQ=MONTHLY;BYDAY=6SU", None, "so often"),
        ("FREQ=MONTHLY;BYDAY=SU;BYSETPOS=5", None, "BYSETPOS is beyond"),
        ("FREQ=DAILY;BYDAY=SU;BYSETPOS=1", None, "BYSETPOS is done for"),
        ("FREQ=YEARLY;BYMONTH=13", None, "BYMONTH is beyond"),
        ("FREQ=DAILY;INTERVAL=0", "2026-01-01", "interval is none"),
        ("FREQ=DAILY;INTERVAL=2", None, "counts from a beginning"),
        ("FREQ=DAILY;COUNT=2", None, "counts from a beginning"),
        ("FREQ=DAILY;COUNT=0", "2026-01-01", "never comes"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", None, "never comes"),
        ("FREQ=DAILY;COUNT=9;BYMONTH=2;BYMONTHDAY=30", "2026-01-01", "never comes"),
        ("FREQ=DAILY;UNTIL=20251231", "2026-01-01", "never comes"),
        ("RRULE:FREQ=DAILY", None, "RRULE:FREQ is not done"),
        ("FREQ=SOMETIMES", None, "SOMETIMES"),
        ("FREQ=DAILY", "soon", "is not a date"),
    ],
)
def test_a_rule_that_is_of_no_use_is_refused(rule: str, starts: str | None, why: str) -> None:
    with pytest.raises(Refused, match=why):
        recurrence(rule, starts, "UTC")


def test_a_rule_ends_where_it_says_so() -> None:
    three = recurrence("freq=weekly;interval=2;count=3", "2026-01-05T04:00", "UTC")
    assert isinstance(three, Recurrence)
    found = list(windows(planned(three), of("2020-01-01T00:00:00Z"), of("2040-01-01T00:00:00Z")))
    days = [str(begins)[:16] for begins, _ in found]
    assert days == ["2026-01-05T04:00", "2026-01-19T04:00", "2026-02-02T04:00"]
    until = recurrence("FREQ=DAILY;UNTIL=20260107T030000", "2026-01-05T04:00", "UTC")
    assert len(list(windows(planned(until), of("2020-01-01T00:00:00Z"), of("2040-01-01T00:00:00Z")))) == 2
    assert next_begin(until, of("2026-02-01T00:00:00Z")) is None

"""A calendar on foot: every minute is looked at, and local time is what the standard library says it is.

The oracle of `test_calendar`. It shares no code with the calendar under test nor with the libraries behind that: its
matcher of cron is its own, and Debian's rules are those of cron's own loop: each minute, jobs with a star look at
the clock on the wall; the others at every minute that the wall has shown for the first time, or has leapt over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

Minutes = NDArray[np.int64]

FIRST_YEAR, LAST_YEAR = 2026, 2027
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 24 * 60
MARGIN = 3 * DAY
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def minute(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(minutes=1)


BEGINS = minute(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
ENDS = minute(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Change:
    """An offset that changes, in minutes of UTC and of offset."""

    at: int
    before: int
    after: int


def offset(zone: ZoneInfo, at: int) -> int:
    shown = datetime.fromtimestamp(60 * at, zone).utcoffset()
    assert shown is not None
    return shown // timedelta(minutes=1)


def changes_of(name: str) -> tuple[int, tuple[Change, ...]]:
    """The first offset of a zone and its changes, found by looking four times a day and then ever closer."""
    zone = ZoneInfo(name)
    at, before = BEGINS - MARGIN, offset(zone, BEGINS - MARGIN)
    first, changes = before, []
    while at < ENDS + MARGIN:
        after = offset(zone, at + DAY // 4)
        if after != before:
            low, high = at, at + DAY // 4
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
            changes.append(Change(high, before, after))
        at, before = at + DAY // 4, after
    return first, tuple(changes)


@cache
def zones() -> dict[tuple[int, tuple[Change, ...]], str]:
    """One zone of all that show the same time for the two years."""
    return {changes_of(name): name for name in sorted(available_timezones() - {"localtime"})}


@cache
def changes() -> dict[Change, str]:
    """Every change of an offset there is in the two years, with a zone that has it."""
    found: dict[Change, str] = {}
    for (_, those), name in zones().items():
        for change in those:
            if BEGINS <= change.at < ENDS:
                found.setdefault(change, name)
    return found


def clock(name: str, first: int, last: int) -> Minutes:
    """What the wall of a zone shows in each minute of UTC from `first` to before `last`."""
    key = next((key for key, zone in zones().items() if zone == name), None) or changes_of(name)
    utc = np.arange(first, last, dtype=np.int64)
    shown = utc + key[0]
    for change in key[1]:
        shown[utc >= change.at] += change.after - change.before
    return shown


def matches(field: str, value: int, low: int, high: int) -> bool:
    """Whether one field of cron holds for a value."""
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        begin, dash, end = span.partition("-")
        if span == "*":
            first, last = low, high
        elif dash:
            first, last = number(begin), number(end)
        else:
            first = number(begin)
            last = high if step else first
        if value in range(first, last + 1, int(step or 1)):
            return True
    return False


def number(text: str) -> int:
    return DAYS.index(text) if text in DAYS else int(text)


def day_matches(expression: str, day: date) -> bool:
    _, _, days, months, weekdays = expression.split()
    if not matches(months, day.month, 1, 12):
        return False
    sunday_first = day.isoweekday() % 7
    by_weekday = matches(weekdays, sunday_first, 0, 7) or (sunday_first == 0 and matches(weekdays, 7, 0, 7))
    by_day = matches(days, day.day, 1, 31)
    return by_day and by_weekday if days[0] == "*" or weekdays[0] == "*" else by_day or by_weekday


@cache
def matching(expression: str, first: int, last: int) -> Minutes:
    """The minutes of local time, from `first` to `last`, that an expression names."""
    minutes, hours, *_ = expression.split()
    of_a_day = [
        60 * hour + one
        for hour in range(24)
        if matches(hours, hour, 0, 23)
        for one in range(60)
        if matches(minutes, one, 0, 59)
    ]
    found = [
        day * DAY + one
        for day in range(first // DAY, last // DAY + 1)
        if day_matches(expression, date(1970, 1, 1) + timedelta(days=day))
        for one in of_a_day
    ]
    return np.array([one for one in found if first <= one <= last], dtype=np.int64)


def slots(expression: str, name: str, first: int, last: int) -> list[int]:
    """The minutes of UTC from `first` to before `last` at which Debian's cron starts the job."""
    shown = clock(name, first, last)
    named = matching(expression, int(shown.min()), int(shown.max()))
    if expression.startswith("*") or expression.split()[1].startswith("*"):
        return [int(one) + first for one in np.flatnonzero(np.isin(shown, named))]
    # Never shown before, or leapt over: the first minute that shows it or more. What leaps together runs once.
    furthest = np.maximum.accumulate(shown)
    return [int(one) + first for one in np.unique(np.searchsorted(furthest, named))]


def active(
    weekdays: tuple[int, ...], spans: tuple[tuple[int, int], ...], name: str, first: int, last: int
) -> NDArray[np.bool_]:
    """Whether each minute of UTC from `first` to before `last` is within the hours (0 is Monday; minutes of a day)."""
    shown = clock(name, first, last)
    furthest = np.maximum.accumulate(shown)
    least_to_come = np.minimum.accumulate(shown[::-1])[::-1]
    awake = np.zeros(len(shown), dtype=np.bool_)
    for day in range(int(shown.min()) // DAY - 3, int(shown.max()) // DAY + 3):
        if (date(1970, 1, 1) + timedelta(days=day)).weekday() in weekdays:
            for since, until in spans:
                over = DAY if until < since else 0
                begun, over_by = furthest >= day * DAY + since, least_to_come >= day * DAY + until + over
                awake |= begun & ~over_by
    return awake

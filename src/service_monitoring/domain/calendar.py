"""Calendars: zones, cron, recurrences and hours of a week, and the only place that knows the libraries behind them.

Pure functions of text and instants; what is not text here is UTC. Does not know what a slot, a beginning or a change of
hours is for (`heartbeats`, `maintenance`, `policy`). A zone is read once, as a table of its changes: what local time
means is then decided here, by two rules that leave nothing to a library:

- local time *reaches* 02:30 at the first instant that shows 02:30 or later. Where the clock goes from 02:00 to 03:00
  that is the first valid instant, where an hour is repeated its first pass. Here slots are, and here hours begin.
- local time *leaves* 02:30 behind at the instant after which no earlier time is shown any more: the second pass, or
  again the first valid instant. Here hours end.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr
from whenever import Instant as Moment
from whenever import ZonedDateTime

from service_monitoring.domain.instants import SECOND, Instant
from service_monitoring.domain.schedules import ActiveHours, Cron, Monthly, Recurrence, Recurring, Span, Weekly
from service_monitoring.errors import Refused

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - local time, of whatever zone
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = 86_400
_EARLIEST: Final = -(1 << 63) // SECOND + 2 * _DAY
_LATEST: Final = (1 << 63) // SECOND - 2 * _DAY
_HOURS: Final = re.compile(r"(\d{2}):([0-5]\d)\s*-\s*(\d{2}):([0-5]\d)", re.ASCII)
_LATER: Final = re.compile(r"(.+)([+-]\d+)w", re.ASCII)
_WEEKS_ASKED: Final = 4
_YEARS_ASKED: Final = 12
"""Years without a beginning after which there is none: from one 29th of February to the next it may be eight."""
_NO_STARTS: Final = datetime(2020, 1, 1)  # noqa: DTZ001 - local time, of whatever zone
_PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"}
    | {"BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "BYHOUR", "BYMINUTE"}
)
_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LIMITS: Final = re.compile(r";?\b(COUNT|UNTIL)=([0-9T]+)")


def refuse_unknown_zone(name: str) -> None:
    """`Refused` unless the time zone database has this name."""
    try:
        ZonedDateTime(2026, 1, 1, tz=name)
    except (ValueError, OSError) as error:
        raise Refused(f"{name} is no time zone") from error


def refuse_bad_cron(text: str) -> None:
    """`Refused`, with the library's reason, unless it is five fields of cron by Debian's rules."""
    try:
        CronSim(text, _SOME_DAY)
    except (CronSimError, ValueError, OverflowError) as error:
        raise Refused(str(error)) from error
    # The library takes a sixth for seconds, which no cron does.
    if len(text.split()) != 5:
        raise Refused("Wrong number of fields")


def refuse_bad_recurrence(text: str) -> None:
    """`Refused` unless it is one line of RFC 5545."""
    try:
        if "\n" in text:
            raise ValueError("one line is expected")
        rrulestr(text, dtstart=_SOME_DAY.replace(tzinfo=None))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise Refused(str(error)) from error


def recurrence(rule: str, starts: str | None, zone: str) -> Recurrence:
    """A rule of RFC 5545 that begins every hour or more seldom; `Refused` for one that never does.

    A rule that counts, every second week or ten times, says from where it `starts`; without that, a rule gives its time
    of day itself, and begins at midnight where it gives none.
    """
    refuse_unknown_zone(zone)
    refuse_bad_recurrence(rule)
    counts = _refuse_never(dict(part.split("=", 1) for part in rule.upper().strip(";").split(";") if "=" in part))
    if starts is None and counts:
        raise Refused("it counts from a beginning, and there is none")
    try:
        begins = _NO_STARTS if starts is None else datetime.fromisoformat(starts)
    except ValueError as error:
        raise Refused(f"{starts} is not a date or a local time") from error
    if begins.tzinfo is not None:
        begins = _EPOCH + timedelta(seconds=_zone(zone).local(local_instant(str(starts), zone).ns // SECOND))
    made = Recurrence(zone, rule, _local(begins.replace(microsecond=0)))
    if not any(_of_rule(made, begins.year + years) for years in range(_YEARS_ASKED)):
        raise Refused("it names a day that never comes")
    return made


def active_hours(weekdays: tuple[str, ...] | None, times: str | None, zone: str) -> ActiveHours:
    """The hours that `mon`, `tue`, ... and `07:00-22:00` stand for; all days, or the whole day, where one is None."""
    refuse_unknown_zone(zone)
    try:
        days = range(7) if weekdays is None else sorted({WEEKDAYS.index(day) for day in weekdays})
    except ValueError as error:
        raise Refused(f"{', '.join(weekdays or ())} are not all days of the week: write mon, tue, ...") from error
    return ActiveHours(zone, tuple(days), (Span(0, 24 * 60) if times is None else _span(times),))


def next_slot(schedule: Cron, after: Instant) -> Instant | None:
    """The first slot strictly after `after`; None where the expression names a day that never comes.

    Debian's rules: a job at a time of its own runs when local time reaches that time, once, whether an hour is skipped
    or repeated; slots that a skipped hour throws together are one. A job whose minutes or hours begin with a star
    follows real time: nothing of it is made up for, and a repeated hour has its slots twice.
    """
    return _slot_after(schedule, after.ns)


def previous_slot(schedule: Cron, at: Instant) -> Instant | None:
    """The last slot at or before `at`; None where there was none in fifty years."""
    return _slot_until(schedule, at.ns)


def next_begin(when: Recurring, after: Instant) -> Instant | None:
    """The first beginning strictly after `after`: when local time reaches a moment that is meant; None: never again."""
    if isinstance(when, Cron):
        return next_slot(when, after)
    zone, second = _zone(when.zone), after.ns // SECOND
    shown = zone.local(second) - 2 * _DAY
    for year in range(_year(shown), _year(shown) + _YEARS_ASKED + 1):
        moments = _moments(when, year)
        for local in moments[bisect_left(moments, shown) :]:
            if (begin := zone.reaches(local)) > second:
                return _instant(begin)
    return None


def last_begin(when: Recurring, at: Instant) -> Instant | None:
    """The last beginning at or before `at`; None where there was none yet."""
    if isinstance(when, Cron):
        return previous_slot(when, at)
    zone, second = _zone(when.zone), at.ns // SECOND
    shown = zone.local(second) + 2 * _DAY
    for year in range(_year(shown), _year(shown) - _YEARS_ASKED - 1, -1):
        moments = _moments(when, year)
        for local in reversed(moments[: bisect_right(moments, shown)]):
            if (begin := zone.reaches(local)) <= second:
                return _instant(begin)
    return None


def is_active(hours: ActiveHours, at: Instant) -> bool:
    """Whether `at` is within the hours: from where local time reaches a beginning to where it leaves its end behind."""
    zone, second = _zone(hours.zone), at.ns // SECOND
    today = _day(zone.local(second))
    return any(begin <= second < end for begin, end in _stretches(hours, zone, today - 2, today + 2))


def next_change(hours: ActiveHours, after: Instant) -> Instant | None:
    """The first instant strictly after `after` at which `is_active` changes; None where it never does."""
    if _never_changes(hours):
        return None
    zone, second = _zone(hours.zone), after.ns // SECOND
    today = _day(zone.local(second))
    last: int | None = None
    # Stretches come in the order of their beginnings and may touch or overlap: only where none covers it is a change.
    for begin, end in _stretches(hours, zone, today - 2, today + 7 * _WEEKS_ASKED):
        if last is None or begin > last:
            if last is not None and last > second:
                return _instant(last)
            if begin > second:
                return _instant(begin)
            last = end
        else:
            last = max(last, end)
    return _instant(last) if last is not None and second < last < (today + 7 * _WEEKS_ASKED) * _DAY else None


def moved_zone(name: str, weeks: int) -> str:
    """A zone whose clocks change so many weeks later than in another: a name that functions of this module take.

    Nobody can write one in a configuration: the time zone database has no such name.
    """
    return f"{name}{weeks:+d}w" if weeks else name


def clock_changes(zone: str, since: Instant, until: Instant) -> list[tuple[Instant, int]]:
    """When the clocks of a zone change in [since, until), and by how many seconds they are then set."""
    refuse_unknown_zone(_LATER.sub(r"\1", zone))
    known = _zone(zone)
    return [
        (_instant(second), after - before)
        for second, before, after in zip(known.starts[1:], known.offsets, known.offsets[1:], strict=False)
        if since <= _instant(second) < until
    ]


def local_instant(text: str, zone: str) -> Instant:
    """The instant at which a zone reaches `2026-12-24T09:00`, or that the text names by an offset of its own.

    A date alone is its midnight. `Refused` for what is neither, or too far away.
    """
    refuse_unknown_zone(zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text} is not a date or a local time: write 2026-12-24 or 2026-12-24T09:00") from error
    if moment.tzinfo is None:
        whole, rest = divmod(moment - _EPOCH, timedelta(seconds=1))
        second = _zone(zone).reaches(whole)
    else:
        second, rest = divmod(moment - _EPOCH.replace(tzinfo=UTC), timedelta(seconds=1))
    if not _EARLIEST < second < _LATEST:
        raise Refused(f"{text} is too far away: write a year from 1678 to 2261")
    return Instant(second * SECOND + rest // timedelta(microseconds=1) * 1_000)


def local_text(at: Instant, zone: str) -> str:
    """What the clock on the wall of a zone shows, with its offset: `2026-12-24T09:00:00+01:00`, in whole seconds."""
    second = at.ns // SECOND
    shown = _zone(zone).local(second)
    hours, minutes = divmod(abs(shown - second) // 60, 60)
    sign = "-" if shown < second else "+"
    return f"{(_EPOCH + timedelta(seconds=shown)).isoformat()}{sign}{hours:02}:{minutes:02}"


@lru_cache(maxsize=1024)
def first_local(zone: str, minute: int, weekday: int | None, since: Instant | None) -> int:
    """The first local time, at `minute` of a day, that the zone reaches at `since` or later, or from Monday 1970-01-05.

    Of every day, or of one `weekday` (0 is Monday). Local times are seconds since 1970 as if they were UTC.
    """
    days = _zone(zone)
    day = 4 if since is None else _day(days.local(since.ns // SECOND)) - 1
    while (weekday is not None and (day + 3) % 7 != weekday) or (
        since is not None and days.reaches(day * _DAY + minute * 60) * SECOND < since.ns
    ):
        day += 1
    return day * _DAY + minute * 60


def reached(zone: str, local: int) -> Instant:
    """The instant at which a zone reaches a local time (seconds since 1970 as if it were UTC)."""
    return _instant(_zone(zone).reaches(local))


def steps_reached(zone: str, first: int, every: int, at: Instant) -> int:
    """How many of the local times `first`, `first + every`, ... (seconds) a zone has reached at `at`.

    Not above 0 before the first. Several that a skipped hour throws together are reached at once.
    """
    days, second = _zone(zone), at.ns // SECOND
    count = (days.local(second) - first) // every + 1
    # In the second pass of an hour the wall shows less than it had shown before.
    while days.reaches(first + count * every) <= second:
        count += 1
    while days.reaches(first + (count - 1) * every) > second:
        count -= 1
    return count


class _Zone:
    """A zone as the seconds (UTC) at which its offset changes, and the offset in seconds from each of them on."""

    __slots__ = ("offsets", "starts")

    def __init__(self, starts: list[int], offsets: list[int]) -> None:
        self.starts = starts
        self.offsets = offsets

    def part(self, second: int) -> int:
        """Which offset holds at a second."""
        return max(bisect_right(self.starts, second) - 1, 0)

    def ends(self, part: int) -> int:
        """The second (exclusive) to which an offset holds."""
        return self.starts[part + 1] if part + 1 < len(self.starts) else _LATEST

    def local(self, second: int) -> int:
        """What the clock on the wall shows, in seconds as if that were UTC."""
        return second + self.offsets[self.part(second)]

    def reaches(self, local: int) -> int:
        """The first second at which the clock shows `local` or later."""
        part = self.part(local - _DAY)
        while (second := max(self.starts[part], local - self.offsets[part])) >= self.ends(part) != _LATEST:
            part += 1
        return second

    def leaves(self, local: int) -> int:
        """The second from which on the clock never shows less than `local`."""
        part = self.part(local + _DAY)
        while (second := min(self.ends(part), local - self.offsets[part])) <= self.starts[part] and part:
            part -= 1
        return second


@lru_cache(maxsize=1024)
def _zone(name: str) -> _Zone:
    if (later := _LATER.fullmatch(name)) is not None:
        known, shift = _zone(later[1]), int(later[2]) * 7 * _DAY
        return _Zone([known.starts[0], *(start + shift for start in known.starts[1:])], known.offsets)
    here: ZonedDateTime | None = Moment.from_timestamp(_EARLIEST).to_tz(name)
    starts: list[int] = []
    offsets: list[int] = []
    while here is not None and (second := here.timestamp()) < _LATEST:
        offset = round(here.offset.total("seconds"))
        if not offsets or offset != offsets[-1]:
            starts.append(second)
            offsets.append(offset)
        here = here.next_transition()
    return _Zone(starts, offsets)


@lru_cache(maxsize=4096)
def _slot_after(schedule: Cron, after: int) -> Instant | None:
    zone, second = _zone(schedule.zone), after // SECOND
    part = zone.part(second)
    searched = second + zone.offsets[part]
    local = _beyond(schedule.expression, searched)
    if not _follows_real_time(schedule.expression):
        while local is not None and zone.reaches(local) <= second:
            local = _beyond(schedule.expression, local)
        return None if local is None else _instant(zone.reaches(local))
    # Within one offset the answer is the next match of local time; between `searched` and `local` there is none, which
    # is why most parts need no search of their own. The library's own walk through changes of offset is not used: it
    # takes a Sunday 00:00 that Santiago skips for a match, and leaps over half of Lord Howe's hours of 30 minutes.
    while local is not None:
        if local - zone.offsets[part] < zone.ends(part):
            return _instant(local - zone.offsets[part])
        if part + 1 == len(zone.starts):
            return None
        part += 1
        before = zone.starts[part] + zone.offsets[part] - 1
        if not searched <= before < local:
            searched, local = before, _beyond(schedule.expression, before)
    return None


@lru_cache(maxsize=4096)
def _slot_until(schedule: Cron, at: int) -> Instant | None:
    zone, second = _zone(schedule.zone), at // SECOND
    part = zone.part(second)
    if not _follows_real_time(schedule.expression):
        # In the second pass of an hour the whole first pass has been seen.
        shown = second + zone.offsets[part]
        if part:
            shown = max(shown, zone.starts[part] + zone.offsets[part - 1] - 1)
        local = _up_to(schedule.expression, shown)
        while local is not None and zone.reaches(local) > second:
            local = _up_to(schedule.expression, local - 1)
        return None if local is None else _instant(zone.reaches(local))
    searched = second + zone.offsets[part]
    local = _up_to(schedule.expression, searched)
    while local is not None:
        if local - zone.offsets[part] >= zone.starts[part]:
            return _instant(local - zone.offsets[part])
        if part == 0:
            return None
        part -= 1
        last = zone.ends(part) + zone.offsets[part] - 1
        if not local <= last <= searched:
            searched, local = last, _up_to(schedule.expression, last)
    return None


def _follows_real_time(expression: str) -> bool:
    minutes, hours = expression.split()[:2]
    return minutes.startswith("*") or hours.startswith("*")


@lru_cache(maxsize=1024)
def _parsed(expression: str, *, reverse: bool) -> CronSim:
    return CronSim(expression, _EPOCH, reverse=reverse)


def _beyond(expression: str, local: int) -> int | None:
    """The next match of local time in a minute after that of `local`."""
    return _stepped(_parsed(expression, reverse=False), _minute(local))


def _up_to(expression: str, local: int) -> int | None:
    """The last match of local time at or before `local`."""
    return _stepped(_parsed(expression, reverse=True), _minute(local) + _MINUTE)


def _stepped(parsed: CronSim, start: datetime) -> int | None:
    walk = copy(parsed)
    walk.dt = start
    try:
        return (next(walk) - _EPOCH) // timedelta(seconds=1)
    except (StopIteration, OverflowError, ValueError):
        return None


def _minute(local: int) -> datetime:
    return _EPOCH + timedelta(minutes=local // 60)


@lru_cache(maxsize=4096)
def _moments(when: Weekly | Monthly | Recurrence, year: int) -> tuple[int, ...]:
    """The moments of local time that are meant in a year, in order."""
    first, beyond = (_local(datetime(each, 1, 1)) // _DAY for each in (year, year + 1))  # noqa: DTZ001 - local time
    if isinstance(when, Recurrence):
        return _of_rule(when, year)
    # 1970-01-01 was a Thursday.
    days = (
        range(first + (when.weekday - first - 3) % 7, beyond, 7)
        if isinstance(when, Weekly)
        else _days_of_months(year, when.day)
    )
    return tuple(day * _DAY + when.minute * 60 for day in days)


def _refuse_never(parts: dict[str, str]) -> bool:
    """Whether a rule counts from its beginning; `Refused` where it names what never comes.

    The library looks for that to the year 9999, and stops for nothing on the way: so it is not asked.
    """
    frequency, interval = parts.get("FREQ", ""), int(parts.get("INTERVAL", "1"))
    strange = sorted(parts.keys() - _PARTS)
    if strange or frequency not in {"HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"}:
        raise Refused(f"{strange[0] if strange else f'FREQ={frequency}'} is not done here")
    if interval < 1:
        raise Refused("its interval is none")
    days = parts.keys() & {"BYMONTH", "BYMONTHDAY", "BYDAY"}
    if interval > 1 and days and frequency in {"HOURLY", "DAILY"}:
        raise Refused("days that are counted and days that are named may never meet: write FREQ=WEEKLY or MONTHLY")
    places = _numbers(parts, "BYSETPOS", 4)
    if places and (frequency != "MONTHLY" or days - {"BYMONTH"} != {"BYDAY"}):
        raise Refused("BYSETPOS is done for FREQ=MONTHLY with BYDAY alone")
    if any(not 1 <= int(each[:-2]) ** 2 <= 25 for each in parts.get("BYDAY", "").split(",") if len(each) > 2):
        raise Refused("no month has that day of the week so often")
    months = _numbers(parts, "BYMONTH", 12) or range(1, 13)
    wanted = _numbers(parts, "BYMONTHDAY", 31)
    if any(month < 1 for month in months) or (
        wanted and not any(abs(day) <= _LONGEST_MONTHS[month - 1] for month in months for day in wanted)
    ):
        raise Refused("it names a day that never comes")
    return interval > 1 or "COUNT" in parts


def _numbers(parts: dict[str, str], name: str, most: int) -> list[int]:
    """The numbers of a part of a rule, counted from either end."""
    found = [int(each) for each in parts.get(name, "").split(",") if each]
    if any(not 1 <= abs(each) <= most for each in found):
        raise Refused(f"{name} is beyond {most}")
    return found


def _days_of_months(year: int, day: int) -> Iterator[int]:
    """A day of each month that has it, counted from 1970-01-01; 0 is the last of each."""
    for month in range(12):
        first, beyond = (
            _local(datetime(year + later // 12, later % 12 + 1, 1)) // _DAY  # noqa: DTZ001 - local time
            for later in (month, month + 1)
        )
        wanted = beyond - 1 if day == 0 else first + day - 1
        if wanted < beyond:
            yield wanted


@lru_cache(maxsize=4096)
def _of_rule(when: Recurrence, year: int) -> tuple[int, ...]:
    """What a rule means in one year. The library walks from the rule's start each time: a year is asked for as one."""
    first, last = datetime(year, 1, 1), datetime(year, 12, 31, 23, 59, 59)  # noqa: DTZ001 - local time
    starts = _EPOCH + timedelta(seconds=when.starts)
    # The library would walk on through whatever comes later: it is told where to stop, and the rule's own end and
    # number are seen to here.
    text = when.rule.upper()
    limits = dict(_LIMITS.findall(text))
    until = min(last, datetime.fromisoformat(limits["UNTIL"]) if "UNTIL" in limits else last)
    if until < starts:
        return ()
    walk = rrulestr(_LIMITS.sub("", text).strip(";"), dtstart=starts)
    assert isinstance(walk, rrule)
    counted = islice(walk.replace(until=until), int(limits["COUNT"]) if "COUNT" in limits else None)
    return tuple(_local(moment) for moment in counted if moment >= first)


def _stretches(hours: ActiveHours, zone: _Zone, first: int, last: int) -> Iterator[tuple[int, int]]:
    """From where to where (exclusive) it is active, in seconds, for the spans that begin on the days `first` to `last`.

    A span that lies within a skipped hour is empty and left out.
    """
    spans = _in_order(hours)
    for day in range(first, last + 1):
        # 1970-01-01 was a Thursday.
        if (day + 3) % 7 not in hours.weekdays:
            continue
        for since, until in spans:
            begin, end = zone.reaches(day * _DAY + since), zone.leaves(day * _DAY + until)
            if begin < end:
                yield begin, end


@lru_cache(maxsize=1024)
def _in_order(hours: ActiveHours) -> tuple[tuple[int, int], ...]:
    """The spans in seconds after midnight of their day; beyond 24 hours where they go over midnight."""
    return tuple(
        sorted(
            (span.since * 60, (span.until if span.since <= span.until else span.until + 24 * 60) * 60)
            for span in hours.spans
        )
    )


@lru_cache(maxsize=1024)
def _never_changes(hours: ActiveHours) -> bool:
    """Whether the week has no end or no beginning of hours: all of it is active, or nothing."""
    week, covered = 7 * _DAY, 0
    for begin, end in sorted(
        (day * _DAY + since, day * _DAY + until)
        for day in range(-2, 7)
        if day % 7 in hours.weekdays
        for since, until in _in_order(hours)
    ):
        if begin > covered:
            return False
        covered = max(covered, end)
    return covered == 0 or covered >= week


def _span(text: str) -> Span:
    match = _HOURS.fullmatch(text)
    if match is None:
        raise Refused(f'{text} is not a span of hours: write "07:00-22:00"')
    since, until = (60 * int(hour) + int(minute) for hour, minute in (match.groups()[:2], match.groups()[2:]))
    if since >= 24 * 60 or until > 24 * 60:
        raise Refused(f'{text} is beyond the day: it begins by 23:59 and ends by "24:00"')
    if since == until:
        raise Refused(f'{text} is empty: write "00:00-24:00" for the whole day')
    return Span(since, until)


def _local(moment: datetime) -> int:
    """A local time in seconds, as if it were UTC."""
    return (moment - _EPOCH) // timedelta(seconds=1)


def _year(local: int) -> int:
    return (_EPOCH + timedelta(seconds=local)).year


def _day(local: int) -> int:
    return local // _DAY


def _instant(second: int) -> Instant:
    return Instant(second * SECOND)

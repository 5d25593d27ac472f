"""Calendars as people write them: zones, hours, weekdays, cron and local instants, as far as their form goes.

Knows text alone: what such an expression means at an instant is the calendar's business. Nothing here reads a clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, time
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from service_monitoring.domain.calendar import refuse_bad_cron, refuse_bad_recurrence, refuse_unknown_zone
from service_monitoring.errors import Refused
from service_monitoring.settings.problems import InvalidValue, shown

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_FULL_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS: Final = re.compile(r"(\d{2}:\d{2})\s*-\s*(\d{2}:\d{2})", re.ASCII)
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)


@lru_cache(maxsize=1024)
def zone(text: str) -> str:
    """A name of the time zone database, as `Europe/Berlin`; anything else is `InvalidValue`."""
    try:
        if _ZONE.fullmatch(text):
            refuse_unknown_zone(text)
            return text
    except Refused:
        pass
    raise InvalidValue(f"{shown(text)} is not a time zone", "write Europe/Berlin, America/New_York or UTC")


@lru_cache(maxsize=1024)
def cron(text: str) -> str:
    """Five fields of cron, as `30 2 * * *`; anything else is `InvalidValue`."""
    try:
        refuse_bad_cron(text)
    except Refused as error:
        why = f" ({error})" if str(error) else ""
        raise InvalidValue(
            f"{shown(text)} is not a cron expression{why}", 'write five fields, as "30 2 * * *"'
        ) from None
    return text


def recurrence(text: str) -> str:
    """A recurrence rule of RFC 5545, as `FREQ=MONTHLY;BYDAY=1SU`; anything else is `InvalidValue`."""
    try:
        refuse_bad_recurrence(text)
    except Refused:
        raise InvalidValue(f"{shown(text)} is not a recurrence rule", "write FREQ=WEEKLY;BYDAY=SU;BYHOUR=3") from None
    return text


def hours(text: str) -> str:
    """`07:00-22:00`, also over midnight; anything else is `InvalidValue`."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{shown(text)} is not a span of hours", 'write "07:00-22:00"')
    for part in match.groups():
        if part != "24:00":
            _clock(part)
    if match[1] == match[2]:
        raise InvalidValue(f"{shown(text)} is empty", 'write "00:00-24:00" for the whole day')
    return text


def weekdays(given: object) -> tuple[str, ...]:
    """`mon-sat`, `mon,wed`, `[mon, tue]`, as names of days in the order of the week."""
    parts: Iterable[object] = given if isinstance(given, list) else str(given).split(",")
    days: set[str] = set()
    for part in parts:
        first, dash, last = str(part).strip().lower().partition("-")
        begin, end = _weekday(first.strip(), part), _weekday(last.strip() if dash else first.strip(), part)
        while begin != end:
            days.add(WEEKDAYS[begin])
            begin = (begin + 1) % 7
        days.add(WEEKDAYS[end])
    return tuple(day for day in WEEKDAYS if day in days)


def moment_of_week(text: str) -> str:
    """`Mon 09:00`; anything else is `InvalidValue`."""
    day, _, clock = text.partition(" ")
    try:
        _weekday(day.lower(), day)
        _clock(clock.strip())
    except InvalidValue:
        raise InvalidValue(f"{shown(text)} is not a moment of a week", "write Mon 09:00") from None
    return text


def handover(text: str) -> str:
    """`Mon 09:00`, or `09:00` where the rotation is daily."""
    return _clock(text) if ":" in text and " " not in text.strip() else moment_of_week(text)


def handover_parts(text: str) -> tuple[int, int | None]:
    """Minutes after midnight, and the day of the week (0 is Monday) where a handover names one."""
    day, _, clock = text.strip().rpartition(" ")
    begins = time.fromisoformat(clock)
    return 60 * begins.hour + begins.minute, _weekday(day.strip().lower(), day) if day else None


def moment_of_month(text: str) -> str:
    """`1 03:00`, or `last 03:00`: a day of the month and a time."""
    day, _, clock = text.partition(" ")
    try:
        _clock(clock.strip())
    except InvalidValue:
        day = ""
    if not (day == "last" or (day.isascii() and day.isdigit() and len(day) <= 2 and 1 <= int(day) <= 31)):
        raise InvalidValue(f"{shown(text)} is not a moment of a month", 'write "1 03:00" or "last 03:00"')
    return text


def local_moment(text: str) -> str:
    """`2026-12-24T09:00` in the zone beside it, or with an offset; a date alone is its midnight."""
    try:
        if len(text) == 10:
            date.fromisoformat(text)
        else:
            datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(
            f"{shown(text)} is not a date or a local time", "write 2026-12-24 or 2026-12-24T09:00"
        ) from None
    return text


def moment_of_day(text: str) -> int:
    """`09:00` as minutes after midnight."""
    hour, minute = _clock(text.strip()).split(":")
    return 60 * int(hour) + int(minute)


def weekday(name: str) -> int:
    """A day of the week by its name or the beginning of it; 0 is Monday."""
    return _weekday(name.strip().lower(), name)


def _clock(text: str) -> str:
    try:
        if len(text) != 5:
            raise ValueError
        time.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{shown(text)} is not a time of day", 'write "09:00"') from None
    return text


def _weekday(name: str, given: object) -> int:
    for position, day in enumerate(_FULL_NAMES):
        if len(name) >= 3 and day.startswith(name):
            return position
    raise InvalidValue(
        f"{shown(str(given))} is not a day of the week", f"write one of {', '.join(WEEKDAYS)}, or mon-fri"
    )


def _field(read: Any, description: str) -> Any:
    def of_text(given: object) -> object:
        if not isinstance(given, str):
            raise InvalidValue("a text is expected here", "put it in quotes")
        return read(given)

    return BeforeValidator(of_text), WithJsonSchema({"type": "string", "description": description})


ZoneField = Annotated[str, *_field(zone, "A time zone: Europe/Berlin.")]
CronField = Annotated[str, *_field(cron, "Five fields of cron: 30 2 * * *.")]
RecurrenceField = Annotated[str, *_field(recurrence, "A recurrence rule of RFC 5545: FREQ=WEEKLY;BYDAY=SU.")]
HoursField = Annotated[str, *_field(hours, "A span of hours: 07:00-22:00.")]
WeekMomentField = Annotated[str, *_field(moment_of_week, "A moment of the week: Sun 03:00.")]
MonthMomentField = Annotated[str, *_field(moment_of_month, "A moment of the month: 1 03:00.")]
HandoverField = Annotated[str, *_field(handover, "When the next person takes over: Mon 09:00, or 09:00.")]
MomentField = Annotated[str, *_field(local_moment, "A date or local time: 2026-12-24T09:00.")]
WeekdaysField = Annotated[
    tuple[str, ...],
    BeforeValidator(weekdays),
    WithJsonSchema(
        {
            "description": "Days of the week: mon-sat, or [mon, wed].",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }
    ),
]

"""Calendars: zones, cron expressions and recurrences, the only place that knows the libraries behind them.

Pure functions of text. So far they only tell whether a text is one; nothing that this version decides asks a calendar.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr
from whenever import ZonedDateTime

from service_monitoring.errors import Refused

_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)


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


def refuse_bad_recurrence(text: str) -> None:
    """`Refused` unless it is one line of RFC 5545."""
    try:
        if "\n" in text:
            raise ValueError("one line is expected")
        rrulestr(text, dtstart=_SOME_DAY.replace(tzinfo=None))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise Refused(str(error)) from error

"""Calendar files: shifts as events that calendars subscribe to, and events as somebody else's shifts.

Knows RFC 5545 through the library `icalendar`, which the extra `calendar` brings, and zones through the domain alone.
Does not know the file, nor what becomes of what was read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from service_monitoring.domain.calendar import local_instant
from service_monitoring.domain.instants import SECOND, Instant
from service_monitoring.domain.oncall import Shift
from service_monitoring.errors import Refused

_DAY: Final = timedelta(days=1)


class Entry(Struct, frozen=True):
    """One event: what it is called, when it is, and the one person that it names; "" where that is nobody, or several.

    `problem` says why it cannot be used, whoever it names.
    """

    title: str
    person: str = ""
    begin: Instant | None = None
    end: Instant | None = None
    problem: str = ""


def written(name: str, shifts: Iterable[Shift], now: Instant) -> str:
    """One event a shift. A shift is named by rota and beginning: another person makes it no other event."""
    library = _library()
    calendar = library.Calendar()
    calendar.add("prodid", "-//service-monitoring//oncall//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"on call: {name}")
    for shift in shifts:
        event = library.Event()
        event.add("uid", f"{name}.{_moment(shift.begin):%Y%m%dT%H%M%SZ}@service-monitoring")
        event.add("dtstamp", _moment(now))
        event.add("dtstart", _moment(shift.begin))
        event.add("dtend", _moment(shift.end))
        event.add("summary", f"{shift.person} ({name})")
        # On call is not busy: it blocks no appointment.
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    text: str = calendar.to_ical().decode()
    return text


def read(content: bytes, people: Collection[str], zone: str) -> list[Entry]:
    """The events of a file in the order of time, those that were called off left out. `Refused` when it is none.

    Times without a zone are local to `zone`. Of `people` those are named whose name is a word of the title.
    """
    library = _library()
    try:
        found = [event for each in library.Calendar.from_ical(content, multiple=True) for event in each.walk("VEVENT")]
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise Refused(f"this is no calendar file: {error}") from error
    entries = [_entry(event, people, zone) for event in found if str(event.get("STATUS", "")).upper() != "CANCELLED"]
    return sorted(entries, key=lambda entry: (Instant(0) if entry.begin is None else entry.begin, entry.title))


def _entry(event: Any, people: Collection[str], zone: str) -> Entry:
    title = str(event.get("SUMMARY", ""))
    if "RRULE" in event or "RDATE" in event:
        return Entry(title, problem="it repeats, and only single events are read")
    try:
        begins, ends = _span(event)
        begin, end = (local_instant(*_local(moment, zone)) for moment in (begins, ends))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, Refused) as error:
        return Entry(title, problem=f"its times cannot be read ({error})")
    if end <= begin:
        return Entry(title, problem="it ends before it begins")
    named = sorted(_named(title, people))
    return Entry(title, named[0] if len(named) == 1 else "", begin, end)


def _span(event: Any) -> tuple[date, date]:
    """Begin and end, as dates or datetimes. Without an end a date is a day, and a moment is nothing."""
    begins = _given(event["DTSTART"])
    if "DTEND" in event:
        return begins, _given(event["DTEND"])
    if "DURATION" not in event:
        return begins, begins if isinstance(begins, datetime) else begins + _DAY
    lasts: timedelta = event["DURATION"].dt
    if isinstance(begins, datetime) and begins.tzinfo is not None and lasts % _DAY:
        # Hours are elapsed time, days are those of the wall.
        begins = begins.astimezone(UTC)
    return begins, begins + lasts


def _given(written: Any) -> date:
    moment: date = written.dt
    if "TZID" in written.params and getattr(moment, "tzinfo", None) is None:
        # The library leaves it without a zone then, and it would be read as local to ours.
        raise ValueError(f"its zone {written.params['TZID']} is not known here")
    return moment


def _local(moment: date, zone: str) -> tuple[str, str]:
    """A moment as text with the zone that it is local to."""
    if isinstance(moment, datetime) and (key := getattr(moment.tzinfo, "key", None)):
        return moment.replace(tzinfo=None).isoformat(), key
    return moment.isoformat(), zone


def _named(title: str, people: Collection[str]) -> Iterator[str]:
    words = set(re.findall(r"[\w-]+", title.casefold()))
    return (person for person in people if person.casefold() in words)


def _moment(at: Instant) -> datetime:
    return datetime.fromtimestamp(at.ns // SECOND, UTC)


def _library() -> Any:
    try:
        import icalendar
    except ImportError:
        raise Refused("calendar files need the library icalendar: pip install 'service-monitoring[calendar]'") from None
    return icalendar

"""Ranges of a recorded past: what there is, and what people ask for of it.

Knows local dates, lengths of time and the extent of a data folder. Does not know what a range is rehearsed for.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from service_monitoring.domain.calendar import local_instant
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.errors import Refused
from service_monitoring.settings.lengths import duration
from service_monitoring.storage.history.own import History
from service_monitoring.views.because import instant_text


class Range(Struct, frozen=True):
    """What is rehearsed: [since, until)."""

    since: Instant
    until: Instant


def recorded_range(first: Instant, last: Instant) -> Range:
    """All that was recorded, to the whole second after its latest instant."""
    return Range(first, Instant((last.ns // SECOND + 1) * SECOND))


def range_of(folder: Path) -> Range | None:
    """All that a data folder has, or None; `NotFound` where it is none. Blocks."""
    with History(folder) as history:
        found = history.span()
    return None if found is None else recorded_range(*found)


def chosen(there: Range, began: str, ended: str, zone: str, *, names: tuple[str, str] = ("--from", "--to")) -> Range:
    """The range that people wrote, by this zone; all that is `there` where they wrote nothing.

    `names` are what the two ends are called where they were written. `Refused` where nothing of it was recorded.
    """
    since = moment(began, zone, there.until) if began else there.since
    until = moment(ended, zone, there.until) if ended else there.until
    if until <= since:
        ends = began or instant_text(since), ended or instant_text(until)
        raise Refused(f"{names[1]} {ends[1]} is not after {names[0]} {ends[0]}: nothing lies between")
    if since >= there.until or until <= there.since:
        reach = f"from {instant_text(there.since)} to {instant_text(there.until)}"
        raise Refused(f"the history reaches {reach}: nothing of it lies in what is asked")
    return Range(since, until)


def moment(text: str, zone: str, end: Instant) -> Instant:
    """An instant as people write it: a local date or time, RFC 3339, or `-7d`, back from the end of a history."""
    if text.startswith("-"):
        return end.plus(Duration(-duration(text[1:])))
    return local_instant(text.replace("Z", "+00:00"), zone)

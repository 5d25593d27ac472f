"""Instants and durations: what wall-clock time is, as values.

An instant is an integer of nanoseconds since 1970-01-01T00:00:00Z, so that a column of instants is an int64 array.
This module does not know what time it is, nor zones or calendars (`calendar`), nor monotonic ticks (`ports.Tick`):
an instant and a tick neither compare nor subtract.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NewType

from service_monitoring.errors import Refused

Duration = NewType("Duration", int)
"""A length of time in nanoseconds."""

NANOSECOND: Final = Duration(1)
MILLISECOND: Final = Duration(1_000_000)
SECOND: Final = Duration(1_000_000_000)
MINUTE: Final = Duration(60 * SECOND)
HOUR: Final = Duration(60 * MINUTE)
DAY: Final = Duration(24 * HOUR)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEYOND: Final = 1 << 63
_RFC3339: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:[0-5]\d)\Z", re.ASCII
)


def seconds(number: float) -> Duration:
    """`number` seconds as a duration, rounded to the nanosecond."""
    return Duration(round(number * 1e9))


def in_seconds(duration: Duration) -> float:
    """A duration as a float of seconds."""
    return duration / 1e9


# What is decided in a row falls in few minutes, and writing the date is what costs.
@lru_cache(maxsize=4_096)
def _minute(minutes: int) -> str:
    return (_EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes")[:-6]


class Instant:
    """A point of UTC wall-clock time. Immutable, hashable, ordered among instants only."""

    __slots__ = ("ns",)
    ns: int

    def __init__(self, ns: int) -> None:
        object.__setattr__(self, "ns", ns)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an instant never changes")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an instant never changes")

    def __reduce__(self) -> tuple[type[Instant], tuple[int]]:
        return Instant, (self.ns,)

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read RFC 3339 with a zone offset and up to nine fractional digits; anything else is `Refused`.

        So is second 60: Unix time has no leap seconds, and neither has any clock that we read.
        """
        match = _RFC3339.match(text)
        if match is None:
            raise Refused(f"{text!r} is not an instant: write RFC 3339 with an offset, as 2026-03-29T02:30:00Z")
        day, clock, fraction, offset = match.groups()
        try:
            whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if offset in 'Zz' else offset}")
        except ValueError as error:
            raise Refused(f"{text!r} is not an instant: {error}") from error
        ns = (whole - _EPOCH) // timedelta(seconds=1) * SECOND + int((fraction or "0").ljust(9, "0"))
        if not -_BEYOND <= ns < _BEYOND:
            raise Refused(f"{text!r} is too far away: nanoseconds reach from 1677-09-22 to 2262-04-11")
        return cls(ns)

    def __str__(self) -> str:
        """RFC 3339 in UTC with nine fractional digits, the form of the ledger."""
        minutes, rest = divmod(self.ns, MINUTE)
        whole, fraction = divmod(rest, SECOND)
        return f"{_minute(minutes)}:{whole:02d}.{fraction:09d}Z"

    def __repr__(self) -> str:
        return f"Instant({self.ns})"

    def __hash__(self) -> int:
        return hash(self.ns)

    def __eq__(self, other: object) -> bool:
        return self.ns == other.ns if isinstance(other, Instant) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.ns < other.ns if isinstance(other, Instant) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.ns <= other.ns if isinstance(other, Instant) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.ns > other.ns if isinstance(other, Instant) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.ns >= other.ns if isinstance(other, Instant) else NotImplemented

    def plus(self, duration: Duration) -> Instant:
        """The instant `duration` after this one (before, when negative)."""
        return Instant(self.ns + duration)

    def since(self, earlier: Instant) -> Duration:
        """The time from `earlier` to this instant; negative when `earlier` is later."""
        return Duration(self.ns - earlier.ns)

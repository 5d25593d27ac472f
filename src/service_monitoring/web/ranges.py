"""Ranges: from when to when somebody wants to see something, as an address says it.

Knows `range`, `from` and `to` of a query. Does not know what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant
from service_monitoring.errors import Refused
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.service import LONGEST_RANGE, Range

RANGES: Final[Mapping[str, Duration]] = {
    "1h": HOUR,
    "6h": Duration(6 * HOUR),
    "1d": DAY,
    "7d": Duration(7 * DAY),
    "30d": Duration(30 * DAY),
    "90d": Duration(90 * DAY),
}
USUAL: Final = "6h"
_REMEDY: Final = f"write range={'|'.join(RANGES)}, or from and to as 2026-01-05T12:00:00Z"


def chosen(now: Instant, *, named: str = "", began: str = "", ended: str = "") -> Range:
    """The range that is meant: one by name that ends now, or from one instant to another; the usual one without any.

    `InvalidValue` with a sentence for what is none.
    """
    try:
        if not began and not ended:
            if named and named not in RANGES:
                raise Refused(f"{named[:40]!r} is no range")
            return _reached_back(now, RANGES[named or USUAL])
        until = Instant.parse(ended[:64]) if ended else now
        return Range(Instant.parse(began[:64]), until) if began else _reached_back(until, RANGES[USUAL])
    except Refused as refused:
        raise InvalidValue(str(refused), _REMEDY) from None


def earlier(shown: Range) -> Range:
    """The range of the same length before, half of it already seen."""
    return _moved(shown, -shown.length // 2)


def later(shown: Range, now: Instant) -> Range | None:
    """The range of the same length after, half of it already seen; None where it has not been yet."""
    return _moved(shown, min(shown.length // 2, now.since(shown.ended))) if shown.ended < now else None


def out(shown: Range, now: Instant) -> Range:
    """Twice the range around the same middle, and no later than now."""
    length = min(2 * shown.length, LONGEST_RANGE)
    ended = max(min(shown.ended.ns + (length - shown.length) // 2, now.ns), shown.ended.ns)
    return Range(Instant(max(ended - length, 0)), Instant(ended))


def _moved(shown: Range, by: int) -> Range:
    by = max(by, -shown.began.ns)
    return Range(shown.began.plus(Duration(by)), shown.ended.plus(Duration(by)))


def _reached_back(ended: Instant, length: Duration) -> Range:
    return Range(Instant(max(ended.ns - length, 0)), ended)

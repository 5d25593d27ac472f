"""What commands print: lines, JSON, and the words that moments, lengths and numbers have.

Knows no colour and no column: these are in `tables`, whose library takes a while. Does not know what is printed, nor
what time it is: `now` is an argument.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.views.texts import one_line

SHORT: Final = 8
"""Characters of an id in a list: enough to name it, and it may be named by fewer."""

_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


def as_json(value: Any) -> None:
    """JSON for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def line(text: str) -> None:
    """One line for people."""
    sys.stdout.write(one_line(text) + "\n")


def text(content: str) -> None:
    """A whole text for programs, as it is."""
    sys.stdout.write(content)


def warn(text: str) -> None:
    """One line beside the answer, on stderr."""
    sys.stderr.write(one_line(text) + "\n")


def moment(text: str | None, now: Instant) -> str:
    """An RFC 3339 instant in the local zone, with its distance: `2026-01-05 09:00:00+01:00, 3 min ago`."""
    if not text:
        return "-"
    at = Instant.parse(text)
    try:
        local = datetime.fromtimestamp(at.ns // SECOND, UTC).astimezone()
    except (OverflowError, ValueError):
        return text
    return f"{local.isoformat(sep=' ', timespec='seconds')}, {distance(at, now)}"


def distance(at: Instant, now: Instant) -> str:
    """`3 min ago`, `in 2 h`, `now`."""
    apart = now.since(at)
    if abs(apart) < SECOND:
        return "now"
    said = roughly(Duration(abs(apart)))
    return f"{said} ago" if apart > 0 else f"in {said}"


def roughly(span: Duration) -> str:
    """A length of time in its largest unit, rounded down: `3 min`."""
    for unit, name in _UNITS:
        if span >= unit:
            return f"{span // unit} {name}"
    return f"{span / 1e6:.3g} ms"


def seconds(value: float) -> str:
    """A measured time: `12.3 ms`, `1.2 s`."""
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def amount(number: int, what: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def counts(numbers: Mapping[str, int], nothing: str = "none") -> str:
    """`1 open, 2 pending`: what there is at all."""
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number) or nothing

"""Days: how services were on each of the last days, for bars of many days.

Knows the shapes that are shown. Does not know where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class DayRow(Struct, frozen=True):
    """One day (UTC, `2026-01-05`) of a service: shares of it, which add up to 1. Today is what has passed of it."""

    day: str
    up: float
    down: float
    degraded: float
    maintenance: float
    unknown: float


class Days(Protocol):
    """How services were, by day."""

    async def days(self, services: Sequence[str], count: int) -> Mapping[str, tuple[DayRow, ...]]:
        """The last `count` days of each, oldest first, today last; services that there are not are left out.

        Days that are over are worked out once. Today is at most a minute old.
        """
        ...

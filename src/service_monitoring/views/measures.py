"""Measures: the figures of the monitor itself, as one value that faces may show or export.

Knows counts and sizes. No name of a service or check is part of them: there are as many with ten thousand services as
with one. Does not know where they come from, nor how they are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct

MOST_CHANNELS: Final = 20
"""Channels that are named; the others are counted together as `OTHER`."""
OTHER: Final = "other"


class Histogram(Struct, frozen=True):
    """How many were at or below each bound (seconds), how many there were in all, and their sum (seconds)."""

    buckets: tuple[tuple[float, int], ...]
    count: int
    total: float


class QueueMeasures(Struct, frozen=True):
    """How full a queue is, and what it did not take so far."""

    length: int
    capacity: int
    dropped: int = 0
    refused: int = 0


class LoopMeasures(Struct, frozen=True):
    """Whether a loop runs, how often it was started again, and how long ago it gave a sign of life."""

    up: bool
    restarts: int
    silent_seconds: float


class WriterMeasures(Struct, frozen=True):
    """What a writer of the store did: commits, operations within them, and failures."""

    commits: int
    operations: int
    failures: int


class Measures(Struct, frozen=True):
    """Everything at one instant. Counts are since the program began; pairs are (state, severity), (state, channel),
    (channel, answer) and (route, status).
    """

    version: str
    services: int
    checks: int
    rules: int
    runs: Mapping[str, int]
    slots: Mapping[str, int]
    outstanding: int
    lateness: Histogram
    queues: Mapping[str, QueueMeasures]
    writers: Mapping[str, WriterMeasures]
    sizes: Mapping[str, int]
    incidents: Mapping[tuple[str, str], int]
    notices: Mapping[tuple[str, str], int]
    answers: Mapping[tuple[str, str], int]
    loops: Mapping[str, LoopMeasures]
    lag: float
    longest_lag: float
    judged_at: float
    judging_lag: float
    gaps: int
    troubles: int
    uplink_up: bool
    requests: Mapping[tuple[str, str], int]
    listeners: int


class Meter(Protocol):
    """Who knows the figures."""

    async def measures(self) -> Measures:
        """All of them, as they are now."""
        ...


class RequestCounts:
    """Requests that were answered, by the template of their route and the class of their status. For one loop."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, str]] = Counter()

    def count(self, route: str, status: int) -> None:
        """One more. `route` is a template, never a path: paths hold names and keys."""
        self._counted[route, f"{status // 100}xx"] += 1

    def counts(self) -> dict[tuple[str, str], int]:
        """What was counted so far."""
        return dict(self._counted)


def among_channels(counts: Mapping[tuple[str, str], int], place: int) -> dict[tuple[str, str], int]:
    """Counts with the busiest channels by name, and all others together; `place` is where a key has the channel."""
    by_channel: Counter[str] = Counter()
    for key, number in counts.items():
        by_channel[key[place]] += number
    named = {name for name, _ in sorted(by_channel.items(), key=lambda each: (-each[1], each[0]))[:MOST_CHANNELS]}
    found: Counter[tuple[str, str]] = Counter()
    for key, number in counts.items():
        one, other = (part if at != place or part in named else OTHER for at, part in enumerate(key))
        found[one, other] += number
    return dict(found)

"""Lateness: how late things began, as a histogram that costs next to nothing to fill.

Knows durations only. Does not know what was late, nor whose fault it was.
"""

from __future__ import annotations

from msgspec import Struct

from service_monitoring.domain.instants import Duration

_WIDTH = 16
"""Buckets are this power of two of nanoseconds wide: 66 microseconds."""

_BUCKETS = 1 << 14
"""More than a second; what is later shares the last bucket, and `worst` tells how late it was."""


class LatenessStatistics(Struct, frozen=True):
    """Quantiles are upper bounds of their buckets, 66 microseconds wide up to a second; `worst` is exact."""

    count: int
    median: Duration
    p99: Duration
    worst: Duration


class Lateness:
    """A histogram of durations. For one loop."""

    __slots__ = ("_buckets", "_worst", "total")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self._worst = 0
        self.total = 0
        """Of everything that was late, in nanoseconds."""

    def record(self, late: int) -> None:
        """Count one lateness in nanoseconds; early counts as punctual."""
        if late <= 0:
            self._buckets[0] += 1
            return
        self.total += late
        try:
            self._buckets[late >> _WIDTH] += 1
        except IndexError:
            self._buckets[-1] += 1
        if late > self._worst:  # noqa: PLR1730 - max() costs as much as all the rest here
            self._worst = late

    def at_most(self, bounds: tuple[int, ...]) -> tuple[int, ...]:
        """How many were at or below each bound (nanoseconds, rising), right to 66 microseconds; then how many in all.

        A bucket that a bound cuts is counted with the next one. Beyond a second, only how many in all is known.
        """
        found, index, seen = [], 0, 0
        for bound in bounds:
            whole = min(bound >> _WIDTH, _BUCKETS - 1)
            seen += sum(self._buckets[index:whole])
            found.append(seen)
            index = whole
        return (*found, seen + sum(self._buckets[index:]))

    def quantile(self, share: float) -> Duration:
        """The lateness that `share` of all stayed at or below; nothing when none was recorded."""
        wanted = share * sum(self._buckets)
        seen = 0
        for index, number in enumerate(self._buckets):
            seen += number
            if number and seen >= wanted:
                return Duration(self._worst if index == _BUCKETS - 1 else min(index + 1 << _WIDTH, self._worst))
        return Duration(0)

    def statistics(self) -> LatenessStatistics:
        """Everything so far."""
        count = sum(self._buckets)
        return LatenessStatistics(count, self.quantile(0.5), self.quantile(0.99), Duration(self._worst))

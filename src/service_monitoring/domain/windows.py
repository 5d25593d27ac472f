"""Windows: the samples a rule looks at, by count or by time, and exact arithmetic over them.

A window's value is a function of its samples alone: no running float sum decides anything, because its rounding would
depend on where a column began. Knows columns; does not know rules, verdicts or where samples come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from service_monitoring.domain.instants import Duration

InstantColumn = npt.NDArray[np.int64]
FloatColumn = npt.NDArray[np.float64]
CodeColumn = npt.NDArray[np.int8]


class Reach(Struct, frozen=True):
    """How much history a strategy needs: at least `samples` samples, and all of the last `over`."""

    samples: int = 1
    over: Duration = Duration(0)

    def joined(self, other: Reach) -> Reach:
        """What satisfies both."""
        return Reach(max(self.samples, other.samples), Duration(max(self.over, other.over)))


def starts(instants: InstantColumn, over: Duration, first: int) -> InstantColumn:
    """For each sample from `first` on, the index of the first sample of its window (t - over, t].

    Where a column begins before its windows are full, these open with it; see `_found` for the others.
    """
    oldest = instants[first:] - over
    if len(oldest) < _STEADY:
        return instants.searchsorted(oldest, side="right")
    growing = int(oldest.searchsorted(instants[0]))
    if growing == 0:
        return _found(instants, oldest)
    opens = np.zeros(len(oldest), dtype=np.int64)
    if growing < len(opens):
        opens[growing:] = _found(instants, oldest[growing:])
    return opens


def _found(instants: InstantColumn, oldest: InstantColumn) -> InstantColumn:
    """The index of the first sample after each of `oldest`.

    Samples come at a steady pace: where all windows hold as many as the first, or one more or less, none is searched.
    """
    begin = int(instants.searchsorted(oldest[0], side="right"))
    opens = np.arange(begin, begin + len(oldest))
    opens += instants[begin : begin + len(oldest)] <= oldest
    if begin > 0:
        opens -= instants[begin - 1 : begin - 1 + len(oldest)] > oldest
    if (instants[opens] > oldest).all() and (instants[opens - 1] <= oldest)[opens > 0].all():
        return opens
    return instants.searchsorted(oldest, side="right")


def observed(
    instants: InstantColumn, opens: InstantColumn, ends: InstantColumn, closes: InstantColumn, stands_for: Duration
) -> InstantColumn:
    """How much of each window was observed: its samples instants[open:end] each stand until the next one or `close`,
    and for no longer than `stands_for`. Integers, so that a running sum is exact.
    """
    begin = int(opens.min(initial=len(instants)))
    seen = instants[begin:]
    if len(seen) == 0:
        return np.zeros(len(opens), dtype=np.int64)
    running = np.zeros(len(seen), dtype=np.int64)
    np.cumsum(np.minimum(seen[1:] - seen[:-1], stands_for), out=running[1:])
    first = np.minimum(opens - begin, len(seen) - 1)
    last = np.maximum(ends - 1 - begin, 0)
    total = running[last] - running[first] + np.minimum(closes - seen[last], stands_for)
    return np.where(ends > opens, total, 0)


def differences(last: FloatColumn, first: FloatColumn) -> FloatColumn:
    """`last` minus `first`; what lies beyond the largest float stays at it, as everywhere in this module."""
    with np.errstate(over="ignore"):
        return np.clip(last - first, -LARGEST, LARGEST)


def gains(values: FloatColumn) -> FloatColumn:
    """The positive steps from value to value, one less than there are; a drop is a restart and counts the new value."""
    steps = differences(values[1:], values[:-1])
    return np.where(steps >= 0, steps, values[1:])


def increases(values: FloatColumn, opens: InstantColumn, ends: InstantColumn) -> FloatColumn:
    """Sum of the gains inside each window."""
    return _each(gains(values), opens, np.maximum(ends - 1, opens), _total)


def windowed(values: FloatColumn, opens: InstantColumn, ends: InstantColumn, function: str) -> FloatColumn:
    """avg, min, max, sum or stddev of each window values[open:end], none of them empty."""
    return _each(values, opens, ends, _EXACT[function])


def _each(
    values: FloatColumn, opens: InstantColumn, ends: InstantColumn, of: Callable[[list[float]], float]
) -> FloatColumn:
    """What a function says of each window values[open:end]; the slice of a list costs a third of that of a column."""
    if not len(opens):
        return NO_VALUES
    first = int(opens[0])
    seen = values[first : int(ends[-1])].tolist()
    windows = zip((opens - first).tolist(), (ends - first).tolist(), strict=True)
    return np.array([of(seen[begin:end]) for begin, end in windows], dtype=np.float64)


def percentiles(values: FloatColumn, opens: InstantColumn, ends: InstantColumn, percentile: float) -> FloatColumn:
    """The percentile (0..100) of each window values[open:end], none of them empty."""
    rank = percentile / 100
    return np.array([_percentile(values[a:b], rank) for a, b in zip(opens, ends, strict=True)], dtype=np.float64)


def are_among(least: float, greatest: float, limits: Iterable[float], margin: float = 0.0) -> bool:
    """Whether any limit, give or take a margin, lies in [least, greatest]; so it does where these are not numbers."""
    return not all(limit + margin < least or limit - margin > greatest for limit in limits)


def _total(window: list[float]) -> float:
    """The sum, rounded once."""
    try:
        return math.fsum(window)
    except OverflowError:
        return _clipped(math.fsum([value * _SMALLER for value in window]) / _SMALLER)


def _average(window: list[float]) -> float:
    try:
        return math.fsum(window) / len(window)
    except OverflowError:
        return math.fsum([value * _SMALLER for value in window]) / len(window) / _SMALLER


def _deviation(window: list[float]) -> float:
    """Population standard deviation in two passes: sqrt(sum((x - mean)^2) / n).

    Counted from the first value, so that it is exactly zero where all are equal.
    """
    scale = 1.0 if max(map(abs, window)) < _SQUARABLE else _SMALLER
    first = window[0] * scale
    values = [value * scale - first for value in window]
    middle = math.fsum(values) / len(values)
    return _clipped(math.sqrt(math.fsum([(value - middle) ** 2 for value in values]) / len(values)) / scale)


def _percentile(window: FloatColumn, rank: float) -> float:
    """Linear interpolation between the order statistics around rank x (n - 1), as Hyndman and Fan's type 7."""
    ordered = np.sort(window)
    place = rank * (len(ordered) - 1)
    below = math.floor(place)
    low = float(ordered[below])
    high = float(ordered[min(below + 1, len(ordered) - 1)])
    share = place - below
    # Not low + (high - low) * share: that overflows between values of opposite sign, and can pass the higher one.
    return min(high, max(low, low * (1 - share) + high * share))


def _clipped(value: float) -> float:
    return max(-LARGEST, min(LARGEST, value))


LARGEST: Final = float(np.finfo(np.float64).max)
"""Results beyond it stay at it: no finite values give an infinite number."""

NO_INSTANTS: Final[InstantColumn] = np.empty(0, dtype=np.int64)
NO_VALUES: Final[FloatColumn] = np.empty(0, dtype=np.float64)

_STEADY: Final = 64
_SQUARABLE: Final = 1e150
_SMALLER: Final = 2.0**-600
"""A factor that costs large numbers no bit, and leaves room for the sum of their squares."""

_EXACT: Final[dict[str, Callable[[list[float]], float]]] = {
    "avg": _average,
    "sum": _total,
    "min": min,
    "max": max,
    "stddev": _deviation,
}


class Window:
    """The newest samples of one series: all that the rules on it may look back at, and little more.

    Single-threaded, never blocks. Columns handed out are views, valid until the next `append` or `shift`.
    """

    __slots__ = ("_begin", "_end", "_instants", "_reach", "_values")

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._instants: InstantColumn = np.empty(8, dtype=np.int64)
        self._values: FloatColumn = np.empty(8, dtype=np.float64)
        self._begin = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def newest(self) -> int:
        """The instant of the newest sample; earlier than any when there is none."""
        return int(self._instants[self._end - 1]) if self._end > self._begin else -(1 << 63)

    @property
    def instants(self) -> InstantColumn:
        """Instants in nanoseconds, increasing."""
        return self._instants[self._begin : self._end]

    @property
    def values(self) -> FloatColumn:
        """The values at those instants."""
        return self._values[self._begin : self._end]

    @property
    def columns(self) -> tuple[InstantColumn, FloatColumn]:
        """Both."""
        return self.instants, self.values

    def append(self, at: int, value: float) -> None:
        """Add the newest sample and let go of what no rule can see any more."""
        if self._end == len(self._instants):
            self._make_room(1)
        self._instants[self._end] = at
        self._values[self._end] = value
        self._end += 1
        oldest = at - self._reach.over
        while len(self) > self._reach.samples and self._instants[self._begin] <= oldest:
            self._begin += 1

    def extend(self, instants: Sequence[int], values: Sequence[float]) -> None:
        """Add samples, oldest first, as if each were appended; of several at one instant the first stands."""
        newest, fresh, worth = self.newest, list[int](), list[float]()
        for at, value in zip(instants, values, strict=True):
            if at > newest:
                newest = at
                fresh.append(at)
                worth.append(value)
        if not fresh:
            return
        self._make_room(len(fresh))
        end = self._end + len(fresh)
        self._instants[self._end : end], self._values[self._end : end] = fresh, worth
        self._end = end
        beyond = int(np.searchsorted(self.instants, newest - self._reach.over, side="right"))
        self._begin += max(0, min(beyond, len(self) - self._reach.samples))

    def needed(self, instants: InstantColumn, end: int) -> slice:
        """Of columns up to index `end`, what the rules look back at from the newest sample."""
        if end == 0:
            return slice(0, 0)
        oldest = instants[end - 1] - self._reach.over
        return slice(
            max(0, min(int(instants[:end].searchsorted(oldest, side="right")), end - self._reach.samples)), end
        )

    def become(self, instants: InstantColumn, values: FloatColumn) -> None:
        """Hold these samples instead of all others."""
        self._begin = self._end = 0
        self._make_room(len(instants))
        self._end = len(instants)
        self._instants[: self._end], self._values[: self._end] = instants, values

    def widen(self, reach: Reach) -> None:
        """Look back further from now on."""
        self._reach = self._reach.joined(reach)

    def shift(self, delta: Duration) -> None:
        """The wall clock stepped: the samples stay as old as they were."""
        self._instants[self._begin : self._end] += delta

    def _make_room(self, more: int) -> None:
        """For so many more samples; half of the room stays free, so that it is not made anew for each of them."""
        if self._end + more <= len(self._instants):
            return
        kept = len(self)
        size = len(self._instants)
        while size < (kept + more - 1) * 2:
            size *= 2
        instants, values = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.float64)
        instants[:kept], values[:kept] = self.instants, self.values
        self._instants, self._values = instants, values
        self._begin, self._end = 0, kept

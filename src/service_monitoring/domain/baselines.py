"""Baselines: strategies that hold a sample against the past of its own series, `Deviation` and `Forecast`.

Each number is a function of the samples in its window alone: order statistics, and sums that are rounded once, so that
neither the length of a column nor the order of addition is in it. Knows columns and limits; does not know rules,
seasons of a calendar (a season here is a length of time) or what follows from a code.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from msgspec import Struct

from service_monitoring.domain.comparisons import Compared, Comparison, Worse, coded
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import (
    LARGEST,
    CodeColumn,
    FloatColumn,
    InstantColumn,
    Reach,
    observed,
    starts,
)

NEAR: Final = 48
"""Near the same time of a season is within a 48th of it: half an hour before to half an hour after, of a day."""

_SIGMA_OF_MAD: Final = 1.4826
_SIGMA_OF_MEAN: Final = 1.2533
_SQUARABLE: Final = 1e150
_SMALLER: Final = 2.0**-600
_SLIDES_FROM: Final = 8


class Deviation(Compared, frozen=True, tag="deviation", kw_only=True):
    """Compares the robust z-score of the newest value: (x - median) / (1.4826 MAD) of its baseline.

    The baseline are the samples of (t - baseline, t), or, with `season`, those of (t - k season - near, t - k season +
    near] for k = 1 .. baseline / season and near = season / 48. Where MAD is 0, more than half of them being equal,
    1.2533 times the mean absolute deviation takes its place; where that is 0 too, a value that differs is infinitely
    far (the largest float). Unknown where less than half of the baseline was observed, a sample standing for
    `stands_for` at most. (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.)
    """

    baseline: Duration
    season: Duration | None = None
    stands_for: Duration

    @property
    def reach(self) -> Reach:
        """The baseline; with seasons, to the far end of the earliest."""
        if self.season is None:
            return Reach(samples=1, over=self.baseline)
        return Reach(samples=1, over=Duration(self._seasons * self.season + self.season // NEAR))

    @property
    def _seasons(self) -> int:
        assert self.season is not None
        return max(1, self.baseline // self.season)

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """The z-scores."""
        parts, seen, whole = self._parts(instants, first)
        scores = np.full(len(values) - first, np.nan)
        known = np.flatnonzero(seen * 2 >= whole)
        if len(known) < _SLIDES_FROM:
            for index in known.tolist():
                past = np.sort(np.concatenate([values[opens[index] : ends[index]] for opens, ends in parts]))
                scores[index] = score(float(values[first + index]), past)
            return scores
        past_of = _Sliding(values, parts)
        judged = values[first:].tolist()
        for index in known.tolist():
            scores[index] = score(judged[index], past_of(index))
        return scores

    def _parts(
        self, instants: InstantColumn, first: int
    ) -> tuple[list[tuple[InstantColumn, InstantColumn]], InstantColumn, int]:
        """The stretches that make up each baseline (open and end indices), how much was observed, and of how much."""
        now = instants[first:]
        if self.season is None:
            opens, ends = starts(instants, self.baseline, first), np.arange(first, len(instants))
            return [(opens, ends)], observed(instants, opens, ends, now, self.stands_for), self.baseline
        near = self.season // NEAR
        parts, seen = [], np.zeros(len(now), dtype=np.int64)
        for number in range(1, self._seasons + 1):
            close = now - (number * self.season - near)
            opens = np.searchsorted(instants, close - 2 * near, side="right")
            ends = np.searchsorted(instants, close, side="right")
            parts.append((opens, ends))
            seen += observed(instants, opens, ends, close, self.stands_for)
        return parts, seen, self._seasons * 2 * near


class _Sliding:
    """The sorted values of a baseline that moves on: each value enters and leaves once, none is added up."""

    def __init__(self, values: FloatColumn, parts: list[tuple[InstantColumn, InstantColumn]]) -> None:
        self._values = values
        self._parts = parts
        self._bounds = [(0, 0)] * len(parts)
        self._sorted: list[float] = []

    def __call__(self, index: int) -> list[float]:
        """The baseline of the sample of that index; indices only grow."""
        for number, (opens, ends) in enumerate(self._parts):
            was_open, was_end = self._bounds[number]
            now_open, now_end = int(opens[index]), int(ends[index])
            self._bounds[number] = now_open, now_end
            for value in self._values[was_open : min(now_open, was_end)].tolist():
                del self._sorted[bisect_left(self._sorted, value)]
            for value in self._values[max(was_end, now_open) : now_end].tolist():
                insort(self._sorted, value)
        return self._sorted


def score(value: float, past: Sequence[float] | FloatColumn) -> float:
    """The robust z-score of a value against a sorted past that is not empty."""
    count = len(past)
    middle = _halfway(float(past[(count - 1) // 2]), float(past[count // 2]))
    distance = value - middle
    spread = _halfway(_nearest(past, middle, (count + 1) // 2), _nearest(past, middle, count // 2 + 1)) * _SIGMA_OF_MAD
    if spread == 0:
        spread = _mean_distance(past, middle) * _SIGMA_OF_MEAN
    if spread == 0:
        return math.copysign(LARGEST, distance) if distance else 0.0
    return max(-LARGEST, min(LARGEST, max(-LARGEST, min(LARGEST, distance)) / min(LARGEST, spread)))


def _halfway(low: float, high: float) -> float:
    middle = (low + high) / 2
    return middle if math.isfinite(middle) else low / 2 + high / 2


def _nearest(past: Sequence[float] | FloatColumn, middle: float, count: int) -> float:
    """The `count`th smallest distance to the middle: the nearest stand side by side in a sorted past, so that a binary
    search for where they begin finds it.
    """
    low, high = 0, len(past) - count
    while low < high:
        half = (low + high) // 2
        if middle - float(past[half]) > float(past[half + count]) - middle:
            low = half + 1
        else:
            high = half
    return min(LARGEST, max(middle - float(past[low]), float(past[low + count - 1]) - middle))


def _mean_distance(past: Sequence[float] | FloatColumn, middle: float) -> float:
    """The mean absolute deviation, of which most terms are 0 where it is asked for."""
    below = [middle - float(value) for value in past[: bisect_left(past, middle)]]
    above = [float(value) - middle for value in past[bisect_right(past, middle) :]]
    try:
        return math.fsum(below + above) / len(past)
    except OverflowError:
        return LARGEST


class Direction(StrEnum):
    """Which way a line has to travel through the level; `ANY` is whichever way it travels."""

    UP = "up"
    DOWN = "down"
    ANY = "any"


class Forecast(Struct, frozen=True, tag="forecast", kw_only=True):
    """Breached when the least-squares line over (t - fit, t] is beyond `level` by t + within, the way it travels.

    That is so when it crosses the level before t + within, and when it is beyond and stays there. Up and down take the
    level for a limit from one side, wherever the line comes from; for `any` a line that is level is Healthy. What is
    measured is the line's value at t + within. Unknown where less than half of the window was observed, a sample
    standing for `stands_for` at most, and where it holds fewer than two.
    """

    level: float
    within: Duration
    fit: Duration
    stands_for: Duration
    direction: Direction = Direction.ANY

    @property
    def reach(self) -> Reach:
        """The window of the line."""
        return Reach(samples=2, over=self.fit)

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """Where the lines are at t + within."""
        return self._lines(instants, values, first)[0]

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Whether the lines are beyond the level by then; a recovery comparison is of where they are."""
        ahead, slopes = self._lines(instants, values, first)
        breached = np.zeros(len(ahead), dtype=np.bool_)
        if self.direction is not Direction.DOWN:
            breached |= (ahead > self.level) & ((slopes > 0) | (self.direction is Direction.UP))
        if self.direction is not Direction.UP:
            breached |= (ahead < self.level) & ((slopes < 0) | (self.direction is Direction.DOWN))
        codes = coded(breached, None if recovery is None else recovery.holds(ahead))
        codes[np.isnan(ahead)] = Code.UNKNOWN
        return codes

    def _lines(self, instants: InstantColumn, values: FloatColumn, first: int) -> tuple[FloatColumn, FloatColumn]:
        """The value at t + within and the slope (per nanosecond) of each line; NaN where there is none."""
        opens, ends = starts(instants, self.fit, first), np.arange(first + 1, len(values) + 1)
        seen = observed(instants, opens, ends, instants[first:], self.stands_for)
        ahead, slopes = np.full(len(opens), np.nan), np.full(len(opens), np.nan)
        for index in np.flatnonzero((ends - opens >= 2) & (seen * 2 >= self.fit)).tolist():
            window = slice(opens[index], first + index + 1)
            ahead[index], slopes[index] = line(instants[window], values[window], self.within)
        return ahead, slopes


def line(instants: InstantColumn, values: FloatColumn, within: Duration) -> tuple[float, float]:
    """The least-squares line through the samples: its value `within` after the last, and its slope per nanosecond.

    Times are centred and values counted from the first one, so that neither cancels and equal values give a level line;
    every sum is rounded once.
    """
    scale = 1.0 if float(np.abs(values).max()) < _SQUARABLE else _SMALLER
    base = float(values[0]) * scale
    times = (instants - instants[-1]).astype(np.float64)
    heights = values * scale - base
    middle, height = math.fsum(times.tolist()) / len(times), math.fsum(heights.tolist()) / len(times)
    times -= middle
    slope = math.fsum((times * (heights - height)).tolist()) / math.fsum((times * times).tolist())
    ahead = (base + (height + slope * (within - middle))) / scale
    return max(-LARGEST, min(LARGEST, ahead)), max(-LARGEST, min(LARGEST, slope / scale))

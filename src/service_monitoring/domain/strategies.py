"""Strategies: pure functions from columns of samples to columns of verdict codes, one class a kind of rule.

A strategy knows values and instants of one series, nothing of incidents, timers or how many samples come at a time: the
code at a sample is a function of the samples in its own window alone, so that the newest window judged live and a year
judged at once give the same codes. Arithmetic that could depend on the length of a column is in `windows`; what needs
a longer past than a window is in `baselines` and `budgets`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from service_monitoring.domain.baselines import Deviation, Direction, Forecast
from service_monitoring.domain.budgets import FAST, SLOW, Budget, Burn
from service_monitoring.domain.comparisons import (
    LEVELS,
    Compared,
    Comparison,
    Operator,
    Worse,
    alone,
    code_of,
    coded,
    limits_of,
)
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.schedules import Failing
from service_monitoring.domain.sliding import FEW, astride, extremes, pieces, sums, undecided
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import (
    CodeColumn,
    FloatColumn,
    InstantColumn,
    Reach,
    differences,
    gains,
    increases,
    percentiles,
    starts,
    windowed,
)

__all__ = [
    "FAST",
    "SLOW",
    "Absence",
    "Aggregate",
    "AnyStrategy",
    "Budget",
    "Burn",
    "Change",
    "Comparison",
    "Composite",
    "Deviation",
    "Direction",
    "Forecast",
    "Function",
    "Heartbeat",
    "Judging",
    "LastOf",
    "Operator",
    "Strategy",
    "Threshold",
    "code_of",
]


class Strategy(Protocol):
    """The laws of a kind of rule.

    Columns are one series' samples in strictly increasing order: int64 nanoseconds and finite float64. `codes` judges
    the samples from index `first` on; what stands before is history. The code at an index depends on no sample outside
    `reach` of it and on no other argument, so any chunking gives the same codes.
    """

    @property
    def reach(self) -> Reach:
        """How much history a code needs."""
        ...

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """What is compared and shown as evidence, from index `first` on; NaN where nothing can be said."""
        ...

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """The codes from index `first` on; kinds that compare nothing stronger leave `worse` aside."""
        ...


class Function(StrEnum):
    """Aggregates over a time window; percentiles are `Percentile`."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    STDDEV = "stddev"
    PERCENTILE = "percentile"
    RATE = "rate"
    INCREASE = "increase"
    DELTA = "delta"


_AMONG_ITS_SAMPLES: Final = frozenset({Function.AVG, Function.MIN, Function.MAX, Function.PERCENTILE})
"""What lies between the least and the greatest sample of a window."""


class Threshold(Compared, frozen=True, tag="threshold"):
    """Compares the value itself."""

    @property
    def reach(self) -> Reach:
        """The sample itself."""
        return Reach(samples=1)

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """The values."""
        return values[first:]


class LastOf(Struct, frozen=True, tag="last"):
    """Breached when at least `need` of the last `count` samples hold the comparison; Unknown before `count` samples.

    With a recovery comparison it has recovered when at least `need` of the last `count` hold that one; it is worse when
    at least `need` hold a stronger one.
    """

    count: int
    need: int
    comparison: Comparison

    @property
    def reach(self) -> Reach:
        """The last `count` samples."""
        return Reach(samples=self.count)

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """The newest value, from the `count`th sample on."""
        measured = values[first:].copy()
        measured[: max(0, self.count - 1 - first)] = np.nan
        return measured

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Count the samples that hold in each window of `count`."""
        if len(values) - first == 1 and self.count <= FEW:
            return alone(self._newest(values, recovery, worse))
        begin = max(0, first - self.count + 1)
        seen = values[begin:]
        codes = coded(
            self._enough(self.comparison, seen),
            None if recovery is None else self._enough(recovery, seen),
            *(self._enough(stronger, seen) for stronger in worse),
        )
        codes[: self.count - 1] = Code.UNKNOWN
        return codes[first - begin :]

    def _newest(self, values: FloatColumn, recovery: Comparison | None, worse: Worse) -> int:
        """The newest window's code, live: so few floats are counted faster one by one."""
        if len(values) < self.count:
            return Code.UNKNOWN
        last = values[-self.count :].tolist()

        def enough(comparison: Comparison) -> bool:
            held: int = sum(map(comparison.holds, last))
            return held >= self.need

        if enough(self.comparison):
            levels = [level for level, stronger in zip(LEVELS, worse, strict=False) if enough(stronger)]
            return levels[-1] if levels else Code.BREACHED
        return Code.RECOVERED if recovery is None or enough(recovery) else Code.BETWEEN

    def _enough(self, comparison: Comparison, values: FloatColumn) -> npt.NDArray[np.bool_]:
        """Where at least `need` of the last `count` values hold; integers, so that a running sum is exact."""
        total = np.cumsum(comparison.holds(values), dtype=np.int64)
        total[self.count :] -= total[: -self.count].copy()
        return total >= self.need


class Aggregate(Compared, frozen=True, tag="aggregate", kw_only=True):
    """Compares an aggregate of the window (t - over, t]. `percentile` is 0..100 where `function` is PERCENTILE.

    Rate is per second: increase over the time from first to last sample, without extrapolation; rate, increase and
    delta are Unknown below two samples. Stddev is of the population; percentiles interpolate linearly.
    """

    function: Function
    over: Duration
    percentile: float | None = None

    @property
    def reach(self) -> Reach:
        """The window."""
        return Reach(samples=1, over=self.over)

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """Each window's aggregate, a function of that window's samples alone."""
        opens = starts(instants, self.over, first)
        ends = np.arange(first + 1, len(values) + 1)
        match self.function:
            case Function.COUNT:
                return (ends - opens).astype(np.float64)
            case Function.DELTA:
                return _two(opens, ends, differences(values[first:], values[opens]))
            case Function.INCREASE:
                return _two(opens, ends, increases(values, opens, ends))
            case Function.RATE:
                spans = (instants[first:] - instants[opens]) / SECOND
                gained = increases(values, opens, ends)
                return _two(opens, ends, np.divide(gained, spans, out=gained, where=spans > 0))
            case Function.PERCENTILE:
                assert self.percentile is not None
                return percentiles(values, opens, ends, self.percentile)
            case Function.MIN | Function.MAX if len(opens) >= FEW:
                return extremes(values, opens, ends, np.minimum if self.function is Function.MIN else np.maximum)
            case _:
                return windowed(values, opens, ends, self.function)

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Compare each window's aggregate, but where every sample of a window says the same of it."""
        if len(values) - first < FEW:
            return super().codes(instants, values, first, recovery, worse)
        unclear = None
        if self.function in _AMONG_ITS_SAMPLES:
            limits = limits_of(self.comparison, recovery, *worse)
            unclear = astride(instants, values, self.over, first, limits)
        if unclear is None:
            return self._looked_at(instants, values, first, recovery, worse)
        if not unclear:  # then no limit lies among the others either
            return np.full(
                len(values) - first, code_of(float(values[first]), self.comparison, recovery, worse), np.int8
            )
        codes: CodeColumn = code_of(values[first:], self.comparison, recovery, worse)
        for begin, end in unclear:
            old = int(instants[:begin].searchsorted(instants[begin] - self.over, side="right"))
            piece = instants[old:end], values[old:end], begin - old, recovery, worse
            codes[begin - first : end - first] = self._looked_at(*piece)
        return codes

    def _looked_at(
        self, instants: InstantColumn, values: FloatColumn, first: int, recovery: Comparison | None, worse: Worse
    ) -> CodeColumn:
        """Each window by itself; a long column in pieces that stay in the cache, which changes no code."""
        codes = np.empty(len(values) - first, dtype=np.int8)
        for old, begin, end in pieces(instants, self.over, first):
            piece = instants[old:end], values[old:end], begin - old, recovery, worse
            summed = self._is_sum and end - begin >= FEW
            codes[begin - first : end - first] = self._summed(*piece) if summed else super().codes(*piece)
        return codes

    @property
    def _is_sum(self) -> bool:
        return self.function in {Function.AVG, Function.SUM, Function.INCREASE, Function.RATE}

    def _summed(
        self, instants: InstantColumn, values: FloatColumn, first: int, recovery: Comparison | None, worse: Worse
    ) -> CodeColumn:
        """The codes by running sums, and exactly where their error could change one."""
        opens, ends = starts(instants, self.over, first), np.arange(first + 1, len(values) + 1)
        match self.function:
            case Function.AVG:
                found = sums(values, opens, ends).over((ends - opens).astype(np.float64))
            case Function.SUM:
                found = sums(values, opens, ends)
            case _:
                found = sums(gains(values), opens, ends - 1)
                if self.function is Function.RATE:
                    found = found.over(np.maximum(1, instants[first:] - instants[opens]) / SECOND)
        codes: CodeColumn = code_of(found.values, self.comparison, recovery, worse)
        for index in undecided(found, limits_of(self.comparison, recovery, *worse)).tolist():
            window = slice(opens[index], ends[index])
            last = int(ends[index] - opens[index]) - 1
            (exact,) = self.measured(instants[window], values[window], last).tolist()
            codes[index] = code_of(exact, self.comparison, recovery, worse)
        if self.function in {Function.INCREASE, Function.RATE}:
            codes[ends - opens < 2] = Code.UNKNOWN
        return codes


class Change(Compared, frozen=True, tag="change", kw_only=True):
    """Compares last minus first of the last `samples` samples, or of the window (t - over, t]; one of the two is given.

    Unknown until `samples` samples, or two samples in the window, are there.
    """

    samples: int | None = None
    over: Duration | None = None

    @property
    def reach(self) -> Reach:
        """The samples, or the window."""
        return Reach(samples=self.samples or 1, over=self.over or Duration(0))

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """Last minus first."""
        if self.over is not None:
            opens = starts(instants, self.over, first)
            return _two(opens, np.arange(first + 1, len(values) + 1), differences(values[first:], values[opens]))
        back = (self.samples or 1) - 1
        measured = np.full(len(values) - first, np.nan)
        whole = max(first, back)
        if whole < len(values):
            measured[whole - first :] = differences(values[whole:], values[whole - back : len(values) - back])
        return measured

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Compare the changes; a long column in pieces that stay in the cache."""
        if self.over is None or len(values) - first < FEW:
            return super().codes(instants, values, first, recovery, worse)
        codes = np.empty(len(values) - first, dtype=np.int8)
        for old, begin, end in pieces(instants, self.over, first):
            piece = instants[old:end], values[old:end], begin - old, recovery, worse
            codes[begin - first : end - first] = super().codes(*piece)
        return codes


class Absence(Struct, frozen=True, tag="absence"):
    """Breached, by timer, when no sample came for `after` of observed time; every sample is a recovery."""

    after: Duration

    @property
    def reach(self) -> Reach:
        """How long ago the sample may have come from which `holds` counts the silence."""
        return Reach(samples=1, over=self.after)

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """The values, as evidence that the series speaks."""
        return values[first:]

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Recovered at every sample."""
        return np.zeros(len(values) - first, dtype=np.int8)


class Heartbeat(Struct, frozen=True, tag="heartbeat"):
    """Breached while the check's job fails its schedule in one of these ways; `heartbeats` says when it does."""

    counts: tuple[Failing, ...]

    @property
    def reach(self) -> Reach:
        """None: the expectation keeps what it needs."""
        return Reach(samples=0)


class Composite(Struct, frozen=True, tag="composite"):
    """Breached while at least `need` of the member rules (`service.rule`) are, by Kleene's logic with Unknown.

    All of them is `all_of`, one is `any_of`. Members join on equal series labels; one without labels joins all.
    """

    members: tuple[str, ...]
    need: int

    @property
    def reach(self) -> Reach:
        """None: the members have their own."""
        return Reach(samples=0)


Judging = Threshold | LastOf | Aggregate | Change | Absence | Deviation | Forecast | Budget
"""Strategies that judge samples."""

AnyStrategy = Judging | Heartbeat | Composite


def _two(opens: InstantColumn, ends: InstantColumn, measured: FloatColumn) -> FloatColumn:
    """NaN where a window holds fewer than two samples."""
    return np.where(ends - opens >= 2, measured, np.nan)

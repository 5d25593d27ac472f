"""Budgets: the strategy that says how fast a service spends the failures that its objective allows.

Counts are integers and limits are fractions of them: whether a budget burns is decided without rounding. Knows columns
of `up`; does not know what is told to whom at which rate, nor what is left of a month.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from service_monitoring.domain.comparisons import Comparison, Worse, coded
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, Duration
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import CodeColumn, FloatColumn, InstantColumn, Reach, observed, starts

_FINEST: Final = 10**9
"""Objectives and rates are the decimals that people write: 99.9 per cent is 999/1000, not the float next to it."""


class Burn(Struct, frozen=True):
    """A multiple of the allowed error ratio, and the two windows that both have to exceed it."""

    rate: float
    long: Duration
    short: Duration


FAST: Final = (Burn(14.4, HOUR, Duration(5 * MINUTE)), Burn(6.0, Duration(6 * HOUR), Duration(30 * MINUTE)))
SLOW: Final = (Burn(1.0, Duration(3 * DAY), Duration(6 * HOUR)),)


class Budget(Struct, frozen=True, tag="budget", kw_only=True):
    """Breached while, for one of the burns, both windows have an error ratio above rate x (1 - objective).

    The error ratio of a window (t - length, t] is the share of its samples (of `up`) that are 0; `objective` is a share
    too, 0.999, over `window`, which people read and no verdict needs. A burn whose long window was observed less than
    half cannot say; where no burn is breached and one cannot say, it is Unknown. What is measured is the burn rate, the
    long window's ratio / (1 - objective), of the first burn that is breached, else the largest.
    (Google, The Site Reliability Workbook, chapter 5, sixth approach.)
    """

    objective: float
    window: Duration
    burns: tuple[Burn, ...]
    stands_for: Duration

    @property
    def allowed(self) -> Fraction:
        """The error ratio that the objective allows."""
        return 1 - Fraction(self.objective).limit_denominator(_FINEST)

    @property
    def reach(self) -> Reach:
        """The longest window that is judged."""
        return Reach(samples=1, over=Duration(max(burn.long for burn in self.burns)))

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """The burn rates."""
        return self._burning(instants, values, first)[1]

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Whether a burn is breached; a recovery comparison is of the burn rate."""
        breached, rates = self._burning(instants, values, first)
        codes = coded(breached, None if recovery is None else recovery.holds(rates))
        codes[np.isnan(rates)] = Code.UNKNOWN
        return codes

    def _burning(
        self, instants: InstantColumn, values: FloatColumn, first: int
    ) -> tuple[npt.NDArray[np.bool_], FloatColumn]:
        """Where a burn is breached, and the rates; NaN where nothing can be said."""
        allowed = self.allowed
        breached = np.zeros(len(values) - first, dtype=np.bool_)
        silent = np.zeros(len(breached), dtype=np.bool_)
        rates, largest = np.full(len(breached), np.nan), np.full(len(breached), np.nan)
        for burn in self.burns:
            opens = starts(instants, burn.long, first)
            ends = np.arange(first + 1, len(values) + 1)
            failed, total = failures(values, opens, ends), ends - opens
            can_say = observed(instants, opens, ends, instants[first:], self.stands_for) * 2 >= burn.long
            limit = Fraction(burn.rate).limit_denominator(_FINEST) * allowed
            short = starts(instants, burn.short, first)
            burns = can_say & _above(failed, total, limit) & _above(failures(values, short, ends), ends - short, limit)
            rate = np.where(can_say, failed / total / float(allowed), np.nan)
            rates = np.where(burns & ~breached, rate, rates)
            largest = np.fmax(largest, rate)
            breached |= burns
            silent |= ~can_say
        return breached, np.where(breached, rates, np.where(silent, np.nan, largest))


def failures(values: FloatColumn, opens: InstantColumn, ends: InstantColumn) -> InstantColumn:
    """How many samples of each window values[open:end] are 0: of all of them, that is the error ratio."""
    begin = int(opens.min(initial=len(values)))
    running = np.zeros(len(values) - begin + 1, dtype=np.int64)
    np.cumsum(values[begin:] == 0, out=running[1:])
    return running[ends - begin] - running[opens - begin]


def _above(failed: InstantColumn, total: InstantColumn, limit: Fraction) -> npt.NDArray[np.bool_]:
    """Where failed / total > limit, in integers."""
    most = int(total.max(initial=1))
    if max(limit.numerator, limit.denominator) * most < 1 << 62:
        return failed * limit.denominator > total * limit.numerator
    exact = [
        int(bad) * limit.denominator > int(all_) * limit.numerator for bad, all_ in zip(failed, total, strict=True)
    ]
    return np.array(exact, dtype=np.bool_)

"""Spending: how much of an error budget is used, how fast, and how much of its window was observed at all.

What a failure and an error ratio are is said in `budgets`, and how much was observed in `windows`: here the same is
asked of any instant, for people, where a rule asks at its samples. Knows columns; does not know where they come from.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
from msgspec import Struct

from service_monitoring.domain.budgets import Budget, failures
from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant
from service_monitoring.domain.windows import FloatColumn, InstantColumn, observed

RATES: Final = (HOUR, Duration(6 * HOUR), Duration(3 * DAY))
"""The windows over which people look at a burn rate."""


class Rate(Struct, frozen=True):
    """How many times as fast as allowed the budget was spent over a window; None where half of it was not observed."""

    over: Duration
    burn: float | None


class Spending(Struct, frozen=True):
    """What became of a budget in the window (t - window, t].

    `error_ratio` is the share of its samples that are failures, `remaining` the share of the allowed ones that is not
    used, below 0 when more failed; None without a sample. `observed` is the share of the window that samples stand for:
    both figures are of that part alone.
    """

    samples: int
    failed: int
    error_ratio: float | None
    remaining: float | None
    observed: float
    rates: tuple[Rate, ...]


def reach(budget: Budget) -> Duration:
    """How far back it is looked."""
    return Duration(max(budget.window, *RATES))


def spending(budget: Budget, instants: InstantColumn, values: FloatColumn, at: Instant) -> Spending:
    """What is used of a budget at an instant, by columns of `up` that reach back as far as `reach` says."""
    lengths = np.array([budget.window, *RATES], dtype=np.int64)
    closes = np.full(len(lengths), at.ns, dtype=np.int64)
    opens = np.searchsorted(instants, closes - lengths, side="right")
    ends = np.searchsorted(instants, closes, side="right")
    seen = observed(instants, opens, ends, closes, budget.stands_for).tolist()
    failed, samples = failures(values, opens, ends).tolist(), (ends - opens).tolist()
    ratios = [Fraction(bad, total) if total else None for bad, total in zip(failed, samples, strict=True)]
    whole = ratios[0]
    return Spending(
        samples=samples[0],
        failed=failed[0],
        error_ratio=None if whole is None else float(whole),
        remaining=None if whole is None else float(1 - whole / budget.allowed),
        observed=seen[0] / budget.window,
        rates=tuple(
            Rate(over, None if ratio is None or stood * 2 < over else float(ratio / budget.allowed))
            for over, ratio, stood in zip(RATES, ratios[1:], seen[1:], strict=True)
        ),
    )

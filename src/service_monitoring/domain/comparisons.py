"""Comparisons: how a value is held against limits, and the code that follows from it.

Knows floats, columns of floats and limits. Does not know where a value comes from (`strategies`), nor samples, time or
what becomes of a code (`holds`).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import CodeColumn, FloatColumn, InstantColumn, are_among


class Operator(StrEnum):
    """How a value is compared. `OUTSIDE` and `INSIDE` take two limits; `INSIDE` includes them, `OUTSIDE` does not."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    OUTSIDE = "outside"
    INSIDE = "inside"


class Comparison(Struct, frozen=True):
    """`value operator operand`; `upper` is the second limit of `outside` and `inside`."""

    operator: Operator
    operand: float
    upper: float | None = None

    def holds(self, value: Any) -> Any:
        """Compare a float (a bool comes back) or a column of floats (a column of bools): one definition for both."""
        match self.operator:
            case Operator.ABOVE:
                return value > self.operand
            case Operator.AT_LEAST:
                return value >= self.operand
            case Operator.BELOW:
                return value < self.operand
            case Operator.AT_MOST:
                return value <= self.operand
            case Operator.OUTSIDE:
                return (value < self.operand) | (value > self.upper)
            case Operator.INSIDE:
                return (value >= self.operand) & (value <= self.upper)

    @property
    def limits(self) -> tuple[float, ...]:
        """The values at which the answer changes."""
        return (self.operand,) if self.upper is None else (self.operand, self.upper)


Worse = tuple[Comparison, ...]
"""Up to two stronger comparisons of the same value: what lifts a breach to `Code.WORSE` and `Code.WORST`."""

LEVELS: Final = (int(Code.WORSE), int(Code.WORST))


def code_of(value: Any, comparison: Comparison, recovery: Comparison | None, worse: Worse = ()) -> Any:
    """The code of a measured value, or the column of codes of a measured column.

    Breached wins where both comparisons hold. Without `recovery` every value that is not breached has recovered. A
    stronger comparison counts only where the rule's own holds; of two that hold the second is the worst.
    """
    if isinstance(value, np.ndarray):
        recovered = None if recovery is None else recovery.holds(value)
        return coded(comparison.holds(value), recovered, *(stronger.holds(value) for stronger in worse))
    if comparison.holds(value):
        code = int(Code.BREACHED)
        for level, stronger in zip(LEVELS, worse, strict=False):
            if stronger.holds(value):
                code = level
        return code
    return int(Code.RECOVERED) if recovery is None or recovery.holds(value) else int(Code.BETWEEN)


def codes_of(values: FloatColumn, comparison: Comparison, recovery: Comparison | None, worse: Worse = ()) -> CodeColumn:
    """The codes of a column of values; NaN is Unknown. Where no limit lies among them all have one code."""
    if not len(values):
        return np.empty(0, dtype=np.int8)
    least, greatest = float(values.min()), float(values.max())
    if not are_among(least, greatest, limits_of(comparison, recovery, *worse)):
        return np.full(len(values), code_of(least, comparison, recovery, worse), dtype=np.int8)
    codes: CodeColumn = code_of(values, comparison, recovery, worse)
    if math.isnan(least):
        codes[np.isnan(values)] = Code.UNKNOWN
    return codes


def coded(
    breached: npt.NDArray[np.bool_], recovered: npt.NDArray[np.bool_] | None = None, *worse: npt.NDArray[np.bool_]
) -> CodeColumn:
    """The codes of a column, from what was found to hold where. Bytes all the way: a column is limited by memory."""
    codes: CodeColumn = breached.view(np.int8) << 1
    if recovered is not None:
        codes |= (~(breached | recovered)).view(np.int8)
    for level, stronger in zip(LEVELS, worse, strict=False):
        codes[breached & stronger] = level
    return codes


def alone(code: int) -> CodeColumn:
    """A column of one code."""
    return np.array((code,), dtype=np.int8)


class Compared(Struct, frozen=True):
    """What strategies share that measure a value and then compare it."""

    comparison: Comparison

    def measured(self, instants: InstantColumn, values: FloatColumn, first: int) -> FloatColumn:
        """What is compared, from index `first` on."""
        raise AssertionError("every kind measures in its own way")

    def codes(
        self,
        instants: InstantColumn,
        values: FloatColumn,
        first: int,
        recovery: Comparison | None,
        worse: Worse = (),
    ) -> CodeColumn:
        """Compare what was measured; nothing measured is Unknown."""
        measured = self.measured(instants, values, first)
        if len(measured) == 1:  # live: a column of one costs less as a float
            value = float(measured[0])
            return alone(Code.UNKNOWN if math.isnan(value) else code_of(value, self.comparison, recovery, worse))
        return codes_of(measured, self.comparison, recovery, worse)


def limits_of(*comparisons: Comparison | None) -> tuple[float, ...]:
    """Every value at which one of them changes its answer."""
    return tuple(limit for comparison in comparisons if comparison is not None for limit in comparison.limits)

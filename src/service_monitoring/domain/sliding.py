"""Sliding windows over long columns: cut into pieces, their extremes exactly, their sums with a bound on the error.

What is bounded may only exclude: it decides a comparison where no value within the bound would decide it otherwise.
Knows columns and arithmetic; does not know what a rule compares (`comparisons`, `strategies`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from service_monitoring.domain.instants import Duration
from service_monitoring.domain.windows import LARGEST, FloatColumn, InstantColumn, are_among

FEW: Final = 64
"""Below so many windows each is looked at alone: a column costs more to set up."""

PIECE: Final = 1 << 14
"""So many samples at once stay in the cache of a core, with what is computed of them."""

_ROUNDING: Final = 2.0**-53
_TINY: Final = 2.0**-1000
_NONE: Final = np.empty(0, dtype=np.intp)


class Bounded(NamedTuple):
    """A column that is known up to an error of at most `error` a value; both are of one length."""

    values: FloatColumn
    error: FloatColumn

    def over(self, divisors: FloatColumn) -> Bounded:
        """Divided by positive numbers."""
        return Bounded(self.values / divisors, self.error / divisors)


def pieces(instants: InstantColumn, over: Duration, first: int) -> Iterator[tuple[int, int, int]]:
    """Cut the samples from `first` on into pieces [begin, end), each with the index `old` where its history begins.

    A piece is at least twice as long as its history, so that little is looked at twice.
    """
    begin = first
    while begin < len(instants):
        old = int(np.searchsorted(instants, instants[begin] - over, side="right"))
        end = min(len(instants), begin + max(PIECE, 2 * (begin - old)))
        yield old, begin, end
        begin = end


def sums(values: FloatColumn, opens: InstantColumn, ends: InstantColumn) -> Bounded:
    """The sums of the windows values[open:end], by running sums.

    A running sum of n terms is off by less than n roundings of the sum of magnitudes (Higham, Accuracy and Stability of
    Numerical Algorithms, 4.2), a window by twice that; taken twice again for the roundings of the bound, of a division
    by the caller and of what it is held against. Where all terms are multiples of one power of two and small enough,
    every step is exact, and so is the sum.
    """
    begin, end = int(opens[0]), int(ends[-1])
    running = np.zeros(end - begin + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        np.cumsum(values[begin:end], out=running[1:])
        magnitude = float(np.abs(values[begin:end]).sum())
        found = running[ends - begin] - running[opens - begin]
    if not magnitude < LARGEST / 4:
        return Bounded(np.zeros(len(opens)), np.full(len(opens), np.inf))
    error = 0.0 if _is_exact(values[begin:end], magnitude) else 4 * (end - begin + 4) * _ROUNDING * magnitude + _TINY
    return Bounded(found, np.full(len(opens), error))


def _is_exact(values: FloatColumn, magnitude: float) -> bool:
    """Whether every sum of some of these is a multiple of a power of two that leaves it 53 bits."""
    if magnitude == 0:
        return True
    _, exponent = np.frexp(magnitude)
    scale = np.ldexp(1.0, min(1000, 52 - int(exponent)))
    # A few first: measured values are hardly ever so even, and then the whole column need not be looked at.
    return all(bool((np.rint(some) == some).all()) for some in (values[:8] * scale, values * scale))


def astride(
    instants: InstantColumn, values: FloatColumn, over: Duration, first: int, limits: tuple[float, ...]
) -> list[tuple[int, int]] | None:
    """The stretches [begin, end) of samples from `first` on whose windows lie astride of a limit, or close to one.

    All samples of any other window (t - over, t] lie on the same side of every limit as its newest one, and so does
    their average, however it is rounded: by less than `margin`. None where it is not worth it to look at stretches.
    """
    seen = values if first == 0 else values[max(0, int(instants.searchsorted(instants[first] - over, side="right"))) :]
    begin = len(values) - len(seen)
    least, greatest = float(seen.min()), float(seen.max())
    largest = max(greatest, -least)
    if not largest < LARGEST / 4:
        return None
    margin = 8 * _ROUNDING * largest + _TINY
    if not are_among(least, greatest, limits, margin):
        return []
    begins, oldest = list[int](), list[int]()
    for limit in limits:
        above, below = seen > limit + margin, seen < limit - margin
        crossed, close = np.flatnonzero(above[1:] != above[:-1]) + begin, _NONE
        if np.count_nonzero(above) + np.count_nonzero(below) < len(seen):
            close = np.flatnonzero(~(above | below)) + begin
        if len(begins) + len(crossed) + len(close) > len(seen) // FEW:
            return None
        begins += [*(crossed + 1).tolist(), *close.tolist()]
        oldest += [*crossed.tolist(), *close.tolist()]
    ends = instants.searchsorted(instants[oldest] + over, side="left")
    return _joined(sorted(zip(begins, ends.tolist(), strict=True)), first)


def _joined(stretches: list[tuple[int, int]], first: int) -> list[tuple[int, int]]:
    """Stretches in order, those that meet as one, and nothing before `first`."""
    joined: list[tuple[int, int]] = []
    for begin, end in stretches:
        if end <= first:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((max(begin, first), end))
    return joined


def extremes(values: FloatColumn, opens: InstantColumn, ends: InstantColumn, of: np.ufunc) -> FloatColumn:
    """The least (np.minimum) or greatest (np.maximum) of each window, none of them empty.

    Two overlapping stretches whose length is a power of two cover any window.
    """
    lengths = ends - opens
    found = np.empty(len(opens))
    level, width, longest = values, 1, int(lengths.max())
    while True:
        fits: npt.NDArray[np.intp] = np.flatnonzero((lengths >= width) & (lengths < 2 * width))
        found[fits] = of(level[opens[fits]], level[ends[fits] - width])
        if 2 * width > longest:
            return found
        level = of(level[:-width], level[width:])
        width *= 2


def undecided(column: Bounded, limits: tuple[float, ...]) -> npt.NDArray[np.intp]:
    """Where a limit lies within the error, so that it has to be looked at exactly."""
    near = np.zeros(len(column.values), dtype=np.bool_)
    for limit in limits:
        near |= ~(np.abs(column.values - limit) > column.error)
    near &= column.error > 0
    return np.flatnonzero(near)

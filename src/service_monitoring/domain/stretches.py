"""Stretches: what one series said over a span, as columns, where all of it is known before any of it is judged.

Knows series, instants and values. Does not know who kept them, what a rule makes of them, or how long a span is.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from service_monitoring.domain.inputs import GapCause
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.windows import FloatColumn, InstantColumn


class Steps(NamedTuple):
    """The shortest and the longest time (ns) from one instant of a column to the next."""

    shortest: int
    longest: int

    @classmethod
    def of(cls, instants: InstantColumn) -> Steps:
        """Both 0 where there are fewer than two instants."""
        if len(instants) < 2:
            return cls(0, 0)
        steps = instants[1:] - instants[:-1]
        return cls(int(steps.min()), int(steps.max()))


class Stretch(Struct, frozen=True, eq=False):
    """Samples of one series: int64 instants (ns), strictly increasing, and the finite float64 values at them.

    `known` are the steps of these very instants, where somebody has looked: many series may share one column of them.
    """

    series: Series
    instants: InstantColumn
    values: FloatColumn
    known: Steps | None = None

    @property
    def steps(self) -> Steps:
        """The steps of its instants."""
        return self.known or Steps.of(self.instants)

    def within(self, begin: int, end: int) -> Stretch:
        """Its samples in [begin, end) (ns)."""
        if not len(self.instants) or (self.instants[0] >= begin and self.instants[-1] < end):
            return self
        first, last = self.instants.searchsorted([begin, end]).tolist()
        return Stretch(self.series, self.instants[first:last], self.values[first:last])


class Gap(Struct, frozen=True):
    """Nobody watched up to and at `until`."""

    until: Instant
    cause: GapCause


class Portion(Struct, frozen=True, eq=False):
    """All samples of a history before `until` that no earlier portion had; each series at most once.

    A `gap` begins at the last instant of the portion: no later one has a sample in it.
    """

    until: Instant
    stretches: tuple[Stretch, ...]
    gap: Gap | None = None

"""Paces: how often a history says something of each check, and for how much of a range it says nothing.

Knows instants of samples. Does not know their values, nor what a rule makes of silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.stretches import Steps, Stretch
from service_monitoring.domain.windows import InstantColumn

_SILENT: Final = 2.5
"""So many usual intervals without a sample are a pause: a sample that was lost is none, as for checks of our own."""

_DIGITS: Final = 3
"""Of an interval that are kept: a history of years has few different ones."""

_ENOUGH: Final = 3
"""Intervals without which nobody can tell what is usual."""


class Pace:
    """Of one check in a range: intervals between its instants, whatever series they are of."""

    def __init__(self) -> None:
        self.first = self.last = 0
        self._intervals: Counter[int] = Counter()

    def take(self, instants: InstantColumn, steps: Steps) -> None:
        """More of them, in order, none before what was taken."""
        if not len(instants):
            return
        before, self.last = self.last, int(instants[-1])
        self.first = self.first or int(instants[0])
        if 0 < before < instants[0]:
            self._intervals[_short(int(instants[0]) - before)] += 1
        if len(instants) == 1:
            return
        if steps.shortest == steps.longest:  # steady, as most are
            self._intervals[_short(steps.shortest)] += len(instants) - 1
            return
        found, counts = np.unique(instants[1:] - instants[:-1], return_counts=True)
        for interval, count in zip(found.tolist(), counts.tolist(), strict=True):
            if interval:
                self._intervals[_short(interval)] += count

    @property
    def usual(self) -> Duration | None:
        """The median of the intervals, or nothing where there are too few of them."""
        count = self._intervals.total()
        if count < _ENOUGH:
            return None
        for interval, number in sorted(self._intervals.items()):
            count -= 2 * number
            if count <= 0:
                return Duration(interval)
        raise AssertionError("half of all intervals come before the last one")

    def silent(self, since: Instant, until: Instant) -> float:
        """The share of a range in which it said nothing, from 0 to 1."""
        usual = self.usual
        if usual is None or until <= since:
            return 0.0
        before, after = max(0, self.first - since.ns), max(0, until.ns - self.last)
        pauses = [(before, 1), (after, 1), *self._intervals.items()]
        lost = sum((length - usual) * number for length, number in pauses if length > _SILENT * usual)
        return min(1.0, lost / until.since(since))


class Paces:
    """Of each check whose samples in [since, until) are shown, portion by portion."""

    def __init__(self, since: Instant, until: Instant) -> None:
        self._since, self._until = since, until
        self._of: dict[tuple[str, str], Pace] = {}

    def take(self, stretches: Iterable[Stretch]) -> None:
        """What one portion says."""
        inside: dict[tuple[str, str], list[Stretch]] = {}
        for stretch in stretches:
            shown = stretch.within(self._since.ns, self._until.ns)
            inside.setdefault((stretch.series.service, stretch.series.check), []).append(shown)
        for check, found in inside.items():
            self._of.setdefault(check, Pace()).take(*_together(found))

    def of(self, check: Check) -> Pace:
        """How it was with a check; one that said nothing has no pace."""
        return self._of.get((check.service, check.name), Pace())


def _together(stretches: list[Stretch]) -> tuple[InstantColumn, Steps]:
    """The instants of all series of a check, each once: several that came of one run have the same."""
    first = stretches[0]
    if all(stretch.instants is first.instants for stretch in stretches):
        return first.instants, first.steps
    instants = np.unique(np.concatenate([stretch.instants for stretch in stretches]))
    return instants, Steps.of(instants)


def _short(interval: int) -> int:
    """Cut to a few digits from a second on: what differs by less is the same pace."""
    if interval < SECOND:
        return interval
    unit: int = 10 ** max(0, len(str(interval)) - _DIGITS)
    return (interval + unit // 2) // unit * unit

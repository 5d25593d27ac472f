"""Latencies that were never measured: a history made from a seed, the same on every machine, as long as is asked for.

A sample each 15 s; a season of one day, noise, and now and then an incident that crosses a second, or a spike too short
for a rule that waits. Whole milliseconds, as a person would record them. A day is made from the seed and its number
alone, so that a long history needs no more memory than a short one and begins like it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np

from service_monitoring.domain.instants import DAY, SECOND, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion, Stretch
from service_monitoring.domain.windows import FloatColumn, InstantColumn

EVERY: Final = 15 * SECOND
SAMPLES: Final = DAY // EVERY
"""Of a series in a day."""

SINCE: Final = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z: midnight, so that days of history are days of the calendar."""

LIMIT: Final = 1.0
"""Seconds; what an incident is above, and hardly anything else."""

CHECK: Final = "health"
METRIC: Final = "duration_seconds"


class Size(NamedTuple):
    """So many series for so many days."""

    series: int
    days: int

    @property
    def samples(self) -> int:
        """All of them."""
        return self.series * self.days * SAMPLES

    def __str__(self) -> str:
        """As a row of a table begins."""
        return f"{self.series:,} series x {self.days} d"


def service(number: int) -> str:
    """Named so that names sort as numbers do."""
    return f"service{number:04}"


def instants(day: int) -> InstantColumn:
    """When the samples of a day are, in nanoseconds."""
    return SINCE + day * DAY + np.arange(SAMPLES, dtype=np.int64) * EVERY


def values(seed: int, day: int, series: int) -> FloatColumn:
    """Seconds, a row a series, of one day."""
    usual = np.random.default_rng(seed).uniform(0.06, 0.24, series)
    dice = np.random.default_rng((seed, day))
    season = 1 - 0.4 * np.cos(np.arange(SAMPLES) * (2 * math.pi / SAMPLES))
    made: FloatColumn = np.exp(dice.standard_normal((series, SAMPLES), dtype=np.float32) * np.float32(0.2)).astype(
        np.float64
    )
    made *= usual[:, None]
    made *= season
    for often, shortest, longest in ((0.05, 24, 160), (0.5, 1, 4)):
        for row, count in enumerate(dice.poisson(often, series).tolist()):
            for _ in range(count):
                begin, length = dice.integers(0, SAMPLES), dice.integers(shortest, longest)
                made[row, begin : begin + length] += dice.uniform(1.2, 3.0)
    made *= 1000
    np.rint(made, out=made)
    made /= 1000
    return made


def days(seed: int, size: Size) -> Iterator[tuple[int, InstantColumn, FloatColumn]]:
    """Each day with its instants and its values, a row a series."""
    for day in range(size.days):
        yield day, instants(day), values(seed, day, size.series)


def portions(seed: int, size: Size) -> Iterator[Portion]:
    """The same as a history hands it out, to be written by whoever writes histories."""
    named = [Series(service(number), CHECK, METRIC) for number in range(size.series)]
    for day, at, made in days(seed, size):
        yield Portion(Instant(SINCE + (day + 1) * DAY), tuple(map(Stretch, named, repeat(at), made)))

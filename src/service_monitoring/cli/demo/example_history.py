"""An example to rehearse: the configuration of a small web shop, what it measured in two weeks, and what went wrong.

Knows the shop's days: its busy and quiet hours, the nightly backup, and each trouble of a fortnight, which comes again
in the next one. Made from a seed alone, so that everybody has the same bytes. Does not know what any rule makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from service_monitoring.domain.instants import DAY, MINUTE, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion, Stretch
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.storage.history import writing

SINCE: Final = Instant.parse("2026-01-05T00:00:00Z")
"""A Monday."""
FORTNIGHT: Final = 14

UP: Final = Series("shop", "health", "up")
DURATION: Final = Series("shop", "health", "duration_seconds")
QUEUE: Final = Series("shop", "queue", "queue_depth")
ORDERS: Final = Series("shop", "orders", "orders_per_minute")

_Mask = npt.NDArray[np.bool_]
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Trouble(NamedTuple):
    """What happens once a fortnight, in minutes after its begin. `noted`: people say that it was an incident."""

    name: str
    begin: int
    end: int
    noted: bool = True


def _trouble(name: str, day: int, begin: str, length: int, *, noted: bool = True) -> Trouble:
    hours, minutes = begin.split(":")
    minute = (day * 24 + int(hours)) * 60 + int(minutes)
    return Trouble(name, minute, minute + length, noted)


FLAPPING: Final = _trouble("flapping-queue", 1, "14:00", 120, noted=False)
HOLE: Final = _trouble("nothing-recorded", 2, "13:00", 60, noted=False)
OUTAGE: Final = _trouble("outage", 3, "01:13", 28)
RELEASE: Final = _trouble("slow-release", 7, "09:40", 75)
DATABASE: Final = _trouble("slow-database", 9, "20:00", 210)
STUCK: Final = _trouble("stuck-worker", 12, "10:20", 150)
TROUBLES: Final = (FLAPPING, HOLE, OUTAGE, RELEASE, DATABASE, STUCK)
BACKUP: Final = (120, 134)
"""The minutes of each night in which the backup reads the disk: slow, and wrong for nobody."""


def write(folder: Path, days: int, seed: int) -> int:
    """Write monitoring.yaml, history and incidents.yaml into a new folder; how many samples there are.

    `Conflict` where `folder` exists and is not empty.
    """
    writing.refuse_filled(folder)
    with writing.beside(folder) as aside:
        configuration = (resources.files(__package__) / "example.yaml").read_text(encoding="utf-8")
        (aside / "monitoring.yaml").write_text(configuration, encoding="utf-8")
        (aside / "incidents.yaml").write_text(noted(days), encoding="utf-8")
        samples = writing.export(portions(days, seed), aside / "history")
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    return samples


def noted(days: int) -> str:
    """What people wrote down of so many days, as `--incidents` reads it."""
    rows = []
    for fortnight in range(math.ceil(days / FORTNIGHT)):
        for trouble in filter(lambda each: each.noted, TROUBLES):
            begin, end = (_instant(fortnight * FORTNIGHT, minute) for minute in (trouble.begin, trouble.end))
            if begin < _instant(days, 0):
                name = f"{trouble.name}-{fortnight + 1}" if fortnight else trouble.name
                between = f"start: {str(begin)[:19]}Z, end: {str(end)[:19]}Z"
                rows.append(f"  - {{id: {name}, {between}, labels: {{service: shop}}}}\n")
    head = "# What really went wrong: what a rehearsal is judged by.\nincidents:"
    return f"{head}\n{''.join(rows)}" if rows else f"{head} []\n"


def portions(days: int, seed: int) -> Iterator[Portion]:
    """The samples, a day at a time. A longer history begins like a shorter one."""
    for day in range(days):
        stretches = (*_health(day, seed), _queue(day, seed), _orders(day, seed))
        yield Portion(_instant(day + 1, 0), stretches)


# What was measured ----------------------------------------------------------------------------------------------------


def _health(day: int, seed: int) -> tuple[Stretch, Stretch]:
    """Two samples a run: none of the duration where nobody answered."""
    minutes = np.arange(0, 24 * 60, 0.5)
    up = ~_within(OUTAGE, day, minutes)
    strain = 0.65 * _rising(RELEASE, day, minutes, 10) + 0.45 * _rising(DATABASE, day, minutes, 60)
    strain += (0.22 + 0.2 * _dice(seed, "backup", day, 1)) * ((minutes >= BACKUP[0]) & (minutes < BACKUP[1]))
    spikes = _dice(seed, "spikes", day, len(minutes)) < 0.001
    strain += spikes * (0.2 + 0.5 * _dice(seed, "heights", day, len(minutes)))
    usual = (0.13 + 0.12 * _season(minutes)) * _noise(seed, "duration", day, len(minutes))
    seconds = np.rint((usual + strain * _noise(seed, "strain", day, len(minutes))) * 1000) / 1000
    return _stretch(UP, day, minutes, up.astype(np.float64)), _stretch(DURATION, day, minutes, seconds, up)


def _queue(day: int, seed: int) -> Stretch:
    minutes = np.arange(0, 24 * 60, 1.0)
    depth = (5 + 25 * _season(minutes)) * _noise(seed, "queue", day, len(minutes))
    depth += _within(FLAPPING, day, minutes) * np.where(minutes % 6 < 3, 110, 0)
    depth += _piled_up(OUTAGE, day, minutes, 6) + _piled_up(STUCK, day, minutes, 3)
    return _stretch(QUEUE, day, minutes, np.rint(depth))


def _orders(day: int, seed: int) -> Stretch:
    minutes = np.arange(0, 24 * 60, 1.0)
    rate = (6 + 34 * _season(minutes)) * _noise(seed, "orders", day, len(minutes))
    rate *= 1 - 0.5 * _rising(RELEASE, day, minutes, 10)
    rate *= ~_within(OUTAGE, day, minutes)
    return _stretch(ORDERS, day, minutes, np.rint(rate))


def _stretch(
    series: Series, day: int, minutes: FloatColumn, values: FloatColumn, measured: _Mask | None = None
) -> Stretch:
    """Samples at minutes of a day, but for those that nobody recorded."""
    kept = ~_within(HOLE, day, minutes)
    if measured is not None:
        kept &= measured
    instants: InstantColumn = _instant(day, 0).ns + (minutes * MINUTE).astype(np.int64)
    return Stretch(series, instants[kept], values[kept])


def _instant(day: int, minute: int) -> Instant:
    return Instant(SINCE.ns + day * DAY + minute * MINUTE)


# Shapes ---------------------------------------------------------------------------------------------------------------


def _season(minutes: FloatColumn) -> FloatColumn:
    """From 0 in the small hours to 1 in the afternoon."""
    season: FloatColumn = 0.5 - 0.5 * np.cos((minutes - 4 * 60) * (2 * math.pi / (24 * 60)))
    return season


def _since(trouble: Trouble, day: int, minutes: FloatColumn) -> FloatColumn:
    """Minutes after a trouble began; before it, negative ones."""
    return minutes + (day % FORTNIGHT * 24 * 60 - trouble.begin)


def _within(trouble: Trouble, day: int, minutes: FloatColumn) -> _Mask:
    since = _since(trouble, day, minutes)
    return (since >= 0) & (since < trouble.end - trouble.begin)


def _rising(trouble: Trouble, day: int, minutes: FloatColumn, full_after: int) -> FloatColumn:
    """From 0 at its begin to 1, and 0 at its end."""
    share = np.clip(_since(trouble, day, minutes) / full_after, 0, 1)
    return np.where(_within(trouble, day, minutes), share, 0.0)


def _piled_up(trouble: Trouble, day: int, minutes: FloatColumn, a_minute: int) -> FloatColumn:
    """What comes in while nobody takes it away, and is worked off four times as fast afterwards."""
    since, length = _since(trouble, day, minutes), trouble.end - trouble.begin
    piled: FloatColumn = a_minute * np.clip(np.minimum(since, length - 4 * (since - length)), 0, length)
    return piled


# Dice -----------------------------------------------------------------------------------------------------------------


def _noise(seed: int, name: str, day: int, count: int) -> FloatColumn:
    """Around 1, by a quarter at most."""
    once, twice = _dice(seed, name, day, 2 * count).reshape(2, count)
    noise: FloatColumn = 0.75 + 0.25 * (once + twice)
    return noise


def _dice(seed: int, name: str, day: int, count: int) -> FloatColumn:
    """Numbers in [0, 1): each is a hash (SplitMix64) of its place, and so the same everywhere, in any order."""
    key = np.frombuffer(sha256(f"{seed} {name} {day}".encode()).digest()[:8], "<u8")
    mixed = key + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    thrown: FloatColumn = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    return thrown

"""Histories of others taken into a folder of Parquet: day by day, and none of it twice.

Knows the folder: a day that is new is put there whole, one that is there already is merged with what came, and what was
there first stands. A day of the folder is at all times what it was or what it has become. Blocks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Conflict, Unavailable
from service_monitoring.ports import Flaw, SampleHistory
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.columns import EARLIEST, LATEST
from service_monitoring.storage.history.parquet import ParquetHistory
from service_monitoring.storage.history.writing import DAY_PREFIX, Progress, write

_INCOMING: Final = ".importing"
_BEFORE: Final = "before"


class Imported(Struct, frozen=True):
    """What became of a history: samples `taken`, `known` ones that were there before, and those that contradict them.

    `flaws` are rows that the source itself could not give; `days` those that were changed.
    """

    taken: int
    known: int
    contradicting: int
    days: int
    flaws: tuple[Flaw, ...]


def import_history(
    source: SampleHistory, folder: Path, since: Instant, until: Instant, *, told: Progress | None = None
) -> Imported:
    """Take the samples of `source` within [since, until) into `folder`, which may hold some; nothing is taken twice.

    `Conflict` where the folder holds something else; `Unavailable` while another import is under way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_other(folder)
        with _alone(folder), _incoming(folder) as aside:
            write(source.portions(since, until), aside, told=told)
            taken = known = contradicting = days = 0
            for day in sorted(each.name for each in aside.iterdir()):
                new, again, other = _merge(aside / day, folder / day, folder / _INCOMING)
                taken, known, contradicting = taken + new, known + again, contradicting + other
                days += new > 0
        return Imported(taken, known, contradicting, days, tuple(source.flaws()))
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written ({error.strerror or error}); name another folder") from error


def _refuse_other(folder: Path) -> None:
    other = [each.name for each in folder.iterdir() if not each.name.startswith((DAY_PREFIX, "."))]
    if other:
        raise Conflict(f"{folder} holds {min(other)}, which no import has put there: name another folder")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The only import into a folder, until the end, however that comes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable(f"another import into {folder} is under way: wait for its end") from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _incoming(folder: Path) -> Iterator[Path]:
    """A folder for what comes, within `folder`. What an import that was broken off has left is put right first."""
    aside = folder / _INCOMING
    if (aside / _BEFORE).is_dir():
        for day in (aside / _BEFORE).iterdir():
            if not (folder / day.name).exists():
                day.rename(folder / day.name)
    shutil.rmtree(aside, ignore_errors=True)
    for part in ("days", "merged", _BEFORE):
        (aside / part).mkdir(parents=True)
    try:
        yield aside / "days"
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _merge(new: Path, place: Path, aside: Path) -> tuple[int, int, int]:
    """Put a day in its place: how many samples are new there, how many it had, and how many it had otherwise."""
    count = _count(new)
    if not place.exists():
        new.rename(place)
        return count, 0, 0
    before = sorted(place.glob("*.parquet"))
    with ParquetHistory([*before, *sorted(new.glob("*.parquet"))], aside=aside) as both:
        whole = write(both.portions(Instant(EARLIEST), Instant(LATEST)), aside / "merged")
        found = Counter[str]()
        for flaw in both.flaws():
            found[flaw.why] += flaw.count
    taken = whole - _count(place)
    if taken:
        place.rename(aside / _BEFORE / place.name)
        (aside / "merged" / place.name).rename(place)
    return taken, found[columns.DUPLICATE], found[columns.CONFLICT]


def _count(day: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in day.glob("*.parquet"))

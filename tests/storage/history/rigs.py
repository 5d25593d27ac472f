"""Histories written in every form, and what is read of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
from service_monitoring.ports import SampleHistory

Row = tuple[Series, int, float]
"""A series, an instant in nanoseconds and the value at it."""

ALWAYS = Instant(-(1 << 63)), Instant((1 << 63) - 1)


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Rows as columns, in their order; labels that a series has not are None."""
    labels = sorted({name for series, _, _ in rows for name, _ in series.labels})
    found: dict[str, list[Any]] = {
        name: [getattr(series, name) for series, _, _ in rows] for name in ("service", "check", "metric")
    }
    for label in labels:
        found[label] = [dict(series.labels).get(label) for series, _, _ in rows]
    return found | {"at": [at for _, at, _ in rows], "value": [value for _, _, value in rows]}


def parquet_of(rows: Sequence[Row], path: Path, *, group: int = 1_000) -> Path:
    """A file of Parquet with these rows in this order."""
    found = columns_of(rows)
    arrays = {name: pa.array(column, pa.string()) for name, column in found.items() if name not in {"at", "value"}}
    arrays |= {"at": pa.array(found["at"], pa.int64()), "value": pa.array(found["value"], pa.float64())}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path, row_group_size=group)
    return path


def read(
    history: SampleHistory, since: Instant = ALWAYS[0], until: Instant = ALWAYS[1]
) -> dict[Series, list[tuple[int, float]]]:
    """All that a history has, by series; fails where its portions break a law."""
    found: dict[Series, list[tuple[int, float]]] = {}
    last = since
    for portion in history.portions(since, until):
        assert last <= portion.until
        for stretch in portion.stretches:
            instants = stretch.instants.tolist()
            assert last.ns <= instants[0] <= instants[-1] < portion.until.ns
            found.setdefault(stretch.series, []).extend(zip(instants, stretch.values.tolist(), strict=True))
        assert len({stretch.series for stretch in portion.stretches}) == len(portion.stretches)
        last = portion.until
    assert last == until
    for samples in found.values():
        instants = [at for at, _ in samples]
        assert all(earlier < later for earlier, later in pairwise(instants))
    return found


def most_of_an_instant(rows: Iterable[Row]) -> int:
    """How many rows a series has at one instant, at most."""
    return max(Counter((series, at) for series, at, _ in rows).values(), default=0)


def meant(
    rows: Iterable[Row], since: Instant = ALWAYS[0], until: Instant = ALWAYS[1]
) -> tuple[dict[Series, list[tuple[int, float]]], int, int]:
    """What reading must give, and how many duplicates and conflicts there are."""
    found: dict[Series, dict[int, float]] = {}
    duplicates = conflicts = 0
    for series, at, value in rows:
        if not since.ns <= at < until.ns:
            continue
        known = found.setdefault(series, {})
        if at not in known:
            known[at] = value
        elif known[at] == value:
            duplicates += 1
        else:
            conflicts += 1
    return {series: sorted(known.items()) for series, known in found.items()}, duplicates, conflicts

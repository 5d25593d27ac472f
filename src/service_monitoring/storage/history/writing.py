"""Histories written as Parquet: a folder for each day, in each the samples by series.

Knows one layout, the one that is read fastest (docs/decisions/0022): row groups of some dozens of series, whose names
stand in the footer once more. Files are written aside and renamed, so that a folder with a name is whole. Blocks.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service_monitoring.domain.instants import DAY, SECOND, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.errors import Conflict, Unavailable
from service_monitoring.storage.history.columns import PORTION
from service_monitoring.storage.history.fields import NAMES
from service_monitoring.storage.history.listing import KEY, Run, encoded

TOGETHER: Final = 256 * 1024
"""Samples of a row group, at most, unless it is of one series: as many as are decoded within a processor's cache."""
DAY_PREFIX: Final = "day="
_LOOKED_AT: Final = 8
_LARGE: Final = 1.5
"""Portions that a day may have before it is cut: a series in one piece is judged sooner than in two."""

Column = tuple[Series, InstantColumn, FloatColumn]
Progress = Callable[[Instant, int], None]
"""Told how far in the history writing has come, and how many samples that were."""


def export(portions: Iterable[Portion], folder: Path, *, told: Progress | None = None) -> int:
    """Write all samples as a new folder; how many there were. `Conflict` where `folder` exists and is not empty."""
    refuse_filled(folder)
    with beside(folder) as aside:
        written = write(portions, aside, told=told)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        aside.rename(folder)
    return written


def refuse_filled(folder: Path) -> None:
    """`Conflict` where a folder, or a file, is in the way."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise Conflict(f"{folder} exists and is not empty: name a new folder")


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, on the same disk, removed at the end unless it was renamed."""
    aside = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        yield aside
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written ({error.strerror or error}); name another folder") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write(portions: Iterable[Portion], folder: Path, *, told: Progress | None = None) -> int:
    """Write all samples into `folder`, day by day; how many there were. The portions are in time order."""
    written = 0
    day = _Day(folder)
    for portion in portions:
        for number, columns in _by_day(portion):
            rows = sum(len(instants) for _, instants, _ in columns)
            if number != day.number or day.rows + rows > PORTION:
                day = day.followed_by(number)
            day.add(columns)
            written += rows
        if told:
            told(portion.until, written)
    day.finish()
    return written


def _by_day(portion: Portion) -> Iterator[tuple[int, list[Column]]]:
    """The samples of a portion, each day's by themselves, and of a day no more at once than a reader may hold."""
    stretches = [(stretch.series, stretch.instants, stretch.values) for stretch in portion.stretches]
    for number, columns in sorted(_cut(stretches, DAY).items()):
        parts = sum(len(instants) for _, instants, _ in columns) / PORTION
        if parts <= _LARGE:
            yield number, columns
            continue
        for _, slices in sorted(_cut(columns, -(-DAY // math.ceil(parts))).items()):
            yield number, slices


def _cut(columns: Iterable[Column], length: int) -> dict[int, list[Column]]:
    """Samples by the span that they lie in; each is so long, and the first one begins in 1970."""
    spans: dict[int, list[Column]] = {}
    for series, instants, values in columns:
        first, last = int(instants[0]) // length, int(instants[-1]) // length
        edges = np.arange(first + 1, last + 1, dtype=np.int64) * length
        bounds = [0, *np.searchsorted(instants, edges).tolist(), len(instants)]
        for number, (begin, end) in enumerate(pairwise(bounds), first):
            if begin < end:
                spans.setdefault(number, []).append((series, instants[begin:end], values[begin:end]))
    return spans


class _Day:
    """What is to be written of one day, up to a portion at a time."""

    def __init__(self, folder: Path, number: int | None = None, part: int = 0) -> None:
        self.number = number
        self.rows = 0
        self._folder = folder
        self._part = part
        self._columns: dict[Series, list[Column]] = {}

    def add(self, columns: Iterable[Column]) -> None:
        """Samples that follow those that there are."""
        for column in columns:
            self._columns.setdefault(column[0], []).append(column)
            self.rows += len(column[1])

    def followed_by(self, number: int) -> _Day:
        """Write this one; what comes is of day `number`."""
        self.finish()
        return _Day(self._folder, number, self._part + 1 if number == self.number else 0)

    def finish(self) -> None:
        """Write the file, if there is anything for it."""
        if self.number is None or not self._columns:
            return
        folder = self._folder / day_name(self.number)
        folder.mkdir(exist_ok=True)
        columns = [_joined(series, parts) for series, parts in sorted(self._columns.items())]
        write_file(columns, folder / f"part-{self._part:04}.parquet")


def day_name(number: int) -> str:
    """`day=2026-01-05`, of the day by its number since 1970."""
    return f"{DAY_PREFIX}{datetime.fromtimestamp(number * DAY // SECOND, UTC):%Y-%m-%d}"


def _joined(series: Series, parts: Sequence[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    return series, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def write_file(columns: Sequence[Column], path: Path) -> None:
    """Write samples by series, each strictly increasing, as one file."""
    labels = sorted({name for series, _, _ in columns for name, _ in series.labels})
    texts = [*NAMES, *labels]
    schema = pa.schema(
        [
            *((name, pa.dictionary(pa.int32(), pa.string())) for name in texts),
            pa.field("at", pa.int64(), nullable=False),
            pa.field("value", pa.float64(), nullable=False),
        ]
    )
    groups = list(_groups(columns))
    repeats = _values_repeat(columns)
    encodings = {"at": "DELTA_BINARY_PACKED"} | ({} if repeats else {"value": "BYTE_STREAM_SPLIT"})
    with pq.ParquetWriter(
        path,
        schema,
        compression="lz4",
        use_dictionary=[*texts, "value"] if repeats else texts,
        column_encoding=encodings,
        write_statistics=[*texts, "at"],
    ) as writer:
        for group in groups:
            writer.write_table(_table(group, labels, schema), row_group_size=1 << 30)
        writer.add_key_value_metadata({KEY: encoded(texts, [_runs(group, labels) for group in groups])})


def _values_repeat(columns: Sequence[Column]) -> bool:
    """Whether values come again and again, so that a dictionary of them is shorter than they are."""
    looked_at = sorted(columns, key=lambda column: -len(column[1]))[:_LOOKED_AT]
    rows = sum(len(values) for _, _, values in looked_at)
    return 4 * sum(len(np.unique(values)) for _, _, values in looked_at) <= rows


def _groups(columns: Sequence[Column]) -> Iterator[list[Column]]:
    together: list[Column] = []
    rows = 0
    for column in columns:
        if together and rows + len(column[1]) > TOGETHER:
            yield together
            together, rows = [], 0
        together.append(column)
        rows += len(column[1])
    if together:
        yield together


def _runs(group: Sequence[Column], labels: Sequence[str]) -> list[Run]:
    found = []
    for series, instants, _ in group:
        of_labels = dict(series.labels)
        texts = (series.service, series.check, series.metric, *map(of_labels.get, labels))
        found.append(Run(len(instants), texts))
    return found


def _table(group: Sequence[Column], labels: Sequence[str], schema: Any) -> Any:
    counts = [len(instants) for _, instants, _ in group]
    arrays = [_texts([getattr(series, name) for series, _, _ in group], counts) for name in NAMES]
    of_labels = [dict(series.labels) for series, _, _ in group]
    arrays += [_texts([known.get(name) for known in of_labels], counts) for name in labels]
    arrays.append(pa.array(np.concatenate([instants for _, instants, _ in group])))
    arrays.append(pa.array(np.concatenate([values for _, _, values in group])))
    return pa.Table.from_arrays(arrays, schema=schema)


def _texts(texts: Sequence[str | None], counts: Sequence[int]) -> Any:
    """A column of texts, of which each is repeated."""
    known = {text: number for number, text in enumerate(dict.fromkeys(text for text in texts if text is not None))}
    indices = np.repeat([known.get(text, -1) if text is not None else -1 for text in texts], counts).astype(np.int32)
    dictionary = pa.array(list(known), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=indices < 0), dictionary)

"""Histories written as Parquet: a folder for each day, in each the samples by series.

Knows one layout, the one that is read fastest: a series with many samples has a row group of its own, so that its name
stands in the statistics and is read nowhere else. Files are written aside and renamed, so that a folder with a name is
whole. Blocks.
"""

from __future__ import annotations

import contextlib
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

ALONE: Final = 2_000
"""Samples from which on a series has a row group of its own."""
TOGETHER: Final = 128 * 1024
"""Samples of several series in one row group."""
DAY_PREFIX: Final = "day="
_LOOKED_AT: Final = 8

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
            if number != day.number or day.rows >= PORTION:
                day = day.followed_by(number)
            day.add(columns)
            written += sum(len(instants) for _, instants, _ in columns)
        if told:
            told(portion.until, written)
    day.finish()
    return written


def _by_day(portion: Portion) -> Iterator[tuple[int, list[Column]]]:
    """The samples of a portion, each day's by themselves."""
    days: dict[int, list[Column]] = {}
    for stretch in portion.stretches:
        first, last = int(stretch.instants[0]) // DAY, int(stretch.instants[-1]) // DAY
        edges = np.arange(first + 1, last + 1, dtype=np.int64) * DAY
        bounds = [0, *np.searchsorted(stretch.instants, edges).tolist(), len(stretch.instants)]
        for number, (begin, end) in enumerate(pairwise(bounds), first):
            if begin < end:
                column = (stretch.series, stretch.instants[begin:end], stretch.values[begin:end])
                days.setdefault(number, []).append(column)
    yield from sorted(days.items())


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
            ("at", pa.int64()),
            ("value", pa.float64()),
        ]
    )
    repeats = _values_repeat(columns)
    encodings = {"at": "DELTA_BINARY_PACKED"} | ({} if repeats else {"value": "BYTE_STREAM_SPLIT"})
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[*texts, "value"] if repeats else texts,
        column_encoding=encodings,
        write_statistics=[*texts, "at"],
    ) as writer:
        for group in _groups(columns):
            writer.write_table(_table(group, labels, schema), row_group_size=1 << 30)


def _values_repeat(columns: Sequence[Column]) -> bool:
    """Whether values come again and again, so that a dictionary of them is shorter than they are."""
    looked_at = sorted(columns, key=lambda column: -len(column[1]))[:_LOOKED_AT]
    rows = sum(len(values) for _, _, values in looked_at)
    return 4 * sum(len(np.unique(values)) for _, _, values in looked_at) <= rows


def _groups(columns: Sequence[Column]) -> Iterator[list[Column]]:
    together: list[Column] = []
    rows = 0
    for column in columns:
        if len(column[1]) >= ALONE:
            yield [column]
            continue
        together.append(column)
        rows += len(column[1])
        if rows >= TOGETHER:
            yield together
            together, rows = [], 0
    if together:
        yield together


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

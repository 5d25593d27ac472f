"""Histories put in order aside: rows in any order go out to files by time, and come back by series and instant.

Knows a temporary folder and a few numbers per row. A file holds what one portion may; where one has become larger, it
is taken apart again when its turn comes. Nothing is kept in memory but the names of series.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa

from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.errors import Unavailable
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.columns import EARLIEST, LATEST, PORTION, Flaws, Index, Piece, Place, Rows, Span

ALWAYS: Final = Span(EARLIEST, LATEST)
_COMPRESSED: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_SCHEMA: Final = pa.schema(
    [("step", pa.int64()), ("value", pa.float64()), ("series", pa.int32()), ("where", pa.int32()), ("line", pa.int64())]
)


class _Raw(NamedTuple):
    """Rows in the order of the history: numbers of series and of files instead of names."""

    instants: InstantColumn
    values: FloatColumn
    series: Index
    where: Index
    lines: Index

    def at(self, which: Any) -> _Raw:
        """The rows at these indices, or in this slice."""
        return _Raw(*(column[which] for column in self))


class _Names:
    """Series and files by number."""

    def __init__(self) -> None:
        self.series: list[Series | None] = []
        self.files: list[str] = []
        self._series: dict[Series, int] = {}
        self._files: dict[str, int] = {}

    def number(self, series: Series | None) -> int:
        if series is None:
            return -1
        known = self._series.setdefault(series, len(self.series))
        if known == len(self.series):
            self.series.append(series)
        return known

    def file(self, where: str) -> int:
        known = self._files.setdefault(where, len(self.files))
        if known == len(self.files):
            self.files.append(where)
        return known


class _Bucket:
    """A file of rows; appended to piece by piece."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.low, self.high, self.rows = LATEST, EARLIEST, 0

    def append(self, raw: _Raw) -> None:
        """Add rows. Instants and lines go as differences: nearly all are equal, and compress to next to nothing."""
        step, line = np.diff(raw.instants, prepend=0), np.diff(raw.lines, prepend=0)
        batch = pa.record_batch(
            [step, raw.values, raw.series.astype(np.int32), raw.where.astype(np.int32), line], schema=_SCHEMA
        )
        with self.path.open("ab") as file, pa.ipc.new_stream(file, _SCHEMA, options=_COMPRESSED) as stream:
            stream.write_batch(batch)
        self.low, self.high = min(self.low, int(raw.instants.min())), max(self.high, int(raw.instants.max()))
        self.rows += len(raw.instants)

    def read(self) -> Iterator[_Raw]:
        """What was appended, in that order."""
        with self.path.open("rb") as file:
            while file.peek(1):
                with pa.ipc.open_stream(file) as stream:
                    for batch in stream:
                        step, value, series, where, line = (column.to_numpy() for column in batch.columns)
                        yield _Raw(np.cumsum(step), value, series.astype(np.int64), where, np.cumsum(line))


class Aside:
    """Rows put in order in a folder of its own within `room`, removed by `close`. For one thread at a time. Blocks.

    `expected` says how many rows there will be within `span`; it may be wrong. `flaws` are those found on the way in;
    several rows at one instant are found on the way out.
    """

    def __init__(
        self, room: Path | None, span: Span, expected: int, *, aim: int = PORTION, most: int = 0, names: Any = None
    ) -> None:
        self.flaws = Flaws()
        self._room, self._span, self._aim, self._most = room, span, aim, most or 3 * aim
        count = max(1, 2 * expected // aim)
        self._width = max(1, -(-(span.until - span.since) // count))
        self._names: _Names = names or _Names()
        self._buckets: dict[int, _Bucket] = {}
        self._waiting: list[_Raw] = []
        self._rows = 0
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="service-monitoring-history-", dir=room))
        except OSError as error:
            raise Unavailable(
                f"there is no room to put a history in order ({error}); name another with TMPDIR"
            ) from error

    def add(self, rows: Rows) -> None:
        """Take rows of the history, in its order."""
        rows = columns.usable(rows, self._span, self.flaws)
        numbers = np.array([self._names.number(name) for name in rows.names], dtype=np.int64)
        lines = rows.place.lines
        if isinstance(lines, int):
            lines = np.arange(lines, lines + len(rows.instants))
        where = np.full(len(rows.instants), self._names.file(rows.place.where), dtype=np.int64)
        series = numbers[columns.spread(rows)] if len(rows.instants) else np.empty(0, np.int64)
        self._add(_Raw(rows.instants, rows.values, series, where, lines))

    def extent(self) -> tuple[int, int] | None:
        """The first and the last instant of what was taken."""
        self._flush()
        if not self._buckets:
            return None
        return min(each.low for each in self._buckets.values()), max(each.high for each in self._buckets.values())

    def portions(self, span: Span, flaws: Flaws) -> Iterator[Portion]:
        """What was taken, within `span`, in time order; the last portion ends with `span`."""
        self._flush()
        found: list[Piece] = []
        rows = 0
        for number, bucket in sorted(self._buckets.items()):
            begin = max(span.since, self._span.since + number * self._width)
            if bucket.high < span.since or bucket.low >= span.until:
                continue
            if found and rows + bucket.rows > self._aim:
                yield columns.portion(found, begin, flaws)
                found, rows = [], 0
            if bucket.rows > self._most and bucket.low < bucket.high:
                end = min(span.until, self._span.since + (number + 1) * self._width)
                with self._apart(bucket) as parts:
                    yield from parts.portions(Span(begin, end), flaws)
                continue
            found += self._pieces(bucket, span, flaws)
            rows += bucket.rows
        yield columns.portion(found, span.until, flaws)

    def close(self) -> None:
        """Remove the folder."""
        self._waiting.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, raw: _Raw) -> None:
        within = (raw.instants >= self._span.since) & (raw.instants < self._span.until)
        if self._span != ALWAYS and not within.all():
            raw = raw.at(within)
        if len(raw.instants):
            self._waiting.append(raw)
            self._rows += len(raw.instants)
        if 4 * self._rows >= self._aim:
            self._flush()

    def _flush(self) -> None:
        """Write what waits, each row to the file of its time."""
        if not self._waiting:
            return
        raw = _Raw(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
        self._waiting, self._rows = [], 0
        if self._span == ALWAYS:
            self._append(0, raw)
            return
        # Unsigned, for a span may be longer than half of all time.
        numbers = (raw.instants - np.int64(self._span.since)).view(np.uint64) // np.uint64(self._width)
        most = int(numbers.max()) + 1
        order = np.argsort(columns.compact(numbers, most), kind="stable")
        starts, which = columns.runs(numbers[order])
        for begin, end, number in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], which.tolist(), strict=True):
            self._append(number, raw.at(order[begin:end]))

    def _append(self, number: int, raw: _Raw) -> None:
        if number not in self._buckets:
            self._buckets[number] = _Bucket(self._folder / f"{number}.rows")
        try:
            self._buckets[number].append(raw)
        except OSError as error:
            raise Unavailable(
                f"there is no room in {self._folder.parent} to put a history in order ({error}); "
                "name another with TMPDIR"
            ) from error

    def _apart(self, bucket: _Bucket) -> Aside:
        """A bucket that has become too large for one portion, as one of its own."""
        parts = Aside(
            self._folder,
            Span(bucket.low, bucket.high + 1),
            bucket.rows,
            aim=self._aim,
            most=self._most,
            names=self._names,
        )
        for raw in bucket.read():
            parts._add(raw)
        return parts

    def _pieces(self, bucket: _Bucket, span: Span, flaws: Flaws) -> Iterator[Piece]:
        raw = _Raw(*(np.concatenate(column) for column in zip(*bucket.read(), strict=True)))
        for number in np.flatnonzero(np.bincount(raw.where)).tolist():
            mine = raw if (raw.where == number).all() else raw.at(raw.where == number)
            starts, codes = columns.runs(mine.series)
            place = Place(self._names.files[number], (number,), mine.lines)
            yield from columns.pieces(
                Rows(mine.instants, mine.values, starts, codes, self._names.series, place), span, flaws
            )

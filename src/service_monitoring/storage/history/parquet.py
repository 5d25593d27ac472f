"""Histories in Parquet: a file, or a folder of files, with the columns `service,check,metric,at,value`.

`at` is nanoseconds since 1970, a timestamp or RFC 3339; other columns are labels. Knows row groups and their
statistics: a group of a single series, as ours are, has its name in the statistics, and the columns of names, two
thirds of the work, are not read at all. Blocks; for one thread at a time, though it may use several itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.stretches import Portion
from service_monitoring.errors import NotFound, Unusable
from service_monitoring.ports import Flaw
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.arrow import as_text, instants, is_text, refuse_other_than, rows_of, values
from service_monitoring.storage.history.aside import Aside
from service_monitoring.storage.history.columns import PORTION, Flaws, Index, Piece, Place, Rows, Span
from service_monitoring.storage.history.fields import (
    PLAIN,
    VARIES,
    Fields,
    Known,
    Names,
    Text,
    of_columns,
    resolved,
    varying,
)
from service_monitoring.storage.history.groups import Extent, Group, Step, apart, plan

MOST: Final = 3 * PORTION
"""Rows that are held at a time, at most; where files would need more, they are put in order aside first."""
_TASK: Final = 512 * 1024
_FACTORS: Final = {"milliseconds": 1_000_000, "microseconds": 1_000, "nanoseconds": 1}


class _File(NamedTuple):
    """One file, opened: what its columns are, and the footer."""

    number: int
    path: Path
    fields: Fields
    names: Names
    footer: Any
    schema: Any

    def reader(self) -> Any:
        """The file, for one thread."""
        return pq.ParquetFile(self.path, metadata=self.footer, read_dictionary=_texts(self), pre_buffer=False)


class _Task(NamedTuple):
    """Row groups of one file that are read at once; `texts` name the series of each, or None where columns do."""

    file: _File
    groups: list[Group]
    texts: list[tuple[Text, ...]]


class ParquetHistory:
    """Samples of files of Parquet, under the laws of `ports.SampleHistory`. The first file has the first rows.

    `fields` says which column of a file is which. `jobs` threads read. `aside` is where what is not in the order of
    time is put in order, by default the folder of temporary files; `close` removes that.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        fields: Callable[[Path], Fields] = lambda _: PLAIN,
        jobs: int = 1,
        aside: Path | None = None,
        aim: int = PORTION,
    ) -> None:
        self._files = list(files)
        self._fields = fields
        self._jobs = max(1, jobs)
        self._room = aside
        self._aim = aim
        self._most = MOST * aim // PORTION
        self._known = Known()
        self._flaws = Flaws()
        self._asides: dict[tuple[int, Span], Aside] = {}
        self._scanned: dict[int, list[Group]] = {}
        self._extents = [self._extent(number) for number in range(len(self._files))]

    def extent(self) -> tuple[Instant, Instant] | None:
        """The instants of the first and of the last sample, as the files' statistics have them."""
        known = [each for each in self._extents if each is not None]
        if not known:
            return None
        return Instant(min(each.low for each in known)), Instant(max(each.high for each in known))

    def flaws(self) -> tuple[Flaw, ...]:
        """What could not be taken, since `portions` was last called. Lines are numbers of rows, the first is 1."""
        return self._flaws.all()

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        """All samples in [since, until), in time order."""
        span = Span(since.ns, until.ns)
        self._flaws = Flaws()
        wanted = [each for each in self._extents if each and each.high >= span.since and each.low < span.until]
        bundles = list(apart(wanted, self._aim))
        if not bundles:
            yield Portion(until, ())
            return
        ends = [bundle[0].low for bundle in bundles[1:]] + [span.until]
        begin = span.since
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="reading-history") as threads:
            for number, (bundle, end) in enumerate(zip(bundles, ends, strict=True)):
                yield from self._bundle(number, bundle, Span(begin, end), threads)
                begin = end

    def close(self) -> None:
        """Remove what was put in order aside."""
        for aside in self._asides.values():
            aside.close()
        self._asides.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bundle(
        self, number: int, bundle: Sequence[Extent], span: Span, threads: ThreadPoolExecutor
    ) -> Iterator[Portion]:
        files = {each.file: self._open(each.file) for each in bundle}
        groups = [group for file in files.values() for group in self._groups(file, note=True)]
        wanted = [group for group in groups if group.high >= span.since and group.low < span.until]
        steps = plan(wanted, span, aim=self._aim, most=self._most)
        if steps is None:
            aside = self._put_aside(number, files, wanted, span)
            self._flaws.merge(aside.flaws.all())
            yield from aside.portions(span, self._flaws)
            return
        yield from self._stepped(files, steps or [Step(span.until, ())], span, threads)

    def _stepped(
        self, files: dict[int, _File], steps: Sequence[Step], span: Span, threads: ThreadPoolExecutor
    ) -> Iterator[Portion]:
        left: list[Piece] = []
        for step, read in self._ahead(files, steps, span, threads):
            for found, flaws in read:
                left += found
                self._flaws.merge(flaws)
            before, left = columns.split(left, step.until)
            yield columns.portion(before, step.until, self._flaws)

    def _ahead(
        self, files: dict[int, _File], steps: Sequence[Step], span: Span, threads: ThreadPoolExecutor
    ) -> Iterator[tuple[Step, Iterable[tuple[list[Piece], tuple[Flaw, ...]]]]]:
        """What the groups of each step hold. With several threads the next step is read meanwhile."""
        if self._jobs == 1:
            for step in steps:
                yield step, (self._read(task, span) for task in self._tasks(files, step.groups))
            return
        under_way: list[tuple[Step, list[Future[tuple[list[Piece], tuple[Flaw, ...]]]]]] = []
        for step in steps:
            tasks = self._tasks(files, step.groups)
            under_way.append((step, [threads.submit(self._read, task, span) for task in tasks]))
            if len(under_way) > 1:
                ready, futures = under_way.pop(0)
                yield ready, (future.result() for future in futures)
        for ready, futures in under_way:
            yield ready, (future.result() for future in futures)

    # Files and groups -------------------------------------------------------------------------------------------------

    def _open(self, number: int) -> _File:
        path = self._files[number]
        try:
            with pq.ParquetFile(path) as file:
                footer, schema = file.metadata, file.schema_arrow
        except FileNotFoundError as error:
            raise NotFound(f"{path} does not exist") from error
        except (pa.ArrowException, OSError) as error:
            raise Unusable(
                f"{path} is no Parquet file that can be read ({error}); leave it out, or write it anew"
            ) from error
        fields = self._fields(path)
        names = resolved(fields, schema.names, str(path))
        refuse_other_than(schema, fields, names, str(path))
        return _File(number, path, fields, names, footer, schema)

    def _extent(self, number: int) -> Extent | None:
        groups = self._groups(self._open(number), note=False)
        if not groups:
            return None
        low, high = min(group.low for group in groups), max(group.high for group in groups)
        return Extent(number, sum(group.rows for group in groups), low, high)

    def _groups(self, file: _File, *, note: bool) -> list[Group]:
        """The row groups of a file that have any instant; those that have none are flaws."""
        if file.number in self._scanned:
            return self._scanned[file.number]
        factor = _factor(file)
        kind = file.schema.field(file.fields.at).type
        moved = (file.fields.offset or 0) if pa.types.is_timestamp(kind) and kind.tz is None else 0
        found: list[Group] = []
        first = 0
        place = _leaves(file)[file.fields.at]
        for number in range(file.footer.num_row_groups):
            group = file.footer.row_group(number)
            rows = group.num_rows
            known = _bounds(group.column(place).statistics, factor, moved) if factor else None
            bounds = known or (_scan(file, number, first + 1) if rows else None)
            if known is None and bounds is not None:
                self._scanned[file.number] = found
            if bounds is not None:
                found.append(Group(file.number, number, first, rows, *bounds))
            elif rows and note:
                self._flaws.add(str(file.path), first + 1, columns.TIMELESS, rows)
            first += rows
        return found

    def _tasks(self, files: dict[int, _File], groups: Iterable[Group]) -> list[_Task]:
        """Groups of single series are read many at a time, the others one by one."""
        tasks: list[_Task] = []
        rows = 0
        for group in sorted(groups, key=lambda group: (group.file, group.number)):
            file = files[group.file]
            texts = _constants(file, group.number)
            last = tasks[-1] if tasks else None
            whole = _whole(texts) and last is not None and last.file is file and _whole(last.texts[0])
            if whole and last is not None and rows + group.rows <= _TASK:
                last.groups.append(group)
                last.texts.append(texts)
                rows += group.rows
            else:
                tasks.append(_Task(file, [group], [texts]))
                rows = group.rows
        return tasks

    # Rows -------------------------------------------------------------------------------------------------------------

    def _read(self, task: _Task, span: Span) -> tuple[list[Piece], tuple[Flaw, ...]]:
        """The samples of row groups. For any thread."""
        flaws = Flaws()
        file = task.file
        wanted = [file.fields.at, file.fields.value, *varying(file.names, task.texts[0])]
        with file.reader() as reader:
            table = reader.read_row_groups([group.number for group in task.groups], columns=wanted, use_threads=False)
        if len(task.groups) == 1:
            line = task.groups[0].first + 1
            place = Place(str(file.path), (file.number, line), line)
            rows = rows_of(table, file.fields, file.names, task.texts[0], self._known, place)
            return columns.pieces(rows, span, flaws), flaws.all()
        names = [self._known.series(file.names.said, texts) for texts in task.texts]
        numbers = {name: code for code, name in reversed(list(enumerate(names)))}
        codes = np.array([numbers[name] for name in names], dtype=np.int64)
        counts = [group.rows for group in task.groups]
        starts = np.cumsum([0, *counts[:-1]], dtype=np.int64)
        lines: Index | int = task.groups[0].first + 1
        if task.groups[-1].first - task.groups[0].first != sum(counts[:-1]):
            lines = np.concatenate([np.arange(group.first, group.first + group.rows) + 1 for group in task.groups])
        place = Place(str(file.path), (file.number, task.groups[0].number), lines)
        at, timed = instants(table.column(0), file.fields, place)
        rows = Rows(at, values(table.column(1), file.fields), starts, codes, names, place, timed)
        return columns.pieces(rows, span, flaws), flaws.all()

    def _put_aside(self, number: int, files: dict[int, _File], groups: Sequence[Group], span: Span) -> Aside:
        if (number, span) in self._asides:
            return self._asides[number, span]
        self.close()
        low, high = min(group.low for group in groups), max(group.high for group in groups)
        within = Span(max(low, span.since), min(high + 1, span.until))
        aside = Aside(self._room, within, sum(group.rows for group in groups), aim=self._aim)
        try:
            for file, parts in itertools.groupby(groups, key=lambda group: group.file):
                self._pour(aside, files[file], sorted(parts, key=lambda group: group.number))
        except BaseException:
            aside.close()
            raise
        self._asides[number, span] = aside
        return aside

    def _pour(self, aside: Aside, file: _File, groups: Sequence[Group]) -> None:
        texts = of_columns(file.names)
        wanted = [file.fields.at, file.fields.value, *varying(file.names, texts)]
        with file.reader() as reader:
            for group in groups:
                line = group.first + 1
                for batch in reader.iter_batches(
                    max(1, self._aim // 8), row_groups=[group.number], columns=wanted, use_threads=False
                ):
                    table = pa.Table.from_batches([batch])
                    place = Place(str(file.path), (file.number, line), line)
                    aside.add(rows_of(table, file.fields, file.names, texts, self._known, place))
                    line += batch.num_rows


def _whole(texts: Sequence[Text]) -> bool:
    """Whether no column has to be read for the names."""
    return VARIES not in texts


def _texts(file: _File) -> list[str]:
    return [name for name in file.names.columns if name is not None and is_text(file.schema.field(name).type)]


def _leaves(file: _File) -> dict[str, int]:
    """Where each column stands in a row group."""
    schema = file.footer.schema
    return {schema.column(place).path: place for place in range(len(schema))}


def _factor(file: _File) -> int:
    """Nanoseconds that one in the statistics of `at` stands for; 0 where they say nothing that is certain."""
    column = file.footer.schema.column(_leaves(file)[file.fields.at])
    if column.physical_type != "INT64":
        return 0
    logical = json.loads(column.logical_type.to_json())
    if logical.get("Type") == "Timestamp":
        return _FACTORS.get(logical.get("timeUnit", ""), 0)
    return 1 if pa.types.is_int64(file.schema.field(file.fields.at).type) else 0


def _bounds(statistics: Any, factor: int, moved: int) -> tuple[int, int] | None:
    if statistics is None or not statistics.has_min_max:
        return None
    low, high = statistics.min_raw * factor - moved, statistics.max_raw * factor - moved
    return max(low, columns.EARLIEST), min(high, columns.LATEST)


def _scan(file: _File, group: int, line: int) -> tuple[int, int] | None:
    """The first and the last instant of a row group, found by reading them."""
    low, high = columns.LATEST, columns.EARLIEST
    with file.reader() as reader:
        for batch in reader.iter_batches(_TASK, row_groups=[group], columns=[file.fields.at], use_threads=False):
            at, timed = instants(batch.column(0), file.fields, Place(str(file.path), (file.number,), line))
            line += batch.num_rows
            at = at if timed is None else at[timed]
            if len(at):
                low, high = min(low, int(at.min())), max(high, int(at.max()))
    return (low, high) if low <= high else None


def _constants(file: _File, number: int) -> tuple[Text, ...]:
    """What names the series of a row group where that is one and the same for all its rows."""
    group = file.footer.row_group(number)
    places = _leaves(file)
    found: list[Text] = []
    for column, fixed in zip(file.names.columns, file.names.fixed, strict=True):
        found.append(fixed if column is None else _constant(group.column(places[column]).statistics, group.num_rows))
    return tuple(found)


def _constant(statistics: Any, rows: int) -> Text:
    if statistics is None or not statistics.has_null_count:
        return VARIES
    if statistics.null_count == rows:
        return None
    if statistics.null_count or not statistics.has_min_max or statistics.min != statistics.max:
        return VARIES
    return as_text(statistics.min)

"""Histories in Parquet: a file, or a folder of files, with the columns `service,check,metric,at,value`.

`at` is nanoseconds since 1970, a timestamp or RFC 3339; other columns are labels. Knows row groups: what series are in
one says the footer, by the list that a file of ours has or by the statistics of a group of a single series; then the
columns of names, most of the work, are not read at all. Blocks; for one thread at a time, though it may use several.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
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
from service_monitoring.storage.history.listing import Run, listed

MOST: Final = 3 * PORTION
"""Rows that are held at a time, at most; where files would need more, they are put in order aside first."""
_TASK: Final = 512 * 1024
_FACTORS: Final = {"milliseconds": 1_000_000, "microseconds": 1_000, "nanoseconds": 1}


class _File(NamedTuple):
    """One file, opened: what its columns are, where they stand in a row group, and the footer."""

    number: int
    path: Path
    fields: Fields
    names: Names
    footer: Any
    schema: Any
    places: dict[str, int]

    def reader(self) -> Any:
        """The file, for one thread."""
        return pq.ParquetFile(self.path, metadata=self.footer, read_dictionary=_texts(self), pre_buffer=False)


class _Task(NamedTuple):
    """Row groups of one file that are read at once.

    `runs` say how many rows are of which series, if the footer does, by a list or by statistics; otherwise it is one
    group, and the columns of names are read for those of its `texts` that vary.
    """

    file: _File
    groups: list[Group]
    texts: tuple[Text, ...]
    runs: list[tuple[int, Series | None]]
    by_list: bool = False


class _Work(NamedTuple):
    """A step of the plan, ready to be read; or, where there is no plan, what has to be put in order aside."""

    number: int
    files: dict[int, _File]
    span: Span
    groups: Sequence[Group]
    step: Step | None
    tasks: list[_Task]


_Found: TypeAlias = tuple[list[Piece], tuple[Flaw, ...]]
_Mapped: TypeAlias = Callable[[Callable[[_Task], _Found], Iterable[_Task]], Iterable[_Found]]
"""`map`, or that of a pool of threads."""


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
        work = self._work(bundles, span)
        if self._jobs == 1:
            yield from self._portions(work, map)
            return
        threads = ThreadPoolExecutor(self._jobs, thread_name_prefix="reading-history")
        try:
            # All at once, and nothing ahead: who judges meanwhile would wait for the lock of the interpreter.
            yield from self._portions(work, threads.map)
        finally:
            threads.shutdown(cancel_futures=True)

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

    def _work(self, bundles: Sequence[Sequence[Extent]], span: Span) -> Iterator[_Work]:
        """Step by step all that is to be read; files are opened when their turn comes."""
        ends = [bundle[0].low for bundle in bundles[1:]] + [span.until]
        begin = span.since
        for number, (bundle, end) in enumerate(zip(bundles, ends, strict=True)):
            within = Span(begin, end)
            begin = end
            files = {each.file: self._open(each.file) for each in bundle}
            groups = [group for file in files.values() for group in self._groups(file, note=True)]
            wanted = [group for group in groups if group.high >= within.since and group.low < within.until]
            steps = plan(wanted, within, aim=self._aim, most=self._most)
            if steps is None:
                yield _Work(number, files, within, wanted, None, [])
                continue
            listings: dict[int, list[list[Run] | None]] = {}
            for step in steps or [Step(within.until, ())]:
                yield _Work(number, files, within, wanted, step, self._tasks(files, step.groups, listings))

    def _portions(self, work: Iterable[_Work], mapped: _Mapped) -> Iterator[Portion]:
        left: list[Piece] = []
        for each in work:
            if each.step is None:
                aside = self._put_aside(each.number, each.files, each.groups, each.span)
                self._flaws.merge(aside.flaws.all())
                yield from aside.portions(each.span, self._flaws)
                continue
            read = mapped(partial(self._read, span=each.span), each.tasks)
            before, left = columns.split([*left, *self._pieces(read)], each.step.until)
            yield columns.portion(before, each.step.until, self._flaws)
            del before  # nobody holds on to it while the next portion is read

    def _pieces(self, read: Iterable[_Found]) -> Iterator[Piece]:
        for found, flaws in read:
            self._flaws.merge(flaws)
            yield from found

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
        places = {footer.schema.column(place).path: place for place in range(len(footer.schema))}
        return _File(number, path, fields, names, footer, schema, places)

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
        place = file.places[file.fields.at]
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

    def _tasks(
        self, files: dict[int, _File], groups: Iterable[Group], listings: dict[int, list[list[Run] | None]]
    ) -> list[_Task]:
        """Groups whose series are known are read several at a time, the others one by one."""
        tasks: list[_Task] = []
        rows = 0
        for group in sorted(groups, key=lambda group: (group.file, group.number)):
            file = files[group.file]
            if group.file not in listings:
                listings[group.file] = listed(file.footer, file.names.columns)
            task = self._task(file, group, listings[group.file][group.number])
            last = tasks[-1] if tasks else task
            alike = last.file is file and last.by_list is task.by_list and bool(last.runs) and bool(task.runs)
            if tasks and alike and rows + group.rows <= _TASK:
                last.groups.append(group)
                last.runs.extend(task.runs)
                rows += group.rows
            else:
                tasks.append(task)
                rows = group.rows
        return tasks

    def _task(self, file: _File, group: Group, runs: list[Run] | None) -> _Task:
        names = file.names
        if runs is None:
            texts = _constants(file, group.number)
            known = [] if VARIES in texts else [(group.rows, self._known.series(names.said, texts))]
            return _Task(file, [group], texts, known)
        constants = {place: fixed for place, fixed in enumerate(names.fixed) if names.columns[place] is None}
        series: list[tuple[int, Series | None]] = []
        for rows, texts in runs:
            whole = tuple(constants.get(place, text) for place, text in enumerate(texts)) if constants else texts
            series.append((rows, self._known.series(names.said, whole)))
        return _Task(file, [group], of_columns(names), series, by_list=True)

    # Rows -------------------------------------------------------------------------------------------------------------

    def _read(self, task: _Task, span: Span) -> _Found:
        """The samples of row groups. For any thread."""
        flaws = Flaws()
        rows = self._rows(task)
        if not task.by_list:
            return columns.pieces(rows, span, flaws), flaws.all()
        if columns.orderly(rows):
            return columns.cut(rows, span), ()
        # What we write is in order: somebody has written the file anew, and kept the list, but not the order of rows.
        by_columns = [self._rows(_Task(task.file, [group], task.texts, [])) for group in task.groups]
        return [piece for each in by_columns for piece in columns.pieces(each, span, flaws)], flaws.all()

    def _rows(self, task: _Task) -> Rows:
        file, first = task.file, task.groups[0]
        varies = [] if task.runs else varying(file.names, task.texts)
        wanted = [file.fields.at, file.fields.value, *varies]
        with file.reader() as reader:
            table = reader.read_row_groups([group.number for group in task.groups], columns=wanted, use_threads=False)
        if not task.runs:
            place = Place(str(file.path), (file.number, first.first + 1), first.first + 1)
            return rows_of(table, file.fields, file.names, task.texts, self._known, place)
        place = Place(str(file.path), (file.number, first.first + 1), _lines(task.groups))
        at, timed = instants(table.column(0), file.fields, place)
        counts, names = zip(*task.runs, strict=True)
        numbers = {name: code for code, name in reversed(list(enumerate(names)))}
        codes = np.array([numbers[name] for name in names], dtype=np.int64)
        starts = np.cumsum([0, *counts[:-1]], dtype=np.int64)
        return Rows(at, values(table.column(1), file.fields), starts, codes, names, place, timed)

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


def _lines(groups: Sequence[Group]) -> Index | int:
    """The numbers of the rows of groups: that of the first, where the others follow."""
    first, last = groups[0], groups[-1]
    if last.first - first.first == sum(group.rows for group in groups[:-1]):
        return first.first + 1
    return np.concatenate([np.arange(group.first, group.first + group.rows) + 1 for group in groups])


def _texts(file: _File) -> list[str]:
    return [name for name in file.names.columns if name is not None and is_text(file.schema.field(name).type)]


def _factor(file: _File) -> int:
    """Nanoseconds that one in the statistics of `at` stands for; 0 where they say nothing that is certain."""
    column = file.footer.schema.column(file.places[file.fields.at])
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
    found: list[Text] = []
    for column, fixed in zip(file.names.columns, file.names.fixed, strict=True):
        found.append(
            fixed if column is None else _constant(group.column(file.places[column]).statistics, group.num_rows)
        )
    return tuple(found)


def _constant(statistics: Any, rows: int) -> Text:
    if statistics is None or not statistics.has_null_count:
        return VARIES
    if statistics.null_count == rows:
        return None
    if statistics.null_count or not statistics.has_min_max or statistics.min != statistics.max:
        return VARIES
    return as_text(statistics.min)

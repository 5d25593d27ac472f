"""Histories in CSV: a file, or several, with a line of names and the columns `service,check,metric,at,value`.

`at` is RFC 3339 or nanoseconds since 1970; other columns are labels; `.gz` is unpacked on the way. Knows lines. All of
it is put in order aside before any of it is read, for a file says nothing of the order of its rows. Blocks; for one
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.stretches import Portion
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Flaw
from service_monitoring.storage.history.arrow import rows_of
from service_monitoring.storage.history.aside import ALWAYS, Aside
from service_monitoring.storage.history.columns import PORTION, Flaws, Index, Place, Span
from service_monitoring.storage.history.fields import PLAIN, Fields, Known, Names, of_columns, resolved

_BLOCK: Final = 4 * 1024 * 1024
_MALFORMED: Final = "the row has more or fewer fields than the first line names"


class CsvHistory:
    """Samples of files of CSV, under the laws of `ports.SampleHistory`. The first file has the first rows.

    `fields` says which column of a file is which. Lines of flaws count rows: a text in quotes that goes over several
    lines counts as one. `aside` is where rows are put in order; `close` removes that.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        fields: Callable[[Path], Fields] = lambda _: PLAIN,
        aside: Path | None = None,
        aim: int = PORTION,
        block: int = _BLOCK,
    ) -> None:
        self._files = list(files)
        self._fields = fields
        self._room, self._aim, self._block = aside, aim, block
        self._known = Known()
        self._flaws = Flaws()
        self._ordered: Aside | None = None

    def extent(self) -> tuple[Instant, Instant] | None:
        """The instants of the first and of the last sample."""
        known = self._aside().extent()
        return None if known is None else (Instant(known[0]), Instant(known[1]))

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        """All samples in [since, until), in time order."""
        aside = self._aside()
        self._flaws = Flaws()
        self._flaws.merge(aside.flaws.all())
        yield from aside.portions(Span(since.ns, until.ns), self._flaws)

    def flaws(self) -> tuple[Flaw, ...]:
        """What could not be taken, since `portions` was last called."""
        return self._flaws.all()

    def close(self) -> None:
        """Remove what was put in order aside."""
        if self._ordered is not None:
            self._ordered.close()
            self._ordered = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _aside(self) -> Aside:
        if self._ordered is None:
            aside = Aside(self._room, ALWAYS, 0, aim=self._aim)
            try:
                for number, path in enumerate(self._files):
                    self._pour(aside, number, path)
            except BaseException:
                aside.close()
                raise
            self._flaws.merge(aside.flaws.all())
            self._ordered = aside
        return self._ordered

    def _pour(self, aside: Aside, number: int, path: Path) -> None:
        fields = self._fields(path)
        lines = _Lines()
        try:
            with pa.input_stream(path, compression="detect") as stream:
                names, kinds = self._columns(path, fields)
                reader = pyarrow.csv.open_csv(
                    stream,
                    read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=self._block),
                    parse_options=_parsing(lines.skip),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=kinds, include_columns=list(kinds), strings_can_be_null=True, null_values=[""]
                    ),
                )
                for batch in reader:
                    numbers = lines.next(batch.num_rows)
                    blank = np.logical_and.reduce([column.is_null().to_numpy(False) for column in batch.columns])
                    place = Place(str(path), (number,), numbers[~blank])
                    filled = batch.filter(pa.array(~blank)) if blank.any() else batch
                    aside.add(rows_of(filled, fields, names, of_columns(names), self._known, place))
        except FileNotFoundError as error:
            raise NotFound(f"{path} does not exist") from error
        except (pa.ArrowException, OSError) as error:
            raise Refused(f"{path} is no CSV that can be read ({error}); write it anew, as UTF-8") from error
        if lines.skipped:
            aside.flaws.add(str(path), lines.first, _MALFORMED, lines.skipped)

    def _columns(self, path: Path, fields: Fields) -> tuple[Names, dict[str, Any]]:
        """What the columns of a file are, by its first line."""
        with pa.input_stream(path, compression="detect") as stream:
            try:
                read = pyarrow.csv.ReadOptions(use_threads=False, block_size=self._block)
                present = pyarrow.csv.open_csv(stream, read_options=read, parse_options=_parsing(_skip)).schema.names
            except pa.ArrowInvalid as error:
                raise Refused(
                    f"{path}:1: there is no line of names ({error}); begin with service,check,metric,at,value"
                ) from error
        names = resolved(fields, present, str(path))
        text = pa.dictionary(pa.int32(), pa.string())
        kinds = {fields.at: pa.string(), fields.value: pa.string()}
        return names, kinds | {column: text for column in names.columns if column is not None}


class _Lines:
    """Which line each row stands on: those that were skipped are counted, and leave a hole."""

    def __init__(self) -> None:
        self.skipped = self.first = 0
        self._holes: list[int] = []
        self._line = 2

    def skip(self, row: Any) -> str:
        """A row that cannot be taken apart."""
        if row.text.strip():
            self.skipped += 1
            self.first = self.first or row.number or 0
        if row.number is not None:
            self._holes.append(row.number)
        return "skip"

    def next(self, count: int) -> Index:
        """The lines of the next `count` rows."""
        holes, taken = sorted(self._holes), 0
        end = self._line + count
        while taken < len(holes) and holes[taken] < end:
            end += 1
            taken += 1
        numbers = np.arange(self._line, end)
        if taken:
            numbers = numbers[~np.isin(numbers, holes[:taken])]
        self._holes = holes[taken:]
        self._line = end
        return numbers[:count]


def _skip(_: Any) -> str:
    return "skip"


def _parsing(skip: Callable[[Any], str]) -> Any:
    return pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=skip)

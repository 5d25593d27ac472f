"""Rows of a history as columns: put in the order of time, series by series, and what of them could not be taken.

Knows arrays, series and flaws. Does not know what kind of file they came from. Nothing here is done row by row: rows
that are in order already, as most files have them, are looked at once and never moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion, Steps, Stretch
from service_monitoring.domain.windows import NO_INSTANTS, FloatColumn, InstantColumn
from service_monitoring.ports import Flaw

EARLIEST: Final = -(1 << 63)
LATEST: Final = (1 << 63) - 1
PORTION: Final = 4_000_000
"""Samples that a portion aims at: 64 MB of columns."""

# Of several rows of one instant each is compared with the first that was read with it.
DUPLICATE: Final = "the series has a sample of this instant and value already"
CONFLICT: Final = "the series has another value at this instant already: the first one stands"
TIMELESS: Final = "the instant is missing, cannot be read, or is too far away"
NAMELESS: Final = "service, check or metric is missing"
NOT_FINITE: Final = "the value is missing, or not a finite number"

Index = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


class Span(NamedTuple):
    """Instants [since, until) in nanoseconds."""

    since: int
    until: int


class Place(NamedTuple):
    """Where rows stand: `where` names the file, `order` says which rows come first in the history.

    `lines` are the rows' numbers for people, or the first of them where one follows the other.
    """

    where: str
    order: tuple[int, ...]
    lines: Index | int

    def line(self, index: int) -> int:
        """The number of the row at `index`."""
        return self.lines + index if isinstance(self.lines, int) else int(self.lines[index])

    def part(self, begin: int, end: int) -> Place:
        """The rows from `begin` to `end`."""
        lines = self.lines + begin if isinstance(self.lines, int) else self.lines[begin:end]
        return Place(self.where, self.order, lines)


class Piece(NamedTuple):
    """Samples of one series that stand together, strictly increasing; `steps` are those of its instants, if known."""

    series: Series
    instants: InstantColumn
    values: FloatColumn
    place: Place
    steps: Steps | None = None


class Rows(NamedTuple):
    """Rows as they were read: those from `starts[i]` on are of the series `names[codes[i]]`, None where it has none.

    An equal series has an equal code. `timed`, where not every row has an instant, says which have one.
    """

    instants: InstantColumn
    values: FloatColumn
    starts: Index
    codes: Index
    names: Sequence[Series | None]
    place: Place
    timed: Truths | None = None


class Flaws:
    """Counts what could not be taken, by file and reason, with the first line of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, where: str, line: int, why: str, count: int = 1) -> None:
        """Rows that could not be taken; `line` is the first of them."""
        first, known = self._found.get((where, why), (line, 0))
        self._found[where, why] = (min(first, line), known + count)

    def merge(self, others: Iterable[Flaw]) -> None:
        """Count what somebody else counted."""
        for flaw in others:
            self.add(flaw.where, flaw.line, flaw.why, flaw.count)

    def all(self) -> tuple[Flaw, ...]:
        """What was counted, by file and line."""
        found = (Flaw(where, line, why, count) for (where, why), (line, count) in self._found.items())
        return tuple(sorted(found, key=lambda flaw: (flaw.where, flaw.line, flaw.why)))


def pieces(rows: Rows, span: Span, flaws: Flaws) -> list[Piece]:
    """The samples of `rows` within `span`, one piece a series."""
    if not orderly(rows):
        rows = usable(rows, span, flaws)
        if len(rows.instants) and not _in_order(rows):
            rows = _sorted(rows, span, flaws)
    return cut(rows, span)


def orderly(rows: Rows) -> bool:
    """Whether there is nothing to leave out or to put in order."""
    return rows.timed is None and None not in rows.names and _finite(rows.values) and _in_order(rows)


def _finite(values: FloatColumn) -> bool:
    """Whether all are: their sum tells, in a third of the time of a look at each, unless it is itself too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _in_order(rows: Rows) -> bool:
    """Whether each series stands together, and rises."""
    if len(rows.starts) > len(rows.names):
        return False
    seen = np.zeros(len(rows.names), dtype=np.bool_)
    seen[rows.codes] = True
    if np.count_nonzero(seen) < len(rows.starts):
        return False
    return _rising(rows.instants, rows.starts)


def _rising(instants: InstantColumn, starts: Index) -> bool:
    """Whether instants strictly rise but where a series starts."""
    rising = instants[1:] > instants[:-1]
    rising[starts[1:] - 1] = True
    return bool(rising.all())


def usable(rows: Rows, span: Span, flaws: Flaws) -> Rows:
    """`rows` without those that have no instant, no series or no finite value."""
    finite = np.isfinite(rows.values)
    nameless = [code for code, name in enumerate(rows.names) if name is None]
    if rows.timed is None and not nameless and finite.all():
        return rows
    code_of_row = spread(rows)
    timed = np.ones(len(finite), dtype=np.bool_) if rows.timed is None else rows.timed
    named = ~np.isin(code_of_row, nameless)
    within = timed & (rows.instants >= span.since) & (rows.instants < span.until)
    for bad, why in ((~timed, TIMELESS), (within & ~named, NAMELESS), (within & named & ~finite, NOT_FINITE)):
        found = np.flatnonzero(bad)
        if len(found):
            flaws.add(rows.place.where, rows.place.line(int(found[0])), why, len(found))
    return _taken(rows, np.flatnonzero(timed & named & finite), code_of_row)


def spread(rows: Rows) -> Index:
    """The code of each row."""
    if len(rows.starts) == len(rows.instants):
        return rows.codes
    return np.repeat(rows.codes, np.diff(rows.starts, append=len(rows.instants)))


def _taken(rows: Rows, which: Index, code_of_row: Index) -> Rows:
    """The rows at the indices `which`, in that order."""
    codes = code_of_row[which]
    starts, run_codes = runs(codes)
    lines = rows.place.lines
    place = Place(rows.place.where, rows.place.order, which + lines if isinstance(lines, int) else lines[which])
    return Rows(rows.instants[which], rows.values[which], starts, run_codes, rows.names, place)


def runs(codes: npt.NDArray[Any]) -> tuple[Index, Index]:
    """Where each run of equal codes starts, and its code."""
    if not len(codes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    starts = np.concatenate(([0], np.flatnonzero(codes[1:] != codes[:-1]) + 1))
    return starts, codes[starts].astype(np.int64)


def _sorted(rows: Rows, span: Span, flaws: Flaws) -> Rows:
    """`rows` within `span` by series and instant; of several at one instant the first stands."""
    codes = spread(rows)
    within = (rows.instants >= span.since) & (rows.instants < span.until)
    if within.all():
        order = np.argsort(compact(codes, len(rows.names)), kind="stable")
    else:
        which = np.flatnonzero(within)
        codes = codes[which]
        order = which[np.argsort(compact(codes, len(rows.names)), kind="stable")]
    instants = rows.instants[order]
    counts = np.bincount(codes, minlength=1)
    present = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[present]
    if not _rising(instants, starts):
        by_time = np.lexsort((instants, np.repeat(present, counts[present])))
        order, instants = order[by_time], instants[by_time]
        again = np.concatenate(([False], instants[1:] == instants[:-1]))
        again[starts] = False
        if again.any():
            _repeated(rows.place, order, _equal_to_first(rows.values[order], again), again, flaws)
            order, instants = order[~again], instants[~again]
            starts = starts - np.cumsum(again)[starts]
    lines = rows.place.lines
    place = Place(rows.place.where, rows.place.order, order + lines if isinstance(lines, int) else lines[order])
    return Rows(instants, rows.values[order], starts, present, rows.names, place)


def compact(codes: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """The codes in the narrowest type: 16 bits are sorted by NumPy in linear time."""
    return codes.astype(np.uint16 if most <= 1 << 16 else np.uint32, copy=False)


def _repeated(place: Place, order: Index, equal: Truths, again: Truths, flaws: Flaws) -> None:
    """Count the rows that repeat an instant; those of an `equal` value do not contradict the first."""
    for which, why in ((again & equal, DUPLICATE), (again & ~equal, CONFLICT)):
        found = order[which]
        if len(found):
            flaws.add(place.where, place.line(int(found.min())), why, len(found))


def _equal_to_first(values: FloatColumn, again: Truths) -> Truths:
    """Which values are equal to that of the row that stands for their instant."""
    equal: Truths = values == values[np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))]
    return equal


def cut(rows: Rows, span: Span) -> list[Piece]:
    """The samples of `rows`, which are `orderly`, within `span`, one piece a series.

    Series that were measured at the same instants share one column of them.
    """
    if not len(rows.instants):
        return []
    found: list[Piece] = []
    shared, steps = NO_INSTANTS, Steps(0, 0)
    ends = [*rows.starts[1:].tolist(), len(rows.instants)]
    firsts, lasts = rows.instants[rows.starts].tolist(), rows.instants[np.array(ends) - 1].tolist()
    for begin, end, code, first, last in zip(
        rows.starts.tolist(), ends, rows.codes.tolist(), firsts, lasts, strict=True
    ):
        series = rows.names[code]
        assert series is not None
        low, high = begin, end
        if first < span.since:
            low += int(np.searchsorted(rows.instants[begin:end], span.since))
        if last >= span.until:
            high = begin + int(np.searchsorted(rows.instants[begin:end], span.until))
        if low < high:
            instants = rows.instants[low:high]
            if len(instants) != len(shared) or not (instants == shared).all():
                shared, steps = instants, Steps.of(instants)
            found.append(Piece(series, shared, rows.values[low:high], rows.place.part(low, high), steps))
    return found


def split(found: Sequence[Piece], until: int) -> tuple[list[Piece], list[Piece]]:
    """What lies before `until`, and the rest."""
    before: list[Piece] = []
    rest: list[Piece] = []
    for piece in found:
        if piece.instants[-1] < until:
            before.append(piece)
        elif piece.instants[0] >= until:
            rest.append(piece)
        else:
            place = int(np.searchsorted(piece.instants, until))
            series, instants, values, where, _ = piece
            before.append(Piece(series, instants[:place], values[:place], where.part(0, place)))
            rest.append(Piece(series, instants[place:], values[place:], where.part(place, len(instants))))
    return before, rest


def portion(found: Iterable[Piece], until: int, flaws: Flaws) -> Portion:
    """All pieces, as one stretch a series; of several at one instant the first in the history stands."""
    by_series: dict[Series, list[Piece]] = {}
    for piece in found:
        by_series.setdefault(piece.series, []).append(piece)
    stretches = [
        Stretch(series, parts[0].instants, parts[0].values, parts[0].steps)
        if len(parts) == 1
        else _joined(series, parts, flaws)
        for series, parts in sorted(by_series.items())
    ]
    return Portion(Instant(until), tuple(stretches))


def _joined(series: Series, parts: list[Piece], flaws: Flaws) -> Stretch:
    parts.sort(key=lambda piece: int(piece.instants[0]))
    if all(before.instants[-1] < after.instants[0] for before, after in pairwise(parts)):
        return Stretch(
            series, np.concatenate([part.instants for part in parts]), np.concatenate([part.values for part in parts])
        )
    parts.sort(key=lambda piece: piece.place.order)
    instants = np.concatenate([part.instants for part in parts])
    values = np.concatenate([part.values for part in parts])
    order = np.argsort(instants, kind="stable")
    again = np.concatenate(([False], instants[order][1:] == instants[order][:-1]))
    if again.any():
        equal = _equal_to_first(values[order], again)
        start = 0
        for part in parts:
            mine = (order >= start) & (order < start + len(part.instants))
            _repeated(part.place, order - start, equal, again & mine, flaws)
            start += len(part.instants)
        order = order[~again]
    return Stretch(series, instants[order], values[order])

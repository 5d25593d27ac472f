"""Lists of series: what the footer of a file of ours says about the rows of each row group.

With the list, the columns of names, which are most of the work of reading, are read nowhere. It is worth having where
a series has many rows; it is believed where it agrees with all else that the footer says. Knows the list and its form;
does not know how a file is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

KEY: Final = "service-monitoring.series"
VERSION: Final = 1
WORTH: Final = 32
"""Rows of a series, on the average of a row group, from which on they are listed."""


class Run(NamedTuple):
    """So many rows, one after the other, of the series with these texts; None where it has none."""

    rows: int
    texts: tuple[str | None, ...]


class _Group(Struct, frozen=True, array_like=True):
    """The runs of a row group, a column each; what all of them have in common is said once."""

    count: int
    rows: list[int]
    texts: list[list[str | None]]


class _List(Struct, frozen=True):
    columns: list[str]
    groups: list[_Group | None]
    version: int = VERSION


def encoded(columns: Sequence[str], groups: Iterable[Sequence[Run]]) -> str:
    """The list of a file, whose row groups have these runs, named by these columns."""
    return msgspec.json.encode(_List(list(columns), [_grouped(runs) for runs in groups])).decode()


def _grouped(runs: Sequence[Run]) -> _Group | None:
    if sum(run.rows for run in runs) < WORTH * len(runs):
        return None
    texts = [_said_once(list(column)) for column in zip(*(run.texts for run in runs), strict=True)]
    return _Group(len(runs), _said_once([run.rows for run in runs]), texts)


def _said_once(values: list[Any]) -> list[Any]:
    return values[:1] if len(set(values)) == 1 else values


def listed(footer: Any, names: Sequence[str | None]) -> list[list[Run] | None]:
    """The runs of each row group, with the texts of the columns `names`; None among these is no column, and no text.

    None instead of runs where a row group is not listed, or its list contradicts the footer: its columns must be read.
    """
    nothing: list[list[Run] | None] = [None] * footer.num_row_groups
    found = (footer.metadata or {}).get(KEY.encode())
    if found is None:
        return nothing
    try:
        read = msgspec.json.decode(found, type=_List)
    except msgspec.DecodeError:
        return nothing
    places = {footer.schema.column(place).path: place for place in range(len(footer.schema))}
    known = {*read.columns, None}.issuperset(names) and places.keys() >= set(read.columns)
    if read.version != VERSION or len(read.groups) != len(nothing) or not known:
        return nothing
    of_columns = [places[column] for column in read.columns]
    wanted = [None if name is None else read.columns.index(name) for name in names]
    return [
        None if group is None else _runs(group, footer.row_group(number), of_columns, wanted)
        for number, group in enumerate(read.groups)
    ]


def _runs(group: _Group, footer: Any, places: Sequence[int], wanted: Sequence[int | None]) -> list[Run] | None:
    """The runs of a row group, if they are as many rows as it has, and no texts lie outside of its statistics."""
    lengths = {len(group.rows), *map(len, group.texts)}
    if not lengths <= {1, group.count} or len(group.texts) != len(places):
        return None
    if not 0 < group.count <= footer.num_rows or min(group.rows) <= 0:
        return None
    rows = _for_each(group.rows, group.count)
    if sum(rows) != footer.num_rows:
        return None
    for texts, place in zip(group.texts, places, strict=True):
        if not _agree(texts, footer.column(place).statistics, footer.num_rows):
            return None
    columns: list[list[str | None]] = [
        [None] * group.count if each is None else _for_each(group.texts[each], group.count) for each in wanted
    ]
    return list(map(Run, rows, zip(*columns, strict=True)))


def _for_each(values: list[Any], count: int) -> list[Any]:
    return values if len(values) == count else values * count


def _agree(texts: Sequence[str | None], statistics: Any, rows: int) -> bool:
    present = {text for text in texts if text is not None}
    if statistics is None or not statistics.has_null_count:
        return False
    if not present:
        return bool(statistics.null_count == rows)
    if not statistics.has_min_max or (statistics.null_count > 0) != (None in texts):
        return False
    return bool(statistics.min == min(present) and statistics.max == max(present))

"""Columns of Arrow as arrays of ours: instants, values, and the names of series as codes.

Knows types of columns and what can be read from each. Does not know files, or which series there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.errors import Refused
from service_monitoring.storage.history.columns import Index, Place, Rows, Truths, runs
from service_monitoring.storage.history.fields import NAMES, VARIES, Fields, Known, Names, Text, varying

_ONES: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_WHOLE: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_TABLE: Final = 4_000_000
"""Codes up to which a table of all of them is quicker than sorting those that there are."""


class _ZonelessError(Exception):
    """An instant names no zone, and nobody said which is meant; `index` is that of the row."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__()
        self.index = index
        self.text = text


def rows_of(table: Any, fields: Fields, names: Names, texts: Sequence[Text], known: Known, place: Place) -> Rows:
    """Rows of a table, of whose names `texts` is known already. `Refused` where an instant names no zone."""
    at, timed = instants(table.column(fields.at), fields, place)
    starts, codes, keys = keyed([table.column(name) for name in varying(names, texts)], len(at))
    series: list[Series | None] = []
    for key in keys:
        rest = iter(key)
        series.append(known.series(names.said, tuple(next(rest) if text is VARIES else text for text in texts)))
    return Rows(at, values(table.column(fields.value), fields), starts, codes, series, place, timed)


def is_text(kind: Any) -> bool:
    """Whether a type of Arrow is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def refuse_other_than(schema: Any, fields: Fields, names: Names, where: str) -> None:
    """`Refused` where a column is of a type that says nothing to us."""
    at = schema.field(fields.at).type
    if pa.types.is_timestamp(at) and at.tz is None and fields.offset is None:
        raise Refused(
            f"{where}:1: the instants of {fields.at!r} name no zone; "
            "say `timezone: UTC` in a mapping file: --mapping FILE"
        )
    if not (pa.types.is_integer(at) or pa.types.is_timestamp(at) or is_text(_inner(at))):
        raise Refused(
            f"{where}:1: the column {fields.at!r} is of type {at}: "
            "instants are whole nanoseconds since 1970, timestamps or RFC 3339"
        )
    value = schema.field(fields.value).type
    if not (pa.types.is_floating(value) or pa.types.is_integer(value) or pa.types.is_decimal(value)):
        raise Refused(f"{where}:1: the column {fields.value!r} is of type {value}: values are numbers")
    for said, column in zip(names.said, names.columns, strict=True):
        if column is None:
            continue
        kind = _inner(schema.field(column).type)
        if is_text(kind) or pa.types.is_null(kind):
            continue
        if said in NAMES or not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            raise Refused(
                f"{where}:1: the column {column!r} is of type {kind}: names and labels are texts; "
                "name the labels that are wanted in a mapping file: labels: [...]"
            )


def _inner(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def instants(column: Any, fields: Fields, place: Place) -> tuple[InstantColumn, Truths | None]:
    """Nanoseconds since 1970, and which rows have an instant where some have none. `Refused` where one has no zone."""
    try:
        return _instants(column, fields)
    except _ZonelessError as zoneless:
        raise Refused(
            f"{place.where}:{place.line(zoneless.index)}: {zoneless.text!r} names no zone; "
            "say `timezone: UTC` in a mapping file: --mapping FILE"
        ) from None


def _instants(column: Any, fields: Fields) -> tuple[InstantColumn, Truths | None]:
    kind = column.type
    if pa.types.is_int64(kind) and not column.null_count:
        return _array(column), None
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if is_text(kind):
        return _read_texts(column, fields)
    timed: Truths | None = None
    if column.null_count:
        timed = _array(column.is_valid())
    if pa.types.is_timestamp(kind):
        factor = _ONES[kind.unit]
        raw = _array(column.cast(pa.int64()).fill_null(0))
        moved = (fields.offset or 0) if kind.tz is None else 0
        if factor != 1:
            fits = np.abs(raw) < (1 << 63) // factor
            if not fits.all():
                timed, raw = fits if timed is None else timed & fits, np.where(fits, raw, 0)
            raw = raw * factor
        return (raw - moved if moved else raw), timed
    if pa.types.is_uint64(kind):
        wide = _array(column.fill_null(0))
        fits = wide < 1 << 63
        return wide.astype(np.int64), _both(timed, fits)
    return _array(column.cast(pa.int64()).fill_null(0)), timed


def _both(one: Truths | None, other: Truths) -> Truths | None:
    both = other if one is None else one & other
    return None if both.all() else both


def _read_texts(column: Any, fields: Fields) -> tuple[InstantColumn, Truths | None]:
    """Texts as instants, all at once where they are all of one form."""
    forms = [(pa.timestamp("ns", "UTC"), 0), (pa.int64(), 0)]
    if fields.offset is not None:
        forms.insert(0, (pa.timestamp("ns"), fields.offset))
    for kind, moved in forms:
        try:
            found = column.cast(kind)
        except pa.ArrowInvalid:
            continue
        timed = _array(found.is_valid()) if found.null_count else None
        raw = _array(found.cast(pa.int64()).fill_null(0))
        return (raw - moved if moved else raw), timed
    return _read_each(column.to_pylist(), fields)


def _read_each(texts: Sequence[str | None], fields: Fields) -> tuple[InstantColumn, Truths | None]:
    """One by one, where one of them is no instant, or they are of several forms."""
    found = np.zeros(len(texts), dtype=np.int64)
    timed = np.zeros(len(texts), dtype=np.bool_)
    for index, text in enumerate(texts):
        at = _instant((text or "").strip(), fields, index)
        if at is not None and -(1 << 63) <= at < 1 << 63:
            found[index], timed[index] = at, True
    return found, None if timed.all() else timed


def _instant(text: str, fields: Fields, index: int) -> int | None:
    """RFC 3339 or nanoseconds; where the mapping says an offset, also without one. None where it is neither."""
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        return Instant.parse(text).ns
    except Refused:
        pass
    try:
        at = Instant.parse(f"{text}Z").ns
    except Refused:
        return None
    if fields.offset is None:
        raise _ZonelessError(index, text)
    return at - fields.offset


def values(column: Any, fields: Fields) -> FloatColumn:
    """Values as floats; NaN where there is none."""
    found: FloatColumn
    if is_text(column.type):
        found = _read_numbers(column)
    elif pa.types.is_float64(column.type):
        found = _array(column)
    else:
        found = _array(column.cast(pa.float64(), safe=False))
    if fields.scale == 1.0:
        return found
    with np.errstate(over="ignore", invalid="ignore"):
        return found * fields.scale


def _read_numbers(column: Any) -> FloatColumn:
    """Texts as numbers; NaN where one is none."""
    try:
        return _array(column.cast(pa.float64())).astype(np.float64)
    except pa.ArrowInvalid:
        return np.array([_number(text) for text in column.to_pylist()], dtype=np.float64)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def keyed(names: Sequence[Any], rows: int) -> tuple[Index, Index, list[tuple[str | None, ...]]]:
    """Runs of rows of equal names: where each starts, its code, and the texts that each code stands for."""
    if not names:
        return np.zeros(min(rows, 1), np.int64), np.zeros(min(rows, 1), np.int64), [()]
    tables: list[list[str | None]] = []
    code: npt.NDArray[np.int64] | None = None
    size = 1
    for column in names:
        indices, texts = _indices(column)
        tables.append(texts)
        if code is not None and size * len(texts) >= 1 << 62:
            raise Refused("there are too many series in one row group; write it in smaller ones")
        code = indices.astype(np.int64) if code is None else code * len(texts) + indices
        size *= len(texts)
    assert code is not None
    starts, codes = runs(code)
    present, dense = _dense(codes, size)
    keys: list[tuple[str | None, ...]] = []
    for number in present.tolist():
        key: list[str | None] = []
        left = number
        for texts in reversed(tables):
            left, place = divmod(left, len(texts))
            key.append(texts[place])
        keys.append(tuple(reversed(key)))
    return starts, dense, keys


def _dense(codes: Index, size: int) -> tuple[Index, Index]:
    """The codes that there are, and each code as its place among them."""
    if size > _TABLE:
        return np.unique(codes, return_inverse=True)
    seen = np.zeros(size, dtype=np.bool_)
    seen[codes] = True
    present = np.flatnonzero(seen)
    places = np.empty(size, dtype=np.int64)
    places[present] = np.arange(len(present))
    return present, places[codes]


def _indices(column: Any) -> tuple[npt.NDArray[Any], list[str | None]]:
    """A column of names as indices into texts; the last of these is that of rows without one."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
        column = column.combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64), [None]
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    texts: list[str | None] = [None if text is None else as_text(text) for text in column.dictionary.to_pylist()]
    found = column.indices
    if found.null_count:
        found = found.cast(pa.int64()).fill_null(len(texts))
    return _array(found), [*texts, None]


def as_text(value: object) -> str:
    """A name or a label as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _array(column: Any) -> npt.NDArray[Any]:
    """A column as one array."""
    found: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found

"""Quantities: durations and sizes as people write them, `1h30m` and `1MiB`.

Knows text and numbers. A duration becomes an integer of nanoseconds and a size an integer of bytes, exactly: no float
is in between. A bare number is refused as a duration, because nobody can see its unit.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from service_monitoring.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.settings.problems import InvalidValue, shown

LONGEST: Final = Duration(36_525 * DAY)
"""A hundred years: longer spans would not fit into an instant."""

_UNITS: Final = {"w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND, "us": 1_000, "ns": 1}
_DURATION: Final = re.compile("".join(rf"(?:(\d{{1,12}}(?:\.\d{{1,9}})?){unit})?" for unit in _UNITS), re.ASCII)
_DURATION_REMEDY: Final = "write 90s, 2m, 1h30m"

_SCALES: Final = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]*)", re.ASCII)


@lru_cache(maxsize=4096)
def duration(text: str) -> Duration:
    """Read `90s`, `2m`, `1h30m`, `1.5s` or `0`; anything else is `InvalidValue`."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return Duration(0)
    if not text or match is None:
        raise InvalidValue(f"{shown(text)} is not a duration", _DURATION_REMEDY)
    parts = zip(match.groups(), _UNITS.values(), strict=True)
    exact = sum((Decimal(number) * unit for number, unit in parts if number is not None), Decimal(0))
    if exact != int(exact):
        raise InvalidValue(f"{shown(text)} is finer than a nanosecond", _DURATION_REMEDY)
    if exact > LONGEST:
        raise InvalidValue(f"{shown(text)} is longer than a hundred years", "write a shorter duration")
    return Duration(int(exact))


def size(text: str) -> int:
    """Read `512`, `64KiB`, `1MiB` or `1.5GB` as bytes; anything else is `InvalidValue`."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _SCALES:
        raise InvalidValue(f"{shown(text)} is not a size", "write 512, 64KiB, 1MiB, 1.5GB")
    exact = Decimal(match[1]) * _SCALES[match[2]]
    if exact != int(exact):
        raise InvalidValue(f"{shown(text)} is not a whole number of bytes", "write 512, 64KiB, 1MiB, 1.5GB")
    return int(exact)


def duration_text(length: Duration) -> str:
    """The shortest exact way to write `length`: the inverse of `duration`."""
    if length == 0:
        return "0s"
    parts = []
    rest = int(length)
    for unit, nanoseconds in _UNITS.items():
        if unit == "w" and rest % nanoseconds:
            continue
        count, rest = divmod(rest, nanoseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _duration_field(given: object) -> Duration:
    if isinstance(given, str):
        return duration(given)
    if isinstance(given, int) and not isinstance(given, bool):
        if given == 0:
            return Duration(0)
        raise InvalidValue(
            f"{given} is a number without a unit, not a duration", f"write {given}s, {given}m or {given}h"
        )
    raise InvalidValue("a duration is expected here", _DURATION_REMEDY)


def _size_field(given: object) -> int:
    if isinstance(given, str):
        return size(given)
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    raise InvalidValue("a size is expected here", "write 512, 64KiB, 1MiB, 1.5GB")


DurationField = Annotated[
    Duration,
    BeforeValidator(_duration_field),
    PlainSerializer(duration_text),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": "^(0|" + "".join(rf"(\d+(\.\d+)?{unit})?" for unit in _UNITS) + ")$",
            "maximum": 0,
            "description": "A duration: 500ms, 90s, 2m, 1h30m, 14d, 2w.",
        }
    ),
]
"""The annotation of an option that is a duration: written as text, held in nanoseconds (`Duration`).

Defaults are given as values: `timeout: DurationField = Duration(5 * SECOND)`.
"""

SizeField = Annotated[
    int,
    BeforeValidator(_size_field),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^\d+(\.\d+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$",
            "description": "A size in bytes: 512, 64KiB, 1MiB, 1.5GB.",
        }
    ),
]
"""The annotation of an option that is a size: written as text or as a number of bytes, held in bytes."""

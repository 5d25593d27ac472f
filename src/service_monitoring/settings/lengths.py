"""Lengths of time and sizes as people write them: `90s`, `1h30m`, `64KiB`.

Knows text alone, and no library of models: a command reads what was typed with it. The annotations of options are in
`quantities`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

from service_monitoring.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.settings.problems import InvalidValue, shown

LONGEST: Final = Duration(36_525 * DAY)
"""A hundred years: longer spans would not fit into an instant."""

UNITS: Final = {"w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND, "us": 1_000, "ns": 1}
_DURATION: Final = re.compile("".join(rf"(?:(\d{{1,12}}(?:\.\d{{1,9}})?){unit})?" for unit in UNITS), re.ASCII)
REMEDY: Final = "write 90s, 2m, 1h30m"

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
        raise InvalidValue(f"{shown(text)} is not a duration", REMEDY)
    parts = zip(match.groups(), UNITS.values(), strict=True)
    exact = sum((Decimal(number) * unit for number, unit in parts if number is not None), Decimal(0))
    if exact != int(exact):
        raise InvalidValue(f"{shown(text)} is finer than a nanosecond", REMEDY)
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
    for unit, nanoseconds in UNITS.items():
        if unit == "w" and rest % nanoseconds:
            continue
        count, rest = divmod(rest, nanoseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)

"""The notation of series: `1x5 0+10x3 _x2 stale`, as promtool writes the input series of its rule tests.

Knows a text and the values that it stands for, in order. Does not know when a value is due, nor of which series it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import groupby
from typing import Final

from service_monitoring.settings.problems import InvalidValue, shown

MOST_VALUES: Final = 100_000
"""Values of one series: ten weeks of minutes."""


class Missing(Enum):
    """That there is no value: `_`, or the end of a series as its writer says it, `stale`."""

    BLANK = "_"
    STALE = "stale"


Value = float | Missing

_NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_BLANKS: Final = re.compile(r"_(?:x(?P<times>\d{1,9}))?", re.ASCII)
_VALUES: Final = re.compile(rf"(?P<first>[-+]?{_NUMBER})(?:(?P<step>[-+]{_NUMBER})?x(?P<times>\d{{1,9}}))?", re.ASCII)
_REMEDY: Final = "write values as 1 0.5 _, 0x20 (0, and 20 times more), 1+2x3 (1 3 5 7), _x3, stale"


def expanded(text: str) -> tuple[Value, ...]:
    """The values of a series; `InvalidValue` for anything else.

    As in promtool, `AxN` is A and N times more, `A+BxN` is A and N more, each B above the one before; only of `_xN`
    there are N.
    """
    values: list[Value] = []
    for word in text.split(" "):
        if word:
            values += _meant(word, MOST_VALUES - len(values))
    if not values:
        raise InvalidValue("a series without values", _REMEDY)
    return tuple(values)


def written(values: Sequence[Value]) -> str:
    """A short way to write these values: `expanded` reads them again."""
    return " ".join(word for value, same in groupby(values) for word in _runs(value, len(list(same))))


def _meant(word: str, room: int) -> Iterator[Value]:
    if word == Missing.STALE.value:
        return _repeated(word, Missing.STALE, 0.0, 1, room)
    if (blanks := _BLANKS.fullmatch(word)) is not None:
        return _repeated(word, Missing.BLANK, 0.0, int(blanks["times"] or 1), room)
    found = _VALUES.fullmatch(word)
    if found is None:
        raise InvalidValue(f"{shown(word)} is no value of a series", _REMEDY)
    first, step = float(found["first"]), float(found["step"] or 0)
    return _repeated(word, first, step, int(found["times"] or 0) + 1, room)


def _repeated(word: str, first: Value, step: float, times: int, room: int) -> Iterator[Value]:
    """Each value is the one before and a step, added as promtool adds: no two ways of rounding."""
    if times > room:
        raise InvalidValue(
            f"{shown(word)} makes more than {MOST_VALUES} values", "write a longer every, or fewer values"
        )
    value = first
    made: list[Value] = []
    for _ in range(times):
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidValue(f"{shown(word)} leaves the finite numbers", "a sample is a finite number")
        made.append(value)
        if isinstance(value, float):
            value += step
    return iter(made)


def _runs(value: Value, times: int) -> list[str]:
    if value is Missing.STALE:
        return [Missing.STALE.value] * times
    if value is Missing.BLANK:
        return ["_" if times == 1 else f"_x{times}"]
    assert isinstance(value, float)
    return [repr(value) if times == 1 else f"{value!r}x{times - 1}"]

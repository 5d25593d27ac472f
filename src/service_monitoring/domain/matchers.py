"""Matchers: which labels must hold, for routes and for rules over many series.

Knows labels as text and how a matcher compares one, or each of thousands at once. Does not know whose labels they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import re2
from msgspec import Struct

_BEYOND: Final = re.compile(r"\\[ACz]|\(\?\w*-")
"""Signs of a pattern that could tell a line of many from a text of its own: where a text begins or ends, any byte, and
a switch that is turned off, as `(?-m)`."""
_TOGETHER: Final = 250
"""Values that RE2 is asked of at once. Meanwhile no other thread runs, and of the worst patterns each takes 0.1 ms."""


class Values:
    """Many values of one label, each once, written so that a matcher is asked of many of them at once."""

    __slots__ = ("distinct", "others", "parts")

    def __init__(self, values: Iterable[str]) -> None:
        # Sorted, values that look alike are beside each other: those that a pattern fits come in few runs.
        self.distinct = tuple(sorted(set(values)))
        self.others = tuple(value for value in self.distinct if "\n" in value)
        lines = [value for value in self.distinct if "\n" not in value]
        self.parts = tuple(_part(lines[begin : begin + _TOGETHER]) for begin in range(0, len(lines), _TOGETHER))


def _part(values: list[str]) -> tuple[bytes, list[str]]:
    """Values as lines of one text, and as they are."""
    return "".join(f"{value}\n" for value in values).encode(), values


class MatchOperator(StrEnum):
    """How a matcher compares a label; the last two are RE2, anchored at both ends."""

    EQUALS = "="
    DIFFERS = "!="
    MATCHES = "=~"
    MATCHES_NOT = "!~"


class Matcher(Struct, frozen=True):
    """`label operator value`; an absent label is the empty string."""

    label: str
    operator: MatchOperator
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels satisfy it."""
        value = labels.get(self.label, "")
        match self.operator:
            case MatchOperator.EQUALS:
                return value == self.value
            case MatchOperator.DIFFERS:
                return value != self.value
            case MatchOperator.MATCHES:
                return _known(self.value).fullmatch(value.encode()) is not None
            case MatchOperator.MATCHES_NOT:
                return _known(self.value).fullmatch(value.encode()) is None

    def among(self, values: Values) -> list[str]:
        """Those of many values that satisfy it, as if it were asked of each by itself."""
        match self.operator:
            case MatchOperator.EQUALS:
                return [value for value in values.distinct if value == self.value]
            case MatchOperator.DIFFERS:
                return [value for value in values.distinct if value != self.value]
            case MatchOperator.MATCHES:
                return _fitting(self.value, values)
            case MatchOperator.MATCHES_NOT:
                fitting = frozenset(_fitting(self.value, values))
                return [value for value in values.distinct if value not in fitting]


def matcher_text(matcher: Matcher) -> str:
    """`team=~"pay.*"`: as people write it."""
    return f"{matcher.label}{matcher.operator}{json.dumps(matcher.value, ensure_ascii=False)}"


def all_hold(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    """Whether these labels satisfy every one of them."""
    return all(matcher.holds(labels) for matcher in matchers)


@lru_cache(maxsize=1024)
def _known(pattern: str) -> Any:
    """A pattern that is asked again and again: one of the configuration, or of a silence."""
    return _compiled(pattern)


def _compiled(pattern: str, **more: bool) -> Any:
    """A pattern that is asked of bytes: of a text RE2 also says where its bytes are, which costs as much again."""
    options = re2.Options()
    # Of a pattern that needs more memory than it may have, it would write a line to stderr for each value.
    options.log_errors = False
    options.never_capture = True
    for name, value in more.items():
        setattr(options, name, value)
    return re2.compile(pattern.encode(), options)


def _fitting(pattern: str, values: Values) -> list[str]:
    """The values that a pattern fits, many of them asked at once: a call costs more than what it finds."""
    found: list[str] = []
    lines = _of_lines(pattern)
    if lines is not None:
        for text, part in values.parts:
            place = reached = 0
            for run in lines.finditer(text):
                begins, ends = run.span()
                first = place + text.count(b"\n", reached, begins)
                place, reached = first + text.count(b"\n", begins, ends), ends
                found += part[first:place]
    alone = values.distinct if lines is None else values.others
    if alone:
        whole = _compiled(pattern)
        found += [value for value in alone if whole.fullmatch(value.encode()) is not None]
    return found


def _of_lines(pattern: str) -> Any:
    """A pattern that finds runs of whole lines which this one fits; None where it might not mean the same there."""
    if _BEYOND.search(pattern):
        return None
    try:
        # Whatever the pattern allows, it never reads the end of a line; `\C` alone does, which is any byte.
        return _compiled(rf"(?m)(?:^(?:{pattern})$\C)+", never_nl=True)
    except re2.error:
        return None

"""Matchers: which labels must hold, for routes and for rules over many series.

Knows labels as text and how a matcher compares one. Does not know whose labels they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

import re2
from msgspec import Struct


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
                return _pattern(self.value).fullmatch(value) is not None
            case MatchOperator.MATCHES_NOT:
                return _pattern(self.value).fullmatch(value) is None


def matcher_text(matcher: Matcher) -> str:
    """`team=~"pay.*"`: as people write it."""
    return f"{matcher.label}{matcher.operator}{json.dumps(matcher.value, ensure_ascii=False)}"


def all_hold(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    """Whether these labels satisfy every one of them."""
    return all(matcher.holds(labels) for matcher in matchers)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Any:
    return re2.compile(text)

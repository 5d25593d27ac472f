"""Expectations: what an answer must be like, as options and as a compiled judgement of status, headers and body.

Knows numbers, header lines and bytes. Does not know how an answer was got. The bodies are a stranger's, so everything
is bounded by their size: substrings and RE2 are linear, a JSONPath has no regular expressions, and one that visits more
than single values is only followed through documents of a bounded number of values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import msgspec
import re2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from service_monitoring.domain.samples import Reason
from service_monitoring.settings import InvalidValue
from service_monitoring.sources.phases import Failed

if TYPE_CHECKING:
    from service_monitoring.sources.paths import Path

LARGEST_JUDGED: Final = 1024 * 1024
"""Bytes of a body that a pattern or a path is applied to; `contains` has no such limit."""

HEAVY: Final = 16 * 1024
"""A body above this is judged by pattern or path in a thread: a hostile megabyte can take RE2 a second."""

LONGEST_PATTERN: Final = 1024
"""Bytes."""

MOST_INSTRUCTIONS: Final = 2_000
"""Of a compiled pattern: what it costs at worst grows with this times the body."""

MOST_VALUES: Final = 20_000
"""Of a document that a path with `..`, `*`, slices or filters is followed through."""

_MODEL: Final = ConfigDict(frozen=True, extra="forbid")


@lru_cache(maxsize=1024)
def pattern(text: str) -> Any:
    """`text` compiled by RE2 for bytes; `InvalidValue` where RE2 does not take it, or where it is too large."""
    content = text.encode()
    if len(content) > LONGEST_PATTERN:
        raise InvalidValue(f"the pattern has {len(content)} bytes", f"write one of at most {LONGEST_PATTERN}")
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(content, options)
    except re2.error as error:
        why = error.args[0] if error.args else error
        why = why.decode(errors="replace") if isinstance(why, bytes) else why
        remedy = "write it in RE2's syntax (https://github.com/google/re2/wiki/Syntax), without look-around"
        raise InvalidValue(f'"{text}" is not a pattern: {why}', remedy) from None
    if max(compiled.programsize, compiled.reverseprogramsize) > MOST_INSTRUCTIONS:
        raise InvalidValue(f'"{text}" is too complex', "use smaller counts of repetition")
    return compiled


@lru_cache(maxsize=1024)
def path(text: str) -> Path:
    """`text` as a JSONPath; `InvalidValue` where it is none."""
    if len(text) > LONGEST_PATTERN:
        raise InvalidValue(f"the path has {len(text)} characters", f"write one of at most {LONGEST_PATTERN}")
    from service_monitoring.sources.paths import compiled  # noqa: PLC0415 - as that module says

    found = compiled(text)
    if len(re.findall(r"\.\.", text)) > 1:
        raise InvalidValue(f'"{text}" looks everywhere more than once', "use .. only once")
    return found


def _checked_pattern(text: str) -> str:
    pattern(text)
    return text


def _checked_path(text: str) -> str:
    path(text)
    return text


PatternField = Annotated[str, AfterValidator(_checked_pattern)]
PathField = Annotated[str, AfterValidator(_checked_path)]


def _checked_status(given: int | str) -> int | str:
    if isinstance(given, int) and not 100 <= given <= 599:
        raise InvalidValue(f"{given} is not a status", "write 200, 2xx or a list of them")
    return given


Status = Annotated[int | Annotated[str, Field(pattern=r"^[1-5]xx$")], AfterValidator(_checked_status)]


class TextExpectation(BaseModel):
    """One of three: the whole text, a part of it, or a pattern found in it (RE2)."""

    model_config = _MODEL
    equals: str | None = None
    contains: str | None = None
    matches: PatternField | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise InvalidValue("one expectation is needed here", "write one of equals, contains and matches")
        return self


class BodyExpectation(BaseModel):
    """One of three: a part of the body, a pattern found in it (RE2), or a JSONPath whose every value equals one."""

    model_config = _MODEL
    contains: str | None = None
    matches: PatternField | None = None
    jsonpath: PathField | None = None
    equals: JsonValue = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = self.model_fields_set
        if given not in ({"contains"}, {"matches"}, {"jsonpath", "equals"}):
            raise InvalidValue(
                "one expectation is needed here",
                "write contains: TEXT, matches: PATTERN, or jsonpath: PATH with equals",
            )
        return self


class Expect(BaseModel):
    """What the answer must be like."""

    model_config = _MODEL
    status: Status | tuple[Status, ...] = "2xx"
    headers: Mapping[str, str | TextExpectation] = Field(default_factory=dict)
    body: BodyExpectation | None = None

    def compiled(self) -> Expectations:
        """The same, ready to judge answers."""
        given = self.status if isinstance(self.status, tuple) else (self.status,)
        if not self.headers and self.body is None:
            return _of_status(given)
        codes = _of_status(given).statuses
        headers = tuple((name.lower().encode(), *_of_text(expected)) for name, expected in self.headers.items())
        return Expectations(codes, " or ".join(map(str, given)), headers, _of_body(self.body))


def _codes(status: int | str) -> range:
    if isinstance(status, int):
        return range(status, status + 1)
    hundreds = int(status[0]) * 100
    return range(hundreds, hundreds + 100)


Judgement = Callable[[bytes], str | None]
"""What is wrong with some bytes, as the end of a sentence; None when nothing is."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """Judges answers. Immutable; any thread may ask; `judge_body` of a body above `HEAVY` should be asked in one."""

    statuses: frozenset[int]
    wanted: str
    headers: tuple[tuple[bytes, str, Judgement], ...]
    body: Judgement | None

    def judge_status(self, status: int) -> None:
        """`Failed(status)` when it is not among the expected."""
        if status not in self.statuses:
            raise Failed(Reason.STATUS, f"answered {status}, expected {self.wanted}")

    def judge_headers(self, lines: list[bytes]) -> None:
        """`Failed(body)` naming the first header that is missing or different. `lines` are those of the last answer."""
        for name, expected, judge in self.headers:
            values = [
                value.strip() for key, _, value in (line.partition(b":") for line in lines) if key.lower() == name
            ]
            if not values:
                raise Failed(Reason.BODY, f"the header {name.decode()} is missing, expected {expected}")
            if all(judge(value) is not None for value in values):
                raise Failed(Reason.BODY, f"the header {name.decode()} is different, expected {expected}")

    def judge_body(self, body: bytes) -> None:
        """`Failed(body)` when it is not as expected; the detail quotes the expectation, never the body."""
        complaint = None if self.body is None else self.body(body)
        if complaint is not None:
            raise Failed(Reason.BODY, complaint)


# Thousands of checks expect the same few, and a set of a hundred codes each is what would fill the memory.
@lru_cache(maxsize=256)
def _of_status(given: tuple[int | str, ...]) -> Expectations:
    codes = frozenset(code for each in given for code in _codes(each))
    return Expectations(codes, " or ".join(map(str, given)), (), None)


def _of_text(expected: str | TextExpectation) -> tuple[str, Judgement]:
    match expected:
        case TextExpectation(matches=str(text)):
            return f"one that matches {_quoted(text)}", _matching(text)
        case TextExpectation(contains=str(text)):
            return f"one that contains {_quoted(text)}", _containing(text)
        case TextExpectation(equals=str(text)) | str(text):
            whole = text.strip().encode()
            return _quoted(text), lambda value: None if value == whole else "different"
        case _:
            raise AssertionError("a text expectation has one of its three")


def _of_body(expected: BodyExpectation | None) -> Judgement | None:
    match expected:
        case BodyExpectation(contains=str(text)):
            return _containing(text)
        case BodyExpectation(matches=str(text)):
            return _matching(text)
        case BodyExpectation(jsonpath=str(text)):
            return _equalling(path(text), text, expected.equals)
        case _:
            return None


def _containing(text: str) -> Judgement:
    content = text.encode()
    complaint = f"the body does not contain {_quoted(text)}"
    return lambda body: None if content in body else complaint


def _matching(text: str) -> Judgement:
    compiled = pattern(text)
    complaint = f"the body does not match {_quoted(text)}"
    return lambda body: None if compiled.search(body) is not None else complaint


def _equalling(compiled: Path, text: str, expected: object) -> Judgement:
    def judge(body: bytes) -> str | None:
        # An upper bound of the number of values, counted before any is made.
        if not compiled.single and sum(map(body.count, (b",", b":", b"[", b"{"))) > MOST_VALUES:
            return f"the body has too many values to look for {text} among them"
        try:
            document = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return "the body is not JSON"
        try:
            # The library would parse a document that is a text once more.
            values = [document] if text == "$" else compiled.values([] if isinstance(document, str) else document)
        except RecursionError:
            return f"the body is nested too deeply to look for {text}"
        if not values:
            return f"the body has no {text}"
        return None if all(_same(value, expected) for value in values) else f"{text} is not {_quoted(expected)}"

    return judge


def _same(value: object, expected: object) -> bool:
    """Equal as JSON: true is not 1, and 1 is 1.0."""
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(_same, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(_same(value[key], expected[key]) for key in value)
    return value == expected


def _quoted(expected: object) -> str:
    text = msgspec.json.encode(expected).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."

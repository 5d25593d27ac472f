"""Fields: what people write in requests, read as values: lengths of time, instants, matchers, and who acts.

Knows pydantic and how such values are written. Does not know routes.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from service_monitoring.domain.instants import SECOND, Duration, Instant, seconds
from service_monitoring.domain.matchers import Matcher
from service_monitoring.errors import Refused
from service_monitoring.settings.lengths import LONGEST, duration
from service_monitoring.settings.matchers import matcher
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.web.permitting import identity_of

_LONGEST_MATCHER: Final = 1_000
_MATCHER_REMEDY: Final = """write service=shop, or team=~"pay.*\""""


class Body(BaseModel):
    """What is sent. What it has no name for is refused: a slip of the pen must not be taken for a wish."""

    model_config = ConfigDict(extra="forbid")


class Person(Body):
    """Who acts. Whoever signed in or sent a token acts under that name, and may leave this out."""

    by: str = Field(
        default="", max_length=200, examples=["ada"], description="Who acts; needed over the owner's socket alone"
    )


class ByPerson(Person):
    """Who acts on an incident, and a word about it."""

    comment: str = Field(default="", max_length=4096, examples=["on it"])


def actor(request: Request, by: str) -> str:
    """Whose act this is: that of whoever is known, else of whom the owner of the socket names."""
    name = identity_of(request).name or by.strip()
    if not name:
        raise InvalidValue("body.by: nobody is named who acts", "give a name")
    return name


def length(given: object) -> Duration | None:
    """A length of time as text, or as a number of seconds."""
    if given is None:
        return None
    if isinstance(given, str):
        read = duration(given)
    elif isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= LONGEST / SECOND:
        read = seconds(given)
    else:
        raise InvalidValue("this is no length of time", "write 2h, or a number of seconds")
    if read <= 0:
        raise InvalidValue("no time is left before it begins", "write 2h, or a number of seconds")
    return read


LENGTH: Final = {
    "anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}],
    "description": "How long: 2h, 90s, 1h30m, or a number of seconds.",
}
"""How a length of time is described."""


def _moment(given: object) -> Instant:
    """An instant of the query."""
    try:
        return Instant.parse(str(given)[:64])
    except Refused as refused:
        raise InvalidValue(str(refused)) from None


Moment = Annotated[
    Instant,
    PlainValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-05T12:00:00Z"]}),
]
"""An instant as RFC 3339 with an offset."""


def _matcher(given: object) -> Matcher:
    """A matcher as people write it."""
    # Half a character, as JSON can hold it, is no text: nothing could store it.
    if not isinstance(given, str) or len(given) > _LONGEST_MATCHER or not _is_text(given):
        raise InvalidValue("a matcher is expected here", _MATCHER_REMEDY)
    return matcher(given)


def _is_text(given: str) -> bool:
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


MatcherField = Annotated[
    Matcher,
    PlainValidator(_matcher),
    WithJsonSchema({"type": "string", "maxLength": _LONGEST_MATCHER, "examples": ["service=shop", 'team=~"pay.*"']}),
]
"""A matcher as text."""

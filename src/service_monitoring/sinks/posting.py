"""Posting: what every channel over HTTP shares, from the connection to the meaning of an answer.

    class Kind(PostingKind):
        def open_sink(self, options, *, surroundings):
            return Mine(options, self.poster(surroundings, secrets=(options.token,)))

    answer = await poster.post(message, deadline, to=URL(...), headers={"Authorization": ...}, judge=by_status)

An answer becomes `Heard`, and a `judge` says what it means. A judge is asked twice, first without the body, because a
body may never come: it must work with an empty one.

Knows what answers of HTTP mean. Does not know how a message is sent (`poster`), what a notice says, nor any system that
takes one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from service_monitoring.domain.instants import MINUTE, SECOND, Duration, in_seconds
from service_monitoring.ports import Accepted, Answer, Later, Rejected, Surroundings
from service_monitoring.settings import Secret
from service_monitoring.sinks.names import BlockingNames

if TYPE_CHECKING:
    import aiohttp

    from service_monitoring.sinks.poster import Poster

LONGEST_WISH: Final = Duration(15 * MINUTE)
"""How long a far side is left alone at most, whatever it asks for."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

_ASK_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class Heard(Struct, frozen=True):
    """An answer over HTTP. `body` is its beginning (4 KiB) as it came, or empty where it did not come at once.

    `told` is status and body as one line of at most 300 characters without our secrets: what may be logged and stored.
    """

    status: int
    phrase: str
    told: str
    body: bytes = b""
    wish: Duration | None = None
    """What `Retry-After` asked for, at most `LONGEST_WISH`."""

    def content(self) -> Mapping[str, Any]:
        """The JSON object that the body is, or nothing."""
        try:
            given = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return given if isinstance(given, dict) else {}


Judge = Callable[[Heard], Answer]
"""What an answer means. Pure."""


def by_status(heard: Heard) -> Answer:
    """2xx: it has it. 408, 425, 429 and 5xx: not now. Everything else, redirects included: never."""
    if 200 <= heard.status < 300:
        return Accepted(heard.phrase)
    if heard.status in _ASK_LATER or heard.status >= 500:
        return Later(heard.told, heard.wish)
    return Rejected(heard.told)


def wish_of(seconds: object) -> Duration | None:
    """A wish that is written as a number of seconds in the body of an answer; None where it is no such number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:  # nor NaN
        return None
    return Duration(math.ceil(min(seconds, in_seconds(LONGEST_WISH)) * SECOND))


def canonical(content: Mapping[str, Any]) -> str:
    """An object as JSON, the same text each time: sorted keys, no spaces, nothing that cannot be sent as UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode()


class PostingKind:
    """What kinds of channels over HTTP inherit: connections that their sinks share.

    Belongs to one loop; `close` ends what is under way.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._names: BlockingNames | None = None

    def poster(self, surroundings: Surroundings, *, secrets: Iterable[Secret] = ()) -> Poster:
        """Who posts for one channel; `secrets` are struck out of what it tells. Opens no connection yet."""
        # Their library takes a while, and who only reads a configuration, as a rehearsal does, posts nothing.
        from service_monitoring.sinks.poster import Poster, session  # noqa: PLC0415 - as said

        if self._session is None:
            self._names = BlockingNames()
            self._session = session(self._names)
        return Poster(self._session, surroundings, secrets)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None and self._names is not None:
            await self._session.close()
            self._names.close()
        self._session = self._names = None

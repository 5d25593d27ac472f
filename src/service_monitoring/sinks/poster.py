"""Posting one message over HTTP: one attempt under a deadline.

It never raises for what the far side does, follows no redirect, keeps no cookie, uses no proxy, asks the address policy
where the socket is made (aiohttp resolves no address that is written as one), and strikes the secrets out of whatever
it tells.

Knows HTTP. Does not know what an answer means (`posting`), what a notice says, nor any system that takes one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from service_monitoring.domain.instants import SECOND, Duration, Instant, in_seconds
from service_monitoring.ports import (
    AddressPolicy,
    Answer,
    Clock,
    Deadline,
    Later,
    Message,
    Rejected,
    Surroundings,
    Uncertain,
)
from service_monitoring.settings import Redactor, Secret
from service_monitoring.sinks.names import BlockingNames
from service_monitoring.sinks.posting import LONGEST_WISH, NO_HEADERS, Heard, Judge, by_status
from service_monitoring.views.texts import one_line

_LARGEST_ANSWER: Final = 4096
_LONGEST_DETAIL: Final = 300
_PATIENCE: Final = 0.25
# Below what common servers keep a connection for: one that is closed in our hands looks like an uncertain delivery.
_KEPT_ALIVE: Final = 1.5


@dataclass(slots=True)
class _Attempt:
    """What one send may connect to, and how far it came."""

    network: AddressPolicy
    refusals: list[str] = field(default_factory=list)
    sent: bool = False
    answer: Answer | None = None


# The session is shared by all channels; this is how the socket that is made for a send knows whose it is.
_ATTEMPT: Final[ContextVar[_Attempt]] = ContextVar("attempt")


class Poster:
    """Posts messages for one channel. Several may be under way; one that is cancelled closes its connection."""

    def __init__(self, session: aiohttp.ClientSession, surroundings: Surroundings, secrets: Iterable[Secret]) -> None:
        self._session = session
        self._clock = surroundings.clock
        self._network = surroundings.network
        self._redact = Redactor(secrets)
        self._onward = surroundings.onward or dict

    async def post(
        self,
        message: Message,
        deadline: Deadline,
        *,
        to: URL,
        method: str = "POST",
        headers: Mapping[str, str] = NO_HEADERS,
        judge: Judge = by_status,
    ) -> Answer:
        """One request with the body of `message`; its headers win over `headers`, which hold the credentials.

        The key of the message goes along as `Idempotency-Key`. Not connected is `Later`, an address that may not be
        connected to is `Rejected`, and when everything was sent and no answer came it is `Uncertain`.
        """
        attempt = _Attempt(self._network)
        token = _ATTEMPT.set(attempt)
        remaining = in_seconds(deadline.remaining(self._clock.tick()))
        request = self._session.request(
            method,
            to,
            data=message.body.encode("utf-8", "replace"),
            headers=_whole(headers, message) | dict(self._onward()),
            allow_redirects=False,
            trace_request_ctx=attempt,
        )
        try:
            async with asyncio.timeout(remaining), request as response:
                return await self._heard(response, judge, attempt)
        except TimeoutError:
            what = "no answer" if attempt.sent else "not connected"
            return _unanswered(attempt, f"{what} within {remaining:.3g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: an answer that is not HTTP at all.
            return _unanswered(attempt, self._told(f"{type(error).__name__}: {error}"))
        finally:
            _ATTEMPT.reset(token)

    async def _heard(self, response: aiohttp.ClientResponse, judge: Judge, attempt: _Attempt) -> Answer:
        phrase = f"{response.status} {_phrase(response)}".strip()
        wish = _wish(response.headers.get("Retry-After"), self._clock)
        attempt.answer = judge(Heard(response.status, phrase, phrase, wish=wish))
        body = await _beginning(response)
        told = self._told(f"{phrase}: {body[:_LARGEST_ANSWER].decode(errors='replace')}").rstrip(": ")
        return judge(Heard(response.status, phrase, told, body, wish))

    def _told(self, text: str) -> str:
        return one_line(self._redact(text))[:_LONGEST_DETAIL]


def _whole(headers: Mapping[str, str], message: Message) -> dict[str, str]:
    return {
        "User-Agent": "service-monitoring",
        "Accept-Encoding": "identity",
        **headers,
        "Content-Type": message.content_type,
        **dict(message.headers),
        "Idempotency-Key": message.key,
    }


def _unanswered(attempt: _Attempt, said: str) -> Answer:
    if attempt.answer is not None:
        return attempt.answer
    if attempt.sent:
        return Uncertain(said)
    if attempt.refusals:
        return Rejected("; ".join(dict.fromkeys(attempt.refusals)))
    return Later(said)


def _wish(text: str | None, clock: Clock) -> Duration | None:
    """How long the far side asks to be left alone (RFC 9110, 10.2.3): seconds, or a date by our wall clock."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(Duration(int(text[:9]) * SECOND), LONGEST_WISH)
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        asked = Instant(int(date.timestamp()) * SECOND).since(clock.now())
    except (ValueError, OverflowError):
        return None
    return max(Duration(0), min(asked, LONGEST_WISH))


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What an answer says, as far as it says it at once: nobody waits long for words."""
    content = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            while len(content) < _LARGEST_ANSWER and (more := await response.content.read(_LARGEST_ANSWER)):
                content += more
    except (aiohttp.ClientError, OSError):  # a timeout is one of them
        pass
    return content[:_LARGEST_ANSWER]


def _phrase(response: aiohttp.ClientResponse) -> str:
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return one_line(response.reason or "")


class _Resolver(AbstractResolver):
    """aiohttp's way to ask `BlockingNames`."""

    def __init__(self, names: BlockingNames) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=found.host, port=port, family=found.family, proto=0, flags=0)
            for found in await self._names.addresses(host, port, family=family)
        ]

    async def close(self) -> None:
        pass


def _permitted_socket(address: Any) -> socket.socket:
    """Make the socket for an address, unless the policy of whose send it is refuses."""
    family, kind, protocol, _, sockaddr = address
    attempt = _ATTEMPT.get()
    refusal = attempt.network.refusal(ip_address(str(sockaddr[0]).partition("%")[0]))
    if refusal is not None:
        attempt.refusals.append(refusal)
        raise OSError(refusal)
    return socket.socket(family, kind, protocol)


async def _headers_sent(session: aiohttp.ClientSession, context: Any, headers: Any) -> None:
    context.trace_request_ctx.sent = True


def session(names: BlockingNames) -> aiohttp.ClientSession:
    """Connections that all channels of a kind share."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_headers_sent)
    return aiohttp.ClientSession(
        # The limit is the deliverer's: a shared one would let a channel that hangs delay another.
        connector=aiohttp.TCPConnector(
            limit=0, resolver=_Resolver(names), socket_factory=_permitted_socket, keepalive_timeout=_KEPT_ALIVE
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[tracing],
    )

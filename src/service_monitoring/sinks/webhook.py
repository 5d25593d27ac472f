"""The kind `webhook`: a notice as a JSON object, sent to a URL.

Knows HTTP and what its answers mean for a notice. Does not follow redirects: a POST that is repeated elsewhere would
take the credentials with it, so a 3xx is a mistake in the configuration and refused like a 4xx. The address policy is
asked where the socket is made, because aiohttp resolves no address that is written as one.

The object has the keys of `FIELDS`; keys may be added, and `version` changes if one is ever taken away.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant, in_seconds
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import (
    Accepted,
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
from service_monitoring.settings import InvalidValue, Redactor, Secret
from service_monitoring.sinks.names import BlockingNames
from service_monitoring.views.wording import article, one_line

VERSION: Final = 1
FIELDS: Final = (
    "version", "key", "thread", "page", "decided_at", "incident", "service", "rule", "series", "severity", "state",
    "labels", "headline", "summary", "runbook", "value", "reason", "detail", "cause", "breached_at", "opened_at",
    "ended_at", "degraded",
)  # fmt: skip
LONGEST_WISH: Final = Duration(15 * MINUTE)

_LARGEST_ANSWER: Final = 1024
_PATIENCE: Final = 0.25
# Below what common servers keep a connection for: one that is closed in our hands looks like an uncertain delivery.
_KEPT_ALIVE: Final = 1.5
_NUMERIC: Final = re.compile(r"(?:\A|\.)(?:\d+|0[xX][0-9a-fA-F]*)\.?\Z|:")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_OURS: Final = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "idempotency-key", "te", "transfer-encoding"}
)
_ASK_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


def _checked_url(secret: Secret) -> Secret:
    try:
        url = URL(secret.reveal())
        usable = url.scheme in {"http", "https"} and url.port is not None and _is_host(url.host or "")
    except ValueError:
        usable = False
    if not usable or re.search(r"[\x00-\x20\x7f]", secret.reveal()):
        raise InvalidValue("the webhook is not a URL of http or https", "write https://host/path")
    return secret


def _is_host(host: str) -> bool:
    """A name or an address in its usual form: 127.1 and 2130706433 are names to some and addresses to others."""
    if not _NUMERIC.search(host):
        return bool(host)
    try:
        return ip_address(host.partition("%")[0]) is not None
    except ValueError:
        return False


def _checked_headers(headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    for name, value in headers.items():
        if not _TOKEN.match(name):
            raise InvalidValue(f"{name!r} is not the name of a header", "use letters, digits and -")
        if name.lower() in _OURS:
            raise InvalidValue(f"{name} is set by this program", "leave it out")
        if not _VALUE.match(value.reveal()):
            raise InvalidValue(f"the value of {name} holds characters that a header cannot", "write one line of text")
    return headers


class Options(BaseModel):
    """Keys of a channel of this kind. The URL is a secret: with most chat systems, who has it may post."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: Annotated[Secret, AfterValidator(_checked_url)] = Field(description="the URL that notices are sent to")
    headers: Annotated[Mapping[str, Secret], AfterValidator(_checked_headers)] = {}
    method: Annotated[
        Literal["POST", "PUT", "PATCH"],
        BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given),
    ] = "POST"


@dataclass(slots=True)
class _Attempt:
    """What one send may connect to, and how far it came."""

    network: AddressPolicy
    refusals: list[str] = field(default_factory=list)
    sent: bool = False
    answer: Answer | None = None


# The session is shared by all channels; this is how the socket that is made for a send knows whose it is.
_ATTEMPT: Final[ContextVar[_Attempt]] = ContextVar("attempt")


class Kind:
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "webhook"
    options = Options

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._names: BlockingNames | None = None

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Webhook:
        """A sink for one URL; opens no connection yet."""
        if self._session is None:
            self._names = BlockingNames()
            self._session = _session(self._names)
        return Webhook(options, self._session, surroundings)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None and self._names is not None:
            await self._session.close()
            self._names.close()
        self._session = self._names = None


class Webhook:
    """A `ports.Sink` over HTTP. Several sends may run at once; one that is cancelled closes its connection."""

    def __init__(self, options: Options, session: aiohttp.ClientSession, surroundings: Surroundings) -> None:
        self._session = session
        self._clock = surroundings.clock
        self._network = surroundings.network
        self._template = surroundings.template
        self._url = URL(options.webhook.reveal())
        self._method = options.method
        self._headers = {name: value.reveal() for name, value in options.headers.items()}
        self._redact = Redactor((options.webhook, *options.headers.values()))

    def render(self, notice: Notice) -> Message:
        """The object as canonical JSON: sorted keys, no spaces. `summary` is the text of the channel's template."""
        facts, said = notice.facts, article(notice, self._template)
        content = {
            "version": VERSION,
            "key": notice.key,
            "thread": notice.thread,
            "page": notice.page.value,
            "decided_at": str(notice.decided_at),
            "incident": facts.incident or None,
            "service": facts.service or None,
            "rule": facts.rule or None,
            "series": str(facts.series) if facts.series is not None else None,
            "severity": facts.severity.value,
            "state": facts.state or None,
            "labels": dict(facts.labels),
            "headline": said.headline,
            "summary": said.text,
            "runbook": said.runbook or None,
            "value": facts.evidence.value,
            "reason": facts.evidence.reason.value if facts.evidence.reason is not None else None,
            "detail": facts.evidence.detail or None,
            "cause": facts.cause or None,
            "breached_at": _moment(facts.breached_at),
            "opened_at": _moment(facts.opened_at),
            "ended_at": _moment(facts.ended_at),
            "degraded": said.degraded or None,
        }
        body = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=said.headline,
            body=body.encode("utf-8", "replace").decode(),
            content_type="application/json",
            headers=(("Idempotency-Key", notice.key),),
            degraded=said.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request; see `_classified` for what its answer means."""
        attempt = _Attempt(self._network)
        token = _ATTEMPT.set(attempt)
        remaining = in_seconds(deadline.remaining(self._clock.tick()))
        try:
            async with asyncio.timeout(remaining):
                return await self._request(message, attempt)
        except TimeoutError:
            what = "no answer" if attempt.sent else "not connected"
            return _unanswered(attempt, f"{what} within {remaining:.3g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: an answer that is not HTTP at all.
            return _unanswered(attempt, self._told(error))
        finally:
            _ATTEMPT.reset(token)

    async def _request(self, message: Message, attempt: _Attempt) -> Answer:
        headers = {
            "User-Agent": "service-monitoring",
            "Accept-Encoding": "identity",
            **self._headers,
            "Content-Type": message.content_type,
            **dict(message.headers),
            "Idempotency-Key": message.key,
        }
        async with self._session.request(
            self._method,
            self._url,
            data=message.body.encode("utf-8", "replace"),
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=attempt,
        ) as response:
            said = f"{response.status} {_phrase(response)}".strip()
            wish = _wish(response.headers.get("Retry-After"), self._clock)
            attempt.answer = _classified(response.status, said, wish)
            if isinstance(attempt.answer, Accepted):
                return attempt.answer
            more = one_line(self._redact(f"{said}: {await _beginning(response)}")).rstrip(": ")[:300]
            return _classified(response.status, more, wish)

    def _told(self, error: Exception) -> str:
        return one_line(self._redact(f"{type(error).__name__}: {error}"))[:300]


def _classified(status: int, said: str, wish: Duration | None) -> Answer:
    """2xx: it has it. 408, 425, 429 and 5xx: not now. Everything else, redirects included: never."""
    if 200 <= status < 300:
        return Accepted(said)
    if status in _ASK_LATER or status >= 500:
        return Later(said, wish)
    return Rejected(said)


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


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """What a refusal says, as far as it says it at once: the status alone decides, so nobody waits long for words."""
    try:
        async with asyncio.timeout(_PATIENCE):
            content = await response.content.read(_LARGEST_ANSWER)
    except (aiohttp.ClientError, OSError):  # a timeout is one of them
        return ""
    return content.decode(errors="replace")


def _phrase(response: aiohttp.ClientResponse) -> str:
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return one_line(response.reason or "")


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else str(instant)


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


def _session(names: BlockingNames) -> aiohttp.ClientSession:
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

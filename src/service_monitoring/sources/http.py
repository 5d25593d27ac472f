"""The kind `http`: a request, the redirects that follow, and whether the answer is as expected.

Knows the options of a check and the way of one attempt: resolve, ask, follow, judge. How one request is made is
`exchange`, on which loop and sockets `curl`, what an answer must be like `expectations`.

Redirects are followed here rather than by libcurl, so that each hop is resolved, vetted and measured like the first,
and so that every configured header, not only those that libcurl takes for credentials, stays with its own origin.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

import pycurl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from service_monitoring.domain.instants import MILLISECOND, in_seconds
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Deadline, Surroundings
from service_monitoring.settings import InvalidValue, Secret, SizeField
from service_monitoring.sources.connecting import MOST_ADDRESSES, Names, system_names
from service_monitoring.sources.curl import Engine, Manner
from service_monitoring.sources.exchange import Answer, Exchanges, Measured, Request, in_manner, place
from service_monitoring.sources.expectations import HEAVY, LARGEST_JUDGED, Expect, Expectations
from service_monitoring.sources.phases import Failed, sentence

LARGEST_BODY: Final = 64 * 1024 * 1024
"""No `max_body` above this: a body that is judged is held in memory."""

_JUDGES: Final = 2
"""Threads that judge large bodies, for all checks together."""

_NOT_OURS: Final = frozenset({"content-length", "transfer-encoding", "connection", "expect", "accept-encoding"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
# What nearly all are, and all right: taking a URL apart costs ten times as long as seeing that.
_PLAIN: Final = re.compile(
    r"https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::(?:[1-9]\d{0,3}|[1-5]\d{4}))?(?:/[^\x00-\x20\x7f\\#@]*)?", re.ASCII
)
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}
_MODEL: Final = ConfigDict(extra="forbid", frozen=True)


def _split(url: str) -> SplitResult:
    """The parts of a URL that can be asked for; `InvalidValue` for any other."""
    remedy = "write http://shop.example.com/health"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidValue(f'"{place(url)}" is not a URL: {error}', remedy) from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or _UNSAFE.search(url):
        raise InvalidValue(f'"{place(url)}" is not a URL of http or https', remedy)
    return parts


def _checked_url(url: str) -> str:
    if _PLAIN.fullmatch(url):
        return url
    if "@" in _split(url).netloc:
        raise InvalidValue(f'"{place(url)}" is written with credentials', "give them as auth: {basic: ...}")
    return url.partition("#")[0]


def _checked_headers(headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    for name, value in headers.items():
        if _TOKEN.fullmatch(name) is None:
            raise InvalidValue(f'"{name}" is not the name of a header', "write a name as X-Api-Key")
        if name.lower() in _NOT_OURS:
            raise InvalidValue(f"the header {name} is not to be set", "leave it out")
        if re.search(r"[\x00\r\n]", value.reveal()):
            raise InvalidValue(f"the header {name} has a line break in its value", "write it in one line")
    return headers


UrlField = Annotated[str, AfterValidator(_checked_url)]
"""The annotation of an option that is a URL of http or https without credentials."""

HeadersField = Annotated[Mapping[str, Secret], AfterValidator(_checked_headers)]
"""The annotation of an option that is headers to send."""


def _upper(given: object) -> object:
    return given.upper() if isinstance(given, str) else given


class Basic(BaseModel):
    """A name and a password, sent with the first request."""

    model_config = _MODEL
    username: str = Field(pattern=r"^[^:\x00-\x1f]*$")
    password: Secret


class Authentication(BaseModel):
    """One of two."""

    model_config = _MODEL
    basic: Basic | None = None
    bearer: Secret | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.basic is None) == (self.bearer is None):
            raise InvalidValue("one kind of credentials is needed", "write auth: {basic: ...} or auth: {bearer: ...}")
        if self.bearer is not None and re.search(r"[\x00-\x1f]", self.bearer.reveal()):
            raise InvalidValue("the bearer token has a line break in it", "write it in one line")
        return self

    def header(self) -> str:
        """The line that carries the credentials."""
        if self.basic is not None:
            pair = f"{self.basic.username}:{self.basic.password.reveal()}"
            return f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"
        assert self.bearer is not None, "the validator saw to it"
        return f"Authorization: Bearer {self.bearer.reveal()}"


class Tls(BaseModel):
    """Whom to trust, and who we are."""

    model_config = _MODEL
    verify: bool = Field(default=True, description="whether chain, name, strength and dates must be good")
    ca: Path | None = Field(None, description="a PEM file of the authorities trusted instead of the system's")
    certificate: Path | None = Field(None, description="a PEM file with our own certificate")
    key: Path | None = Field(None, description="a PEM file with its key, where that is not in the same file")


_USUAL: Final = Expect()


class HttpOptions(BaseModel):
    """Keys of a check of this kind."""

    model_config = _MODEL
    http: UrlField = Field(description="the URL to ask for")
    method: Annotated[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], BeforeValidator(_upper)] = (
        "GET"
    )
    headers: HeadersField = Field(default_factory=dict)
    body: str | None = Field(None, description="what is sent with the request")
    auth: Authentication | None = None
    expect: Expect = Field(default_factory=lambda: _USUAL)
    redirects: Annotated[int, Field(ge=0, le=10)] | Literal["refuse"] = Field(
        5, description="how many redirects are followed; refuse: none may come"
    )
    max_body: SizeField = Field(LARGEST_JUDGED, ge=1, le=LARGEST_BODY, description="a larger body is a failure")
    user_agent: str = Field("service-monitoring", pattern=r"^[\x20-\x7e]+$")
    tls: Tls = Tls()
    address_family: Literal["any", "ipv4", "ipv6"] = "any"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        body = self.expect.body
        if body is not None and body.contains is None and self.max_body > LARGEST_JUDGED:
            raise InvalidValue("max_body is too large to judge by a pattern or path", "use 1MiB at most, or contains")
        if self.method == "HEAD" and (self.body is not None or body is not None):
            raise InvalidValue("a HEAD request has no body, and neither has its answer", "use GET, or leave body out")
        return self


@dataclass(frozen=True, slots=True)
class _Hop:
    """The next request, and how many redirects led to it. `own` ends for good where a redirect leaves the origin."""

    request: Request
    redirects: int = 0


class HttpSource:
    """Asks, follows and judges. For one loop, one attempt at a time; keeps nothing open between attempts."""

    def __init__(
        self,
        options: HttpOptions,
        *,
        surroundings: Surroundings,
        engine: Engine,
        manner: Manner,
        names: Names,
        judges: ThreadPoolExecutor,
        expectations: Expectations | None = None,
    ) -> None:
        self._clock = surroundings.clock
        self._onward = surroundings.onward
        self._names = names
        self._judges = judges
        self._expectations = expectations or options.expect.compiled()
        self._heavy = expectations is None and options.expect.body is not None and options.expect.body.contains is None
        self._family = {"any": 0, "ipv4": 4, "ipv6": 6}[options.address_family]
        self._most = 0 if options.redirects == "refuse" else options.redirects
        # A redirect that is itself expected ends the run.
        self._followed = frozenset() if options.redirects == "refuse" else _MOVED - self._expectations.statuses
        self._refused = _MOVED - self._expectations.statuses - self._followed
        self._first = Request(options.method, options.http, _headers(options), _content(options))
        self._first_name = _name(options.http)
        self._plain = (f"User-Agent: {options.user_agent}".encode(), b"Expect:")
        self._exchanges = Exchanges(
            engine,
            surroundings.network,
            manner,
            limit=options.max_body,
            keep=self._expectations.body is not None,
        )

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt, under the laws of `ports.Source`."""
        measured = Measured()
        hop = _Hop(self._first if self._onward is None else _followed(self._first, self._onward()))
        try:
            while True:
                answer = await self._answer(hop.request, measured, deadline)
                location = answer.location(hop.request.url) if answer.status in self._followed else None
                if location is None:
                    break
                hop = self._next(hop, location, answer.status)
            measured.values["body_bytes"] = float(answer.received)
            measured.values["redirects"] = float(hop.redirects)
            await self._judge(answer, hop.request.url, deadline)
        except Failed as failed:
            detail = sentence(f"{hop.request.method} {place(hop.request.url)}: {failed.detail}")
            return Observation(Outcome.FAILED, failed.reason, detail, measured.measurements())
        except Unavailable as error:
            return Observation(Outcome.UNKNOWN, Reason.SHUTDOWN, sentence(str(error)))
        except Exception as error:  # noqa: BLE001 - a source never raises: what is left is a fault of our own, and said so
            return Observation(Outcome.UNKNOWN, Reason.INTERNAL_ERROR, sentence(f"{type(error).__name__}: {error}"))
        return Observation(Outcome.OK, None, f"answered {answer.status}", measured.measurements())

    async def _answer(self, request: Request, measured: Measured, deadline: Deadline) -> Answer:
        """The answer to one request; `Failed(timeout)` when its time is up, whatever it was doing."""
        measured.begin_request()
        resolved = await self._resolved(request.url, measured, deadline)
        remaining = deadline.remaining(self._clock.tick())
        if not remaining:
            raise Failed(Reason.TIMEOUT, "the time was up before it was asked")
        return await self._exchanges.perform(
            request,
            measured,
            milliseconds=max(1, remaining // MILLISECOND),
            resolved=resolved,
            skip=self._followed,
            now=self._clock.now().ns / 1e9,
        )

    async def _resolved(self, url: str, measured: Measured, deadline: Deadline) -> str:
        """`host:port:addresses` of a name, for libcurl; nothing for an address, which needs no looking up."""
        host, port = self._first_name if url is self._first.url else _name(url)
        if not host:
            return ""
        begun = self._clock.tick()
        try:
            async with asyncio.timeout(in_seconds(deadline.remaining(begun))):
                addresses = await self._names.addresses(host)
        except TimeoutError:
            raise Failed(Reason.TIMEOUT, f"the time was up while resolving {host}") from None
        measured.add("dns_seconds", in_seconds(self._clock.tick().since(begun)))
        chosen = [str(address) for address in addresses if not self._family or address.version == self._family]
        if not chosen:
            raise Failed(Reason.DNS, f"{host} has no address of IPv{self._family}")
        return f"{host}:{port}:{','.join(chosen[:MOST_ADDRESSES])}"

    def _next(self, hop: _Hop, location: str, status: int) -> _Hop:
        """Where a redirect leads; `Failed(redirect)` where it must not."""
        if hop.redirects >= self._most:
            raise Failed(Reason.REDIRECT, f"redirects once more, to {place(location)}, after {hop.redirects} redirects")
        try:
            url = _split(location).geturl()
        except InvalidValue:
            raise Failed(Reason.REDIRECT, f"redirects to {place(location)}, which is no URL of http or https") from None
        request = replace(hop.request, url=url)
        if (status == 303 and request.method != "HEAD") or (status in {301, 302} and request.method == "POST"):
            request = replace(request, method="GET", body=None)
        if _origin(url) != _origin(hop.request.url):
            if request.body is not None:
                raise Failed(Reason.REDIRECT, f"redirects a request with a body to another origin, {place(url)}")
            request = replace(request, headers=self._plain)
        return _Hop(request, hop.redirects + 1)

    async def _judge(self, answer: Answer, url: str, deadline: Deadline) -> None:
        if answer.status in self._refused:
            where = place(answer.location(url) or "nowhere")
            raise Failed(Reason.REDIRECT, f"answered {answer.status}, a redirect to {where}")
        self._expectations.judge_status(answer.status)
        self._expectations.judge_headers(answer.headers)
        if not self._heavy or len(answer.body) <= HEAVY:
            self._expectations.judge_body(answer.body)
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(in_seconds(deadline.remaining(self._clock.tick()))):
                await loop.run_in_executor(self._judges, self._expectations.judge_body, answer.body)
        except TimeoutError:
            raise Failed(Reason.TIMEOUT, "the time was up while judging the body") from None


def _headers(options: HttpOptions) -> tuple[bytes, ...]:
    lines = [f"{name}: {value.reveal()}" if value.reveal() else f"{name};" for name, value in options.headers.items()]
    given = {name.lower() for name in options.headers}
    if options.auth is not None:
        lines.append(options.auth.header())
    if "user-agent" not in given:
        lines.append(f"User-Agent: {options.user_agent}")
    if options.body is not None and "content-type" not in given:
        lines.append("Content-Type:")  # libcurl would call any body a form
    lines.append("Expect:")  # no waiting for leave to send the body
    return tuple(line.encode() for line in lines)


def _followed(request: Request, onward: Mapping[str, str]) -> Request:
    """The request with which the far side may go on with our trace. Another origin does not hear of it."""
    lines = tuple(f"{name}: {value}".encode() for name, value in onward.items())
    return replace(request, headers=(*request.headers, *lines))


def _content(options: HttpOptions) -> bytes | None:
    return None if options.body is None else options.body.encode()


def _name(url: str) -> tuple[str, int]:
    """The name to look up, and the port; no name where the URL has an address."""
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        ip_address(host)
    except ValueError:
        return host, port
    return "", port


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = _split(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _manner(tls: Tls, family: str) -> Manner:
    """The options of libcurl that hold for every request of a check. Blocks while it looks for files."""
    families = {"any": pycurl.IPRESOLVE_WHATEVER, "ipv4": pycurl.IPRESOLVE_V4, "ipv6": pycurl.IPRESOLVE_V6}
    manner: dict[int, object] = {pycurl.IPRESOLVE: families[family]}
    for key in ("ca", "certificate", "key"):
        file = getattr(tls, key)
        if file is not None and not file.is_file():
            raise Refused(f"tls.{key}: {file} is not a file; name a PEM file")
    if not tls.verify:
        manner |= {pycurl.SSL_VERIFYPEER: 0, pycurl.SSL_VERIFYHOST: 0}
    trusted = tls.ca or _system_authorities()
    if trusted is not None:
        manner[pycurl.CAINFO] = str(trusted)
    if tls.certificate is not None:
        manner |= {pycurl.SSLCERT: str(tls.certificate), pycurl.SSLKEY: str(tls.key or tls.certificate)}
    return in_manner(manner)


def _system_authorities() -> Path | None:
    """The wheel's libcurl was built elsewhere: it does not know where this system keeps its authorities."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


class Kind:
    """Checks of HTTP. Its sources share one engine, the names of this machine and two threads that judge large bodies.

    For one loop: the one that runs when the first source is opened.
    """

    name = "http"
    options: type[Any] = HttpOptions

    def __init__(self, names: Names | None = None) -> None:
        self._names = names
        self._shared: tuple[Engine, ThreadPoolExecutor] | None = None
        # Files are looked for once, when the first check that names them is opened.
        self._manner = cache(_manner)

    def open_source(
        self, options: HttpOptions, *, surroundings: Surroundings, expectations: Expectations | None = None
    ) -> HttpSource:
        """A source for one check, inside the running loop. `Refused` where a file of TLS is missing.

        A kind that is fetched over HTTP hands in `expectations` of its own, which judge a body at once, on the loop.
        """
        self._names = self._names or system_names()
        if self._shared is None:
            judges = ThreadPoolExecutor(_JUDGES, thread_name_prefix="judging-bodies")
            self._shared = Engine(asyncio.get_running_loop()), judges
        engine, judges = self._shared
        return HttpSource(
            options,
            surroundings=surroundings,
            engine=engine,
            manner=self._manner(options.tls, options.address_family),
            names=self._names,
            judges=judges,
            expectations=expectations,
        )

    async def close(self) -> None:
        """Break off what is running, as `unknown(shutdown)`; within half a second. May be called twice."""
        if self._shared is None:
            return
        (engine, judges), self._shared = self._shared, None
        self._manner.cache_clear()
        judges.shutdown(wait=False, cancel_futures=True)
        await engine.close()

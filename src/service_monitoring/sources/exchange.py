"""One HTTP request and its answer over libcurl: caps, the address policy, phases, and what each failure means.

Knows libcurl's options and codes. Does not know redirects, which are followed by whoever asks (`http`), nor what an
answer must be like (`expectations`). Everything that comes from the far side is counted before it is kept: header
lines, their bytes and the bytes of the body. Nothing is decompressed.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final
from urllib.parse import urljoin, urlsplit

import pycurl

from service_monitoring.domain.samples import Measurement, Reason
from service_monitoring.ports import AddressPolicy
from service_monitoring.sources.curl import Engine, Manner
from service_monitoring.sources.phases import Failed, is_our_own

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of all header lines of an answer together, those of interim answers and trailers too."""

MOST_HEADERS: Final = 256

_TOO_LARGE_FOR_CURL: Final = 100  # CURLE_TOO_LARGE, which pycurl does not name


class OurFault(Exception):
    """The run says nothing about the target: this machine or this program failed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `headers` are whole lines, one at least: a handle keeps those of its last request otherwise."""

    method: str
    url: str
    headers: Sequence[bytes]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is empty where nobody wanted it."""

    status: int
    headers: list[bytes]
    body: bytes
    received: int

    def location(self, url: str) -> str | None:
        """Where a redirect leads, seen from the `url` that was asked for."""
        for line in self.headers:
            name, _, value = line.partition(b":")
            if name.lower() == b"location":
                return urljoin(url, value.strip().decode(errors="replace"))
        return None


class Measured:
    """What a run has completed so far. A phase is the sum over all requests of the run, given once the last has it."""

    __slots__ = ("_earlier", "values")

    def __init__(self) -> None:
        self._earlier: dict[str, float] = {}
        self.values: dict[str, float] = {}

    def begin_request(self) -> None:
        """Another request begins: what the earlier ones measured counts again as its phases complete."""
        self._earlier = self.values
        self.values = {}

    def add(self, metric: str, value: float) -> None:
        """A phase of this request has completed."""
        self.values[metric] = self._earlier.get(metric, 0.0) + value

    def end_request(self) -> None:
        """All phases of this request are complete, so those that only earlier ones had are too."""
        if self._earlier:
            self.values = {**self._earlier, **self.values}

    def measurements(self) -> tuple[Measurement, ...]:
        """Everything that was completed."""
        return tuple([Measurement(metric, value) for metric, value in self.values.items()])


class _Vetting:
    """Asks the policy, and remembers its last answer: a policy is pure, and most checks connect to one address."""

    __slots__ = ("_last", "_network")

    def __init__(self, network: AddressPolicy) -> None:
        self._network = network
        self._last: tuple[str, str | None] = ("", None)

    def refusal(self, address: str) -> str | None:
        if self._last[0] != address:
            self._last = (address, self._network.refusal(ip_address(address.partition("%")[0])))
        return self._last[1]


class _Reception:
    """Receives what libcurl hands over. Called inside libcurl, where nobody sees what is raised."""

    __slots__ = (
        "_keep", "_limit",  "_skip",
        "_vetting", "body", "head", "headers", "lines", "opened", "own", "received",
        "refusals", "skipped", "status", "stopped",
    )  # fmt: skip

    def __init__(self, vetting: _Vetting, *, limit: int, keep: bool, skip: frozenset[int]) -> None:
        self._vetting = vetting
        self._limit = limit
        self._keep = keep
        self._skip = skip
        self.headers: list[bytes] = []
        self.body = bytearray()
        self.status = 0
        self.received = 0
        self.head = 0
        self.lines = 0
        self.opened = 0
        self.refusals: list[str] = []
        self.own: Exception | None = None
        self.stopped: tuple[Reason, str] | None = None
        self.skipped = 0

    def header(self, line: bytes) -> int | None:
        self.head += len(line)
        self.lines += 1
        if self.head > LARGEST_HEAD or self.lines > MOST_HEADERS:
            larger = f"its headers are larger than {LARGEST_HEAD // 1024} KiB or more than {MOST_HEADERS}"
            self.stopped = (Reason.PROTOCOL, larger)
            return 0
        if line.startswith(b"HTTP/"):
            self.headers.clear()
            self.status = int(line[9:12]) if line[9:12].isdigit() else 0
        else:
            self.headers.append(line)
        return None

    def write(self, chunk: bytes) -> int | None:
        if self.status in self._skip:
            self.skipped = len(chunk)
            return 0
        self.received += len(chunk)
        if self.received > self._limit:
            self.stopped = (Reason.TOO_LARGE, f"its body is larger than max_body, {self._limit} bytes")
            return 0
        if self._keep:
            self.body += chunk
        return None

    def open_socket(self, purpose: int, address: pycurl.CurlSockAddr) -> _Lent | int:
        """The last word on an address: libcurl is about to connect to this very one."""
        try:
            refusal = self._vetting.refusal(str(address.addr[0]))
            if refusal is not None:
                self.refusals.append(refusal)
                return pycurl.SOCKET_BAD
            lent = _Lent(address.family, address.socktype, address.protocol)
        except Exception as error:  # noqa: BLE001 - it is raised again once libcurl has returned
            self.own = error
            return pycurl.SOCKET_BAD
        self.opened += 1
        return lent


class _Lent(socket.SocketType):
    """A socket of which libcurl takes a duplicate: ours is closed as soon as nobody holds it, without a warning."""

    def __del__(self) -> None:
        self.close()


class Exchanges:
    """Performs requests in one manner: the options of one check. For one loop; no two requests at a time."""

    def __init__(self, engine: Engine, network: AddressPolicy, manner: Manner, *, limit: int, keep: bool) -> None:
        self._engine = engine
        self._vetting = _Vetting(network)
        self._manner = manner
        self._limit = limit
        self._keep = keep

    async def perform(
        self,
        request: Request,
        measured: Measured,
        *,
        milliseconds: int,
        resolved: str,
        skip: frozenset[int],
        now: float,
    ) -> Answer:
        """Send `request` on a connection of its own; the answer is complete when this returns.

        `resolved` is `host:port:addresses` for a name that libcurl need not look up, or nothing. The body of an answer
        whose status is in `skip` is not read. `Failed` says what the target did, `OurFault` and `Unavailable` what we
        did. Cancelled, the connection is closed at once. `now`, in seconds, is what the certificate's end is
        compared with.
        """
        reception = _Reception(self._vetting, limit=self._limit, keep=self._keep, skip=skip)
        handle = self._engine.take(self._manner)
        try:
            _address(handle, request, resolved)
            handle.setopt(pycurl.TIMEOUT_MS, milliseconds)
            handle.setopt(pycurl.HEADERFUNCTION, reception.header)
            handle.setopt(pycurl.WRITEFUNCTION, reception.write)
            handle.setopt(pycurl.OPENSOCKETFUNCTION, reception.open_socket)
            code = await self._engine.perform(handle)
            secure = request.url.startswith("https")
            _measure(handle, measured, secure=secure, now=now)
            if code != pycurl.E_OK and not (code == pycurl.E_WRITE_ERROR and reception.skipped):
                raise _failure(code, handle, reception, secure=secure)
            measured.add("duration_seconds", handle.getinfo(pycurl.TOTAL_TIME))
            measured.end_request()
            return Answer(reception.status, reception.headers, bytes(reception.body), reception.received)
        finally:
            # The handle still holds the reception, until its next user sets another.
            reception.body = bytearray()
            if _is_plain(request):
                self._engine.give_back(handle, self._manner)
            else:
                handle.close()


_ALWAYS: Final[Mapping[int, object]] = MappingProxyType(
    {
        pycurl.NOSIGNAL: 1,
        pycurl.FRESH_CONNECT: 1,
        pycurl.FORBID_REUSE: 1,
        pycurl.DNS_CACHE_TIMEOUT: 0,
        pycurl.SSL_SESSIONID_CACHE: 0,  # a resumed session shows no certificate
        pycurl.PROXY: "",  # none from the environment either
        pycurl.FOLLOWLOCATION: 0,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.HTTP09_ALLOWED: 0,
        pycurl.OPT_CERTINFO: 1,
    }
)


def in_manner(own: Mapping[int, object]) -> Manner:
    """The options of libcurl with which a check asks: its own, and those that every check has."""
    return tuple({**_ALWAYS, **own}.items())


def _is_plain(request: Request) -> bool:
    """Whether it needs no option but those that every request sets, so that nothing of it stays behind in a handle."""
    return request.method == "GET" and request.body is None


def _address(handle: pycurl.Curl, request: Request, resolved: str) -> None:
    handle.setopt(pycurl.URL, request.url.encode())
    handle.setopt(pycurl.HTTPHEADER, request.headers)
    if resolved:  # stays behind, as what libcurl knows of names does: for all handles of an engine anyway
        handle.setopt(pycurl.RESOLVE, [resolved])
    if _is_plain(request):
        return
    handle.setopt(pycurl.CUSTOMREQUEST, request.method)
    if request.body is not None:
        handle.setopt(pycurl.POSTFIELDS, request.body)
    elif request.method == "HEAD":
        handle.setopt(pycurl.NOBODY, 1)


def _measure(handle: pycurl.Curl, measured: Measured, *, secure: bool, now: float) -> None:
    """What this request completed, from libcurl's own clock. A name was measured by whoever resolved it."""
    connected = handle.getinfo(pycurl.CONNECT_TIME)
    if connected <= 0:
        return
    measured.add("connect_seconds", max(0.0, connected - handle.getinfo(pycurl.NAMELOOKUP_TIME)))
    if secure:
        shaken = handle.getinfo(pycurl.APPCONNECT_TIME)
        if shaken <= 0:
            return
        measured.add("tls_seconds", shaken - connected)
        expires = _certificate_end(handle)
        if expires is not None:
            measured.values["certificate_expires_in_seconds"] = expires - now
    first = handle.getinfo(pycurl.STARTTRANSFER_TIME)
    if first <= 0:
        return
    measured.add("first_byte_seconds", max(0.0, first - handle.getinfo(pycurl.PRETRANSFER_TIME)))
    status = handle.getinfo(pycurl.RESPONSE_CODE)
    if status:
        measured.values["status_code"] = float(status)


def _certificate_end(handle: pycurl.Curl) -> float | None:
    """When the server's own certificate ends, in seconds since 1970."""
    chain = handle.getinfo(pycurl.INFO_CERTINFO)
    for name, value in chain[0] if chain else ():
        if name == "Expire date":
            return float(ssl.cert_time_to_seconds(value))
    return None


def place(url: str) -> str:
    """`url` for people: without credentials and without its query, either of which may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an unreadable URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


_MEANINGS: Final[Mapping[int, tuple[Reason, str]]] = MappingProxyType(
    {
        pycurl.E_COULDNT_RESOLVE_HOST: (Reason.DNS, "its name has no address"),
        pycurl.E_UNSUPPORTED_PROTOCOL: (Reason.PROTOCOL, "what it answers is not HTTP/1"),
        pycurl.E_FTP_WEIRD_SERVER_REPLY: (Reason.PROTOCOL, "what it answers is not HTTP"),
        pycurl.E_GOT_NOTHING: (Reason.PROTOCOL, "it closed the connection without an answer"),
        pycurl.E_PARTIAL_FILE: (Reason.PROTOCOL, "it closed the connection in the middle of its answer"),
        pycurl.E_SEND_ERROR: (Reason.PROTOCOL, "it broke the connection off while the request was sent"),
        pycurl.E_RECV_ERROR: (Reason.PROTOCOL, "its answer broke off or breaks the rules of HTTP"),
        pycurl.E_BAD_CONTENT_ENCODING: (Reason.PROTOCOL, "it encodes its answer in a way that nobody asked for"),
        pycurl.E_HTTP2: (Reason.PROTOCOL, "its answer breaks the rules of HTTP/2"),
        pycurl.E_URL_MALFORMAT: (Reason.PROTOCOL, "the URL cannot be used"),
        pycurl.E_FILESIZE_EXCEEDED: (Reason.TOO_LARGE, "its body is too large"),
        _TOO_LARGE_FOR_CURL: (Reason.PROTOCOL, "a line of its answer is too long"),
    }
)

_VERIFIED: Final[Mapping[int, tuple[Reason, str]]] = MappingProxyType(
    {
        # The numbers are OpenSSL's, X509_V_ERR_*; 0 means that the chain is good and libcurl found the name missing.
        0: (Reason.TLS_HOSTNAME, "its certificate is for another name"),
        9: (Reason.TLS_UNTRUSTED, "its certificate is not valid yet"),
        10: (Reason.TLS_EXPIRED, "its certificate has expired"),
        18: (Reason.TLS_UNTRUSTED, "its certificate is signed by itself"),
        62: (Reason.TLS_HOSTNAME, "its certificate is for another name"),
        64: (Reason.TLS_HOSTNAME, "its certificate is for another address"),
        66: (Reason.TLS_WEAK, "the key of its certificate is too small"),
        67: (Reason.TLS_WEAK, "the key of its certificate authority is too small"),
        68: (Reason.TLS_WEAK, "the hash of its certificate authority's signature is too weak"),
    }
)

_WEAK: Final = ("too small", "too weak", "unsupported protocol", "no protocols available", "no shared cipher")


def _failure(code: int, handle: pycurl.Curl, reception: _Reception, *, secure: bool) -> Exception:
    """What libcurl's code means for the target, or for us."""
    if code == pycurl.E_WRITE_ERROR and reception.stopped is not None:
        return Failed(*reception.stopped)
    if code == pycurl.E_COULDNT_CONNECT:
        return _no_connection(handle, reception)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Failed(Reason.TIMEOUT, f"the time was up while {_doing(handle, secure=secure)}")
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        if "subject name" in handle.errstr():  # libcurl compares names itself, after OpenSSL found the chain good
            return Failed(Reason.TLS_HOSTNAME, "its certificate is for another name")
        untrusted = (Reason.TLS_UNTRUSTED, "its certificate is signed by nobody whom this machine trusts")
        return Failed(*_VERIFIED.get(handle.getinfo(pycurl.SSL_VERIFYRESULT), untrusted))
    if code == pycurl.E_SSL_CONNECT_ERROR:
        why = handle.errstr()
        reason = Reason.TLS_WEAK if any(word in why for word in _WEAK) else Reason.TLS
        return Failed(reason, f"the TLS handshake failed ({why.rpartition(':')[2].strip() or 'no reason given'})")
    if code in _MEANINGS:
        return Failed(*_MEANINGS[code])
    return OurFault(f"libcurl ended with {code}: {pycurl.easy_strerror(code)}")


def _no_connection(handle: pycurl.Curl, reception: _Reception) -> Exception:
    if reception.own is not None:
        return reception.own
    if reception.refusals and not reception.opened:
        return Failed(Reason.BLOCKED_ADDRESS, reception.refusals[0])
    number = handle.getinfo(pycurl.OS_ERRNO)
    error = OSError(number, os.strerror(number).lower() if number else "it does not accept connections")
    if is_our_own(error):
        return OurFault(f"no connection could be made: {error.strerror}")
    return Failed(Reason.CONNECT, f"no connection: {error.strerror}")


def _doing(handle: pycurl.Curl, *, secure: bool) -> str:
    if handle.getinfo(pycurl.CONNECT_TIME) <= 0:
        return "connecting"
    if secure and handle.getinfo(pycurl.APPCONNECT_TIME) <= 0:
        return "agreeing on TLS"
    if handle.getinfo(pycurl.STARTTRANSFER_TIME) <= 0:
        return "waiting for the answer"
    return "reading the answer"

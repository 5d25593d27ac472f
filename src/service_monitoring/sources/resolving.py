"""Resolving: questions to name servers, and the addresses of a name as this machine would find them.

Knows the wire of DNS (dnspython's messages), `/etc/hosts` and `/etc/resolv.conf`. Does not know who wants to connect
where, nor any address policy. Everything is awaited on plain sockets: the C library's resolver would hold a thread for
as long as a name server is silent, and a few silent ones would then stop every other check.

Other sources of names that a C library can be told to ask (LDAP, mDNS, NIS) are not asked.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import count
from pathlib import Path
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from service_monitoring.domain.samples import Reason
from service_monitoring.errors import MonitoringError
from service_monitoring.sources.phases import Failed, is_our_own

Address = IPv4Address | IPv6Address

PATIENCE: Final = 1.0
"""Seconds before an unanswered question is asked again, or of the next server; doubled from round to round."""

RESOLUTION_DELAY: Final = 0.05
"""Seconds that addresses of one family wait for those of the other (RFC 8305, section 3)."""

_ADDRESSES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)

_PAYLOAD: Final = 1232
"""Bytes of a datagram that pass everywhere unfragmented; a longer answer is asked for again over TCP."""


class Silent(MonitoringError):
    """A name server did not answer (yet): the next one, or a second question, may."""


class Unreachable(MonitoringError):
    """A name server cannot be talked to: nobody listens there, or there is no way to it."""


Server = tuple[Address, int]


async def answered(
    questions: Sequence[dns.message.QueryMessage], servers: Sequence[Server]
) -> list[dns.message.QueryMessage]:
    """What the first of `servers` says that can answer; a refusal (SERVFAIL and the like) where all of them refuse.

    Asks silent servers again, with growing patience, until it is cancelled: how long to wait is the caller's deadline.
    `Failed(dns)` where no server can be reached.
    """
    for round_ in count():
        refusal: list[dns.message.QueryMessage] = []
        unreachable = silent = None
        for server in servers:
            try:
                answers = await exchanged(questions, server, patience=PATIENCE * 2 ** min(round_, 3))
            except Silent as error:
                silent = error
            except Unreachable as error:
                unreachable = error
            else:
                if all(map(answers_at_all, answers)) or any(map(addresses_in, answers)):
                    return answers
                refusal = answers
        # One server's refusal does not speak for one that may only be slow: that one is asked once more.
        if silent is None or round_ > 0:
            if refusal:
                return refusal
            if unreachable is not None:
                raise Failed(Reason.DNS, str(unreachable))
    raise AssertionError("rounds have no end")


def answers_at_all(answer: dns.message.QueryMessage) -> bool:
    """Whether the server knew: that there is no such name is an answer too."""
    return answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


async def exchanged(
    questions: Sequence[dns.message.QueryMessage], server: Server, *, patience: float
) -> list[dns.message.QueryMessage]:
    """Ask `server` all `questions` at once, and wait `patience` seconds.

    Of two questions, once one has a positive answer the other gets `RESOLUTION_DELAY` more and may be missing. A
    datagram that answers neither is dropped. `Silent` or `Unreachable`; an `OSError` is our own fault.
    """
    answers: dict[int, dns.message.QueryMessage] = {}
    loop = asyncio.get_running_loop()
    async with _socket(server, socket.SOCK_DGRAM) as opened:
        for question in questions:
            await loop.sock_sendall(opened, question.to_wire())
        for seconds in (patience, RESOLUTION_DELAY):
            try:
                async with asyncio.timeout(seconds):
                    await _collect(opened, questions, answers)
            except TimeoutError:
                break
    if len(answers) < len(questions) and not any(answer.answer for answer in answers.values()):
        raise Silent(f"{_named(server)} did not answer")
    return [
        await _exchanged_whole(question, server) if answers[question.id].flags & dns.flags.TC else answers[question.id]
        for question in questions
        if question.id in answers
    ]


async def _collect(
    opened: socket.socket, questions: Sequence[dns.message.QueryMessage], answers: dict[int, dns.message.QueryMessage]
) -> None:
    """Fill `answers` until all are there, or until one of several is positive."""
    while len(answers) < len(questions):
        answer = _answer(questions, await asyncio.get_running_loop().sock_recv(opened, 65_535))
        if answer is None:
            continue
        known = answer.id in answers
        answers[answer.id] = answer
        if answer.answer and not known and len(questions) > 1:
            return


def _answer(questions: Sequence[dns.message.QueryMessage], wire: bytes) -> dns.message.QueryMessage | None:
    try:
        answer = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    if not isinstance(answer, dns.message.QueryMessage):
        return None
    # Some servers cut an answer down to its head, without the question: that is only a reason to ask again over TCP.
    cut = bool(answer.flags & dns.flags.TC and answer.flags & dns.flags.QR and not answer.question)
    if any(question.is_response(answer) or (cut and question.id == answer.id) for question in questions):
        return answer
    return None


async def _exchanged_whole(question: dns.message.QueryMessage, server: Server) -> dns.message.QueryMessage:
    """The same question over TCP, where an answer of any length fits."""
    loop = asyncio.get_running_loop()
    async with _socket(server, socket.SOCK_STREAM) as opened:
        wire = question.to_wire()
        await loop.sock_sendall(opened, struct.pack("!H", len(wire)) + wire)
        (length,) = struct.unpack("!H", await _exactly(opened, 2))
        answer = _answer([question], await _exactly(opened, length))
    if answer is None:
        raise Unreachable(f"{_named(server)} answers over TCP with something else")
    return answer


async def _exactly(opened: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        more = await asyncio.get_running_loop().sock_recv(opened, length - len(received))
        if not more:
            raise Unreachable("the name server closed the connection in the middle of its answer")
        received += more
    return received


@asynccontextmanager
async def _socket(server: Server, kind: socket.SocketKind) -> AsyncIterator[socket.socket]:
    """A socket connected to `server`, so that the kernel drops what others send to it."""
    address, port = server
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, kind | socket.SOCK_NONBLOCK) as opened:
        try:
            await asyncio.get_running_loop().sock_connect(opened, (str(address), port))
            yield opened
        except OSError as error:
            if isinstance(error, TimeoutError) or is_our_own(error):
                raise
            raise Unreachable(f"{_named(server)}: {(error.strerror or str(error)).lower()}") from error


def _named(server: Server) -> str:
    address, port = server
    return f"name server [{address}]:{port}" if address.version == 6 else f"name server {address}:{port}"


def question_for(name: dns.name.Name, record: dns.rdatatype.RdataType) -> dns.message.QueryMessage:
    """A recursive question with room for a datagram of `_PAYLOAD` bytes."""
    return dns.message.make_query(name, record, use_edns=0, payload=_PAYLOAD)


@dataclass(frozen=True, slots=True)
class Servers:
    """What `/etc/resolv.conf` says."""

    addresses: tuple[Server, ...]
    search: tuple[dns.name.Name, ...]
    dots: int

    def candidates(self, name: str) -> list[dns.name.Name]:
        """The full names to ask for, in order: with fewer dots than `ndots`, the search list comes first."""
        try:
            plain = dns.name.from_text(name, origin=None)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise Failed(Reason.DNS, f"{name} is not a name that can be asked for: {error}") from error
        if plain.is_absolute():
            return [plain]
        whole = plain.concatenate(dns.name.root)
        suffixed = [plain.concatenate(suffix) for suffix in self.search if len(plain) + len(suffix) < 120]
        return [whole, *suffixed] if len(plain) - 1 >= self.dots else [*suffixed, whole]


class SystemNames:
    """Names as `/etc/hosts` and the name servers of `/etc/resolv.conf` know them; both are read again when they change.

    For one loop; never blocks but for reading these two small files. Keeps nothing open between two names.
    """

    def __init__(
        self, *, hosts: Path = Path("/etc/hosts"), configuration: Path = Path("/etc/resolv.conf"), port: int = 53
    ) -> None:
        self._hosts_file = hosts
        self._configuration_file = configuration
        self._port = port
        self._read: tuple[object, object] = (None, None)
        self._hosts: dict[str, tuple[Address, ...]] = {}
        self._servers = Servers((), (), 1)

    async def addresses(self, name: str) -> tuple[Address, ...]:
        """Every address of `name`; `Failed(dns)` where it has none. Waits for silent servers until it is cancelled."""
        self._refresh()
        known = self._hosts.get(name.lower().rstrip("."))
        if known is not None:
            return known
        if name.lower().rstrip(".").split(".")[-1] == "localhost":
            return (IPv4Address("127.0.0.1"), IPv6Address("::1"))
        if not self._servers.addresses:
            raise Failed(Reason.DNS, f"{self._configuration_file} names no name server to ask for {name}")
        complaint = f"{name} does not exist (NXDOMAIN)"
        for candidate in self._servers.candidates(name):
            questions = [question_for(candidate, record) for record in _ADDRESSES]
            answers = await answered(questions, self._servers.addresses)
            found = tuple(address for answer in answers for address in addresses_in(answer))
            if found:
                return found
            for answer in answers:
                if not answers_at_all(answer):
                    raise Failed(Reason.DNS, f"{name}: the name servers answer {dns.rcode.to_text(answer.rcode())}")
                if answer.rcode() == dns.rcode.NOERROR:
                    complaint = f"{name} has no address (neither A nor AAAA)"
        raise Failed(Reason.DNS, complaint)

    def servers(self) -> tuple[Server, ...]:
        """The name servers of this machine; `Failed(dns)` where none is configured."""
        self._refresh()
        if not self._servers.addresses:
            raise Failed(Reason.DNS, f"{self._configuration_file} names no name server to ask")
        return self._servers.addresses

    def _refresh(self) -> None:
        stamps = (_stamp(self._hosts_file), _stamp(self._configuration_file))
        if stamps == self._read:
            return
        self._hosts = _hosts_of(self._hosts_file)
        self._servers = _servers_of(self._configuration_file, self._port)
        self._read = stamps


def addresses_in(answer: dns.message.QueryMessage) -> list[Address]:
    """The addresses at the end of the answer's chain of aliases; none where the chain is broken or endless."""
    if answer.rcode() != dns.rcode.NOERROR:
        return []
    try:
        records = answer.resolve_chaining().answer
    except dns.exception.DNSException:
        return []
    return [ip_address(record.address) for record in records or () if record.rdtype in _ADDRESSES]


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _hosts_of(path: Path) -> dict[str, tuple[Address, ...]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    hosts: dict[str, tuple[Address, ...]] = {}
    for line in text.splitlines():
        first, *names = line.partition("#")[0].split() or [""]
        try:
            address = ip_address(first)
        except ValueError:
            continue
        for name in names:
            key = name.lower().rstrip(".")
            hosts[key] = (*hosts.get(key, ()), address)
    return hosts


def _servers_of(path: Path, port: int) -> Servers:
    read = dns.resolver.Resolver(configure=False)
    try:
        read.read_resolv_conf(path)
    except dns.resolver.NoResolverConfiguration:
        return Servers((), (), 1)
    addresses = []
    for each in read.nameservers:
        try:
            addresses.append((ip_address(str(each)), port))
        except ValueError:
            continue
    search = tuple(read.search) or ((read.domain,) if read.domain != dns.name.root else ())
    return Servers(tuple(addresses), search, 1 if read.ndots is None else read.ndots)

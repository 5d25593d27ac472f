"""Connecting: endpoints as people write them, and a TCP connection to an address that the policy permits.

Knows sockets, names and the address policy. Does not know what is spoken on a connection. The policy is asked for the
very address that a socket is connected to, after resolving: a name that changes its address in between gains nothing.

Raw sockets rather than asyncio's transports: closing one is immediate, also when its attempt is cancelled, whereas a
transport (of TLS above all) lives on until the far side or a timeout lets go of it. Several addresses are raced as
RFC 8305 describes, without a task for each: the loop says which socket is settled first.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain, zip_longest
from typing import Annotated, Final, Protocol

from pydantic import BeforeValidator

from service_monitoring.domain.samples import Reason
from service_monitoring.ports import AddressPolicy
from service_monitoring.settings import InvalidValue
from service_monitoring.sources.phases import Failed, Phases, is_our_own

Address = IPv4Address | IPv6Address

HEAD_START: Final = 0.25
"""Seconds that an address has before the next one is tried beside it (RFC 8305, section 5)."""

MOST_ADDRESSES: Final = 8
"""Of one name: a name with fifty addresses is no reason to open fifty connections."""

_ENDPOINT: Final = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\[\]:/@\s]+))(?::(?P<port>\d{1,5}))?", re.ASCII
)


class Names(Protocol):
    """Resolves names; `resolving.SystemNames` is the one of this machine."""

    async def addresses(self, name: str) -> tuple[Address, ...]:
        """Every address of `name`, at least one; `Failed(dns)` says why there is none."""
        ...


def system_names() -> Names:
    """The names of this machine, for sources that are opened: whoever reads a configuration alone needs no resolver."""
    from service_monitoring.sources.resolving import SystemNames  # noqa: PLC0415 - as said

    return SystemNames()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host, which is a name or an address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The host as an address, where it is one."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @classmethod
    def parse(cls, text: str, *, port: int | None = None) -> Endpoint:
        """Read `host:port` or `[address]:port`; `port` is for a text without one. `InvalidValue` for anything else."""
        match = _ENDPOINT.fullmatch(text)
        given = match["port"] if match else None
        number = int(given) if given else port
        if match is None or number is None or not 0 < number < 65536:
            remedy = "write shop.example.com:5432, or [2001:db8::1]:5432 for an address of IPv6"
            raise InvalidValue(f'"{text}" is not a host with a port', remedy)
        endpoint = cls(match["bracketed"] or match["plain"], number)
        if match["bracketed"] and not isinstance(endpoint.address, IPv6Address):
            raise InvalidValue(f'"{text}" has something else than an address of IPv6 in brackets', "leave them out")
        return endpoint


def _endpoint(given: object) -> object:
    if isinstance(given, str):
        Endpoint.parse(given)
    return given


EndpointField = Annotated[str, BeforeValidator(_endpoint)]
"""The annotation of an option that is a host with a port, checked and kept as it was written."""


def permitted(addresses: Iterable[Address], network: AddressPolicy) -> list[Address]:
    """Those of `addresses` that may be connected to; `Failed(blocked_address)` with the first refusal if none may."""
    allowed: list[Address] = []
    refusals: list[str] = []
    for address in addresses:
        refusal = network.refusal(address)
        if refusal is None:
            allowed.append(address)
        else:
            refusals.append(refusal)
    if not allowed:
        raise Failed(Reason.BLOCKED_ADDRESS, refusals[0] if refusals else "there is no address to connect to")
    return allowed


async def located(endpoint: Endpoint, phases: Phases, names: Names, network: AddressPolicy) -> list[Address]:
    """The addresses of `endpoint` that may be connected to; a host that is an address needs no `dns_seconds`."""
    address = endpoint.address
    if address is not None:
        return permitted([address], network)
    with phases.phase("dns_seconds", f"resolving {endpoint.host}"):
        addresses = await names.addresses(endpoint.host)
    return permitted(addresses, network)


async def connected(addresses: Iterable[Address], port: int) -> socket.socket:
    """A non-blocking socket connected to the first of `addresses` that answers: the caller closes it.

    The addresses were permitted by the caller. `Failed(connect)` when none accepts; an `OSError` is our own fault.
    Whatever happens, cancellation too, no other socket stays open.
    """
    race = _Race(port)
    try:
        return await race.winner(_interleaved(addresses)[:MOST_ADDRESSES])
    finally:
        race.close_losers()


def _interleaved(addresses: Iterable[Address]) -> list[Address]:
    """IPv6 and IPv4 in turn, IPv6 first, so that a path that swallows one family costs one head start."""
    given = list(addresses)
    six = [each for each in given if each.version == 6]
    four = [each for each in given if each.version == 4]
    return [each for each in chain.from_iterable(zip_longest(six, four)) if each is not None]


class _Race:
    """Sockets on their way to several addresses."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._running: dict[socket.socket, Address] = {}
        self._open: list[socket.socket] = []
        self._failures: list[str] = []

    async def winner(self, addresses: list[Address]) -> socket.socket:
        for position, address in enumerate(addresses, start=1):
            self._start(address)
            last = position == len(addresses)
            try:
                async with asyncio.timeout(None if last else HEAD_START):
                    while self._running:
                        won = await self._settled()
                        if won is not None:
                            self._open.remove(won)
                            return won
            except TimeoutError:
                continue
        raise Failed(Reason.CONNECT, "; ".join(dict.fromkeys(self._failures)))

    def close_losers(self) -> None:
        for each in self._open:
            each.close()

    def _start(self, address: Address) -> None:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._open.append(opened)
        code = opened.connect_ex((str(address), self._port))
        if code in (0, errno.EINPROGRESS):
            self._running[opened] = address
        else:
            self._lost(address, code)

    async def _settled(self) -> socket.socket | None:
        """Wait until one socket is connected or has failed; the one that is connected."""
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[socket.socket] = loop.create_future()

        def settle(which: socket.socket) -> None:
            if not settled.done():
                settled.set_result(which)

        with _watched(loop, list(self._running), settle):
            which = await settled
        address = self._running.pop(which)
        code = which.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return which
        self._lost(address, code)
        return None

    def _lost(self, address: Address, code: int) -> None:
        error = OSError(code, os.strerror(code))
        if is_our_own(error):
            raise error
        self._failures.append(f"{Endpoint(str(address), self._port)}: {os.strerror(code).lower()}")


@contextmanager
def _watched(
    loop: asyncio.AbstractEventLoop, sockets: list[socket.socket], settle: Callable[[socket.socket], None]
) -> Iterator[None]:
    for each in sockets:
        loop.add_writer(each, settle, each)
    try:
        yield
    finally:
        for each in sockets:
            loop.remove_writer(each)

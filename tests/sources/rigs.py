"""What the tests of sources stand on: real servers on 127.0.0.0/8, the machine's clock, and a look for what was left.

Must not know how a source works: only its port, and what the kernel says is open.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from dnslib import RR
from dnslib.dns import DNSHeader, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from service_monitoring.domain.instants import seconds
from service_monitoring.domain.samples import Observation
from service_monitoring.ports import Clock, Deadline, Source, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sources.resolving import SystemNames

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def surroundings(*allowed: str, clock: Clock | None = None) -> Surroundings:
    """This machine alone, unless other networks are named."""
    return Surroundings(clock or SystemClock(), AddressPolicy.allowing(allowed or ("127.0.0.0/8",)))


async def probed(source: Source, within: float = 2.0) -> Observation:
    """One attempt with so many seconds."""
    clock = SystemClock()
    return await source.probe(Deadline(clock.tick().plus(seconds(within))))


def values(observation: Observation) -> dict[str, float]:
    """The measurements by metric."""
    return {each.metric: each.value for each in observation.measurements}


@asynccontextmanager
async def serving(handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """A server that hands each connection to `handler`; its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                await handler(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and say nothing until the other side goes."""
    while await reader.read(65_536):
        pass


def saying(*chunks: bytes) -> Handler:
    """Say these, one after the other, and wait for the other side to go."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.002)
        await silence(reader, writer)

    return say


@contextmanager
def unused_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that nobody listens on and that nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        yield bound.getsockname()[1]


@contextmanager
def blackhole(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port that swallows what asks for a connection: its queue is full, and nobody accepts."""
    with socket.socket() as listener:
        listener.bind((host, port))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def no_files_left() -> Iterator[None]:
    """Inside, this process may not open another file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _open_files() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith(("socket:", "pipe:", "anon_inode:[pidfd]"))}


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """What is done inside leaves no socket, pipe or task of this process behind.

    The servers of a test live in this process too: they are given some turns to notice that the other side has gone.
    """
    before, tasks = _open_files(), asyncio.all_tasks()
    yield
    for _ in range(100):
        if not _open_files() - before and not asyncio.all_tasks() - tasks:
            return
        await asyncio.sleep(0.005)
    assert _open_files() - before == set()
    assert asyncio.all_tasks() - tasks == set()


async def cancelled(source: Source, *, after: Callable[[], Awaitable[object]]) -> None:
    """Begin an attempt, cancel it once `after` is done, and wait for its end."""
    attempt = asyncio.create_task(probed(source, 30))
    try:
        await after()
    finally:
        attempt.cancel()
        with suppress(asyncio.CancelledError):
            raise AssertionError(f"the attempt was over before it was cancelled: {await attempt}")


async def a_moment() -> None:
    """Long enough for a connection on this machine, or a process, to come up."""
    await asyncio.sleep(0.04)


Answering = Callable[[DNSRecord, DNSRecord], DNSRecord | None]


class _Resolver(BaseResolver):  # type: ignore[misc] # dnslib has no types
    def __init__(self, answer: Answering) -> None:
        self.answer = answer

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply = self.answer(request, request.reply())
        if reply is None:
            raise ConnectionAbortedError("this question gets no answer")
        return reply


class _Truncating(DNSHandler):  # type: ignore[misc] # dnslib has no types
    """Cuts what is longer than one datagram should be."""

    udplen = 1232


class _Quiet:
    """A logger that says nothing, also of what the tests make it fail on."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@contextmanager
def name_server(answer: Answering, *, tcp: bool = False, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A name server that answers by `answer`; None is silence."""
    udp = DNSServer(_Resolver(answer), address=host, port=port, handler=_Truncating, logger=_Quiet())
    port = udp.server.server_address[1]
    servers = [udp]
    if tcp:
        servers.append(DNSServer(_Resolver(answer), address=host, port=port, tcp=True, logger=_Quiet()))
    for server in servers:
        server.server.handle_error = lambda *_: None
        server.thread = threading.Thread(target=server.server.serve_forever, args=(0.01,), daemon=True)
        server.thread.start()
    try:
        yield port
    finally:
        for server in servers:
            server.server.shutdown()
            server.server.server_close()
            server.thread.join()


def zone(text: str) -> Answering:
    """Answers from records as a zone file writes them; NXDOMAIN for names that are not in it."""
    records = RR.fromZone(text)

    def answer(request: DNSRecord, reply: DNSRecord) -> DNSRecord:
        named = [record for record in records if record.rname == request.q.qname]
        for record in named:
            if record.rtype in (request.q.qtype, 5):
                reply.add_answer(record)
        if not named:
            reply.header.rcode = 3
        return reply

    return answer


def refusing(code: int) -> Answering:
    """Answers everything with this code."""

    def answer(request: DNSRecord, reply: DNSRecord) -> DNSRecord:
        return DNSRecord(DNSHeader(id=request.header.id, qr=1, rcode=code), q=request.q)

    return answer


def no_answer(request: DNSRecord, reply: DNSRecord) -> DNSRecord | None:
    """Silence."""
    return None


def names(
    folder: Path, *, port: int = 53, hosts: str = "", configuration: str = "nameserver 127.0.0.1\n"
) -> SystemNames:
    """Names as a machine with these two files and a name server on `port` would find them."""
    (folder / "hosts").write_text(hosts)
    (folder / "resolv.conf").write_text(configuration)
    return SystemNames(hosts=folder / "hosts", configuration=folder / "resolv.conf", port=port)

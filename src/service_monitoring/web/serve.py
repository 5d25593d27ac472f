"""Serving: on a Unix socket that only its owner can open, and on a TCP address for what arrives by itself.

Knows uvicorn, sockets, and how much a connection may take. Does not know routes, nor when the program ends: it serves
until it is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from service_monitoring.errors import Unusable
from service_monitoring.settings.network import Network
from service_monitoring.web.addresses import among
from service_monitoring.web.door import Door
from service_monitoring.web.encrypting import Encryption

_LONGEST = 104
"""Bytes that a path of a Unix socket may have everywhere."""

MOST_HEADERS: Final = 16 * 1024
"""Bytes of a request's first line and headers."""
MOST_CONNECTIONS: Final = 2_000
MOST_OF_ONE: Final = 100
"""Connections of one address, where it is no proxy's."""
_BACKLOG: Final = 512
_AT_ONCE: Final = 4
"""Connections that are taken in one turn of the loop: many that come together must not hold up those that are here."""
_TICKS_A_SECOND: Final = 10
_SLOWEST: Final = 10 * _TICKS_A_SECOND
"""Ticks that headers, and then a body, may take; also an idle connection is closed then."""
_UNREAD: Final = 15 * _TICKS_A_SECOND
"""Ticks for which somebody may read nothing of an answer that does not fit between us; it is bounded meanwhile."""
_HANDSHAKE: Final = 10.0
"""Seconds that the two sides may take to agree on a cipher."""
_FILES_LOOKED_AT: Final = 10 * _TICKS_A_SECOND
"""Ticks after which the files of a certificate are looked at again."""


async def serve(app: Any, path: Path, beat: Callable[[], None]) -> None:
    """Serve until cancelled; then requests under way get a second to end, and the socket file is gone."""
    with listening(path) as listener:
        await _serve(app, listener, beat, _Bounds(of_one=MOST_CONNECTIONS))


async def serve_door(
    app: Any,
    door: Door,
    beat: Callable[[], None],
    *,
    encryption: Encryption | None = None,
    proxies: Sequence[Network] = (),
) -> None:
    """Serve at a TCP address until cancelled; then requests under way get a second to end.

    `proxies` may have as many connections as there are: many people come through one.
    """
    bounds = _Bounds(of_one=MOST_OF_ONE, but=proxies, encryption=encryption)
    listener = _Listener(door.take(), bounds)
    try:
        await _serve(app, listener, beat, bounds)
    finally:
        bounds.close()
        listener.close()
        door.close()


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket with mode 0600; a file left by a program that died is replaced.

    The caller holds the lock of the data folder, so nobody can be listening on an existing one.
    """
    if len(bytes(path)) > _LONGEST:
        raise Unusable(f"{path} is too long for a Unix socket: give the store a shorter path")
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


async def _serve(app: Any, listener: socket.socket, beat: Callable[[], None], bounds: _Bounds) -> None:
    config = uvicorn.Config(
        app,
        http=bounds.protocol,  # type: ignore[arg-type]  # any factory of protocols does
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        server_header=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=MOST_HEADERS,
    )
    server = _Server(config, beat, bounds)
    try:
        await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await server.shutdown(sockets=[listener])
        raise


class _Bounds:
    """The connections of one listener: how many there may be, and how long one may take to say what it wants."""

    def __init__(self, *, of_one: int, but: Sequence[Network] = (), encryption: Encryption | None = None) -> None:
        self._of_one = of_one
        self._but = but
        self._open: dict[_Connection, str] = {}
        self._count: Counter[str] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()
        self.encryption = encryption

    def protocol(self, **named: Any) -> _Gate:
        """A protocol for a new connection; uvicorn asks for one."""
        return _Gate(self, named)

    def room(self, address: str) -> bool:
        """Whether there is room for one more from there."""
        if len(self._open) >= MOST_CONNECTIONS:
            return False
        return self._count[address] < self._of_one or self._is_proxy(address)

    def enter(self, connection: _Connection, address: str) -> None:
        """It is here."""
        self._open[connection] = address
        self._count[address] += 1

    def leave(self, connection: _Connection) -> None:
        """It is gone."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._count[address] -= 1
            if not self._count[address]:
                del self._count[address]

    def begin(self, connection: _Connection, transport: asyncio.Transport) -> None:
        """Let it speak, once what it says is encrypted where that is asked for."""
        if self.encryption is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return
        # Nothing may be read before the task below has put something there that understands it.
        transport.pause_reading()
        connection.transport = transport
        task = asyncio.get_running_loop().create_task(self._encrypted(connection, transport, self.encryption))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _encrypted(self, connection: _Connection, plain: asyncio.Transport, encryption: Encryption) -> None:
        early = _Early()
        try:
            transport = await asyncio.get_running_loop().start_tls(
                plain, early, encryption.context, server_side=True, ssl_handshake_timeout=_HANDSHAKE
            )
        except OSError:  # it spoke something else, took too long, or left: whichever it was, it is gone
            transport = None
        if transport is None or early.lost:
            self.leave(connection)
            plain.abort()
            return
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if early.said:
            connection.data_received(bytes(early.said))

    def tick(self) -> None:
        """Close those that keep us waiting for too long."""
        for connection in list(self._open):
            connection.wait()

    def close(self) -> None:
        """Let go of those that have not said anything yet."""
        for task in list(self._handshakes):
            task.cancel()

    def _is_proxy(self, address: str) -> bool:
        return among(address, self._but)


class _Listener(socket.socket):
    """A listening socket that closes what there is no room for before the loop hears of it.

    Under a flood of connections that is what costs least; each turn of the loop lets go of one, and sees to others.
    """

    def __init__(self, listener: socket.socket, bounds: _Bounds) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._bounds = bounds
        self._taken = 0
        self.setblocking(False)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that there is room for.

        `ConnectionAbortedError` once one was closed, `BlockingIOError` once enough were taken: the loop comes again.
        """
        self._taken = (self._taken + 1) % (_AT_ONCE + 1)
        if not self._taken:
            raise BlockingIOError
        connection, address = super().accept()
        if self._bounds.room(str(address[0])):
            return connection, address
        connection.close()
        raise ConnectionAbortedError


class _Gate(asyncio.Protocol):
    """Who comes in at all: made for each connection, so it holds nothing that one turned away would not need."""

    def __init__(self, bounds: _Bounds, named: dict[str, Any]) -> None:
        self._bounds = bounds
        self._named = named

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it on, or turn it away when there are enough."""
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._bounds.room(address):
            transport.abort()
            return
        connection = _Connection(self._bounds, **self._named)
        self._bounds.enter(connection, address)
        self._bounds.begin(connection, transport)


class _Early(asyncio.Protocol):
    """Keeps what is said at once after a handshake, before the task that waited for its end has its turn."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        """It spoke."""
        self.said += data

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self.lost = True


class _Connection(H11Protocol):
    """uvicorn's protocol, within bounds."""

    def __init__(self, bounds: _Bounds, **named: Any) -> None:
        super().__init__(**named)
        # Paths hold keys. uvicorn's own setting leaves it to what handlers the process has.
        self.access_log = False
        self._bounds = bounds
        self._waited = 0
        self._unread = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        self._bounds.leave(self)
        super().connection_lost(exc)

    def wait(self) -> None:
        """Called at each tick: one more for which nothing but the other side is waited for, or none any more."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # before the first request there is none
        ours = cycle is not None and not cycle.response_complete and not cycle.more_body
        self._waited = 0 if ours else self._waited + 1
        flow = cast("FlowControl | None", self.flow)  # before a handshake is over there is none
        self._unread = self._unread + 1 if flow is not None and flow.write_paused else 0
        if (self._waited > _SLOWEST or self._unread > _UNREAD) and not self.transport.is_closing():
            self.transport.abort()

    def handle_events(self) -> None:
        """A request whose headers came is given its own time for the body."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._waited = 0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, and with a sign of life on each of its ticks."""

    def __init__(self, config: uvicorn.Config, beat: Callable[[], None], bounds: _Bounds) -> None:
        super().__init__(config)
        self._beat = beat
        self._bounds = bounds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the supervisor."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        self._beat()
        self._bounds.tick()
        if self._bounds.encryption is not None and counter % _FILES_LOOKED_AT == 0:
            self._bounds.encryption.renew()
        return await super().on_tick(counter)

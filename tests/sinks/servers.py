"""Servers for the tests of sinks: real ones, on this machine, that behave as told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_monitoring.testing.sink_laws import Behaviour, Received

ANSWERS = {
    Behaviour.ACCEPT: b"HTTP/1.1 204 No Content\r\n\r\n",
    Behaviour.NOT_NOW: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ntoo busy\n",
    Behaviour.NEVER: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
}


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        return int(placeholder.getsockname()[1])


def reset(writer: asyncio.StreamWriter) -> None:
    """Drop a connection with a reset, as a machine does that fell over."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class HttpServer:
    """Reads whole requests and answers as told: by behaviour, or with the bytes in `answer`."""

    def __init__(self) -> None:
        self.behaviour = Behaviour.ACCEPT
        self.answer: bytes | None = None
        self.received: list[Received] = []
        self.requests: list[bytes] = []
        self.accepted = 0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    def connections(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[HttpServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in tuple(self._open):
                writer.transport.abort()
            while self._open:
                await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.accepted += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.behaviour is Behaviour.HANG:
            await reader.read()  # until the other side gives up
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(head + body)
        self.received.append(Received(headers.get("idempotency-key", ""), head + body))
        if self.behaviour is Behaviour.RESET:
            reset(writer)
            return False
        writer.write(self.answer if self.answer is not None else ANSWERS[self.behaviour])
        await writer.drain()
        return b"connection: close" not in (self.answer or b"").lower()

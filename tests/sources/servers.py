"""HTTP servers that say anything, byte by byte, and count what they were asked and what they could send.

Knows sockets (`rigs.serving`) and bytes. Must not know the source: it answers whoever comes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Server:
    """One that is up."""

    host: str = "127.0.0.1"
    port: int = 0
    scheme: str = "http"
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{path}"

    def header(self, name: str, request: int = -1) -> str | None:
        """What the request said, or None."""
        for line in self.requests[request].split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode()
        return None


Answering = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(
    answer: Answering, *, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A server that reads each request to its empty line, hands it to `answer`, and closes."""
    server = Server(host, scheme="http" if context is None else "https")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await reader.readuntil(b"\r\n\r\n")
                server.requests.append(request)
                await answer(request, reader, writer)
        finally:
            if context is None:
                writer.close()
            else:
                writer.transport.abort()

    listening = await asyncio.start_server(handle, host, port, ssl=context, backlog=256)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def saying(*chunks: bytes) -> Answering:
    """Say these at once, whatever is asked."""

    async def say(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()

    return say


def by_path(answers: dict[str, bytes]) -> Answering:
    """Say what belongs to the path that is asked for."""

    async def say(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[request.split(b" ")[1].decode()])
        await writer.drain()

    return say


def endlessly(head: bytes, chunk: bytes, *, pause: float = 0.0, most: int = 1 << 40) -> Answering:
    """Say `head`, then `chunk` again and again until the other side goes."""

    async def say(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(most // len(chunk)):
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)

    return say


async def hanging(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing, as long as anybody listens."""
    await reader.read()


def redirecting(location: str, status: int = 302, *, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status, location.encode(), len(body), body
    )  # fmt: skip


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, lines, len(body), body)

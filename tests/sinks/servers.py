"""Servers for the tests of sinks: real ones, on this machine, that behave as told."""

from __future__ import annotations

import asyncio
import email
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP, Envelope

from service_monitoring.ports import Sink
from service_monitoring.testing.sink_laws import Behaviour, Received

Authenticator = Callable[..., Any]

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
    """Reads whole requests and answers as told: by behaviour, or with the bytes in `answer`.

    With `resets_new_keys` a request whose key comes for the first time is read and never answered.
    """

    def __init__(self) -> None:
        self.behaviour = Behaviour.ACCEPT
        self.answer: bytes | None = None
        self.resets_new_keys = False
        self.received: list[Received] = []
        self.requests: list[bytes] = []
        self.accepted = 0
        self.hanging = 0
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
            self.hanging += 1
            await reader.read()  # until the other side gives up
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        key = headers.get("idempotency-key", "")
        new = all(received.key != key for received in self.received)
        self.requests.append(head + body)
        self.received.append(Received(key, head + body))
        if self.behaviour is Behaviour.RESET or (new and self.resets_new_keys):
            reset(writer)
            return False
        writer.write(self.answer if self.answer is not None else ANSWERS[self.behaviour])
        await writer.drain()
        return b"connection: close" not in (self.answer or b"").lower()


class _Silent(asyncio.Protocol):
    """Takes a connection and never says a word."""


class SmtpServer:
    """aiosmtpd on this loop, behaving as told; `refuse` answers MAIL, DATA, RCPT or RCPT of one mailbox differently."""

    def __init__(self, *, authenticator: Authenticator | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.behaviour = Behaviour.ACCEPT
        self.refuse: dict[str, str] = {}
        self.received: list[Received] = []
        self.envelopes: list[Envelope] = []
        self.greetings: list[str] = []
        self.port = 0
        self._authenticator = authenticator
        self._tls = tls
        self._open: set[asyncio.Transport] = set()

    def connections(self) -> int:
        return sum(not transport.is_closing() for transport in self._open)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[SmtpServer]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._protocol, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for transport in tuple(self._open):
                transport.abort()
            await asyncio.sleep(0.01)

    def _protocol(self) -> asyncio.Protocol:
        outer = self

        class Session(SMTP):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                outer._open.add(transport)
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                outer._open.discard(self.transport)
                super().connection_lost(error)

        class Hanging(_Silent):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                self.transport = transport
                outer._open.add(transport)

            def connection_lost(self, error: Exception | None) -> None:
                outer._open.discard(self.transport)

        if self.behaviour is Behaviour.HANG:
            return Hanging()
        return Session(
            self,
            hostname="mail.test",
            ident="ready",
            authenticator=self._authenticator,
            auth_require_tls=self._tls is not None,
            auth_required=self._authenticator is not None,
            tls_context=self._tls,
        )

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # type: ignore[no-untyped-def] # noqa: N802 - aiosmtpd's hook
        session.host_name = hostname
        self.greetings.append(hostname)
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def] # noqa: N802 - aiosmtpd's hook
        envelope.mail_from = address
        return self.refuse.get("MAIL", "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def] # noqa: N802 - aiosmtpd's hook
        if self.behaviour is Behaviour.NOT_NOW:
            return "451 4.7.1 greylisted, come back later"
        if self.behaviour is Behaviour.NEVER:
            return "550 5.1.1 no such mailbox"
        refused: str | None = self.refuse.get(f"RCPT {address}") or self.refuse.get("RCPT")
        if refused is None:
            envelope.rcpt_tos.append(address)
        return refused or "250 OK"

    async def handle_DATA(self, server, session, envelope):  # type: ignore[no-untyped-def] # noqa: N802 - aiosmtpd's hook
        content: bytes = envelope.original_content
        mail = email.message_from_bytes(content)
        self.envelopes.append(envelope)
        self.received.append(Received(str(mail["Message-ID"]).strip("<>").partition("@")[0], content))
        if self.behaviour is Behaviour.RESET:
            connection: socket.socket = server.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.transport.abort()
        return self.refuse.get("DATA", "250 2.0.0 queued as 42")


class Server(Protocol):
    """What the servers of these tests have in common."""

    behaviour: Behaviour
    received: list[Received]

    def connections(self) -> int: ...


class Served:
    """A server with two sinks, as the laws of sinks want their far side."""

    def __init__(self, server: Server, sink: Sink, unreachable: Sink) -> None:
        self.server = server
        self.sink = sink
        self.unreachable = unreachable
        self.received = server.received

    def behave(self, behaviour: Behaviour) -> None:
        self.server.behaviour = behaviour

    def connections(self) -> int:
        return self.server.connections()

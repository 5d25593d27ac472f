"""The door: a TCP address on which the program listens, bound before anything else begins.

Knows sockets and what can be wrong with an address. Does not know who serves there, or what.
"""

from __future__ import annotations

import errno
import socket
from typing import Final, Self

from service_monitoring.errors import Unavailable

_BACKLOG: Final = 512
"""Connections that may wait to be taken."""


class Door:
    """A TCP address, opened once and served from then on.

    `open` binds at once, so that a taken address is told before anything else begins; whoever serves here may begin
    again after it failed. Nothing is left open after `close`.
    """

    def __init__(self, host: str, port: int, *, named: str = "web.listen") -> None:
        """`named` is where the address was written, for complaints."""
        self._host = host
        self._port = port
        self._named = named
        self._listener: socket.socket | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """Where it listens: `host:port`; nothing before it is open."""
        return self._address

    def open(self) -> Self:
        """Bind the address; `Unavailable` with place, cause and remedy when that cannot be."""
        where = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise Unavailable(f"{self._named}: {where} is no address here ({error}); write 127.0.0.1:8080") from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            taken = error.errno == errno.EADDRINUSE
            cause = "another program listens there" if taken else error.strerror
            remedy = "end that one, choose another port, or write listen: none"
            raise Unavailable(f"{self._named}: {where} cannot be listened on ({cause}); {remedy}") from error
        listener.setblocking(False)
        bound, self._port = listener.getsockname()[:2]
        self._address = f"[{bound}]:{self._port}" if ":" in bound else f"{bound}:{self._port}"
        self._listener = listener
        return self

    def take(self) -> socket.socket:
        """The socket that listens, for whoever serves there and closes it; opened again where it was taken before."""
        if self._listener is None:
            self.open()
        assert self._listener is not None
        listener, self._listener = self._listener, None
        return listener

    def close(self) -> None:
        """Let go of the address. May be called twice."""
        self._address = ""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

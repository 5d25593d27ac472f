"""Serving the API on a Unix socket that only its owner can open.

Knows uvicorn and the socket file. Does not know routes, nor when the program ends: it serves until it is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from service_monitoring.errors import Unusable

_LONGEST = 104
"""Bytes that a path of a Unix socket may have everywhere."""


async def serve(app: FastAPI, path: Path, beat: Callable[[], None]) -> None:
    """Serve until cancelled; then requests under way get a second to end, and the socket file is gone."""
    with listening(path) as listener:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1, server_header=False
        )
        server = _Server(config, beat)
        try:
            await server.serve(sockets=[listener])
        except asyncio.CancelledError:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await server.shutdown(sockets=[listener])
            raise


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


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, and with a sign of life on each of its ticks."""

    def __init__(self, config: uvicorn.Config, beat: Callable[[], None]) -> None:
        super().__init__(config)
        self._beat = beat

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the supervisor."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        self._beat()
        return await super().on_tick(counter)

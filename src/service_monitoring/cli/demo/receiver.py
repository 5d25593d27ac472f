"""The demonstration's webhook receiver: the far side of a notice, over a real socket.

Knows HTTP and what it was sent. Does not know who sent it or why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class Receiver:
    """Accepts notices at `/hook` and keeps them in the order of arrival, each with its `Idempotency-Key`."""

    def __init__(self, heard: Callable[[str, dict[str, Any]], None] = lambda key, body: None) -> None:
        self.port = 0
        self.received: list[tuple[str, dict[str, Any]]] = []
        self._heard = heard

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Receiver]:
        """Listen on a free port of 127.0.0.1 until the block ends."""
        app = web.Application()
        app.router.add_post("/hook", self._accept)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _accept(self, request: web.Request) -> web.Response:
        key, body = request.headers.get("Idempotency-Key", ""), await request.json()
        self.received.append((key, body))
        self._heard(key, body)
        return web.Response(status=202)

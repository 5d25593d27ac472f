"""The demonstration's service: a small web shop on loopback that does what a script says, over real sockets.

Knows acts and sockets. Does not know that it is watched, nor by what.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from aiohttp import web

from service_monitoring.domain.instants import MILLISECOND, Duration
from service_monitoring.ports import Clock


class Act(StrEnum):
    """How the shop is doing."""

    WELL = "well"
    SLOW = "slow"
    DOWN = "down"


_SLOWNESS = Duration(400 * MILLISECOND)


class Shop:
    """An HTTP service with `/health` and `/metrics`, and a database port beside it. One loop; acts change any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.act = Act.WELL
        self.requests = 0
        self.http_port = 0
        self.database_port = 0
        self._database: asyncio.Server | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shop]:
        """Serve on two free ports of 127.0.0.1 until the block ends."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.http_port = runner.addresses[0][1]
        await self.open_database()
        try:
            yield self
        finally:
            await self.close_database()
            await runner.cleanup()

    async def perform(self, act: Act) -> None:
        """Go over to an act; down, the database refuses connections as well."""
        self.act = act
        if act is Act.DOWN:
            await self.close_database()
        elif self._database is None:
            await self.open_database()

    async def open_database(self) -> None:
        """Listen on the database port, the same one each time."""
        self._database = await asyncio.start_server(_hang_up, "127.0.0.1", self.database_port)
        self.database_port = self._database.sockets[0].getsockname()[1]

    async def close_database(self) -> None:
        """Refuse connections to the database port."""
        if self._database is not None:
            self._database.close()
            await self._database.wait_closed()
            self._database = None

    async def _health(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.act is Act.SLOW:
            await self._clock.wait_until(self._clock.tick().plus(_SLOWNESS))
        if self.act is Act.DOWN:
            return web.json_response({"status": "the database is gone"}, status=503)
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.Request) -> web.Response:
        depth = {Act.WELL: 3, Act.SLOW: 40, Act.DOWN: 160}[self.act]
        text = f"# TYPE queue_depth gauge\nqueue_depth {depth}\n"
        return web.Response(text=text, content_type="text/plain")


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()

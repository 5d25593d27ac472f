"""The whole application, API and pages, on a socket, as whoever is named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from service_monitoring.access.identity import OWNER, Identity
from service_monitoring.access.permissions import OF_ROLE, Role
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.permitting import IDENTITY
from service_monitoring.web.serve import serve


def somebody(role: Role) -> Identity:
    return Identity("ada", role, OF_ROLE[role], "session", csrf="a-token")


class Entered:
    """Lets everybody in as one identity."""

    def __init__(self, inside: Asgi, identity: Identity) -> None:
        self._inside = inside
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[IDENTITY] = self._identity
        await self._inside(scope, receive, send)


@asynccontextmanager
async def visiting(faces: Faces, identity: Identity = OWNER) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a real server with this application."""
    with TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        path = Path(folder) / "control.sock"
        serving = asyncio.create_task(serve(Entered(application(faces), identity), path, lambda: None))
        try:
            while not path.exists() and not serving.done():
                await asyncio.sleep(0.002)
            connector = aiohttp.UnixConnector(path=str(path))
            async with aiohttp.ClientSession("http://monitor", connector=connector) as client:
                yield client
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

"""A console over a real store, entered as whoever a test says: what a browser without a script does on it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp

from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import OF_ROLE, Role
from service_monitoring.views.desk import Desk
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.permitting import IDENTITY
from service_monitoring.web.serve import serve


class As:
    """Lets everybody in as one person with a role, as a door does that found out who it is."""

    def __init__(self, inside: Asgi, name: str = "ada", role: Role = Role.RESPONDER) -> None:
        self._inside = inside
        self.identity = Identity(name, role, OF_ROLE[role], "session", csrf="of-the-session")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[IDENTITY] = self.identity
        await self._inside(scope, receive, send)


class Page:
    """A page as it came."""

    def __init__(self, response: aiohttp.ClientResponse, html: str) -> None:
        self.status = response.status
        self.address = str(response.url.relative())
        self.html = html

    @property
    def text(self) -> str:
        """What is to be read on it, in one line."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.html)).split())

    @property
    def alert(self) -> str:
        """What it says went wrong."""
        found = re.search(r'class="wrong" role="alert">(.*?)</(?:p|div)>', self.html, re.DOTALL)
        return "" if found is None else " ".join(unescape(re.sub(r"<[^>]*>", " ", found[1])).split())

    def links(self, rel: str) -> list[str]:
        return [unescape(href) for href in re.findall(rf'<a rel="{rel}" href="([^"]*)"', self.html)]


class Browser:
    """Looks at pages, and sends forms as a browser does."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.http = session

    async def get(self, path: str) -> Page:
        async with self.http.get(path) as response:
            return Page(response, await response.text())

    async def post(self, path: str, **fields: Any) -> Page:
        """Send a form, and follow where its answer leads."""
        pairs = [(name.rstrip("_"), value) for name, given in fields.items() for value in _each(given)]
        data = aiohttp.FormData([("csrf", "of-the-session"), *pairs])
        async with self.http.post(path, data=data) as response:
            return Page(response, await response.text())


def _each(given: Any) -> list[str]:
    return given if isinstance(given, list) else [given]


@asynccontextmanager
async def console(desk: Desk, door: Path, **who: Any) -> AsyncIterator[Browser]:
    """The API and the pages on a socket."""
    serving = asyncio.create_task(serve(As(application(Faces("1", desk)), **who), door, lambda: None))
    async with AsyncExitStack() as stack:
        try:
            while not door.exists():
                await asyncio.sleep(0.005)
                if serving.done():
                    serving.result()
            connector = aiohttp.UnixConnector(path=str(door))
            yield Browser(await stack.enter_async_context(aiohttp.ClientSession("http://monitor", connector=connector)))
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

"""A console over a real store, entered as whoever a test says: what a browser without a script does on it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp

from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import OF_ROLE, Role
from service_monitoring.views.desk import Desk
from service_monitoring.views.faces import Faces
from service_monitoring.views.service import ServiceDesk
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
        return _read(self.html)

    @property
    def alert(self) -> str:
        """What it says went wrong."""
        found = re.search(r'<(p|div) class="wrong" role="alert">(.*?)</\1>', self.html, re.DOTALL)
        return "" if found is None else _read(found[2])

    @property
    def active(self) -> list[str]:
        """What a text of somebody else may have become: scripts and handlers in the page, addresses that run."""
        found = _Active()
        found.feed(self.html)
        return found.found

    def links(self, rel: str) -> list[str]:
        return [unescape(href) for href in re.findall(rf'<a rel="{rel}" href="([^"]*)"', self.html)]


def _read(html: str) -> str:
    words = " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
    return re.sub(r" ([,:.)])", r"\1", words)


class _Active(HTMLParser):
    """Reads a page as browsers do."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and not (given.get("src") or "").startswith("/static/"):
            self.found.append(tag)
        self.found += [name for name in given if name.startswith("on") or name in {"style", "autofocus"}]
        addresses = (given.get(name) or "" for name in ("href", "src", "action", "formaction"))
        self.found += [address for address in addresses if address.lower().startswith(("javascript:", "data:"))]


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
async def console(desk: Desk, door: Path, *, service: ServiceDesk | None = None, **who: Any) -> AsyncIterator[Browser]:
    """The API and the pages on a socket; with `service` also those of one service."""
    faces = Faces("1", desk, service=service)
    serving = asyncio.create_task(serve(As(application(faces), **who), door, lambda: None))
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

"""A door with accounts behind it, and a browser in front that keeps one cookie and follows nothing."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import aiohttp

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.permissions import Role
from service_monitoring.access.provider import Provider
from service_monitoring.settings import WebSettings
from service_monitoring.views.faces import Faces
from service_monitoring.web.composing import composed
from service_monitoring.web.door import Door
from service_monitoring.web.encrypting import Encryption
from service_monitoring.web.serve import serve_door
from tests.web.conftest import Inside
from tests.web.lodge import PASSWORD, Lodge

LOCAL = WebSettings("127.0.0.1", 0)
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Said:
    """An answer in full."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


@dataclass
class Browser:
    """Asks as a browser does: with the cookie that it was given last."""

    http: aiohttp.ClientSession
    lodge: Lodge
    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookie: str = ""

    async def ask(self, method: str, path: str, *, headers: Mapping[str, str] = {}, **given: Any) -> Said:
        sent = dict(headers)
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        async with self.http.request(method, path, headers=sent, allow_redirects=False, **given) as response:
            for written in response.headers.getall("Set-Cookie", []):
                self.set_cookie = written
                for name, morsel in SimpleCookie(written).items():
                    self.cookies[name] = morsel.value
                    if morsel["max-age"] == "0":
                        del self.cookies[name]
            return Said(response.status, response.headers, await response.text())

    async def page(self, path: str) -> Said:
        return await self.ask("GET", path, headers=PAGE)

    async def form(self, path: str, **fields: Any) -> Said:
        """Send a form as a page of ours would, with what the page has in its hidden field; `headers` are no field."""
        headers = {**PAGE, "Sec-Fetch-Site": "same-origin", **fields.pop("headers", {})}
        return await self.ask("POST", path, data=fields, headers=headers)

    async def csrf(self, path: str = "/account") -> str:
        found = re.search('name="csrf" value="([^"]*)"', (await self.page(path)).text)
        assert found is not None
        return found[1]

    async def sign_in(self, name: str = "ada", password: str = PASSWORD) -> Said:
        said = await self.form("/login", name=name, password=password)
        assert (said.status, said.location) == (303, "/")
        return said


@asynccontextmanager
async def at_the_door(
    inside: Inside,
    web: WebSettings = LOCAL,
    *,
    lodge: Lodge | None = None,
    encryption: Encryption | None = None,
    trust: ssl.SSLContext | None = None,
    access: AccessDesk | None = None,
    provider: Provider | None = None,
) -> AsyncIterator[Browser]:
    """A door with an admin, a responder and a viewer behind it, or with a desk of access that one brings along."""
    if lodge is None:
        lodge = Lodge()
        for name, role in (("ada", Role.ADMIN), ("rita", Role.RESPONDER), ("vera", Role.VIEWER)):
            lodge.account(name, role)
    faces = Faces("1", inside.desk, inside.intake, access=access or lodge, provider=provider)
    app = composed(faces, web, csrf="of the process")
    door = Door("127.0.0.1", 0).open()
    url = f"{'https' if encryption else 'http'}://{door.address}"
    serving = asyncio.create_task(serve_door(app, door, lambda: None, encryption=encryption, proxies=web.behind_proxy))
    try:
        connector = aiohttp.TCPConnector(ssl=trust or True)
        async with aiohttp.ClientSession(url, connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
            yield Browser(http, lodge, url)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

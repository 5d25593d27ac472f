"""Accounts, sessions, tokens and the audit trail over HTTP, as whoever asks may; every act is written down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_monitoring.access.desk import Client, Opened
from service_monitoring.access.identity import OWNER, STRANGER, Identity
from service_monitoring.access.permissions import EVERYBODY, Permission, Role
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.views.faces import Faces
from service_monitoring.web.api.application import api
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.permitting import IDENTITY
from service_monitoring.web.serve import serve
from tests.web.conftest import Inside

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

PASSWORD = "several words together"
HERE = Client("192.0.2.1")


class As:
    """Lets everybody in as the one whom a test names."""

    def __init__(self, inside: Asgi) -> None:
        self._inside = inside
        self.identity: Identity = OWNER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[IDENTITY] = self.identity
        await self._inside(scope, receive, send)


class Console:
    """A client of the API, and whom it is taken for."""

    def __init__(self, client: aiohttp.ClientSession, entrance: As, desk: StoreAccess) -> None:
        self._client = client
        self._entrance = entrance
        self.desk = desk

    async def sign_in(self, name: str) -> Identity:
        opened = await self.desk.sign_in(name, PASSWORD, HERE)
        assert isinstance(opened, Opened)
        self.be(opened.identity)
        return opened.identity

    def be(self, identity: Identity) -> None:
        self._entrance.identity = identity

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._client.request(method, path, json=body) as response:
            content = await response.read()
            return response.status, await response.json(content_type=None) if content else None

    async def noted(self, count: int) -> list[tuple[str, str, str]]:
        """The first entries of the trail once there are so many; an entry follows its answer."""
        while len(rows := await self.desk.audit(before=None, limit=100)) < count:
            await asyncio.sleep(0.005)
        return [(row.what, row.subject, row.outcome) for row in rows[::-1]]


@pytest.fixture
async def console(inside: Inside, door: Path) -> AsyncIterator[Console]:
    desk = await StoreAccess(inside.store, inside.clock, new_secret).load()
    entrance = As(api(Faces("1", inside.desk, access=desk)))
    async with AsyncExitStack() as stack:
        serving = asyncio.create_task(serve(entrance, door, lambda: None))
        try:
            while not door.exists():
                await asyncio.sleep(0.005)
            connector = aiohttp.UnixConnector(path=str(door))
            client = await stack.enter_async_context(aiohttp.ClientSession("http://monitor", connector=connector))
            yield Console(client, entrance, desk)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def people(console: Console) -> None:
    for name, role in (("ada", Role.ADMIN), ("vic", Role.VIEWER)):
        assert (await console.desk.create_account(OWNER, name, role, PASSWORD)).name == name


async def test_an_account_is_made_changed_and_removed(console: Console) -> None:
    made = {"name": "ada", "role": "admin", "password": PASSWORD}
    status, row = await console.ask("POST", "/api/v1/accounts", made)
    assert (status, row["name"], row["role"]) == (201, "ada", "admin")
    assert (await console.ask("POST", "/api/v1/accounts", made))[0] == 409
    assert (await console.ask("POST", "/api/v1/accounts", made | {"role": "king"}))[0] == 422
    assert (await console.ask("POST", "/api/v1/accounts", made | {"name": "rob", "role": "viewer"}))[0] == 201
    status, row = await console.ask("PUT", "/api/v1/accounts/rob", {"disabled": True})
    assert (status, row["disabled"]) == (200, True)
    assert (await console.ask("PUT", "/api/v1/accounts/rob", {}))[0] == 422
    assert (await console.ask("PUT", "/api/v1/accounts/nobody", {"disabled": True}))[0] == 404
    assert await console.ask("DELETE", "/api/v1/accounts/rob") == (204, None)
    status, problem = await console.ask("DELETE", "/api/v1/accounts/ada")
    assert (status, problem["detail"]) == (409, "no admin would be left: make another one first")
    assert [row["name"] for row in (await console.ask("GET", "/api/v1/accounts"))[1]] == ["ada"]


async def test_a_password_is_repeated_in_no_answer_and_in_no_entry(console: Console) -> None:
    for password in ("short-secret", "aaaaaaaaaaaaaaaa-secret" * 100):
        _, problem = await console.ask("POST", "/api/v1/accounts", {"name": "", "role": 1, "password": password})
        assert "secret" not in str(problem)
    await people(console)
    await console.ask("PUT", "/api/v1/accounts/vic", {"password": "another-secret-of-hers"})
    rows = await console.desk.audit(before=None, limit=100)
    assert "secret" not in str(rows) and PASSWORD not in str(rows)


async def test_sessions_and_tokens_are_ones_own(console: Console) -> None:
    await people(console)
    ada = await console.sign_in("ada")
    vic = await console.sign_in("vic")
    _, who = await console.ask("GET", "/api/v1/account")
    assert (who["name"], who["role"], who["via"]) == ("vic", "viewer", "session")
    _, rows = await console.ask("GET", "/api/v1/sessions")
    assert [(row["handle"], row["current"]) for row in rows] == [(vic.handle, True)]
    assert (await console.ask("GET", "/api/v1/sessions?account=ada"))[0] == 403
    assert (await console.ask("DELETE", f"/api/v1/sessions/{ada.handle}"))[0] == 404
    status, made = await console.ask("POST", "/api/v1/tokens", {"name": "ci", "scopes": ["read"], "lasts": "30d"})
    assert status == 201
    assert (await console.ask("POST", "/api/v1/tokens", {"name": "x", "scopes": ["administer"]}))[0] == 409
    assert [row["name"] for row in (await console.ask("GET", "/api/v1/tokens"))[1]] == ["ci"]
    token = await console.desk.token(made["secret"], HERE)
    assert token is not None
    console.be(token)
    assert (await console.ask("POST", "/api/v1/tokens", {"name": "more", "scopes": ["read"]}))[0] == 403
    console.be(vic)
    assert await console.ask("DELETE", f"/api/v1/tokens/{made['row']['handle']}") == (204, None)
    assert await console.ask("DELETE", f"/api/v1/sessions/{vic.handle}") == (204, None)


async def test_every_act_is_in_the_trail_with_who_did_it_and_what_came_of_it(console: Console) -> None:
    await people(console)
    vic = await console.sign_in("vic")
    assert (await console.ask("POST", "/api/v1/keys", {"check": "shop.backup"}))[0] == 403
    await console.noted(4)
    ada = await console.sign_in("ada")
    assert (await console.ask("POST", "/api/v1/keys", {"check": "shop.backup"}))[0] == 201
    assert (await console.ask("POST", "/api/v1/keys", {"check": "shop.nothing"}))[0] == 404
    assert (await console.ask("POST", "/api/v1/incidents/ab cd/resolve", {}))[0] == 404
    assert (await console.ask("GET", "/api/v1/keys"))[0] == 200
    assert (await console.noted(8))[3:] == [
        ("POST /api/v1/keys", "", "refused"),
        ("session.begin", "ada", "done"),
        ("POST /api/v1/keys", "", "done"),
        ("POST /api/v1/keys", "", "refused"),
        ("POST /api/v1/incidents/{id}/resolve", "id=ab cd", "refused"),
    ]
    _, rows = await console.ask("GET", "/api/v1/audit?limit=2")
    assert [(row["by"], row["via"], row["detail"]) for row in rows] == [("ada", f"session {ada.handle}", "404")] * 2
    _, older = await console.ask("GET", f"/api/v1/audit?limit=1000&before={rows[-1]['position']}")
    assert {row["by"] for row in older if row["outcome"] == "refused"} == {"vic"}
    assert vic.handle in str(older)
    assert await console.ask("GET", "/api/v1/audit/verify") == (200, {"whole": True, "problem": ""})


async def test_what_the_desk_writes_itself_is_written_once_and_its_refusals_too(console: Console) -> None:
    await console.ask("POST", "/api/v1/accounts", {"name": "ada", "role": "admin", "password": PASSWORD})
    await console.ask("DELETE", "/api/v1/accounts/ada")
    assert await console.noted(2) == [
        ("account.create", "ada", "done"),
        ("DELETE /api/v1/accounts/{name}", "name=ada", "refused"),
    ]


async def test_what_strangers_are_refused_fills_no_trail(console: Console) -> None:
    console.be(STRANGER)
    for method, path in (("POST", "/api/v1/keys"), ("POST", "/nowhere"), ("DELETE", "/healthz")):
        assert (await console.ask(method, path, {"check": "shop.backup"}))[0] in (401, 404, 405)
    console.be(OWNER)
    assert (await console.ask("POST", "/nowhere"))[0] == 404
    assert (await console.ask("POST", "/api/v1/keys", {"check": "shop.backup"}))[0] == 201
    assert await console.noted(1) == [("POST /api/v1/keys", "", "done")]


async def test_whoever_may_not_is_kept_from_what_is_for_admins(console: Console) -> None:
    await people(console)
    await console.sign_in("vic")
    for path in ("/api/v1/accounts", "/api/v1/audit", "/api/v1/audit/verify"):
        assert (await console.ask("GET", path))[0] == 403
    console.be(STRANGER)
    for path in ("/api/v1/accounts", "/api/v1/audit", "/api/v1/account", "/api/v1/sessions", "/api/v1/tokens"):
        assert (await console.ask("GET", path))[0] == 401


async def test_no_unsafe_route_is_public_and_unwritten(console: Console, inside: Inside) -> None:
    description = api(Faces("1", inside.desk, access=console.desk)).openapi()
    acts = {
        (method, path): Permission(said["x-permission"])
        for path, methods in description["paths"].items()
        for method, said in methods.items()
        if method != "get"
    }
    assert len(acts) > 15
    assert [act for act, needs in acts.items() if needs in EVERYBODY] == []

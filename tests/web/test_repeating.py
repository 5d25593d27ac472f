"""Acts with a key of their sender's: done once, and answered the same as often as they come."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from service_monitoring.access.identity import OWNER, Identity
from service_monitoring.access.permissions import OF_ROLE, Permission, Role
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.answers import StoreAnswers
from service_monitoring.bootstrap.wiring import new_secret
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.errors import Unavailable
from service_monitoring.storage.answers import Found
from service_monitoring.views.answers import Answered
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.arrivals import Receive, Scope, Send
from service_monitoring.web.permitting import IDENTITY, Routes
from service_monitoring.web.repeating import MOST_KEPT
from service_monitoring.web.serve import serve
from tests.web.conftest import Inside

pytestmark = pytest.mark.real_time("a server looks after its connections ten times a second")

SILENCE = {"matchers": ["service=shop"], "by": "ada", "comment": "moving", "lasts": "2h"}
ADA = Identity("ada", Role.ADMIN, OF_ROLE[Role.ADMIN], "session", csrf="c")
VERA = Identity("ada", Role.VIEWER, OF_ROLE[Role.VIEWER], "session", csrf="c")


class House:
    """An application as whoever is named, with some routes of its own."""

    def __init__(self, inside: Inside, access: StoreAccess) -> None:
        self.access = access
        self.done = 0
        self.going_on = asyncio.Event()
        self.go_on = asyncio.Event()
        self.identity = OWNER
        self.app = application(Faces("1", inside.desk, access=access, answers=StoreAnswers(inside.store, inside.clock)))
        self.app.include_router(self._routes().router)

    def _routes(self) -> Routes:
        routes = Routes()

        @routes.post("/api/v1/trial/{how}", needs=Permission.RESPOND)
        async def trial(how: str) -> Any:
            self.done += 1
            if how == "slow":
                self.going_on.set()
                await self.go_on.wait()
            if how == "full" and self.done == 1:
                raise Unavailable("the disk is full")
            if how == "wrong" and self.done == 1:
                raise ZeroDivisionError
            return {"done": self.done, "text": "x" * (MOST_KEPT if how == "long" else 1)}

        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[IDENTITY] = self.identity
        await self.app(scope, receive, send)


class Sender:
    """Sends acts with keys."""

    def __init__(self, house: House, http: aiohttp.ClientSession) -> None:
        self.house = house
        self.http = http

    async def send(
        self, path: str, body: Any = None, *, key: str | None = "k1", method: str = "POST"
    ) -> tuple[int, Any, bool]:
        """The status, what was answered, and whether it says that it is not the first time."""
        headers = {} if key is None else {"Idempotency-Key": key}
        async with self.http.request(method, path, json=body, headers=headers) as response:
            content = await response.read()
            said = json.loads(content) if content else None
            return response.status, said, response.headers.get("Idempotent-Replayed") == "true"


@pytest.fixture
async def sender(inside: Inside) -> AsyncIterator[Sender]:
    house = House(inside, await StoreAccess(inside.store, inside.clock, new_secret).load())
    with TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        path = Path(folder) / "control.sock"
        serving = asyncio.create_task(serve(house, path, lambda: None))
        async with AsyncExitStack() as stack:
            while not path.exists():
                await asyncio.sleep(0.002)
            connector = aiohttp.UnixConnector(path=str(path), force_close=True)
            http = await stack.enter_async_context(aiohttp.ClientSession("http://monitor", connector=connector))
            yield Sender(house, http)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def silences(sender: Sender) -> int:
    async with sender.http.get("/api/v1/silences") as response:
        return len(await response.json())


async def test_an_act_that_comes_again_with_its_key_is_answered_again_and_not_done_again(sender: Sender) -> None:
    status, made, again = await sender.send("/api/v1/silences", SILENCE)
    assert (status, again) == (201, False)
    assert await sender.send("/api/v1/silences", SILENCE) == (201, made, True)
    assert await silences(sender) == 1
    assert (await sender.send("/api/v1/silences", SILENCE, key="k2"))[0] == 201
    assert (await sender.send("/api/v1/silences", SILENCE, key=None))[2] is False
    assert await silences(sender) == 3


async def test_a_refusal_is_answered_again_as_well(sender: Sender) -> None:
    first = await sender.send("/api/v1/incidents/none/resolve", {"by": "ada"})
    assert (first[0], first[2]) == (404, False)
    assert await sender.send("/api/v1/incidents/none/resolve", {"by": "ada"}) == (404, first[1], True)


async def test_the_same_key_with_something_else_is_refused(sender: Sender) -> None:
    await sender.send("/api/v1/silences", SILENCE)
    status, said, _ = await sender.send("/api/v1/silences", {**SILENCE, "comment": "another"})
    assert (status, said["detail"]) == (422, "something else was sent with this Idempotency-Key: take another one")
    assert (await sender.send("/api/v1/silences?x=1", SILENCE))[0] == 422
    assert await silences(sender) == 1


async def test_a_key_is_its_senders_and_good_for_one_path(sender: Sender) -> None:
    await sender.send("/api/v1/trial/a")
    assert await sender.send("/api/v1/trial/b") == (200, {"done": 2, "text": "x"}, False)
    sender.house.identity = ADA
    assert await sender.send("/api/v1/trial/a") == (200, {"done": 3, "text": "x"}, False)


async def test_whoever_may_no_more_is_not_answered_again_either(sender: Sender) -> None:
    sender.house.identity = ADA
    assert (await sender.send("/api/v1/trial/a"))[0] == 200
    sender.house.identity = VERA
    assert (await sender.send("/api/v1/trial/a"))[0] == 403


async def test_while_the_first_goes_on_the_next_is_told_so(sender: Sender) -> None:
    first = asyncio.create_task(sender.send("/api/v1/trial/slow"))
    await sender.house.going_on.wait()
    status, said, _ = await sender.send("/api/v1/trial/slow")
    assert (status, said["title"]) == (409, "conflict")
    sender.house.go_on.set()
    assert (await first)[0] == 200
    assert await sender.send("/api/v1/trial/slow") == (200, {"done": 1, "text": "x"}, True)


async def test_what_could_not_be_done_is_done_when_it_comes_again(sender: Sender) -> None:
    assert (await sender.send("/api/v1/trial/full"))[0] == 503
    assert await sender.send("/api/v1/trial/full") == (200, {"done": 2, "text": "x"}, False)


async def test_after_a_mistake_of_ours_it_may_come_again(sender: Sender) -> None:
    assert (await sender.send("/api/v1/trial/wrong"))[0] == 500
    assert await sender.send("/api/v1/trial/wrong") == (200, {"done": 2, "text": "x"}, False)


async def test_of_a_long_answer_it_is_kept_that_there_was_one(sender: Sender) -> None:
    assert (await sender.send("/api/v1/trial/long"))[0] == 200
    status, said, again = await sender.send("/api/v1/trial/long")
    assert (status, again, sender.house.done) == (409, True, 1)
    assert said["detail"].startswith("this was answered with 200 before")


async def test_what_is_shown_once_and_what_is_a_password_is_kept_nowhere(sender: Sender, tmp_path: Path) -> None:
    account = {"name": "ada", "role": "admin", "password": "correct horse battery"}
    token = {"name": "script", "scopes": ["read"], "account": "ada"}
    assert (await sender.send("/api/v1/accounts", account))[0] == 201
    status, made, _ = await sender.send("/api/v1/tokens", token)
    assert status == 201
    status, key, _ = await sender.send("/api/v1/keys", {"check": "shop.backup"})
    assert status == 201
    for path, body in (("accounts", account), ("tokens", token), ("keys", {"check": "shop.backup"})):
        status, said, again = await sender.send(f"/api/v1/{path}", body)
        assert (status, again, "not kept" in said["detail"]) == (409, True, True)
    kept = b"".join(each.read_bytes() for each in (tmp_path / "data").glob("facts.db*"))
    for secret in (made["secret"], key["key"], account["password"]):
        assert secret.encode() not in kept


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "\u00e4"], ids=["empty", "blank", "two", "long", "umlaut"])
async def test_a_key_that_is_none_is_refused(sender: Sender, key: str) -> None:
    status, said, _ = await sender.send("/api/v1/trial/a", key=key)
    assert (status, sender.house.done) == (400, 0)
    assert said["detail"] == "Idempotency-Key is one text of 1 to 200 visible ASCII characters"


async def test_an_answer_is_kept_for_a_day_and_one_that_never_came_as_well(inside: Inside) -> None:
    began, store = Instant.parse("2026-01-05T12:00:00Z"), inside.store
    later = began.plus(Duration(DAY - 1))
    assert await store.begin_answer("a", "r", began) is None
    assert await store.begin_answer("a", "r", later) == Found("r", None)
    await store.end_answer("a", 200, b"said")
    assert await store.begin_answer("a", "r", later) == Found("r", b"said")
    await store.forget_answer("a")  # what was answered is not forgotten
    assert await store.begin_answer("a", "other", later) == Found("r", b"said")
    assert await store.begin_answer("a", "other", began.plus(Duration(DAY))) is None


async def test_an_answer_is_the_same_after_it_was_kept(inside: Inside) -> None:
    answers = StoreAnswers(inside.store, inside.clock)
    said = Answered(201, (("content-type", "application/json"), ("location", "/x")), b"\x00{}")
    assert await answers.begin("a", "r") is None
    await answers.end("a", said)
    found = await answers.begin("a", "r")
    assert found is not None and found.answer == said

"""Live: changes as server-sent events over a real connection, soon after the fact, within bounds for each listener."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from service_monitoring.access.desk import Client
from service_monitoring.access.identity import STRANGER, Identity
from service_monitoring.access.permissions import Role
from service_monitoring.runtime import feed as feeds
from service_monitoring.settings import WebSettings
from service_monitoring.views.faces import Faces
from service_monitoring.web import serve as serving
from service_monitoring.web.composing import composed
from service_monitoring.web.door import Door
from service_monitoring.web.serve import serve_door
from tests.web.boards import FAILED, OK, House, a_house, a_reader, shops
from tests.web.lodge import PASSWORD, Lodge

pytestmark = pytest.mark.real_time("the server and the feed look at the clock several times a second")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path / "data", shops("shop", "cart")) as house:
        await house.board.look(house.clock.now())
        yield house


class Stream:
    """What one listener hears."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last = ""

    async def event(self) -> tuple[str, str]:
        """The next event: its name and what it says."""
        fields: dict[str, str] = {}
        async for line in self.answer.content:
            text = line.decode().rstrip("\n")
            if not text and fields:
                self.last = fields.get("id", self.last)
                return fields.get("event", "message"), fields["data"]
            if text and not text.startswith(":"):
                name, _, value = text.partition(": ")
                fields[name] = value
        return "end", ""

    async def until(self, topic: str) -> list[str]:
        """Topics up to this one."""
        found: list[str] = []
        while topic not in found:
            name, data = await self.event()
            assert name in {"message", "hello"}, (name, found)
            found += [data] if name == "message" else []
        return found


@asynccontextmanager
async def listening(house: House, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    async with (
        aiohttp.ClientSession(house.url) as client,
        client.get(f"/api/v1/events{query}", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Stream(answer)


async def test_an_incident_is_told_and_shown_within_a_second_of_the_fact(house: House) -> None:
    async with listening(house) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["x-accel-buffering"] == "no"
        assert (await stream.event())[0] == "hello"
        await house.see("shop", FAILED)
        began = house.clock.tick()
        await stream.until("incidents")
        assert house.clock.tick().since(began) < 1_000_000_000
        assert house.board._board.service("shop").condition == "down"


async def test_each_observation_is_told_to_who_looks_at_the_service(house: House) -> None:
    await house.see("shop", OK)
    await house.see("cart", OK)
    await house.board.look(house.clock.now())
    async with listening(house, "?topics=service:shop") as stream:
        await stream.event()
        await house.see("cart", OK)
        await house.see("shop", OK)
        assert await stream.event() == ("message", "service:shop")


async def test_who_comes_back_hears_what_it_missed(house: House) -> None:
    async with listening(house, "?topics=incidents") as stream:
        await stream.event()
        await house.see("shop", FAILED)
        await stream.until("incidents")
    await house.see("shop", OK)
    await house.until(lambda: not house.board.feed._pending)
    async with listening(house, "?topics=incidents", **{"Last-Event-ID": stream.last}) as again:
        assert [await again.event() for _ in range(2)][1] == ("message", "incidents")
    async with listening(house, "?topics=incidents&seen=elsewhere-7") as other:
        assert await other.event() == ("reset", "all")


@pytest.mark.parametrize("query", ["?topics=rumours", f"?topics={'x' * 300}"], ids=["unknown", "long"])
async def test_a_topic_that_there_is_not_is_refused(house: House, query: str) -> None:
    async with aiohttp.ClientSession(house.url) as client, client.get(f"/api/v1/events{query}") as answer:
        assert answer.status == 422


async def test_a_stranger_hears_nothing(house: House) -> None:
    house.identity = STRANGER
    async with aiohttp.ClientSession(house.url) as client, client.get("/api/v1/events") as answer:
        assert answer.status == 401


async def test_beyond_the_most_listeners_nobody_is_let_in_and_those_who_left_make_room(house: House) -> None:
    house.board.feed._most = 1
    async with listening(house), aiohttp.ClientSession(house.url) as client, client.get("/api/v1/events") as answer:
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    await house.until(lambda: house.board.feed.statistics().listeners == 0)
    async with listening(house) as stream:
        assert (await stream.event())[0] == "hello"


@pytest.mark.parametrize("ends", [None, Identity("alice", None, frozenset(), "session")], ids=["session", "role"])
async def test_a_stream_ends_when_its_session_does_or_its_role_reads_no_more(
    house: House, ends: Identity | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "EVERY", 10_000_000)
    now: list[Identity | None] = [a_reader()]
    asked = 0

    async def again() -> Identity | None:
        nonlocal asked
        asked += 1
        return now[0]

    house.again = again
    async with listening(house) as stream:
        while asked < 2:
            assert (await stream.event())[0] in {"hello", "beat", "message"}
        now[0] = ends
        while (await stream.event())[0] != "end":
            pass
    await house.until(lambda: house.board.feed.statistics().listeners == 0)


async def test_who_stops_reading_holds_a_bounded_buffer_and_is_let_go_while_others_hear_everything(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_UNREAD", 2)
    names = [f"service:{number:03}{'x' * 190}" for number in range(60)]
    query = "&".join(f"topics={name}" for name in names)
    host, _, port = house.url.removeprefix("http://").partition(":")
    with socket.socket() as slow:
        # Little fits between us: what is not read is soon the server's to keep.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, (host, int(port)))
        request = f"GET /api/v1/events?{query} HTTP/1.1\r\nHost: here\r\n\r\n".encode()
        await asyncio.get_running_loop().sock_sendall(slow, request)
        await house.until(lambda: house.board.feed.statistics().listeners == 1)
        [listener] = house.board.feed._listeners
        async with listening(house, "?topics=incidents") as other:
            await other.event()
            most = 0
            while house.board.feed.statistics().listeners == 2:
                house.board.feed.publish([*names, "incidents"])
                await house.board.feed._round()
                most = max(most, listener.waiting)
                await asyncio.sleep(0.001)
            # With what the transport holds (64 KiB and one piece) that is less than 256 KiB a listener.
            assert 0 < most <= feeds.MOST_WAITING
            await other.until("incidents")
    assert house.board.feed.statistics().listeners == 1


async def test_when_the_program_stops_streams_end_at_once(house: House) -> None:
    async with listening(house) as stream:
        await stream.event()
        await house.board.feed.stop()
        while (await stream.event())[0] != "end":
            pass


async def test_whoever_the_doorman_let_in_is_asked_for_again_while_listening(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "EVERY", 10_000_000)
    lodge = Lodge()
    lodge.account("alice", Role.VIEWER)
    opened = await lodge.sign_in("alice", PASSWORD, Client("127.0.0.1"))
    faces = Faces("1", house.desk, board=house.board, live=house.board.feed, access=lodge)
    door = Door("127.0.0.1", 0).open()
    app = composed(faces, WebSettings("127.0.0.1", 0), csrf="none")
    house.url = f"http://{door.address}"
    served = asyncio.create_task(serve_door(app, door, lambda: None))
    try:
        async with aiohttp.ClientSession(house.url) as client, client.get("/api/v1/events") as answer:
            assert answer.status == 401
        cookie = f"session={opened.secret}"
        async with listening(house, Cookie=cookie) as stream:
            assert (await stream.event())[0] == "hello"
            await lodge.sign_out(opened.secret)
            while (await stream.event())[0] != "end":
                pass
    finally:
        served.cancel()
        with suppress(asyncio.CancelledError):
            await served

"""What arrives by itself, at the edge: every answer that a job or a program may get, over TCP and over the socket."""

import asyncio
import json
import math
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_monitoring.domain.inputs import Pinged, Pushed, PushedSample, Signal, Taken
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, Instant
from service_monitoring.errors import Unavailable
from service_monitoring.runtime.limits import Limit, Limits
from service_monitoring.views.intake import Report, Sender
from service_monitoring.web import serve as serving_module
from service_monitoring.web.arrivals import Arrivals
from service_monitoring.web.door import Door
from service_monitoring.web.serve import serve_door
from tests.web.conftest import Inside, lived_in, the_door
from tests.web.served import for_the_owner

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

Visitor = aiohttp.ClientSession


async def ping(visitor: Visitor, path: str, method: str = "POST", **given: Any) -> tuple[int, str]:
    async with visitor.request(method, path, **given) as response:
        return response.status, await response.text()


async def push(visitor: Visitor, key: str, *samples: Any) -> tuple[int, list[dict[str, str]]]:
    async with visitor.post(
        "/api/v1/samples", data=json.dumps({"samples": samples}), headers={"Authorization": f"Bearer {key}"}
    ) as response:
        said = await response.json(content_type=None)
        return response.status, said.get("results", said)


async def a_key(inside: Inside, check: str = "backup") -> str:
    return (await inside.desk.create_key(f"shop.{check}")).key


# Reports --------------------------------------------------------------------------------------------------------------


async def test_each_word_of_a_job_becomes_its_report(inside: Inside, visitor: Visitor) -> None:
    key = await a_key(inside)
    for word in ("", "/start", "/fail", "/log", "/0", "/7", "/255"):
        assert await ping(visitor, f"/ping/{key}{word}") == (200, "ok\n")
    assert await inside.reports() == [
        Pinged("shop", "backup", Signal.SUCCESS),
        Pinged("shop", "backup", Signal.START),
        Pinged("shop", "backup", Signal.FAIL),
        Pinged("shop", "backup", Signal.LOG),
        Pinged("shop", "backup", Signal.SUCCESS, exit_code=0),
        Pinged("shop", "backup", Signal.FAIL, exit_code=7),
        Pinged("shop", "backup", Signal.FAIL, exit_code=255),
    ]


async def test_a_report_may_be_a_get_a_head_or_a_post(inside: Inside, visitor: Visitor) -> None:
    key = await a_key(inside)
    assert await ping(visitor, f"/ping/{key}", "GET") == (200, "ok\n")
    assert await ping(visitor, f"/ping/{key}", "HEAD") == (200, "")
    assert (await ping(visitor, f"/ping/{key}", "DELETE"))[0] == 405
    assert len(await inside.reports()) == 2


async def test_runs_are_told_apart_by_their_id(inside: Inside, visitor: Visitor) -> None:
    key = await a_key(inside)
    run = "3c5f2a5e-7b2a-4a39-9a37-d1a5a6b4b8b1"
    assert (await ping(visitor, f"/ping/{key}/start?rid={run}"))[0] == 200
    assert (await ping(visitor, f"/ping/{key}/3?rid={run}"))[0] == 200
    assert [report.run for report in await inside.reports()] == [run, run]
    for bad in ("rid=", "rid=a_b", "rid=" + "a" * 65, "rid=a&rid=b", "rid=%00"):
        status, said = await ping(visitor, f"/ping/{key}?{bad}")
        assert status == 400 and "rid" in said
    assert len(await inside.reports()) == 2


async def test_what_a_job_sends_along_is_shown_by_the_owner_and_cut_where_it_is_long(
    inside: Inside, visitor: Visitor
) -> None:
    key = await a_key(inside)
    assert await ping(visitor, f"/ping/{key}/fail", data=b"disk full\n\xff") == (200, "ok\n")
    status, said = await ping(visitor, f"/ping/{key}", data=b"a" * 10_241)
    assert status == 200 and "only the first 10240 bytes" in said
    assert await ping(visitor, f"/ping/{key}", data=b"b" * 10_240) == (200, "ok\n")
    rows = await inside.desk.pings("shop.backup", limit=10)
    assert [(row.signal, len(row.body), row.cut) for row in rows] == [
        ("success", 10_240, False),
        ("success", 10_240, True),
        ("fail", 14, False),
    ]
    assert rows[2].body == "disk full\n\\xff"


async def test_a_body_that_is_far_too_long_is_not_waited_for(inside: Inside, visitor: Visitor) -> None:
    key = await a_key(inside)
    gone_on = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal gone_on
        for _ in range(50):
            yield b"x" * 65_536
            gone_on += 1

    status, _ = await ping(visitor, f"/ping/{key}", data=endless())
    assert status == 200
    assert [row.cut for row in await inside.desk.pings("shop.backup", limit=10)] == [True]


@pytest.mark.parametrize(
    "path",
    [
        "/ping/0123456789abcdef0123456789abcdef",
        "/ping/0123456789abcdef0123456789abcdef/start",
        "/ping/",
        "/ping/$key/",
        "/ping/$key/stop",
        "/ping/$key/256",
        "/ping/$key/-1",
        "/ping/$key/%31%32%33%34",
        "/ping/$key/start/again",
        "/ping/$pushkey",
        "/nothing/of/the/kind",
    ],
)
async def test_whatever_opens_nothing_is_answered_alike(inside: Inside, visitor: Visitor, path: str) -> None:
    path = path.replace("$key", await a_key(inside)).replace("$pushkey", await a_key(inside, "orders"))
    async with visitor.get(path) as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
        assert await response.json(content_type=None) == {
            "type": "about:blank",
            "title": "not found",
            "status": 404,
            "detail": "there is nothing here",
        }
    assert await inside.reports() == []


async def test_a_log_of_reports_sent_three_times_leaves_what_one_sending_leaves(tmp_path: Path) -> None:
    log = [f"{word}?rid=run-{run}" for run in range(4) for word in ("/start", "/log", "/1" if run == 2 else "")]
    states = []
    for times in (1, 3):
        async with lived_in(tmp_path / str(times)) as inside, the_door(inside) as url, Visitor(url) as visitor:
            key = await a_key(inside)
            for _ in range(times):
                for place, each in enumerate(log):
                    path, _, query = each.partition("?")
                    assert (await ping(visitor, f"/ping/{key}{path}?{query}", data=str(place).encode()))[0] == 200
            rows = await inside.desk.pings("shop.backup", limit=100)
            stored = await inside.store.load()
            states.append(([(row.signal, row.run, row.body) for row in rows], stored.holds, stored.incidents))
    assert states[0] == states[1]
    assert len(states[0][0]) == len(log)


async def test_a_key_that_was_rotated_or_revoked_opens_nothing(inside: Inside, visitor: Visitor) -> None:
    first = await a_key(inside)
    second = (await inside.desk.rotate_key("shop.backup", Duration(0))).key
    assert [(await ping(visitor, f"/ping/{key}"))[0] for key in (first, second)] == [404, 200]
    third = (await inside.desk.rotate_key("shop.backup", Duration(3600 * SECOND))).key
    assert [(await ping(visitor, f"/ping/{key}"))[0] for key in (second, third)] == [200, 200]
    assert await inside.desk.revoke_key("shop.backup") == 2
    assert [(await ping(visitor, f"/ping/{key}"))[0] for key in (second, third)] == [404, 404]


async def test_no_key_is_in_the_store_nor_in_any_error(
    inside: Inside, visitor: Visitor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    ours, pushing = await a_key(inside), await a_key(inside, "orders")
    said = [(await ping(visitor, f"/ping/{ours}{word}", method))[1] for word in ("", "/x") for method in ("GET", "PUT")]
    said.append(str(await push(visitor, pushing, {"metric": "1", "value": 1})))
    assert await ping(visitor, f"/ping/{ours}")
    texts = [*said, caplog.text, *(path.read_bytes().decode("latin-1") for path in (tmp_path / "data").iterdir())]
    assert not [text for text in texts if ours in text or pushing in text]


# Samples --------------------------------------------------------------------------------------------------------------


async def test_samples_are_kept_when_they_are_answered(inside: Inside, visitor: Visitor) -> None:
    key = await a_key(inside, "orders")
    now = inside.clock.now()
    status, results = await push(
        visitor,
        key,
        {"at": str(now), "metric": "orders_per_minute", "value": 3, "labels": {"shop": "b", "area": "ä"}},
        {"at": now.ns - SECOND, "metric": "orders_per_minute", "value": 2.5},
        {"metric": "visits", "value": -0.0},
    )
    assert (status, results) == (200, [{"status": "judged", "detail": ""}] * 3)
    until = inside.cycle.course.progress.judged
    (admitted,) = await inside.store.pushed("shop", "orders", until=until, since=Instant(0), least=9)
    assert isinstance(admitted.input, Pushed)
    first, second, third = admitted.input.samples
    assert first == PushedSample(now, "orders_per_minute", 3.0, (("area", "ä"), ("shop", "b")))
    assert second == PushedSample(now.plus(Duration(-SECOND)), "orders_per_minute", 2.5)
    assert 0 <= third.at.since(now) < 10 * SECOND


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"metric": "orders", "value": math.nan}, "orders is NaN, which is not a finite number"),
        ({"metric": "orders", "value": math.inf}, "orders is infinite, which is not a finite number"),
        ({"metric": "orders", "value": 10**400}, "orders is infinite, which is not a finite number"),
        ({"metric": "orders", "value": "3"}, "orders has no number as its value"),
        ({"metric": "orders", "value": True}, "orders has no number as its value"),
        ({"metric": "orders"}, "orders has no number as its value"),
        ({"metric": "2orders", "value": 1}, '"2orders" is not the name of a metric'),
        ({"metric": "a" * 201, "value": 1}, "is not the name of a metric"),
        ({"value": 1}, "is not the name of a metric"),
        ({"metric": "orders", "value": 1, "labels": {"service": "x"}}, "the label service is ours"),
        ({"metric": "orders", "value": 1, "labels": {"a-b": "x"}}, '"a-b" is not the name of a label'),
        ({"metric": "orders", "value": 1, "labels": {"a": 1}}, "the label a is not a text"),
        ({"metric": "orders", "value": 1, "labels": {"a": "\ud800"}}, "the label a is not a text"),
        ({"metric": "orders", "value": 1, "labels": []}, "labels are an object"),
        ({"metric": "orders", "value": 1, "at": "yesterday"}, "is not an instant"),
        ({"metric": "orders", "value": 1, "at": 1.5}, "at is neither RFC 3339"),
        ({"metric": "orders", "value": 1, "at": 2**70}, "at is too far away"),
        ({"metric": "orders", "value": 1, "vlaue": 1}, 'nothing of the name "vlaue" is known here'),
        ([1], "a sample is an object"),
    ],
)
async def test_a_bad_sample_is_refused_by_name_and_spoils_no_other(
    inside: Inside, visitor: Visitor, sample: Any, said: str
) -> None:
    key = await a_key(inside, "orders")
    status, results = await push(visitor, key, sample, {"metric": "good", "value": 1})
    assert status == 200
    assert results[0]["status"] == "refused" and said in results[0]["detail"]
    assert results[1]["status"] == "judged"
    assert (await push(visitor, key, sample))[0] == 422


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b"[]", "holds no samples"),
        (b'{"samples": []}', "holds no samples"),
        (b'{"samples": {}}', "holds no samples"),
        (json.dumps({"samples": [{}] * 1_001}).encode(), "1001 samples are too many"),
    ],
)
async def test_a_body_without_samples_is_not_understood(
    inside: Inside, visitor: Visitor, body: bytes, said: str
) -> None:
    headers = {"Authorization": f"Bearer {await a_key(inside, 'orders')}"}
    status, text = await ping(visitor, "/api/v1/samples", data=body, headers=headers)
    assert status == 400 and said in text


async def test_samples_need_a_key_of_their_own(inside: Inside, visitor: Visitor) -> None:
    body = json.dumps({"samples": [{"metric": "a", "value": 1}]})
    assert (await ping(visitor, "/api/v1/samples", data=body))[0] == 401
    for text in ("Basic abc", "Bearer", "Bearer "):
        assert (await ping(visitor, "/api/v1/samples", data=body, headers={"Authorization": text}))[0] == 401
    assert (await push(visitor, "0123"))[0] == 404
    assert (await push(visitor, await a_key(inside)))[0] == 404
    assert (await ping(visitor, "/api/v1/samples", "GET"))[0] == 405


async def test_a_push_that_is_too_large_is_told_so(inside: Inside, visitor: Visitor) -> None:
    headers = {"Authorization": f"Bearer {await a_key(inside, 'orders')}"}
    status, text = await ping(visitor, "/api/v1/samples", data=b"x" * (256 * 1024 + 1), headers=headers)
    assert status == 413 and "262144 bytes" in text


class Scripted:
    """An intake that answers as it is told."""

    def __init__(self, taken: tuple[Taken, ...] = (), error: Exception | None = None) -> None:
        self.taken = taken
        self.error = error

    def now(self) -> Instant:
        return Instant(0)

    async def pinging(self, key: str) -> Sender:
        return Sender("shop", "backup", key)

    async def pushing(self, key: str) -> Sender:
        return Sender("shop", "orders", key, Duration(10 * SECOND))

    async def report(self, sender: Sender, report: Report) -> None:
        if self.error is not None:
            raise self.error

    async def push(self, sender: Sender, samples: Any) -> tuple[Taken, ...]:
        if self.error is not None:
            raise self.error
        return self.taken[: len(samples)]


async def scripted(stack: AsyncExitStack, intake: Scripted, inside: Inside) -> Visitor:
    inside.intake = intake  # type: ignore[assignment]  # any intake will do
    return await stack.enter_async_context(Visitor(await stack.enter_async_context(the_door(inside))))


async def test_what_became_of_each_sample_is_said_in_words(inside: Inside) -> None:
    taken = (Taken.JUDGED, Taken.LATE, Taken.DUPLICATE, Taken.CONFLICT, Taken.FUTURE, Taken.UNKNOWN)
    async with AsyncExitStack() as stack:
        visitor = await scripted(stack, Scripted(taken), inside)
        status, results = await push(visitor, "k", *[{"metric": "a", "value": 1}] * 6)
        assert status == 200
        assert [each["status"] for each in results] == [
            "judged",
            "late",
            "duplicate",
            "conflict",
            "future",
            "refused",
        ]
        assert "10 s" in results[1]["detail"] and "10 s" in results[4]["detail"]


@pytest.mark.parametrize(
    ("taken", "status"),
    [
        (Taken.LATE, 200),
        (Taken.DUPLICATE, 200),
        (Taken.CONFLICT, 200),
        (Taken.FUTURE, 422),
        (Taken.UNKNOWN, 422),
    ],
)
async def test_a_push_of_which_nothing_was_taken_is_no_success(inside: Inside, taken: Taken, status: int) -> None:
    async with AsyncExitStack() as stack:
        visitor = await scripted(stack, Scripted((taken,)), inside)
        assert (await push(visitor, "k", {"metric": "a", "value": 1}))[0] == status


async def test_what_cannot_be_kept_now_may_be_sent_again(inside: Inside) -> None:
    async with AsyncExitStack() as stack:
        visitor = await scripted(stack, Scripted(error=Unavailable("the disk is full")), inside)
        async with visitor.post("/ping/k") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        async with visitor.post(
            "/api/v1/samples",
            json={"samples": [{"metric": "a", "value": 1}]},
            headers={"Authorization": "Bearer k"},
        ) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_a_defect_of_ours_shows_nothing_of_what_it_met(inside: Inside) -> None:
    async with AsyncExitStack() as stack:
        visitor = await scripted(stack, Scripted(error=KeyError("s3cret")), inside)
        status, said = await ping(visitor, "/ping/k")
        assert status == 500 and "s3cret" not in said


async def test_a_report_is_not_acknowledged_while_another_holds_the_lock_of_the_store(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_monitoring.bootstrap.intake.PATIENCE", Duration(300 * MILLISECOND))
    key = await a_key(inside)
    async with the_door(inside) as url, Visitor(url) as visitor:
        other = sqlite3.connect(inside.store._folder / "facts.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        async with visitor.post(f"/ping/{key}?rid=a", data=b"one") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        other.execute("ROLLBACK")
        other.close()
        monkeypatch.setattr("service_monitoring.bootstrap.intake.PATIENCE", Duration(20 * SECOND))
        assert (await ping(visitor, f"/ping/{key}?rid=a", data=b"one"))[0] == 200
    assert [(row.run, row.body) for row in await inside.desk.pings("shop.backup", limit=9)] == [("a", "one")]


# Limits ---------------------------------------------------------------------------------------------------------------


async def test_who_comes_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    limits = Limits(sender=Limit(Duration(30 * SECOND), burst=2))
    async with lived_in(tmp_path / "data", limits) as inside, the_door(inside) as url, Visitor(url) as visitor:
        mine, other = await a_key(inside), await a_key(inside, "tidy")
        assert [(await ping(visitor, f"/ping/{mine}"))[0] for _ in range(2)] == [200, 200]
        async with visitor.get(f"/ping/{mine}") as response:
            assert response.status == 429
            assert 1 <= int(response.headers["Retry-After"]) <= 30
        assert (await ping(visitor, f"/ping/{other}"))[0] == 200
        pushing = await a_key(inside, "orders")
        statuses = [(await push(visitor, pushing, {"metric": "a", "value": 1}))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_who_guesses_keys_is_slowed_down_and_others_are_not(tmp_path: Path) -> None:
    limits = Limits(strangers=Limit(SECOND, burst=5))
    async with lived_in(tmp_path / "data", limits) as inside, the_door(inside) as url, Visitor(url) as visitor:
        key = await a_key(inside)
        guesses = await asyncio.gather(*(ping(visitor, f"/ping/{number:032x}") for number in range(20)))
        assert sorted(status for status, _ in guesses) == [404] * 5 + [429] * 15
        assert (await ping(visitor, f"/ping/{key}"))[0] == 200


# The door -------------------------------------------------------------------------------------------------------------


async def test_the_tcp_door_shows_strangers_nothing_of_the_owners(inside: Inside) -> None:
    async with the_door(inside) as url, Visitor(url) as visitor:
        assert await ping(visitor, "/healthz", "GET") == (200, "ok\n")
        assert await ping(visitor, "/readyz", "GET") == (200, "ready\n")
        inside.vitals["trouble"] = ("the disk /srv/secret is full",)
        status, said = await ping(visitor, "/readyz", "GET")
        assert status == 503 and "secret" not in said
        for path in ("/api/v1/status", "/api/v1/incidents", "/api/v1/keys"):
            assert (await ping(visitor, path, "GET"))[0] == 401
        assert (await ping(visitor, "/api/v1/backup", "POST", json={"file": "/tmp/x"}))[0] == 401


def a_taken_port() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def test_an_address_that_is_taken_is_told_with_place_cause_and_remedy() -> None:
    with a_taken_port() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable) as told:
            Door("127.0.0.1", port, named="monitoring.yaml:3:7 web.listen").open()
    assert str(told.value) == (
        f"monitoring.yaml:3:7 web.listen: 127.0.0.1:{port} cannot be listened on (another program listens there); "
        "end that one, choose another port, or write listen: none"
    )


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def test_headers_that_are_too_large_are_refused(inside: Inside) -> None:
    async with the_door(inside) as url:
        reader, writer = await connected(url)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Large: " + b"x" * 20_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /healthz HTTP/1.1\r\n", b"POST /ping/$key HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"],
)
async def test_who_never_says_what_he_wants_is_not_waited_for(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(serving_module, "_SLOWEST", 3)
    key = await a_key(inside)
    async with the_door(inside) as url:
        reader, writer = await connected(url)
        writer.write(begun.replace(b"$key", key.encode()))
        since = time.monotonic()
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert time.monotonic() - since < 5
        writer.close()
    assert await inside.reports() == []


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        await writer.drain()
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except ConnectionResetError:
        return False
    finally:
        writer.close()


async def test_one_address_has_so_many_connections_and_no_more(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "MOST_OF_ONE", 3)
    async with the_door(inside) as url:
        held = [await connected(url) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        reader, writer = await connected(url)
        assert not await answered(reader, writer)
        held[0][1].close()
        while not await answered(*await connected(url)):
            await asyncio.sleep(0.01)
        for _, each in held[1:]:
            each.close()


async def test_the_door_opens_again_after_it_failed(inside: Inside) -> None:
    door = Door("127.0.0.1", 0).open()
    app = Arrivals(inside.intake, for_the_owner(inside.desk))
    address = door.address
    for _ in range(2):
        serving = asyncio.create_task(serve_door(app, door, lambda: None))
        async with Visitor(f"http://{address}") as visitor:
            while True:
                try:
                    assert (await ping(visitor, "/healthz", "GET"))[0] == 200
                    break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.01)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert door.address == ""

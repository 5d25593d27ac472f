"""Rehearsals in the browser: over a socket, on a real data folder, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import aiohttp
import psutil
import pytest

from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import OF_ROLE, Role
from service_monitoring.application import Monitor
from service_monitoring.bootstrap.loading import rehearsable
from service_monitoring.bootstrap.rehearsal_jobs import FOLDER, RehearsalJobs
from service_monitoring.bootstrap.wiring import new_key
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.desk import Desk
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.permitting import IDENTITY
from service_monitoring.web.serve import serve
from tests.cli.test_rehearse import FILE, happened
from tests.data_folders import with_tables

PROGRAM = Path(sys.executable).with_name("service-monitoring")
RESPONDER = Identity("ada", Role.RESPONDER, OF_ROLE[Role.RESPONDER], "session", csrf="c")
VIEWER = Identity("bob", Role.VIEWER, OF_ROLE[Role.VIEWER], "session", csrf="c")
SLOWER = {"key": "shop.slow.above", "value": "1.2"}
AT_ONCE = {"key": "shop.slow.for", "value": "0s"}

NOBODY = cast("Desk", None)
"""No other area is asked here."""

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.real_time("processes of their own take their time to start"),
]


class As:
    """Lets everybody in as one person."""

    def __init__(self, inside: Asgi) -> None:
        self.inside = inside
        self.who = RESPONDER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[IDENTITY] = self.who
        await self.inside(scope, receive, send)


class House:
    """A data folder, the jobs over it, and a client of the console."""

    def __init__(self, folder: Path, jobs: RehearsalJobs, door: As, client: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.jobs = jobs
        self.door = door
        self.client = client

    @property
    def files(self) -> list[Path]:
        """What jobs have on the disk."""
        return sorted((self.folder / "data" / FOLDER).glob("*"))

    async def start(self, *changes: dict[str, str], **more: Any) -> str:
        async with self.client.post("/api/v1/rehearsals", json={"changes": changes, **more}) as answer:
            said = await answer.json()
            assert answer.status == 202, said
            assert answer.headers["location"] == f"/api/v1/rehearsals/{said['id']}"
            return str(said["id"])

    async def get(self, path: str) -> Any:
        async with self.client.get(f"/api/v1/rehearsals{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def job(self, id: str) -> dict[str, Any]:
        job: dict[str, Any] = (await self.get(f"/{id}"))["job"]
        return job

    async def ended(self, id: str) -> dict[str, Any]:
        while (job := await self.job(id))["state"] in {"queued", "running"}:
            await asyncio.sleep(0.02)
        return job

    async def held(self, id: str) -> psutil.Process:
        """The process of a job, stopped where it is: it goes on for as long as a test needs."""
        while True:
            with suppress(psutil.Error):
                for each in psutil.Process().children():
                    if any(id in word for word in each.cmdline()):
                        each.send_signal(signal.SIGSTOP)
                        return each
            await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    settings = rehearsable(folder / "monitoring.yaml")
    jobs = RehearsalJobs(lambda: settings, SystemClock(), new_key, environment=os.environ)
    door = As(application(Faces("1", NOBODY, rehearsals=jobs)))
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as short:
        socket = Path(short) / "console.sock"
        running = asyncio.create_task(jobs.run(lambda: None))
        serving = asyncio.create_task(serve(door, socket, lambda: None))
        while not socket.exists():
            await asyncio.sleep(0.005)
        connector = aiohttp.UnixConnector(path=str(socket))
        async with aiohttp.ClientSession("http://console", connector=connector) as client:
            yield House(folder, jobs, door, client)
        await jobs.stop()
        await running
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.fixture(scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which an hour was lived."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "monitoring.yaml").write_text(FILE)
    async with await SqliteStore.open(with_tables(folder / "data"), SystemClock()) as store:
        monitor = await Monitor.resume(store)
        await monitor.keep(monitor.judge(list(happened(folder))))
    return folder


@pytest.fixture
async def house(recorded: Path) -> AsyncIterator[House]:
    async with opened(recorded) as house:
        yield house


async def said_by_the_command(folder: Path, *arguments: str) -> bytes:
    def run() -> bytes:
        return subprocess.run([PROGRAM, "rehearse", *arguments], cwd=folder, capture_output=True, check=True).stdout

    return await asyncio.to_thread(run)


async def test_the_pages_that_appear_and_vanish_are_those_that_the_command_line_says(
    house: House, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(FILE.replace("above: 0.8", "above: 0.85").replace("for: 20s", "for: 0s"))
    id = await house.start({"key": "shop.slow.above", "value": "0.85"}, AT_ONCE)
    job = await house.ended(id)
    assert job["state"] == "done" and job["share"] == 1.0 and job["samples"] > 300, job
    report = await house.get(f"/{id}/report")
    ledger = tmp_path / "as-it-is.jsonl"
    arguments = ("monitoring.yaml", "--against", str(changed), "--json", "--ledger", str(ledger), "--jobs", "1")
    difference = json.loads(await said_by_the_command(house.folder, *arguments))["difference"]
    rows = [(each["what"], each["at"], each["rule"], each["page"]) for each in report["pages"]]
    for what, name in (("appears", "gained"), ("vanishes", "lost")):
        wanted = [(what, plain(each["at"]), each["rule"], each["page"]) for each in difference[name]]
        assert [row for row in rows if row[0] == what] == wanted
    assert report["appear"] == len(difference["gained"]) > 0
    assert (report["vanish"], report["stay"]) == (len(difference["lost"]), difference["same"])
    assert report["before"]["pages"] == difference["before"]["pages"]
    assert report["after"]["pages"] == difference["after"]["pages"]
    assert report["headline"] == job["sentence"] and " in 60 minutes; " in job["sentence"]
    async with house.client.get(f"/api/v1/rehearsals/{id}/ledger.jsonl?side=before") as answer:
        assert await answer.read() == ledger.read_bytes()
    async with house.client.get(f"/api/v1/rehearsals/{id}/ledger.jsonl") as answer:
        assert len((await answer.read()).splitlines()) > len(ledger.read_bytes().splitlines())


async def test_pages_vanish_where_nothing_is_slow_enough_and_the_file_says_how_to_have_it_so(house: House) -> None:
    id = await house.start({"key": "shop.slow.above", "value": "30"})
    assert (await house.ended(id))["sentence"].startswith("2 pages fewer in 60 minutes; 2 gone; nobody else")
    report = await house.get(f"/{id}/report")
    assert {row["what"] for row in report["pages"]} == {"vanishes"} and report["people"][0]["vanish"] == 2
    detail = await house.get(f"/{id}")
    assert detail["written"][0]["path"] == "services.shop.rules.slow.when.above"
    assert (detail["written"][0]["before"], detail["written"][0]["after"]) == ("0.8", "30")
    assert detail["written"][0]["place"].endswith("monitoring.yaml:9:55")
    assert detail["yaml"] == "services:\n  shop:\n    rules:\n      slow:\n        when:\n          above: 30\n"


async def test_a_draft_that_tells_people_is_a_change_like_any_other(house: House) -> None:
    id = await house.start(drafts=True)
    assert (await house.ended(id))["state"] == "done"
    report = await house.get(f"/{id}/report")
    assert {row["rule"] for row in report["pages"] if row["what"] == "appears"} == {"shop.slower"}
    assert "state: active" in (await house.get(f"/{id}"))["yaml"]


async def test_without_a_change_it_says_what_would_have_come(house: House) -> None:
    id = await house.start(acknowledged_after="10m", **{"from": "-30m"})
    assert (await house.ended(id))["state"] == "done"
    report = await house.get(f"/{id}/report")
    assert report["before"] is None and {row["what"] for row in report["pages"]} <= {"comes"}
    assert any("it is assumed that somebody acknowledges" in limit for limit in report["limits"])


async def test_a_cancelled_one_ends_within_a_second_and_leaves_no_process_and_no_file(house: House) -> None:
    id = await house.start(SLOWER)
    process = await house.held(id)
    assert (await house.job(id))["state"] == "running" and [each.name for each in house.files] == [id]
    clock = SystemClock()
    began = clock.tick()
    async with house.client.post(f"/api/v1/rehearsals/{id}/cancel") as answer:
        assert (await answer.json())["state"] == "cancelled"
    assert clock.tick().since(began) < 1_000_000_000
    assert not process.is_running() and house.files == []
    async with house.client.get(f"/api/v1/rehearsals/{id}/report") as answer:
        assert answer.status == 404 and "is cancelled: nothing has come of it" in await answer.text()


async def test_one_runs_and_eight_wait_and_the_next_is_refused_in_a_sentence(house: House) -> None:
    first = await house.start(SLOWER)
    await house.held(first)
    waiting = [await house.start(SLOWER) for _ in range(8)]
    async with house.client.post("/api/v1/rehearsals", json={}) as answer:
        assert answer.status == 409
        assert (await answer.json())["detail"].startswith("8 wait already: cancel one of them")
    assert [row["id"] for row in await house.get("")] == [*reversed(waiting), first]
    assert [row["place"] for row in await house.get("?limit=2")] == [7, 6]
    assert [row["id"] for row in await house.get(f"?limit=1&before={waiting[1]}")] == [waiting[0]]
    async with house.client.post(f"/api/v1/rehearsals/{waiting[0]}/cancel") as answer:
        assert (await answer.json())["state"] == "cancelled"
    assert (await house.job(waiting[1]))["place"] == 0


async def test_the_end_of_the_program_ends_what_runs_and_what_waits_and_leaves_nothing(recorded: Path) -> None:
    async with opened(recorded) as house:
        running, waiting = await house.start(SLOWER), await house.start(SLOWER)
        process = await house.held(running)
        await house.jobs.stop()
        assert [(await house.job(id))["state"] for id in (running, waiting)] == ["interrupted"] * 2
        assert not process.is_running() and not (recorded / "data" / FOLDER).exists()
        async with house.client.post("/api/v1/rehearsals", json={}) as answer:
            assert answer.status == 503


async def test_a_process_that_is_killed_is_a_failure_with_a_sentence(house: House) -> None:
    id = await house.start(SLOWER)
    process = await house.held(id)
    process.kill()
    job = await house.ended(id)
    assert job["state"] == "failed" and house.files == []
    assert job["sentence"].startswith("its process was ended by SIGKILL, perhaps for want of memory")
    assert (await house.ended(await house.start(SLOWER)))["state"] == "done"


async def test_its_process_is_nicer_than_the_program_and_knows_nothing_of_its_environment(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_SOMEBODY", "s3cret")
    id = await house.start(SLOWER)
    process = await house.held(id)
    assert "SECRET_OF_SOMEBODY" not in process.environ()
    process.send_signal(signal.SIGCONT)
    while process.is_running() and process.nice() != psutil.Process().nice() + 10:
        await asyncio.sleep(0)
    assert (await house.ended(id))["state"] == "done"


async def test_a_process_ends_when_the_program_is_gone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "request.json")  # it waits there for a request that never comes
    command = [sys.executable, "-m", "service_monitoring.bootstrap.rehearsal_process", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.to_thread(process.wait, 30) == 1


async def test_what_a_program_before_left_is_removed_at_a_start(recorded: Path) -> None:
    left = recorded / "data" / FOLDER / "0123" / "page.html"
    left.parent.mkdir(parents=True)
    left.touch()
    async with opened(recorded) as house:
        assert house.files == [] and await house.get("") == []


@pytest.mark.parametrize(
    ("wanted", "faults"),
    [
        (
            {"changes": [{"key": "shop.slow.above", "value": "quick"}]},
            {"shop.slow.above": '"quick" is not a number, duration or size; write a number'},
        ),
        (
            {"changes": [{"key": "shop.slow.nope", "value": "1"}, {"key": "shop.slow.for", "value": "1m"}]},
            {"shop.slow.nope": "shop.slow has above: 0.8, for: 20s and no nope"},
        ),
        ({"changes": [{"key": "shop.slow.for", "value": "1m,2m"}]}, {"shop.slow.for": "these are several values"}),
        ({"changes": [SLOWER, SLOWER]}, {"shop.slow.above": "shop.slow.above is changed twice"}),
        ({"changes": [{"key": "shop", "value": "1"}]}, {"shop": "this names no key of a rule or route"}),
        ({"from": "yesterday"}, {"began": "yesterday is not a date or a local time"}),
        ({"from": "2026-01-06"}, {"began": "to 2026-01-05T01:00:01Z is not after from 2026-01-06"}),
        ({"from": "2025-01-01", "to": "2025-02-01"}, {"began": "the history reaches from 2026-01-05T00:00:00Z"}),
        ({"acknowledged_after": "soon"}, {"acknowledged_after": '"soon" is not a duration'}),
        ({"acknowledged_after": "0"}, {"acknowledged_after": "nobody acknowledges in no time"}),
    ],
    ids=["value", "name", "several", "twice", "key", "date", "order", "elsewhere", "length", "nothing"],
)
async def test_whatever_is_wrong_is_one_sentence_at_its_field(
    house: House, wanted: dict[str, Any], faults: dict[str, str]
) -> None:
    async with house.client.post("/api/v1/rehearsals", json=wanted) as answer:
        said = await answer.json()
        assert answer.status == 422, said
    found = {each["field"]: each["sentence"] for each in said["faults"]}
    assert found.keys() == faults.keys()
    for field, sentence in faults.items():
        assert found[field].startswith(sentence), found[field]
    assert house.files == []


async def test_what_may_be_varied_has_its_present_value_as_the_file_writes_it(house: House) -> None:
    options = await house.get("/options?service=shop&service=nothing")
    assert (options["since"], options["until"]) == ("2026-01-05T00:00:00Z", "2026-01-05T01:00:01Z")
    values = {each["key"]: each["value"] for rule in options["rules"] for each in rule["parameters"]}
    assert values == {
        "shop.slow.above": "0.8",
        "shop.slow.for": "20s",
        "shop.slower.above": "1.5",
        "shop.slower.for": "",
    }
    assert options["routes"][0] == {"key": "routes[0].group_wait", "name": "group_wait", "value": "0s"}
    assert (await house.get("/options?search=SHO"))["services"] == ["shop"]
    assert (await house.get("/options?search=other"))["services"] == []


async def test_the_form_shows_the_rules_of_a_service_keeps_what_was_typed_and_says_what_is_wrong(house: House) -> None:
    async with house.client.get("/rehearsals?service=shop&set:shop.slow.above=0.9&range=all") as answer:
        page = await answer.text()
        assert answer.status == 200
    assert re.search(r'name="set:shop.slow.above" value="0.9"', page)
    assert '<input type="radio" name="range" value="all" checked>' in page
    assert 'name="csrf" value="c"' in page and "style=" not in page
    form = {"service": "shop", "set:shop.slow.above": "quick", "range": "all"}
    async with house.client.post("/rehearsals", data=form) as answer:
        page = await answer.text()
        assert answer.status == 422
    assert re.search(r'value="quick"[^>]* aria-invalid="true" aria-describedby="wrong-shop.slow.above"', page)
    assert "is not a number, duration or size" in page


async def test_from_the_form_to_the_report_without_a_script(house: House) -> None:
    form = {"service": "shop", "set:shop.slow.above": "30", "set:shop.slower.for": "", "range": "all"}
    async with house.client.post("/rehearsals", data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        path = answer.headers["location"]
    id = path.rpartition("/")[2]
    process = await house.held(id)
    async with house.client.get(path) as answer:
        page = await answer.text()
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page and "<progress" in page
    assert f'action="/rehearsals/{id}/cancel"' in page
    process.send_signal(signal.SIGCONT)
    job = await house.ended(id)
    assert job["wanted"]["changes"] == [{"key": "shop.slow.above", "value": "30"}] and job["wanted"]["by"] == "ada"
    async with house.client.get(path) as answer:
        page = await answer.text()
    assert "<h1>2 pages fewer in 60 minutes; 2 gone" in page and "refresh" not in page
    assert "<svg" in page and "style=" not in page and "above: 30" in page
    assert "/rehearsals?range=all&amp;service=shop&amp;set%3Ashop.slow.above=30" in page
    async with house.client.get(f"{path}/report") as answer:
        whole, policy = await answer.text(), answer.headers["content-security-policy"]
    style = whole.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "sandbox" in policy
    assert "style=" not in whole.replace(style, "") and "<script" not in whole


async def test_a_viewer_sees_what_came_of_them_and_may_neither_start_nor_cancel_one(house: House) -> None:
    id = await house.start(SLOWER)
    await house.held(id)
    house.door.who = VIEWER
    async with house.client.get("/rehearsals") as answer:
        page = await answer.text()
    assert f'href="/rehearsals/{id}"' in page and "<form id=" not in page
    async with house.client.get(f"/rehearsals/{id}") as answer:
        assert "/cancel" not in await answer.text()
    for path in ("/rehearsals", f"/rehearsals/{id}/cancel", "/api/v1/rehearsals", f"/api/v1/rehearsals/{id}/cancel"):
        async with house.client.post(path) as answer:
            assert answer.status == 403


def plain(instant: str) -> str:
    return instant.replace(".000000000", "")

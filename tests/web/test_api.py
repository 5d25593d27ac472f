"""The API on its socket: what the desk answers, what it refuses, and who can open the door."""

import asyncio
import json
import re
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_monitoring.application import Monitor
from service_monitoring.bootstrap import StoreDesk
from service_monitoring.domain.inputs import Configured, Observed
from service_monitoring.domain.instants import DAY, HOUR, Instant
from service_monitoring.errors import Conflict, Unavailable, Unusable
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.settings import Complaint, InvalidSettings, Place
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.builders import a_configuration, a_rule, a_service, an_observation
from service_monitoring.views.desk import Desk, Reloaded
from service_monitoring.web.serve import serve
from tests.data_folders import with_tables
from tests.web.served import for_the_owner

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

PROBLEM = "application/problem+json"


class House:
    """A store with a cycle, the desk over them, and vitals that a test may change."""

    def __init__(self, store: SqliteStore, monitor: Monitor) -> None:
        self.clock = SystemClock()
        self.cycle = Cycle(monitor, self.clock, capacity=100, owed=lambda owed: None, troubled=lambda sentence: None)
        self.vitals: dict[str, Any] = {"trouble": ()}
        self.reloaded: Reloaded | Exception = Reloaded("monitoring.yaml")
        self.desk: Desk = StoreDesk(
            store,
            course=lambda: self.cycle.course,
            ask=self.cycle.ask,
            vitals=lambda: self.vitals,
            reload=self.reload,
        )

    async def reload(self) -> Reloaded:
        if isinstance(self.reloaded, Exception):
            raise self.reloaded
        return self.reloaded

    async def see(self, value: float) -> None:
        """A run of the check that every rule is about; it is decided and kept when this returns."""
        await self.cycle.ask(Observed("shop", "health", an_observation({"value": value}), self.clock.now()))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with await SqliteStore.open(with_tables(tmp_path / "data"), SystemClock()) as store:
        house = House(store, await Monitor.resume(store))
        rules = (a_rule("slow"), a_rule("quiet", severity=a_rule().severity, metric="other"))
        await house.cycle.start(Configured(a_configuration(a_service(*rules))))
        running = asyncio.create_task(house.cycle.run(lambda: None))
        yield house
        await house.cycle.stop()
        await running


@pytest.fixture
def door() -> Iterator[Path]:
    """A path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        yield Path(folder) / "control.sock"


@asynccontextmanager
async def served(desk: Desk, door: Path) -> AsyncIterator[aiohttp.ClientSession]:
    beats: list[None] = []
    serving = asyncio.create_task(serve(for_the_owner(desk, "1.2.3"), door, lambda: beats.append(None)))
    async with AsyncExitStack() as stack:
        try:
            while not answers(door):
                await asyncio.sleep(0.005)
                if serving.done():
                    serving.result()
            session = aiohttp.ClientSession("http://monitor", connector=aiohttp.UnixConnector(path=str(door)))
            yield await stack.enter_async_context(session)
            assert beats
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


def answers(door: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(door))
        except OSError:
            return False
    return True


@pytest.fixture
async def http(house: House, door: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(house.desk, door) as session:
        yield session


async def problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    assert response.content_type == PROBLEM
    said: dict[str, Any] = await response.json(content_type=PROBLEM)
    assert set(said) == {"type", "title", "status", "detail"}
    assert said["status"] == response.status
    return said


async def the_incident(http: aiohttp.ClientSession) -> dict[str, Any]:
    async with http.get("/api/v1/incidents") as response:
        (row,) = await response.json()
    assert isinstance(row, dict)
    return row


# Questions ------------------------------------------------------------------------------------------------------


async def test_a_list_of_incidents_has_the_promised_keys(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    row = await the_incident(http)
    assert list(row) == [
        "id",
        "service",
        "rule",
        "series",
        "severity",
        "state",
        "opened_at",
        "acknowledged_at",
        "resolved_at",
        "summary",
        "acknowledged_until",
        "draft",
        "assigned_to",
        "acknowledged_by",
    ]
    assert (row["service"], row["rule"], row["state"], row["series"]) == ("shop", "slow", "open", "shop/health/value")
    assert row["summary"] == "slow of shop"
    assert row["opened_at"].endswith("Z") and row["acknowledged_at"] is None and row["resolved_at"] is None


async def test_the_newest_incident_comes_first_and_filters_narrow(house: House, http: aiohttp.ClientSession) -> None:
    for value in (2.0, 0.0, 3.0):
        await house.see(value)
    async with http.get("/api/v1/incidents") as response:
        assert [row["state"] for row in await response.json()] == ["open", "resolved"]
    async with http.get("/api/v1/incidents?state=resolved&state=closed") as response:
        assert [row["state"] for row in await response.json()] == ["resolved"]
    async with http.get("/api/v1/incidents?service=other") as response:
        assert await response.json() == []
    async with http.get("/api/v1/incidents?limit=1") as response:
        assert [row["state"] for row in await response.json()] == ["open"]


async def test_an_incident_shows_its_transitions_and_notices(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    await house.see(0.0)
    id = (await the_incident(http))["id"]
    async with http.get(f"/api/v1/incidents/{id}") as response:
        detail = await response.json()
    assert detail["incident"]["id"] == id
    states = [each["state"] for each in detail["transitions"]]
    assert states[-2:] == ["open", "resolved"]
    assert [each["sequence"] for each in detail["transitions"]] == list(range(1, len(states) + 1))
    assert detail["transitions"][-2]["value"] == 2.0
    assert [(each["channel"], each["page"]) for each in detail["notices"]] == [("ops", "first"), ("ops", "recovered")]


async def test_the_status_counts_what_is_watched_and_what_is_open(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    async with http.get("/api/v1/status") as response:
        status = await response.json()
    assert (status["running"], status["services"], status["checks"], status["rules"]) == (True, 1, 1, 2)
    assert status["incidents"]["open"] == 1
    assert status["outbox"] == {"owed": 1}
    assert status["trouble"] == []


async def test_readiness_names_the_trouble(house: House, http: aiohttp.ClientSession) -> None:
    async with http.get("/readyz") as response:
        assert (response.status, await response.text()) == (200, "ready\n")
    house.vitals["trouble"] = ("the disk is full", "the program is stopping")
    async with http.get("/readyz") as response:
        assert (response.status, response.content_type) == (503, PROBLEM)
        assert response.headers["Retry-After"] == "5"
        assert await response.json(content_type=PROBLEM) == {
            "type": "about:blank",
            "title": "not ready",
            "status": 503,
            "detail": "the disk is full; the program is stopping",
            "reasons": ["the disk is full", "the program is stopping"],
        }
    async with http.get("/healthz") as response:
        assert (response.status, await response.text()) == (200, "ok\n")


async def test_a_reload_is_answered_with_what_changed_or_with_every_complaint(
    house: House, http: aiohttp.ClientSession
) -> None:
    house.reloaded = Reloaded("monitoring.yaml", ("rules",), ("web.listen: later",), ())
    async with http.post("/api/v1/reload") as response:
        assert (response.status, await response.json()) == (
            200,
            {"file": "monitoring.yaml", "changed": ["rules"], "restart": ["web.listen: later"], "remarks": []},
        )
    complaint = Complaint(Place("monitoring.yaml", 4, 7), "services.shop", "this is wrong", "write that")
    house.reloaded = InvalidSettings([complaint])
    async with http.post("/api/v1/reload") as response:
        assert (response.status, response.content_type) == (422, PROBLEM)
        said = await response.json(content_type=PROBLEM)
    assert said["detail"] == f"the configuration is refused: {complaint}"
    assert [Complaint.of_plain(each) for each in said["complaints"]] == [complaint]
    house.reloaded = Unavailable("the program is stopping")
    async with http.post("/api/v1/reload") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
    async with http.get("/api/v1/reload") as response:
        assert response.status == 405


async def test_the_description_of_the_api_names_every_route(http: aiohttp.ClientSession) -> None:
    async with http.get("/openapi.json") as response:
        description = await response.json()
    # Its own version, and not the program's: strangers may read this.
    assert (description["info"]["title"], description["info"]["version"]) == ("service-monitoring", "1")
    assert "1.2.3" not in json.dumps(description)
    assert set(description["paths"]) == {
        "/healthz",
        "/readyz",
        "/api/v1/status",
        "/api/v1/incidents",
        "/api/v1/incidents/bulk/{act}",
        "/api/v1/incidents/{id}",
        "/api/v1/incidents/{id}/acknowledge",
        "/api/v1/incidents/{id}/explain",
        "/api/v1/incidents/{id}/resolve",
        "/api/v1/incidents/{id}/snooze",
        "/api/v1/incidents/{id}/assign",
        "/api/v1/incidents/{id}/note",
        "/api/v1/silences",
        "/api/v1/silences/{id}/extend",
        "/api/v1/maintenance",
        "/api/v1/silences/preview",
        "/api/v1/silences/{id}/expire",
        "/api/v1/outbox",
        "/api/v1/outbox/{key}",
        "/api/v1/outbox/{key}/requeue",
        "/api/v1/rules",
        "/api/v1/rules/{service}/{rule}",
        "/api/v1/rules/{service}/{rule}/retire",
        "/api/v1/services/{service}/uptime",
        "/api/v1/services/{service}/budgets",
        "/api/v1/backup",
        "/api/v1/reload",
        "/api/v1/checks/{check}/pings",
        "/api/v1/keys",
        "/api/v1/keys/{check}",
        "/api/v1/keys/{check}/rotate",
    }


async def test_the_description_of_the_api_shows_what_rules_look_like(http: aiohttp.ClientSession) -> None:
    async with http.get("/openapi.json") as response:
        description = await response.json()
    schemas = description["components"]["schemas"]
    answer = description["paths"]["/api/v1/rules/{service}/{rule}"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/RuleDetail"}
    assert {"verdict", "since", "why", "counts", "due_at", "held"} <= set(schemas["SeriesRow"]["properties"])
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)))
    assert named <= set(schemas)


async def test_rules_are_listed_and_shown(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    async with http.get("/api/v1/rules") as response:
        rows = await response.json()
    assert [(row["rule"], row["state"], row["verdicts"]["breached"]) for row in rows] == [
        ("slow", "active", 1),
        ("quiet", "active", 0),
    ]
    async with http.get("/api/v1/rules/shop/slow") as response:
        detail = await response.json()
    assert detail["rule"] == rows[0]
    (series,) = detail["series"]
    assert (series["verdict"], series["value"], series["incident_state"]) == ("breached", 2.0, "open")
    assert series["incident"] == (await the_incident(http))["id"]


async def test_an_uptime_is_asked_for_by_range_or_lately(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(0.0)
    begun = house.clock.now()
    async with http.get("/api/v1/services/shop/uptime") as response:
        row = await response.json()
    assert list(row) == ["service", "from", "to", "up", "down", "degraded", "maintenance", "unknown"]
    assert Instant.parse(row["to"]).since(Instant.parse(row["from"])) == 30 * DAY
    assert sum(row[part]["share"] for part in list(row)[3:]) == pytest.approx(1.0)
    assert row["unknown"]["share"] > 0.99  # nobody watched before
    await house.see(0.0)
    query = {"from": str(begun), "to": str(house.cycle.course.progress.judged.at)}
    async with http.get("/api/v1/services/shop/uptime", params=query) as response:
        row = await response.json()
    assert (row["from"], row["to"], row["up"]["share"]) == (query["from"], query["to"], 1.0)


async def test_the_description_of_the_api_shows_figures_with_their_names(http: aiohttp.ClientSession) -> None:
    async with http.get("/openapi.json") as response:
        description = await response.json()
    assert {"from", "to", "up", "unknown"} <= set(description["components"]["schemas"]["UptimeRow"]["properties"])
    route = description["paths"]["/api/v1/services/{service}/uptime"]["get"]
    named = {each["name"]: each["schema"] for each in route["parameters"]}
    assert set(named) == {"service", "from", "to"}
    assert "date-time" in json.dumps(named["from"])
    route = description["paths"]["/api/v1/services/{service}/budgets"]["get"]
    schema = route["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/BudgetRow"}}


# Acts ------------------------------------------------------------------------------------------------------


async def test_an_act_is_stored_when_it_is_answered(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    id = (await the_incident(http))["id"]
    async with http.post(f"/api/v1/incidents/{id}/acknowledge", json={"by": "ada", "comment": "mine"}) as response:
        assert response.status == 200
        assert (await response.json())["state"] == "acknowledged"
    async with http.get(f"/api/v1/incidents/{id}") as response:
        last = (await response.json())["transitions"][-1]
    assert (last["state"], last["by"], last["cause"]) == ("acknowledged", "ada", "person")
    async with http.post(f"/api/v1/incidents/{id}/resolve", json={"by": "ada"}) as response:
        assert (await response.json())["state"] == "resolved"


@pytest.mark.parametrize("given", ["2h", 7200, "1h60m"])
async def test_an_acknowledgement_lasts_as_long_as_is_said(
    house: House, http: aiohttp.ClientSession, given: str | int
) -> None:
    await house.see(2.0)
    id = (await the_incident(http))["id"]
    body = {"by": "ada", "expires_after": given}
    async with http.post(f"/api/v1/incidents/{id}/acknowledge", json=body) as response:
        row = await response.json()
    lasts = Instant.parse(row["acknowledged_until"]).since(Instant.parse(row["acknowledged_at"]))
    assert lasts == 2 * HOUR
    assert (await the_incident(http)) == row


@pytest.mark.parametrize("given", ["soon", "0", 0, -5, "-1h", True, 1e300, [2], "200000d"])
async def test_an_acknowledgement_that_cannot_last_is_not_understood(
    http: aiohttp.ClientSession, given: object
) -> None:
    body = {"by": "ada", "expires_after": given}
    async with http.post("/api/v1/incidents/ffffffffffffffff/acknowledge", json=body) as response:
        assert response.status == 422
        assert "expires_after" in (await problem(response))["detail"]


async def test_an_incident_is_snoozed_assigned_and_noted_upon(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    path = f"/api/v1/incidents/{(await the_incident(http))['id']}"
    body = {"by": "ada", "for": "2h", "comment": "after lunch"}
    async with http.post(f"{path}/snooze", json=body) as response:
        row = await response.json()
    assert (response.status, row["state"]) == (200, "acknowledged")
    assert Instant.parse(row["acknowledged_until"]).since(Instant.parse(row["acknowledged_at"])) == 2 * HOUR
    for _ in range(2):  # once more is nothing new, and no error
        async with http.post(f"{path}/assign", json={"by": "ada", "to": "grace"}) as response:
            assert (response.status, (await response.json())["assigned_to"]) == (200, "grace")
    async with http.post(f"{path}/resolve", json={"by": "grace", "comment": "fixed"}) as response:
        assert response.status == 200
    async with http.post(f"{path}/note", json={"by": "ada", "text": "it was the index"}) as response:
        assert (response.status, (await response.json())["state"]) == (200, "resolved")
    async with http.get(path) as response:
        story = (await response.json())["transitions"][2:]
    assert [(each["sequence"], each["what"], each["by"], each["comment"]) for each in story] == [
        (3, "snoozed", "ada", "after lunch"),
        (None, "assigned to grace", "ada", ""),
        (4, "resolved", "grace", "fixed"),
        (None, "note", "ada", "it was the index"),
    ]


@pytest.mark.parametrize(
    ("act", "body", "missing"),
    [
        ("snooze", {"by": "ada"}, "for"),
        ("snooze", {"by": "ada", "for": None}, "for"),
        ("snooze", {"by": "ada", "for": "0"}, "for"),
        ("assign", {"by": "ada", "to": ""}, "to"),
        ("assign", {"to": "grace"}, "by"),
        ("note", {"by": "ada"}, "text"),
        ("note", {"by": "ada", "text": "a" * 4097}, "text"),
    ],
)
async def test_an_act_that_lacks_something_is_not_understood(
    http: aiohttp.ClientSession, act: str, body: dict[str, Any], missing: str
) -> None:
    async with http.post(f"/api/v1/incidents/ffffffffffffffff/{act}", json=body) as response:
        assert response.status == 422
        assert f"body.{missing}: " in (await problem(response))["detail"]


@pytest.mark.parametrize(
    ("act", "more"), [("snooze", {"for": "1h"}), ("assign", {"to": "grace"}), ("note", {"text": "looking"})]
)
async def test_what_is_not_there_takes_no_act(http: aiohttp.ClientSession, act: str, more: dict[str, str]) -> None:
    async with http.post(f"/api/v1/incidents/ffffffffffffffff/{act}", json={"by": "ada", **more}) as response:
        assert response.status == 404
        assert "there is no incident" in (await problem(response))["detail"]


async def test_drafts_are_listed_when_they_are_asked_for(house: House, http: aiohttp.ClientSession) -> None:
    await house.see(2.0)
    async with http.get("/api/v1/incidents?drafts=true") as response:
        assert [(row["rule"], row["draft"]) for row in await response.json()] == [("slow", False)]
    async with http.get("/api/v1/incidents?drafts=perhaps") as response:
        assert response.status == 422


async def test_an_act_against_the_table_of_moves_is_refused_with_a_sentence(
    house: House, http: aiohttp.ClientSession
) -> None:
    await house.see(2.0)
    await house.see(0.0)
    id = (await the_incident(http))["id"]
    async with http.post(f"/api/v1/incidents/{id}/acknowledge", json={"by": "ada"}) as response:
        assert response.status == 409
        assert (await problem(response))["detail"] == f"no incident {id} is open"


async def test_a_retired_rule_closes_its_incident_and_is_not_retired_twice(
    house: House, http: aiohttp.ClientSession
) -> None:
    await house.see(2.0)
    body = {"by": "ada", "reason": "too loud"}
    async with http.post("/api/v1/rules/shop/slow/retire", json=body) as response:
        assert (response.status, await response.read()) == (204, b"")
    assert (await the_incident(http))["state"] == "closed"
    async with http.post("/api/v1/rules/shop/slow/retire", json=body) as response:
        assert response.status == 409
        await problem(response)


async def test_a_backup_is_written_once(house: House, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    target = {"file": str(tmp_path / "copy.zip")}
    async with http.post("/api/v1/backup", json=target) as response:
        assert await response.json() == {"file": str((tmp_path / "copy.zip").resolve())}
    assert stat.S_IMODE((tmp_path / "copy.zip").stat().st_mode) == 0o600
    async with http.post("/api/v1/backup", json=target) as response:
        assert response.status == 409
        assert "exists" in (await problem(response))["detail"]


# Errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/nothing", None, 404),
        ("DELETE", "/api/v1/incidents", None, 405),
        ("GET", "/api/v1/incidents/ffffffffffffffff", None, 404),
        ("POST", "/api/v1/incidents/ffffffffffffffff/acknowledge", {"by": "ada"}, 404),
        ("GET", "/api/v1/rules/shop/nothing", None, 404),
        ("GET", "/api/v1/rules/nothing/slow", None, 404),
        ("GET", "/api/v1/services/nothing/uptime", None, 404),
        ("GET", "/api/v1/services/nothing/budgets", None, 404),
        ("GET", "/api/v1/services/shop/uptime?from=yesterday", None, 422),
        ("GET", "/api/v1/services/shop/uptime?from=2026-01-05T00:00:00", None, 422),
        ("GET", "/api/v1/services/shop/uptime?from=2026-01-06T00:00:00Z&to=2026-01-05T00:00:00Z", None, 409),
        ("GET", "/api/v1/incidents?limit=0", None, 422),
        ("GET", "/api/v1/incidents?state=asleep", None, 422),
        ("POST", "/api/v1/incidents/ffffffffffffffff/resolve", {"by": ""}, 422),
        ("POST", "/api/v1/incidents/ffffffffffffffff/resolve", ["ada"], 422),
        ("POST", "/api/v1/rules/shop/slow/retire", {"by": "ada"}, 422),
    ],
)
async def test_every_error_is_a_problem_with_a_sentence(
    http: aiohttp.ClientSession, method: str, path: str, body: object, status: int
) -> None:
    async with http.request(method, path, json=body) as response:
        assert response.status == status
        assert (await problem(response))["detail"]


async def test_a_body_that_is_not_json_is_not_understood(http: aiohttp.ClientSession) -> None:
    async with http.post("/api/v1/backup", data=b"\xff{", headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
        await problem(response)


class BadDay(StoreDesk):
    """A desk whose status cannot be had."""

    error: Exception = Unavailable("the disk is full")

    def __init__(self) -> None:
        pass

    async def status(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [(Unavailable("the disk is full"), 503, "5"), (Conflict("somebody was faster"), 409, None)],
)
async def test_what_may_work_later_says_so(door: Path, error: Exception, status: int, retry: str | None) -> None:
    desk = BadDay()
    desk.error = error
    async with served(desk, door) as http, http.get("/api/v1/status") as response:
        assert response.status == status
        assert response.headers.get("Retry-After") == retry
        assert (await problem(response))["detail"] == str(error)


async def test_a_defect_of_ours_shows_nothing_of_what_it_met(door: Path) -> None:
    desk = BadDay()
    desk.error = KeyError("s3cret")
    async with served(desk, door) as http:
        async with http.get("/api/v1/status") as response:
            assert response.status == 500
            assert "s3cret" not in (await problem(response))["detail"]
        async with http.get("/healthz") as response:
            assert response.status == 200


# The door ------------------------------------------------------------------------------------------------------


async def test_the_socket_is_its_owners_alone_and_goes_with_the_program(house: House, door: Path) -> None:
    async with served(house.desk, door):
        assert stat.S_IMODE(door.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(door.stat().st_mode)
    assert not door.exists()


async def test_a_socket_left_by_a_program_that_died_is_replaced(house: House, door: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(door))
    assert door.exists() and not answers(door)
    async with served(house.desk, door) as http, http.get("/healthz") as response:
        assert response.status == 200


async def test_a_path_that_no_socket_can_have_is_said_before_anything_listens(house: House, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="shorter path"):
        await serve(for_the_owner(house.desk), tmp_path / ("x" * 120), lambda: None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


async def test_a_request_under_way_ends_before_the_server_does(house: House, door: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(StoreDesk):
        def __init__(self) -> None:
            pass

        async def status(self) -> Any:
            begun.set()
            await go_on.wait()
            return await house.desk.status()

    serving = asyncio.create_task(serve(for_the_owner(Slow()), door, lambda: None))
    while not answers(door):
        await asyncio.sleep(0.005)
    async with aiohttp.ClientSession("http://monitor", connector=aiohttp.UnixConnector(path=str(door))) as http:

        async def ask() -> int:
            async with http.get("/api/v1/status") as response:
                return response.status

        asking = asyncio.create_task(ask())
        await begun.wait()
        serving.cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        assert await asking == 200
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not door.exists()

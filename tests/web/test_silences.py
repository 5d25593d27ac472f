"""Silences over HTTP and on the desk: made, listed, ended, previewed; and what planned work is to an uptime."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from service_monitoring.application import Monitor
from service_monitoring.domain.instants import HOUR, Duration
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.silences import Wanted
from service_monitoring.domain.strategies import Threshold
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Ended
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, below, instant, span
from service_monitoring.web.serve import serve
from tests.web.desks import Told, told
from tests.web.served import for_the_owner

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

RULES = (a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL), a_rule("slow"))
CONFIGURATION = a_configuration(a_service(*RULES, checks=[a_check(every="1m", stale_after="2m30s")]))
SHOP = (Matcher("service", MatchOperator.EQUALS, "shop"),)
SLOW = (*SHOP, Matcher("rule", MatchOperator.MATCHES, "sl.*"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", CONFIGURATION) as house:
        yield house


@pytest.fixture
async def http(house: Told, door: Path) -> AsyncIterator[aiohttp.ClientSession]:
    serving = asyncio.create_task(serve(for_the_owner(house.desk), door, lambda: None))
    try:
        while not door.exists():
            await asyncio.sleep(0.005)
        connector = aiohttp.UnixConnector(path=str(door))
        async with aiohttp.ClientSession("http://monitor", connector=connector) as session:
            yield session
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


def wanted(**changed: Any) -> dict[str, Any]:
    return {"matchers": ["service=shop"], "by": "ada", "comment": "deploy", "lasts": "1h"} | changed


async def test_a_silence_is_made_listed_and_ended_over_http(house: Told, http: aiohttp.ClientSession) -> None:
    async with http.post("/api/v1/silences", json=wanted(matchers=["service=shop", 'rule=~"s.*"'])) as response:
        assert response.status == 201
        made = await response.json()
    assert list(made) == ["id", "matchers", "state", "begins", "ends", "author", "comment", "expired_by"]
    assert made["matchers"] == ['service="shop"', 'rule=~"s.*"']
    assert (made["state"], made["author"], made["comment"]) == ("active", "ada", "deploy")
    async with http.get("/api/v1/silences") as response:
        assert await response.json() == [made]
    async with http.post(f"/api/v1/silences/{made['id'][:6]}/expire", json={"by": "grace"}) as response:
        assert response.status == 200
        ended = await response.json()
    assert (ended["id"], ended["state"], ended["expired_by"]) == (made["id"], "ended", "grace")
    async with http.get("/api/v1/silences") as response:
        assert await response.json() == []
    async with http.get("/api/v1/silences?ended=true") as response:
        assert await response.json() == [ended]
    async with http.post(f"/api/v1/silences/{made['id']}/expire", json={"by": "grace"}) as response:
        assert response.status == 409


@pytest.mark.parametrize(
    "given",
    [
        wanted(matchers=[]),
        wanted(matchers=["shop"]),
        wanted(matchers=['service=~"("']),
        wanted(matchers=["service=" + "x" * 2_000]),
        wanted(matchers=[1]),
        wanted(by=""),
        wanted(comment=""),
        wanted(lasts="soon"),
        wanted(lasts="0"),
        wanted(lasts=None),
        wanted(ends="2026-01-05T12:00:00Z"),
        wanted(lasts=None, ends="tomorrow"),
        {},
    ],
)
async def test_what_is_not_understood_is_answered_with_a_sentence(
    http: aiohttp.ClientSession, given: dict[str, Any]
) -> None:
    async with http.post("/api/v1/silences", json=given) as response:
        assert response.status == 422
        assert (await response.json(content_type=None))["detail"]


async def test_what_cannot_be_silenced_is_refused(http: aiohttp.ClientSession) -> None:
    for given in (wanted(matchers=["rule!=slow"]), wanted(lasts=None, ends="2020-01-01T00:00:00Z")):
        async with http.post("/api/v1/silences", json=given) as response:
            assert response.status == 409
    async with http.post("/api/v1/silences/abc/expire", json={"by": "ada"}) as response:
        assert response.status == 404


async def test_a_silence_outlives_a_restart(house: Told) -> None:
    made = await house.desk.silence(Wanted(SHOP, "ada", "deploy", lasts=HOUR))
    later = await house.desk.silence(Wanted(SHOP, "ada", "later", instant("+5h"), lasts=HOUR))
    ended = await house.desk.silence(Wanted(SLOW, "ada", "over", lasts=HOUR))
    await house.desk.expire(ended.id, "ada")
    before = house.monitor.course.silences()
    house.monitor = await Monitor.resume(house.store)
    assert {each.id for each in house.monitor.course.silences()} == {each.id for each in before}
    assert {row.id: row.state for row in await house.desk.silences(ended=Ended.SHOWN)} == {
        made.id: "active",
        later.id: "pending",
        ended.id: "ended",
    }
    assert (await house.desk.expire(later.id, "ada")).state == "ended"


async def test_a_silence_is_found_by_an_unambiguous_beginning(house: Told) -> None:
    with pytest.raises(NotFound, match="silence list"):
        await house.desk.expire("", "ada")
    made = [await house.desk.silence(Wanted(SHOP, "ada", str(number), lasts=HOUR)) for number in range(17)]
    starts = [each.id[0] for each in made]
    twice = next(each for each in starts if starts.count(each) > 1)
    with pytest.raises(Refused, match="several"):
        await house.desk.expire(twice, "ada")


async def test_what_is_over_is_forgotten_with_the_facts_of_its_time(house: Told) -> None:
    first = await house.desk.silence(Wanted(SHOP, "ada", "deploy", lasts=HOUR))
    await house.desk.expire(first.id, "ada")
    await house.alive("+1h")
    second = await house.desk.silence(Wanted(SHOP, "ada", "again", lasts=HOUR))
    assert (await house.store.prune(facts=instant("+0s"), samples=instant("+0s"))).silences == 0
    assert (await house.store.prune(facts=instant("+9h"), samples=instant("+0s"))).silences == 1
    assert [row.id for row in await house.desk.silences(ended=Ended.SHOWN)] == [second.id]


async def test_a_preview_shows_what_matches_now_and_what_did_in_the_last_week(house: Told) -> None:
    await house.see("+1m", 2)
    await house.see("+2m", 0)  # the first is over, and old by the end
    await house.alive("+8d")
    await house.see("+8d1m", 2)
    await house.see("+8d2m", 0)
    await house.fail("+8d3m")
    await house.see("+8d4m", 2)
    shop, slow = [await house.desk.preview(matchers) for matchers in (SHOP, SLOW)]
    assert shop.matchers == ('service="shop"',)
    assert [row.rule for row in slow.now] == ["slow"]
    assert [row.rule for row in slow.lately] == ["slow", "slow"]
    assert sorted(row.rule for row in shop.lately) == ["down", "slow", "slow"]
    assert all(row.resolved_at is None for row in shop.now)


async def test_a_preview_knows_incidents_of_rules_that_are_gone(house: Told) -> None:
    await house.see("+1m", 2)
    await house.configure("+2m", a_configuration(a_service(RULES[0], checks=[a_check()])))
    found = await house.desk.preview(SLOW)
    assert found.now == () and [row.rule for row in found.lately] == ["slow"]


async def test_a_preview_over_http_has_the_promised_keys(house: Told, http: aiohttp.ClientSession) -> None:
    await house.see("+1m", 2)
    async with http.post("/api/v1/silences/preview", json={"matchers": ["rule=slow"]}) as response:
        assert response.status == 200
        answer = await response.json()
    assert list(answer) == ["matchers", "now", "since", "lately"]
    assert answer["now"] == answer["lately"] and answer["now"][0]["rule"] == "slow"


# Uptime ---------------------------------------------------------------------------------------------------------------


def work(began: str, ended: str, *matchers: Matcher, flexible: str = "") -> Maintenance:
    after = span(flexible) if flexible else None
    return Maintenance("work", matchers or SHOP, Once(instant(began), instant(ended)), after_failure=after)


async def minutes(house: Told, *maintenances: Maintenance, ended: str = "+60m") -> dict[str, float]:
    """An hour that failed in its second quarter; how many minutes of it were in which condition."""
    await house.run_every("1m", "+1m", "+14m")
    await house.run_every("1m", "+15m", "+29m", failed=True)
    await house.run_every("1m", "+30m", "+60m")
    await house.configure("+60m1s", replace(CONFIGURATION, maintenances=maintenances))
    row = await house.desk.uptime("shop", instant("+1m"), instant(ended))
    names = ("up", "down", "maintenance", "unknown")
    return {name: getattr(row, name).seconds / 60 for name in names if getattr(row, name).seconds}


async def test_planned_work_is_neither_up_nor_down(house: Told) -> None:
    assert await minutes(house, work("+10m", "+20m")) == {"up": 39, "down": 10, "maintenance": 10}


async def test_what_a_rule_alone_is_worked_on_is_no_maintenance_of_the_service(house: Told) -> None:
    assert await minutes(house, work("+10m", "+20m", *SLOW)) == {"up": 44, "down": 15}


async def test_a_silence_is_no_maintenance(house: Told) -> None:
    await house.desk.silence(Wanted(SHOP, "ada", "deploy", lasts=Duration(10 * HOUR)))
    assert await minutes(house) == {"up": 44, "down": 15}


async def test_flexible_work_counts_from_the_first_failure(house: Told) -> None:
    found = await minutes(house, work("+5m", "+50m", flexible="10m"))
    assert found == {"up": 44, "down": 5, "maintenance": 10}


async def test_what_is_planned_for_later_or_was_before_the_first_start_counts_for_nothing_yet(house: Told) -> None:
    found = await minutes(house, work("+60m", "+90m"), work("-90m", "-1m"), ended="+70m")
    assert found.get("maintenance", 0) < 0.02
    before = await house.desk.uptime("shop", instant("-60m"), instant("-30m"))
    assert before.maintenance.seconds == 0 and before.unknown.seconds == 1800

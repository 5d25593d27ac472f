"""A large installation: what its pages weigh, and how much of it one answer holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_monitoring.domain.inputs import Observed
from service_monitoring.domain.uptime import Condition
from tests.web.boards import FAILED, House, a_house, a_reader, shops

INCIDENTS = 250
HEAVIEST = 300_000
MOST_ROWS = 200
PAGES = (
    "/",
    "/services",
    "/services?sort=name",
    "/services?condition=down",
    "/services?q=team-1",
    "/services?label=service%3D~service-0.%2A9",
    "/incidents",
    "/incidents?state=all&limit=200",
    "/silences",
    "/outbox",
    "/system",
)
LISTS = ("incidents", "rules", "outbox", "silences")

pytestmark = pytest.mark.real_time("the server and the feed look at the clock several times a second")


@asynccontextmanager
async def a_large_house(folder: Path, services: int) -> AsyncIterator[tuple[House, aiohttp.ClientSession]]:
    """So many services, of which 250 are down."""
    names = [f"service-{number:05}" for number in range(services)]
    failing = names[:INCIDENTS]
    async with a_house(folder / "data", shops(*names)) as house, aiohttp.ClientSession(house.url) as client:
        house.identity = a_reader()
        for name in failing[:-1]:
            await house.cycle.submit(Observed(name, "health", FAILED, house.clock.now()))
        await house.see(failing[-1], FAILED)
        assert (await house.board.overview()).conditions[Condition.DOWN] == INCIDENTS
        yield house, client


async def listed(client: aiohttp.ClientSession, path: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a page, and where the next one is."""
    async with client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        following = answer.links.get("next")
        return await answer.json(), "" if following is None else str(following["url"])


async def test_no_page_of_ten_thousand_services_is_heavy(tmp_path: Path) -> None:
    async with a_large_house(tmp_path, 10_000) as (_, client):
        weights = {}
        for path in PAGES:
            async with client.get(path) as answer:
                assert answer.status == 200, path
                weights[path] = len(await answer.read())
    assert {path: weight for path, weight in weights.items() if weight > HEAVIEST} == {}


async def test_no_answer_holds_more_than_two_hundred_rows(tmp_path: Path) -> None:
    async with a_large_house(tmp_path, 450) as (_, client):
        for name in LISTS:
            rows, _ = await listed(client, f"/api/v1/{name}")
            most, _ = await listed(client, f"/api/v1/{name}?limit={MOST_ROWS}")
            assert len(rows) <= len(most) <= MOST_ROWS, name
            async with client.get(f"/api/v1/{name}?limit={MOST_ROWS + 1}") as answer:
                assert answer.status == 422, name
        async with client.get("/api/v1/services?limit=200") as answer:
            assert len((await answer.json())["services"]) == MOST_ROWS


async def test_every_rule_is_on_one_page(tmp_path: Path) -> None:
    async with a_large_house(tmp_path, 450) as (house, client):
        found, path = [], "/api/v1/rules?limit=200"
        while path:
            rows, path = await listed(client, path)
            found += [(row["service"], row["rule"]) for row in rows]
        assert found == [(each.name, "down") for each in house.cycle.course.configuration.services]
        rows, _ = await listed(client, "/api/v1/rules?service=service-00017")
        assert [(row["rule"], row["incidents"]) for row in rows] == [("down", 1)]
        async with client.get("/api/v1/rules?after=nothing") as answer:
            assert answer.status == 422

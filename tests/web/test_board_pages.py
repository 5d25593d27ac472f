"""The overview and the list of services, as pages and in the API: what they show, to whom, and how heavy they are."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service_monitoring.access.identity import STRANGER
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.views.board import MOST_MATCHERS
from tests.web.boards import FAILED, OK, House, a_house, a_reader, shops

HEAVIEST = 300_000
MANY = [f"service-{number:03}" for number in range(230)]

pytestmark = pytest.mark.real_time("the server and the feed look at the clock several times a second")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path / "data", shops("shop", "cart", "mail")) as house:
        house.identity = a_reader()
        await house.board.look(house.clock.now())
        yield house


@pytest.fixture
async def client(house: House) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(house.url) as client:
        yield client


async def text(client: aiohttp.ClientSession, path: str) -> str:
    async with client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        found = await answer.text()
        assert len(found) < HEAVIEST
        assert "style=" not in found
        return found


async def test_the_overview_shows_what_needs_somebody_and_what_is_over(
    house: House, client: aiohttp.ClientSession
) -> None:
    await house.see("shop", FAILED)
    await house.see("cart", FAILED)
    await house.see("mail", OK)
    [first, second] = sorted(house.cycle.course.incidents(), key=lambda each: each.service)
    house.trouble = ("nothing can be stored: the disk is <full>",)
    page = await text(client, "/")
    assert f'href="/incidents/{first.id}"' in page
    assert "the disk is &lt;full&gt;" in page
    assert re.search(r'condition=down"><b>2</b>', page)
    await house.cycle.ask(Acted(first.id, Act.ACKNOWLEDGE, "alice"))
    await house.see("shop", OK)
    page = await text(client, "/")
    assert f'id="need-{first.id}"' not in page
    assert f'id="over-{second.id}"' in page
    assert "1 taken on" in page


async def test_the_overview_of_the_api_says_the_same(house: House, client: aiohttp.ClientSession) -> None:
    await house.see("shop", FAILED)
    async with client.get("/api/v1/overview") as answer:
        found = await answer.json()
    assert found["conditions"] == {"down": 1, "degraded": 0, "unknown": 2, "maintenance": 0, "up": 0}
    assert found["unacknowledged"] == {"critical": 1, "warning": 0, "info": 0}
    assert [each["service"] for each in found["needed"]] == ["shop"]
    assert (found["services"], found["checks"], found["parked"], found["trouble"]) == (3, 3, 0, [])


async def test_services_are_listed_the_worst_first_with_what_their_checks_said(
    house: House, client: aiohttp.ClientSession
) -> None:
    await house.see("shop", FAILED)
    await house.see("mail", OK)
    page = await text(client, "/services")
    assert re.findall(r'<tr id="service-(\w+)">', page) == ["shop", "cart", "mail"]
    assert "connect" in page and "not heard" in page
    async with client.get("/api/v1/services", params={"condition": "up"}) as answer:
        found = await answer.json()
    assert [(each["service"], each["checks"][0]["outcome"]) for each in found["services"]] == [("mail", "ok")]


async def test_filters_are_in_the_address_and_in_the_form(house: House, client: aiohttp.ClientSession) -> None:
    page = await text(client, "/services?q=TEAM-0&condition=unknown&label=team%3Dteam-0&label=&sort=name")
    assert re.findall(r'<tr id="service-(\w+)">', page) == ["mail", "shop"]
    assert 'value="unknown" checked' in page
    assert 'value="team=team-0"' in page
    assert '<option value="name" selected>' in page


@pytest.mark.parametrize(
    "query", ["label=%3D%3D", "after=elsewhere", 'label=team%3D~"("'], ids=["matcher", "place", "pattern"]
)
async def test_what_is_not_understood_is_said_on_the_page_and_by_the_api(
    client: aiohttp.ClientSession, query: str
) -> None:
    async with client.get(f"/services?{query}") as answer:
        assert answer.status == 422
        assert 'role="alert"' in await answer.text()
    async with client.get(f"/api/v1/services?{query}") as answer:
        assert answer.status in {409, 422}


async def test_more_matchers_than_one_list_may_have_are_refused(client: aiohttp.ClientSession) -> None:
    for path in ("/services", "/api/v1/services"):
        for number, status in ((MOST_MATCHERS, 200), (MOST_MATCHERS + 1, 422)):
            async with client.get(path, params=[("label", "team=~team-.*")] * number) as answer:
                assert answer.status == status, path


async def test_a_page_has_a_hundred_rows_and_leads_to_the_next_with_the_same_filters(tmp_path: Path) -> None:
    async with a_house(tmp_path / "data", shops(*MANY)) as house, aiohttp.ClientSession(house.url) as client:
        found: list[str] = []
        path = "/services?label=team%3D~%22team-.%2A%22&sort=name"
        while path:
            page = await text(client, path)
            rows = re.findall(r'<tr id="service-([\w-]+)">', page)
            assert len(rows) <= 100
            found += rows
            further = re.search(r'<a rel="next" href="([^"]+)"', page)
            path = further[1].replace("&amp;", "&") if further else ""
        assert found == MANY
        async with client.get("/api/v1/services", params={"limit": "201"}) as answer:
            assert answer.status == 422


async def test_a_stranger_sees_neither(house: House, client: aiohttp.ClientSession) -> None:
    house.identity = STRANGER
    for path in ("/", "/services", "/api/v1/services", "/api/v1/overview"):
        async with client.get(path) as answer:
            assert answer.status == 401, path


async def test_after_a_restart_the_board_shows_what_it_showed(tmp_path: Path) -> None:
    configuration = shops("shop", "cart", "mail")
    async with a_house(tmp_path / "data", configuration) as house, aiohttp.ClientSession(house.url) as client:
        await house.see("shop", FAILED)
        await house.see("cart", FAILED)
        await house.see("cart", OK)
        await house.see("mail", OK)
        async with client.get("/api/v1/services") as answer:
            before = await answer.json()
    async with a_house(tmp_path / "data", configuration) as house, aiohttp.ClientSession(house.url) as client:
        await house.board.look(house.clock.now())
        async with client.get("/api/v1/services") as answer:
            assert await answer.json() == before
        async with client.get("/api/v1/overview") as answer:
            assert [each["service"] for each in (await answer.json())["lately"]] == ["cart"]

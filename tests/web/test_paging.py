"""Lists in pages over HTTP, and one act on many incidents."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import HOUR
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.silences import Wanted
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.testing.builders import instant
from service_monitoring.web.api.paging import cursor, key_of
from tests.web.desks import Told, told
from tests.web.pages import Browser, console
from tests.web.test_incident_pages import many, see_all

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

NAMES = [f"s{each:03}" for each in range(6)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", many(6)) as house:
        yield house


@pytest.fixture
async def browser(house: Told, door: Path) -> AsyncIterator[Browser]:
    async with console(house.desk, door) as browser:
        yield browser


async def listed(browser: Browser, path: str) -> tuple[list[dict[str, Any]], str]:
    """One page, and where the next is."""
    async with browser.http.get(path) as response:
        assert response.status == 200
        link = re.fullmatch(r'<(/[^>]*)>; rel="next"', response.headers.get("Link", ""))
        assert (link is None) == ("Link" not in response.headers)
        return await response.json(), link[1] if link else ""


@pytest.mark.parametrize("key", [("a",), ("2026-01-05T00:00:00Z", "ff"), ("\u05d0\0", "")])
def test_a_cursor_is_the_key_of_a_row_and_fit_for_an_address(key: tuple[str, ...]) -> None:
    made = cursor(*key)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made)
    assert key_of(made, len(key)) == key
    with pytest.raises(InvalidValue):
        key_of(made, len(key) + 1)


@pytest.mark.parametrize("text", ["", "x", "!", "WyJhIl0=\n", "bnVsbA", "WzFd", "\u05d0", "A" * 600])
def test_what_is_no_cursor_is_not_understood(text: str) -> None:
    with pytest.raises(InvalidValue, match="Link header"):
        key_of(text, 1)


async def test_a_list_leads_from_page_to_page_and_keeps_what_was_asked(house: Told, browser: Browser) -> None:
    await see_all(house, "+1m", NAMES)
    await house.fail("+1m", service="s000")
    path, seen, pages = "/api/v1/incidents?rule=slow&limit=2", list[str](), 0
    while path:
        rows, path = await listed(browser, path)
        seen += [row["service"] for row in rows]
        pages += 1
        await house.see(f"+{pages + 1}m", 2)  # one opens meanwhile
    assert (sorted(seen), pages) == (NAMES, 3)


async def test_a_page_after_an_incident_that_is_forgotten_is_refused(house: Told, browser: Browser) -> None:
    async with browser.http.get(f"/api/v1/incidents?after={cursor('0000000000000000')}") as response:
        assert response.status == 409
        assert "begin with the first page" in (await response.json(content_type=None))["detail"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "after=x", "severity=bad", "from=soon", "text=" + "x" * 201]
)
async def test_a_page_that_there_is_not_is_not_understood(browser: Browser, query: str) -> None:
    async with browser.http.get(f"/api/v1/incidents?{query}") as response:
        assert response.status == 422


async def test_a_list_is_narrowed_by_rule_severity_text_and_time(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    await house.fail("+2m", service="s001")
    for query, services in {
        "rule=down": ["s001"],
        "severity=critical&severity=info": ["s001"],
        "text=HOP.Slo": ["shop"],
        f"from={instant('+2m')!s}": ["s001"],
        f"to={instant('+2m')!s}": ["shop"],
    }.items():
        rows, _ = await listed(browser, f"/api/v1/incidents?{query}")
        assert [row["service"] for row in rows] == services, query


async def test_silences_come_in_pages_and_by_state(house: Told, browser: Browser) -> None:
    for number in range(5):
        matchers = (Matcher("service", MatchOperator.EQUALS, f"s{number:03}"),)
        begins = instant("+5h") if number > 2 else None
        made = await house.desk.silence(Wanted(matchers, "ada", "why", begins, lasts=HOUR))
        if number == 0:
            await house.desk.expire(made.id, "ada")
    path, seen = "/api/v1/silences?ended=true&limit=2", list[str]()
    while path:
        rows, path = await listed(browser, path)
        seen += [row["id"] for row in rows]
    every, _ = await listed(browser, "/api/v1/silences?ended=true")
    assert seen == [row["id"] for row in every] and len(set(seen)) == 5
    for query, number in {"state=active": 2, "state=pending": 2, "state=ended": 1, "": 4}.items():
        rows, _ = await listed(browser, f"/api/v1/silences?{query}")
        assert len(rows) == number, query
    async with browser.http.get(f"/api/v1/silences?after={cursor('soon', 'a')}") as response:
        assert response.status == 422


async def test_one_act_on_many_incidents_has_an_outcome_for_each(house: Told, browser: Browser) -> None:
    await see_all(house, "+1m", NAMES)
    rows, _ = await listed(browser, "/api/v1/incidents")
    ids = [row["id"] for row in rows]
    await house.desk.act(Acted(ids[2], Act.RESOLVE, "grace"))
    body = {"ids": [*ids[:3], ids[0], "0000000000000000"], "comment": "all mine", "expires_after": "2h"}
    async with browser.http.post("/api/v1/incidents/bulk/acknowledge", json=body) as response:
        assert response.status == 200
        outcomes = await response.json()
    assert [(each["id"], each["status"]) for each in outcomes] == [
        (ids[0], 200), (ids[1], 200), (ids[2], 409), ("0000000000000000", 404),
    ]  # fmt: skip
    assert outcomes[0]["incident"]["state"] == "acknowledged" and outcomes[0]["incident"]["acknowledged_until"]
    assert outcomes[2]["incident"] is None and outcomes[2]["detail"] == f"no incident {ids[2]} is open"


@pytest.mark.parametrize(
    ("act", "more", "status"),
    [
        ("resolve", {}, 200),
        ("snooze", {"for": "1h"}, 200),
        ("snooze", {}, 422),
        ("assign", {"to": "grace"}, 200),
        ("assign", {}, 422),
        ("note", {"comment": "x"}, 200),
        ("note", {}, 422),
        ("burn", {}, 422),
        ("resolve", {"ids": []}, 422),
        ("resolve", {"ids": ["a"] * 201}, 422),
    ],
    ids=["resolve", "snooze", "no length", "assign", "nobody", "note", "nothing", "no act", "none", "too many"],
)
async def test_an_act_on_many_asks_for_what_it_needs(
    house: Told, browser: Browser, act: str, more: dict[str, Any], status: int
) -> None:
    await house.see("+1m", 2)
    body = {"ids": [await house.the_id()]} | more
    async with browser.http.post(f"/api/v1/incidents/bulk/{act}", json=body) as response:
        assert response.status == status
        if status == 200:
            assert [each["status"] for each in await response.json()] == [200]

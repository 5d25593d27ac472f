"""The pages of incidents: lists and their pages, one incident, acts by form, and what is refused."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap.service_desk import StoreServiceDesk
from service_monitoring.cli import client
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted, Admitted, Observed, Stamp
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.strategies import Threshold
from service_monitoring.testing.builders import (
    a_check,
    a_configuration,
    a_rule,
    a_service,
    an_observation,
    below,
    instant,
)
from service_monitoring.views.explanation import because_text, told_text
from service_monitoring.views.incidents import IncidentRow
from tests.web.desks import Told, told
from tests.web.pages import Browser, Page, console

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

RULES = (a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL), a_rule("slow"))
HOSTILE = {
    "script": '"><script>alert(1)</script>',
    "attribute": "' autofocus onfocus='alert(1)",
    "address": "javascript:alert(1)",
    "turned around": "\u202egnp.exe\u2066 \u05d0\u05d1",
    "nul": "before\0after\x1b[2J",
    "template": "{{ 7 * 7 }}{% raw %}",
    "long": "x" * 10_240,
}


def named(service: str) -> Any:
    """A service that has the rules of all."""
    rules = [replace(rule, service=service) for rule in RULES]
    return replace(a_service(*rules), name=service, checks=(replace(a_check(), service=service),))


def many(number: int) -> Any:
    return a_configuration(*(named(name) for name in ["shop", *(f"s{each:03}" for each in range(number))]))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", many(6)) as house:
        yield house


@pytest.fixture
async def browser(house: Told, door: Path) -> AsyncIterator[Browser]:
    async with console(house.desk, door) as browser:
        yield browser


async def see_all(house: Told, at: str, names: list[str], value: float = 2.0) -> None:
    """Every one of these services is slow, at once."""
    stamp = Stamp(0, instant(at))
    batch = [Admitted(stamp, Observed(name, "health", an_observation({"value": value}), stamp.at)) for name in names]
    await house.monitor.keep(house.monitor.judge(batch))


async def row_of(house: Told, id: str) -> IncidentRow:
    return (await house.desk.incident(id)).incident


def ids_on(page: Page) -> list[str]:
    """The incidents that a list names, in its order."""
    return re.findall(r'<th scope="row"><a href="/incidents/([0-9a-f]{16})"', page.html)


# One incident ---------------------------------------------------------------------------------------------------------


async def test_a_page_shows_what_an_incident_is_and_what_happened(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    await house.see("+2m", 0)
    await house.see("+3m", 7)
    await house.fail("+3m1s", service="s001")
    id = await house.the_id()
    page = await browser.get(f"/incidents/{id}")
    assert page.status == 200 and page.html.startswith("<!doctype html>")
    for said in (
        "shop.slow",
        "open",
        "warning",
        "slow of shop",
        "shop/health/value",
        "breached above 1",
        "7 by 2026-01",
    ):
        assert said in page.text, said
    assert "Earlier ones of this rule The latest before it" in page.text
    assert "Nothing else was open when it opened" in page.text
    other = next(each.id for each in house.monitor.course.incidents() if each.service == "s001")
    assert f'href="/incidents/{id}"' in (await browser.get(f"/incidents/{other}")).html
    assert (await browser.get("/incidents/0000000000000000")).status == 404


@pytest.mark.parametrize(
    ("act", "fields", "word", "what"),
    [
        (
            "acknowledge",
            {},
            "acknowledged",
            {"state": "acknowledged", "acknowledged_by": "ada", "acknowledged_until": None},
        ),
        ("acknowledge", {"for_": "2h", "comment": "on it"}, "acknowledged", {"state": "acknowledged"}),
        ("resolve", {"comment": "done"}, "resolved", {"state": "resolved"}),
        ("snooze", {"for_": "30m"}, "snoozed", {"state": "acknowledged"}),
        ("assign", {"to": "grace"}, "assigned", {"state": "open", "assigned_to": "grace"}),
        ("note", {"comment": "the disk is full"}, "noted", {"state": "open"}),
    ],
    ids=["acknowledge", "acknowledge for a while", "resolve", "snooze", "assign", "note"],
)
async def test_every_act_is_done_by_its_form(
    house: Told, browser: Browser, act: str, fields: dict[str, str], word: str, what: dict[str, Any]
) -> None:
    await house.see("+1m", 2)
    id = await house.the_id()
    page = await browser.post(f"/incidents/{id}", act=act, **fields)
    assert (page.status, page.address) == (200, f"/incidents/{id}?said={word}")
    assert f'role="status">{word.capitalize()}.</p>' in page.html
    row = await row_of(house, id)
    assert {name: getattr(row, name) for name in what} == what
    assert ("for_" in fields) == (row.acknowledged_until is not None)
    last = (await house.desk.incident(id)).transitions[-1]
    assert (last.by, last.comment) == ("ada", fields.get("comment", ""))
    assert "by ada" in page.text and fields.get("comment", "") in page.text


@pytest.mark.parametrize(
    ("act", "fields", "status", "said"),
    [
        ("acknowledge", {"for_": "soon"}, 422, '"soon" is not a duration'),
        ("snooze", {}, 422, "A snooze has a length"),
        ("assign", {"to": " "}, 422, "who is to take care of it is missing"),
        ("note", {"comment": ""}, 422, "The text of the note is missing"),
        ("note", {"comment": "x" * 10_240}, 422, "write at most 4096"),
        ("note", {"comment": "x" * 200_000}, 422, "too much for one form"),
        ("burn", {}, 422, "There is no such act"),
    ],
    ids=["no length", "a snooze without one", "nobody", "nothing", "too long", "far too long", "no act"],
)
async def test_what_cannot_be_done_comes_back_to_the_page_with_a_sentence(
    house: Told, browser: Browser, act: str, fields: dict[str, str], status: int, said: str
) -> None:
    await house.see("+1m", 2)
    id = await house.the_id()
    before = await house.desk.incident(id)
    page = await browser.post(f"/incidents/{id}", act=act, **fields)
    assert page.status == status and said in page.alert and "shop.slow" in page.text
    assert await house.desk.incident(id) == before


@pytest.mark.parametrize("act", [Act.ACKNOWLEDGE, Act.RESOLVE])
async def test_whoever_comes_too_late_is_told_so_on_the_page(house: Told, browser: Browser, act: Act) -> None:
    await house.see("+1m", 2)
    id = await house.the_id()
    await house.desk.act(Acted(id, act, "grace"))
    page = await browser.post(f"/incidents/{id}", act=str(act))
    assert page.status == 409 and page.alert and "by grace" in page.text
    assert ids_on(await browser.get("/incidents?state=all")) == [id]
    assert (await browser.get(page.address)).status == 200
    assert (await row_of(house, id)).acknowledged_by in {"grace", ""}


@pytest.mark.parametrize("ended", ["", "+9m"], ids=["open", "over"])
async def test_the_series_is_drawn_around_the_incident(house: Told, door: Path, ended: str) -> None:
    await house.run_every("1m", "+1m", "+4m")
    await house.see("+5m", 2)
    id = await house.the_id()
    if ended:
        await house.see(ended, 0)
    services = StoreServiceDesk(house.store, course=lambda: house.monitor.course)
    async with console(house.desk, door, service=services) as browser:
        page = await browser.get(f"/incidents/{id}")
        (picture,) = re.findall(r'<img class="chart" src="([^"]*)"', page.html)
        assert "from=2026-01-04T23%3A05%3A00Z" in picture
        drawn = await browser.get(unescape(picture))
        assert drawn.status == 200 and "<svg" in drawn.html
        (at,) = re.findall(r'<a href="(/services/shop\?[^"]*)"', page.html)
        assert (await browser.get(unescape(at))).status == 200


async def test_a_message_is_one_of_ours_whatever_the_address_says(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    page = await browser.get(f"/incidents/{await house.the_id()}?said=You+won")
    assert "You won" not in page.text and 'class="said"' not in page.html


async def test_a_viewer_sees_all_and_has_no_buttons(house: Told, door: Path) -> None:
    await house.see("+1m", 2)
    id = await house.the_id()
    async with console(house.desk, door, role=Role.VIEWER) as browser:
        for path in (f"/incidents/{id}", "/incidents", "/silences"):
            page = await browser.get(path)
            assert page.status == 200 and 'method="post"' not in page.html.replace(
                '<form class="card" method="post"', ""
            )
            assert "<button" not in page.html.replace("<button>Show</button>", "").replace(
                "<button>Explain</button>", ""
            )
        assert (await browser.post(f"/incidents/{id}", act="resolve")).status == 403
        assert (await browser.post("/incidents", act="resolve", id=id)).status == 403
    assert (await row_of(house, id)).state == "open"


async def test_where_nobody_is_known_the_page_asks_who_acts(house: Told, door: Path) -> None:
    await house.see("+1m", 2)
    id = await house.the_id()
    async with console(house.desk, door, name="") as browser:
        assert 'name="by" required' in (await browser.get(f"/incidents/{id}")).html
        assert "Your name is missing" in (await browser.post(f"/incidents/{id}", act="resolve")).alert
        assert (await browser.post(f"/incidents/{id}", act="resolve", by="grace")).status == 200
    assert (await house.desk.incident(id)).transitions[-1].by == "grace"


async def test_the_page_explains_who_was_told_as_the_command_does(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    await house.see("+3m", 0)
    id = (await house.desk.incidents(states=[State.RESOLVED], service=None, limit=1))[0].id
    page = await browser.get(f"/incidents/{id}")
    assert "Who was told, who was not, and why" in page.text
    (ops,) = (await house.desk.explain(id, None, "")).recipients
    for said in (f"the channel ops: {told_text(ops.state)}", because_text(ops.because).strip()):
        assert said in page.text, page.text[-1500:]
    earlier = await browser.get(f"/incidents/{id}?at={str(instant('+2m'))[:19]}Z")
    assert "By 2026-01-05 00:02:00 UTC it was open" in earlier.text
    wrong = await browser.get(f"/incidents/{id}?at=tomorrow")
    assert (wrong.status, "tomorrow" in wrong.alert) == (422, True)
    assert "there is no person nobody" in (await browser.get(f"/incidents/{id}?person=nobody")).text.lower()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_people_write_stays_text(house: Told, browser: Browser, text: str) -> None:
    await house.see("+1m", 2)
    id, written = await house.the_id(), text[:4_000]
    await house.desk.act(Acted(id, Act.NOTE, written[:200], written))
    await house.desk.act(Acted(id, Act.ASSIGN, written[:200], written, to=written[:200]))
    for path in (f"/incidents/{id}", "/incidents"):
        page = await browser.get(path)
        assert page.status == 200
        assert page.active == []
        assert not re.search("[\0\x1b\u202e\u2066]", page.html)
        assert len(page.html) < 60_000
    for parameter in ("q", "service", "rule", "severity", "from", "state", "after", "said", "at"):
        for path in (f"/incidents/{id}", "/incidents"):
            page = await browser.get(f"{path}?{urlencode({parameter: text[:1_500]})}")
            assert page.status < 500 and page.active == [] and "\u202e" not in page.html


# Lists ----------------------------------------------------------------------------------------------------------------


async def test_a_list_is_narrowed_by_its_address(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    await house.fail("+2m", service="s001")
    await house.see("+3m", 2, service="s002")
    await house.see("+4m", 0, service="s002")
    slow, down, over = [
        next(row.id for row in await house.desk.incidents(states=(), service=name, limit=1))
        for name in ("shop", "s001", "s002")
    ]
    await house.acknowledge("+5m", lasts="")
    wanted = {
        "": [down, slow],
        "?state=unacknowledged": [down],
        "?state=acknowledged": [slow],
        "?state=ended": [over],
        "?state=pending": [],
        "?state=all": [over, down, slow],
        "?severity=critical": [down],
        "?service=shop": [slow],
        "?rule=slow": [slow],
        "?q=HOP.sl": [slow],
        f"?q={down[:8]}": [down],
        "?from=2026-01-05T00:01:30Z": [down],
        "?to=2026-01-05T00:01:30Z": [slow],
        "?from=2026-01-06": [],
    }
    found = {query: ids_on(await browser.get(f"/incidents{query}")) for query in wanted}
    assert found == wanted
    for query in ("?state=asleep", "?severity=bad", "?from=soon", "?after=x", "?limit=1000"):
        page = await browser.get(f"/incidents{query}")
        assert page.status == 422 and page.alert


async def test_pages_show_each_incident_once_while_new_ones_open(house: Told, browser: Browser) -> None:
    await see_all(house, "+1m", [f"s{each:03}" for each in range(6)])
    await house.see("+2m", 2)
    before = {row.id for row in await house.desk.incidents(states=(), service=None, limit=100)}
    path, seen, number = "/incidents?limit=3", list[str](), 2
    while path:
        page = await browser.get(path)
        seen += ids_on(page)
        number += 1
        await house.fail(f"+{number}m")  # one more opens at the top, or goes on
        (path,) = page.links("next") or [""]
    assert len(seen) == len(set(seen)) and set(seen) == before
    assert number == 5


async def test_several_are_acknowledged_at_once(house: Told, browser: Browser) -> None:
    await see_all(house, "+1m", [f"s{each:03}" for each in range(6)])
    ids = ids_on(await browser.get("/incidents"))
    page = await browser.post("/incidents?q=s00", act="acknowledge", id=ids[:4], comment="all mine")
    assert page.address == "/incidents?q=s00&said=acknowledged" and "Acknowledged." in page.text
    states = [(await row_of(house, id)).state for id in ids]
    assert states == ["acknowledged"] * 4 + ["open"] * 2
    assert (await house.desk.incident(ids[0])).transitions[-1].comment == "all mine"


async def test_of_several_those_that_are_refused_are_named_and_stay_chosen(house: Told, browser: Browser) -> None:
    await see_all(house, "+1m", ["s001", "s002", "s003"])
    ids = ids_on(await browser.get("/incidents"))
    await house.desk.act(Acted(ids[1], Act.ACKNOWLEDGE, "grace"))
    page = await browser.post("/incidents", act="acknowledge", id=ids)
    assert page.status == 409
    assert "2 of 3 are acknowledged; the others are not:" in page.alert
    assert f"ncident {ids[1]} is acknowledged" in page.alert
    assert re.findall(r'value="([0-9a-f]{16})"[^>]* checked', page.html) == [ids[1]]
    for fields in ({"act": "acknowledge"}, {"act": "burn", "id": ids}, {"act": "resolve", "id": "0000"}):
        page = await browser.post("/incidents", **fields)
        assert page.status in {404, 422} and page.alert


async def test_a_page_with_500_open_incidents_is_light_and_quick(tmp_path: Path, door: Path) -> None:
    async with told(tmp_path / "data", many(500)) as house:
        await see_all(house, "+1m", [f"s{each:03}" for each in range(500)])
        async with console(house.desk, door) as browser:
            page = await browser.get("/incidents?limit=200")
            assert len(ids_on(page)) == 200 and len(page.html.encode()) < 300_000
            began = perf_counter()
            ids = ids_on(await browser.get("/incidents"))
            assert len(ids) == 100 and perf_counter() - began < 2
            page = await browser.get(f"/incidents/{ids[0]}")
            assert "Open when it opened, the latest of more" in page.text and len(page.html) < 50_000
            rows = await asyncio.to_thread(client.walk, door, "/api/v1/incidents", {"rule": "slow"}, 450)
            assert len({row["id"] for row in rows}) == 450
            page = await browser.post("/incidents", act="resolve", id=ids)
            assert page.address == "/incidents?said=resolved"
            left = await house.desk.incidents(states=[State.OPEN], service=None, limit=1_000)
            assert len(left) == 400

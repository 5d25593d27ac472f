"""Status pages over the real application: what is on them, what is kept for how long, and what never is there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from msgspec.structs import replace

from service_monitoring.bootstrap.days import StoreDays
from service_monitoring.bootstrap.status import StatusPages, StoreStatus
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import HOUR, SECOND, Duration
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.strategies import Threshold
from service_monitoring.settings import PublicGroup, PublicService, StatusPageSettings
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, below, equals, instant
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.door import Door
from service_monitoring.web.serve import serve_door
from tests.web.desks import Told, told

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

CHECKOUT = PublicService("shop", "Checkout <b>&", "checkout-b")
SEARCH = PublicService("zoekmachine", "Search", "search")
PAGE = StatusPageSettings(
    "main", "The <i>shop</i> & more", "", (PublicGroup("", (CHECKOUT,)), PublicGroup("Also", (SEARCH,))), 7
)
PATHS = (
    "/status/main",
    "/status/main.json",
    "/status/main/history",
    "/status/main/feed.rss",
    "/status/main/badge/checkout-b.svg",
    "/status/main/badge/checkout-b.svg?kind=uptime",
    "/status/main/badge/search.json",
)
DOWN = a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL)


def configuration(*maintenances: Maintenance) -> Configuration:
    shop = a_service(DOWN, a_rule("slow"), checks=[a_check(stale_after="2h", every="1h")])
    others = [a_service(name=each, checks=[a_check(service=each, stale_after="2h", every="1h")]) for each in OTHERS]
    return replace(a_configuration(shop, *others), maintenances=maintenances)


OTHERS = ("zoekmachine", "backoffice")


class Public:
    """What the public has to do with."""

    def __init__(self, house: Told, visitor: aiohttp.ClientSession) -> None:
        self.house = house
        self.visitor = visitor
        self.clock = SimulatedClock()
        self.said = StatusPages((PAGE,), {})
        days = StoreDays(house.store, course=lambda: house.monitor.course)
        self.desk = StoreStatus(
            house.store, days, self.clock, course=lambda: house.monitor.course, pages=lambda: self.said
        )

    async def get(self, path: str, **headers: str) -> tuple[int, Mapping[str, str], str]:
        async with self.visitor.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()}) as answer:
            return answer.status, answer.headers, await answer.text()

    async def data(self) -> dict[str, Any]:
        await self.clock.advance(Duration(15 * SECOND))
        found: dict[str, Any] = json.loads((await self.get("/status/main.json"))[2])
        return found

    async def states(self) -> list[str]:
        return [each["state"] for each in (await self.data())["services"]]

    async def hear_all(self, at: str) -> None:
        for second, service in enumerate(("shop", *OTHERS)):
            await self.house.see(f"{at}{second}s", 0.5, service=service)


@asynccontextmanager
async def open_to_the_public(house: Told) -> AsyncIterator[Public]:
    door = Door("127.0.0.1", 0).open()
    async with aiohttp.ClientSession(f"http://{door.address}") as visitor:
        public = Public(house, visitor)
        faces = Faces("1", house.desk, status=public.desk)
        serving = asyncio.create_task(serve_door(application(faces), door, lambda: None))
        try:
            yield public
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[Public]:
    async with told(tmp_path / "data", configuration()) as house, open_to_the_public(house) as public:
        yield public


async def test_a_page_says_how_its_services_are_in_plain_words(public: Public) -> None:
    await public.hear_all("+1h")
    assert await public.states() == ["operational", "operational"]
    await public.house.see("+61m", 3)
    assert await public.states() == ["degraded", "operational"]
    await public.house.fail("+62m")
    assert await public.states() == ["outage", "operational"]
    _, _, text = await public.get("/status/main")
    assert "1 of 2 services is not working" in text
    assert "Checkout &lt;b&gt;&amp; is not working" in text
    await public.hear_all("+63m")
    assert await public.states() == ["operational", "operational"]
    past = (await public.data())["incidents"]
    assert [(each["summary"], each["began_at"][11:], each["ended_at"][11:]) for each in past] == [
        ("Checkout <b>& was not working", "01:01:00Z", "01:03:00Z")
    ]


async def test_what_is_silent_or_not_watched_is_unknown(public: Public) -> None:
    await public.house.see("+1h", 0.5)
    assert await public.states() == ["operational", "unknown"]
    await public.house.alive("+4h")
    assert await public.states() == ["unknown", "unknown"]
    await public.hear_all("+5h")
    assert await public.states() == ["operational", "operational"]
    await public.clock.advance(Duration(6 * HOUR))
    assert await public.states() == ["unknown", "unknown"]
    assert (await public.data())["headline"] == "The state of all services is unknown"


async def test_planned_work_is_shown_under_a_public_name_alone(public: Public) -> None:
    now = Maintenance("secret-upgrade", (equals("service", "shop"),), Once(instant("+1h"), instant("+2h")))
    later = Maintenance("secret-move", (equals("service", "shop"),), Once(instant("+5h"), instant("+6h")))
    other = Maintenance("secret-other", (equals("service", "backoffice"),), Once(instant("+5h"), instant("+6h")))
    await public.house.configure("+1s", configuration(now, later, other))
    public.said = StatusPages((PAGE,), {"secret-upgrade": "A better database"})
    await public.hear_all("+61m")
    found = await public.data()
    assert [each["state"] for each in found["services"]] == ["maintenance", "operational"]
    assert found["headline"] == "Planned work is under way"
    assert [(each["name"], each["services"], each["now"]) for each in found["maintenance"]] == [
        ("A better database", ["Checkout <b>&"], True),
        ("Planned work", ["Checkout <b>&"], False),
    ]


async def test_an_uptime_counts_neither_planned_work_nor_what_is_unknown(public: Public) -> None:
    work = Maintenance("work", (equals("service", "shop"),), Once(instant("+3h"), instant("+4h")))
    await public.house.configure("+1s", configuration(work))
    await public.house.run_every("1h", "+1h", "+2h")
    await public.house.fail("+4h30m")
    await public.house.run_every("30m", "+5h", "+9h30m")
    await public.house.gap("+9h30m", "+20h")
    [service, _] = (await public.data())["services"]
    # Up from 1 h to 3 h and from 5 h to 9.5 h, down for half an hour before, and unheard before that.
    assert service["uptime"] == pytest.approx(6.5 / 7)
    assert "92.857 %" in (await public.get("/status/main/badge/checkout-b.svg?kind=uptime"))[2]
    assert sum(day["maintenance"] > 0 for day in service["days"]) == 1


async def test_a_month_has_its_incidents_and_others_do_not(public: Public) -> None:
    await public.house.fail("+1h")
    await public.house.see("+2h", 0.5)
    await public.house.alive("+960h")
    first = str(instant("+1h"))[:7]
    month = f"/status/main/history?month={first}"
    assert "was not working" in (await public.get(month))[2]
    _, _, current = await public.get("/status/main/history")
    assert "Nothing was wrong." in current
    assert f'href="{month}"' in current
    for none in ("2001-01", "2999-01", "nonsense", "2026-1"):
        assert (await public.get(f"/status/main/history?month={none}"))[0] == 404


async def test_a_feed_is_read_as_xml_and_keeps_its_ids(public: Public) -> None:
    await public.house.fail("+1h")
    channel = ET.fromstring((await public.get("/status/main/feed.rss"))[2]).find("channel")
    assert channel is not None
    assert channel.findtext("title") == "The <i>shop</i> & more"
    guid = channel.findtext("item/guid")
    assert channel.findtext("item/title") == "Checkout <b>& is not working"
    await public.house.see("+2h", 0.5)
    await public.data()
    channel = ET.fromstring((await public.get("/status/main/feed.rss"))[2]).find("channel")
    assert channel is not None
    assert [(each.findtext("guid"), each.findtext("title")) for each in channel.findall("item")] == [
        (guid, "Checkout <b>& was not working")
    ]
    built = channel.findtext("lastBuildDate")
    assert built is not None
    assert parsedate_to_datetime(built).isoformat()[:16] == str(instant("+2h"))[:16]


async def test_badges_are_drawn_and_told_to_shields(public: Public) -> None:
    await public.house.fail("+1h")
    _, headers, drawing = await public.get("/status/main/badge/checkout-b.svg")
    assert headers["content-type"].startswith("image/svg+xml")
    assert ET.fromstring(drawing).findtext("{http://www.w3.org/2000/svg}title") == "Checkout <b>&: outage"
    assert "style=" not in drawing
    _, _, told_to = await public.get("/status/main/badge/search.json?kind=state")
    assert json.loads(told_to) == {"schemaVersion": 1, "label": "Search", "message": "unknown", "color": "#57606a"}


@pytest.mark.parametrize("path", PATHS)
async def test_answers_may_be_kept_and_set_no_cookie(public: Public, path: str) -> None:
    await public.hear_all("+1h")
    status, headers, _ = await public.get(path, Cookie="session=anything")
    assert status == 200
    assert headers["cache-control"] == "public, max-age=15"
    assert "set-cookie" not in headers
    assert "cookie" not in headers.get("vary", "").lower()
    assert ("access-control-allow-origin" in headers) is not path.endswith(("main", "history"))
    again, _, nothing = await public.get(path, If_None_Match=headers["etag"])
    assert (again, nothing) == (304, "")


async def test_a_flood_of_visitors_is_one_question(public: Public, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    troubles = public.house.store.troubles

    async def counted(service: Any, *within: Any, **more: Any) -> Any:
        asked.append(service.name)
        return await troubles(service, *within, **more)

    monkeypatch.setattr(public.house.store, "troubles", counted)
    await public.hear_all("+1h")
    answers = await asyncio.gather(*(public.get("/status/main") for _ in range(30)))
    assert {answer[0] for answer in answers} == {200}
    assert asked == ["shop", "zoekmachine"]
    await public.clock.advance(Duration(15 * SECOND))
    await public.get("/status/main")
    assert len(asked) == 4


async def test_whatever_is_not_on_the_page_is_not_there_in_the_same_words(public: Public) -> None:
    paths = (
        "/status/backoffice",
        "/status/nothing",
        "/status/nothing.json",
        "/status/nothing/history",
        "/status/nothing/feed.rss",
        "/status/main/badge/shop.svg",
        "/status/main/badge/backoffice.svg",
        "/status/main/badge/backoffice.json",
        "/status/main/badge/nothing.svg",
        "/status/nothing/badge/shop.svg",
        "/status/main/else",
    )
    answers = [await public.get(path) for path in paths]
    assert {(status, text) for status, _, text in answers} == {(404, answers[0][2])}
    shapes = {tuple(sorted(name.lower() for name in headers)) for _, headers, _ in answers}
    assert len(shapes) == 1


async def test_a_page_that_was_taken_back_is_gone_at_once(public: Public) -> None:
    assert (await public.get("/status/main"))[0] == 200
    public.said = StatusPages((), {})
    assert {(await public.get(path))[0] for path in PATHS} == {404}


async def test_nothing_private_is_in_any_byte_of_any_public_answer(tmp_path: Path) -> None:
    canaries = [f"canary{number}" for number in range(12)]
    service, other, rule, slow, check, host, person, comment, label, work, remark, assigned = canaries
    rules = (
        a_rule(rule, Threshold(below(1.0)), metric="up", service=service, check=check, severity=Severity.CRITICAL),
        a_rule(slow, service=service, check=check),
    )
    shown = a_service(*rules, name=service, checks=[a_check(check, service=service, stale_after="2h")])
    shown = replace(shown, labels=(("team", label),), description=remark)
    hidden = [replace(each, service=other) for each in rules]
    hidden_service = a_service(*hidden, name=other, checks=[a_check(check, service=other, stale_after="2h")])
    planned = Maintenance(work, (equals("service", service),), Once(instant("+9h"), instant("+10h")), comment=comment)
    whole = replace(a_configuration(shown, hidden_service), maintenances=(planned,))
    async with told(tmp_path / "data", whole) as house, open_to_the_public(house) as public:
        groups = (PublicGroup("", (PublicService(service, "Checkout", "checkout"),)),)
        public.said = StatusPages((StatusPageSettings("main", "The shop", "", groups, 7),), {})
        failed = Observation(Outcome.FAILED, Reason.CONNECT, f"https://{host}.example.com refused 4711.25")
        for name in (service, other):
            await house.run("+1h", failed, check=check, service=name)
        ids = [each.id for each in house.monitor.course.incidents()]
        await house.tell("+61m", *(Acted(id, Act.ACKNOWLEDGE, person, comment=comment) for id in ids))
        await house.tell("+62m", *(Acted(id, Act.ASSIGN, person, to=assigned) for id in ids))
        await house.tell("+63m", *(Acted(id, Act.NOTE, person, comment=comment) for id in ids))
        paths = [path.replace("checkout-b", "checkout").replace("search", "checkout") for path in PATHS]
        answers = []
        for at in ("+64m", "+65m"):
            await public.clock.advance(Duration(15 * SECOND))
            for path in paths:
                status, headers, text = await public.get(path)
                assert status == 200
                answers.append(f"{dict(headers)}\n{text}")
            await house.see(at, 4711.25, check=check, service=service)
            await house.see(at, 4711.25, check=check, service=other)
        found = "\n".join(answers)
        assert "Checkout is not working" in found
        assert "Checkout is degraded" in found or "Checkout was" in found or "degraded" in found
        assert "Planned work" in found
        for private in (*canaries, *ids, "4711", "refused", "connect", "acknowledge", "critical", "ada"):
            assert private not in found, private
        bare = re.sub(r"[0-9a-f]{12,}", "", found)
        assert house.monitor.course.configuration.services[0].name not in bare

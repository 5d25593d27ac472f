"""The page of a service, that of a rule, their pictures and their API, over a real store that was told what happens."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from msgspec.structs import replace

from service_monitoring.bootstrap.service_desk import StoreServiceDesk
from service_monitoring.domain.inputs import Pushed, PushedSample
from service_monitoring.domain.instants import DAY, MINUTE, Duration
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.rules import Lifecycle, Severity, Worse
from service_monitoring.domain.samples import Attempt, Measurement, Observation, Outcome, Reason
from service_monitoring.domain.silences import Wanted
from service_monitoring.domain.strategies import FAST, Budget, Threshold
from service_monitoring.testing.builders import (
    a_check,
    a_configuration,
    a_push,
    a_rule,
    a_service,
    above,
    below,
    instant,
    recovering,
    span,
)
from service_monitoring.views.days import DayRow
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.entering import AsOwner
from service_monitoring.web.serve import serve
from tests.web.desks import Told, told

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

SCRIPT = "<script>alert('x')</script> \"quoted\" & <b>bold</b>"
BUDGET = Budget(objective=0.9, window=Duration(DAY), burns=FAST, stands_for=span("2m30s"))
RULES = (
    a_rule(
        "slow",
        metric="duration_seconds",
        holds_for="2m",
        recovery=recovering(below(0.5)),
        worse=[Worse(Severity.CRITICAL, above(5.0))],
    ),
    a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL),
    a_rule("budget", BUDGET, metric="up", severity=Severity.INFO),
    a_rule("orders", check="orders", metric="waiting"),
    a_rule("shadow", Threshold(below(0.5)), metric="up", state=Lifecycle.DRAFT),
)
SHOP = replace(
    a_service(
        *RULES, checks=[a_check(every="1m", stale_after="2m30s"), a_push(stale_after="5m")], labels={"team": "pay"}
    ),
    description=f"Sells things {SCRIPT}",
)
WORK = Maintenance(
    "move", (Matcher("service", MatchOperator.EQUALS, "shop"),), Once(instant("+5h"), instant("+6h")), comment="racks"
)
OTHER = Maintenance("other", (Matcher("team", MatchOperator.EQUALS, "web"),), Once(instant("+5h"), instant("+6h")))
CONFIGURATION = replace(a_configuration(SHOP), maintenances=(WORK, OTHER))


class AllDays:
    """Days that are all the same."""

    async def days(self, services: Any, count: int) -> dict[str, tuple[DayRow, ...]]:
        row = DayRow("2026-01-05", 0.9, 0.1, 0.0, 0.0, 0.0)
        return dict.fromkeys(services, (row,) * count)


@asynccontextmanager
async def visited(house: Told, *, days: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the whole application, served on a socket to its owner."""
    desk = StoreServiceDesk(
        house.store, course=lambda: house.monitor.course, target=lambda service, check: f"https://{service}/{check}"
    )
    faces = Faces("1", house.desk, service=desk, days=AllDays() if days else None)
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        path = Path(folder) / "s.sock"
        serving = asyncio.create_task(serve(AsOwner(application(faces)), path, lambda: None))
        try:
            while not path.exists():
                await asyncio.sleep(0.005)
            connector = aiohttp.UnixConnector(path=str(path))
            async with aiohttp.ClientSession("http://monitor", connector=connector) as client:
                yield client
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", CONFIGURATION) as house:
        yield house


def ran(took: float, *, detail: str = "", outcome: Outcome = Outcome.OK) -> Observation:
    """A run with all its phases."""
    phases = {"dns_seconds": 0.1, "connect_seconds": 0.2, "tls_seconds": 0.3, "first_byte_seconds": 0.4}
    measured = {name: each * took for name, each in phases.items()} | {"duration_seconds": 1.25 * took}
    return Observation(
        outcome,
        None if outcome is Outcome.OK else Reason.STATUS,
        detail,
        tuple(Measurement(name, value) for name, value in measured.items()),
        (Attempt(outcome, None, detail, Duration(MINUTE)),),
    )


async def run(house: Told, minutes: range, took: float = 0.2, **said: Any) -> None:
    for minute in minutes:
        await house.run(f"+{minute}m", ran(took, **said), check="health", service="shop")


async def text(client: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with client.get(path) as answer:
        found = await answer.text()
        assert answer.status == status, found[:2000]
        return found


async def json(client: aiohttp.ClientSession, path: str, status: int = 200) -> Any:
    async with client.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


def drawings(page: str) -> list[ET.Element]:
    """Every drawing of a page, read as XML; one may lie within another."""
    found, rest = [], page
    while (begins := rest.find("<svg xmlns")) >= 0:
        depth, end = 0, begins
        for tag in re.finditer(r"<svg\b|</svg>", rest[begins:]):
            depth += 1 if tag[0] == "<svg" else -1
            end = begins + tag.end()
            if depth == 0:
                break
        found.append(ET.fromstring(rest[begins:end]))
        rest = rest[end:]
    return found


async def test_the_page_of_a_service_shows_checks_rules_values_and_why(house: Told) -> None:
    await run(house, range(1, 31))
    await run(house, range(31, 34), took=1.2, detail=SCRIPT, outcome=Outcome.FAILED)
    async with visited(house) as client:
        page = await text(client, "/services/shop")
    assert "state-down" in page
    assert "https://shop/health" in page
    assert "every 1m, at most 30s" in page
    assert "first byte 480 ms" in page
    assert "300 ms" in page  # what is left of 1.5 s besides the phases
    assert "for: 2m of 2m" in page or "its incident" in page
    assert "slow: above 1 s" in page
    assert "slow: recovers below 500 ms" in page
    assert "no series that it judges was heard yet" in page
    assert 'data-topics="service:shop incidents"' in page
    assert "/services/shop/budgets" in page


async def test_what_a_target_says_is_text_in_a_box_and_cut(house: Told) -> None:
    await run(house, range(1, 3), detail=SCRIPT + "x" * 10_000)
    async with visited(house) as client:
        for path in ("/services/shop", "/services/shop/checks/health"):
            page = await text(client, path)
            assert "<script>alert" not in page
            assert "<b>bold" not in page
            assert "&lt;script&gt;alert" in page
            assert "x" * 4097 not in page
            assert re.search(r"<pre[^>]*>&lt;script", page)


async def test_pages_hold_no_style_no_handler_and_no_script_of_their_own(house: Told) -> None:
    await run(house, range(1, 40))
    async with visited(house, days=True) as client:
        for path in ("/services/shop", "/services/shop/rules/slow", "/services/shop/checks/health"):
            page = await text(client, path)
            assert " style=" not in page and "<style" not in page
            assert not re.search(r"\son[a-z]+=", page)
            assert all(" src=" in each for each in re.findall(r"<script[^>]*>", page))
            assert len(page) < 300_000
            ids = re.findall(r'\sid="([^"]*)"', page)
            assert len(ids) == len(set(ids))
        page = await text(client, "/services/shop")
    assert len(drawings(page)) == 3
    assert "Days by their worst condition: down 90." in page


async def test_an_unknown_service_rule_check_or_series_is_not_found(house: Told) -> None:
    await run(house, range(1, 3))
    unknown = (
        "/services/other",
        "/services/shop/rules/other",
        "/services/shop/checks/other",
        "/services/other/chart.svg?check=health&metric=up",
        "/services/shop/chart.svg?check=health&metric=other",
        "/api/v1/services/other",
        "/api/v1/services/shop/checks/other/observations",
        "/api/v1/services/other/series",
        "/api/v1/series?service=shop&check=health&metric=other",
    )
    async with visited(house) as client:
        for path in unknown:
            assert "there is no" in await text(client, path, 404), path
        assert "there is no series" in await text(client, "/services/shop?check=health&metric=other", 422)


RANGES = {
    "ends before it begins": "from=2026-01-05T12:00:00Z&to=2026-01-05T11:00:00Z",
    "too long": "from=2020-01-05T12:00:00Z&to=2026-01-05T11:00:00Z",
    "no instant": "from=yesterday",
    "no zone": "from=2026-01-05T12:00:00",
    "before everything": "from=1950-01-05T12:00:00Z&to=1950-01-06T12:00:00Z",
}


async def test_a_range_that_is_none_is_refused_with_a_sentence(house: Told) -> None:
    await run(house, range(1, 3))
    async with visited(house) as client:
        for query in RANGES.values():
            page = await text(client, f"/services/shop?{query}", 422)
            assert 'role="alert"' in page
            assert "write range=1h|6h|1d|7d|30d|90d, or from and to" in page
            assert "<svg" in page  # the usual range is shown
            said = await json(client, f"/api/v1/series?service=shop&check=health&metric=up&{query}", 422)
            assert "or from and to" in said["detail"]


async def test_ranges_lead_earlier_later_and_out(house: Told) -> None:
    await run(house, range(1, 3))
    begun, until = str(instant("-4h"))[:19] + "Z", str(instant("-2h"))[:19] + "Z"
    async with visited(house) as client:
        page = await text(client, f"/services/shop?from={begun}&to={until}")
        links = dict(re.findall(r'href="\?([^"]*)#values">(Earlier|Later|Zoom out)<', page))
        assert len(links) == 3
        for query in links:
            assert "<svg" in await text(client, f"/services/shop?{query.replace('&amp;', '&')}")
        now = await text(client, "/services/shop?range=1h")
    assert ">Earlier<" in now and ">Later<" not in now
    assert 'aria-current="true">1h<' in now


async def test_a_chart_is_a_picture_of_its_own(house: Told) -> None:
    await run(house, range(1, 40))
    await house.gap("+41m", "+50m")
    await run(house, range(51, 60))
    async with visited(house) as client:
        query = "check=health&metric=duration_seconds&range=1h&width=640"
        async with client.get(f"/services/shop/chart.svg?{query}") as answer:
            assert answer.content_type == "image/svg+xml"
            drawing = ET.fromstring(await answer.text())
    assert drawing.get("width") == "640"
    assert drawing.get("role") == "img"
    titles = [each.text or "" for each in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert any(each.startswith("nobody watched, from") for each in titles)
    # The line is broken where nobody watched.
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


async def test_planned_work_and_silences_that_touch_a_service_are_listed(house: Told) -> None:
    await run(house, range(1, 3))
    mine = (Matcher("service", MatchOperator.EQUALS, "shop"), Matcher("severity", MatchOperator.EQUALS, "critical"))
    others = (Matcher("service", MatchOperator.EQUALS, "other"),)
    for matchers, comment in ((mine, f"mine {SCRIPT}"), (others, "not this")):
        await house.desk.silence(Wanted(matchers, "ada", comment, lasts=Duration(DAY)))
    async with visited(house) as client:
        detail = await json(client, "/api/v1/services/shop")
        page = await text(client, "/services/shop")
    assert [each["comment"] for each in detail["silences"]] == [f"mine {SCRIPT}"]
    assert [each["name"] for each in detail["maintenance"]] == ["move"]
    assert "racks" in page and "not this" not in page


async def test_the_condition_follows_incidents_planned_work_and_silence(house: Told) -> None:
    async def condition() -> str:
        async with visited(house) as client:
            return str((await json(client, "/api/v1/services/shop"))["condition"])

    assert await condition() == "unknown"
    await run(house, range(1, 3))
    assert await condition() == "up"
    await run(house, range(3, 7), took=1.0)
    assert await condition() == "degraded"
    await house.fail("+7m")
    assert await condition() == "down"
    await house.alive("+5h10m")
    assert await condition() == "maintenance"


async def test_the_api_tells_a_service_and_its_runs_page_by_page(house: Told) -> None:
    await run(house, range(1, 8))
    async with visited(house) as client:
        detail = await json(client, "/api/v1/services/shop")
        assert (detail["service"], detail["labels"]) == ("shop", {"team": "pay"})
        assert [each["check"] for each in detail["checks"]] == ["health", "orders"]
        newest = detail["checks"][0]["newest"]
        assert [each["name"] for each in newest["phases"]] == ["dns", "connect", "tls", "first_byte", "rest"]
        assert sum(each["seconds"] for each in newest["phases"]) == pytest.approx(newest["duration_seconds"])
        assert detail["checks"][1]["every_seconds"] is None
        path = "/api/v1/services/shop/checks/health/observations?limit=3"
        first = await json(client, path)
        second = await json(client, f"{path}&before={first['next']}")
        third = await json(client, f"{path}&before={second['next']}")
        seen = [each["at"] for page in (first, second, third) for each in page["runs"]]
        assert seen == [str(instant(f"+{minute}m")) for minute in range(7, 0, -1)]
        assert third["next"] is None
        assert "is no place in a list" in (await json(client, f"{path}&before=nonsense", 409))["detail"]


async def test_the_api_tells_which_series_there_are_and_their_values(house: Told) -> None:
    await run(house, range(1, 8))
    labelled = Observation(Outcome.OK, measurements=(Measurement("value", 7.0, (("path", '/a"b'),)),))
    await house.run("+8m", labelled, check="health", service="shop")
    async with visited(house) as client:
        first = await json(client, "/api/v1/services/shop/series?limit=4")
        rest = await json(client, f"/api/v1/services/shop/series?limit=100&after={first['next']}")
        assert first["total"] == 7
        names = [(each["metric"], each["labels"]) for each in (*first["series"], *rest["series"])]
        assert names[-1] == ("value", 'path="/a\\"b"')
        query = {
            "service": "shop",
            "check": "health",
            "metric": "value",
            "labels": names[-1][1],
            "from": str(instant("+0s")),
        }
        async with client.get("/api/v1/series", params=query) as answer:
            line = await answer.json()
        assert [each["mean"] for each in line["buckets"]] == [7.0]
        page = await text(client, "/services/shop?check=health&metric=value&labels=path%3D%22%2Fa%5C%22b%22")
        assert "<polyline" in page


async def test_what_was_pushed_is_shown_at_its_own_instant(house: Told) -> None:
    pushed = [PushedSample(instant(f"+{second}s"), "waiting", float(second), ()) for second in (1, 20, 59)]
    await house.tell("+61s", Pushed("shop", "orders", tuple(pushed)))
    async with visited(house) as client:
        path = f"/api/v1/series?service=shop&check=orders&metric=waiting&from={instant('+0s')}"
        line = await json(client, path)
        detail = await json(client, "/api/v1/services/shop")
    assert line["buckets"][-1]["last_at"] == str(instant("+59s"))
    assert detail["checks"][1]["heard_at"] == str(instant("+61s"))
    assert [each["kind"] for each in line["limits"]] == ["breach"]


async def test_the_page_of_a_rule_tells_why_and_what_comes_next(house: Told) -> None:
    await run(house, range(1, 5))
    await house.run("+5m", ran(1.0), check="health", service="shop")
    async with visited(house) as client:
        page = await text(client, "/services/shop/rules/slow")
        assert "above 1" in page
        assert "for: 0s of 2m" in page
        assert "opens <time" in page
        assert 'action="/services/shop/rules/slow/retire"' in page


async def test_a_rule_over_many_series_is_shown_page_by_page(tmp_path: Path) -> None:
    service = a_service(a_rule("any"))
    async with told(tmp_path / "data", a_configuration(service)) as house:
        measured = tuple(Measurement("value", float(n), (("n", f"{n:04}"),)) for n in range(2_000))
        await house.run("+1m", Observation(Outcome.OK, measurements=measured), check="health", service="shop")
        async with visited(house) as client:
            seen: list[str] = []
            path = "/services/shop/rules/any"
            for _ in range(3):
                page = await text(client, path)
                assert len(page) < 300_000
                seen += re.findall(r"n=&#34;(\d{4})&#34;", page)
                further = re.search(r'rel="next" href="([^"]*)"', page)
                assert further is not None
                path = f"/services/shop/rules/any{further[1].replace('&amp;', '&')}"
            assert seen == [f"{n:04}" for n in range(300)]
            page = await text(client, "/services/shop")
            assert len(page) < 300_000
            assert "1998 breached, 2 healthy" in page
            begun = perf_counter()
            await text(client, "/services/shop")
            # A machine that is busy with other tests is given room: alone it takes a tenth of this.
            assert perf_counter() - begun < 2


async def test_a_rule_is_retired_on_its_page(house: Told) -> None:
    await run(house, range(1, 3))
    async with visited(house) as client:
        given = {"reason": "no longer needed", "by": "ada"}
        async with client.post("/services/shop/rules/slow/retire", data=given, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["location"]) == (303, "/services/shop/rules/slow")
        page = await text(client, "/services/shop/rules/slow")
        assert "retired" in page
        assert "Retire for ever" not in page


async def test_what_is_left_of_budgets_is_shown_beside_the_page(house: Told) -> None:
    await run(house, range(1, 61))
    async with visited(house) as client:
        page = await text(client, "/services/shop/budgets")
    assert "90 % over 1d" in page
    assert 'id="budgets"' in page

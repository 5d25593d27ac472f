"""The pages of silences and planned work: a silence is tried, made, made longer and ended, and what is on is shown."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from service_monitoring.domain.instants import HOUR, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.schedules import Weekly
from service_monitoring.domain.silences import Wanted
from service_monitoring.ports import Ended
from service_monitoring.testing.builders import instant, span
from service_monitoring.views.silences import SilencePage
from tests.web.desks import Told, told
from tests.web.pages import Browser, Page, console
from tests.web.test_incident_pages import HOSTILE, many, see_all

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

SHOP = Matcher("service", MatchOperator.EQUALS, "shop")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", many(6)) as house:
        yield house


@pytest.fixture
async def browser(house: Told, door: Path) -> AsyncIterator[Browser]:
    async with console(house.desk, door) as browser:
        yield browser


def confirmed(page: Page) -> dict[str, list[str]]:
    """What the form that makes the silence would send."""
    (form,) = re.findall(r'<form method="post" action="/silences/new">(.*?)</form>', page.html, re.DOTALL)
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="([^"]*)" value="([^"]*)"', form):
        if name != "csrf":
            fields.setdefault(name if name != "for" else "for_", []).append(unescape(value))
    return fields


async def test_a_silence_is_made_as_it_was_previewed_and_holds_what_the_preview_named(
    house: Told, browser: Browser
) -> None:
    await see_all(house, "+1m", ["shop", *(f"s{each:03}" for each in range(6))])
    await house.fail("+2m", service="s002")
    query = urlencode([("matcher", 'service=~"s00[1-3]"\nrule=slow'), ("for", "1h"), ("comment", "new disk")])
    page = await browser.get(f"/silences/new?{query}")
    assert "3 open incidents now, 0 that ended in the last week" in page.text
    named = set(re.findall(r'href="/incidents/([0-9a-f]{16})"', page.html))
    assert await house.desk.silences(ended=Ended.SHOWN) == []
    made = await browser.post("/silences/new", **confirmed(page))
    assert made.address == "/silences?said=silenced" and "Silenced." in made.text
    assert 'service=~"s00[1-3]"' in made.text and "ada: new disk" in made.text
    await house.alive("+3m")
    (silence,) = house.monitor.course.silences()
    held = set()
    for row in await house.desk.incidents(states=(), service=None, limit=100):
        labels = {"service": row.service, "rule": row.rule}
        if silence.holds(labels, instant("+3m")):
            held.add(row.id)
    assert held == named and len(named) == 3


async def test_a_silence_is_begun_from_an_incident(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    page = await browser.get(f"/silences/new?incident={await house.the_id()}")
    assert confirmed(page)["matcher"] == ['service="shop"', 'rule="slow"']
    assert "1 open incident now" in page.text
    assert (await browser.get("/silences/new?incident=0000000000000000")).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Nothing says what is to be silenced"),
        ({"matcher": "shop"}, '"shop" is not a matcher'),
        ({"matcher": 'service=~"("'}, "is not a pattern"),
        ({"matcher": "service=shop", "for_": "soon"}, '"soon" is not a duration'),
        ({"matcher": "service=shop", "for_": "1h", "until": "2026-01-09"}, "fill in one of them"),
        ({"matcher": "service=shop", "until": "later"}, "write 2026-01-05"),
        ({"matcher": "service=shop", "for_": "", "until": "2020-01-01", "comment": "x"}, "has ended before it begins"),
        ({"matcher": "service=shop"}, "A silence without a word about why"),
        ({"matcher": "rule!=slow", "comment": "x"}, "These matchers silence everything"),
        ({"matcher": "\n".join(["service=shop"] * 101), "comment": "x"}, "too many matchers"),
        ({"matcher": "service=" + "x" * 2_000, "comment": "x"}, "too many matchers, or one is too long"),
    ],
    ids=[
        "nothing",
        "no matcher",
        "no pattern",
        "no length",
        "both",
        "no end",
        "over",
        "no word",
        "everything",
        "many",
        "long",
    ],
)
async def test_what_cannot_be_silenced_comes_back_with_a_sentence(
    house: Told, browser: Browser, fields: dict[str, str], said: str
) -> None:
    page = await browser.post("/silences/new", **fields)
    assert page.status in {409, 422} and said in page.alert
    assert await house.desk.silences(ended=Ended.SHOWN) == []


async def test_a_silence_is_made_longer_and_nothing_is_told_in_between(house: Told, browser: Browser) -> None:
    made = await house.desk.silence(Wanted((SHOP,), "grace", "new database", lasts=HOUR))
    page = await browser.post("/silences", act="extend", id=made.id, for_="30m")
    assert page.address == "/silences?said=extended" and "The silence ends later." in page.text
    (longer,) = await house.desk.silences(ended=Ended.LEFT_OUT)
    assert (longer.matchers, longer.author, longer.comment) == (made.matchers, "ada", "new database")
    assert Instant.parse(longer.ends).since(Instant.parse(made.ends)) == Duration(HOUR // 2)
    (ended,) = await house.desk.silences(ended=Ended.SHOWN, page=SilencePage("ended"))
    assert ended.id == made.id and longer.begins <= ended.ends
    assert (await browser.post("/silences", act="extend", id=longer.id, for_="x")).status == 422
    late = await browser.post("/silences", act="extend", id=made.id, for_="1h")
    assert late.status == 409 and "make another one" in late.alert


async def test_what_is_planned_stays_planned_when_it_is_made_longer(house: Told) -> None:
    made = await house.desk.silence(Wanted((SHOP,), "grace", "later", instant("+5h"), lasts=HOUR))
    longer = await house.desk.extend(made.id, "ada", HOUR)
    assert (longer.state, longer.begins) == ("pending", made.begins)
    assert Instant.parse(longer.ends).since(Instant.parse(longer.begins)) == Duration(2 * HOUR)


async def test_a_silence_is_ended_once(house: Told, browser: Browser) -> None:
    made = await house.desk.silence(Wanted((SHOP,), "grace", "deploy", lasts=HOUR))
    page = await browser.post("/silences", act="expire", id=made.id)
    assert page.address == "/silences?said=ended" and "No silences here." in page.text
    assert "(ended by ada)" in (await browser.get("/silences?state=ended")).text
    late = await browser.post("/silences", act="expire", id=made.id)
    assert late.status == 409 and f"The silence {made.id} ended at" in late.alert
    assert (await browser.post("/silences", act="expire", id="0000")).status == 404
    assert (await browser.post("/silences", act="burn", id=made.id)).status == 422


async def test_lists_show_what_is_active_planned_and_ended(house: Told, browser: Browser) -> None:
    await house.desk.silence(Wanted((SHOP,), "ada", "the first", lasts=HOUR))
    await house.desk.silence(Wanted((SHOP,), "ada", "the second", instant("+5h"), lasts=HOUR))
    over = await house.desk.silence(Wanted((SHOP,), "ada", "the third", lasts=HOUR))
    await house.desk.expire(over.id, "ada")
    words = ("the first", "the second", "the third")
    for state, shown in {"": (1, 1, 0), "active": (1, 0, 0), "pending": (0, 1, 0), "ended": (0, 0, 1)}.items():
        page = await browser.get(f"/silences?state={state}" if state else "/silences")
        assert tuple(word in page.text for word in words) == tuple(map(bool, shown)), state
    assert (await browser.get("/silences?state=x")).status == 422


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_people_write_about_a_silence_stays_text(house: Told, browser: Browser, text: str) -> None:
    written = text[:900]
    matchers = (Matcher("service", MatchOperator.EQUALS, written),)
    await house.desk.silence(Wanted(matchers, written[:200], text[:4_000], lasts=HOUR))
    query = urlencode({"matcher": f"service={written}", "comment": text[:2_000], "for": text[:64]})
    for path in ("/silences", f"/silences/new?{query}", f"/silences/new?matcher=service%3Dx&comment={query[:500]}"):
        page = await browser.get(path)
        assert page.status < 500 and page.active == []


async def test_planned_work_is_shown_with_what_is_on_and_what_comes(house: Told, browser: Browser) -> None:
    await house.see("+1m", 2)
    works = (
        Maintenance("restart", (SHOP,), Once(instant("-1h"), instant("+3h")), comment="planned"),
        Maintenance("kernel", (), Once(instant("+1d"), instant("+2d")), after_failure=span("20m")),
        Maintenance("gone", (SHOP,), Once(instant("-2d"), instant("-1d"))),
        Maintenance("weekly", (SHOP,), Weekly("Europe/Berlin", 6, 180), HOUR),
    )
    await house.configure("+2m", replace(many(6), maintenances=works))
    async with browser.http.get("/api/v1/maintenance") as response:
        restart, kernel, gone, weekly = await response.json()
    assert [each["begins"][:16] for each in weekly["ahead"]] == [f"2026-01-{day}T02:00" for day in (11, 18, 25)]
    assert restart["current"] == {"begins": str(instant("-1h")), "ends": str(instant("+3h"))}
    assert (restart["matchers"], restart["incidents"], restart["ahead"]) == (['service="shop"'], 1, [])
    assert (kernel["current"], kernel["lasts_after_failure"], kernel["matchers"]) == (None, 1200.0, [])
    assert kernel["ahead"] == [{"begins": str(instant("+1d")), "ends": str(instant("+2d"))}]
    assert (gone["current"], gone["ahead"], gone["seconds"]) == (None, [], 86_400.0)
    page = await browser.get("/silences")
    assert "restart planned" in page.text and "on until 2026-01-05 03:00:00 UTC 1 open incident" in page.text
    assert "kernel everything not now 2026-01-06 00:00:00 UTC to 2026-01-07" in page.text
    assert "none within a year" in page.text

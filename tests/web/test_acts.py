"""Links in notices at the real door: looking changes nothing, the button does it, and no other link does anything."""

import asyncio
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from service_monitoring.bootstrap import StoreDesk
from service_monitoring.bootstrap.intake import Gate
from service_monitoring.bootstrap.links import KEY, StoreLinks, the_key
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Input
from service_monitoring.domain.instants import DAY, MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import Unavailable, Unusable
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.limits import Limit, Limits
from service_monitoring.testing.builders import a_configuration, a_rule, a_service, instant
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.web.acts import Acts
from service_monitoring.web.door import Door
from service_monitoring.web.serve import serve_door
from service_monitoring.wire.links import Permission, Signer
from tests.web.desks import Told, told
from tests.web.served import for_the_owner

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

NEVER = Instant.parse("2200-01-01T00:00:00Z")
SUMMARY = "<b>slow</b> & {{ service }}"


class House:
    """An incident that is open, a key, and the door where links lead."""

    def __init__(self, behind: Told, signer: Signer, url: str, http: aiohttp.ClientSession, incident: str) -> None:
        self.behind = behind
        self.signer = signer
        self.url = url
        self.http = http
        self.incident = incident

    def token(self, act: Act = Act.ACKNOWLEDGE, *, incident: str = "", until: Instant = NEVER) -> str:
        return self.signer.token(Permission(incident or self.incident, act, "ops", until))

    async def ask(self, method: str, token: str, **form: str) -> tuple[int, str]:
        async with self.http.request(method, f"/act/{token}", data=form or None) as response:
            return response.status, await response.text()

    async def now(self) -> IncidentRow:
        return (await self.behind.desk.incident(self.incident)).incident

    async def journal(self) -> int:
        return len([each async for each in self.behind.store.inputs()])


@asynccontextmanager
async def opened(folder: Path, limits: Limits | None = None, *, full: bool = False) -> AsyncIterator[House]:
    turn = asyncio.Lock()

    async def ask(what: Input) -> None:
        if full:
            raise Unavailable("the disk is full")
        async with turn:
            await behind.tell_now(what)

    configuration = a_configuration(a_service(replace(a_rule("slow"), summary=SUMMARY)))
    async with told(folder, configuration) as behind:
        await behind.see("+10s", 2)
        incident = await behind.the_id()
        clock = SimulatedClock()
        door = Door("127.0.0.1", 0).open()
        url = f"http://{door.address}"
        signer = Signer(the_key(folder), url)
        desk = StoreDesk(behind.store, course=lambda: behind.monitor.course, ask=ask)
        links = StoreLinks(signer, desk, clock, Gate(SystemClock(), limits))
        serving = asyncio.create_task(serve_door(Acts(links, for_the_owner(desk)), door, lambda: None))
        try:
            async with aiohttp.ClientSession(url) as http:
                yield House(behind, signer, url, http, incident)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path / "data") as house:
        yield house


# What a link does -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "question", "answer", "state"),
    [
        (Act.ACKNOWLEDGE, "Acknowledge shop.slow?", "Acknowledged: shop.slow", State.ACKNOWLEDGED),
        (Act.RESOLVE, "Resolve shop.slow?", "Resolved: shop.slow", State.RESOLVED),
    ],
)
async def test_a_link_asks_and_its_button_does_it(
    house: House, act: Act, question: str, answer: str, state: State
) -> None:
    status, page = await house.ask("GET", house.token(act))
    assert status == 200 and question in page and "<button>" in page
    assert (await house.now()).state == State.OPEN
    status, page = await house.ask("POST", house.token(act), by="ada <b>")
    assert (status, (await house.now()).state) == (200, state)
    assert answer in page and "<form" not in page
    last = (await house.behind.desk.incident(house.incident)).transitions[-1]
    assert (last.what, last.by) == (state, "ada <b> (the link sent to ops)")


async def test_a_link_acts_without_a_name_too(house: House) -> None:
    assert (await house.ask("POST", house.token()))[0] == 200
    assert (await house.behind.desk.incident(house.incident)).transitions[-1].by == "the link sent to ops"


@pytest.mark.parametrize("name", ["", "   ", "a" * 3_000, "\udcff".encode(errors="replace").decode(), "a\r\nb\x1b[2J"])
async def test_whatever_is_typed_as_a_name_acts_and_is_harmless(house: House, name: str) -> None:
    assert (await house.ask("POST", house.token(), by=name))[0] == 200
    by = (await house.behind.desk.incident(house.incident)).transitions[-1].by
    assert by.endswith(("the link sent to ops", "(the link sent to ops)"))
    assert by.isprintable() and len(by) < 150


async def test_a_form_that_is_none_acts_and_one_that_is_too_large_does_not(house: House) -> None:
    async with house.http.post(f"/act/{house.token()}", data=b"&" * 5_000) as response:
        assert response.status == 413
    assert (await house.now()).state == State.OPEN
    async with house.http.post(f"/act/{house.token()}", data=b"\xff&=&a=b&c=d&e=f&g=h&i=j") as response:
        assert response.status == 200


# What does nothing ----------------------------------------------------------------------------------------------------


async def test_looking_at_links_a_hundred_times_changes_nothing(tmp_path: Path) -> None:
    """Mail programs, chat servers and virus scanners fetch every link of a message, and again."""
    async with opened(tmp_path / "data") as house:
        before, records = await house.behind.desk.incident(house.incident), await house.journal()
        pages = set()
        for method in ("GET", "HEAD"):
            for act in (Act.ACKNOWLEDGE, Act.RESOLVE):
                for _ in range(25):
                    status, page = await house.ask(method, house.token(act))
                    assert status == 200
                    pages.add(page)
        assert len(pages) == 3, "one of each act, and nothing at all for HEAD"
        assert await house.behind.desk.incident(house.incident) == before
        assert await house.journal() == records


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_do_nothing(house: House, method: str) -> None:
    async with house.http.request(method, f"/act/{house.token()}") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert (await house.now()).state == State.OPEN


async def test_a_page_runs_nothing_fetches_nothing_is_kept_nowhere_and_tells_nobody(house: House) -> None:
    for token, method in (
        (house.token(), "GET"),
        ("no-token", "GET"),
        (house.token(), "POST"),
        (house.token(), "POST"),
    ):
        async with house.http.request(method, f"/act/{token}") as response:
            page, headers = await response.text(), response.headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; form-action 'self'; frame-anc")
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Set-Cookie" not in headers
        assert not re.search(r"<script|<style|<img|<link|http-equiv|\bon[a-z]+=|autofocus|href|src=|action=", page)
        assert token not in page


async def test_what_others_wrote_is_shown_as_text(house: House) -> None:
    _, page = await house.ask("GET", house.token())
    assert "&lt;b&gt;slow&lt;/b&gt; &amp; shop" in page and "<b>" not in page


# Attacks --------------------------------------------------------------------------------------------------------------


async def refused(house: House, token: str) -> tuple[int, str]:
    """What a link is answered, the same by every method; nothing has changed."""
    before, records = await house.now(), await house.journal()
    (status, page), answer = await house.ask("GET", token), await house.ask("POST", token, by="eve")
    assert answer == (status, page)
    assert (await house.ask("HEAD", token))[0] == status
    assert (await house.now(), await house.journal()) == (before, records)
    return status, page


async def test_every_link_that_is_not_ours_is_answered_in_the_same_words(house: House) -> None:
    token = house.token()
    content, _, seal = token.partition(".")
    other, _, _ = house.token(Act.RESOLVE).partition(".")
    longer, _, _ = house.token(until=NEVER.plus(SECOND)).partition(".")
    foreign = Signer(b"k" * 64, house.url).token(Permission(house.incident, Act.ACKNOWLEDGE, "ops", NEVER))
    elsewhere, _, _ = house.token(incident="fedcba9876543210").partition(".")
    tokens = [
        *(f"{each}.{seal}" for each in (other, longer, elsewhere, content[:-1], content + "A")),
        *(f"{content}.{seal[:-1]}", f"{content}.{seal}=", f"{content}.", f".{seal}", content, seal),
        *(foreign, "nothing", "a" * 3_000, f"{token}/", f"{token}/x", token.swapcase(), "%00", "%ff.%ff", ""),
    ]
    answers = {await refused(house, each) for each in tokens}
    ((status, page),) = answers
    assert status == 404 and "This link opens nothing: it is not whole, or not from here." in page


async def test_a_link_of_an_incident_that_is_not_there_opens_nothing(house: House) -> None:
    assert (await refused(house, house.token(incident="fedcba9876543210")))[0] == 404


@pytest.mark.parametrize("act", [Act.SNOOZE, Act.ASSIGN, Act.NOTE])
async def test_no_link_permits_what_is_never_offered(house: House, act: Act) -> None:
    assert (await refused(house, house.token(act)))[0] == 404


async def test_a_link_ends_at_its_instant(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as house:
        # The clock of the house stands at the beginning of its time.
        now = SimulatedClock().now()
        status, page = await refused(house, house.token(until=now))
        assert status == 410 and "This link has expired: take that of a newer notice." in page
        assert (await refused(house, house.token(until=now.plus(Duration(-DAY)))))[0] == 410
        assert (await house.ask("GET", house.token(until=now.plus(SECOND))))[0] == 200


async def test_a_link_for_one_act_does_not_do_the_other(house: House) -> None:
    await house.ask("POST", house.token(Act.ACKNOWLEDGE))
    assert (await house.now()).state == State.ACKNOWLEDGED


async def test_a_link_that_was_used_says_so_and_does_it_once(house: House) -> None:
    assert (await house.ask("POST", house.token(), by="ada"))[0] == 200
    records = await house.journal()
    status, page = await house.ask("POST", house.token(), by="eve")
    assert status == 409 and "This incident is acknowledged already." in page
    status, page = await house.ask("GET", house.token())
    assert status == 200 and "This incident is acknowledged already." in page and "<form" not in page
    assert await house.journal() == records


async def test_a_link_of_an_incident_that_is_over_says_so(house: House) -> None:
    await house.behind.see("+20s", 0)
    for act in (Act.ACKNOWLEDGE, Act.RESOLVE):
        status, page = await house.ask("GET", house.token(act))
        assert status == 200 and "<form" not in page
        assert f"This incident is over: it was resolved at {instant('+20s')}" in page
        status, page = await house.ask("POST", house.token(act))
        assert status == 409 and "This incident is over" in page


async def test_a_link_of_one_incident_does_nothing_to_the_next(house: House) -> None:
    await house.behind.see("+20s", 0)
    await house.behind.see("+30s", 2)
    assert (await house.ask("POST", house.token(Act.RESOLVE)))[0] == 409
    newest, _ = await house.behind.desk.incidents(states=(), service=None, limit=2)
    assert newest.state == State.OPEN and newest.id != house.incident


async def test_many_who_press_at_once_do_it_once(house: House) -> None:
    answers = await asyncio.gather(*(house.ask("POST", house.token(), by=f"person {n}") for n in range(5)))
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409, 409]


async def test_whoever_guesses_is_slowed_down_and_those_with_a_link_are_not(tmp_path: Path) -> None:
    limits = Limits(strangers=Limit(MINUTE, burst=3))
    async with opened(tmp_path / "data", limits) as house:
        assert [(await house.ask("GET", f"guess{n}"))[0] for n in range(3)] == [404, 404, 404]
        async with house.http.get("/act/guess") as response:
            assert response.status == 429 and int(response.headers["Retry-After"]) > 0
        assert (await house.ask("GET", house.token()))[0] == 200


async def test_one_channel_whose_links_come_too_often_is_told_to_come_later(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", Limits(sender=Limit(MINUTE, burst=2))) as house:
        assert [(await house.ask("GET", house.token()))[0] for _ in range(3)] == [200, 200, 429]


async def test_an_act_that_cannot_be_stored_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", full=True) as house:
        async with house.http.post(f"/act/{house.token()}") as response:
            page = await response.text()
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert "The disk is full." in page


async def test_what_is_beside_the_links_is_as_it_was(house: House) -> None:
    async with house.http.get("/healthz") as response:
        assert (response.status, await response.text()) == (200, "ok\n")
    for path in ("/act", "/acts/x", "/"):
        async with house.http.get(path) as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")


# The key --------------------------------------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = the_key(tmp_path)
    assert re.fullmatch(rb"[0-9a-f]{64}", first)
    assert the_key(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [KEY]
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert the_key(tmp_path / "other") != first


def test_a_key_that_others_could_read_is_closed_and_one_that_was_cut_short_before_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / KEY).with_suffix(".partial").write_text("half")
    first = the_key(tmp_path)
    (tmp_path / KEY).chmod(0o644)
    assert the_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600


def test_a_damaged_key_is_unusable(tmp_path: Path) -> None:
    (tmp_path / KEY).write_text("")
    with pytest.raises(Unusable, match="remove it"):
        the_key(tmp_path)
    with pytest.raises(Unavailable):
        the_key(tmp_path / "nowhere")

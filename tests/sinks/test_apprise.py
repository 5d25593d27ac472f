"""The channel `apprise`, with the library itself and a server on this machine that one of its services speaks to."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest
from pydantic import ValidationError

from service_monitoring.domain.notices import Facts, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Accepted, Answer, Later, Message, Surroundings, Template, Uncertain
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks import apprise
from service_monitoring.sinks.apprise import THREADS, AppriseSink, Kind, Options
from service_monitoring.testing.sink_laws import (
    SHORT,
    Behaviour,
    FarSide,
    Received,
    SinkLaws,
    a_deadline,
    a_notice,
)
from tests.sinks.servers import HttpServer, Served, free_port

# One of the library's own services asks for a module that Python is about to lose, and does without it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

WORLD = Surroundings(SystemClock(), AddressPolicy())
SECRET = "T0PSECRETT0PSECRET"
KEYS = {notice.facts.incident: notice.key for notice in map(a_notice, range(8))}


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


def a_sink(kind: Kind, port: int, path: str = "hook", **parameters: str) -> AppriseSink:
    query = "".join(f"&{name}={value}" for name, value in parameters.items())
    options = Options.model_validate({"apprise": f"json://127.0.0.1:{port}/{path}?overflow=upstream{query}"})
    return kind.open_sink(options, surroundings=WORLD)


async def answer_to(sink: AppriseSink) -> Answer:
    return await sink.send(sink.render(a_notice()), a_deadline())


def told(server: HttpServer, number: int = 0) -> dict[str, str]:
    content: dict[str, str] = json.loads(server.requests[number].partition(b"\r\n\r\n")[2])
    return content


class Told(Served):
    """The library sends no key of ours: a notice is known by the incident that its text names."""

    @property
    def received(self) -> list[Received]:
        found = []
        for request in self.server.received:
            text = json.loads(request.content.partition(b"\r\n\r\n")[2])["message"]
            found.append(Received(KEYS[text.rpartition("Incident ")[2]], request.content))
        return found

    @received.setter
    def received(self, received: list[Received]) -> None:
        """What the server has is what was received."""


class TestLaws(SinkLaws):
    """Those of every sink; those of one that can be ended at once it cannot keep."""

    @pytest.fixture
    async def far_side(self, kind: Kind, server: HttpServer) -> FarSide:
        return Told(server, a_sink(kind, server.port), a_sink(kind, free_port()))


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_yes_is_accepted(kind: Kind, server: HttpServer, status: int) -> None:
    server.answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    assert await answer_to(a_sink(kind, server.port)) == Accepted()


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_no_is_later_whatever_it_means(kind: Kind, server: HttpServer, status: int) -> None:
    server.answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
    answer = await answer_to(a_sink(kind, server.port))
    assert isinstance(answer, Later)
    assert str(status) in answer.detail
    assert len(server.requests) == 1


async def test_a_far_side_that_is_not_there_or_resets_is_later(kind: Kind, server: HttpServer) -> None:
    assert isinstance(await answer_to(a_sink(kind, free_port())), Later)
    server.behaviour = Behaviour.RESET
    assert isinstance(await answer_to(a_sink(kind, server.port)), Later)


async def test_one_that_hangs_may_have_it_and_delays_neither_the_loop_nor_another_channel(
    kind: Kind, server: HttpServer
) -> None:
    async with HttpServer().listening() as hanging:
        hanging.behaviour = Behaviour.HANG
        sink = a_sink(kind, hanging.port, rto="0.3")
        stuck = [sink.send(sink.render(a_notice(number)), a_deadline(SHORT)) for number in range(THREADS)]
        answers = await asyncio.gather(*stuck)
        assert all(isinstance(answer, Uncertain) for answer in answers), answers
        waiting = await sink.send(sink.render(a_notice()), a_deadline(SHORT))
        assert isinstance(waiting, Later)
        assert waiting.detail.endswith("all threads are busy")
        assert isinstance(await answer_to(a_sink(kind, server.port)), Accepted)


async def test_what_arrives_has_a_title_a_text_and_a_type(kind: Kind, server: HttpServer) -> None:
    await answer_to(a_sink(kind, server.port))
    assert {name: told(server)[name] for name in ("title", "message", "type")} == {
        "title": "[critical] shop.down: shop is down: timeout",
        "message": "shop is down: timeout\n\nhttps://wiki.example/down\nIncident 0000000000000001",
        "type": "failure",
    }


@pytest.mark.parametrize(
    ("page", "severity", "expected"),
    [
        (Page.FIRST, Severity.CRITICAL, "failure"),
        (Page.RAISED, Severity.WARNING, "warning"),
        (Page.FLAPPING, Severity.INFO, "info"),
        (Page.RECOVERED, Severity.CRITICAL, "success"),
        (Page.CLOSED, Severity.CRITICAL, "success"),
        (Page.OWNER, Severity.CRITICAL, "warning"),
    ],
)
async def test_a_page_has_a_type_of_the_library(
    kind: Kind, server: HttpServer, page: Page, severity: Severity, expected: str
) -> None:
    sink = a_sink(kind, server.port)
    await sink.send(sink.render(a_notice(page=page, severity=severity)), a_deadline())
    assert told(server)["type"] == expected


async def test_a_message_of_the_builtin_text_can_be_sent_too(kind: Kind, server: HttpServer) -> None:
    sink = a_sink(kind, server.port)
    assert isinstance(await sink.send(Message("k1", "t", "subject", "plain text"), a_deadline()), Accepted)
    assert (told(server)["title"], told(server)["message"]) == ("subject", "plain text")


async def test_a_notice_to_the_owners_is_short(kind: Kind) -> None:
    notice = msgspec.structs.replace(a_notice(page=Page.OWNER), facts=Facts(summary="ops refused a notice"))
    assert a_sink(kind, 1).render(notice).body == "ops refused a notice"


async def test_what_may_be_done_follows_the_channels_own_text(kind: Kind, server: HttpServer) -> None:
    offers = (("acknowledge", "https://monitor.example/act/abc"),)
    template = Template(text="{{ rule }} it is")
    world = Surroundings(SystemClock(), AddressPolicy(), links=lambda notice, channel: offers, template=template)
    options = Options.model_validate({"apprise": f"json://127.0.0.1:{server.port}/hook?overflow=upstream"})
    sink = kind.open_sink(options, surroundings=world)
    assert await answer_to(sink) == Accepted()
    assert told(server)["message"] == "down it is\n\nAcknowledge: https://monitor.example/act/abc"


async def test_no_credential_is_told_shown_or_logged(
    kind: Kind, server: HttpServer, capfd: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record.getMessage())

    server.answer = b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"
    options = Options.model_validate({"apprise": f"json://user:{SECRET}@127.0.0.1:{server.port}/{SECRET}"})
    sink = kind.open_sink(options, surroundings=WORLD)
    message = sink.render(a_notice())
    root, everything = logging.getLogger(), Everything()
    root.addHandler(everything)
    try:
        answer = await sink.send(message, a_deadline())
    finally:
        root.removeHandler(everything)
    assert isinstance(answer, Later)
    said = capfd.readouterr()
    assert SECRET not in f"{answer} {message!r} {options!r} {options.model_dump_json()} {said.out} {said.err} {logged}"


@pytest.mark.parametrize("url", ["", "nope://host", "json://", "not a url", f"unknown-{SECRET}://x"])
def test_a_url_that_the_library_does_not_know_is_refused_unquoted(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Options.model_validate({"apprise": url})
    problem = str(refused.value.errors(include_input=False)[0]["msg"])
    assert SECRET not in problem + capfd.readouterr().err


def test_without_the_library_a_channel_is_refused_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    apprise._library.cache_clear()
    monkeypatch.setitem(sys.modules, "apprise", None)
    try:
        with pytest.raises(ValidationError, match="Apprise is not installed") as refused:
            Options.model_validate({"apprise": "json://127.0.0.1/"})
    finally:
        apprise._library.cache_clear()
    assert "pip install 'service-monitoring[apprise]'" in str(refused.value)


def test_the_library_is_imported_only_when_a_channel_is_read() -> None:
    script = (
        "import sys; from service_monitoring.plugins import SINKS, kinds; kinds(SINKS)['apprise'].options; "
        "sys.exit('apprise' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

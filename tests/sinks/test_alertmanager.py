"""What Alertmanager is told, and what a real one makes of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from pydantic import ValidationError

from service_monitoring.domain.instants import DAY, SECOND, Duration
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Series
from service_monitoring.ports import Accepted, Rejected, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.sinks.alertmanager import Kind, Options
from service_monitoring.testing.sink_laws import a_deadline, a_digest, a_notice
from service_monitoring.wire.links import Signer
from tests.sinks.pagers import ALERTMANAGER, LOCAL
from tests.sinks.servers import free_port

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
QUIET = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


def alert_of(kind: Kind, notice: Notice, **options: Any) -> Any:
    (alert,) = json.loads(ALERTMANAGER.sink(kind, "http://127.0.0.1", **options).render(notice).body)
    return alert


async def test_a_page_is_an_alert_of_documented_fields(kind: Kind) -> None:
    alert = alert_of(kind, a_notice(labels=(("team", "payments"), ("severity", "critical"))), lasts="7d")
    annotations = alert.pop("annotations")
    assert alert == {
        "labels": {
            "alertname": "down",
            "service": "shop",
            "check": "health",
            "metric": "up",
            "rule": "down",
            "team": "payments",
            "zone": "a",
        },
        "startsAt": "2026-01-05T09:00:10.123456789Z",
        "endsAt": "2026-01-12T09:00:15.000000000Z",
        "generatorURL": "https://wiki.example/down",
    }
    assert annotations["summary"] == "[critical] shop.down: shop is down: timeout"
    assert annotations["description"] == "shop is down: timeout"
    assert annotations["severity"] == "critical"


async def test_the_labels_are_the_same_from_the_first_page_to_the_end_whatever_the_severity(kind: Kind) -> None:
    told = [
        (page, severity) for page in (Page.FIRST, Page.RAISED, Page.RECOVERED, Page.CLOSED) for severity in Severity
    ]
    notices = [a_notice(page=page, severity=each, labels=(("severity", each),)) for page, each in told]
    assert len({str(alert_of(kind, notice)["labels"]) for notice in notices}) == 1


async def test_two_series_of_one_rule_are_two_alerts(kind: Kind) -> None:
    first, second = (
        alert_of(kind, a_notice(series=Series("shop", "health", "up", (("zone", zone),)))) for zone in ("a", "b")
    )
    assert first["labels"] != second["labels"]


async def test_flapping_is_an_alert_beside_that_of_the_incident(kind: Kind) -> None:
    incident, begun, ended = (alert_of(kind, a_notice(page=page)) for page in (Page.FIRST, Page.FLAPPING, Page.STEADY))
    assert incident["labels"] != begun["labels"] == ended["labels"]
    assert ended["endsAt"] == "2026-01-05T09:00:15.000000000Z"


async def test_an_end_is_when_the_incident_ended_and_never_before_it_began(kind: Kind) -> None:
    notice = a_notice(page=Page.RECOVERED)
    opened = notice.facts.opened_at
    assert opened is not None
    for after, ends in ((30 * SECOND, 30 * SECOND), (-30 * SECOND, 0)):
        over = a_notice(page=Page.RECOVERED, ended_at=opened.plus(Duration(after)))
        assert alert_of(kind, over)["endsAt"] == str(opened.plus(Duration(ends)))


async def test_who_routes_by_severity_adds_it_as_a_label(kind: Kind) -> None:
    alert = alert_of(kind, a_notice(), labels={"severity": "page", "team": "ops"})
    assert (alert["labels"]["severity"], alert["labels"]["team"]) == ("page", "ops")


async def test_each_incident_of_several_is_an_alert_with_its_own_words_and_end(kind: Kind) -> None:
    notice = a_digest("open", "open", "resolved", page=Page.UPDATED)
    message = ALERTMANAGER.sink(kind, "http://127.0.0.1", lasts="7d").render(notice)
    alerts = json.loads(message.body)
    told = [(alert["labels"]["rule"], alert["endsAt"][:19], alert["annotations"]["summary"]) for alert in alerts]
    assert told == [
        ("slow", "2026-01-05T09:00:14", "[recovered] shop.slow: shop is down: timeout"),
        ("down", "2026-01-12T09:00:15", "[critical, updated] shop.down: shop is down: timeout"),
        ("slow", "2026-01-12T09:00:15", "[warning, updated] shop.slow: shop is down: timeout"),
    ]
    assert message.subject.startswith("[critical, updated] 2 open, 1 over, ")


async def test_an_incident_has_the_same_labels_alone_and_among_others(kind: Kind) -> None:
    sink = ALERTMANAGER.sink(kind, "http://127.0.0.1")
    together = json.loads(sink.render(a_digest("open", "open")).body)
    alone = json.loads(sink.render(a_digest("open")).body)
    assert alone[0]["labels"] in [alert["labels"] for alert in together]


async def test_links_are_those_of_the_incident_that_an_alert_is_about(kind: Kind) -> None:
    signer = Signer(b"0123456789abcdef" * 4, "https://monitor.example")
    world = Surroundings(SystemClock(), LOCAL, links=signer.links)
    message = ALERTMANAGER.sink_in(world, kind, "http://127.0.0.1").render(a_digest("open", "open"))
    permitted = [
        signer.read(alert["annotations"]["acknowledge"].rpartition("/")[2]) for alert in json.loads(message.body)
    ]
    assert {each.incident for each in permitted if each} == {a_notice(1).facts.incident, a_notice(2).facts.incident}


@pytest.mark.parametrize(
    "wrong",
    [{"lasts": "0s"}, {"lasts": 5}, {"labels": {"a-b": "c"}}, {"headers": {"A": "b\r\nc"}}, {"nonsense": 1}],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"alertmanager": "http://127.0.0.1:9093"} | wrong)


class Real:
    """An Alertmanager of its own, with nobody to tell."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"

    async def alerts(self) -> list[Any]:
        """The alerts that it holds for active."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.root}/api/v2/alerts") as response:
            alerts: list[Any] = await response.json()
            return alerts

    async def is_ready(self) -> bool:
        try:
            await self.alerts()
        except aiohttp.ClientError:
            return False
        return True

    async def settled(self, count: int) -> list[Any]:
        """Its alerts, when there are so many: it takes them in a moment after it has said so."""
        while len(alerts := await self.alerts()) != count:
            await asyncio.sleep(0.02)
        return alerts


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Real]:
    assert PROGRAM is not None
    (tmp_path / "alertmanager.yml").write_text(QUIET)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [PROGRAM, f"--config.file={tmp_path / 'alertmanager.yml'}", f"--storage.path={tmp_path / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Real(port)
    finally:
        running.kill()
        running.wait()


@pytest.fixture
async def real(process: Real) -> Real:
    while not await process.is_ready():
        await asyncio.sleep(0.02)
    return process


def lately(notice: Notice) -> Notice:
    """The notice, decided now about what began a minute ago, and ended right after if it is over."""
    now = SystemClock().now()
    begun = now.plus(Duration(-60 * SECOND))
    first, *others = (
        msgspec.structs.replace(facts, opened_at=begun, ended_at=facts.ended_at and begun.plus(Duration(SECOND)))
        for facts in (notice.facts, *notice.others)
    )
    return msgspec.structs.replace(notice, decided_at=now, facts=first, others=tuple(others))


needs_program = pytest.mark.skipif(
    PROGRAM is None, reason="Alertmanager is not installed: Debian's package prometheus-alertmanager"
)


@needs_program
async def test_a_real_alertmanager_keeps_one_alert_until_its_end(kind: Kind, real: Real) -> None:
    sink = ALERTMANAGER.sink(kind, real.root, lasts="7d")
    for page, severity in ((Page.FIRST, Severity.WARNING), (Page.RAISED, Severity.CRITICAL)):
        message = sink.render(lately(a_notice(page=page, severity=severity)))
        assert isinstance(await sink.send(message, a_deadline()), Accepted)
        (alert,) = await real.settled(1)
        assert alert["status"]["state"] in {"active", "unprocessed"}
        assert alert["labels"]["alertname"] == "down"
    while (await real.alerts())[0]["annotations"]["severity"] != "critical":
        await asyncio.sleep(0.02)
    message = sink.render(lately(a_notice(page=Page.RECOVERED)))
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert await real.settled(0) == []


@needs_program
@pytest.mark.parametrize("page", list(Page))
async def test_a_real_alertmanager_takes_every_page(kind: Kind, real: Real, page: Page) -> None:
    sink = ALERTMANAGER.sink(kind, real.root)
    strange = lately(a_notice(page=page, labels=(("team", "größe\n\x00 \U0001f525"), ("empty", ""))))
    answer = await sink.send(sink.render(strange), a_deadline())
    assert isinstance(answer, Accepted), answer


@needs_program
async def test_a_real_alertmanager_keeps_the_incidents_of_a_group_apart(kind: Kind, real: Real) -> None:
    sink = ALERTMANAGER.sink(kind, real.root, lasts="7d")
    for notice, count in (
        (a_digest("open", "open", "open"), 3),
        (a_digest("open", "resolved", "open", page=Page.UPDATED), 2),
        (a_digest("resolved", "resolved", "closed", page=Page.RECOVERED), 0),
    ):
        message = sink.render(lately(notice))
        assert isinstance(await sink.send(message, a_deadline()), Accepted)
        await real.settled(count)


@needs_program
async def test_what_a_real_alertmanager_refuses_is_refused(kind: Kind, real: Real) -> None:
    sink = ALERTMANAGER.sink(kind, real.root)
    message = msgspec.structs.replace(sink.render(a_notice()), body='[{"labels": {}}]')
    answer = await sink.send(message, a_deadline())
    assert isinstance(answer, Rejected), answer


@needs_program
async def test_an_open_alert_outlasts_the_patience_of_a_real_alertmanager(kind: Kind, real: Real) -> None:
    sink = ALERTMANAGER.sink(kind, real.root, lasts="7d")
    notice = lately(a_notice())
    await sink.send(sink.render(notice), a_deadline())
    (alert,) = await real.settled(1)
    assert alert["endsAt"][:19] == str(notice.decided_at.plus(Duration(7 * DAY)))[:19]

"""What holds for every channel to a system that pages: the laws of sinks, what answers mean, what stays secret."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Answer, Later, Message, Rejected, Surroundings, Template
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.testing.sink_laws import FarSide, NetworkSinkLaws, a_deadline, a_digest, a_notice
from tests.sinks.pagers import LOCAL, OFFERS, PAGERS, SECRET, Api, Pager, answer_to
from tests.sinks.servers import Served, free_port


@pytest.fixture(params=PAGERS, ids=[pager.name for pager in PAGERS])
def pager(request: pytest.FixtureRequest) -> Pager:
    chosen: Pager = request.param
    return chosen


@pytest.fixture
async def kind(pager: Pager) -> AsyncIterator[Any]:
    kind = pager.kind()
    yield kind
    await kind.close()


@pytest.fixture
async def api(pager: Pager) -> AsyncIterator[Api]:
    async with pager.api().listening() as api:
        yield api


class TestLaws(NetworkSinkLaws):
    @pytest.fixture
    async def far_side(self, pager: Pager, kind: Any, api: Api) -> FarSide:
        return Served(api, pager.sink(kind, api.root), pager.sink(kind, f"http://127.0.0.1:{free_port()}"))


@pytest.mark.parametrize("page", list(Page))
async def test_the_interface_takes_every_page(pager: Pager, kind: Any, api: Api, page: Page) -> None:
    assert isinstance(await answer_to(pager.sink(kind, api.root), page=page), Accepted)
    assert isinstance(await answer_to(pager.sink(kind, api.root), page=page, state="acknowledged"), Accepted)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, Accepted) for status in (200, 201, 202, 204)),
        *((status, Later) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, Rejected) for status in (301, 307, 400, 401, 402, 403, 404, 405, 410, 413, 422)),
    ],
)
async def test_every_status_has_its_meaning(
    pager: Pager, kind: Any, api: Api, status: int, expected: type[Answer]
) -> None:
    api.told = (status, "")
    answer = await answer_to(pager.sink(kind, api.root))
    assert type(answer) is expected
    assert str(status) in answer.detail
    assert len(api.requests) == 1


async def test_a_refusal_is_told_in_one_line_without_the_key(pager: Pager, kind: Any, api: Api) -> None:
    api.told = (403, f"no such key {SECRET}\r\n\x1b[2Jnext line")
    answer = await answer_to(pager.sink(kind, api.root))
    assert answer == Rejected("403 Forbidden: no such key (secret)\\r \\x1b[2Jnext line")


async def test_a_key_is_only_on_the_wire(pager: Pager, kind: Any, api: Api) -> None:
    options = kind.options.model_validate(pager.keys(api.root))
    sink = pager.sink(kind, api.root)
    message = sink.render(a_notice())
    assert SECRET not in f"{options!r} {options.model_dump_json()} {message!r}"
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert SECRET.encode() in api.requests[0]


@pytest.mark.parametrize("text", ["x" * 100_000, "🔥" * 20_000, "\x00\x1b[2J\ud800" * 5000, 'a"b\\c\n' * 5000])
async def test_however_long_or_strange_a_notice_is_the_interface_takes_it(
    pager: Pager, kind: Any, api: Api, text: str
) -> None:
    labels = tuple((f"label_{number}", text[:200]) for number in range(40))
    evidence = Evidence(detail=text)
    answer = await answer_to(
        pager.sink(kind, api.root),
        summary="{{ detail }}{{ detail }}",
        runbook="{{ detail }}",
        evidence=evidence,
        labels=labels,
        service="s",
    )
    assert isinstance(answer, Accepted), answer


async def test_a_far_side_cannot_write_fields_or_headers(pager: Pager, kind: Any, api: Api) -> None:
    evil = '", "event_action": "resolve", "alias": "x", "endsAt": "2000-01-01T00:00:00Z", "x": "\r\nX-Evil: yes\r\n\r\n'
    plain, hurt = Evidence(detail="x"), Evidence(detail=evil)
    sink = pager.sink(kind, api.root)
    harmless = sink.render(a_notice(summary="{{ detail }}", evidence=plain))
    message = sink.render(a_notice(summary="{{ detail }}", evidence=hurt))
    assert _keys(json.loads(message.body)) == _keys(json.loads(harmless.body))
    await sink.send(message, a_deadline())
    assert b"\r\nX-Evil" not in api.requests[0]
    assert [alert["status"] for alert in api.alerts.values()] in (["trigger"], ["open"], ["active"])


def _keys(content: Any) -> set[str]:
    if isinstance(content, list):
        return set().union(*map(_keys, content))
    if not isinstance(content, dict):
        return set()
    return set(content) | set().union(*map(_keys, content.values()))


async def test_what_may_be_done_is_told_with_the_alert(pager: Pager, kind: Any, api: Api) -> None:
    world = Surroundings(SystemClock(), LOCAL, links=lambda notice, channel: OFFERS)
    sink = pager.sink_in(world, kind, api.root)
    assert isinstance(await sink.send(sink.render(a_notice()), a_deadline()), Accepted)
    [alert] = api.alerts.values()
    said = f"{alert} {api.requests[0].decode()}"
    assert all(url in said for _, url in OFFERS)


async def test_a_channels_own_text_stands_alone(pager: Pager, kind: Any, api: Api) -> None:
    template = Template("{{ page }} of {{ service }}", "{{ rule }} it is")
    sink = pager.sink_in(Surroundings(SystemClock(), LOCAL, template=template), kind, api.root)
    message = sink.render(a_notice())
    assert message.subject == "first of shop"
    assert "first of shop" in message.body and "down it is" in message.body
    assert not any(name in message.body for name in ("breached_at", 'detail"', 'cause"'))
    assert isinstance(await sink.send(message, a_deadline()), Accepted)


@pytest.mark.parametrize(
    ("notice", "statuses"),
    [
        (a_digest("open", "open"), {"trigger", "open", "active"}),
        (a_digest("acknowledged", "open", page=Page.RAISED), {"trigger", "open", "active"}),
        (a_digest("resolved", "open", page=Page.UPDATED), {"trigger", "open", "active", "resolved"}),
        (a_digest("acknowledged", open=3), {"trigger", "open", "active"}),
    ],
)
async def test_the_alert_of_a_group_stands_while_one_incident_is_open_and_nobodys(
    pager: Pager, kind: Any, api: Api, notice: Notice, statuses: set[str]
) -> None:
    sink = pager.sink(kind, api.root)
    assert isinstance(await sink.send(sink.render(notice), a_deadline()), Accepted)
    assert {alert["status"] for alert in api.alerts.values()} <= statuses
    assert any(alert["status"] != "resolved" for alert in api.alerts.values())


async def test_the_alert_of_a_group_ends_with_the_last_of_its_incidents(pager: Pager, kind: Any, api: Api) -> None:
    sink = pager.sink(kind, api.root)
    told = (a_digest("open", "open"), a_digest("resolved", "closed", page=Page.RECOVERED))
    for notice in told:
        assert isinstance(await sink.send(sink.render(notice), a_deadline()), Accepted)
    assert {alert["status"] for alert in api.alerts.values()} <= {"resolve", "close", "resolved"}


async def test_a_message_of_the_builtin_text_can_be_sent_too(pager: Pager, kind: Any, api: Api) -> None:
    sink = pager.sink(kind, api.root)
    assert isinstance(await sink.send(Message("k1", "t1", "subject", "plain text"), a_deadline()), Accepted)
    assert b"Idempotency-Key: k1" in api.requests[0]
    (alert,) = api.alerts.values()
    assert "plain text" in json.dumps(alert)


async def test_a_notice_to_the_owners_of_the_monitor_is_taken(pager: Pager, kind: Any, api: Api) -> None:
    sink = pager.sink(kind, api.root)
    told = msgspec.structs.replace(a_notice(page=Page.OWNER), facts=Facts(summary="ops refused a notice"))
    assert isinstance(await sink.send(sink.render(told), a_deadline()), Accepted)
    assert "ops refused a notice" in json.dumps([*api.alerts.values()])


async def test_several_notices_of_one_incident_are_one_alert(pager: Pager, kind: Any, api: Api) -> None:
    sink = pager.sink(kind, api.root)
    for page, severity in (
        (Page.FIRST, Severity.WARNING),
        (Page.RAISED, Severity.CRITICAL),
        (Page.RELEASED, Severity.CRITICAL),
    ):
        message = sink.render(a_notice(page=page, severity=severity, labels=(("severity", severity),)))
        assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert len(api.alerts) == 1


@pytest.mark.parametrize("page", [Page.RECOVERED, Page.CLOSED, Page.STEADY])
async def test_an_end_ends_the_alert_that_the_page_began(pager: Pager, kind: Any, api: Api, page: Page) -> None:
    sink = pager.sink(kind, api.root)
    begin = Page.FLAPPING if page is Page.STEADY else Page.FIRST
    for each, state in ((begin, "open"), (page, "resolved")):
        assert isinstance(await sink.send(sink.render(a_notice(page=each, state=state)), a_deadline()), Accepted)
    (alert,) = api.alerts.values()
    assert alert["status"] in {"resolve", "close", "resolved"}


async def test_an_address_that_is_not_permitted_is_never_connected_to(pager: Pager, kind: Any, api: Api) -> None:
    answer = await answer_to(pager.sink(kind, api.root, network=AddressPolicy()))
    assert isinstance(answer, Rejected)
    assert "network.allow" in answer.detail
    assert api.requests == []


async def test_a_path_before_the_interface_is_kept(pager: Pager, kind: Any, api: Api) -> None:
    api.told = (200, "")
    for root in (f"{api.root}/behind/a/proxy", f"{api.root}/behind/a/proxy/"):
        await answer_to(pager.sink(kind, root))
    paths = {request.split(b"\r\n")[0] for request in api.requests}
    assert len(paths) == 1
    assert paths.pop().startswith(b"POST /behind/a/proxy/")


@pytest.mark.parametrize("key", ["", " ", "a\r\nb", "\U0001f525"])
@pytest.mark.parametrize("keyed", PAGERS[:2], ids=["pagerduty", "opsgenie"])
def test_a_key_that_cannot_work_is_refused(keyed: Pager, key: str) -> None:
    with pytest.raises(ValidationError):
        keyed.kind().options.model_validate({keyed.name: key})


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "http://user:pass@example.com", "http://e.com/?a=b", "http://e.com/#a",
     "http://127.1/"],
)  # fmt: skip
def test_an_address_that_cannot_work_is_refused(pager: Pager, url: str) -> None:
    with pytest.raises(ValidationError):
        pager.kind().options.model_validate(pager.keys(url))


@pytest.mark.parametrize("keyed", PAGERS[:2], ids=["pagerduty", "opsgenie"])
def test_a_region_is_one_that_there_is(keyed: Pager) -> None:
    for region in ("us", "eu"):
        keyed.kind().options.model_validate({keyed.name: SECRET, "region": region})
    with pytest.raises(ValidationError):
        keyed.kind().options.model_validate({keyed.name: SECRET, "region": "mars"})

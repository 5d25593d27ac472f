"""What Opsgenie, and what speaks its interface, is told of an incident."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Accepted, Later, Rejected, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.sinks.opsgenie import Kind, Options
from service_monitoring.testing.sink_laws import a_deadline, a_notice
from tests.sinks.pagers import LOCAL, OPSGENIE, SECRET, Api, answer_to


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with OPSGENIE.api().listening() as api:
        yield api


async def test_a_page_is_an_alert_of_documented_fields(kind: Kind, api: Api) -> None:
    sink = OPSGENIE.sink(kind, api.root)
    notice = a_notice()
    message = sink.render(notice)
    content = json.loads(message.body)
    details = content.pop("details")
    assert content == {
        "message": "[critical] shop.down: shop is down: timeout",
        "alias": notice.thread,
        "description": "shop is down: timeout",
        "priority": "P1",
        "source": "service-monitoring",
        "entity": "shop",
        "tags": ["team=payments", "tier=gold"],
    }
    assert details["reason"] == "timeout"
    assert details["incident"] == "0000000000000001"
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    head = api.requests[0].partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("POST /v2/alerts\r\n")
    assert f"Authorization: GenieKey {SECRET}" in head
    assert "Request:" not in head


@pytest.mark.parametrize(
    ("page", "state", "path"),
    [
        (Page.FIRST, "open", "/v2/alerts"),
        (Page.RAISED, "open", "/v2/alerts"),
        (Page.RAISED, "acknowledged", "/v2/alerts/{alias}/acknowledge?identifierType=alias"),
        (Page.RECOVERED, "resolved", "/v2/alerts/{alias}/close?identifierType=alias"),
        (Page.CLOSED, "closed", "/v2/alerts/{alias}/close?identifierType=alias"),
        (Page.STEADY, "flapping", "/v2/alerts/{alias}/close?identifierType=alias"),
    ],
)
async def test_each_page_is_a_request_of_its_own(kind: Kind, api: Api, page: Page, state: str, path: str) -> None:
    sink = OPSGENIE.sink(kind, api.root)
    notice = a_notice(page=page, state=state)
    assert isinstance(await sink.send(sink.render(notice), a_deadline()), Accepted)
    assert api.requests[0].split(b"\r\n")[0].decode() == f"POST {path.format(alias=notice.thread)}"


async def test_an_alert_is_created_counted_acknowledged_and_closed(kind: Kind, api: Api) -> None:
    sink = OPSGENIE.sink(kind, api.root)
    seen = []
    for page, state in (
        (Page.FIRST, "open"),
        (Page.RAISED, "open"),
        (Page.RAISED, "acknowledged"),
        (Page.RECOVERED, "resolved"),
    ):
        assert isinstance(await sink.send(sink.render(a_notice(page=page, state=state)), a_deadline()), Accepted)
        seen += [(alert["status"], alert["count"]) for alert in api.alerts.values()]
    assert seen == [("open", 1), ("open", 2), ("acknowledge", 2), ("close", 2)]
    (alert,) = api.alerts.values()
    assert alert["note"].startswith("[recovered] shop.down")


async def test_the_answers_of_the_interface_have_their_meaning(kind: Kind, api: Api) -> None:
    sink = OPSGENIE.sink(kind, api.root)
    api.told = (202, '{"result":"Request will be processed","took":0.3,"requestId":"43a29c5c"}')
    assert await answer_to(sink) == Accepted("202 Accepted")
    api.told = (422, '{"message":"Request body is not processable."}')
    assert isinstance(await answer_to(sink), Rejected)
    api.told = (429, '{"message":"You are making too many requests!"}')
    assert isinstance(await answer_to(sink), Later)
    api.told = (503, "")
    assert isinstance(await answer_to(sink), Later)


async def test_an_alert_that_is_gone_need_not_be_closed_but_a_page_must_arrive(kind: Kind, api: Api) -> None:
    sink = OPSGENIE.sink(kind, api.root)
    api.told = (404, '{"message":"Alert not found"}')
    ended = await sink.send(sink.render(a_notice(page=Page.RECOVERED)), a_deadline())
    assert ended == Accepted('404 Not Found: {"message":"Alert not found"}')
    assert isinstance(await answer_to(sink), Rejected)


async def test_a_wrong_key_is_refused_and_not_told(kind: Kind, api: Api) -> None:
    answer = await answer_to(OPSGENIE.sink(kind, api.root, opsgenie="WR0NG-WR0NG-WR0NG"))
    assert isinstance(answer, Rejected)
    assert "Key format is not valid: GenieKey (secret)" in answer.detail


async def test_a_severity_has_its_priority_unless_told_otherwise(kind: Kind) -> None:
    sink = OPSGENIE.sink(kind, "http://127.0.0.1", priorities={"critical": "P2"})
    found = [json.loads(sink.render(a_notice(severity=severity)).body)["priority"] for severity in Severity]
    assert dict(zip(Severity, found, strict=True)) == {"info": "P5", "warning": "P3", "critical": "P2"}


async def test_where_the_account_is_decides_where_alerts_go(kind: Kind) -> None:
    for region, host in (("us", "api.opsgenie.com"), ("eu", "api.eu.opsgenie.com")):
        options = Options.model_validate({"opsgenie": SECRET, "region": region})
        sink = kind.open_sink(options, surroundings=Surroundings(SystemClock(), LOCAL))
        assert str(sink.address) == f"https://{host}/v2/alerts"


@pytest.mark.parametrize("wrong", [{"priorities": {"critical": "P0"}}, {"priorities": {"fatal": "P1"}}, {"x": 1}])
def test_options_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"opsgenie": SECRET} | wrong)

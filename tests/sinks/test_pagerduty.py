"""What PagerDuty is told of an incident, from its first page to its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Accepted, Later, Rejected, Sink, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.sinks.pagerduty import Kind, Options
from service_monitoring.testing.sink_laws import a_deadline, a_digest, a_notice
from tests.sinks.pagers import LOCAL, OFFERS, PAGERDUTY, SECRET, Api, answer_to


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with PAGERDUTY.api().listening() as api:
        yield api


def event(sink: Sink, page: Page = Page.FIRST, **facts: Any) -> Any:
    return json.loads(sink.render(a_notice(page=page, **facts)).body)


async def test_a_page_is_an_event_of_documented_fields(kind: Kind) -> None:
    notice = a_notice()
    assert json.loads(PAGERDUTY.sink(kind, "http://127.0.0.1").render(notice).body) == {
        "event_action": "trigger",
        "dedup_key": notice.thread,
        "client": "service-monitoring",
        "links": [{"href": "https://wiki.example/down", "text": "Runbook"}],
        "payload": {
            "summary": "[critical] shop.down: shop is down: timeout",
            "source": "shop",
            "severity": "critical",
            "timestamp": "2026-01-05T09:00:10.123456789Z",
            "class": "down",
            "custom_details": {
                "text": "shop is down: timeout",
                "labels": {"team": "payments", "tier": "gold"},
                "page": "first",
                "incident": "0000000000000001",
                "service": "shop",
                "rule": "down",
                "series": 'shop/health/up{zone="a"}',
                "severity": "critical",
                "state": "open",
                "value": "0",
                "reason": "timeout",
                "detail": "no answer within 2 s",
                "cause": "timer",
                "breached_at": "2026-01-05T09:00:00.123456789Z",
                "opened_at": "2026-01-05T09:00:10.123456789Z",
                "runbook": "https://wiki.example/down",
            },
        },
    }


@pytest.mark.parametrize(
    ("page", "state", "action"),
    [
        (Page.FIRST, "open", "trigger"),
        (Page.RELEASED, "open", "trigger"),
        (Page.RAISED, "open", "trigger"),
        (Page.RAISED, "acknowledged", "acknowledge"),
        (Page.FLAPPING, "flapping", "trigger"),
        (Page.OWNER, "parked", "trigger"),
        (Page.RECOVERED, "resolved", "resolve"),
        (Page.CLOSED, "closed", "resolve"),
        (Page.STEADY, "flapping", "resolve"),
    ],
)
async def test_each_page_moves_the_alert(kind: Kind, page: Page, state: str, action: str) -> None:
    assert event(PAGERDUTY.sink(kind, "http://127.0.0.1"), page, state=state)["event_action"] == action


async def test_an_alert_is_triggered_acknowledged_and_resolved(kind: Kind, api: Api) -> None:
    sink = PAGERDUTY.sink(kind, api.root)
    seen = []
    for page, state in ((Page.FIRST, "open"), (Page.RAISED, "acknowledged"), (Page.RECOVERED, "resolved")):
        assert isinstance(await sink.send(sink.render(a_notice(page=page, state=state)), a_deadline()), Accepted)
        seen += [alert["status"] for alert in api.alerts.values()]
    assert seen == ["trigger", "acknowledge", "resolve"]


@pytest.mark.parametrize(
    ("notice", "action", "severity"),
    [
        (a_digest("open", "open"), "trigger", "critical"),
        (a_digest("acknowledged", "open", page=Page.RAISED), "trigger", "warning"),
        (a_digest("acknowledged", "acknowledged", page=Page.RAISED), "acknowledge", "critical"),
        (a_digest("acknowledged", "resolved", page=Page.UPDATED), "acknowledge", "critical"),
        (a_digest("acknowledged", open=2, page=Page.REPEATED), "trigger", "critical"),
        (a_digest("resolved", "open", page=Page.UPDATED), "trigger", "warning"),
        (a_digest("resolved", page=Page.UPDATED), "resolve", "critical"),
        (a_digest("resolved", "closed", page=Page.RECOVERED), "resolve", "critical"),
    ],
)
async def test_the_alert_is_as_the_whole_group_stands(kind: Kind, notice: Notice, action: str, severity: str) -> None:
    told = json.loads(PAGERDUTY.sink(kind, "http://127.0.0.1").render(notice).body)
    assert (told["event_action"], told["payload"]["severity"]) == (action, severity)


async def test_what_may_be_done_is_a_link_beside_the_runbook(kind: Kind) -> None:
    world = Surroundings(SystemClock(), LOCAL, links=lambda notice, channel: OFFERS)
    told = event(PAGERDUTY.sink_in(world, kind, "http://127.0.0.1"))
    assert [link["text"] for link in told["links"]] == ["Runbook", "Acknowledge", "Resolve"]
    assert [link["href"] for link in told["links"][1:]] == [url for _, url in OFFERS]


@pytest.mark.parametrize("severity", list(Severity))
async def test_a_severity_keeps_its_name_unless_told_otherwise(kind: Kind, severity: Severity) -> None:
    plain = PAGERDUTY.sink(kind, "http://127.0.0.1")
    told = PAGERDUTY.sink(kind, "http://127.0.0.1", severities={severity.value: "error"})
    assert event(plain, severity=severity)["payload"]["severity"] == severity.value
    assert event(told, severity=severity)["payload"]["severity"] == "error"


async def test_the_answers_of_the_interface_have_their_meaning(kind: Kind, api: Api) -> None:
    sink = PAGERDUTY.sink(kind, api.root)
    api.told = (202, '{"status":"success","message":"Event processed","dedup_key":"x"}')
    assert await answer_to(sink) == Accepted("202 Accepted")
    api.told = (400, '{"status":"invalid event","errors":["\'routing_key\' is invalid"]}')
    answer = await answer_to(sink)
    assert isinstance(answer, Rejected)
    assert "'routing_key' is invalid" in answer.detail
    api.told = (429, "Rate Limit Exceeded")
    assert await answer_to(sink) == Later("429 Too Many Requests: Rate Limit Exceeded")
    api.told = (500, "")
    assert await answer_to(sink) == Later("500 Internal Server Error")


async def test_a_wrong_key_is_refused_and_not_told(kind: Kind, api: Api) -> None:
    wrong = "WR0NGWR0NGWR0NGWR0NGWR0NG0000000"
    answer = await answer_to(PAGERDUTY.sink(kind, api.root, pagerduty=wrong))
    assert isinstance(answer, Rejected)
    assert "'routing_key' is invalid: (secret)" in answer.detail


async def test_where_the_account_is_decides_where_events_go(kind: Kind) -> None:
    for region, host in (("us", "events.pagerduty.com"), ("eu", "events.eu.pagerduty.com")):
        options = Options.model_validate({"pagerduty": SECRET, "region": region})
        sink = kind.open_sink(options, surroundings=Surroundings(SystemClock(), LOCAL))
        assert str(sink.address) == f"https://{host}/v2/enqueue"


@pytest.mark.parametrize(
    "wrong", [{"severities": {"fatal": "critical"}}, {"severities": {"warning": "P1"}}, {"nonsense": 1}]
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"pagerduty": SECRET} | wrong)

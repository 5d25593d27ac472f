"""Slack: what an incoming webhook answers has its meaning, and a notice is blocks within their limits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Answer, Later, Rejected, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.sinks.chat import ChatSink, units
from service_monitoring.sinks.slack import LONGEST_HEADER, LONGEST_SECTION
from service_monitoring.testing.sink_laws import a_notice
from tests.sinks.chats import LOCAL, SLACK, answer_to, content_of, http
from tests.sinks.servers import HttpServer


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


@pytest.fixture
async def sink(server: HttpServer) -> AsyncIterator[ChatSink]:
    kind = SLACK.kind()
    yield SLACK.sink(kind, f"http://127.0.0.1:{server.port}")
    await kind.close()


@pytest.mark.parametrize(
    ("status", "said", "answer"),
    [
        (200, "ok", Accepted("200 OK")),
        (400, "invalid_payload", Rejected("400 Bad Request: invalid_payload")),
        (400, "user_not_found", Rejected("400 Bad Request: user_not_found")),
        (403, "action_prohibited", Rejected("403 Forbidden: action_prohibited")),
        (403, "invalid_token", Rejected("403 Forbidden: invalid_token")),
        (404, "channel_not_found", Rejected("404 Not Found: channel_not_found")),
        (404, "no_service", Rejected("404 Not Found: no_service")),
        (410, "channel_is_archived", Rejected("410 Gone: channel_is_archived")),
        (500, "no_service", Rejected("500 Internal Server Error: no_service")),
        (500, "rollup_error", Later("500 Internal Server Error: rollup_error")),
        (503, "", Later("503 Service Unavailable")),
    ],
)
async def test_what_slack_answers_has_its_meaning(
    sink: ChatSink, server: HttpServer, status: int, said: str, answer: Answer
) -> None:
    server.answer = http(status, said)
    assert await answer_to(sink) == answer


async def test_slack_is_left_alone_for_as_long_as_it_asks(sink: ChatSink, server: HttpServer) -> None:
    server.answer = http(429, "rate_limited", Retry_After="7")
    assert await answer_to(sink) == Later("429 Too Many Requests: rate_limited", Duration(7 * SECOND))


async def test_a_notice_is_a_header_the_text_the_facts_and_a_link(sink: ChatSink) -> None:
    content = content_of(sink.render(a_notice(runbook="https://wiki.example/?a=b&c={{ rule }}")))
    assert content["text"] == "[critical] shop.down: shop is down: timeout"
    header, text, facts, link = (block["text"] for block in content["blocks"])
    assert header == {"type": "plain_text", "text": content["text"], "emoji": False}
    assert text["text"] == "shop is down: timeout"
    assert facts["text"].splitlines() == [
        "Service: shop",
        "Rule: down",
        "Severity: critical",
        "State: open",
        'Series: shop/health/up{zone="a"}',
        "Value: 0",
        "Reason: timeout: no answer within 2 s",
        "Opened: 2026-01-05 09:00:10 UTC",
        "Labels: team=payments, tier=gold",
        "Incident: 0000000000000001",
    ]
    assert link == {"type": "mrkdwn", "text": "<https://wiki.example/?a=b&amp;c=down|Runbook>", "verbatim": True}


async def test_what_may_be_done_stands_beside_the_runbook() -> None:
    kind = SLACK.kind()
    world = Surroundings(
        SystemClock(), LOCAL, links=lambda notice, channel: (("acknowledge", "https://m.example/?a&b"),)
    )
    content = content_of(SLACK.sink_in(world, kind, "http://127.0.0.1").render(a_notice()))
    assert content["blocks"][-1]["text"]["text"] == (
        "<https://wiki.example/down|Runbook> · <https://m.example/?a&amp;b|Acknowledge>"
    )
    await kind.close()


@pytest.mark.parametrize("letter", ["x", "&", "<", "@a", "é", "\U0001f525"])
async def test_nothing_is_longer_than_slack_takes(sink: ChatSink, letter: str) -> None:
    labels = tuple((f"label{number}", letter * 300) for number in range(30))
    long = a_notice(
        summary="{{ detail }}", service=letter * 400, evidence=Evidence(detail=letter * 9000), labels=labels
    )
    content = content_of(sink.render(long))
    header, text, facts, *_ = (block["text"]["text"] for block in content["blocks"])
    assert units(header) <= LONGEST_HEADER == 150
    assert units(text) <= LONGEST_SECTION == 3000
    assert units(facts) <= LONGEST_SECTION
    assert text.endswith("…")
    assert not text.rstrip("…").endswith(("&", "&l", "&lt", "&am"))


async def test_a_mention_is_shown_as_it_was_written(sink: ChatSink) -> None:
    content = content_of(sink.render(a_notice(summary="<!channel> & <@U1>")))
    assert content["blocks"][1]["text"]["text"] == "&lt;!channel&gt; &amp; &lt;@\u2060U1&gt;"

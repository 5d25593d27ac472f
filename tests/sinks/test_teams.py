"""Teams: what a workflow answers has its meaning, and a notice is one card within the limit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Page
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Answer, Later, Rejected
from service_monitoring.sinks.chat import ChatSink
from service_monitoring.sinks.teams import LARGEST_MESSAGE
from service_monitoring.testing.sink_laws import a_notice
from tests.sinks.chats import SECRET, TEAMS, answer_to, content_of, http
from tests.sinks.servers import HttpServer

FAILED = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error"


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


@pytest.fixture
async def sink(server: HttpServer) -> AsyncIterator[ChatSink]:
    kind = TEAMS.kind()
    yield TEAMS.sink(kind, f"http://127.0.0.1:{server.port}")
    await kind.close()


@pytest.mark.parametrize(
    ("status", "said", "answer"),
    [
        (202, "", Accepted("202 Accepted")),
        (200, "1", Accepted("200 OK")),
        (200, f"{FAILED} 429 with ContextId x", Later(f"200 OK: {FAILED} 429 with ContextId x")),
        (200, f"{FAILED} 503 with ContextId x", Later(f"200 OK: {FAILED} 503 with ContextId x")),
        (200, f"{FAILED} 413 with ContextId x", Rejected(f"200 OK: {FAILED} 413 with ContextId x")),
        (400, "TriggerInputSchemaMismatch", Rejected("400 Bad Request: TriggerInputSchemaMismatch")),
        (401, "", Rejected("401 Unauthorized")),
        (404, "WorkflowNotFound", Rejected("404 Not Found: WorkflowNotFound")),
        (502, "", Later("502 Bad Gateway")),
    ],
)
async def test_what_teams_answers_has_its_meaning(
    sink: ChatSink, server: HttpServer, status: int, said: str, answer: Answer
) -> None:
    server.answer = http(status, said)
    assert await answer_to(sink) == answer


async def test_teams_is_left_alone_for_as_long_as_it_asks(sink: ChatSink, server: HttpServer) -> None:
    server.answer = http(429, Retry_After="11")
    assert await answer_to(sink) == Later("429 Too Many Requests", Duration(11 * SECOND))


async def test_the_signature_in_the_url_is_sent_as_it_was_given(sink: ChatSink, server: HttpServer) -> None:
    await answer_to(sink)
    assert server.requests[0].startswith(f"POST /workflows/1/triggers?sp=%2Fa%2Frun&sig={SECRET} HTTP/1.1\r\n".encode())


async def test_a_notice_is_a_card_of_runs_without_markdown_or_mentions(sink: ChatSink) -> None:
    message = sink.render(a_notice(summary="line *one*\n\n<at>Ada</at> two"))
    (attachment,) = content_of(message)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    lines = [run["text"] for block in card["body"] for run in block["inlines"]]
    assert lines[:4] == [
        "[critical] shop.down: line *one*",
        "line *one*",
        "<\u2060at>Ada<\u2060/at> two",
        "Service: shop",
    ]
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Runbook", "url": "https://wiki.example/down"}]
    assert card["msteams"] == {"width": "Full"}


async def test_the_end_of_an_incident_is_good_news(sink: ChatSink) -> None:
    bad, good = (content_of(sink.render(a_notice(page=page))) for page in (Page.FIRST, Page.RECOVERED))
    assert bad["attachments"][0]["content"]["body"][0]["inlines"][0]["color"] == "attention"
    assert good["attachments"][0]["content"]["body"][0]["inlines"][0]["color"] == "good"


@pytest.mark.parametrize("text", ["x", '"', "\\", "é\n", "\n\nx", "\U0001f525", "@a"])
async def test_nothing_is_larger_than_teams_takes(sink: ChatSink, text: str) -> None:
    labels = tuple((f"label{number}", text * 300) for number in range(30))
    long = a_notice(
        summary="{{ detail }}{{ detail }}", service=text * 400, evidence=Evidence(detail=text * 9000), labels=labels
    )
    assert len(sink.render(long).body.encode()) <= LARGEST_MESSAGE == 28 * 1024

"""Telegram: what the Bot API answers has its meaning, and a notice is a plain text within the limit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Answer, Later, Rejected
from service_monitoring.sinks.chat import ChatSink, units
from service_monitoring.sinks.telegram import LONGEST_MESSAGE, Options
from service_monitoring.testing.sink_laws import a_notice
from tests.sinks.chats import SECRET, TELEGRAM, answer_to, content_of, http
from tests.sinks.servers import HttpServer


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


@pytest.fixture
async def sink(server: HttpServer) -> AsyncIterator[ChatSink]:
    kind = TELEGRAM.kind()
    yield TELEGRAM.sink(kind, f"http://127.0.0.1:{server.port}/", topic=7)
    await kind.close()


def refused(code: int, description: str, **parameters: object) -> dict[str, object]:
    return {"ok": False, "error_code": code, "description": description} | (
        {"parameters": parameters} if parameters else {}
    )


@pytest.mark.parametrize(
    ("status", "said", "kind_of_answer", "wish"),
    [
        (200, {"ok": True, "result": {"message_id": 1}}, Accepted, None),
        (400, refused(400, "Bad Request: chat not found"), Rejected, None),
        (400, refused(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001), Rejected, None),
        (401, refused(401, "Unauthorized"), Rejected, None),
        (403, refused(403, "Forbidden: bot was blocked by the user"), Rejected, None),
        (404, refused(404, "Not Found"), Rejected, None),
        (429, refused(429, "Too Many Requests: retry after 35", retry_after=35), Later, 35 * SECOND),
        (429, refused(429, "Too Many Requests", retry_after=86400), Later, 15 * MINUTE),
        (429, refused(429, "Too Many Requests"), Later, None),
        (200, refused(429, "Too Many Requests: retry after 5", retry_after=5), Later, 5 * SECOND),
        (200, refused(400, "Bad Request"), Rejected, None),
        (400, {"ok": False, "error_code": "x", "parameters": []}, Rejected, None),
        (500, refused(500, "Internal Server Error"), Later, None),
        (502, {}, Later, None),
    ],
)
async def test_what_telegram_answers_has_its_meaning(
    sink: ChatSink,
    server: HttpServer,
    status: int,
    said: dict[str, object],
    kind_of_answer: type[Answer],
    wish: Duration | None,
) -> None:
    server.answer = http(status, json.dumps(said))
    answer = await answer_to(sink)
    assert type(answer) is kind_of_answer
    if isinstance(answer, Later):
        assert answer.after == wish
    if not isinstance(answer, Accepted):
        assert str(said.get("description", "")) in answer.detail


async def test_the_token_is_in_the_url_and_nowhere_else(sink: ChatSink, server: HttpServer) -> None:
    message = sink.render(a_notice())
    await answer_to(sink)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"POST /bot123456:{SECRET}/sendMessage HTTP/1.1\r\n".encode())
    assert head.count(SECRET.encode()) == 1
    assert body.decode() == message.body
    assert SECRET not in message.body


async def test_a_notice_is_a_plain_text_with_a_bold_title(sink: ChatSink) -> None:
    content = content_of(sink.render(a_notice(summary="\U0001f525 <b>@ada</b> *a* ada@example.com")))
    assert set(content) == {"chat_id", "message_thread_id", "text", "entities", "link_preview_options"}
    assert (content["chat_id"], content["message_thread_id"]) == ("-100123", 7)
    title, text, _, first, *_, link = content["text"].splitlines()
    assert text == "\U0001f525 <b>@\u2060ada</b> *a* ada@example.com"
    assert title == f"[critical] shop.down: {text}"
    assert first == "Service: shop"
    assert link == "https://wiki.example/down"
    assert content["entities"] == [{"type": "bold", "offset": 0, "length": units(title)}]
    assert units(title) == len(title) + 1
    assert content["link_preview_options"] == {"is_disabled": True}


@pytest.mark.parametrize("letter", ["x", "@a", "\U0001f525", "é"])
async def test_nothing_is_longer_than_telegram_takes(sink: ChatSink, letter: str) -> None:
    labels = tuple((f"label{number}", letter * 300) for number in range(30))
    long = a_notice(
        summary="{{ detail }}",
        runbook="https://wiki.example/" + "@a" * 220,
        service=letter * 900,
        evidence=Evidence(detail=letter * 9000),
        labels=labels,
    )
    content = content_of(sink.render(long))
    assert LONGEST_MESSAGE // 2 < units(content["text"]) <= LONGEST_MESSAGE == 4096


@pytest.mark.parametrize(
    "keys",
    [
        {"telegram": "ops"},
        {"telegram": ""},
        {"telegram": "@ops?x"},
        {"token": "123456"},
        {"token": "123456:a/b"},
        {"token": ":abc"},
        {"token": "123456:abc\r\n"},
        {"api": "ftp://example.com"},
        {"topic": 0},
        {"nonsense": 1},
    ],
)
def test_options_that_cannot_work_are_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"telegram": "@monitoring", "token": "123456:abc"} | keys)

"""ntfy: what a server answers has its meaning, and a notice is a text with headers that no text can leave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from email.header import decode_header, make_header

import pytest
from pydantic import ValidationError

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Later, Rejected
from service_monitoring.sinks.chat import ChatSink, size
from service_monitoring.sinks.ntfy import LARGEST_MESSAGE, Options
from service_monitoring.testing.sink_laws import a_notice
from tests.sinks.chats import NTFY, SECRET, answer_to, http
from tests.sinks.servers import HttpServer


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


@pytest.fixture
async def sink(server: HttpServer) -> AsyncIterator[ChatSink]:
    kind = NTFY.kind()
    yield NTFY.sink(kind, f"http://127.0.0.1:{server.port}")
    await kind.close()


def headers_of(sink: ChatSink, **changes: object) -> Mapping[str, str]:
    return dict(sink.render(a_notice(**changes)).headers)  # type: ignore[arg-type] # whatever a test changes


@pytest.mark.parametrize(
    ("status", "said", "kind_of_answer"),
    [
        (200, '{"id":"x","event":"message"}', Accepted),
        (400, '{"code":40009,"http":400,"error":"invalid request: topic invalid"}', Rejected),
        (401, '{"code":40101,"http":401,"error":"unauthorized"}', Rejected),
        (403, '{"code":40301,"http":403,"error":"forbidden"}', Rejected),
        (404, '{"code":40401,"http":404,"error":"page not found"}', Rejected),
        (413, '{"code":41301,"http":413,"error":"attachment too large, or bandwidth limit reached"}', Rejected),
        (429, '{"code":42901,"http":429,"error":"limit reached: too many requests"}', Later),
        (429, '{"code":42908,"http":429,"error":"limit reached: daily message quota reached"}', Later),
        (500, '{"code":50001,"http":500,"error":"internal server error"}', Later),
        (507, '{"code":50701,"http":507,"error":"cannot publish to UnifiedPush topic"}', Later),
    ],
)
async def test_what_ntfy_answers_has_its_meaning(
    sink: ChatSink, server: HttpServer, status: int, said: str, kind_of_answer: type[object]
) -> None:
    server.answer = http(status, said)
    answer = await answer_to(sink)
    assert type(answer) is kind_of_answer
    assert said in answer.detail or isinstance(answer, Accepted)


async def test_ntfy_is_left_alone_for_as_long_as_it_asks(sink: ChatSink, server: HttpServer) -> None:
    server.answer = http(429, Retry_After="5")
    assert await answer_to(sink) == Later("429 Too Many Requests", Duration(5 * SECOND))


async def test_the_topic_is_in_the_url_and_the_token_in_its_header(sink: ChatSink, server: HttpServer) -> None:
    message = sink.render(a_notice())
    await answer_to(sink)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST /{SECRET} HTTP/1.1"
    assert f"Authorization: Bearer tk_{SECRET}" in lines
    assert f"X-Sequence-ID: {message.key}" in lines
    assert "X-Click: https://wiki.example/down" in lines
    assert body.decode() == message.body
    assert message.body.splitlines()[:3] == ["shop is down: timeout", "", "Service: shop"]


@pytest.mark.parametrize("text", ["caf\u00e9 \U0001f525", "a\r\nX-Priority: 1", "=?UTF-8?B?eA==?=", "x" * 4000])
async def test_a_title_is_ascii_on_one_line_whatever_it_says(sink: ChatSink, text: str) -> None:
    title = headers_of(sink, service=text)["X-Title"]
    assert title.isascii()
    assert title.isprintable()
    said = str(make_header(decode_header(title)))
    assert said.startswith(f"[critical] {text[:4]}".split("\r", maxsplit=1)[0])
    assert size(said) <= 250


@pytest.mark.parametrize(
    ("page", "severity", "priority", "tag"),
    [
        (Page.FIRST, Severity.CRITICAL, "5", "rotating_light"),
        (Page.FIRST, Severity.WARNING, "4", "warning"),
        (Page.FIRST, Severity.INFO, "3", "information_source"),
        (Page.RECOVERED, Severity.CRITICAL, "3", "white_check_mark"),
        (Page.OWNER, Severity.WARNING, "4", "warning"),
    ],
)
async def test_the_severity_is_the_priority(
    sink: ChatSink, page: Page, severity: Severity, priority: str, tag: str
) -> None:
    headers = headers_of(sink, page=page, severity=severity)
    assert (headers["X-Priority"], headers["X-Tags"]) == (priority, tag)


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f525", "\n"])
async def test_nothing_is_larger_than_ntfy_takes(sink: ChatSink, letter: str) -> None:
    labels = tuple((f"label{number}", letter * 300) for number in range(30))
    long = a_notice(summary="{{ detail }}x", evidence=Evidence(detail=letter * 9000), labels=labels)
    assert size(sink.render(long).body) <= LARGEST_MESSAGE == 4096


@pytest.mark.parametrize(
    "keys",
    [
        {"ntfy": "https://ntfy.sh"},
        {"ntfy": "https://ntfy.sh/"},
        {"ntfy": "https://ntfy.sh/a.b"},
        {"ntfy": "https://ntfy.sh/topic?up=1"},
        {"ntfy": "https://ntfy.sh/" + "x" * 65},
        {"ntfy": "topic"},
        {"token": "tk\r\nX: y"},
        {"nonsense": 1},
    ],
)
def test_options_that_cannot_work_are_refused(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"ntfy": "https://ntfy.sh/topic"} | keys)

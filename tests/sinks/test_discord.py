"""Discord: what a webhook answers has its meaning, and a notice is a line and an embed within their limits."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from service_monitoring.domain.instants import MINUTE, Duration, seconds
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Later, Rejected
from service_monitoring.sinks.chat import ChatSink, units
from service_monitoring.sinks.discord import LONGEST_CONTENT, LONGEST_DESCRIPTION, Options
from service_monitoring.testing.sink_laws import a_notice
from tests.sinks.chats import DISCORD, SECRET, answer_to, content_of, http
from tests.sinks.servers import HttpServer


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


@pytest.fixture
async def sink(server: HttpServer) -> AsyncIterator[ChatSink]:
    kind = DISCORD.kind()
    yield DISCORD.sink(kind, f"http://127.0.0.1:{server.port}", thread="42")
    await kind.close()


@pytest.mark.parametrize(
    ("status", "said", "kind_of_answer"),
    [
        (200, {"id": "1", "type": 0}, Accepted),
        (204, {}, Accepted),
        (400, {"code": 50035, "message": "Invalid Form Body"}, Rejected),
        (401, {"code": 50027, "message": "Invalid Webhook Token"}, Rejected),
        (403, {"code": 50013, "message": "Missing Permissions"}, Rejected),
        (404, {"code": 10015, "message": "Unknown Webhook"}, Rejected),
        (500, {"message": "500: Internal Server Error"}, Later),
        (502, {}, Later),
    ],
)
async def test_what_discord_answers_has_its_meaning(
    sink: ChatSink, server: HttpServer, status: int, said: dict[str, object], kind_of_answer: type[object]
) -> None:
    server.answer = http(status, json.dumps(said) if status != 204 else "")
    answer = await answer_to(sink)
    assert type(answer) is kind_of_answer
    assert str(said.get("message", "")) in answer.detail or isinstance(answer, Accepted)


@pytest.mark.parametrize(
    ("body", "header", "wish"),
    [
        ('{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}', "65", seconds(64.57)),
        ('{"retry_after": 0.25}', None, seconds(0.25)),
        ('{"retry_after": 86400}', "86400", Duration(15 * MINUTE)),
        ('{"retry_after": 1e999}', "3", Duration(15 * MINUTE)),
        ('{"retry_after": 1' + "0" * 4000 + "}", "3", Duration(15 * MINUTE)),
        ('{"retry_after": 1' + "0" * 4300 + "}", "3", seconds(3)),
        ('{"retry_after": -1}', "3", seconds(3)),
        ('{"retry_after": "soon"}', "3", seconds(3)),
        ('{"retry_after": NaN}', "3", seconds(3)),
        ('{"retry_after": true}', "3", seconds(3)),
        ("error code: 1015", "3", seconds(3)),
        ("[" * 4000, None, None),
        ("", None, None),
    ],
)
async def test_discord_is_left_alone_for_as_long_as_it_asks(
    sink: ChatSink, server: HttpServer, body: str, header: str | None, wish: Duration | None
) -> None:
    server.answer = http(429, body, **({} if header is None else {"Retry_After": header}))
    answer = await answer_to(sink)
    assert isinstance(answer, Later)
    assert answer.after == wish


async def test_discord_is_asked_whether_it_kept_the_message(sink: ChatSink, server: HttpServer) -> None:
    await answer_to(sink)
    assert server.requests[0].startswith(f"POST /api/webhooks/1/{SECRET}?wait=true&thread_id=42 HTTP/1.1\r\n".encode())


async def test_a_notice_is_a_line_and_an_embed_that_mention_nobody(sink: ChatSink) -> None:
    content = content_of(sink.render(a_notice(summary="<@1> @everyone **[bank](https://evil.example)**")))
    assert content["allowed_mentions"] == {"parse": []}
    assert content["content"].startswith(r"\[critical\] shop.down\: \<\@1\> \@everyone \*\*\[bank\]\(https\://evil")
    (embed,) = content["embeds"]
    assert set(embed) == {"description", "color", "title", "url"}
    assert (embed["title"], embed["url"]) == ("Runbook", "https://wiki.example/down")
    assert embed["description"].splitlines()[2:4] == [r"Service\: shop", r"Rule\: down"]


@pytest.mark.parametrize("letter", ["x", "*", "\\", "@a", "\U0001f525"])
async def test_nothing_is_longer_than_discord_takes(sink: ChatSink, letter: str) -> None:
    labels = tuple((f"label{number}", letter * 300) for number in range(30))
    long = a_notice(
        summary="{{ detail }}", service=letter * 900, evidence=Evidence(detail=letter * 9000), labels=labels
    )
    content = content_of(sink.render(long))
    (embed,) = content["embeds"]
    assert units(content["content"]) <= LONGEST_CONTENT == 2000
    assert units(embed["description"]) <= LONGEST_DESCRIPTION == 4096
    assert units(embed["description"]) + units(embed["title"]) <= 6000
    # No escape is cut in two: every backslash still stands before what it escapes.
    assert not re.search(r"(?<!\\)(?:\\\\)*\\…", content["content"] + embed["description"])


@pytest.mark.parametrize("thread", ["", "a", "1&wait=false", "1" * 21, 42])
def test_a_thread_is_a_number_in_quotes(thread: object) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"discord": "https://discord.com/api/webhooks/1/x", "thread": thread})

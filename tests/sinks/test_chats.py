"""What every channel to a chat system keeps: laws, limits, secrets, and that no text means more than text."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import Accepted, Later, Message, Rejected, Surroundings, Template, Uncertain
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks import discord, ntfy, slack, teams, telegram
from service_monitoring.sinks.chat import (
    LONGEST_FACT,
    ChatSink,
    Words,
    fitted,
    is_link,
    printable,
    size,
    units,
    unmentioned,
)
from service_monitoring.sinks.posting import PostingKind
from service_monitoring.testing.sink_laws import FarSide, NetworkSinkLaws, a_deadline, a_digest, a_notice
from service_monitoring.views.texts import one_line
from tests.sinks.chats import CHATS, LOCAL, OFFERS, SECRET, TELEGRAM, Chat, answer_to, content_of, http
from tests.sinks.servers import HttpServer, Served, free_port


@pytest.fixture(params=CHATS, ids=lambda chat: chat.name)
def chat(request: pytest.FixtureRequest) -> Chat:
    chosen: Chat = request.param
    return chosen


@pytest.fixture
async def kind(chat: Chat) -> AsyncIterator[PostingKind]:
    kind: PostingKind = chat.kind()
    yield kind
    await kind.close()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


@pytest.fixture
async def sink(chat: Chat, kind: PostingKind, server: HttpServer) -> ChatSink:
    return chat.sink(kind, f"http://127.0.0.1:{server.port}")


class TestLaws(NetworkSinkLaws):
    @pytest.fixture
    async def far_side(self, chat: Chat, kind: PostingKind, server: HttpServer, sink: ChatSink) -> FarSide:
        return Served(server, sink, chat.sink(kind, f"http://127.0.0.1:{free_port()}"))


@pytest.mark.parametrize(
    ("status", "kind_of_answer"),
    [
        *((status, Accepted) for status in (200, 201, 202, 204)),
        *((status, Later) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, Rejected) for status in (301, 302, 307, 400, 401, 403, 404, 405, 410, 413, 422)),
    ],
)
async def test_every_status_has_its_meaning(
    sink: ChatSink, server: HttpServer, status: int, kind_of_answer: type[object]
) -> None:
    server.answer = http(status, Location="/elsewhere")
    answer = await answer_to(sink)
    assert type(answer) is kind_of_answer
    assert str(status) in answer.detail
    assert len(server.requests) == 1


async def test_a_chat_that_asks_to_be_left_alone_is(sink: ChatSink, server: HttpServer) -> None:
    server.answer = http(429, "slow down", Retry_After="30")
    assert await answer_to(sink) == Later("429 Too Many Requests: slow down", Duration(30 * SECOND))


async def test_neither_answers_nor_errors_nor_messages_tell_a_secret(
    chat: Chat, kind: PostingKind, sink: ChatSink, server: HttpServer
) -> None:
    server.answer = http(403, f"no hook {SECRET} and no http://127.0.0.1/x/{SECRET}")
    unreachable = chat.sink(kind, f"http://user:pass@127.0.0.1:{free_port()}")
    for asked in (sink, unreachable):
        assert SECRET not in repr(await answer_to(asked))
    assert SECRET not in repr(sink.render(a_notice()))
    options = kind.options.model_validate(chat.keys("http://127.0.0.1"))  # type: ignore[attr-defined] # of each kind
    assert SECRET not in f"{options!r} {options.model_dump_json()}"


async def test_a_complaint_about_a_key_does_not_quote_it(chat: Chat, kind: PostingKind) -> None:
    for name in chat.keys(""):
        with pytest.raises(ValidationError) as refused:
            kind.options.model_validate(chat.keys("http://127.0.0.1") | {name: f"\n{SECRET}"})  # type: ignore[attr-defined] # of each kind
        assert all(SECRET not in str(error["msg"]) for error in refused.value.errors())


async def test_an_address_that_is_not_permitted_is_never_connected_to(
    chat: Chat, kind: PostingKind, server: HttpServer
) -> None:
    answer = await answer_to(chat.sink(kind, f"http://127.0.0.1:{server.port}", network=AddressPolicy()))
    assert isinstance(answer, Rejected)
    assert "network.allow" in answer.detail
    assert server.accepted == 0


async def test_a_message_in_the_builtin_text_is_put_into_the_form_of_the_chat(
    sink: ChatSink, server: HttpServer
) -> None:
    server.answer = http(200, "ok")
    message = Message("k1", "t", "[critical] shop.down:\nit", "shop.down is open\r\nfor a while", "text/x-other")
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    first, second = server.requests
    assert first == second
    assert b"shop.down is open" in first
    assert b"text/x-other" not in first


@pytest.mark.parametrize("page", list(Page))
@pytest.mark.parametrize("severity", list(Severity))
async def test_every_page_of_every_severity_can_be_told(sink: ChatSink, page: Page, severity: Severity) -> None:
    assert sink.render(a_notice(page=page, severity=severity)).body


def blocks_fit(body: str) -> bool:
    header, *sections = (block["text"]["text"] for block in json.loads(body)["blocks"])
    return units(header) <= 150 and all(units(section) <= 3000 for section in sections)


def embed_fits(body: str) -> bool:
    content = json.loads(body)
    (embed,) = content["embeds"]
    return units(content["content"]) <= 2000 and units(embed["description"]) <= 4096


NOWHERE = URL("http://127.0.0.1/")
LIMITS: tuple[tuple[Callable[[Words], str], Callable[[str], bool]], ...] = (
    (slack.Slack(None, NOWHERE).write, blocks_fit),  # type: ignore[arg-type] # writes only
    (teams.Teams(None, NOWHERE).write, lambda body: size(body) <= 28 * 1024),  # type: ignore[arg-type] # writes only
    (discord.Discord(None, NOWHERE).write, embed_fits),  # type: ignore[arg-type] # writes only
    (
        telegram.Telegram(telegram.Options.model_validate(TELEGRAM.keys("http://127.0.0.1")), None).write,  # type: ignore[arg-type] # writes only
        lambda body: units(json.loads(body)["text"]) <= 4096,
    ),
    (ntfy.Ntfy(None, NOWHERE).write, lambda body: size(body) <= 4096),  # type: ignore[arg-type] # writes only
)

HOSTILE = (
    "@everyone @here @channel @all @admin @Some_Body",
    "<!channel> <!here> <!everyone> <@U012AB3CD> <#C012> <!subteam^S1>",
    "<@123456789012345678> <@!123> <@&456> <#789> </command:1> <t:0:R>",
    "<at>Ada</at> <AT id=0>all</AT>",
    "<b>bold</b> <a href='https://evil.example'>bank</a> <tg-spoiler>x</tg-spoiler> &lt;script&gt;",
    "*bold* _it_ ~no~ `code` ```block``` ||spoiler|| > quote # head - list [bank](https://evil.example) ![i](x)",
    "tg://user?id=1 [Ada](tg://user?id=1) \\[not\\] \\",
    "a\r\nX-Priority: 1\r\nAuthorization: Bearer x\r\n\r\nbody",
    "\x00\x07\x1b[31mred\x1b[0m \u202egnp.exe \ud800 \u2028 \x85 \ufeff",
    "{{DATE(2026-01-01T00:00:00Z,SHORT)}} ${topic} @{triggerBody()} {% raw %}",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_hostile_text_arrives_once_and_mentions_nobody(
    chat: Chat, sink: ChatSink, server: HttpServer, text: str
) -> None:
    hostile = a_notice(
        summary="{{ detail }}",
        runbook="{{ labels.team }}",
        evidence=Evidence(detail=text),
        labels=(("team", text),),
        service=text,
    )
    message = sink.render(hostile)
    assert isinstance(await sink.send(message, a_deadline()), Accepted)
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    said = body.decode()
    assert head.lower().count(b"\r\nx-priority:") == (chat.name == "ntfy")
    assert head.lower().count(b"\r\nauthorization:") == (chat.name == "ntfy")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202e\u2028\ufeff]", said)
    if chat.name in {"slack", "teams", "telegram"}:
        assert not re.search(r"(?<![0-9A-Za-z_])@\w", said)
        assert not re.search(r"</?at\b", said, re.IGNORECASE)
    if chat.name == "slack":
        assert "<" not in said
        assert ">" not in said
    if chat.name == "discord":
        assert '"allowed_mentions":{"parse":[]}' in said
    if chat.name == "telegram":
        assert "parse_mode" not in said
        assert [entity["type"] for entity in content_of(message)["entities"]] == ["bold"]


@given(text=st.text(alphabet="a@<>&\\*_\u20ac\U0001f525\n ", max_size=60), limit=st.integers(1, 40))
@pytest.mark.parametrize("escape", [str, slack.escaped, discord.escaped, unmentioned])
@pytest.mark.parametrize("measure", [units, size])
def test_what_is_cut_fits_and_is_whole_up_to_where_it_was_cut(
    escape: type[str], measure: type[int], text: str, limit: int
) -> None:
    made = fitted(text, limit + 2, escape=escape, measure=measure)
    assert measure(made) <= limit + 2
    if measure(escape(text)) <= limit + 2:
        assert made == escape(text)
    else:
        assert made.endswith("…")
        assert any(made == f"{escape(text[:length].rstrip())}…" for length in range(len(text) + 1))


@given(title=st.text(max_size=300), text=st.text(max_size=300), times=st.sampled_from([1, 40]))
def test_whatever_a_text_says_its_message_keeps_the_limits_and_is_the_same_each_time(
    title: str, text: str, times: int
) -> None:
    words = Words(
        title=printable(title).replace("\n", " "),
        text=printable(text * times),
        facts=tuple((f"fact {number}", fitted(one_line(text * times), LONGEST_FACT)) for number in range(12)),
        link="https://wiki.example/down",
        offers=tuple((word, f"{url}{'x' * 10 * times}") for word, url in OFFERS * times),
    )
    for write, limit in LIMITS:
        made = write(words)
        assert made == write(words)
        assert limit(made)


@given(st.text())
def test_what_is_printable_shows_and_keeps_its_lines(text: str) -> None:
    made = printable(text)
    assert all(line.isprintable() for line in made.split("\n"))
    assert printable(made) == made


@given(st.text(alphabet="@a_ <>/t\u00e9"))
def test_an_address_of_mail_stays_and_a_name_is_broken(text: str) -> None:
    made = unmentioned(text)
    assert made.replace("\u2060", "") == text
    assert not re.search(r"(?<![0-9A-Za-z_])@\w", made)
    assert unmentioned("ada@example.com") == "ada@example.com"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://wiki.example/down?a=b&c=d#e", True),
        ("http://[::1]:8080/", True),
        ("ask Ada", False),
        ("https://", False),
        ("javascript:alert(1)", False),
        ("https://a.example/|Bank>", False),
        ("https://a.example/\nX: y", False),
        ("https://a.example/ b", False),
        ("https://a.example/é", False),
        ("https://a.example/" + "x" * 600, False),
    ],
)
def test_a_link_is_a_whole_url_and_nothing_else(text: str, link: bool) -> None:
    assert is_link(text) is link


async def test_a_runbook_that_is_no_link_is_told_as_text(sink: ChatSink) -> None:
    assert "ask Ada" in sink.render(a_notice(runbook="ask Ada")).body
    message = sink.render(a_notice(runbook="https://wiki.example/{{ rule }}"))
    assert "https://wiki.example/down" in f"{message.body} {message.headers}"


async def test_what_may_be_done_is_one_touch_away(chat: Chat, kind: PostingKind, server: HttpServer) -> None:
    world = Surroundings(SystemClock(), LOCAL, links=lambda notice, channel: OFFERS)
    sink = chat.sink_in(world, kind, f"http://127.0.0.1:{server.port}")
    message = sink.render(a_notice())
    assert message == sink.render(a_notice())
    shown = f"{message.body} {message.headers}"
    for word, url in OFFERS:
        assert word.capitalize() in shown
        assert url in shown
    assert isinstance(await sink.send(message, a_deadline()), Accepted)


async def test_a_link_that_could_break_out_of_its_place_is_left_out(chat: Chat, kind: PostingKind) -> None:
    evil = (
        ("resolve", "javascript:alert(1)"),
        ("close", 'https://a.example/)>|"\r\nX: y'),
        ("x", "https://a/" + "y" * 2000),
    )
    world = Surroundings(SystemClock(), LOCAL, links=lambda notice, channel: evil)
    sink, plain = chat.sink_in(world, kind, "http://127.0.0.1"), chat.sink(kind, "http://127.0.0.1")
    assert sink.render(a_notice()) == plain.render(a_notice())


async def test_a_channels_own_text_stands_alone(chat: Chat, kind: PostingKind) -> None:
    template = Template("{{ page }} of {{ service }}", "{{ rule }} it is, {{ others|length }} more")
    world = Surroundings(SystemClock(), LOCAL, template=template)
    message = chat.sink_in(world, kind, "http://127.0.0.1").render(a_digest("open", "open"))
    assert message.subject == "first of shop"
    assert "down it is, 1 more" in message.body
    assert not any(word in message.body for word in ("Incident", "Reason", "payments", "slow"))
    assert message.degraded == ""


async def test_a_channels_text_that_fails_gives_way_and_says_so(chat: Chat, kind: PostingKind) -> None:
    world = Surroundings(SystemClock(), LOCAL, template=Template(text="{{ nope }}"))
    message = chat.sink_in(world, kind, "http://127.0.0.1").render(a_notice())
    assert message.degraded.startswith("template.text: ")
    assert "shop is down" in message.body
    assert "could not be made as configured" in message.body


async def test_several_incidents_are_told_by_the_worst_that_is_open(sink: ChatSink) -> None:
    message = sink.render(a_digest("resolved", "open", "open", page=Page.UPDATED, open=5))
    assert message.subject == "[warning, updated] 5 open, 1 over, shop, team=payments: shop.slow: shop is down: timeout"
    body = message.body.replace("\\", "")
    assert "Rule: slow" in body
    assert "Incidents: 5 open, 1 over" in body
    assert "resolved (critical): shop.down" in body
    assert "and 3 more open" in body


async def test_a_reset_is_uncertain_and_an_unfinished_yes_is_a_yes(sink: ChatSink, server: HttpServer) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    assert isinstance(await answer_to(sink), Accepted)
    server.answer = b"\x16\x03\x01 no HTTP\r\n\r\n"
    assert isinstance(await answer_to(sink), Uncertain)

"""Webhooks against a real server: every answer has its meaning, and nothing leaks to where it does not belong."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate

import pytest
from pydantic import ValidationError

from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.ports import Accepted, Answer, Later, Message, Rejected, Surroundings, Template, Uncertain
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy, Secret
from service_monitoring.sinks.content import FIELDS
from service_monitoring.sinks.webhook import Kind, Options, Webhook
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.sink_laws import (
    SHORT,
    Behaviour,
    FarSide,
    NetworkSinkLaws,
    a_deadline,
    a_notice,
)
from service_monitoring.wire.links import Signer
from tests.sinks.servers import HttpServer, Served, free_port

LOCAL = AddressPolicy.allowing(["127.0.0.0/8", "::1/128"])


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer().listening() as server:
        yield server


def a_sink(
    kind: Kind,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    network: AddressPolicy = LOCAL,
    method: str = "POST",
    sign: str | None = None,
) -> Webhook:
    options = Options.model_validate({"webhook": url, "headers": headers or {}, "method": method, "sign": sign})
    return kind.open_sink(options, surroundings=Surroundings(SystemClock(), network))


async def answer_to(sink: Webhook) -> Answer:
    return await sink.send(sink.render(a_notice()), a_deadline())


class TestLaws(NetworkSinkLaws):
    @pytest.fixture
    async def far_side(self, kind: Kind, server: HttpServer) -> FarSide:
        there, nowhere = f"http://127.0.0.1:{server.port}/hook", f"http://127.0.0.1:{free_port()}/hook"
        return Served(server, a_sink(kind, there), a_sink(kind, nowhere))


def test_what_may_be_done_is_in_the_body_the_same_in_every_attempt() -> None:
    signer = Signer(b"k" * 64, "https://monitor.example.com")
    world = Surroundings(SystemClock(), LOCAL, links=signer.links)
    sink = Webhook(Options(webhook=Secret("http://127.0.0.1/")), None, world)  # type: ignore[arg-type] # renders only
    message = sink.render(a_notice())
    assert json.loads(message.body)["links"] == dict(signer.links(a_notice(), "ops"))
    assert sink.render(a_notice()) == message
    assert json.loads(sink.render(a_notice(state="resolved")).body)["links"] == {}


def test_the_body_is_canonical_json_of_documented_fields() -> None:
    sink = Webhook(Options(webhook=Secret("http://127.0.0.1/")), None, Surroundings(SystemClock(), LOCAL))  # type: ignore[arg-type] # renders only
    notice = a_notice()
    message = sink.render(notice)
    content = json.loads(message.body)
    assert content == {
        "version": 1,
        "key": notice.key,
        "thread": notice.thread,
        "page": "first",
        "decided_at": "2026-01-05T09:00:15.000000000Z",
        "incident": "0000000000000001",
        "service": "shop",
        "rule": "down",
        "series": 'shop/health/up{zone="a"}',
        "severity": "critical",
        "state": "open",
        "labels": {"team": "payments", "tier": "gold"},
        "headline": "[critical] shop.down: shop is down: timeout",
        "summary": "shop is down: timeout",
        "runbook": "https://wiki.example/down",
        "value": 0.0,
        "reason": "timeout",
        "detail": "no answer within 2 s",
        "cause": "timer",
        "breached_at": "2026-01-05T09:00:00.123456789Z",
        "opened_at": "2026-01-05T09:00:10.123456789Z",
        "ended_at": None,
        "degraded": None,
        "links": {},
        "recipient": "channel.ops",
        "group": {},
        "open": 1,
        "over": 0,
        "others": [],
    }
    assert set(content) == set(FIELDS)
    assert message.body == json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert message.content_type == "application/json"
    assert message.subject == "[critical] shop.down: shop is down: timeout"


def test_the_channels_own_words_are_headline_and_summary() -> None:
    world = Surroundings(SystemClock(), LOCAL, template=Template("{{ rule }}", "{{ summary }} {{ nope }}"))
    sink = Webhook(Options(webhook=Secret("http://127.0.0.1/")), None, world)  # type: ignore[arg-type] # renders only
    message = sink.render(a_notice())
    content = json.loads(message.body)
    assert (content["headline"], message.subject) == ("down", "down")
    assert content["summary"] == "shop is down: timeout"
    assert content["degraded"] == message.degraded == "template.text: 'nope' is undefined"


async def test_the_key_goes_along_as_idempotency_key_and_secrets_only_on_the_wire(
    kind: Kind, server: HttpServer
) -> None:
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/hook?token=abc", headers={"Authorization": "Bearer s3cret"})
    message = sink.render(a_notice())
    assert "s3cret" not in repr(message)
    await sink.send(message, a_deadline())
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?token=abc HTTP/1.1"
    assert f"Idempotency-Key: {message.key}" in lines
    assert "Authorization: Bearer s3cret" in lines
    assert "Content-Type: application/json" in lines
    assert "User-Agent: service-monitoring" in lines
    assert body.decode() == message.body


@pytest.mark.parametrize(
    ("status", "kind_of_answer"),
    [
        *((status, Accepted) for status in (200, 201, 202, 204, 208, 299)),
        *((status, Later) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        *((status, Rejected) for status in (300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 413, 422, 451)),
    ],
)
async def test_every_status_has_its_meaning(
    kind: Kind, server: HttpServer, status: int, kind_of_answer: type[Answer]
) -> None:
    server.answer = f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    answer = await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/"))
    assert type(answer) is kind_of_answer
    assert str(status) in answer.detail
    assert len(server.requests) == 1  # no redirect is followed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999999999999999", 15 * 60),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
async def test_a_wish_in_seconds_is_heard(kind: Kind, server: HttpServer, text: str, seconds: int | None) -> None:
    server.answer = f"HTTP/1.1 429 X\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n".encode()
    answer = await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/"))
    assert isinstance(answer, Later)
    assert answer.after == (None if seconds is None else Duration(seconds * SECOND))


@pytest.mark.parametrize(("ahead", "wish"), [(90, 90 * SECOND), (-90, 0), (7200, 15 * MINUTE)])
async def test_a_wish_as_a_date_is_heard_by_our_own_wall_clock(
    kind: Kind, server: HttpServer, ahead: int, wish: int
) -> None:
    clock = SimulatedClock(Instant.parse("2031-07-01T12:00:00Z"))
    date = formatdate(clock.now().ns / 1e9 + ahead, usegmt=True)
    server.answer = f"HTTP/1.1 503 X\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n".encode()
    options = Options.model_validate({"webhook": f"http://127.0.0.1:{server.port}/"})
    sink = kind.open_sink(options, surroundings=Surroundings(clock, LOCAL))
    answer = await sink.send(sink.render(a_notice()), a_deadline())
    assert isinstance(answer, Later)
    assert answer.after == wish


async def test_a_refusal_is_told_in_one_line_without_our_secrets(kind: Kind, server: HttpServer) -> None:
    url = f"http://127.0.0.1:{server.port}/hook/T0PSECRET"
    body = f"bad token Bearer s3cret for {url}\r\n\x1b[2Jnext line".encode()
    server.answer = b"HTTP/1.1 403 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answer = await answer_to(a_sink(kind, url, headers={"Authorization": "Bearer s3cret"}))
    assert answer == Rejected("403 Forbidden: bad token (secret) for (secret)\\r \\x1b[2Jnext line")


async def test_a_token_is_struck_out_without_its_scheme_too(kind: Kind, server: HttpServer) -> None:
    token = "0123456789abcdef"
    server.answer = b"HTTP/1.1 403 X\r\nContent-Length: 26\r\n\r\nbad token %s" % token.encode()
    answer = await answer_to(
        a_sink(kind, f"http://127.0.0.1:{server.port}/", headers={"Authorization": f"Bearer {token}"})
    )
    assert answer == Rejected("403 Forbidden: bad token (secret)")


async def test_a_refused_connection_names_no_secret(kind: Kind) -> None:
    port = free_port()
    answer = await answer_to(a_sink(kind, f"http://user:s3cret@127.0.0.1:{port}/T0PSECRET"))
    assert isinstance(answer, Later)
    assert "s3cret" not in answer.detail
    assert "T0PSECRET" not in answer.detail


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
     "http://0.0.0.0:{port}/", "http://169.254.169.254/latest/meta-data"],
)  # fmt: skip
async def test_an_address_that_is_not_permitted_is_never_connected_to(
    kind: Kind, server: HttpServer, address: str
) -> None:
    answer = await answer_to(a_sink(kind, address.format(port=server.port), network=AddressPolicy()))
    assert isinstance(answer, Rejected), answer
    assert "network.allow" in answer.detail or "credentials" in answer.detail
    assert server.accepted == 0


async def test_each_channel_is_held_to_its_own_policy(kind: Kind, server: HttpServer) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    permitted, refused = a_sink(kind, url), a_sink(kind, url, network=AddressPolicy())
    answers = await asyncio.gather(*(answer_to(sink) for sink in (permitted, refused) * 5))
    assert [type(answer) for answer in answers] == [Accepted, Rejected] * 5


async def test_a_name_that_does_not_exist_is_later(kind: Kind) -> None:
    answer = await answer_to(a_sink(kind, "http://no-such-host.invalid/"))
    assert isinstance(answer, Later), answer


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200", b"\x16\x03\x01 not http at all\r\n\r\n", b"HTTP/1.1 99999 X\r\n\r\n", b"\r\n\r\n", b""],
)
async def test_an_answer_that_is_not_http_is_uncertain(kind: Kind, server: HttpServer, answer: bytes) -> None:
    server.answer = answer + b""
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/")
    said = await sink.send(sink.render(a_notice()), a_deadline(SHORT))
    assert isinstance(said, Uncertain), said


async def test_a_body_that_never_ends_is_not_read_to_its_end(kind: Kind, server: HttpServer) -> None:
    server.answer = b"HTTP/1.1 400 X\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000
    answer = await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/"))
    assert isinstance(answer, Rejected)
    assert len(answer.detail) <= 300


async def test_an_accepted_notice_is_accepted_though_the_body_of_the_answer_never_comes(
    kind: Kind, server: HttpServer
) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    answer = await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/"))
    assert answer == Accepted("200 OK")


async def test_a_refusal_without_its_body_is_told_by_the_deadline(kind: Kind, server: HttpServer) -> None:
    server.answer = b"HTTP/1.1 404 X\r\nContent-Length: 1000\r\n\r\n"
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/")
    answer = await sink.send(sink.render(a_notice()), a_deadline(SHORT))
    assert answer == Rejected("404 Not Found")


async def test_a_compressed_answer_is_not_inflated(kind: Kind, server: HttpServer) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    server.answer = b"HTTP/1.1 400 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(bomb), bomb)
    answer = await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/"))
    assert isinstance(answer, Rejected)
    assert "xxx" not in answer.detail


async def test_a_proxy_in_the_environment_is_not_used(
    kind: Kind, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert isinstance(await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/")), Accepted)


async def test_cookies_are_not_kept(kind: Kind, server: HttpServer) -> None:
    server.answer = b"HTTP/1.1 204 X\r\nSet-Cookie: a=b\r\n\r\n"
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/")
    await answer_to(sink)
    await answer_to(sink)
    assert b"Cookie" not in server.requests[1]


async def test_one_connection_serves_one_notice_after_the_other(kind: Kind, server: HttpServer) -> None:
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/")
    for _ in range(5):
        assert isinstance(await answer_to(sink), Accepted)
    assert server.accepted == 1


async def test_a_receiver_that_knows_the_secret_can_tell_our_requests_from_others(
    kind: Kind, server: HttpServer
) -> None:
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/", sign="s3cret")
    notice = a_notice(summary="Größe 🔥")
    message = sink.render(notice)
    await sink.send(message, a_deadline())
    await sink.send(message, a_deadline())
    first, second = server.requests
    assert first == second
    head, _, body = first.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    signed = headers["X-Signature-Timestamp"].encode() + b"." + body
    assert headers["X-Signature-256"] == "sha256=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert int(headers["X-Signature-Timestamp"]) == notice.decided_at.ns // SECOND
    assert "s3cret" not in repr(message) + first.decode()


async def test_a_message_of_the_builtin_text_is_signed_too(kind: Kind, server: HttpServer) -> None:
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/", sign="s3cret")
    await sink.send(Message("k1", "t", "subject", "plain text"), a_deadline())
    signature = hmac.new(b"s3cret", b"0.plain text", hashlib.sha256).hexdigest()
    assert f"X-Signature-256: sha256={signature}\r\n".encode() in server.requests[0]


async def test_without_a_secret_nothing_is_signed(kind: Kind, server: HttpServer) -> None:
    await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/"))
    assert b"X-Signature" not in server.requests[0]


async def test_the_secret_of_the_signature_is_struck_out_of_what_is_told(kind: Kind, server: HttpServer) -> None:
    body = b"wrong secret: s3cret"
    server.answer = b"HTTP/1.1 401 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answer = await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/", sign="s3cret"))
    assert answer == Rejected("401 Unauthorized: wrong secret: (secret)")


@pytest.mark.parametrize("method", ["post", "PUT", "patch"])
async def test_the_method_is_as_configured(kind: Kind, server: HttpServer, method: str) -> None:
    await answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/", method=method))
    assert server.requests[0].startswith(method.upper().encode() + b" / HTTP/1.1\r\n")


async def test_a_message_of_the_builtin_text_can_be_sent_too(kind: Kind, server: HttpServer) -> None:
    sink = a_sink(kind, f"http://127.0.0.1:{server.port}/")
    await sink.send(Message("k1", "t", "subject", "plain text"), a_deadline())
    assert b"Idempotency-Key: k1\r\n" in server.requests[0]
    assert server.requests[0].endswith(b"\r\n\r\nplain text")


@pytest.mark.parametrize(
    "options",
    [
        {"webhook": "ftp://example.com/"},
        {"webhook": "http://"},
        {"webhook": "example.com/hook"},
        {"webhook": "http://example.com/a b"},
        {"webhook": "http://example.com:99999/"},
        {"webhook": "http://127.1/"},
        {"webhook": "http://2130706433/"},
        {"webhook": "http://0x7f.1/"},
        {"webhook": 5},
        {"webhook": "http://example.com/", "headers": {"A b": "c"}},
        {"webhook": "http://example.com/", "headers": {"A": "c\r\nEvil: yes"}},
        {"webhook": "http://example.com/", "headers": {"Host": "elsewhere"}},
        {"webhook": "http://example.com/", "headers": {"idempotency-key": "mine"}},
        {"webhook": "http://example.com/", "method": "GET"},
        {"webhook": "http://example.com/", "sign": ""},
        {"webhook": "http://example.com/", "nonsense": 1},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(options)


def test_options_show_no_secret() -> None:
    options = Options.model_validate({"webhook": "http://h/T0PSECRET", "headers": {"Authorization": "s3cret"}})
    assert "SECRET" not in f"{options!r} {options.model_dump_json()}"
    assert "s3cret" not in f"{options!r} {options.model_dump_json()}"


async def test_closing_ends_what_is_under_way(server: HttpServer) -> None:
    kind = Kind()
    server.behaviour = Behaviour.HANG
    sending = asyncio.ensure_future(answer_to(a_sink(kind, f"http://127.0.0.1:{server.port}/")))
    while not server.connections():
        await asyncio.sleep(0.001)
    await kind.close()
    assert isinstance(await sending, Later | Uncertain)
    await kind.close()

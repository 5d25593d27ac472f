"""What the kind `http` says of a service that answers, answers something else, or does not answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.errors import Refused
from service_monitoring.ports import Surroundings
from service_monitoring.sources.http import HttpOptions, Kind
from tests.sources.rigs import (
    a_moment,
    blackhole,
    cancelled,
    no_files_left,
    nothing_left,
    probed,
    serving,
    surroundings,
    unused_port,
    values,
)
from tests.sources.rigs import saying as rigs_saying
from tests.sources.servers import OK, Server, answering, by_path, endlessly, hanging, redirecting, saying, whole

EVERYTHING = {
    "connect_seconds", "first_byte_seconds", "duration_seconds", "status_code", "body_bytes", "redirects"
}  # fmt: skip
AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


def options(url: str, **others: Any) -> HttpOptions:
    return HttpOptions.model_validate({"http": url, **others})


async def asked(kind: Kind, server: Server, path: str = "/", *, within: float = 2.0, **others: Any) -> Observation:
    source = kind.open_source(options(server.url(path), **others), surroundings=surroundings())
    return await probed(source, within)


async def test_a_good_answer_is_ok_with_every_phase(kind: Kind) -> None:
    async with answering(saying(whole(b"fine"))) as server:
        observation = await asked(kind, server, "/health?token=1")
    assert (observation.outcome, observation.reason) == (Outcome.OK, None)
    measured = values(observation)
    assert measured.keys() == EVERYTHING
    assert (measured["status_code"], measured["body_bytes"], measured["redirects"]) == (200, 4, 0)
    assert 0 < measured["connect_seconds"] + measured["first_byte_seconds"] <= measured["duration_seconds"]
    assert server.requests[0].startswith(b"GET /health?token=1 HTTP/1.1\r\n")
    assert server.header("User-Agent") == "service-monitoring"
    assert server.header("Accept-Encoding") is None


async def test_a_wrong_status_has_every_phase(kind: Kind) -> None:
    async with answering(saying(whole(b"sorry", status=b"503 Busy"))) as server:
        observation = await asked(kind, server)
        assert observation.detail == f"GET {server.url()}: answered 503, expected 2xx"
    assert observation.reason is Reason.STATUS
    assert values(observation).keys() == EVERYTHING


async def test_a_refused_connection_has_no_phase_at_all(kind: Kind) -> None:
    with unused_port() as port:
        observation = await asked(kind, Server(port=port))
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert observation.measurements == ()
    assert observation.detail == f"GET http://127.0.0.1:{port}/: no connection: connection refused"


async def test_a_service_that_accepts_and_is_silent_ends_by_the_deadline_with_the_phase_it_completed(
    kind: Kind,
) -> None:
    async with answering(hanging) as server:
        observation = await asked(kind, server, within=0.05)
    assert observation.reason is Reason.TIMEOUT
    assert observation.detail.endswith("the time was up while waiting for the answer")
    assert values(observation).keys() == {"connect_seconds"}


async def test_a_port_that_swallows_connections_ends_by_the_deadline(kind: Kind) -> None:
    with blackhole() as port:
        observation = await asked(kind, Server(port=port), within=0.05)
    assert observation.reason is Reason.TIMEOUT
    assert observation.detail.endswith("the time was up while connecting")
    assert observation.measurements == ()


async def test_a_deadline_that_has_passed_is_a_timeout_without_a_connection(kind: Kind) -> None:
    async with answering(saying(OK)) as server:
        assert (await asked(kind, server, within=0)).reason is Reason.TIMEOUT
        assert server.connections == 0


@pytest.mark.parametrize(
    ("wanted", "status", "good"),
    [
        (204, b"204 None", True),
        (200, b"201 Created", False),
        ([200, 404], b"404 Missing", True),
        (["2xx", 301], b"302 Moved", False),
        ("4xx", b"418 Teapot", True),
    ],
)
async def test_the_status_is_a_number_a_class_or_a_list(kind: Kind, wanted: object, status: bytes, good: bool) -> None:
    async with answering(saying(whole(b"", status=status))) as server:
        observation = await asked(kind, server, expect={"status": wanted})
    assert observation.outcome is (Outcome.OK if good else Outcome.FAILED)


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"contains": "statu"}, None),
        ({"contains": "error"}, 'the body does not contain "error"'),
        ({"matches": '"status": *"ok"'}, None),
        ({"matches": "^ok"}, 'the body does not match "^ok"'),
        ({"jsonpath": "$.status", "equals": "ok"}, None),
        ({"jsonpath": "$.status", "equals": "degraded"}, '$.status is not "degraded"'),
        ({"jsonpath": "$.checks[0].up", "equals": True}, None),
        ({"jsonpath": "$.checks[0].up", "equals": 1}, "$.checks[0].up is not 1"),
        ({"jsonpath": "$..up", "equals": True}, "$..up is not true"),
        ({"jsonpath": "$.nothing", "equals": None}, "the body has no $.nothing"),
        ({"jsonpath": "$.load", "equals": 1}, None),
    ],
)
async def test_the_body_is_judged_by_text_pattern_or_path(kind: Kind, expected: Any, complaint: str | None) -> None:
    body = b'{"status": "ok", "load": 1.0, "checks": [{"up": true}, {"up": false}]}'
    async with answering(saying(whole(body))) as server:
        observation = await asked(kind, server, expect={"body": expected})
    assert observation.reason is (None if complaint is None else Reason.BODY)
    assert observation.detail.endswith("answered 200" if complaint is None else f": {complaint}")
    assert values(observation).keys() == EVERYTHING


@pytest.mark.parametrize("body", [b"", b"not json", b'{"a":', b"\xff\xfe", b"[" * 5000, b'"text"', b"NaN"])
async def test_a_body_that_is_not_json_fails_the_path_and_nothing_else(kind: Kind, body: bytes) -> None:
    async with answering(saying(whole(body))) as server:
        observation = await asked(kind, server, expect={"body": {"jsonpath": "$.status", "equals": "ok"}})
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BODY)


async def test_a_large_body_is_judged_like_a_small_one(kind: Kind) -> None:
    body = b"x" * 600_000 + b"\nstatus: fine\n"
    async with answering(saying(whole(body))) as server:
        good = await asked(kind, server, expect={"body": {"matches": "status: f[a-i]ne"}})
        bad = await asked(kind, server, expect={"body": {"matches": "status: b[a-i]d"}})
    assert (good.outcome, bad.reason) == (Outcome.OK, Reason.BODY)


@pytest.mark.parametrize(
    ("expected", "good"),
    [
        ({"Content-Type": "application/json"}, True),
        ({"content-type": {"contains": "json"}}, True),
        ({"Content-Type": {"matches": "^text/"}}, False),
        ({"X-Missing": "anything"}, False),
    ],
)
async def test_headers_are_judged_by_name_without_case(kind: Kind, expected: Any, good: bool) -> None:
    async with answering(saying(whole(b"", b"Content-Type: application/json"))) as server:
        observation = await asked(kind, server, expect={"headers": expected})
    assert observation.reason is (None if good else Reason.BODY)


async def test_method_headers_and_body_are_sent_as_written(kind: Kind) -> None:
    async with answering(saying(OK)) as server:
        await asked(kind, server, method="post", body='{"a":1}', headers={"Content-Type": "application/json"})
        assert server.requests[0].startswith(b"POST / HTTP/1.1\r\n")
        assert (server.header("Content-Length"), server.header("Content-Type")) == ("7", "application/json")
        await asked(kind, server, method="PUT", body="", user_agent="probe/1")
        assert server.requests[1].startswith(b"PUT / HTTP/1.1\r\n")
        assert (server.header("Content-Type"), server.header("User-Agent")) == (None, "probe/1")
        await asked(kind, server, method="HEAD")
        assert server.requests[2].startswith(b"HEAD / HTTP/1.1\r\n")


async def test_credentials_are_sent_and_shown_nowhere(kind: Kind) -> None:
    async with answering(saying(whole(b"", status=b"401 No"))) as server:
        basic = await asked(kind, server, auth={"basic": {"username": "u", "password": "hunter2"}})
        assert server.header("Authorization") == "Basic dTpodW50ZXIy"
        bearer = await asked(kind, server, "/?key=hunter2", auth={"bearer": "hunter2"})
        assert server.header("Authorization") == "Bearer hunter2"
    assert "hunter2" not in repr((basic, bearer, options(server.url(), auth={"bearer": "hunter2"})))


async def test_what_one_check_sends_is_not_sent_by_the_next_on_the_same_handle(kind: Kind) -> None:
    async with answering(saying(OK)) as server:
        await asked(kind, server, method="POST", body="secret", auth={"bearer": "t"}, headers={"X-Key": "k"})
        await asked(kind, server)
    assert server.requests[1].startswith(b"GET / HTTP/1.1\r\n")
    assert [server.header(name) for name in ("Authorization", "X-Key", "Content-Length")] == [None, None, None]


async def test_every_attempt_has_a_connection_of_its_own(kind: Kind) -> None:
    async def answer_and_stay(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request:
            writer.write(OK)
            request = await reader.readuntil(b"\r\n\r\n")

    async with answering(answer_and_stay) as server:
        source = kind.open_source(options(server.url()), surroundings=surroundings())
        assert [(await probed(source)).outcome for _ in range(3)] == [Outcome.OK] * 3
        assert server.connections == 3


async def test_a_proxy_of_the_environment_is_not_used(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with unused_port() as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        async with answering(saying(OK)) as server:
            assert (await asked(kind, server)).outcome is Outcome.OK


# Redirects


async def test_redirects_are_followed_and_their_phases_add_up(kind: Kind) -> None:
    pages = {"/": redirecting("/one", body=b"moved"), "/one": redirecting("two", 307), "/two": whole(b"here")}
    async with answering(by_path(pages)) as server:
        observation = await asked(kind, server)
        assert server.connections == 3
    assert observation.outcome is Outcome.OK
    assert (values(observation)["redirects"], values(observation)["body_bytes"]) == (2, 4)
    assert values(observation).keys() == EVERYTHING


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_a_redirect_changes_the_method_as_browsers_do(kind: Kind, status: int, method: str) -> None:
    async with answering(by_path({"/": redirecting("/next", status), "/next": OK})) as server:
        await asked(kind, server, method="POST", body="x")
    assert server.requests[1].startswith(method.encode())
    assert server.header("Content-Length") == ("1" if method == "POST" else None)


async def test_redirects_that_are_refused_fail_unless_their_status_is_expected(kind: Kind) -> None:
    async with answering(by_path({"/": redirecting("/login", 301), "/login": OK})) as server:
        refused = await asked(kind, server, redirects="refuse")
        expected = await asked(kind, server, redirects="refuse", expect={"status": 301})
        not_followed = await asked(kind, server, expect={"status": 301})
        assert server.connections == 3
    assert refused.reason is Reason.REDIRECT
    assert refused.detail.endswith(f"answered 301, a redirect to {server.url('/login')}")
    assert (expected.outcome, not_followed.outcome) == (Outcome.OK, Outcome.OK)


async def test_a_second_request_that_fails_leaves_no_phase_of_the_first(kind: Kind) -> None:
    with unused_port() as port:
        async with answering(saying(redirecting(f"http://127.0.0.1:{port}/"))) as server:
            observation = await asked(kind, server)
    assert observation.reason is Reason.CONNECT
    assert observation.measurements == ()


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


def speaking(host: str = "127.0.0.1", *, ends: timedelta = timedelta(days=30), by: Any = AUTHORITY) -> ssl.SSLContext:
    now = datetime.now(UTC)
    issued = by.issue_cert(
        host, not_before=now - timedelta(days=90), not_after=now + ends, key_type=trustme.KeyType.ECDSA
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


async def test_an_answer_over_tls_tells_when_the_certificate_ends(kind: Kind, authority: Path) -> None:
    async with answering(saying(OK), context=speaking()) as server:
        observation = await asked(kind, server, tls={"ca": str(authority)})
    assert observation.outcome is Outcome.OK
    measured = values(observation)
    assert measured.keys() == EVERYTHING | {"tls_seconds", "certificate_expires_in_seconds"}
    assert measured["certificate_expires_in_seconds"] == pytest.approx(30 * 86400, abs=60)


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (speaking(ends=timedelta(days=-1)), Reason.TLS_EXPIRED),
        (speaking("other.example"), Reason.TLS_HOSTNAME),
        (speaking(by=trustme.CA()), Reason.TLS_UNTRUSTED),
    ],
    ids=["expired", "another name", "another authority"],
)
async def test_each_fault_of_a_certificate_has_its_reason(
    kind: Kind, authority: Path, context: ssl.SSLContext, reason: Reason
) -> None:
    async with answering(saying(OK), context=context) as server:
        verified = await asked(kind, server, tls={"ca": str(authority)})
        trusting = await asked(kind, server, tls={"verify": False})
    assert (verified.outcome, verified.reason) == (Outcome.FAILED, reason)
    assert trusting.outcome is Outcome.OK


async def test_a_service_without_tls_fails_as_tls(kind: Kind) -> None:
    async with serving(rigs_saying(OK)) as port:
        observation = await asked(kind, Server(port=port, scheme="https"))
    assert observation.reason is Reason.TLS


async def test_our_own_certificate_is_shown_to_a_service_that_asks(kind: Kind, authority: Path, tmp_path: Path) -> None:
    context = speaking()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    AUTHORITY.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    async with answering(saying(OK), context=context) as server:
        own = await asked(kind, server, tls={"ca": str(authority), "certificate": str(tmp_path / "own.pem")})
        none = await asked(kind, server, tls={"ca": str(authority)})
    assert own.outcome is Outcome.OK
    assert none.outcome is Outcome.FAILED


# Our own faults and our own end


async def test_running_out_of_files_is_unknown(kind: Kind) -> None:
    async with answering(saying(OK)) as server:
        source = kind.open_source(options(server.url()), surroundings=surroundings())
        await probed(source)
        with no_files_left():
            observation = await probed(source)
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)
    assert observation.measurements == ()


async def test_a_policy_that_breaks_is_unknown(kind: Kind) -> None:
    class Broken:
        def refusal(self, address: object) -> str | None:
            raise RuntimeError("on purpose")

    source = kind.open_source(options("http://127.0.0.1:1/"), surroundings=Surroundings(surroundings().clock, Broken()))
    assert (await probed(source)).reason is Reason.INTERNAL_ERROR


@pytest.mark.parametrize("answer", [hanging, endlessly(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause=0.002)])
async def test_a_cancelled_attempt_leaves_nothing(kind: Kind, answer: Any) -> None:
    async with answering(answer) as server:
        source = kind.open_source(options(server.url()), surroundings=surroundings())
        await probed(source, 0.01)  # whatever the kind keeps for all its sources is there from now on
        async with nothing_left():
            await cancelled(source, after=a_moment)


async def test_a_cancelled_attempt_that_is_still_connecting_leaves_nothing(kind: Kind) -> None:
    with blackhole() as port:
        source = kind.open_source(options(f"https://127.0.0.1:{port}/"), surroundings=surroundings())
        await probed(source, 0.01)
        async with nothing_left():
            await cancelled(source, after=a_moment)


async def test_an_attempt_over_tls_leaves_nothing_whether_it_ended_or_was_cancelled(
    kind: Kind, authority: Path
) -> None:
    trusting = {"ca": str(authority)}
    async with answering(hanging, context=speaking()) as silent, answering(saying(OK), context=speaking()) as good:
        await asked(kind, good, tls=trusting)
        async with nothing_left():
            await asked(kind, good, tls=trusting)
            source = kind.open_source(options(silent.url(), tls=trusting), surroundings=surroundings())
            await cancelled(source, after=a_moment)


async def test_closing_breaks_off_what_runs_as_unknown_and_leaves_nothing() -> None:
    async with answering(hanging) as server, nothing_left():
        kind = Kind()
        source = kind.open_source(options(server.url()), surroundings=surroundings())
        attempt = asyncio.create_task(probed(source, 30))
        await a_moment()
        await kind.close()
        observation = await attempt
        assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.SHUTDOWN)
        assert (await probed(source)).reason is Reason.SHUTDOWN
        await kind.close()


# What is refused when it is read


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"http": "ftp://x.example/"}, "not a URL of http or https"),
        ({"http": "http:///path"}, "not a URL of http or https"),
        ({"http": "http://x.example:99999/"}, "is not a URL"),
        ({"http": "http://x.example/a b"}, "not a URL of http or https"),
        ({"http": "http://x.example\\@y.example/"}, "not a URL of http or https"),
        ({"http": "http://user:word@x.example/"}, "give them as auth"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "line break"),
        ({"headers": {"X A": "a"}}, "not the name of a header"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "not to be set"),
        ({"auth": {"bearer": "a\nb"}}, "line break"),
        ({"auth": {}}, "one kind of credentials"),
        ({"expect": {"status": 42}}, "not a status"),
        ({"expect": {"status": "6xx"}}, "status"),
        ({"expect": {"body": {"contains": "a", "matches": "b"}}}, "one expectation"),
        ({"expect": {"body": {"jsonpath": "$.a"}}}, "one expectation"),
        ({"expect": {"body": {"jsonpath": "a.b", "equals": 1}}}, "not a JSONPath"),
        ({"redirects": 11}, "less than or equal to 10"),
        ({"max_body": "2MiB", "expect": {"body": {"matches": "a"}}}, "max_body"),
        ({"method": "HEAD", "body": "x"}, "HEAD"),
        ({"wrong": 1}, "Extra inputs"),
    ],
)
def test_options_that_cannot_work_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as refusal:
        HttpOptions.model_validate({"http": "http://127.0.0.1/", **given})
    assert "word" not in refusal.value.errors(include_input=False, include_url=False)[0]["msg"]


async def test_a_file_of_tls_that_is_missing_is_refused_when_the_source_is_opened(kind: Kind, tmp_path: Path) -> None:
    missing = options("https://127.0.0.1/", tls={"ca": str(tmp_path / "none.pem")})
    with pytest.raises(Refused, match=r"tls\.ca: .*none\.pem is not a file"):
        kind.open_source(missing, surroundings=surroundings())

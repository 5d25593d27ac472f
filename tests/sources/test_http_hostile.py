"""What a hostile service can do to the kind `http`: nothing but fail its own check, by the deadline, within bounds."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dnslib import RR
from pydantic import ValidationError

from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.sources.http import HttpOptions, Kind
from tests.sources.rigs import name_server, names, probed, surroundings, values
from tests.sources.servers import OK, Server, answering, by_path, endlessly, redirecting, saying, whole

BUFFER = 16 * 1024
"""libcurl reads this much at once."""

BOMB = gzip.compress(bytes(50_000_000), 9)


@pytest.fixture
async def kind() -> AsyncIterator[Kind]:
    kind = Kind()
    yield kind
    await kind.close()


def opened(kind: Kind, url: str, *allowed: str, **others: Any) -> Any:
    return kind.open_source(HttpOptions.model_validate({"http": url, **others}), surroundings=surroundings(*allowed))


async def asked(kind: Kind, server: Server, *, within: float = 2.0, **others: Any) -> Observation:
    return await probed(opened(kind, server.url(), **others), within)


# Slow


@pytest.mark.parametrize(
    ("head", "chunk", "doing"),
    [
        (b"HTTP/1.1 200 ", b"O", "waiting for the answer"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", "reading the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x", "reading the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "reading the answer"),
    ],
    ids=["status line", "headers", "body", "chunks"],
)
async def test_a_slow_loris_ends_by_the_deadline_however_steadily_it_drips(
    kind: Kind, head: bytes, chunk: bytes, doing: str
) -> None:
    async with answering(endlessly(head, chunk, pause=0.01, most=100 * len(chunk))) as server:
        observation = await asked(kind, server, within=0.06)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert "duration_seconds" not in values(observation)
    assert observation.detail.endswith(f"the time was up while {doing}")


# Large


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"],
    ids=["endless", "100 MB"],
)
async def test_an_endless_body_is_read_to_the_cap_and_no_further(kind: Kind, head: bytes) -> None:
    async with answering(endlessly(head, bytes(65_536))) as server:
        observation = await asked(kind, server, within=10, max_body="64KiB")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TOO_LARGE)
    assert observation.detail.endswith("its body is larger than max_body, 65536 bytes")
    assert values(observation).keys() == {"connect_seconds", "first_byte_seconds", "status_code"}


async def test_fifty_endless_bodies_at_once_take_less_than_ten_megabytes() -> None:
    """Peak memory counts for a whole process, so they are asked in one of their own."""
    program = textwrap.dedent(
        """
        import asyncio, resource, sys
        from service_monitoring.domain.samples import Reason
        from service_monitoring.sources.http import HttpOptions, Kind
        from tests.sources.rigs import probed, surroundings

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def main(url):
            kind = Kind()
            counted = HttpOptions.model_validate({"http": url})
            kept = HttpOptions.model_validate({
                "http": url, "max_body": "64KiB", "expect": {"body": {"contains": "nothing of this kind"}}
            })

            async def run(options):
                return await probed(kind.open_source(options, surroundings=surroundings()), 30)

            await asyncio.gather(run(counted), run(kept))
            before = peak()
            seen = await asyncio.gather(*(run(options) for options in [counted, kept] * 25))
            assert {each.reason for each in seen} == {Reason.TOO_LARGE}, seen
            print(peak() - before)
            await kind.close()

        asyncio.run(main(sys.argv[1]))
        """
    )
    async with answering(endlessly(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65_536))) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, server.url(), stdout=subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert process.returncode == 0
    assert int(printed) < 10_000


@pytest.mark.parametrize(
    "bomb",
    [BOMB, gzip.compress(BOMB), BOMB + BOMB],
    ids=["plain", "nested", "concatenated"],
)
async def test_a_compressed_bomb_arrives_as_the_bytes_that_were_sent(kind: Kind, bomb: bytes) -> None:
    async with answering(saying(whole(bomb, b"Content-Encoding: gzip"))) as server:
        observation = await asked(kind, server, expect={"body": {"matches": "^\\C\\C\\x08"}}, within=10)
    assert observation.outcome is Outcome.OK, observation
    assert values(observation)["body_bytes"] == len(bomb)


async def test_fifty_bombs_at_once_take_less_than_ten_megabytes_and_hold_up_nobody() -> None:
    """Peak memory and the lag of the loop are those of a process of its own: five hundred bombs, 50 MB each."""
    program = textwrap.dedent(
        """
        import asyncio, resource, sys
        from service_monitoring.domain.instants import MILLISECOND, Duration
        from service_monitoring.domain.samples import Outcome
        from service_monitoring.runtime.clock import SystemClock
        from service_monitoring.runtime.watchdog import Watchdog
        from service_monitoring.sources.http import HttpOptions, Kind
        from tests.sources.rigs import probed, surroundings

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def main(url):
            kind = Kind()
            options = HttpOptions.model_validate({"http": url, "expect": {"body": {"matches": "^\\\\C\\\\C\\\\x08"}}})

            async def fifty():
                source = kind.open_source(options, surroundings=surroundings())
                return await asyncio.gather(*(probed(source, 30) for _ in range(50)))

            await fifty()
            before = peak()
            dog = Watchdog(SystemClock(), lambda lag, stack: None, every=Duration(2 * MILLISECOND))
            watching = asyncio.create_task(dog.run())
            seen = [each for _ in range(10) for each in await fifty()]
            assert {each.outcome for each in seen} == {Outcome.OK}, seen
            print(peak() - before, dog.longest / MILLISECOND)
            watching.cancel()
            await kind.close()

        asyncio.run(main(sys.argv[1]))
        """
    )
    async with answering(saying(whole(BOMB, b"Content-Encoding: gzip"))) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, server.url(), stdout=subprocess.PIPE
        )
        printed, _ = await process.communicate()
    assert process.returncode == 0
    kibibytes, milliseconds = map(float, printed.split())
    print(f"500 bombs of 50 MB: {kibibytes / 1024:.1f} MiB more, the loop was late by {milliseconds:.1f} ms at most")
    assert kibibytes < 10_000
    assert milliseconds < 50


async def test_a_bomb_in_the_transfer_encoding_is_not_opened_either(kind: Kind) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n"
    async with answering(saying(head + BOMB)) as server:
        observation = await asked(kind, server, expect={"body": {"contains": "\0"}})
    assert observation.reason is Reason.PROTOCOL


# Headers and framing


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Large: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A:\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 1_000 + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"Trailer: 1\r\n" * 10_000 + b"\r\n",
    ],
    ids=["1 MB line", "70 kB line", "10,000 lines", "300 short lines", "1,000 interim answers", "10,000 trailers"],
)
async def test_headers_beyond_the_caps_break_the_protocol(kind: Kind, head: bytes) -> None:
    async with answering(saying(head)) as server:
        observation = await asked(kind, server)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.PROTOCOL)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFF\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_the_rules_breaks_the_protocol(kind: Kind, answer: bytes) -> None:
    async with answering(saying(answer)) as server:
        observation = await asked(kind, server)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.PROTOCOL)
    assert "duration_seconds" not in values(observation)


async def test_line_breaks_in_headers_end_a_line_and_nothing_else(kind: Kind) -> None:
    odd = b"HTTP/1.1 200 OK\nX-A: 1\n folded\nX-B: \r a\r\nContent-Length: 2\r\n\r\nok"
    async with answering(saying(odd)) as server:
        observation = await asked(kind, server, expect={"headers": {"X-Injected": "1"}})
    assert observation.reason in {Reason.BODY, Reason.PROTOCOL}


# Redirects


async def test_a_redirect_loop_ends_after_five(kind: Kind) -> None:
    async with answering(saying(redirecting("/again"))) as server:
        observation = await asked(kind, server)
        assert server.connections == 6
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.REDIRECT)
    assert observation.detail.endswith("after 5 redirects")


async def test_a_redirect_to_an_address_that_is_not_allowed_connects_to_nobody(kind: Kind) -> None:
    async with (
        answering(saying(OK), host="127.0.0.2") as private,
        answering(saying(redirecting(private.url()))) as server,
    ):
        observation = await probed(opened(kind, server.url(), "127.0.0.1/32"))
        assert private.connections == 0
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BLOCKED_ADDRESS)
    assert "127.0.0.2 is this machine itself" in observation.detail


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "0.0.0.0", "169.254.169.254"])
async def test_an_address_that_is_not_allowed_is_never_connected_to(kind: Kind, host: str) -> None:
    observation = await probed(opened(kind, f"http://{host}:9/", "127.0.0.1/32"))
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BLOCKED_ADDRESS)
    assert observation.measurements == ()


@pytest.mark.parametrize("host", ["127.1", "0x7f.0.0.2", "2130706434", "017700000002"])
async def test_an_address_in_disguise_is_no_way_around(kind: Kind, host: str) -> None:
    async with (
        answering(saying(OK), host="127.0.0.2") as private,
        answering(saying(redirecting(f"http://{host}:{private.port}/"))) as server,
    ):
        observation = await probed(opened(kind, server.url(), "127.0.0.1/32"), 0.5)
        assert private.connections == 0
    assert observation.outcome is Outcome.FAILED


async def test_a_name_that_changes_its_address_gains_nothing(tmp_path: Any) -> None:
    """The first look-up gives an allowed address, every later one another: what is connected to is vetted each time."""
    addresses = iter(["127.0.0.1"] + ["127.0.0.2"] * 100)

    def rebinding(request: Any, reply: Any) -> Any:
        if request.q.qtype == 1:
            reply.add_answer(*RR.fromZone(f"{request.q.qname} 0 A {next(addresses)}"))
        return reply

    async with (
        answering(by_path({"/": redirecting("/again"), "/again": OK})) as server,
        answering(saying(OK), host="127.0.0.2", port=server.port) as private,
    ):
        with name_server(rebinding) as port:
            kind = Kind(names(tmp_path, port=port))
            observation = await probed(opened(kind, f"http://rebinding.example:{server.port}/", "127.0.0.1/32"))
            await kind.close()
        assert (server.connections, private.connections) == (1, 0)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BLOCKED_ADDRESS)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:9/", "http://a b/"])
async def test_a_redirect_away_from_http_is_not_followed(kind: Kind, location: str) -> None:
    async with answering(saying(redirecting(location))) as server:
        observation = await asked(kind, server, expect={"body": {"contains": "root"}})
        assert server.connections == 1
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.REDIRECT)


async def test_credentials_stay_with_their_origin(kind: Kind) -> None:
    own = {"Cookie": "session=1", "X-Api-Key": "k", "Host": "shop.example"}
    async with answering(saying(OK)) as other:
        pages = {"/": redirecting("/same"), "/same": redirecting(other.url())}
        async with answering(by_path(pages)) as server:
            observation = await asked(kind, server, headers=own, auth={"bearer": "t"})
            assert [server.header(name) for name in ("Authorization", "Cookie", "X-Api-Key")] == [
                "Bearer t", "session=1", "k"
            ]  # fmt: skip
    assert observation.outcome is Outcome.OK
    assert [other.header(name) for name in ("Authorization", "Cookie", "X-Api-Key")] == [None, None, None]
    assert other.header("Host") == f"127.0.0.1:{other.port}"


async def test_credentials_do_not_come_back_with_a_redirect_that_returns(kind: Kind) -> None:
    ports: list[int] = []

    async def there_and_back(request: bytes, reader: Any, writer: Any) -> None:
        there = redirecting(Server(port=ports[0]).url()) if request.startswith(b"GET / ") else OK
        await saying(there)(request, reader, writer)

    async with (
        answering(there_and_back) as first,
        answering(saying(redirecting(first.url("/back")))) as second,
    ):
        ports.append(second.port)
        observation = await asked(kind, first, auth={"bearer": "t"})
    assert (observation.outcome, values(observation)["redirects"]) == (Outcome.OK, 2)
    assert [first.header("Authorization", request) for request in (0, 1)] == ["Bearer t", None]


async def test_a_body_is_not_carried_to_another_origin(kind: Kind) -> None:
    async with answering(saying(OK)) as other, answering(saying(redirecting(other.url(), 307))) as server:
        observation = await asked(kind, server, method="POST", body="password=1")
        assert other.connections == 0
    assert observation.reason is Reason.REDIRECT


async def test_the_body_of_a_redirect_is_not_waited_for(kind: Kind) -> None:
    endless = endlessly(b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n", bytes(65_536))

    async def answer(request: bytes, reader: Any, writer: Any) -> None:
        await (saying(OK) if b"/next" in request else endless)(request, reader, writer)

    async with answering(answer) as server:
        observation = await asked(kind, server, max_body="1KiB")
    assert observation.outcome is Outcome.OK


async def test_secrets_in_the_url_of_a_redirect_are_not_shown(kind: Kind) -> None:
    async with answering(saying(redirecting("ftp://user:hunter2@127.0.0.1/?token=hunter2"))) as server:
        observation = await asked(kind, server)
    assert observation.reason is Reason.REDIRECT
    assert "hunter2" not in observation.detail


# Patterns and paths


@pytest.mark.parametrize("text", ["(a+)+$", "(a|aa)+$", "(.*a){20}b", "(?:a?){300}b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
async def test_a_pattern_that_explodes_elsewhere_is_harmless_here(kind: Kind, text: str) -> None:
    body = b"a" * 1_000_000 + b"!"
    async with answering(saying(whole(body))) as server:
        observation = await asked(kind, server, expect={"body": {"matches": text}}, within=30)
    assert observation.reason is Reason.BODY


async def test_judging_a_large_body_does_not_hold_up_the_loop(kind: Kind) -> None:
    """Half a megabyte that makes RE2 give up its automaton takes it about a second: the loop goes on meanwhile."""
    noise = b"".join(hashlib.sha256(bytes([number % 251, number // 251])).digest() for number in range(16_000))
    body = noise.translate(bytes(97 + value % 2 for value in range(256)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    async with answering(saying(whole(body))) as server:
        source = opened(kind, server.url(), expect={"body": {"matches": "a[ab]{200}c"}})
        counting = asyncio.create_task(count())
        observation = await probed(source, 0.2)
        counting.cancel()
    assert observation.reason is Reason.TIMEOUT
    assert turns > 10


@pytest.mark.parametrize(
    "body",
    [
        {"matches": "(?=a)b"},
        {"matches": r"(a)\1"},
        {"matches": "(" * 100},
        {"matches": "a" * 1025},
        {"matches": "a.{400}b"},
        {"jsonpath": "$[?search(@.name, '(a+)+$')]", "equals": 1},
        {"jsonpath": "$[?match(@.name, '(a+)+$')]", "equals": 1},
        {"jsonpath": "$[?@.name =~ /(a+)+$/]", "equals": 1},
        {"jsonpath": "$..a..a..a", "equals": 1},
    ],
)
def test_patterns_and_paths_without_a_bound_are_refused_when_they_are_read(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpOptions.model_validate({"http": "http://127.0.0.1/", "expect": {"body": body}})


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"[" + b"[]," * 300_000 + b"[]]", "too many values"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "nested too deeply"),
        (b"[" * 400_000, "not JSON"),
    ],
    ids=["wide", "deep", "unbalanced"],
)
async def test_a_document_made_to_be_searched_for_ever_is_refused(kind: Kind, body: bytes, complaint: str) -> None:
    path = "$.status" if complaint == "not JSON" else "$..status"
    async with answering(saying(whole(body))) as server:
        observation = await asked(kind, server, expect={"body": {"jsonpath": path, "equals": 1}}, within=10)
    assert observation.reason is Reason.BODY
    assert complaint in observation.detail

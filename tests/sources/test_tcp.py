"""How the kind `tcp` tells a port that answers from one that does not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service_monitoring.domain.samples import Outcome, Reason
from service_monitoring.sources import connecting
from service_monitoring.sources.tcp import Kind, Options, TcpSource
from tests.sources.rigs import (
    a_moment,
    blackhole,
    cancelled,
    name_server,
    names,
    no_answer,
    no_files_left,
    nothing_left,
    probed,
    saying,
    serving,
    silence,
    surroundings,
    unused_port,
    values,
    zone,
)


def a_source(port: int, host: str = "127.0.0.1", **more: Any) -> TcpSource:
    return Kind().open_source(Options(tcp=f"{host}:{port}", **more), surroundings=surroundings())


async def test_a_port_that_accepts_is_ok_with_its_phases() -> None:
    async with serving(silence) as port, nothing_left():
        observation = await probed(a_source(port))
    assert observation.outcome is Outcome.OK
    assert set(values(observation)) == {"connect_seconds", "duration_seconds"}
    assert 0 < values(observation)["connect_seconds"] <= values(observation)["duration_seconds"]


async def test_a_refused_connection_is_failed_and_measures_nothing() -> None:
    with unused_port() as port:
        observation = await probed(a_source(port))
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.CONNECT)
    assert observation.measurements == ()
    assert f"127.0.0.1:{port}: connection refused" in observation.detail


async def test_a_port_that_swallows_connections_is_a_timeout() -> None:
    with blackhole() as port:
        async with nothing_left():
            observation = await probed(a_source(port), 0.05)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert observation.measurements == ()
    assert "while connecting to" in observation.detail


async def test_an_expected_text_is_found_across_chunks() -> None:
    async with serving(saying(b"22", b"0 mail", b" ready\r\n")) as port, nothing_left():
        observation = await probed(a_source(port, expect="220 mail ready"))
    assert observation.outcome is Outcome.OK
    assert set(values(observation)) == {"connect_seconds", "first_byte_seconds", "duration_seconds"}


async def test_an_expected_pattern_is_searched_by_re2() -> None:
    async with serving(saying(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        observation = await probed(a_source(port, expect={"regex": r"^SSH-\d\.\d-"}))
    assert observation.outcome is Outcome.OK


async def test_what_is_sent_is_answered() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+PONG\r\n" if await reader.readline() == b"PING\r\n" else b"-ERR\r\n")
        await silence(reader, writer)

    async with serving(echo) as port:
        observation = await probed(a_source(port, send="PING\r\n", expect="+PONG"))
    assert observation.outcome is Outcome.OK


async def test_another_answer_fails_with_all_its_phases() -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 too many\r\n")
        await writer.drain()

    async with serving(busy) as port:
        observation = await probed(a_source(port, expect="220"))
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BODY)
    assert "421 too many" in observation.detail
    assert set(values(observation)) == {"connect_seconds", "first_byte_seconds", "duration_seconds"}


async def test_an_endless_answer_is_read_no_further_than_allowed() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(b"x" * 1024)
            await writer.drain()
            sent += 1024

    async with serving(endless) as port, nothing_left():
        observation = await probed(a_source(port, expect="y", read_at_most="16KiB"))
        await a_moment()
        after = sent
        await a_moment()
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BODY)
    assert sent == after


async def test_a_target_that_says_a_byte_now_and_then_ends_by_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as port, nothing_left():
        async with asyncio.timeout(0.55):
            observation = await probed(a_source(port, expect="never"), 0.05)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert "duration_seconds" not in values(observation)


async def test_a_target_that_closes_without_an_answer_fails_by_protocol() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return

    async with serving(close) as port:
        observation = await probed(a_source(port, expect="220"))
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.PROTOCOL)


async def test_an_address_that_is_not_permitted_is_never_connected_to() -> None:
    seen: list[object] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))

    async with serving(note, host="127.0.0.2") as port:
        options = Options(tcp=f"127.0.0.2:{port}")
        observation = await probed(Kind().open_source(options, surroundings=surroundings("127.0.0.1/32")))
        await a_moment()
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.BLOCKED_ADDRESS)
    assert "127.0.0.2" in observation.detail
    assert seen == []


async def test_a_name_that_changes_its_address_is_connected_where_it_was_vetted(tmp_path: Path) -> None:
    seen: list[str] = []
    asked = 0

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("sockname")[0])

    def rebinding(request: Any, reply: Any) -> Any:
        nonlocal asked
        if request.q.qtype != 1:
            return reply
        asked += 1
        return zone(f"moving.test. 0 IN A 127.0.0.{1 if asked % 2 else 2}")(request, reply)

    with name_server(rebinding) as dns_port:
        async with serving(note) as port, serving(note, host="127.0.0.2", port=port):
            kind = Kind(names(tmp_path, port=dns_port))
            source = kind.open_source(Options(tcp=f"moving.test:{port}"), surroundings=surroundings("127.0.0.1/32"))
            outcomes = [(await probed(source)).reason for _ in range(10)]
            await a_moment()
    assert outcomes == [None, Reason.BLOCKED_ADDRESS] * 5
    assert seen == ["127.0.0.1"] * 5


async def test_of_several_addresses_only_the_permitted_ones_are_tried(tmp_path: Path) -> None:
    hosts = "127.0.0.2 twice.test\n127.0.0.1 twice.test\n"
    async with serving(silence) as port:
        kind = Kind(names(tmp_path, hosts=hosts))
        source = kind.open_source(Options(tcp=f"twice.test:{port}"), surroundings=surroundings("127.0.0.1/32"))
        observation = await probed(source)
    assert observation.outcome is Outcome.OK
    assert "dns_seconds" in values(observation)


async def test_an_address_that_swallows_connections_only_costs_a_head_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "HEAD_START", 0.01)
    async with serving(silence) as port:
        with blackhole("127.0.0.2", port):
            kind = Kind(names(tmp_path, hosts="127.0.0.2 two.test\n127.0.0.1 two.test\n"))
            source = kind.open_source(Options(tcp=f"two.test:{port}"), surroundings=surroundings())
            async with nothing_left():
                observation = await probed(source)
    assert observation.outcome is Outcome.OK
    assert values(observation)["connect_seconds"] >= 0.01


async def test_a_name_with_fifty_addresses_opens_no_fifty_connections(tmp_path: Path) -> None:
    hosts = "".join(f"127.0.1.{last} many.test\n" for last in range(1, 51))
    async with serving(silence, host="127.0.1.50") as port:
        kind = Kind(names(tmp_path, hosts=hosts))
        observation = await probed(kind.open_source(Options(tcp=f"many.test:{port}"), surroundings=surroundings()))
    assert observation.reason is Reason.CONNECT
    assert 0 < observation.detail.count("refused") <= connecting.MOST_ADDRESSES


async def test_a_name_that_does_not_exist_fails_by_dns(tmp_path: Path) -> None:
    with name_server(zone("other.test. 5 IN A 127.0.0.1")) as port:
        source = Kind(names(tmp_path, port=port)).open_source(Options(tcp="gone.test:80"), surroundings=surroundings())
        observation = await probed(source)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.DNS)
    assert "gone.test does not exist (NXDOMAIN)" in observation.detail
    assert observation.measurements == ()


async def test_a_silent_name_server_is_a_timeout_that_says_so(tmp_path: Path) -> None:
    with name_server(no_answer) as port:
        source = Kind(names(tmp_path, port=port)).open_source(Options(tcp="slow.test:80"), surroundings=surroundings())
        async with nothing_left():
            observation = await probed(source, 0.05)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert "while resolving slow.test" in observation.detail


async def test_running_out_of_files_is_our_own_fault() -> None:
    async with serving(silence) as port:
        source = a_source(port)
        with no_files_left():
            observation = await probed(source)
        assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)
        assert observation.measurements == ()
        assert (await probed(source)).outcome is Outcome.OK


async def test_a_cancelled_attempt_leaves_nothing(tmp_path: Path) -> None:
    async with serving(silence) as port:
        with blackhole() as swallowing, name_server(no_answer) as dns_port:
            slow = Kind(names(tmp_path, port=dns_port)).open_source(
                Options(tcp="slow.test:80"), surroundings=surroundings()
            )
            for source in (a_source(port, expect="never"), a_source(swallowing), slow):
                async with nothing_left():
                    await cancelled(source, after=a_moment)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tcp": "shop.test"},
        {"tcp": "shop.test:0"},
        {"tcp": "shop.test:65536"},
        {"tcp": "2001:db8::1:80"},
        {"tcp": "http://shop.test:80"},
        {"tcp": "[shop.test]:80"},
        {"tcp": "shop.test:80", "expect": {"regex": "(?=a)"}},
        {"tcp": "shop.test:80", "expect": {"regex": "a", "contains": "a"}},
        {"tcp": "shop.test:80", "expect": {}},
        {"tcp": "shop.test:80", "read_at_most": "1MiB"},
        {"tcp": "shop.test:80", "expects": "220"},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)

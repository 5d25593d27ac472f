"""What the kind `dns` says of a name server's answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from dnslib import RR
from pydantic import ValidationError

from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.sources import resolving
from service_monitoring.sources.dns import DnsSource, Kind, Options
from tests.sources.rigs import (
    a_moment,
    cancelled,
    name_server,
    names,
    no_answer,
    no_files_left,
    nothing_left,
    probed,
    refusing,
    surroundings,
    unused_port,
    values,
    zone,
)

ZONE = """
shop.test.       60 IN A     192.0.2.10
shop.test.       60 IN A     192.0.2.11
shop.test.       60 IN AAAA  2001:db8::10
www.shop.test.   30 IN CNAME shop.test.
shop.test.       60 IN MX    10 Mail.Shop.test.
shop.test.       60 IN TXT   "v=spf1 include:mail.test -all"
shop.test.       60 IN NS    ns1.shop.test.
shop.test.       60 IN SOA   ns1.shop.test. admin.shop.test. 7 3600 600 86400 60
_db._tcp.test.   60 IN SRV   1 2 5432 db.test.
shop.test.       60 IN CAA   0 issue "ca.test"
10.2.0.192.in-addr.arpa. 60 IN PTR shop.test.
"""


async def asked(port: int, *, within: float = 2.0, **options: Any) -> Observation:
    source = Kind().open_source(Options(resolver=f"127.0.0.1:{port}", **options), surroundings=surroundings())
    async with nothing_left():
        return await probed(source, within)


async def test_an_answer_is_ok_with_its_records_and_their_time_to_live() -> None:
    with name_server(zone(ZONE)) as port:
        observation = await asked(port, dns="shop.test")
    assert observation.outcome is Outcome.OK
    assert observation.detail == "192.0.2.10, 192.0.2.11"
    assert set(values(observation)) == {"dns_seconds", "duration_seconds", "answers", "ttl_seconds"}
    assert (values(observation)["answers"], values(observation)["ttl_seconds"]) == (2, 60)


@pytest.mark.parametrize(
    ("name", "record", "expected"),
    [
        ("shop.test", "A", "192.0.2.11"),
        ("shop.test", "AAAA", "2001:0DB8:0:0::10"),
        ("www.shop.test", "CNAME", "SHOP.test"),
        ("shop.test", "MX", "10 mail.shop.test"),
        ("shop.test", "TXT", "v=spf1 include:mail.test -all"),
        ("shop.test", "TXT", '"v=spf1 include:mail.test" " -all"'),
        ("shop.test", "NS", "ns1.shop.test."),
        ("shop.test", "SOA", "ns1.shop.test. admin.shop.test. 7 3600 600 86400 60"),
        ("_db._tcp.test", "SRV", "1 2 5432 db.test"),
        ("shop.test", "CAA", '0 issue "ca.test"'),
        ("192.0.2.10", "PTR", "shop.test"),
    ],
)
async def test_values_are_compared_as_records_and_not_as_text(name: str, record: Any, expected: str) -> None:
    with name_server(zone(ZONE)) as port:
        observation = await asked(port, dns=name, record=record, expect=[expected])
    assert (observation.outcome, observation.reason) == (Outcome.OK, None), observation.detail


@pytest.mark.parametrize(
    ("expected", "outcome"),
    [
        (["192.0.2.10"], Outcome.OK),
        (["192.0.2.10", "192.0.2.99"], Outcome.FAILED),
        ({"any": ["192.0.2.99", "192.0.2.11"]}, Outcome.OK),
        ({"any": ["192.0.2.99"]}, Outcome.FAILED),
        ({"only": ["192.0.2.11", "192.0.2.10"]}, Outcome.OK),
        ({"only": ["192.0.2.10"]}, Outcome.FAILED),
    ],
)
async def test_all_any_or_only_these_values_are_expected(expected: Any, outcome: Outcome) -> None:
    with name_server(zone(ZONE)) as port:
        observation = await asked(port, dns="shop.test", expect=expected)
    assert observation.outcome is outcome
    assert observation.reason is (None if outcome is Outcome.OK else Reason.RECORD)
    assert set(values(observation)) == {"dns_seconds", "duration_seconds", "answers", "ttl_seconds"}


async def test_the_ways_to_have_no_answer_are_told_apart() -> None:
    with name_server(zone(ZONE)) as port:
        missing = await asked(port, dns="gone.test")
        empty = await asked(port, dns="_db._tcp.test", record="TXT")
    with name_server(refusing(2)) as port:
        broken = await asked(port, dns="shop.test")
    with name_server(refusing(5)) as port:
        refused = await asked(port, dns="shop.test")
    with name_server(no_answer) as port:
        silent = await asked(port, dns="shop.test", within=0.05)
    with unused_port() as port:
        unreachable = await asked(port, dns="shop.test")
    assert {each.outcome for each in (missing, empty, broken, refused, silent, unreachable)} == {Outcome.FAILED}
    assert [each.reason for each in (missing, empty, broken, refused, unreachable)] == [Reason.DNS] * 5
    assert "NXDOMAIN" in missing.detail
    assert "has no TXT record" in empty.detail
    assert "SERVFAIL" in broken.detail
    assert "REFUSED" in refused.detail
    assert "refused" in unreachable.detail
    assert silent.reason is Reason.TIMEOUT
    assert "waiting for an answer from 127.0.0.1:" in silent.detail
    assert values(missing)["answers"] == values(empty)["answers"] == 0
    assert "answers" not in values(broken)
    assert silent.measurements == unreachable.measurements == ()


async def test_a_lost_datagram_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "PATIENCE", 0.01)
    questions = 0

    def lossy(request: Any, reply: Any) -> Any:
        nonlocal questions
        questions += 1
        return None if questions < 3 else zone(ZONE)(request, reply)

    with name_server(lossy) as port:
        observation = await asked(port, dns="shop.test")
    assert observation.outcome is Outcome.OK
    assert questions >= 3


async def test_an_answer_that_is_too_long_for_a_datagram_is_asked_for_over_tcp() -> None:
    long = "".join(f"many.test. 60 IN A 192.0.2.{last}\n" for last in range(1, 201))
    with name_server(zone(long), tcp=True) as port:
        observation = await asked(port, dns="many.test")
    assert observation.outcome is Outcome.OK
    assert values(observation)["answers"] == 200


async def test_an_answer_to_another_question_is_not_believed() -> None:
    def forged(request: Any, reply: Any) -> Any:
        zone(ZONE)(request, reply)
        reply.header.id = request.header.id ^ 1
        return reply

    with name_server(forged) as port:
        observation = await asked(port, dns="shop.test", within=0.05)
    assert observation.reason is Reason.TIMEOUT


async def test_a_name_server_of_a_check_has_to_be_permitted_and_that_of_the_machine_has_not(tmp_path: Path) -> None:
    questions: list[str] = []

    def note(request: Any, reply: Any) -> Any:
        questions.append(str(request.q.qname))
        return zone(ZONE)(request, reply)

    nowhere = surroundings("203.0.113.0/24")
    with name_server(note) as port:
        kind = Kind(names(tmp_path, port=port))
        named = Options(dns="shop.test", resolver=f"127.0.0.1:{port}")
        refused = await probed(kind.open_source(named, surroundings=nowhere))
        assert (refused.reason, questions) == (Reason.BLOCKED_ADDRESS, [])
        own = await probed(kind.open_source(Options(dns="shop.test"), surroundings=nowhere))
    assert own.outcome is Outcome.OK
    assert questions == ["shop.test."]


async def test_a_silent_name_server_delays_no_other_check() -> None:
    def source(port: int, name: str) -> DnsSource:
        return Kind().open_source(Options(dns=name, resolver=f"127.0.0.1:{port}"), surroundings=surroundings())

    with name_server(no_answer) as silent, name_server(zone(ZONE)) as port:
        async with nothing_left():
            stuck = [asyncio.create_task(probed(source(silent, f"n{number}.test"), 30)) for number in range(100)]
            await a_moment()
            observations = [await probed(source(port, "shop.test"), 1) for _ in range(5)]
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)
    assert {each.outcome for each in observations} == {Outcome.OK}


async def test_running_out_of_files_is_our_own_fault() -> None:
    with name_server(zone(ZONE)) as port:
        source = Kind().open_source(Options(dns="shop.test", resolver=f"127.0.0.1:{port}"), surroundings=surroundings())
        with no_files_left():
            observation = await probed(source)
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)


async def test_what_this_machine_may_not_do_is_our_own_fault() -> None:
    # Datagrams to a broadcast address need a permission that nobody asked for.
    observation = await probed(
        Kind().open_source(Options(dns="shop.test", resolver="127.255.255.255"), surroundings=surroundings())
    )
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)
    assert "Permission denied" in observation.detail


async def test_a_cancelled_attempt_leaves_nothing() -> None:
    with name_server(no_answer) as port:
        source = Kind().open_source(Options(dns="shop.test", resolver=f"127.0.0.1:{port}"), surroundings=surroundings())
        async with nothing_left():
            await cancelled(source, after=a_moment)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dns": "two..dots"},
        {"dns": "shop.test", "record": "ANY"},
        {"dns": "shop.test", "resolver": "192.0.2.1:99999"},
        {"dns": "shop.test", "expect": ["not an address"]},
        {"dns": "shop.test", "record": "MX", "expect": ["mail.test"]},
        {"dns": "shop.test", "expect": {"all": ["192.0.2.1"], "any": ["192.0.2.2"]}},
        {"dns": "shop.test", "expect": []},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)


async def test_names_of_the_hosts_file_need_no_name_server(tmp_path: Path) -> None:
    found = names(tmp_path, hosts="127.0.0.7 Box.Test box # ours\n::1 box\n", configuration="")
    assert [str(each) for each in await found.addresses("box.test.")] == ["127.0.0.7"]
    assert [str(each) for each in await found.addresses("box")] == ["127.0.0.7", "::1"]
    assert [str(each) for each in await found.addresses("localhost")] == ["127.0.0.1", "::1"]


async def test_files_that_changed_are_read_again(tmp_path: Path) -> None:
    found = names(tmp_path, hosts="127.0.0.7 box\n")
    assert [str(each) for each in await found.addresses("box")] == ["127.0.0.7"]
    (tmp_path / "hosts").write_text("127.0.0.123 box\n")
    assert [str(each) for each in await found.addresses("box")] == ["127.0.0.123"]


async def test_both_families_are_asked_for_and_aliases_followed(tmp_path: Path) -> None:
    def aliased(request: Any, reply: Any) -> Any:
        reply.add_answer(*RR.fromZone("www.shop.test. 30 IN CNAME shop.test."))
        for record in RR.fromZone(ZONE):
            if str(record.rname) == "shop.test." and record.rtype == request.q.qtype:
                reply.add_answer(record)
        return reply

    with name_server(aliased) as port:
        found = await names(tmp_path, port=port).addresses("www.shop.test")
    assert {str(each) for each in found} == {"192.0.2.10", "192.0.2.11", "2001:db8::10"}


async def test_one_family_without_an_answer_does_not_hold_up_the_other(tmp_path: Path) -> None:
    def only_four(request: Any, reply: Any) -> Any:
        return None if request.q.qtype == 28 else zone(ZONE)(request, reply)

    with name_server(only_four) as port:
        async with asyncio.timeout(resolving.PATIENCE / 2):
            found = await names(tmp_path, port=port).addresses("shop.test")
    assert {str(each) for each in found} == {"192.0.2.10", "192.0.2.11"}


async def test_short_names_are_searched_for(tmp_path: Path) -> None:
    with name_server(zone(ZONE)) as port:
        configuration = "nameserver 127.0.0.1\nsearch nothing.test test\n"
        found = await names(tmp_path, port=port, configuration=configuration).addresses("shop")
    assert "192.0.2.10" in {str(each) for each in found}


async def test_the_next_name_server_is_asked_when_one_refuses(tmp_path: Path) -> None:
    asked_first: list[str] = []

    def first(request: Any, reply: Any) -> Any:
        asked_first.append(str(request.q.qname))
        return refusing(2)(request, reply)

    # Both listen on one port, as resolv.conf knows addresses alone.
    with name_server(first) as port, name_server(zone(ZONE), host="127.0.0.2", port=port):
        configuration = "nameserver 127.0.0.1\nnameserver 127.0.0.2\n"
        found = await names(tmp_path, port=port, configuration=configuration).addresses("shop.test")
    assert "192.0.2.10" in {str(each) for each in found}
    assert asked_first

"""What the kind `tls` says of a handshake and of the certificates that come with it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.errors import Refused
from service_monitoring.sources.tls import Kind, Options
from service_monitoring.testing.clock import SimulatedClock
from tests.sources.rigs import (
    a_moment,
    blackhole,
    cancelled,
    names,
    no_files_left,
    nothing_left,
    probed,
    serving,
    silence,
    surroundings,
    unused_port,
    values,
)

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


def issued(*hosts: str, begins: datetime | None = None, ends: datetime | None = None, by: Any = AUTHORITY) -> Any:
    return by.issue_cert(*hosts, not_before=begins, not_after=ends, key_type=trustme.KeyType.ECDSA)


@asynccontextmanager
async def speaking_tls(certificate: Any, *, weak: bool = False) -> AsyncIterator[int]:
    """A server with this certificate; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if weak:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
    if isinstance(certificate, Path):
        context.load_cert_chain(certificate)
    else:
        certificate.configure_cert(context)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # clients that refuse a certificate are what is tested
    server = await asyncio.start_server(silence, "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=0.01)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def looked_at(port: int, *, within: float = 5.0, clock: Any = None, **options: Any) -> Observation:
    source = Kind().open_source(Options(tls=f"127.0.0.1:{port}", **options), surroundings=surroundings(clock=clock))
    return await probed(source, within)


def days(observation: Observation, metric: str = "certificate_expires_in_seconds") -> float:
    return values(observation)[metric] / 86_400


async def test_a_good_certificate_is_ok_with_its_phases_and_the_time_that_is_left(authority: Path) -> None:
    async with speaking_tls(issued("127.0.0.1", ends=NOW + timedelta(days=30))) as port, nothing_left():
        observation = await looked_at(port, ca=authority)
    assert observation.outcome is Outcome.OK, observation.detail
    assert set(values(observation)) == {
        "connect_seconds", "tls_seconds", "duration_seconds",
        "certificate_expires_in_seconds", "chain_expires_in_seconds",
    }  # fmt: skip
    assert days(observation) == pytest.approx(30, abs=0.1)


async def test_the_chain_lasts_as_long_as_its_soonest_member(tmp_path: Path) -> None:
    authority, server = chain_signed_with("sha256", tmp_path, lasts=20)
    async with speaking_tls(server) as port:
        observation = await looked_at(port, ca=authority)
    assert days(observation) == pytest.approx(20, abs=0.1)
    assert days(observation, "chain_expires_in_seconds") == pytest.approx(9, abs=0.1)


async def test_an_expired_certificate_is_told_with_how_long_ago(authority: Path) -> None:
    ended = NOW - timedelta(days=2)
    async with speaking_tls(issued("127.0.0.1", begins=ended - timedelta(days=9), ends=ended)) as port:
        observation = await looked_at(port, ca=authority)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS_EXPIRED)
    assert days(observation) == pytest.approx(-2, abs=0.1)
    assert "expired at" in observation.detail


async def test_an_untrusted_certificate_is_told_with_what_is_left_of_it(authority: Path) -> None:
    stranger = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificate = issued("127.0.0.1", ends=NOW + timedelta(days=5), by=stranger)
    async with speaking_tls(certificate) as port, nothing_left():
        observation = await looked_at(port, ca=authority)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS_UNTRUSTED)
    assert days(observation) == pytest.approx(5, abs=0.1)
    assert set(values(observation)) == {
        "connect_seconds", "certificate_expires_in_seconds", "chain_expires_in_seconds",
    }  # fmt: skip


def self_signed(folder: Path, *arguments: str) -> Path:
    path = folder / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.test", "-days", "7",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", folder / "certificate.pem", *arguments],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (folder / "certificate.pem").read_bytes())
    return path


async def test_a_self_signed_certificate_is_untrusted_unless_it_is_the_authority(
    tmp_path: Path, authority: Path
) -> None:
    certificate = self_signed(tmp_path)
    async with speaking_tls(certificate) as port:
        untrusted = await looked_at(port, ca=authority)
        trusted = await looked_at(port, ca=tmp_path / "certificate.pem")
    assert untrusted.reason is Reason.TLS_UNTRUSTED
    assert "self-signed" in untrusted.detail
    assert days(untrusted) == pytest.approx(7, abs=0.1)
    assert trusted.outcome is Outcome.OK, trusted.detail


async def test_a_certificate_of_another_host_is_told_apart(authority: Path) -> None:
    async with speaking_tls(issued("shop.test", ends=NOW + timedelta(days=5))) as port:
        observation = await looked_at(port, ca=authority)
        named = await looked_at(port, ca=authority, server_name="shop.test")
        misnamed = await looked_at(port, ca=authority, server_name="other.test")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS_HOSTNAME)
    assert days(observation) == pytest.approx(5, abs=0.1)
    assert named.outcome is Outcome.OK, named.detail
    assert misnamed.reason is Reason.TLS_HOSTNAME


def chain_signed_with(digest: str, folder: Path, *, bits: int = 2048, lasts: int = 7) -> tuple[Path, Path]:
    """An authority that lasts nine days, and a server's certificate with its key, signed with `digest`."""
    authority, key = folder / "weak-ca.pem", folder / "weak-ca.key"
    server, request, extensions = folder / "weak.pem", folder / "weak.csr", folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\n")
    of_the_authority: list[str | Path] = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=ca",
        "-days",
        "9",
        "-keyout",
        key,
    ]
    of_the_server: list[str | Path] = ["-newkey", f"rsa:{bits}", "-nodes", "-subj", "/CN=shop.test", "-keyout", server]
    signing: list[str | Path] = [
        "-in",
        request,
        "-CA",
        authority,
        "-CAkey",
        key,
        "-CAcreateserial",
        "-extfile",
        extensions,
    ]
    commands: list[list[str | Path]] = [
        ["req", "-x509", *of_the_authority, "-out", authority],
        ["req", *of_the_server, "-out", request],
        ["x509", "-req", f"-{digest}", "-days", str(lasts), *signing, "-out", folder / "leaf.pem"],
    ]
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    server.write_bytes(server.read_bytes() + (folder / "leaf.pem").read_bytes())
    return authority, server


@pytest.mark.parametrize(("digest", "bits"), [("sha1", 2048), ("sha256", 1024)])
async def test_a_weak_certificate_is_told_apart(digest: str, bits: int, tmp_path: Path) -> None:
    authority, server = chain_signed_with(digest, tmp_path, bits=bits)
    async with speaking_tls(server, weak=True) as port:
        observation = await looked_at(port, ca=authority)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS_WEAK), observation.detail
    assert days(observation) == pytest.approx(7, abs=0.1)


async def test_a_server_that_knows_only_old_versions_is_weak(authority: Path) -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # the fatal alert protocol_version
        await silence(reader, writer)

    async with serving(old) as port:
        observation = await looked_at(port, ca=authority)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS_WEAK), observation.detail


async def test_a_handshake_that_stalls_is_a_timeout(authority: Path) -> None:
    async with serving(silence) as port, nothing_left():
        async with asyncio.timeout(0.55):
            observation = await looked_at(port, ca=authority, within=0.05)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    assert set(values(observation)) == {"connect_seconds"}
    assert "shaking hands" in observation.detail


async def test_a_second_look_that_stalls_does_not_change_the_verdict(authority: Path) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("127.0.0.1", by=trustme.CA(key_type=trustme.KeyType.ECDSA)).configure_cert(stranger)
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await writer.start_tls(stranger)
        await silence(reader, writer)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with serving(once) as port, nothing_left():
        observation = await looked_at(port, ca=authority, within=0.2)
    assert (connections, observation.reason) == (2, Reason.TLS_UNTRUSTED)
    assert set(values(observation)) == {"connect_seconds"}


async def test_a_certificate_that_is_not_yet_valid_is_untrusted(authority: Path) -> None:
    begins = NOW + timedelta(days=3)
    async with speaking_tls(issued("127.0.0.1", begins=begins, ends=begins + timedelta(days=9))) as port:
        observation = await looked_at(port, ca=authority)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS_UNTRUSTED)
    assert "valid only from" in observation.detail


async def test_dates_are_judged_by_the_clock_that_was_handed_in(authority: Path) -> None:
    ends = NOW + timedelta(days=30)
    async with speaking_tls(issued("127.0.0.1", ends=ends)) as port:
        now = Instant(int(NOW.timestamp()) * 1_000_000_000)
        later = await looked_at(port, ca=authority, clock=SimulatedClock(now.plus(Duration(31 * DAY))))
    assert later.reason is Reason.TLS_EXPIRED
    assert days(later) == pytest.approx(-1, abs=0.1)


async def test_a_certificate_has_to_last_as_long_as_was_asked(authority: Path) -> None:
    async with speaking_tls(issued("127.0.0.1", ends=NOW + timedelta(days=10))) as port:
        enough = await looked_at(port, ca=authority, valid_for="9d")
        too_little = await looked_at(port, ca=authority, valid_for="14d")
    assert enough.outcome is Outcome.OK
    assert (too_little.outcome, too_little.reason) == (Outcome.FAILED, Reason.TLS_EXPIRED)
    assert "less than 2w" in too_little.detail
    assert "duration_seconds" in values(too_little)


async def test_without_verifying_everything_goes_and_dates_are_measured() -> None:
    ended = NOW - timedelta(days=2)
    async with speaking_tls(issued("shop.test", begins=ended - timedelta(days=9), ends=ended)) as port:
        observation = await looked_at(port, verify=False)
    assert observation.outcome is Outcome.OK, observation.detail
    assert days(observation) == pytest.approx(-2, abs=0.1)


async def test_a_server_that_speaks_no_tls_fails_by_tls(authority: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await silence(reader, writer)

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    for handler in (plain, close):
        async with serving(handler) as port, nothing_left():
            observation = await looked_at(port, ca=authority)
        assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TLS), observation.detail


async def test_a_refused_connection_measures_nothing(authority: Path) -> None:
    with unused_port() as port:
        observation = await looked_at(port, ca=authority)
    assert (observation.reason, observation.measurements) == (Reason.CONNECT, ())


async def test_an_address_that_is_not_permitted_is_blocked() -> None:
    source = Kind().open_source(Options(tls="127.0.0.1:443"), surroundings=surroundings("127.0.0.2/32"))
    assert (await probed(source)).reason is Reason.BLOCKED_ADDRESS


async def test_running_out_of_files_is_our_own_fault(authority: Path) -> None:
    source = Kind().open_source(Options(tls="127.0.0.1:443", ca=authority), surroundings=surroundings())
    with no_files_left():
        observation = await probed(source)
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)


async def test_a_cancelled_attempt_leaves_nothing(authority: Path) -> None:
    async with serving(silence) as stalling:
        with blackhole() as swallowing:
            for port in (stalling, swallowing):
                source = Kind().open_source(Options(tls=f"127.0.0.1:{port}", ca=authority), surroundings=surroundings())
                async with nothing_left():
                    await cancelled(source, after=a_moment)


async def test_a_name_is_verified_and_sent_while_its_address_is_connected(tmp_path: Path, authority: Path) -> None:
    async with speaking_tls(issued("shop.test")) as port:
        kind = Kind(names(tmp_path, hosts="127.0.0.1 shop.test\n"))
        source = kind.open_source(Options(tls=f"shop.test:{port}", ca=authority), surroundings=surroundings())
        observation = await probed(source)
    assert observation.outcome is Outcome.OK, observation.detail
    assert "dns_seconds" in values(observation)


async def test_a_file_that_holds_no_authority_is_refused_when_opened(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(Refused, match="name a PEM file"):
            Kind().open_source(Options(tls="127.0.0.1:443", ca=path), surroundings=surroundings())


async def test_sources_share_the_authorities_of_one_file_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    kind, options = Kind(), Options(tls="127.0.0.1:443", ca=path)
    first, second = (kind.open_source(options, surroundings=surroundings()) for _ in range(2))
    assert first._first is second._first
    trustme.CA().cert_pem.write_to_path(path)
    assert kind.open_source(options, surroundings=surroundings())._first is not first._first


@pytest.mark.parametrize("wrong", [{"tls": "shop.test"}, {"tls": "shop.test:443", "valid_for": 14}])
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)

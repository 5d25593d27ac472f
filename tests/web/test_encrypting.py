"""The certificate of the address: who it lets in, when it is read anew, and whom it does not wait for."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
import trustme

from service_monitoring.bootstrap.loading import load
from service_monitoring.bootstrap.wiring import encryption_of
from service_monitoring.errors import Refused
from service_monitoring.settings import InvalidSettings, WebSettings
from service_monitoring.web import serve as serving_module
from service_monitoring.web.encrypting import Encryption
from tests.web.conftest import Inside
from tests.web.door_rigs import Browser, at_the_door

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def written(folder: Path, authority: trustme.CA, name: str = "127.0.0.1") -> tuple[Path, Path]:
    leaf = authority.issue_cert(name)
    certificate, key = folder / "monitor.pem", folder / "monitor.key"
    certificate.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    return certificate, key


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def browser(inside: Inside, tmp_path: Path, authority: trustme.CA) -> AsyncIterator[Browser]:
    encryption = Encryption(*written(tmp_path, authority))
    async with at_the_door(inside, ENCRYPTED, encryption=encryption, trust=trusting(authority)) as browser:
        yield browser


ENCRYPTED = WebSettings("127.0.0.1", 0, url="https://monitor.example.com")


async def test_what_is_sent_is_encrypted_and_browsers_are_told_to_stay_with_it(browser: Browser) -> None:
    await browser.sign_in()
    said = await browser.page("/account")
    assert said.status == 200
    assert said.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert browser.set_cookie.startswith("__Host-session=") and "; Secure" in browser.set_cookie
    origin = {"Origin": browser.url}
    assert (await browser.form("/logout", csrf=await browser.csrf(), headers=origin)).status == 303


@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_nothing_older_than_tls_1_2_is_spoken(
    browser: Browser, authority: trustme.CA, version: ssl.TLSVersion, spoken: bool
) -> None:
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = version, version
    host, port = host_of(browser)
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError:
        assert not spoken
    else:
        writer.close()
        assert spoken


def host_of(browser: Browser) -> tuple[str, int]:
    host, _, port = browser.url.removeprefix("https://").partition(":")
    return host, int(port)


async def test_who_does_not_encrypt_is_answered_nothing_and_others_go_on(browser: Browser) -> None:
    reader, writer = await asyncio.open_connection(*host_of(browser))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    with suppress(ConnectionResetError):
        assert b"HTTP" not in await reader.read()
    writer.close()
    assert (await browser.ask("GET", "/healthz")).status == 200


async def test_who_never_ends_his_handshake_has_a_place_for_a_moment_and_no_more_than_others(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "_HANDSHAKE", 0.5)
    host, port = host_of(browser)
    since = time.monotonic()
    silent = [await asyncio.open_connection(host, port) for _ in range(serving_module.MOST_OF_ONE + 20)]
    with pytest.raises(aiohttp.ClientError):
        await browser.ask("GET", "/healthz")
    for reader, _ in silent:
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    assert time.monotonic() - since < 10
    assert (await browser.ask("GET", "/healthz")).status == 200
    for _, writer in silent:
        writer.close()


async def test_a_renewed_certificate_is_shown_to_those_who_come_afterwards(
    inside: Inside, tmp_path: Path, authority: trustme.CA
) -> None:
    encryption = Encryption(*written(tmp_path, authority))
    async with at_the_door(inside, ENCRYPTED, encryption=encryption, trust=trusting(authority)) as browser:
        before = await shown(browser, authority)
        encryption.renew()
        assert await shown(browser, authority) == before
        written(tmp_path, authority)
        encryption.renew()
        assert await shown(browser, authority) != before


async def shown(browser: Browser, authority: trustme.CA) -> object:
    host, port = host_of(browser)
    _, writer = await asyncio.open_connection(host, port, ssl=trusting(authority))
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return certificate["serialNumber"]


async def test_the_files_are_looked_at_while_it_serves(
    inside: Inside, tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "_FILES_LOOKED_AT", 1)
    encryption = Encryption(*written(tmp_path, authority))
    async with at_the_door(inside, ENCRYPTED, encryption=encryption, trust=trusting(authority)) as browser:
        before = await shown(browser, authority)
        written(tmp_path, authority)
        while await shown(browser, authority) == before:
            await asyncio.sleep(0.02)


async def test_a_certificate_that_cannot_be_used_leaves_the_one_before(tmp_path: Path, authority: trustme.CA) -> None:
    said: list[str] = []
    certificate, key = written(tmp_path, authority)
    encryption = Encryption(certificate, key, troubled=said.append)
    good = key.read_bytes()
    key.write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
    encryption.renew()
    encryption.renew()
    assert len(said) == 1 and "not renewed" in said[0] and "KEY_VALUES_MISMATCH" in said[0]
    certificate.unlink()
    encryption.renew()
    assert "cannot be read (No such file" in said[1]
    certificate, key = written(tmp_path, authority)
    encryption.renew()
    assert said[2:] == [""]
    assert good != key.read_bytes()


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read"), (b"", "no certificate with its key"), (b"nonsense", "no certificate with its key")],
)
def test_what_is_no_certificate_is_refused_at_the_start(
    tmp_path: Path, authority: trustme.CA, content: bytes | None, why: str
) -> None:
    certificate, key = written(tmp_path, authority)
    certificate.unlink()
    if content is not None:
        certificate.write_bytes(content)
    with pytest.raises(Refused, match=why):
        Encryption(certificate, key)


def test_a_program_does_not_begin_with_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "monitoring.yaml"
    file.write_text("web:\n  listen: 0.0.0.0:8443\n  tls: {certificate: a.pem, key: a.key}\n")
    web = load(file).web
    assert web is not None and web.encrypted and not web.local
    with pytest.raises(InvalidSettings) as refused:
        encryption_of(web, lambda sentence: None)
    assert str(refused.value) == (
        f"{file}:3:3 web.tls: {tmp_path}/a.pem cannot be read (No such file or directory); "
        "name a certificate and its key in PEM that the user of the program may read"
    )


async def test_proxies_may_have_more_connections_than_others(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "MOST_OF_ONE", 2)
    web = WebSettings("127.0.0.1", 0, behind_proxy=(ip_network("127.0.0.0/8"),))
    async with at_the_door(inside, web) as browser:
        said = await asyncio.gather(*(browser.ask("GET", "/healthz") for _ in range(10)))
        assert {each.status for each in said} == {200}


async def test_in_the_open_nothing_is_taken_that_did_not_come_through_the_proxy(inside: Inside) -> None:
    web = WebSettings("0.0.0.0", 0, behind_proxy=(ip_network("127.0.0.0/8"),))
    async with at_the_door(inside, web) as browser:
        # The proxy says that this one came to it unencrypted.
        plain = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}
        assert (await browser.ask("GET", "/login", headers=plain)).status == 403
        assert (await browser.ask("GET", "/healthz", headers=plain)).status == 200
        through = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
        assert (await browser.ask("GET", "/login", headers=through)).status == 200

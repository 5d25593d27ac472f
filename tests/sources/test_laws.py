"""The kinds `tcp`, `tls`, `dns`, `command` and `prometheus` keep the laws of sources."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from service_monitoring.domain.samples import Reason
from service_monitoring.sources import command, dns, prometheus, tcp, tls
from service_monitoring.testing.source_laws import NetworkSourceLaws, SourceLaws, Target
from tests.sources.rigs import name_server, no_answer, saying, serving, silence, unused_port, zone


class TestTcp(NetworkSourceLaws):
    @pytest.fixture
    async def target(self) -> AsyncIterator[Target]:
        async with serving(saying(b"220 \x1b[31mready\r\n")) as good, serving(silence) as silent:
            with unused_port() as port:
                yield Target(
                    tcp.Kind(),
                    good=tcp.Options(tcp=f"127.0.0.1:{good}", expect=tcp.Expectation(contains="220")),
                    hanging=tcp.Options(tcp=f"127.0.0.1:{silent}", expect=tcp.Expectation(contains="220")),
                    failing={
                        Reason.CONNECT: tcp.Options(tcp=f"127.0.0.1:{port}"),
                        Reason.BODY: tcp.Options(
                            tcp=f"127.0.0.1:{good}", expect=tcp.Expectation(contains="421"), read_at_most=8
                        ),
                    },
                )


class TestTls(NetworkSourceLaws):
    @pytest.fixture
    async def target(self, tmp_path: Path) -> AsyncIterator[Target]:
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        ca = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # clients that refuse are what is tested

        async def secure(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await writer.start_tls(context)
            await silence(reader, writer)

        async with serving(secure) as good, serving(silence) as silent:
            with unused_port() as port:
                yield Target(
                    tls.Kind(),
                    good=tls.Options(tls=f"127.0.0.1:{good}", ca=ca),
                    hanging=tls.Options(tls=f"127.0.0.1:{silent}", ca=ca),
                    failing={
                        Reason.CONNECT: tls.Options(tls=f"127.0.0.1:{port}", ca=ca),
                        Reason.TLS_HOSTNAME: tls.Options(tls=f"127.0.0.1:{good}", ca=ca, server_name="other.test"),
                    },
                )


class TestDns(NetworkSourceLaws):
    @pytest.fixture
    async def target(self) -> AsyncIterator[Target]:
        with name_server(zone("shop.test. 60 IN A 192.0.2.1")) as good, name_server(no_answer) as silent:
            yield Target(
                dns.Kind(),
                good=dns.Options(dns="shop.test", resolver=f"127.0.0.1:{good}"),
                hanging=dns.Options(dns="shop.test", resolver=f"127.0.0.1:{silent}"),
                failing={
                    Reason.DNS: dns.Options(dns="gone.test", resolver=f"127.0.0.1:{good}"),
                    Reason.RECORD: dns.Options.model_validate(
                        {"dns": "shop.test", "resolver": f"127.0.0.1:{good}", "expect": ["192.0.2.9"]}
                    ),
                },
            )


class TestCommand(SourceLaws):
    @pytest.fixture
    async def target(self) -> AsyncIterator[Target]:
        kind = command.Kind()
        yield Target(
            kind,
            good=command.Options(command=("echo", "fine \x1b[31m|a=1 a=2")),
            hanging=command.Options(command=("sh", "-c", "trap '' TERM; sleep 1000 & while :; do sleep 1000; done")),
            failing={
                Reason.EXIT_CODE: command.Options(command=("sh", "-c", "printf '\\033[2J\\n'; exit 2")),
                Reason.TOO_LARGE: command.Options(command=("yes",)),
            },
        )
        await kind.close()


class TestPrometheus(NetworkSourceLaws):
    @pytest.fixture
    async def target(self) -> AsyncIterator[Target]:
        def page(content: bytes, status: bytes = b"200 OK") -> bytes:
            return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content)

        kind = prometheus.Kind()
        async with (
            serving(saying(page(b'a{x="\x1b"} 1\na{x="\x1b"} 2\nb NaN\n'))) as good,
            serving(saying(page(b"<html>\x1b[2J"))) as strange,
            serving(saying(page(b"a 1\n", b"500 Error"))) as broken,
            serving(silence) as silent,
        ):
            with unused_port() as port:

                def options(which: int) -> prometheus.Options:
                    return prometheus.Options(prometheus=f"http://127.0.0.1:{which}/metrics", metrics=("a", "b", "c"))

                yield Target(
                    kind,
                    good=options(good),
                    hanging=options(silent),
                    failing={
                        Reason.CONNECT: options(port),
                        Reason.PROTOCOL: options(strange),
                        Reason.STATUS: options(broken),
                    },
                )
        await kind.close()

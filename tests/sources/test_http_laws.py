"""The kind `http` keeps the laws of sources."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service_monitoring.domain.samples import Reason
from service_monitoring.sources.http import HttpOptions, Kind
from service_monitoring.testing.source_laws import NetworkSourceLaws, Target
from tests.sources.rigs import unused_port
from tests.sources.servers import OK, answering, hanging, redirecting, saying, whole


class TestHttp(NetworkSourceLaws):
    @pytest.fixture
    async def target(self) -> AsyncIterator[Target]:
        kind = Kind()
        async with (
            answering(saying(OK)) as good,
            answering(hanging) as silent,
            answering(saying(b"\x00\xff\r\n\r\n")) as strange,
            answering(saying(whole(b"\x1b[2J\r\n", status=b"500 \x1b[31mRed"))) as broken,
            answering(saying(redirecting("/\x1b[2J"))) as elsewhere,
        ):
            with unused_port() as port:
                yield Target(
                    kind,
                    good=HttpOptions(http=good.url()),
                    hanging=HttpOptions(http=silent.url()),
                    failing={
                        Reason.CONNECT: HttpOptions(http=f"http://127.0.0.1:{port}/"),
                        Reason.PROTOCOL: HttpOptions(http=strange.url()),
                        Reason.STATUS: HttpOptions(http=broken.url()),
                        Reason.REDIRECT: HttpOptions(http=elsewhere.url()),
                    },
                )
        await kind.close()

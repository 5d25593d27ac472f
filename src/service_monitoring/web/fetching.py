"""Fetching: one small answer over HTTP from somebody outside, whom the address policy lets us connect to.

Knows HTTP. Does not know what is asked. It follows no redirect, keeps no cookie, uses no proxy, and asks the policy
where the socket is made, after names were resolved.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from service_monitoring.domain.instants import in_seconds
from service_monitoring.errors import Unavailable
from service_monitoring.ports import AddressPolicy, Clock, Deadline

LARGEST: Final = 256 * 1024
"""Bytes of an answer."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_PIECE: Final = 64 * 1024
_LATE: Final = "no answer came in time"


class Fetched(Struct, frozen=True):
    """An answer in full."""

    status: int
    body: bytes


class Fetcher:
    """Fetches. Belongs to one loop. Cancelled, the connection is closed."""

    def __init__(self, network: Callable[[], AddressPolicy], clock: Clock) -> None:
        """`network` is the policy in force."""
        self._clock = clock
        self._network = network
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self,
        url: str,
        deadline: Deadline,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = _NONE,
    ) -> Fetched:
        """What is there, or what a form is answered; `Unavailable` says why nothing came by the deadline."""
        remaining = in_seconds(deadline.remaining(self._clock.tick()))
        if not remaining:  # to the library, it would be all the time in the world
            raise Unavailable(_LATE)
        session = self._session = self._session or self._opened()
        sent = {"User-Agent": "service-monitoring", "Accept": "application/json", "Accept-Encoding": "identity"}
        method = "GET" if form is None else "POST"
        try:
            async with session.request(
                method,
                url,
                data=form,
                headers={**sent, **headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=remaining),
            ) as response:
                return Fetched(response.status, await _whole(response))
        except TimeoutError:
            raise Unavailable(_LATE) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: an answer that is not HTTP at all.
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
        self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(resolver=_Resolver(), socket_factory=self._permitted)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    def _permitted(self, address: Any) -> socket.socket:
        family, kind, protocol, _, sockaddr = address
        refusal = self._network().refusal(ip_address(str(sockaddr[0]).partition("%")[0]))
        if refusal is not None:
            raise OSError(errno.EACCES, refusal)
        return socket.socket(family, kind, protocol)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    while piece := await response.content.read(_PIECE):
        content += piece
        if len(content) > LARGEST:
            raise Unavailable(f"the answer has more than {LARGEST} bytes")
    return content


class _Resolver(AbstractResolver):
    """Names to addresses, in threads of its own: a name whose server is gone keeps nobody else waiting."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="provider-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        def look_up() -> list[Any]:
            return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)

        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(hostname=host, host=str(known[0]), port=port, family=kind, proto=0, flags=0)
            for kind, _, _, _, known in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

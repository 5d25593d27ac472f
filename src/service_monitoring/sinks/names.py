"""Names to addresses, by the resolver of the operating system, which blocks: in threads of its own, few of them.

Shared by the sinks that connect. The loop's own pool would be shared with everybody: four names whose server is gone
would keep all others from being resolved.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

_THREADS = 8

Result = TypeVar("Result")


class Address(NamedTuple):
    """Where to connect to, as `socket` wants it: `host` is an IP address."""

    family: int
    host: str
    port: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


class BlockingNames:
    """Resolves by blocking calls in a bounded set of threads. Belongs to one loop.

    A cancelled look-up leaves its thread busy until the operating system gives up on the name.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="names")

    async def addresses(self, host: str, port: int, *, family: int = socket.AF_UNSPEC) -> list[Address]:
        """The addresses of `host`, the preferred one first; `OSError` where it has none."""
        found = await self.run(lambda: _look_up(host, port, family))
        if not found:
            raise OSError(f"{host} has no address")
        return found

    async def run(self, blocking: Callable[[], Result]) -> Result:
        """What another blocking call returns, made in the same threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, blocking)

    def close(self) -> None:
        """Start no more look-ups; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[Address]:
    found = []
    for kind, _, _, _, sockaddr in socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM):
        if kind in {socket.AF_INET, socket.AF_INET6}:
            known: tuple[str, int] | tuple[str, int, int, int] = sockaddr  # type: ignore[assignment] # of these two
            found.append(Address(kind, known[0], known[1], known))
    return found

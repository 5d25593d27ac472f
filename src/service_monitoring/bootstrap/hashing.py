"""Hashing of passwords beside the loop: in threads, two at once, and a bounded number of those who wait.

Blocks no loop: what `access.hashes` takes of time and memory is spent in threads, and its library is imported there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from service_monitoring.errors import TooMuch

T = TypeVar("T")

AT_ONCE: Final = 2
MOST_WAITING: Final = 32
_LATER: Final = 5
"""Seconds."""


class Hashing:
    """Belongs to one loop. Cancelled, the thread goes on to the end of its hash, whose result is dropped."""

    def __init__(self, make: Callable[[], str]) -> None:
        """`make` gives 256 random bits as hexadecimal digits; half of them are a salt."""
        self._make = make
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self.verified = 0
        """How many passwords were compared with a hash, be it that of nobody."""

    async def hash(self, password: str) -> str:
        """The hash of a password; `TooMuch` when too many wait already."""
        salt = bytes.fromhex(self._make())[:16]

        def work() -> str:
            from service_monitoring.access.hashes import hashed  # noqa: PLC0415 - as the module says

            return hashed(password, salt)

        return await self._beside(work)

    async def verify(self, encoded: str, password: str) -> str | None:
        """The hash of the password if it is right, made anew where it was made with other parameters; else None.

        Without a hash it takes as long, and is None. `TooMuch` when too many wait already.
        """
        self.verified += 1
        salt = bytes.fromhex(self._make())[:16]

        def work() -> str | None:
            from service_monitoring.access.hashes import hashed, outdated, verified  # noqa: PLC0415 - as the module says

            if not verified(encoded, password):
                return None
            return hashed(password, salt) if outdated(encoded) else encoded

        return await self._beside(work)

    async def _beside(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise TooMuch("too many are signing in just now: try again in a moment", _LATER)
        self._waiting += 1
        try:
            async with self._places:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

"""Turns: one at a time, and how long somebody waits for what goes on without them.

Knows asyncio and nothing of what is done.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Turns:
    """Lets one in at a time, in the order in which they came. Belongs to one loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

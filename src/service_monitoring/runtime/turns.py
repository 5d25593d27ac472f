"""Turns: one at a time, and how long somebody waits for what goes on without them.

Knows tasks and the clock. Does not know what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

from service_monitoring.domain.instants import Duration
from service_monitoring.errors import MonitoringError
from service_monitoring.ports import Clock, Tick
from service_monitoring.runtime.deadlines import deadline_after, within

T = TypeVar("T")


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


class Latest(Generic[T]):
    """An answer that is made in a task of its own, so that nobody who asks has to wait for all of it.

    It is made anew when it is older than `fresh`. Belongs to one loop.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], clock: Clock, *, fresh: Duration) -> None:
        self._make = make
        self._clock = clock
        self._fresh = fresh
        self._made: tuple[Tick, T] | None = None
        self._task: asyncio.Task[None] | None = None

    async def get(self, patience: Duration) -> T | None:
        """The newest that there is within so long; None where none was ever made."""
        if self._made is not None and self._clock.tick().since(self._made[0]) < self._fresh:
            return self._made[1]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._again())
        with suppress(TimeoutError):
            async with within(self._clock, deadline_after(self._clock, patience)):
                await asyncio.shield(self._task)
        return None if self._made is None else self._made[1]

    async def _again(self) -> None:
        began = self._clock.tick()
        with suppress(MonitoringError):  # it stays as it was, and is tried at the next question
            self._made = (began, await self._make())

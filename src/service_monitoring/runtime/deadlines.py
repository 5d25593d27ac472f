"""Deadlines: where a budget becomes an absolute tick, once, and how the wait for it ends a piece of work.

Knows clocks and the cancelling of the block inside. Does not know what is awaited, nor what follows from lateness.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_monitoring.domain.instants import Duration
from service_monitoring.ports import Clock, Deadline


def deadline_after(clock: Clock, budget: Duration) -> Deadline:
    """The deadline of work that starts now and may take `budget`: made at the boundary, then handed on unchanged."""
    return Deadline(clock.tick().plus(budget))


@asynccontextmanager
async def within(clock: Clock, deadline: Deadline) -> AsyncIterator[None]:
    """Cancel the block when `clock` reaches the deadline and raise `TimeoutError` in its place.

    Built on the clock's own waiting, so that simulated time ends it as well. A block that ends by itself, or is
    cancelled from outside, is left alone; no wait remains after it.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:

        async def ring() -> None:
            await clock.wait_until(deadline.tick)
            timeout.reschedule(-math.inf)

        alarm = loop.create_task(ring(), name="deadline")
        try:
            yield
        finally:
            alarm.cancel()

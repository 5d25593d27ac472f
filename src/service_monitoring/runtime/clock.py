"""The machine's clocks: the only module that reads them.

Knows wall-clock, monotonic and boot time and how to wait on the running asyncio loop. Does not know what anybody waits
for, nor whether the clocks moved against each other (`drift`).
"""

from __future__ import annotations

import time
from typing import Final

from service_monitoring.domain.instants import MILLISECOND, SECOND, Instant
from service_monitoring.ticks import Tick

SHORTEST_SLEEP: Final = MILLISECOND
"""Below this, some event loops spin instead of sleeping."""

# Linux alone has a clock that counts through a suspend; elsewhere a suspend shows as a step of the wall clock.
_AWAKE: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own clocks (`ports.Clock`). Any thread may read; waiting belongs to a running loop."""

    __slots__ = ()

    def now(self) -> Instant:
        """Wall-clock time."""
        return Instant(time.time_ns())

    def tick(self) -> Tick:
        """Monotonic time: the clock of the asyncio loop."""
        return Tick(time.monotonic_ns())

    def awake(self) -> Tick:
        """Monotonic time that goes on while the machine is suspended."""
        return Tick(time.clock_gettime_ns(_AWAKE))

    async def wait_until(self, tick: Tick) -> None:
        """Wait, a millisecond at least; when the tick has passed, others get their turn once and it returns.

        A loop may wake a clock resolution early, so the tick is compared again. Cancelled, nothing is left behind.
        """
        import asyncio  # noqa: PLC0415 - who waits runs a loop; a command that only asks what time it is starts without

        remaining = tick.ns - time.monotonic_ns()
        if remaining <= 0:
            await asyncio.sleep(0)
        while remaining > 0:
            await asyncio.sleep(max(remaining, SHORTEST_SLEEP) / SECOND)
            remaining = tick.ns - time.monotonic_ns()

"""A clock in simulated time, for tests of everything that waits. Works with plain asyncio and never really sleeps.

Knows three virtual clocks and who waits for which tick. Does not know what the waiters do; what they do with real
sockets takes real time, which this clock does not see (`autojump` then needs a pause).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from typing import Final

from service_monitoring.domain.instants import Duration, Instant, in_seconds
from service_monitoring.ports import Tick

START: Final = Instant.parse("2026-01-05T00:00:00Z")
"""A Monday."""

_TURNS: Final = 100_000
_BLIND_TURNS: Final = 50
_AT_ONCE: Final = Duration(0)


async def _turn(pause: Duration = _AT_ONCE) -> None:
    await asyncio.sleep(in_seconds(pause))


class SimulatedClock:
    """A `ports.Clock` whose time passes only when a test says so. Belongs to one loop.

    Waiters are released by tick, then in the order in which they began to wait, and all that can run has run before
    time goes on: a test that advances an hour sees each second of it in order.
    """

    def __init__(self, now: Instant = START, *, tick: Tick | None = None) -> None:
        self._now = now.ns
        self._tick = 0 if tick is None else tick.ns
        self._awake = self._tick
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._sequence = 0
        self._came = asyncio.Event()

    def now(self) -> Instant:
        """Wall-clock time."""
        return Instant(self._now)

    def tick(self) -> Tick:
        """Monotonic time."""
        return Tick(self._tick)

    def awake(self) -> Tick:
        """Monotonic time that goes on in a suspend."""
        return Tick(self._awake)

    async def wait_until(self, tick: Tick) -> None:
        """Wait until the test has advanced to `tick`; when it has passed, others get their turn once."""
        if tick.ns <= self._tick:
            await _turn()
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sequence += 1
        heappush(self._waiters, (tick.ns, self._sequence, future))
        self._came.set()
        await future

    def waiting(self) -> int:
        """How many waits are going on."""
        return sum(not future.done() for _, _, future in self._waiters)

    def next_due(self) -> Tick | None:
        """The earliest tick that anybody waits for."""
        while self._waiters and self._waiters[0][2].done():
            heappop(self._waiters)
        return Tick(self._waiters[0][0]) if self._waiters else None

    async def advance(self, duration: Duration) -> None:
        """Let `duration` pass, stopping at every tick that somebody waits for until all that can run has run."""
        target = self._tick + duration
        await self.settle()
        while (due := self.next_due()) is not None and due.ns <= target:
            self._pass(due.ns - self._tick)
            await self.settle()
        self._pass(target - self._tick)
        await self.settle()

    def stall(self, duration: Duration) -> None:
        """Let `duration` pass in one leap, as a blocking call does: whoever was due meanwhile is released late."""
        self._pass(duration)

    def step(self, delta: Duration) -> None:
        """Set the wall clock by `delta`, which may be negative; monotonic time does not notice."""
        self._now += delta

    def suspend(self, duration: Duration) -> None:
        """Suspend the machine: the wall clock and `awake` go on, `tick` stands still."""
        self._now += duration
        self._awake += duration

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        loop = asyncio.get_running_loop()
        ready = getattr(loop, "_ready", None)  # asyncio's own loops have it; others are given many turns
        if ready is None:
            for _ in range(_BLIND_TURNS):
                await _turn()
            return
        quiet = 0
        for _ in range(_TURNS):
            await _turn()
            quiet = 0 if ready else quiet + 1
            if quiet == 2:  # one quiet turn more, as the turn itself polls for input and output
                return
        raise AssertionError("the loop never comes to rest: something runs for ever without waiting")

    @asynccontextmanager
    async def autojump(self, pause: Duration = _AT_ONCE) -> AsyncIterator[None]:
        """While inside, time leaps to the next wait whenever the loop is otherwise idle.

        `pause` is how long, in real time, the loop must have begun no new wait before it counts as idle: nothing where
        all is simulated, some milliseconds where real sockets take part.
        """
        jumper = asyncio.get_running_loop().create_task(self._jump(pause), name="autojump")
        try:
            yield
        finally:
            jumper.cancel()
            await asyncio.gather(jumper, return_exceptions=True)

    async def _jump(self, pause: Duration) -> None:
        while True:
            await self.settle()
            seen = self._sequence
            if pause:
                await _turn(pause)
                await self.settle()
            due = self.next_due()
            if due is None:
                self._came.clear()
                await self._came.wait()
            elif seen == self._sequence:
                self._pass(due.ns - self._tick)

    def _pass(self, duration: int) -> None:
        self._now += duration
        self._tick += duration
        self._awake += duration
        while self._waiters and self._waiters[0][0] <= self._tick:
            future = heappop(self._waiters)[2]
            if not future.done():
                future.set_result(None)

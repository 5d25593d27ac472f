"""The watchdog: sees from a thread of its own that the event loop is blocked, how long, and by whom.

Knows the loop's thread and the clock. Does not know what the loop runs, nor what follows from a blockage.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, in_seconds
from service_monitoring.ports import Clock, Tick

EVERY: Final = Duration(50 * MILLISECOND)
"""How often the loop shows that it is alive: the lag is measured as finely as this."""


class Watchdog:
    """Measures how late the event loop is, and shows where its thread stands when that is too late.

    `run` belongs to the loop that is watched. `blocked` is called from the watchdog's own thread, once a blockage, with
    the lag so far and the stack of the loop's thread. The clock must be one that any thread may read.
    """

    def __init__(
        self,
        clock: Clock,
        blocked: Callable[[Duration, str], None],
        *,
        limit: Duration = SECOND,
        every: Duration = EVERY,
    ) -> None:
        self._clock = clock
        self._blocked = blocked
        self._limit = limit
        self._every = every
        self._expected = clock.tick()
        self._longest = Duration(0)
        self._last: tuple[Tick, Duration] | None = None

    @property
    def longest(self) -> Duration:
        """The longest lag so far, the present one included."""
        return max(self._longest, self.lag)

    @property
    def lag(self) -> Duration:
        """How late the loop is now; from any thread."""
        return Duration(max(0, self._clock.tick().since(self._expected)))

    def blockage(self, *, within: Duration) -> Duration:
        """The length of the last blockage beyond the limit, if it ended no longer ago than `within`; else nothing."""
        if self._last is None:
            return Duration(0)
        ended, lag = self._last
        return lag if self._clock.tick().since(ended) <= within else Duration(0)

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Show from the running loop that it is alive, until cancelled; the thread ends with it."""
        leave = threading.Event()
        self._expected = self._clock.tick().plus(self._every)
        arguments = (threading.get_ident(), leave)
        threading.Thread(target=self._look, args=arguments, name="watchdog", daemon=True).start()
        try:
            while True:
                beat()
                self._expected = self._clock.tick().plus(self._every)
                await self._clock.wait_until(self._expected)
                lag = self.lag
                self._longest = max(self._longest, lag)
                if lag > self._limit:
                    self._last = (self._clock.tick(), lag)
        finally:
            leave.set()

    def _look(self, watched: int, leave: threading.Event) -> None:
        told: Tick | None = None
        while not leave.wait(in_seconds(self._every)):
            expected, lag = self._expected, self.lag
            if lag > self._limit and told != expected:
                told = expected
                frame = sys._current_frames().get(watched)
                self._blocked(lag, "".join(traceback.format_stack(frame)) if frame is not None else "")

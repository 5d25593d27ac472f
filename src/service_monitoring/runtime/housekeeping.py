"""Housekeeping: what is older than its retention is forgotten, now and then.

Knows how long things are kept and when to ask. Does not know what is forgotten, nor how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from service_monitoring.domain.instants import HOUR, SECOND, Duration, Instant
from service_monitoring.ports import Clock

_BEAT: Final = Duration(20 * SECOND)


async def keep_house(
    clock: Clock,
    prune: Callable[[Instant, Instant], Awaitable[object]],
    *,
    facts: Callable[[], Duration],
    samples: Callable[[], Duration],
    beat: Callable[[], None],
    every: Duration = HOUR,
) -> None:
    """Await `prune(facts before, samples before)` each hour until cancelled. Raises what it raises.

    How long each is kept is asked for in each round: a reload may change it.
    """
    due = clock.tick().plus(every)
    while True:
        beat()
        await clock.wait_until(min(due, clock.tick().plus(_BEAT), key=lambda tick: tick.ns))
        if due <= clock.tick():
            now = clock.now()
            await prune(now.plus(Duration(-facts())), now.plus(Duration(-samples())))
            due = clock.tick().plus(every)

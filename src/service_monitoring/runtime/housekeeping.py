"""Housekeeping: what is older than its retention is forgotten, and what is new is tallied, now and then.

Knows how long things are kept and when to ask. Does not know what is forgotten or tallied, nor how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from service_monitoring.domain.instants import HOUR, MILLISECOND, MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import Unavailable, Unusable
from service_monitoring.ports import Clock

_BEAT: Final = Duration(20 * SECOND)
_PAUSE: Final = Duration(500 * MILLISECOND)


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


async def keep_tallies(
    clock: Clock,
    further: Callable[[], Awaitable[bool]],
    *,
    beat: Callable[[], None],
    every: Duration = MINUTE,
    pause: Duration = _PAUSE,
) -> None:
    """Await `further` until it says that there is no more, each minute until cancelled.

    Pauses lie between pieces: after a start on a year of samples there are hours of work. What cannot be done now is
    tried again: nobody depends on it but charts of long ranges.
    """
    while True:
        beat()
        try:
            more = await further()
        except (Unavailable, Unusable):
            more = False
        due = clock.tick().plus(pause if more else every)
        while clock.tick() < due:
            beat()
            await clock.wait_until(min(due, clock.tick().plus(_BEAT), key=lambda tick: tick.ns))

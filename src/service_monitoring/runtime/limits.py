"""Limits: how much may come in, per sender and in all, as pure decisions with the time as an argument.

Knows rates, bursts and ticks. Does not know what comes, from whom, or how it is told to come later.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.ports import Tick


class Limit(Struct, frozen=True):
    """One every so often in the long run, and `burst` at once at most."""

    every: Duration
    burst: int


class Granted(Struct, frozen=True):
    """It may come; `full_at` is the state to go on from."""

    full_at: Tick


class Denied(Struct, frozen=True):
    """It may not, before so much time has passed. The state stays as it was."""

    after: Duration


def take(limit: Limit, full_at: Tick | None, now: Tick) -> Granted | Denied:
    """One more at `now`. A bucket is the tick at which it will be full again: None for one that was never used.

    The generic cell rate algorithm (ITU-T I.371): a token bucket whose whole state is one number, so that nothing has
    to run while nobody comes.
    """
    begins = now if full_at is None or full_at < now else full_at
    ahead = begins.since(now) + limit.every - limit.every * limit.burst
    return Denied(Duration(ahead)) if ahead > 0 else Granted(begins.plus(limit.every))


PER_SENDER: Final = Limit(Duration(50 * MILLISECOND), burst=100)
"""Of one key: 20 a second."""
IN_ALL: Final = Limit(Duration(SECOND // 1_000), burst=2_000)
"""Of all keys together: 1,000 a second."""
STRANGERS: Final = Limit(Duration(50 * MILLISECOND), burst=200)
"""Of all who have no key: whoever guesses takes nothing from those who have one."""


class Limits:
    """The buckets of all senders. Synchronous, for one loop; holds one number a sender that is known."""

    def __init__(self, *, sender: Limit = PER_SENDER, in_all: Limit = IN_ALL, strangers: Limit = STRANGERS) -> None:
        self._sender = sender
        self._in_all = in_all
        self._strangers = strangers
        self._senders: dict[str, Tick] = {}
        self._all: Tick | None = None
        self._unknown: Tick | None = None
        self.denied = 0
        """How many were sent away."""

    def known(self, sender: str, now: Tick) -> Duration | None:
        """One more of a known sender: None, or how long it should stay away. One that is denied costs nobody else."""
        mine = take(self._sender, self._senders.get(sender), now)
        if isinstance(mine, Denied):
            self.denied += 1
            return mine.after
        every = take(self._in_all, self._all, now)
        if isinstance(every, Denied):
            self.denied += 1
            return every.after
        self._senders[sender], self._all = mine.full_at, every.full_at
        return None

    def stranger(self, now: Tick) -> Duration | None:
        """One more of somebody without a key."""
        taken = take(self._strangers, self._unknown, now)
        if isinstance(taken, Denied):
            self.denied += 1
            return taken.after
        self._unknown = taken.full_at
        return None

    def forget(self, sender: str) -> None:
        """A sender is gone for ever."""
        self._senders.pop(sender, None)

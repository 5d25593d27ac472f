"""Cadence: when a check is due, as arithmetic on integers of nanoseconds.

Knows a check's interval and the phase that its name gives it. Does not know what time it is, who waits, or what a check
does. Slots lie at `phase + k * every` on any time line that its owner likes; nothing here counts slot by slot.
"""

from __future__ import annotations

import hashlib
from typing import Final

from service_monitoring.domain.instants import MINUTE, SECOND, Duration

FIRST_ROUND: Final = MINUTE
"""Within this time after a start every check has run once, however long its interval."""

TOLERATED: Final = SECOND
"""A run that begins this late still stands for its slot."""

_PHASES: Final = 1 << 64


def phase(check: str, every: Duration) -> Duration:
    """Where in its interval the check of this id is due: the same in every process and on every machine.

    A hash spreads the checks of one interval evenly, so that they do not start together.
    """
    digest = hashlib.blake2b(check.encode(), digest_size=8).digest()
    return Duration(int.from_bytes(digest) * every // _PHASES)


class Cadence:
    """The slots of one check. Immutable by convention: slots of fifty thousand are asked for once a second."""

    __slots__ = ("every", "phase")

    def __init__(self, every: Duration, phase: Duration) -> None:
        self.every = every
        self.phase = phase

    @classmethod
    def of(cls, check: str, every: Duration, *, origin: int = 0) -> Cadence:
        """The cadence of a check, on a time line whose zero is `origin` on the one that phases are counted on."""
        return cls(every, Duration((phase(check, every) - origin) % every))

    def next_slot(self, after: int) -> int:
        """The first slot later than `after`."""
        return after + self.every - (after - self.phase) % self.every

    def missed(self, due: int, now: int) -> int:
        """How many slots passed after `due` up to and including `now`: one run makes up for all of them."""
        if now - due < 0:
            return 0
        return (now - self.phase) // self.every - (due - self.phase) // self.every

    def too_late(self, due: int, now: int) -> int:
        """How many slots are given up at `now`, the due one included, because it is too late for that; none when not.

        A run may begin a second late, or a tenth of its interval. Later than that the next slot is near enough, and
        runs of many checks that were held up together would all begin at once.
        """
        late = now - due
        if late <= TOLERATED or late * 10 <= self.every:
            return 0
        return self.missed(due, now) + 1

    def first(self, start: int) -> int:
        """When the first run after a start is due: its slot, or earlier where that is more than a minute away.

        The early runs are spread over the first minute by the same phase, so that a restart is no stampede.
        """
        slot = self.next_slot(start)
        if slot - start <= FIRST_ROUND:
            return slot
        return start + 1 + self.phase * (FIRST_ROUND - 1) // self.every

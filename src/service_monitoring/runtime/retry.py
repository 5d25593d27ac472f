"""Retries: whether an attempt is made again, when, and how many a channel may make in all.

Pure: the answer, the dice and the present are arguments. Knows nothing of outbox rows, which remember attempts, nor of
sinks, which only say what the far side said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, assert_never

from msgspec import Struct

from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration
from service_monitoring.ports import Later, Rejected, Tick, Uncertain

BASE: Final = SECOND
"""No wait of ours is shorter; each may be twice as long as the one before could be."""
LONGEST: Final = Duration(5 * MINUTE)
"""No wait of ours is longer."""
LONGEST_ASKED: Final = Duration(15 * MINUTE)
"""No wait that the far side asks for is longer."""
LEAST_ATTEMPTS: Final = 20
"""No notice is given up before so many, however old it is: the program may have been away all the time."""
PATIENCE: Final = Duration(24 * HOUR)
"""No notice is given up that is younger."""


class RetryAt(Struct, frozen=True):
    """Try again at `due`, not before."""

    due: Tick


class Park(Struct, frozen=True):
    """Give up, for this reason: somebody has to be told by another way."""

    why: str


def after(
    attempt: int,
    answer: Later | Rejected | Uncertain,
    now: Tick,
    spread: float,
    *,
    age: Duration,
    patience: Duration = PATIENCE,
) -> RetryAt | Park:
    """What follows from the answer to the `attempt`-th attempt (from 1), given at `now`. `spread` is a die in [0, 1).

    Full jitter (Marc Brooker, "Exponential Backoff and Jitter") while waits grow, the upper half of the longest wait
    from then on: many who failed together do not come back together, and no throw of the dice makes more than twenty
    attempts in half an hour. A `Retry-After` is met to the second where it leaves the far side alone for as long as
    we would; a shorter one is a minimum.
    """
    assert attempt >= 1, "attempts count from 1"
    assert 0.0 <= spread < 1.0, "spread is in [0, 1)"
    asked = Duration(0)
    match answer:
        case Rejected(detail):
            return Park(detail)
        case Later(detail, wish):
            asked = min(wish or asked, LONGEST_ASKED)
        case Uncertain(detail):
            pass
        case _:
            assert_never(answer)
    if attempt >= LEAST_ATTEMPTS and age >= patience:
        return Park(f"given up after {attempt} attempts, the last: {detail}")
    low, high = waits(attempt)
    if asked >= low:
        return RetryAt(now.plus(asked))
    return RetryAt(now.plus(Duration(low + int((high - low) * spread))))


def waits(attempt: int) -> tuple[Duration, Duration]:
    """Between which the wait after the `attempt`-th attempt is drawn: 1 to 2 s, 1 to 4 s ... 2.5 to 5 m."""
    longest = min(Duration(BASE << min(attempt, 16)), LONGEST)
    return (Duration(LONGEST // 2) if longest == LONGEST else BASE), longest


_COST: Final = 6 * SECOND
"""A retry costs what this much time earns: ten a minute are always there."""
_RESERVE: Final = 10 * _COST
"""What time alone saves up: more than one page needs for its first attempts, so that it never waits for it."""
_MOST: Final = 10 * _RESERVE


@dataclass(eq=False, slots=True)
class RetryBudget:
    """What one channel may spend on retries: a tenth of its first attempts, and ten a minute in any case.

    A far side that fails is not asked by many times what it is asked when it works. A retry that is accepted gives back
    what it cost (as in the standard mode of the AWS SDKs), so that what has piled up is told as soon as it can be.
    """

    _left: int = _RESERVE
    _seen: Tick = field(default_factory=lambda: Tick(0))

    def turn(self, now: Tick) -> Tick:
        """When a retry may begin; asked at that tick, it is paid for."""
        if self._left < _RESERVE:
            self._left = min(_RESERVE, self._left + now.since(self._seen))
        self._seen = now
        if self._left < _COST:
            return now.plus(Duration(_COST - self._left))
        self._left -= _COST
        return now

    def begun(self, attempt: int) -> None:
        """An attempt was made: a first one earns."""
        if attempt == 1:
            self._earn(_COST // 10)

    def accepted(self, attempt: int) -> None:
        """An attempt was accepted: a retry is given back, and earns what a first attempt does."""
        if attempt > 1:
            self._earn(_COST + _COST // 10)

    def _earn(self, amount: int) -> None:
        self._left = min(_MOST, self._left + amount)

"""Retries: whether an attempt is made again, and when.

Pure: the answer, the dice and the present are arguments. Knows nothing of outbox rows, which remember attempts, nor of
sinks, which only say what the far side said.
"""

from __future__ import annotations

from typing import Final, assert_never

from msgspec import Struct

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.ports import Later, Rejected, Tick, Uncertain

BASE: Final = SECOND
"""The first wait is shorter than this; each further one may be twice as long as the one before."""
LONGEST: Final = Duration(5 * MINUTE)
"""No wait of ours is longer."""
LONGEST_ASKED: Final = Duration(15 * MINUTE)
"""No wait that the far side asks for is longer."""
MOST_ATTEMPTS: Final = 20


class RetryAt(Struct, frozen=True):
    """Try again at `due`, not before."""

    due: Tick


class Park(Struct, frozen=True):
    """Give up, for this reason: somebody has to be told by another way."""

    why: str


def after(attempt: int, answer: Later | Rejected | Uncertain, now: Tick, spread: float) -> RetryAt | Park:
    """What follows from the answer to the `attempt`-th attempt (from 1), given at `now`. `spread` is a die in [0, 1).

    Full jitter (Marc Brooker, "Exponential Backoff and Jitter"): the wait is drawn from the whole of [0, ceiling), so
    that many who failed together do not come back together. A `Retry-After` is a minimum, and the draw still counts
    where it is longer: attempts that the far side asks for every second would be used up in twenty.
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
    if attempt >= MOST_ATTEMPTS:
        return Park(f"given up after {attempt} attempts, the last: {detail}")
    return RetryAt(now.plus(max(asked, Duration(int(ceiling(attempt) * spread)))))


def ceiling(attempt: int) -> Duration:
    """What the wait after the `attempt`-th attempt is shorter than: 1 s, 2 s, 4 s ... 5 m."""
    return min(Duration(BASE << min(attempt - 1, 16)), LONGEST)

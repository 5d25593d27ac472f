"""Ticks: monotonic time, the deadlines in it, and what is asked of a clock.

Knows how the two sorts of time are read, and that they do not mix. Reads nothing. Stands apart from `ports`, which
names it too, for whoever needs a clock and none of the domain.
"""

from __future__ import annotations

from typing import Protocol

from service_monitoring.domain.instants import Duration, Instant


class Tick:
    """A point of monotonic time in nanoseconds. Compares with ticks only: a tick and an instant never mix."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __repr__(self) -> str:
        return f"Tick({self.ns})"

    def __hash__(self) -> int:
        return hash(self.ns)

    def __eq__(self, other: object) -> bool:
        return self.ns == other.ns if isinstance(other, Tick) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.ns < other.ns if isinstance(other, Tick) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.ns <= other.ns if isinstance(other, Tick) else NotImplemented

    def plus(self, duration: Duration) -> Tick:
        """The tick `duration` later."""
        return Tick(self.ns + duration)

    def since(self, earlier: Tick) -> Duration:
        """The time that passed from `earlier`."""
        return Duration(self.ns - earlier.ns)


class Deadline:
    """The tick by which something must have ended: absolute, so that handing it on costs no budget."""

    __slots__ = ("tick",)

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def remaining(self, now: Tick) -> Duration:
        """What is left of it at `now`, never negative."""
        return Duration(max(0, self.tick.ns - now.ns))


class Clock(Protocol):
    """The one reader of the machine's clocks.

    Laws: `tick` never goes back; `now` may step; `awake` counts like `tick` and also through a suspend of the machine;
    `wait_until` returns at or after its tick, never before, and leaves nothing behind when cancelled.
    """

    def now(self) -> Instant:
        """Wall-clock time."""
        ...

    def tick(self) -> Tick:
        """Monotonic time, which stands still while the machine is suspended."""
        ...

    def awake(self) -> Tick:
        """Monotonic time that goes on while the machine is suspended (CLOCK_BOOTTIME)."""
        ...

    async def wait_until(self, tick: Tick) -> None:
        """Wait; at once when the tick has passed."""
        ...

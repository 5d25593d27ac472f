"""Drift: the decision whether the machine's clocks moved against each other.

Knows what a reading of the three clocks is, and what a step, a suspend and a lag look like in two of them. Reads them
through the port alone. Does not know what follows (`domain.course`).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.inputs import Stepped
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, Instant
from service_monitoring.ports import Clock, Tick

APART: Final = Duration(5 * SECOND)
"""Clocks that moved against each other by more than this did not merely drift."""

_UNTORN: Final = Duration(100 * MILLISECOND)


class Suspended(Struct, frozen=True):
    """The machine slept for `lasted`: nobody watched."""

    lasted: Duration


class Lagged(Struct, frozen=True):
    """The program was late by `lasted`, awake but not watching: stopped, starved or blocked."""

    lasted: Duration


Drift = Stepped | Suspended | Lagged


class Reading(Struct, frozen=True):
    """The three clocks, as good as at once."""

    now: Instant
    tick: Tick
    awake: Tick


def read(clock: Clock) -> Reading:
    """Read the three clocks together.

    A process that is stopped between two of the readings would see a step that never was; so a reading that took
    long is taken again.
    """
    while True:
        before = clock.tick()
        reading = Reading(clock.now(), before, clock.awake())
        if clock.tick().since(before) < _UNTORN:
            return reading


class ClockWatch:
    """Tells from one reading after another how the clocks moved against each other. Pure: it reads nothing itself.

    The offsets are compared with those of the last report, not of the last reading, so that many small steps in one
    direction are found as surely as a large one. Clocks that NTP slews are slewed together and stay side by side.
    """

    __slots__ = ("_asleep", "_every", "_tick", "_wall")

    def __init__(self, first: Reading, *, every: Duration) -> None:
        """`every` is how often a reading is meant to come: what is beyond it is lag."""
        self._every = every
        self._tick = first.tick
        self._wall = first.now.ns - first.awake.ns
        self._asleep = first.awake.ns - first.tick.ns

    def look(self, reading: Reading) -> tuple[Drift, ...]:
        """What happened up to this reading: a suspend or lag before the step, as a step is a new epoch."""
        found: list[Drift] = []
        asleep = reading.awake.ns - reading.tick.ns
        if asleep - self._asleep > APART:
            found.append(Suspended(Duration(asleep - self._asleep)))
            self._asleep = asleep
        late = reading.tick.ns - self._tick.ns - self._every
        self._tick = reading.tick
        if late > APART:
            found.append(Lagged(Duration(late)))
        wall = reading.now.ns - reading.awake.ns
        if abs(wall - self._wall) > APART:
            found.append(Stepped(Duration(wall - self._wall)))
            self._wall = wall
        return tuple(found)

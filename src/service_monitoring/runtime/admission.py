"""Admission: the one point through which everything comes in, and the stamp that it gets there.

Reads the clocks through its port, and sees when they moved against each other: a suspend, a lag and a wall-clock step
are inputs like any other. Does not know queues, nor what is decided.
"""

from __future__ import annotations

from service_monitoring.domain.inputs import (
    Admitted,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Stamp,
    Stepped,
)
from service_monitoring.domain.instants import NANOSECOND, SECOND, Duration
from service_monitoring.ports import Clock
from service_monitoring.runtime.drift import APART, ClockWatch, Lagged, Suspended, read

LOOK_EVERY = SECOND
"""How often something must be admitted, or `look` be called, for the clocks to be watched closely enough."""


class Admission:
    """Stamps inputs `max(now, last stamp + 1 ns)`, so that arrival alone is their order.

    Synchronous, for one loop. `last` is the stamp up to which everything was decided before this run of the program.
    """

    def __init__(self, clock: Clock, *, last: Stamp) -> None:
        self._clock = clock
        self._last = last
        reading = read(clock)
        self._seen = reading.now
        self._watch = ClockWatch(reading, every=LOOK_EVERY)
        self.gaps = 0
        """Times in which nobody watched, since this run of the program began; the one before it included."""

    def start(self) -> list[Admitted]:
        """What a start says: the gap since the last run ended, when there was one, and that the program is here."""
        admitted: list[Admitted] = []
        if self._last.at.ns:
            if self._last.at.since(self._clock.now()) > APART:
                # The clock was set back while nobody watched: how long that was cannot be known.
                delta = self._clock.now().since(self._last.at)
                admitted.append(self._farewell())
                self._last = Stamp(self._last.epoch + 1, self._last.at.plus(delta))
                admitted.append(Admitted(self._last, Stepped(delta)))
            self.gaps += 1
            admitted.append(Admitted(self._last, GapBegan(GapCause.RESTART)))
            admitted.append(self._stamped(GapEnded()))
        admitted.append(self._stamped(Marked(MarkKind.STARTED)))
        return admitted

    def admit(self, what: Input) -> list[Admitted]:
        """The input with its stamp, after what the clocks had to say."""
        return [*self.look(), self._stamped(what)]

    def look(self) -> list[Admitted]:
        """What the clocks did since the last look: nothing, nearly always."""
        reading = read(self._clock)
        seen, self._seen = self._seen, reading.now
        drifts = self._watch.look(reading)
        if not drifts:
            return []
        admitted: list[Admitted] = []
        step = next((drift for drift in drifts if isinstance(drift, Stepped)), None)
        unseen = next((drift for drift in drifts if isinstance(drift, Suspended | Lagged)), None)
        if unseen is not None:
            began = Stamp(self._last.epoch, max(self._last.at, seen))
            cause = GapCause.SUSPEND if isinstance(unseen, Suspended) else GapCause.LAG
            # In the old epoch's time, so that the gap is as long as it was.
            ended = reading.now if step is None else reading.now.plus(Duration(-step.delta))
            self.gaps += 1
            admitted.append(Admitted(began, GapBegan(cause)))
            self._last = Stamp(began.epoch, max(ended, began.at.plus(NANOSECOND)))
            admitted.append(Admitted(self._last, GapEnded()))
        if step is not None:
            if unseen is None:
                admitted.append(self._farewell())
            self._last = Stamp(self._last.epoch + 1, reading.now)
            admitted.append(Admitted(self._last, step))
        return admitted

    def _farewell(self) -> Admitted:
        """How far the epoch had come that ends here.

        Signs of life that decided nothing are not recorded one by one, and yet timers fired by them that a step would
        move along otherwise.
        """
        self._last = Stamp(self._last.epoch, self._last.at.plus(NANOSECOND))
        return Admitted(self._last, Marked(MarkKind.ALIVE))

    def _stamped(self, what: Input) -> Admitted:
        now = self._clock.now()
        self._last = Stamp(self._last.epoch, max(now, self._last.at.plus(NANOSECOND)))
        return Admitted(self._last, what)

"""The pulse: a URL elsewhere is called as long as this program is well, so that its silence alarms somebody outside.

Knows when to call and when not to. Does not know how (a source does it, on a connection of its own), nor what makes the
program ill: it asks. Whatever the far side does disturbs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration, in_seconds
from service_monitoring.domain.samples import Outcome
from service_monitoring.ports import Clock, Deadline, Source, Tick
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.supervise import JobState, LoopStatistics

PATIENCE: Final = Duration(10 * SECOND)
"""What one call may take."""
AGAIN: Final = Duration(10 * SECOND)
"""How long after a call that failed it is tried again: one that is lost must not look like a death."""
STALE: Final = MINUTE
"""A loop that is silent for longer is as good as dead, whatever its supervisor says; so is judging that lags."""
_OVERRUN: Final = Duration(500 * MILLISECOND)
_LOOK: Final = SECOND


class Outside(Struct, frozen=True):
    """Whom to call and how often. `redact` strikes the URL out of what is said: who knows it can call in our place."""

    source: Source
    every: Duration
    redact: Callable[[str], str] = str


class PulseStatistics(Struct, frozen=True):
    """How the pulse stands. `withheld` says why it is not called, `failing` what the far side did last, if not well."""

    calls: int
    silent_seconds: float | None
    """Since it was called last with success; None before."""
    withheld: str
    failing: str


class Pulse:
    """Calls while all is well. Belongs to one loop; cancelled, it leaves no call behind."""

    def __init__(
        self,
        outside: Outside | None,
        clock: Clock,
        *,
        ailing: Callable[[], str],
        changed: Callable[[str, str], None],
    ) -> None:
        """`ailing` says why nobody should believe that the program is well, or nothing.

        `changed` hears (what, sentence) once each time the pulse is `withheld` or `failing` and when that is over: then
        the sentence is empty.
        """
        self._outside = outside
        self._clock = clock
        self._ailing = ailing
        self._changed = changed
        self._calls = 0
        self._due: Tick | None = None
        self._heard: Tick | None = None
        self._said = {"withheld": "", "failing": ""}

    def replace(self, outside: Outside | None) -> None:
        """Call this one from now on, at once."""
        self._outside, self._due = outside, None

    def statistics(self) -> PulseStatistics | None:
        """None where nobody is to be called."""
        if self._outside is None:
            return None
        silent = None if self._heard is None else in_seconds(self._clock.tick().since(self._heard))
        return PulseStatistics(self._calls, silent, self._said["withheld"], self._said["failing"])

    async def run(self, beat: Callable[[], None]) -> None:
        """Until cancelled."""
        while True:
            beat()
            outside, now = self._outside, self._clock.tick()
            if outside is not None and (self._due is None or self._due <= now):
                reason = self._ailing()
                self._say("withheld", reason)
                if not reason:
                    self._due = now.plus(outside.every)
                    await self._call(outside)
                    continue
            look = now.plus(_LOOK)
            due = self._due
            await self._clock.wait_until(look if due is None or due <= now else min(look, due))

    async def _call(self, outside: Outside) -> None:
        self._calls += 1
        began = self._clock.tick()
        failing = outside.redact(await self._answer(outside.source))
        if outside is not self._outside:
            return
        self._say("failing", failing)
        if failing:
            self._due = min(began.plus(outside.every), self._clock.tick().plus(AGAIN))
        else:
            self._heard = began

    async def _answer(self, source: Source) -> str:
        """What went wrong, or nothing."""
        deadline = deadline_after(self._clock, PATIENCE)
        try:
            async with within(self._clock, Deadline(deadline.tick.plus(_OVERRUN))):
                seen = await source.probe(deadline)
        except TimeoutError:
            return f"no answer within {PATIENCE / SECOND:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, the next call may do better
            return f"{type(error).__name__}: {error}"
        return "" if seen.outcome is Outcome.OK else seen.detail or str(seen.reason)

    def _say(self, what: str, sentence: str) -> None:
        """Once each time it begins or ends: the words may differ from one call to the next."""
        before, self._said[what] = self._said[what], sentence
        if bool(before) is not bool(sentence):
            self._changed(what, sentence)


def ailment(loops: Mapping[str, LoopStatistics]) -> str:
    """Why a loop cannot be relied on, by its own signs of life, or nothing."""
    for name, loop in loops.items():
        if loop.state is not JobState.RUNNING:
            return f"the {name} loop is {loop.state}"
        if loop.last_error:
            return f"the {name} loop {loop.last_error}"
        if loop.silent_seconds > in_seconds(STALE):
            return f"the {name} loop gives no sign of life for {loop.silent_seconds:.0f} s"
    return "" if loops else "nothing runs yet"

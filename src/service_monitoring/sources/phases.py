"""One attempt of a probe: the phases it completed, and how what went wrong becomes an observation.

Knows outcomes, reasons, ticks and errno. Does not know any protocol: a source says what it is doing, measures, and
raises `Failed` for what the target did; everything else that is raised is an error of our own.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from service_monitoring.domain.instants import in_seconds
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.ports import Clock, Deadline

_OWN_FAULTS: Final = frozenset({
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM,
})  # fmt: skip
"""What the system answers when this machine is out of something, or may not: no fact about the target."""

LONGEST_DETAIL: Final = 300
"""Characters of a detail: it travels into journals and pages."""


class Failed(Exception):
    """The target did not do what was asked of it; `detail` is one sentence for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def is_our_own(error: OSError) -> bool:
    """Whether an error of the system says something about this machine, and nothing about the target."""
    return error.errno in _OWN_FAULTS


def sentence(text: str) -> str:
    """`text` on one line without control characters, and not longer than a detail may be."""
    if len(text) <= LONGEST_DETAIL and text.isprintable():
        return text
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * LONGEST_DETAIL]).split())
    return line if len(line) <= LONGEST_DETAIL else f"{line[: LONGEST_DETAIL - 3]}..."


class Phases:
    """What one attempt has completed so far. Lives on one loop for one attempt; never blocks."""

    def __init__(self, clock: Clock, deadline: Deadline) -> None:
        self._clock = clock
        self._deadline = deadline
        self._started = clock.tick()
        self._measured: dict[tuple[str, tuple[tuple[str, str], ...]], Measurement] = {}
        self.doing = "starting"

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, never negative."""
        return in_seconds(self._deadline.remaining(self._clock.tick()))

    @contextmanager
    def phase(self, metric: str, doing: str) -> Iterator[None]:
        """Measure what is inside as `metric`, but only if it completes; `doing` is what a timeout will say."""
        self.doing = doing
        begun = self._clock.tick()
        yield
        self.measure(metric, in_seconds(self._clock.tick().since(begun)))

    def measure(self, metric: str, value: float) -> None:
        """One number; a second one of the same metric replaces it."""
        self.add([Measurement(metric, value)])

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Numbers of the target's own."""
        self._measured.update({(each.metric, each.labels): each for each in measurements})

    def complete(self) -> None:
        """Every phase is done: from here on a failure is one of expectation, and its duration means something."""
        self.measure("duration_seconds", in_seconds(self._clock.tick().since(self._started)))

    def observation(self, outcome: Outcome, reason: Reason | None, detail: str) -> Observation:
        """How the attempt ended, with what it completed; an `unknown` one measured nothing."""
        measured = () if outcome is Outcome.UNKNOWN else tuple(self._measured.values())
        return Observation(outcome, reason, sentence(detail), measured)


async def observed(clock: Clock, deadline: Deadline, attempt: Callable[[Phases], Awaitable[str]]) -> Observation:
    """Run `attempt` until the deadline; what it returns is the detail of an `ok` observation.

    Never raises but for cancellation. `Failed` becomes `failed` with its reason, the deadline `failed(timeout)`, and
    any other error `unknown(internal_error)`: the service is not judged by a mistake of ours.
    """
    phases = Phases(clock, deadline)
    try:
        async with asyncio.timeout(phases.remaining):
            detail = await attempt(phases)
    except Failed as failed:
        return phases.observation(Outcome.FAILED, failed.reason, failed.detail)
    except TimeoutError:
        return phases.observation(Outcome.FAILED, Reason.TIMEOUT, f"the time was up while {phases.doing}")
    except Exception as error:  # noqa: BLE001 - a source never raises: what is left is a fault of our own, and said so
        ours = f"{type(error).__name__}: {error} (while {phases.doing})"
        return phases.observation(Outcome.UNKNOWN, Reason.INTERNAL_ERROR, ours)
    return phases.observation(Outcome.OK, None, detail)

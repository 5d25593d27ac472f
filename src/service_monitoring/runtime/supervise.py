"""Supervision: who owns every long-lived task of the program, restarts it, and ends it in order.

Knows loops by name, their signs of life and the order of ending. Does not know what any loop does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, in_seconds
from service_monitoring.errors import MonitoringError, Unusable
from service_monitoring.ports import Clock, Tick
from service_monitoring.runtime.deadlines import deadline_after, within

_log = logging.getLogger(__name__)

Beat = Callable[[], None]
Run = Callable[[Beat], Awaitable[None]]

SILENT: Final = Duration(50 * SECOND)
"""How long a loop may give no sign of life before it is taken to be stuck: it is told well within a minute."""
GRACE: Final = Duration(2 * SECOND)
"""What each loop may take to end by itself."""
WHOLE_GRACE: Final = Duration(8 * SECOND)
"""What all of them may take together, however many there are."""
_CUT: Final = Duration(400 * MILLISECOND)
"""What a cancelled loop may take to let go; one that does not is left behind."""
_FIRST_WAIT: Final = Duration(100 * MILLISECOND)
_LONGEST_WAIT: Final = Duration(30 * SECOND)
_STEADY: Final = Duration(60 * SECOND)
_LOOK: Final = SECOND


class JobState(StrEnum):
    """How a loop stands or ended: there is no unnamed state."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Loop(Struct, frozen=True):
    """A long-lived piece of the program.

    `run` is called again whenever it failed. `stop` asks it to end by itself: it is awaited within the grace, and what
    has not ended then is cancelled. `silent` is how long it may go without calling its beat.
    """

    name: str
    run: Run
    stop: Callable[[], Awaitable[None]] | None = None
    silent: Duration = SILENT


class LoopStatistics(Struct, frozen=True):
    """One loop as it stands."""

    state: JobState
    restarts: int
    silent_seconds: float
    last_error: str


class _Watched:
    """A loop with its task and its history."""

    __slots__ = ("began", "error", "heard", "loop", "restarts", "state", "stuck", "task", "wait")

    def __init__(self, loop: Loop, now: Tick) -> None:
        self.loop = loop
        self.state = JobState.WAITING
        self.heard = self.began = now
        self.restarts = 0
        self.error = ""
        self.stuck = False
        self.wait = _FIRST_WAIT
        self.task: asyncio.Task[None] | None = None


class Supervisor:
    """Owns the program's loops on one asyncio loop.

    `run` starts them in order and returns when they have ended: after `stop`, or the first SIGTERM or SIGINT, they are
    stopped one after the other, each within `grace` and all within `WHOLE_GRACE`; a second signal, or cancelling
    `run`, interrupts what is left at once. A loop that fails is started again, after 100 ms at first and up to 30 s
    while it keeps failing; one that gives no sign of life is reported and started again. Every loop ends in a named
    state. Where a loop finds the store unusable, or `fail` says so, starting again would change nothing: all are
    interrupted at once, and `run` raises that error.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        troubled: Callable[[str, str], None],
        grace: Duration = GRACE,
        hung_up: Callable[[], None] | None = None,
    ) -> None:
        """`troubled` hears (loop, sentence) of failures and silence; an empty sentence says that it is over.

        `hung_up` hears of each SIGHUP, also while the end is under way.
        """
        self._clock = clock
        self._troubled = troubled
        self._hung_up = hung_up
        self._grace = grace
        self._watched: list[_Watched] = []
        self._ending = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._failure: Unusable | None = None

    def stop(self) -> None:
        """Begin the end; `run` returns when it is over."""
        self._ending.set()

    def fail(self, failure: Unusable) -> None:
        """Interrupt everything; `run` raises the failure. The first one counts."""
        self._failure = self._failure or failure
        self._interrupted.set()
        self._ending.set()

    @property
    def ending(self) -> bool:
        """Whether the end has begun."""
        return self._ending.is_set()

    def statistics(self) -> dict[str, LoopStatistics]:
        """Each loop by name."""
        now = self._clock.tick()
        return {
            each.loop.name: LoopStatistics(each.state, each.restarts, in_seconds(now.since(each.heard)), each.error)
            for each in self._watched
        }

    async def run(self, loops: Sequence[Loop]) -> None:
        """Start the loops in this order, watch them, and end them in this order."""
        now = self._clock.tick()
        self._watched = [_Watched(loop, now) for loop in loops]
        heard = {signal.SIGTERM: self._signalled, signal.SIGINT: self._signalled}
        if self._hung_up is not None:
            heard[signal.SIGHUP] = self._hung_up
        with _Signals(heard):
            for each in self._watched:
                each.task = asyncio.create_task(self._keep(each), name=each.loop.name)
            watching = asyncio.create_task(self._watch(), name="watch loops")
            try:
                await self._ending.wait()
                await self._end()
            except asyncio.CancelledError:
                self._interrupted.set()
                raise
            finally:
                watching.cancel()
                await asyncio.gather(*(self._cut(each) for each in self._watched))
        if self._failure is not None:
            raise self._failure

    async def _keep(self, each: _Watched) -> None:
        """Run one loop again and again, until it is to end."""
        while not self._ending.is_set():
            each.state, each.began = JobState.RUNNING, self._clock.tick()
            self._beat(each)
            try:
                await each.loop.run(lambda: self._beat(each))
            except asyncio.CancelledError:
                if not each.stuck or self._ending.is_set():
                    each.state = JobState.INTERRUPTED if self._interrupted.is_set() else JobState.CANCELLED
                    raise
                each.state = JobState.FAILED
            except Unusable as failure:
                each.state = JobState.FAILED
                self.fail(failure)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the loop is started again and it is told
                each.state = JobState.FAILED
                self._trouble(each, f"failed: {_sentence(error)}")
            else:
                each.state = JobState.DONE
                if not each.stuck and not self._ending.is_set():
                    self._trouble(each, "ended though nobody asked it to")
            if each.stuck:
                each.stuck = False
                _take_back_cancellations()
            if not self._ending.is_set():
                await self._pause(each)

    def _trouble(self, each: _Watched, what: str) -> None:
        each.error = what
        self._tell(each.loop.name, f"the {each.loop.name} loop {what}")

    def _tell(self, name: str, sentence: str) -> None:
        try:
            self._troubled(name, sentence)
        except Exception:  # noqa: BLE001 - whoever hears of trouble must not become the trouble: the loops go on
            _log.exception("nobody could be told: %s", sentence)

    async def _pause(self, each: _Watched) -> None:
        """Wait before a restart: longer each time, from the start again once it ran steadily."""
        now = self._clock.tick()
        if now.since(each.began) > _STEADY:
            each.wait = _FIRST_WAIT
        each.restarts += 1
        with suppress(TimeoutError):
            async with within(self._clock, deadline_after(self._clock, each.wait)):
                await self._ending.wait()
        each.wait = Duration(min(each.wait * 2, _LONGEST_WAIT))

    def _beat(self, each: _Watched) -> None:
        each.heard = self._clock.tick()
        if each.error and each.heard.since(each.began) > SECOND:
            each.error = ""
            self._tell(each.loop.name, "")

    async def _watch(self) -> None:
        """Find the loops that give no sign of life."""
        while True:
            await self._clock.wait_until(self._clock.tick().plus(_LOOK))
            now = self._clock.tick()
            for each in self._watched:
                silent = now.since(each.heard)
                if each.state is JobState.RUNNING and silent > each.loop.silent and each.task is not None:
                    self._trouble(each, f"gives no sign of life for {in_seconds(silent):.0f} s: it is started again")
                    each.stuck = True
                    each.heard = now
                    each.task.cancel()

    async def _end(self) -> None:
        """One after the other, each within the grace, unless a second signal cuts it short."""
        whole = deadline_after(self._clock, WHOLE_GRACE)
        for each in self._watched:
            if each.task is None or self._interrupted.is_set():
                continue
            if each.loop.stop is None:
                await self._cut(each)
                continue
            grace = min(self._grace, whole.remaining(self._clock.tick()))
            try:
                async with within(self._clock, deadline_after(self._clock, grace)):
                    await self._or_interrupted(each.loop.stop())
                    await self._or_interrupted(asyncio.wait({each.task}))
            except TimeoutError:
                await self._cut(each)
                each.state = JobState.TIMED_OUT
            except Exception as error:  # noqa: BLE001 - the others are to end in order all the same
                self._trouble(each, f"did not end well: {_sentence(error)}")
                await self._cut(each)
                each.state = JobState.FAILED

    async def _or_interrupted(self, ending: Awaitable[object]) -> None:
        """Wait for an ending, but not longer than to a second signal."""
        task = asyncio.ensure_future(ending)
        interrupted = asyncio.create_task(self._interrupted.wait())
        try:
            await asyncio.wait({task, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            interrupted.cancel()
            if not task.done():
                task.cancel()

    async def _cut(self, each: _Watched) -> None:
        """Cancel a loop and wait for that; one that does not let go is left behind, and its state says so."""
        if each.task is None or each.task.done():
            return
        each.task.cancel()
        with suppress(TimeoutError):
            async with within(self._clock, deadline_after(self._clock, _CUT)):
                await asyncio.wait({each.task})
        if not each.task.done() or each.state in (JobState.RUNNING, JobState.WAITING):
            # Left behind, or cancelled before its first step.
            each.state = JobState.INTERRUPTED

    def _signalled(self) -> None:
        if self._ending.is_set():
            self._interrupted.set()
        self._ending.set()


class _Signals:
    """Signals call what hears them while inside, in the main thread; elsewhere signals are somebody else's."""

    def __init__(self, heard: Mapping[signal.Signals, Callable[[], None]]) -> None:
        self._heard = heard
        self._before = {number: signal.getsignal(number) for number in heard}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, heard in self._heard.items():
                asyncio.get_running_loop().add_signal_handler(number, heard)

    def __exit__(self, *trouble: object) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in self._heard:
                asyncio.get_running_loop().remove_signal_handler(number)
            # The loop leaves the default behind, which would kill a program that is about to close its store.
            if self._before.get(signal.SIGHUP) is signal.SIG_IGN:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _take_back_cancellations() -> None:
    """Let the running task go on as if it had never been cancelled: else its later timeouts would be cancellations."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _sentence(error: BaseException) -> str:
    """What went wrong, for a person: the sentence of an error of ours, else its kind and text."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return _sentence(error.exceptions[0])
    return str(error) if isinstance(error, MonitoringError) else f"{type(error).__name__}: {error}"

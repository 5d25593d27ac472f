"""Reloading: when the configuration is read again, and that this happens one at a time.

Owns the looking at files, the waiting until they have come to rest, and the task in which a reload runs. Does not know
what a configuration is, how files look, or what a reload does: all three are handed in.

Files are looked at once a second instead of being told of by the kernel: a look costs microseconds, works on every file
system and through every link, and its time is the clock's, so that it can be simulated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, ParamSpec, TypeVar

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.errors import MonitoringError, Refused, Unavailable
from service_monitoring.ports import Clock
from service_monitoring.runtime.deadlines import deadline_after, within

LOOK_EVERY: Final = Duration(SECOND)
SETTLED: Final = Duration(300 * MILLISECOND)
"""How long files must look the same before they are read: an editor writes them in more than one step."""
PATIENCE: Final = Duration(25 * SECOND)
"""How long somebody who asks waits for the answer; the reload itself goes on."""
_STEP: Final = Duration(100 * MILLISECOND)

Result = TypeVar("Result")
Given = ParamSpec("Given")


class Reloads(Generic[Result]):
    """Reads again when somebody asks, and when files have changed. Belongs to one loop.

    One reload runs at a time, in the task of `run`, so that nobody who asked can cancel it half-way; all who asked
    before it began have its answer. `run` may be called again after it failed. After `stop` the reload that is under
    way ends, and everybody else is refused.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        stamp: Callable[[], Awaitable[object]],
        differs: Callable[[], Awaitable[bool]],
        reload: Callable[[], Awaitable[Result]],
    ) -> None:
        """`stamp` is how the files look, `differs` whether they say something else than when they were last read.

        `reload` raises `Refused` when the files are to be mended first, `Unavailable` when it is to be tried again.
        """
        self._clock = clock
        self._stamp = stamp
        self._differs = differs
        self._reload = reload
        self._seen: object = None
        self._waiting: list[asyncio.Future[Result]] = []
        self._asked = asyncio.Event()
        self._stopping = False

    def ask_soon(self) -> None:
        """Have it read again, without waiting for that."""
        if not self._stopping:
            self._asked.set()

    async def ask(self) -> Result:
        """Have it read again; what came of it. Raises what the reload raises, and `Unavailable` when it is stopped."""
        if self._stopping:
            raise _stopped()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._asked.set()
        try:
            async with within(self._clock, deadline_after(self._clock, PATIENCE)):
                return await answer
        except TimeoutError:
            raise Unavailable("the reload takes its time: the log says how it ends") from None

    async def run(self, beat: Callable[[], None]) -> None:
        """Look and reload until stopped."""
        while not self._stopping:
            beat()
            if self._asked.is_set() or await self._have_changed(beat):
                await self._read_again(beat)
            await self._pause(LOOK_EVERY)

    async def stop(self) -> None:
        """Begin no other reload."""
        self._stopping = True
        _answer(self._taken(), _stopped())
        self._asked.set()

    async def _have_changed(self, beat: Callable[[], None]) -> bool:
        """Whether the files say something else, once they have come to rest; False as soon as somebody asks."""
        seen = await self._stamp()
        if seen == self._seen:
            return False
        since = self._clock.tick()
        while self._clock.tick().since(since) < SETTLED:
            if await self._pause(_STEP):
                return False
            beat()
            now = await self._stamp()
            if now != seen:
                seen, since = now, self._clock.tick()
        self._seen = seen
        return await self._differs()

    async def _pause(self, length: Duration) -> bool:
        """Wait, but not longer than until somebody asks; whether somebody did."""
        try:
            async with within(self._clock, deadline_after(self._clock, length)):
                await self._asked.wait()
        except TimeoutError:
            return False
        return True

    async def _read_again(self, beat: Callable[[], None]) -> None:
        if self._stopping:
            return
        waiting = self._taken()
        try:
            result = await self._attended(beat)
        except MonitoringError as error:
            # What is to be mended is read again when it changes; what may go better next time, at the next look.
            if not isinstance(error, Refused):
                self._seen = None
            _answer(waiting, error)
        except BaseException as error:
            self._seen = None
            _answer(waiting, error if isinstance(error, Exception) else _stopped())
            raise
        else:
            for each in waiting:
                if not each.done():
                    each.set_result(result)

    async def _attended(self, beat: Callable[[], None]) -> Result:
        """The reload, with a sign of life each second: a commit may have to wait for room on a disk."""
        task = asyncio.create_task(self._reloaded(), name="reload")
        try:
            while not task.done():
                try:
                    async with within(self._clock, deadline_after(self._clock, LOOK_EVERY)):
                        await asyncio.wait({task})
                except TimeoutError:
                    beat()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _reloaded(self) -> Result:
        return await self._reload()

    def _taken(self) -> list[asyncio.Future[Result]]:
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        return waiting


async def aside(blocking: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """What a call that blocks gives back, made in a thread. Cancelled, nobody hears of it; it ends all the same."""
    return await asyncio.to_thread(blocking, *given, **named)


def _answer(waiting: Sequence[asyncio.Future[Any]], error: Exception) -> None:
    for each in waiting:
        if not each.done():
            each.set_exception(error)


def _stopped() -> Unavailable:
    return Unavailable("the program is stopping: its configuration stays as it is")

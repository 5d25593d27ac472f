"""A virtual event loop: simulated time leaps to the next wait as soon as nothing runs, neither here nor in a thread.

Real threads take part, so that the real store does: while one of them is at work, time stands still. Knows loops and
waits. Does not know who waits, nor for what.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any, TypeVar, TypeVarTuple

from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.clock import SimulatedClock

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Work:
    """Counts what goes on outside the loop. Belongs to one loop."""

    def __init__(self) -> None:
        self._going = 0

    @property
    def going(self) -> bool:
        """Whether anything does."""
        return self._going > 0

    def begin(self) -> None:
        """Something began; `end` follows."""
        self._going += 1

    def end(self) -> None:
        """Something ended that began before."""
        self._going -= 1

    @contextmanager
    def goes_on(self) -> Iterator[None]:
        """While inside."""
        self.begin()
        try:
            yield
        finally:
            self.end()


class _Leaping(selectors.DefaultSelector):
    """A selector that lets simulated time pass in place of waiting."""

    def __init__(self, clock: SimulatedClock, work: Work) -> None:
        super().__init__()
        self._clock = clock
        self._work = work

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Asking the kernel is what costs most here; where no thread is at work, nothing comes from outside.
        if self._work.going:
            return super().select(timeout)
        if timeout == 0:
            return []
        due = self._clock.next_due()
        if due is None:
            return super().select(timeout)
        self._clock.stall(due.since(self._clock.tick()))
        return []


class _Loop(asyncio.SelectorEventLoop):
    """A loop in which what was handed to a thread holds time until it has ended."""

    def __init__(self, clock: SimulatedClock, work: Work) -> None:
        super().__init__(_Leaping(clock, work))
        self._work = work

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        handed = super().run_in_executor(executor, func, *args)
        self._work.begin()
        handed.add_done_callback(lambda _: self._work.end())
        return handed


def leap(main: Callable[[SimulatedClock, Work], Coroutine[Any, Any, Result]]) -> Result:
    """Run to its end in simulated time."""
    clock, work = SimulatedClock(), Work()
    with asyncio.Runner(loop_factory=lambda: _Loop(clock, work)) as runner:
        return runner.run(main(clock, work))


class HoldingStore(SqliteStore):
    """The real store; time stands still while its threads are at work."""

    work: Work

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not iscoroutinefunction(found):
            return found

        async def held(*arguments: Any, **named: Any) -> Any:
            with self.work.goes_on():
                return await found(*arguments, **named)

        return held

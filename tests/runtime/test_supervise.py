"""Supervision in simulated time: restarts, silence, the order of the end, and a name for every way to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.errors import Unavailable, Unusable
from service_monitoring.runtime.supervise import GRACE, WHOLE_GRACE, Beat, JobState, Loop, Supervisor
from service_monitoring.testing.clock import SimulatedClock

Run = Callable[[Beat], Awaitable[None]]


class Stage:
    """Loops to be supervised, and what was heard and done."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.told: list[tuple[str, str]] = []
        self.done: list[str] = []
        self.starts: list[int] = []
        self.hung_up = 0
        self.supervisor = Supervisor(
            clock, troubled=lambda name, sentence: self.told.append((name, sentence)), hung_up=self.hang_up
        )
        self.running: asyncio.Task[None]

    def hang_up(self) -> None:
        self.hung_up += 1

    def ticking(self, name: str = "ticking") -> Loop:
        """A loop that lives, and ends when asked to, a second later."""
        asked = asyncio.Event()

        async def run(beat: Beat) -> None:
            while not asked.is_set():
                beat()
                await self.clock.wait_until(self.clock.tick().plus(SECOND))
            self.done.append(name)

        async def stop() -> None:
            self.done.append(f"stop {name}")
            asked.set()

        return Loop(name, run, stop)

    def idle(self, name: str = "idle") -> Loop:
        """A loop that knows no end of its own."""

        async def run(beat: Beat) -> None:
            try:
                while True:
                    beat()
                    await self.clock.wait_until(self.clock.tick().plus(SECOND))
            finally:
                self.done.append(name)

        return Loop(name, run)

    def failing(self, *, after: Duration = Duration(0)) -> Loop:
        async def run(beat: Beat) -> None:
            self.starts.append(self.clock.tick().ns)
            if after:
                for _ in range(after // SECOND):
                    beat()
                    await self.clock.wait_until(self.clock.tick().plus(SECOND))
            raise LookupError("a defect")

        return Loop("failing", run)

    def state(self, name: str) -> JobState:
        return self.supervisor.statistics()[name].state


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    clock = SimulatedClock()
    stage = Stage(clock)
    try:
        yield stage
    finally:
        stage.running.cancel()
        await clock.advance(SECOND)
        await asyncio.gather(stage.running, return_exceptions=True)


async def start(stage: Stage, *loops: Loop) -> None:
    stage.running = asyncio.create_task(stage.supervisor.run(loops))
    await stage.clock.settle()


async def test_a_loop_that_raises_is_started_again_within_a_second_and_told() -> None:
    async with a_stage() as stage:
        await start(stage, stage.failing(), stage.idle())
        await stage.clock.advance(SECOND)
        assert len(stage.starts) >= 2
        assert stage.starts[1] - stage.starts[0] < SECOND
        assert stage.told[0] == ("failing", "the failing loop failed: LookupError: a defect")
        assert stage.state("idle") is JobState.RUNNING


async def test_a_loop_that_keeps_failing_is_started_ever_more_rarely_up_to_thirty_seconds() -> None:
    async with a_stage() as stage:
        await start(stage, stage.failing())
        await stage.clock.advance(Duration(5 * MINUTE))
        waits = [later - earlier for earlier, later in zip(stage.starts, stage.starts[1:], strict=False)]
        assert waits[:4] == [Duration(factor * 100 * MILLISECOND) for factor in (1, 2, 4, 8)]
        assert set(waits[-3:]) == {30 * SECOND}
        assert stage.supervisor.statistics()["failing"].restarts == len(stage.starts)


async def test_a_loop_that_ran_steadily_is_started_again_at_once() -> None:
    async with a_stage() as stage:
        await start(stage, stage.failing(after=Duration(2 * MINUTE)))
        await stage.clock.advance(Duration(7 * MINUTE))
        waits = [later - earlier - 2 * MINUTE for earlier, later in zip(stage.starts, stage.starts[1:], strict=False)]
        assert waits == [100 * MILLISECOND] * 3


async def test_trouble_is_over_when_a_loop_runs_again() -> None:
    async with a_stage() as stage:
        await start(stage, stage.failing(after=Duration(5 * SECOND)))
        await stage.clock.advance(Duration(8 * SECOND))
        assert stage.told == [("failing", "the failing loop failed: LookupError: a defect"), ("failing", "")]
        assert stage.supervisor.statistics()["failing"].last_error == ""


async def test_a_loop_that_waits_for_ever_is_found_within_a_minute_and_started_again() -> None:
    async with a_stage() as stage:

        async def stuck(beat: Beat) -> None:
            stage.starts.append(stage.clock.tick().ns)
            while True:
                await asyncio.Event().wait()

        await start(stage, Loop("stuck", stuck), stage.idle())
        await stage.clock.advance(Duration(49 * SECOND))
        assert stage.told == []
        await stage.clock.advance(Duration(10 * SECOND))
        assert len(stage.told) == 1
        assert "stuck loop gives no sign of life" in stage.told[0][1]
        assert len(stage.starts) == 2
        assert stage.state("idle") is JobState.RUNNING


async def test_a_loop_that_swallowed_its_cancellation_fails_as_any_other_afterwards() -> None:
    # A cancellation still on its account would make libraries that look at it take every wait for a cancelled one.
    async with a_stage() as stage:
        stuck = [True]
        accounts: list[int] = []

        async def fail() -> None:
            raise LookupError("a defect")

        async def stubborn(beat: Beat) -> None:
            task = asyncio.current_task()
            accounts.append(-1 if task is None else task.cancelling())
            if stuck:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    stuck.clear()
                    return
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await asyncio.Event().wait()

        await start(stage, Loop("stubborn", stubborn))
        await stage.clock.advance(MINUTE)
        assert len(accounts) > 3
        assert set(accounts) == {0}
        assert stage.told[-1] == ("stubborn", "the stubborn loop failed: LookupError: a defect")
        stage.supervisor.stop()
        await stage.clock.advance(SECOND)
        assert stage.running.done()
        assert stage.state("stubborn") is JobState.FAILED


async def test_a_loop_that_returns_unasked_is_told_and_started_again() -> None:
    async with a_stage() as stage:

        async def brief(beat: Beat) -> None:
            stage.starts.append(0)

        await start(stage, Loop("brief", brief))
        await stage.clock.advance(SECOND)
        assert stage.told[0] == ("brief", "the brief loop ended though nobody asked it to")
        assert len(stage.starts) > 2


async def test_whoever_is_told_of_trouble_may_fail_without_harm() -> None:
    clock = SimulatedClock()
    starts = []

    def troubled(name: str, sentence: str) -> None:
        raise Unavailable("nobody listens")

    async def failing(beat: Beat) -> None:
        starts.append(clock.tick())
        raise LookupError

    running = asyncio.create_task(Supervisor(clock, troubled=troubled).run([Loop("failing", failing)]))
    await clock.advance(SECOND)
    running.cancel()
    await clock.advance(SECOND)
    assert len(starts) > 2


async def test_loops_are_ended_one_after_the_other_in_their_order() -> None:
    async with a_stage() as stage:
        await start(stage, stage.ticking("intake"), stage.idle("between"), stage.ticking("judge"))
        await stage.clock.advance(Duration(5 * SECOND))
        stage.supervisor.stop()
        await stage.clock.advance(Duration(5 * SECOND))
        assert stage.running.done()
        assert stage.done == ["stop intake", "intake", "between", "stop judge", "judge"]
        assert [stage.state(name) for name in ("intake", "between", "judge")] == [
            JobState.DONE,
            JobState.CANCELLED,
            JobState.DONE,
        ]
        assert stage.told == []


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_loop_that_does_not_end_within_its_grace_is_cancelled_and_named_so() -> None:
    async with a_stage() as stage:
        await start(stage, Loop("slow", stage.idle("slow").run, never), stage.ticking("next"))
        stage.supervisor.stop()
        await stage.clock.advance(Duration(GRACE - MILLISECOND))
        assert stage.done == []
        await stage.clock.advance(Duration(2 * SECOND))
        assert stage.running.done()
        assert stage.done == ["slow", "stop next", "next"]
        assert (stage.state("slow"), stage.state("next")) == (JobState.TIMED_OUT, JobState.DONE)


async def test_however_many_loops_there_are_the_end_comes_within_ten_seconds() -> None:
    async with a_stage() as stage:
        await start(stage, *(Loop(f"slow{number}", stage.idle(f"slow{number}").run, never) for number in range(20)))
        stage.supervisor.stop()
        await stage.clock.advance(Duration(WHOLE_GRACE + SECOND))
        assert stage.running.done()
        assert {each.state for each in stage.supervisor.statistics().values()} == {JobState.TIMED_OUT}


async def test_a_loop_that_fails_to_stop_keeps_no_other_from_ending_in_order() -> None:
    async with a_stage() as stage:

        async def broken() -> None:
            raise LookupError("a defect")

        await start(stage, Loop("broken", stage.idle("broken").run, broken), stage.ticking("next"))
        stage.supervisor.stop()
        await stage.clock.advance(Duration(3 * SECOND))
        assert (stage.state("broken"), stage.state("next")) == (JobState.FAILED, JobState.DONE)
        assert "did not end well: LookupError" in stage.told[0][1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_interrupts_at_once_and_says_so(number: signal.Signals) -> None:
    async with a_stage() as stage:
        await start(stage, Loop("slow", stage.idle("slow").run, never), stage.idle("other"))
        os.kill(os.getpid(), number)
        await stage.clock.advance(MILLISECOND)
        assert not stage.running.done()
        os.kill(os.getpid(), number)
        await stage.clock.advance(MILLISECOND)
        assert stage.running.done()
        assert (stage.state("slow"), stage.state("other")) == (JobState.INTERRUPTED, JobState.INTERRUPTED)


async def test_a_hang_up_ends_nothing_and_is_ignored_again_afterwards_where_it_was() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with a_stage() as stage:
            await start(stage, stage.idle())
            os.kill(os.getpid(), signal.SIGHUP)
            await stage.clock.advance(MILLISECOND)
            assert stage.hung_up == 1
            assert stage.state("idle") is JobState.RUNNING
            stage.supervisor.stop()
            await stage.clock.advance(SECOND)
            assert stage.running.done()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_cancelled_supervisor_leaves_no_loop_running() -> None:
    async with a_stage() as stage:
        await start(stage, stage.idle("one"), stage.ticking("two"), stage.failing())
        await stage.clock.advance(Duration(50 * MILLISECOND))
        stage.running.cancel()
        await stage.clock.settle()
        assert stage.running.cancelled()
        assert stage.done == ["one"]
        assert stage.state("one") is stage.state("two") is JobState.INTERRUPTED
        assert stage.state("failing") is JobState.FAILED


async def test_a_loop_that_will_not_let_go_is_left_behind_and_named_interrupted() -> None:
    async with a_stage() as stage:
        holding = asyncio.Event()

        async def clinging(beat: Beat) -> None:
            while not holding.is_set():
                try:
                    await holding.wait()
                except asyncio.CancelledError:
                    continue

        await start(stage, Loop("clinging", clinging))
        stage.supervisor.stop()
        await stage.clock.advance(Duration(3 * SECOND))
        assert stage.running.done()
        assert stage.state("clinging") is JobState.INTERRUPTED
        holding.set()
        await stage.clock.settle()


async def test_an_unusable_store_ends_everything_at_once_and_nothing_is_started_again() -> None:
    async with a_stage() as stage:
        waiting = asyncio.Event()

        async def stubborn(beat: Beat) -> None:
            try:
                await waiting.wait()
            except asyncio.CancelledError:
                await waiting.wait()

        async def broken(beat: Beat) -> None:
            stage.starts.append(stage.clock.tick().ns)
            await stage.clock.wait_until(stage.clock.tick().plus(SECOND))
            raise Unusable("facts.db: the disk failed")

        await start(stage, Loop("stubborn", stubborn), Loop("broken", broken), Loop("stuck", stubborn), stage.idle())
        await stage.clock.advance(Duration(1500 * MILLISECOND))
        assert stage.running.done()
        with pytest.raises(Unusable, match="the disk failed"):
            await stage.running
        assert len(stage.starts) == 1
        assert [stage.state(name) for name in ("stubborn", "broken", "stuck", "idle")] == [
            JobState.INTERRUPTED,
            JobState.FAILED,
            JobState.INTERRUPTED,
            JobState.INTERRUPTED,
        ]
        waiting.set()

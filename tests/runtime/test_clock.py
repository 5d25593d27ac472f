"""What the watch sees when clocks move against each other, and the laws of both clocks."""

from __future__ import annotations

import asyncio

import pytest

from service_monitoring.domain.inputs import Stepped
from service_monitoring.domain.instants import HOUR, MILLISECOND, MINUTE, SECOND, Duration, Instant
from service_monitoring.ports import Tick
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.drift import ClockWatch, Drift, Lagged, Reading, Suspended, read
from service_monitoring.testing.clock import SimulatedClock


def a_reading(*, now: int, tick: int, awake: int) -> Reading:
    return Reading(Instant(now * SECOND), Tick(tick * SECOND), Tick(awake * SECOND))


def a_watch() -> ClockWatch:
    return ClockWatch(a_reading(now=1_000_000, tick=100, awake=100), every=SECOND)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_step_of_the_wall_alone_is_a_step(hours: int) -> None:
    sight = a_watch()
    stepped = a_reading(now=1_000_001 + 3600 * hours, tick=101, awake=101)
    assert sight.look(stepped) == (Stepped(Duration(HOUR * hours)),)
    assert sight.look(a_reading(now=1_000_002 + 3600 * hours, tick=102, awake=102)) == ()


def test_a_suspend_moves_the_wall_and_is_no_step() -> None:
    assert a_watch().look(a_reading(now=1_028_801, tick=101, awake=28_901)) == (Suspended(Duration(8 * HOUR)),)


def test_a_suspend_with_a_step_is_told_before_the_step() -> None:
    seen = a_watch().look(a_reading(now=1_028_861, tick=101, awake=28_901))
    assert seen == (Suspended(Duration(8 * HOUR)), Stepped(MINUTE))


def test_a_reading_that_comes_late_is_lag_and_neither_step_nor_suspend() -> None:
    assert a_watch().look(a_reading(now=1_000_061, tick=161, awake=161)) == (Lagged(MINUTE),)


@pytest.mark.parametrize(("apart", "seen"), [(5, 0), (6, 1)])
def test_only_what_is_beyond_five_seconds_counts(apart: int, seen: int) -> None:
    assert len(a_watch().look(a_reading(now=1_000_001 + apart, tick=101, awake=101))) == seen


def test_small_steps_in_one_direction_add_up_to_one_that_is_seen() -> None:
    sight = a_watch()
    seen: list[Drift] = []
    for number in range(1, 9):
        seen += sight.look(a_reading(now=1_000_000 + 3 * number, tick=100 + number, awake=100 + number))
    assert seen == [Stepped(Duration(6 * SECOND)), Stepped(Duration(6 * SECOND))]


async def test_the_watch_sees_on_a_clock_what_happened_to_it() -> None:
    clock = SimulatedClock()
    sight = ClockWatch(read(clock), every=SECOND)
    seen: list[Drift] = []
    for second in range(20):
        if second == 5:
            clock.step(Duration(-HOUR))
        elif second == 10:
            clock.suspend(HOUR)
        elif second == 15:
            clock.stall(MINUTE)
        await clock.advance(SECOND)
        seen += sight.look(read(clock))
    assert seen == [Stepped(Duration(-HOUR)), Suspended(HOUR), Lagged(MINUTE)]


def test_a_reading_torn_by_a_stopped_process_is_taken_again() -> None:
    class Torn(SimulatedClock):
        torn = 0

        def now(self) -> Instant:
            before = super().now()
            if self.torn:
                self.torn -= 1
                self.stall(MINUTE)
            return before

    clock = Torn()
    sight = ClockWatch(read(clock), every=SECOND)
    clock.torn = 2
    assert not any(isinstance(drift, Stepped) for drift in sight.look(read(clock)))
    assert clock.torn == 0


async def test_the_machines_clock_never_returns_early_and_never_goes_back() -> None:
    clock = SystemClock()
    for _ in range(10):
        wanted = clock.tick().plus(Duration(MILLISECOND // 2))
        await clock.wait_until(wanted)
        assert wanted <= clock.tick()
    assert clock.tick() <= clock.tick()
    assert clock.awake().ns >= clock.tick().ns - SECOND


async def test_waiting_for_the_past_gives_the_others_a_turn() -> None:
    for clock in (SystemClock(), SimulatedClock()):
        ran = asyncio.Event()
        asyncio.get_running_loop().call_soon(ran.set)
        await clock.wait_until(clock.tick())
        assert ran.is_set()


async def test_simulated_waiters_are_released_by_tick_then_by_who_came_first() -> None:
    clock = SimulatedClock()
    order: list[tuple[str, int]] = []

    async def wait(name: str, at: int) -> None:
        await clock.wait_until(Tick(at))
        order.append((name, clock.tick().ns))

    tasks = [asyncio.create_task(wait(name, at)) for name, at in [("c", 2), ("a", 1), ("b", 1), ("d", 9)]]
    await clock.advance(Duration(5))
    assert order == [("a", 1), ("b", 1), ("c", 2)]
    assert clock.waiting() == 1
    tasks[-1].cancel()
    await clock.settle()
    assert (clock.waiting(), clock.next_due()) == (0, None)


async def test_advancing_stops_at_waits_that_begin_on_the_way() -> None:
    clock = SimulatedClock()
    seen: list[int] = []

    async def every_second() -> None:
        while True:
            await clock.wait_until(clock.tick().plus(SECOND))
            seen.append(clock.tick().ns // SECOND)

    ticking = asyncio.create_task(every_second())
    await clock.advance(Duration(5 * SECOND))
    ticking.cancel()
    assert seen == [1, 2, 3, 4, 5]


async def test_a_step_wakes_nobody_and_a_stall_wakes_everybody_late() -> None:
    clock = SimulatedClock()
    waiting = asyncio.create_task(clock.wait_until(Tick(SECOND)))
    await clock.settle()
    clock.step(HOUR)
    clock.suspend(HOUR)
    await clock.settle()
    assert not waiting.done()
    clock.stall(MINUTE)
    assert clock.now().since(SimulatedClock().now()) == 2 * HOUR + MINUTE
    await waiting


async def test_time_leaps_by_itself_while_the_loop_is_idle() -> None:
    clock = SimulatedClock()
    async with clock.autojump():
        for _ in range(3):
            await clock.wait_until(clock.tick().plus(HOUR))
    assert clock.tick() == Tick(3 * HOUR)

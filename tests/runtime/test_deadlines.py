"""A deadline ends its block in simulated time as in real time, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration
from service_monitoring.ports import Clock, Tick
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.testing.clock import SimulatedClock


async def for_ever(clock: Clock) -> None:
    async with within(clock, deadline_after(clock, SECOND)):
        await asyncio.Event().wait()


async def test_a_block_ends_when_the_simulated_clock_reaches_its_deadline() -> None:
    clock = SimulatedClock()
    block = asyncio.create_task(for_ever(clock))
    await clock.advance(Duration(SECOND - MILLISECOND))
    assert not block.done()
    await clock.advance(MILLISECOND)
    with pytest.raises(TimeoutError):
        await block


async def test_a_block_ends_on_the_machines_clock() -> None:
    clock = SystemClock()
    with pytest.raises(TimeoutError):
        async with within(clock, deadline_after(clock, MILLISECOND)):
            await asyncio.Event().wait()


async def test_a_block_that_ends_in_time_leaves_no_wait_behind() -> None:
    clock = SimulatedClock()
    async with within(clock, deadline_after(clock, SECOND)):
        await clock.settle()
        assert clock.waiting() == 1
    await clock.settle()
    assert clock.waiting() == 0


async def test_a_cancelled_block_is_cancelled_and_not_timed_out() -> None:
    clock = SimulatedClock()
    block = asyncio.create_task(for_ever(clock))
    await clock.settle()
    block.cancel()
    with pytest.raises(asyncio.CancelledError):
        await block
    await clock.settle()
    assert clock.waiting() == 0


async def test_an_error_of_the_block_passes_through() -> None:
    clock = SimulatedClock()
    with pytest.raises(LookupError):
        async with within(clock, deadline_after(clock, SECOND)):
            raise LookupError


async def test_a_deadline_in_the_past_ends_the_block_at_its_first_wait() -> None:
    clock = SimulatedClock(tick=Tick(SECOND))
    deadline = deadline_after(clock, SECOND)
    clock.stall(SECOND)
    with pytest.raises(TimeoutError):
        async with within(clock, deadline):
            await asyncio.Event().wait()

"""Turns, and answers that are made once for all who ask."""

import asyncio

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.errors import Unavailable
from service_monitoring.runtime.turns import Latest, Turns
from service_monitoring.testing.clock import SimulatedClock

PATIENCE = Duration(2 * SECOND)


class Made:
    """Counts what is made; each is ready when it is let go."""

    def __init__(self) -> None:
        self.count = 0
        self.ready = asyncio.Event()
        self.fails = False

    async def __call__(self) -> int:
        self.count += 1
        await self.ready.wait()
        if self.fails:
            raise Unavailable("not now")
        return self.count


async def test_one_is_in_at_a_time_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), []

    async def enter(number: int) -> None:
        async with turns:
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*map(enter, range(4)))
    assert order == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_many_who_ask_have_one_answer_made_and_it_is_made_anew_when_it_is_old() -> None:
    clock, made = SimulatedClock(), Made()
    made.ready.set()
    latest = Latest(made, clock, fresh=Duration(15 * SECOND))
    assert await asyncio.gather(*(latest.get(PATIENCE) for _ in range(10))) == [1] * 10
    await clock.advance(Duration(14 * SECOND))
    assert await latest.get(PATIENCE) == 1
    await clock.advance(Duration(SECOND))
    assert await latest.get(PATIENCE) == 2


async def test_nobody_waits_longer_than_they_said_and_it_goes_on_without_them() -> None:
    clock, made = SimulatedClock(), Made()
    latest = Latest(made, clock, fresh=Duration(15 * SECOND))
    asking = asyncio.create_task(latest.get(PATIENCE))
    await clock.advance(PATIENCE)
    assert await asking is None
    made.ready.set()
    await clock.settle()
    assert await latest.get(PATIENCE) == 1
    assert made.count == 1


async def test_where_it_cannot_be_made_the_former_one_stands() -> None:
    clock, made = SimulatedClock(), Made()
    made.ready.set()
    latest = Latest(made, clock, fresh=Duration(15 * SECOND))
    assert await latest.get(PATIENCE) == 1
    made.fails = True
    await clock.advance(Duration(15 * SECOND))
    assert await latest.get(PATIENCE) == 1
    made.fails = False
    assert await latest.get(PATIENCE) == 3

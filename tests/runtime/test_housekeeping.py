"""Tallies are kept while the program runs: without a pause for nobody, and again after what could not be done."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.errors import Unavailable
from service_monitoring.runtime.housekeeping import keep_tallies
from service_monitoring.testing.clock import SimulatedClock


async def test_pieces_follow_each_other_and_a_failure_is_tried_again() -> None:
    clock = SimulatedClock()
    begun = clock.tick()
    asked: list[int] = []
    answers: Iterator[bool | Unavailable] = iter([True, True, False, Unavailable("the disk is full"), False])

    async def further() -> bool:
        asked.append(clock.tick().since(begun) // SECOND)
        answer = next(answers, False)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    keeping = asyncio.create_task(keep_tallies(clock, further, beat=lambda: None, every=MINUTE, pause=Duration(SECOND)))
    await clock.advance(Duration(185 * SECOND))
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    assert asked == [0, 1, 2, 62, 122, 182]

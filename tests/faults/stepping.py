"""A process that polls and watches the clocks for a while, under libfaketime: prints what it saw as JSON."""

import asyncio
import json
import os
import sys
from pathlib import Path

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Observed
from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.domain.samples import Observation, Outcome
from service_monitoring.ports import Deadline
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.drift import ClockWatch, Drift, read
from service_monitoring.runtime.poll import Poller

EVERY = Duration(100 * MILLISECOND)


class Quick:
    async def probe(self, deadline: Deadline) -> Observation:
        return Observation(Outcome.OK)


async def main(step: str) -> None:
    clock = SystemClock()
    ticks: list[int] = []
    drifts: list[Drift] = []

    async def submit(observed: Observed) -> None:
        ticks.append(clock.tick().ns)

    check = Check("shop", "health", "http", EVERY, EVERY, MINUTE)
    poller = Poller([check], {check.id: Quick()}, clock, submit)
    watch = ClockWatch(read(clock), every=EVERY)
    running = asyncio.create_task(poller.run())
    before = clock.now()
    for turn in range(16):
        if turn == 8:
            Path(os.environ["FAKETIME_TIMESTAMP_FILE"]).write_text(step)
        await clock.wait_until(clock.tick().plus(EVERY))
        drifts += watch.look(read(clock))
    moved = clock.now().since(before)
    await poller.stop(deadline_after(clock, SECOND))
    await running
    kinds = [type(drift).__name__ for drift in drifts]
    statistics = poller.statistics()
    print(json.dumps({"kinds": kinds, "moved": moved, "ticks": ticks, "skipped": statistics.skipped}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

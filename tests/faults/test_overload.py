"""Three times the work that there is capacity for (row 14): real poller, inbox, cycle and store, measured."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psutil
import pytest

from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.inputs import Configured, Observed, Stamp
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.strategies import Comparison, Operator, Threshold
from service_monitoring.ports import Deadline
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.poll import Poller
from service_monitoring.storage.folder import FACTS
from service_monitoring.storage.sqlite import SqliteStore
from tests.faults.disks import a_lock_holder, held, let_go

CAPACITY: Final = 800
"""Runs at once; each lasts about a second, and three times as many are due each second."""
INBOX: Final = 4_000
WARM, LOADED, LOCKED = 3.0, 15.0, 4.0


class OneSecond:
    """A target that takes a second to answer."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock

    async def probe(self, deadline: Deadline) -> Observation:
        await self._clock.wait_until(self._clock.tick().plus(SECOND))
        return Observation(Outcome.OK)


def the_configuration() -> Configuration:
    """Three checks for each run that there is room for, each judged by a rule."""
    services = []
    for number in range(CAPACITY * 3 // 10):
        name = f"s{number}"
        checks = tuple(
            Check(name, f"c{each}", "http", SECOND, Duration(3 * SECOND), Duration(60 * SECOND)) for each in range(10)
        )
        down = Threshold(Comparison(Operator.BELOW, 1.0))
        services.append(
            Service(
                name, checks=checks, rules=tuple(Rule(name, check.name, check.name, "up", down) for check in checks)
            )
        )
    return Configuration(tuple(services))


async def watch_memory(seconds: float) -> int:
    """The most bytes that this process held in so many seconds."""
    process = psutil.Process()
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(0.1)
    return most


@pytest.mark.drill
@pytest.mark.timeout(180)
async def test_three_times_the_work_is_shed_by_count_within_bounds(tmp_path: Path) -> None:
    clock = SystemClock()
    configuration = the_configuration()
    checks = [check for service in configuration.services for check in service.checks]
    async with await SqliteStore.open(tmp_path / "data", clock) as store:
        cycle = Cycle(
            await Monitor.resume(store), clock, capacity=INBOX, owed=lambda owed: None, troubled=lambda why: None
        )
        await cycle.start(Configured(configuration))
        poller = Poller(
            checks, dict.fromkeys([check.id for check in checks], OneSecond(clock)), clock, cycle.submit,
            capacity=CAPACITY,
        )  # fmt: skip
        began = clock.tick()
        polling, deciding = asyncio.create_task(poller.run()), asyncio.create_task(cycle.run(lambda: None))
        before = await watch_memory(WARM)
        loaded = await watch_memory(LOADED)
        # Nothing can be committed for a while: what comes in meets a full inbox, and is held back there.
        with a_lock_holder(tmp_path / "data" / FACTS) as holder:
            held(holder)
            locked = await watch_memory(LOCKED)
            let_go(holder)
        locked = max(locked, await watch_memory(2.0))
        await poller.stop(deadline_after(clock, Duration(5 * SECOND)))
        await polling
        lasted = clock.tick().since(began) / SECOND
        seen, inbox = poller.statistics(), cycle.statistics()
        await cycle.stop()
        await deciding
        incidents = await store.incidents()
        stored = await store.beyond(Stamp(0, Instant(0)))
    kept = Counter(
        (admitted.input.observation.outcome, admitted.input.observation.reason)
        for admitted in stored
        if isinstance(admitted.input, Observed)
    )
    growth = (max(loaded, locked) - before) / 1024**2
    print(
        f"{len(checks)} checks a second at {CAPACITY} at once for {lasted:.0f} s: {seen.started} started, {seen.shed} "
        f"shed, {seen.skipped} skipped; inbox at most {inbox.peak} of {inbox.capacity}; {growth:.1f} MiB more"
    )
    assert seen.peak == CAPACITY
    assert inbox.peak == INBOX, "the lock filled it"
    assert inbox.refused == inbox.dropped == 0
    assert kept == {(Outcome.OK, None): seen.done, (Outcome.UNKNOWN, Reason.OVERLOAD): seen.shed}
    assert seen.shed > seen.started, "a third of the work was done"
    # Each slot was counted in one way; the last ones may not have been looked at, or are counted a turn early.
    slots = seen.started + seen.skipped + seen.shed
    assert len(checks) * (lasted - 2.5) <= slots <= len(checks) * (lasted + 0.1)
    assert incidents == [], "our own overload judges no service"
    assert growth < 50

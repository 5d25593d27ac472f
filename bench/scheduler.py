"""Scheduling alone: tens of thousands of checks at one second with empty work, against a bare heap and APScheduler 3.

Every row is a process of its own, one after the other, on the same machine in the same minute; CPU is user and system
time over wall time. The bars: 50,000 checks under 25 % of a core, p99 of lateness under 5 ms, none missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Observed
from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND
from service_monitoring.domain.samples import Observation, Outcome
from service_monitoring.ports import Deadline
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.poll import Poller

SECONDS: Final = 5.0
WARM_UP: Final = 2.0
OK: Final = Observation(Outcome.OK)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. Lateness in milliseconds; `cpu` is a share of one core."""

    checks: int
    started: int
    missed: int
    cpu: float
    median: float
    p99: float


class Prompt:
    """Empty work that needs no waiting, as a heartbeat check does."""

    def probe_now(self) -> Observation:
        return OK


class Waiting:
    """Empty work in a task of its own, with a deadline, as every probe over the network."""

    async def probe(self, deadline: Deadline) -> Observation:
        return OK


async def poller(checks: int, source: Prompt | Waiting) -> Row:
    """Our poller, with its agenda, cadence, statistics and the hand-over of an observation."""
    clock = SystemClock()

    async def submit(observed: Observed) -> None:
        pass

    polled = [Check("service", f"check{number}", "none", SECOND, SECOND, MINUTE) for number in range(checks)]
    sources = dict.fromkeys([check.id for check in polled], source)
    ours = Poller(polled, sources, clock, submit)
    running = asyncio.create_task(ours.run())
    gc.collect()
    gc.freeze()
    await asyncio.sleep(WARM_UP)
    warm = ours.statistics()
    ours.measure_afresh()
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(SECONDS)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    seen = ours.statistics()
    await ours.stop(deadline_after(clock, SECOND))
    await running
    return Row(
        checks,
        seen.started - warm.started,
        seen.skipped + seen.shed - warm.skipped - warm.shed,
        share,
        seen.lateness.median / MILLISECOND,
        seen.lateness.p99 / MILLISECOND,
    )


async def heap(checks: int) -> Row:
    """The least that can be done on this loop: a heap of tuples, a wake each millisecond, one call for each entry."""

    def work() -> None:
        pass

    gc.collect()
    gc.freeze()
    base = time.monotonic_ns()
    entries = [(base + number * SECOND // checks, number) for number in range(checks)]
    heapq.heapify(entries)
    lates: list[int] = []
    cpu, began = time.process_time(), time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        await asyncio.sleep(0.001)
        now = time.monotonic_ns()
        while entries[0][0] <= now:
            due, number = entries[0]
            heapq.heapreplace(entries, (due + SECOND, number))
            lates.append(now - due)
            work()
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    return Row(checks, len(lates), 0, share, *_quantiles(lates))


async def apscheduler(checks: int) -> Row:
    """APScheduler 3 on asyncio, its jobs in memory, spread over the second as ours are."""
    lates: list[int] = []
    missed = 0

    def count(_: object) -> None:
        nonlocal missed
        missed += 1

    def job(phase: int) -> Callable[[], object]:
        async def run() -> None:
            lates.append((time.time_ns() - phase) % SECOND)

        return run

    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.add_listener(count, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4 + checks / 2_000)
    for number in range(checks):
        start = first + timedelta(microseconds=number * 1_000_000 // checks)
        phase = start.microsecond * 1000
        scheduler.add_job(job(phase), "interval", seconds=1, start_date=start, coalesce=True, misfire_grace_time=1)
    scheduler.start()
    gc.collect()
    gc.freeze()
    await asyncio.sleep((first - datetime.now(UTC)).total_seconds() + WARM_UP)
    lates.clear()
    missed = 0
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(SECONDS)
    lasted = time.perf_counter() - began
    share = (time.process_time() - cpu) / lasted
    row = Row(checks, len(lates), max(missed, round(checks * lasted) - len(lates)), share, *_quantiles(lates))
    scheduler.shutdown(wait=False)
    return row


def _quantiles(lates: list[int]) -> tuple[float, float]:
    lates.sort()
    return lates[len(lates) // 2] / MILLISECOND, lates[len(lates) * 99 // 100] / MILLISECOND


ROWS: Final[dict[str, Callable[[], Row]]] = {
    "bare heap loop": lambda: asyncio.run(heap(50_000)),
    "poller, prompt sources": lambda: asyncio.run(poller(50_000, Prompt())),
    "poller, prompt sources, 100,000": lambda: asyncio.run(poller(100_000, Prompt())),
    "poller, a task a run": lambda: asyncio.run(poller(10_000, Waiting())),
    "APScheduler 3": lambda: asyncio.run(apscheduler(5_000)),
}


def _in_its_own_process(name: str) -> Row:
    command = [sys.executable, "-m", "bench.scheduler", "--row", name]
    return Row(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    """Run it; `--row NAME` prints one row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", choices=sorted(ROWS))
    chosen = parser.parse_args().row
    if chosen is not None:
        print(json.dumps(asdict(ROWS[chosen]())))
        return
    heading = ("starts/s", "CPU", "us/start", "p50 ms", "p99 ms", "missed", "x heap")
    print(f"{'':34}{'checks':>8}" + "".join(f"{each:>10}" for each in heading))
    bare = 0.0
    for name in ROWS:
        row = _in_its_own_process(name)
        rate = row.started / SECONDS
        each = row.cpu / rate * 1e6
        bare = bare or each
        print(
            f"{name:34}{row.checks:8,}{rate:10,.0f}{row.cpu:10.1%}{each:10.2f}{row.median:10.2f}{row.p99:10.2f}"
            f"{row.missed:10,}{each / bare:10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

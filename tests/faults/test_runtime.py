"""The faults of process and time that the runtime must survive, in one process; drills with real ones are beside it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Observed, Stepped
from service_monitoring.domain.instants import HOUR, MILLISECOND, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.ports import Clock, Deadline
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.drift import ClockWatch, Drift, read
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.queue import Closed, Offer, Queue, WhenFull
from service_monitoring.runtime.supervise import Beat, JobState, Loop, Supervisor
from service_monitoring.runtime.watchdog import Watchdog
from service_monitoring.testing.clock import SimulatedClock

OK = Observation(Outcome.OK)
TIMEOUT = Observation(Outcome.FAILED, Reason.TIMEOUT, "timed out")


def a_check(name: str, *, every: Duration = SECOND, timeout: Duration = SECOND) -> Check:
    return Check("shop", name, "http", every, timeout, stale_after=MINUTE)


class Target:
    """A target that answers after a while, or not in time."""

    def __init__(self, clock: Clock, lasts: Duration) -> None:
        self.clock = clock
        self.lasts = lasts
        self.asked: list[Instant] = []
        self.going = self.most = 0

    async def probe(self, deadline: Deadline) -> Observation:
        self.asked.append(self.clock.now())
        self.going += 1
        self.most = max(self.most, self.going)
        try:
            async with within(self.clock, deadline):
                await self.clock.wait_until(self.clock.tick().plus(self.lasts))
        except TimeoutError:
            return TIMEOUT
        finally:
            self.going -= 1
        return OK


class Pipeline:
    """The way of an observation, in small: polling into a bounded inbox, and a judge that takes its time."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.submitted: list[Observed] = []
        self.judged: list[Observed] = []
        self.defect = ""
        self.inbox: Queue[Observed] = Queue("inbox", capacity=5, when_full=WhenFull.WAIT)
        self.targets = {
            a_check(f"c{number}"): Target(clock, Duration(number * 90 * MILLISECOND)) for number in range(20)
        }
        sources = {check.id: target for check, target in self.targets.items()}
        self.poller = Poller(self.targets, sources, clock, self.submit)
        self.supervisor = Supervisor(clock, troubled=lambda name, sentence: None)

    async def submit(self, observed: Observed) -> None:
        self.strike("poll")
        assert await self.inbox.put(observed) is Offer.ACCEPTED
        self.submitted.append(observed)

    async def judge(self, beat: Beat) -> None:
        while True:
            beat()
            self.strike("judge")
            try:
                taken = await self.inbox.take_many(10)
            except Closed:
                return
            await self.clock.wait_until(self.clock.tick().plus(Duration(20 * MILLISECOND)))
            self.judged += taken

    def strike(self, loop: str) -> None:
        if self.defect == loop:
            self.defect = ""
            raise LookupError("a defect")

    async def close(self) -> None:
        self.inbox.close()

    async def run(self) -> None:
        polling = Loop("poll", self.poller.run, lambda: self.poller.stop(deadline_after(self.clock, SECOND)))
        await self.supervisor.run([polling, Loop("judge", self.judge, self.close)])


@pytest.mark.parametrize("seed", range(100))
async def test_a_termination_at_any_point_ends_in_order_and_loses_nothing(seed: int) -> None:
    clock = SimulatedClock()
    pipeline = Pipeline(clock)
    running = asyncio.create_task(pipeline.run())
    await clock.advance(Duration(random.Random(seed).randrange(3 * SECOND)))
    os.kill(os.getpid(), signal.SIGTERM)
    began = clock.tick()
    async with clock.autojump():
        await running
    assert clock.tick().since(began) < 10 * SECOND
    assert pipeline.judged == pipeline.submitted
    assert {each.state for each in pipeline.supervisor.statistics().values()} == {JobState.DONE}
    polled = pipeline.poller.statistics()
    assert (polled.outstanding, polled.started) == (0, polled.done + polled.interrupted)
    # What the end cut off says so, and is never a failure of its target.
    reasons = {observed.observation.reason for observed in pipeline.submitted if observed.check < "c11"}
    assert reasons <= {None, Reason.SHUTDOWN}


@pytest.mark.parametrize("seed", range(30))
async def test_a_second_termination_at_any_point_leaves_nothing_unnamed_and_nothing_running(seed: int) -> None:
    clock = SimulatedClock()
    pipeline = Pipeline(clock)
    running = asyncio.create_task(pipeline.run())
    dice = random.Random(seed)
    await clock.advance(Duration(dice.randrange(2 * SECOND)))
    os.kill(os.getpid(), signal.SIGTERM)
    await clock.advance(Duration(dice.randrange(500 * MILLISECOND)))
    if not running.done():
        os.kill(os.getpid(), signal.SIGTERM)
    before = clock.tick()
    await clock.settle()
    await asyncio.wait_for(running, 5)
    assert clock.tick() == before
    ends = {JobState.DONE, JobState.INTERRUPTED}
    assert {each.state for each in pipeline.supervisor.statistics().values()} <= ends
    assert all(target.going == 0 for target in pipeline.targets.values())
    assert [task for task in asyncio.all_tasks() if task.get_name() in ("poll", "judge")] == []


@pytest.mark.parametrize("victim", ["poll", "judge"])
async def test_any_loop_that_dies_is_running_again_within_a_second(victim: str) -> None:
    clock = SimulatedClock()
    pipeline = Pipeline(clock)
    running = asyncio.create_task(pipeline.run())
    await clock.advance(Duration(2 * SECOND))
    pipeline.defect = victim
    await clock.advance(SECOND)
    standing = pipeline.supervisor.statistics()
    assert (pipeline.defect, standing[victim].state, standing[victim].restarts) == ("", JobState.RUNNING, 1)
    assert sum(each.restarts for each in standing.values()) == 1
    before = len(pipeline.judged)
    await clock.advance(SECOND)
    assert len(pipeline.judged) >= before + 10
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_blocking_call_is_seen_with_its_stack_and_its_true_length() -> None:
    seen: list[tuple[Duration, str]] = []
    dog = Watchdog(SystemClock(), lambda lag, stack: seen.append((lag, stack)), limit=Duration(100 * MILLISECOND))
    watching = asyncio.create_task(dog.run())
    await asyncio.sleep(0.06)
    assert dog.longest < 100 * MILLISECOND
    began = time.monotonic_ns()
    time.sleep(0.4)
    truth = time.monotonic_ns() - began
    present = dog.lag
    await asyncio.sleep(0.06)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert abs(present - truth) < 100 * MILLISECOND
    assert abs(dog.longest - truth) < 100 * MILLISECOND
    assert abs(dog.blockage(within=MINUTE) - truth) < 100 * MILLISECOND
    assert len(seen) == 1
    assert "time.sleep(0.4)" in seen[0][1]
    await asyncio.sleep(0.1)
    assert dog.blockage(within=Duration(100 * MILLISECOND)) == 0
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}


async def test_checks_are_not_judged_down_because_we_were_blocked() -> None:
    clock = SystemClock()
    observed: list[Observed] = []

    async def submit(what: Observed) -> None:
        observed.append(what)

    checks = [
        a_check(f"c{number}", every=Duration(200 * MILLISECOND), timeout=Duration(100 * MILLISECOND))
        for number in range(40)
    ]
    quick = Duration(30 * MILLISECOND)
    poller = Poller(checks, {check.id: Target(clock, quick) for check in checks}, clock, submit)
    running = asyncio.create_task(poller.run())
    await asyncio.sleep(0.3)
    time.sleep(0.5)
    await asyncio.sleep(0.3)
    await poller.stop(deadline_after(clock, SECOND))
    await running
    assert len(observed) > 40
    assert Counter(what.observation.outcome for what in observed)[Outcome.FAILED] == 0
    assert poller.statistics().lateness.worst > 200 * MILLISECOND


@pytest.mark.parametrize("seed", range(4))
async def test_a_starved_loop_skips_and_never_piles_up_and_blames_no_target(seed: int) -> None:
    # A fifth of the processor: for each 20 ms that pass as usual, the next 80 ms pass in one leap.
    clock = SimulatedClock()
    dice = random.Random(seed)
    observed: list[Observed] = []

    async def submit(what: Observed) -> None:
        observed.append(what)

    every, timeout = Duration(500 * MILLISECOND), Duration(300 * MILLISECOND)
    targets = {
        a_check(f"c{number}", every=every, timeout=timeout): Target(clock, Duration(60 * MILLISECOND))
        for number in range(30)
    }
    poller = Poller(targets, {check.id: target for check, target in targets.items()}, clock, submit, capacity=20)
    running = asyncio.create_task(poller.run())
    for _ in range(300):
        await clock.advance(Duration(dice.randrange(1, 40) * MILLISECOND))
        clock.stall(Duration(dice.randrange(20, 160) * MILLISECOND))
    statistics = poller.statistics()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {target.most for target in targets.values()} == {1}
    assert statistics.peak <= 20
    assert Counter(what.observation.outcome for what in observed)[Outcome.FAILED] == 0
    assert statistics.lateness.p99 > 20 * MILLISECOND


async def test_five_thousand_checks_at_one_minute_never_start_more_than_125_in_any_second() -> None:
    clock = SimulatedClock()
    started: list[int] = []

    async def submit(what: Observed) -> None:
        started.append(what.started.ns)

    class Prompt:
        def probe_now(self) -> Observation:
            return OK

    checks = [a_check(f"c{number}", every=MINUTE) for number in range(5_000)]
    poller = Poller(checks, dict.fromkeys([check.id for check in checks], Prompt()), clock, submit)
    running = asyncio.create_task(poller.run())
    await clock.advance(Duration(2 * MINUTE))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(started) == 10_000
    assert max(bisect_left(started, at + SECOND) - index for index, at in enumerate(started)) <= 125
    assert poller.statistics().lateness.p99 < SECOND


@pytest.mark.parametrize("when_full", [WhenFull.REFUSE, WhenFull.DROP_OLDEST])
async def test_work_at_three_times_the_capacity_is_turned_away_and_counted_exactly(when_full: WhenFull) -> None:
    clock = SimulatedClock()
    queue: Queue[int] = Queue("push", capacity=100, when_full=when_full)
    taken: list[int] = []
    answers: Counter[Offer] = Counter()

    async def work() -> None:
        while True:
            taken.append(await queue.take())
            await clock.wait_until(clock.tick().plus(Duration(3 * MILLISECOND)))

    working = asyncio.create_task(work())
    for number in range(3_000):
        answers[queue.offer(number)] += 1
        await clock.advance(MILLISECOND)
    await clock.advance(SECOND)
    working.cancel()
    seen = queue.statistics()
    assert seen.peak <= 100
    assert (seen.offered, seen.length, seen.taken) == (3_000, 0, len(taken))
    assert seen.refused == answers[Offer.REFUSED]
    assert seen.dropped == answers[Offer.DROPPED_OLDEST]
    assert len(taken) == 3_000 - seen.refused - seen.dropped
    assert 1_000 <= len(taken) <= 1_101
    assert taken == sorted(taken)


@pytest.mark.parametrize("delta", [HOUR, -HOUR])
async def test_a_step_of_the_wall_clock_is_seen_once_and_moves_no_run(delta: int) -> None:
    clock = SimulatedClock()
    ticks: list[int] = []

    async def submit(what: Observed) -> None:
        ticks.append(clock.tick().ns)

    check = a_check("health", every=Duration(5 * SECOND))
    poller = Poller([check], {check.id: Target(clock, Duration(0))}, clock, submit)
    running = asyncio.create_task(poller.run())
    watch = ClockWatch(read(clock), every=SECOND)
    seen: list[Drift] = []
    for second in range(60):
        if second == 30:
            clock.step(Duration(delta))
        await clock.advance(SECOND)
        seen += watch.look(read(clock))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert seen == [Stepped(Duration(delta))]
    assert len(ticks) == 12
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    assert all(abs(gap - 5 * SECOND) <= 5 * MILLISECOND for gap in gaps)

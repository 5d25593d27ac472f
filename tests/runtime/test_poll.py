"""Polling in simulated time: slots, attempts, overload, shutdown and changes, and whose fault lateness is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.cadence import Cadence
from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Observed
from service_monitoring.domain.instants import HOUR, MILLISECOND, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.errors import Conflict, NotFound
from service_monitoring.ports import Deadline, Source
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.lateness import Lateness
from service_monitoring.runtime.poll import Poller, Prompt
from service_monitoring.runtime.supervise import SILENT
from service_monitoring.testing.clock import SimulatedClock

OK = Observation(Outcome.OK)
TIMEOUT = Observation(Outcome.FAILED, Reason.TIMEOUT, "timed out")
REFUSED = Observation(Outcome.FAILED, Reason.CONNECT, "refused")
HALF = Duration(SECOND // 2)


def a_check(name: str = "health", *, every: Duration = SECOND, timeout: Duration = HALF, retries: int = 0) -> Check:
    return Check("shop", name, "http", every, timeout, stale_after=MINUTE, retries=retries)


class Probed:
    """A source that does as told, and remembers when it was asked."""

    def __init__(self, clock: SimulatedClock, *answers: Observation | Exception, lasts: Duration = Duration(0)) -> None:
        self.clock = clock
        self.answers = list(answers) or [OK]
        self.lasts = lasts
        self.asked: list[Instant] = []
        self.going = 0
        self.most = 0

    async def probe(self, deadline: Deadline) -> Observation:
        self.asked.append(self.clock.now())
        self.going += 1
        self.most = max(self.most, self.going)
        try:
            return await self.answer(deadline)
        finally:
            self.going -= 1

    async def answer(self, deadline: Deadline) -> Observation:
        if self.lasts:
            await self.clock.wait_until(self.clock.tick().plus(self.lasts))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Hanging(Probed):
    """Waits for a target that never answers, as long as it is given."""

    async def answer(self, deadline: Deadline) -> Observation:
        await self.clock.wait_until(deadline.tick)
        return TIMEOUT


class Deaf(Probed):
    """A faulty source that does not know its deadline."""

    async def answer(self, deadline: Deadline) -> Observation:
        await asyncio.Event().wait()
        return OK


class Stubborn(Probed):
    """A faulty source that takes a cancellation for a failure of its target."""

    async def answer(self, deadline: Deadline) -> Observation:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return REFUSED
        return OK


class Answering:
    """A prompt source."""

    def __init__(self, answer: Observation | Exception = OK) -> None:
        self.said = answer

    def probe_now(self) -> Observation:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


class Polling:
    """A poller that runs, its clock, and what it submitted."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.observed: list[Observed] = []
        self.poller: Poller
        self.running: asyncio.Task[None]

    async def submit(self, observed: Observed) -> None:
        self.observed.append(observed)

    @property
    def outcomes(self) -> list[tuple[Outcome, Reason | None]]:
        return [(observed.observation.outcome, observed.observation.reason) for observed in self.observed]


@asynccontextmanager
async def polling(
    clock: SimulatedClock,
    sources: Mapping[Check, Source | Prompt],
    *,
    capacity: int = 1000,
    submit: Callable[[Observed], Awaitable[None]] | None = None,
) -> AsyncIterator[Polling]:
    polling = Polling(clock)
    by_id = {check.id: source for check, source in sources.items()}
    polling.poller = Poller(sources, by_id, clock, submit or polling.submit, capacity=capacity)
    polling.running = asyncio.create_task(polling.poller.run())
    await clock.settle()
    try:
        yield polling
        everything_is_accounted_for(polling)
    finally:
        polling.running.cancel()
        await asyncio.gather(polling.running, return_exceptions=True)
        assert polling.poller.statistics().outstanding == 0


async def begun(source: Probed) -> None:
    while not source.going:
        due = source.clock.next_due()
        assert due is not None
        await source.clock.advance(due.since(source.clock.tick()))


def everything_is_accounted_for(polling: Polling) -> None:
    seen = polling.poller.statistics()
    assert seen.started == seen.outstanding + seen.done + seen.cancelled + seen.interrupted
    assert seen.lateness.count == seen.started


async def test_a_check_runs_at_its_slots() -> None:
    clock = SimulatedClock()
    check = a_check(every=Duration(10 * SECOND))
    source = Probed(clock)
    started = clock.now()
    async with polling(clock, {check: source}) as seen:
        await clock.advance(MINUTE)
    cadence = Cadence.of(check.id, check.every)
    first = cadence.next_slot(started.ns)
    late = [asked.ns - (first + number * check.every) for number, asked in enumerate(source.asked)]
    assert len(late) == 6
    assert all(0 <= lateness <= 2 * MILLISECOND for lateness in late)
    assert seen.outcomes == [(Outcome.OK, None)] * 6
    assert [observed.started for observed in seen.observed] == source.asked


@pytest.mark.parametrize("wall", [HOUR, -HOUR])
async def test_a_step_of_the_wall_clock_moves_no_slot_and_causes_no_burst(wall: int) -> None:
    clock = SimulatedClock()
    source = Probed(clock)
    async with polling(clock, {a_check(): source}):
        await clock.advance(Duration(10 * SECOND))
        clock.step(Duration(wall))
        await clock.advance(Duration(10 * SECOND))
    assert len(source.asked) == 20
    gaps = [later.since(earlier) for earlier, later in zip(source.asked[10:], source.asked[11:], strict=False)]
    assert all(abs(gap - SECOND) <= 2 * MILLISECOND for gap in gaps)


async def test_a_suspend_of_eight_hours_is_followed_by_the_usual_pace() -> None:
    clock = SimulatedClock()
    sources = {a_check(f"c{number}", every=MINUTE): Probed(clock) for number in range(50)}
    async with polling(clock, dict(sources)):
        await clock.advance(MINUTE)
        clock.suspend(Duration(8 * HOUR))
        await clock.advance(MINUTE)
    assert {len(source.asked) for source in sources.values()} == {2}


async def test_after_a_long_stall_checks_go_on_at_their_slots_without_a_burst() -> None:
    clock = SimulatedClock()
    sources = {a_check(f"c{number}", every=MINUTE): Probed(clock) for number in range(300)}
    async with polling(clock, dict(sources)) as seen:
        await clock.advance(MINUTE)
        clock.stall(Duration(30 * 24 * HOUR))
        began = clock.now().plus(SECOND)
        await clock.advance(SECOND)
        assert len(seen.observed) <= 300 + 60
        await clock.advance(MINUTE)
        again = [observed for observed in seen.observed[300:] if began <= observed.started]
        assert max(Counter(observed.started.ns // SECOND for observed in again).values()) <= 20
        statistics = seen.poller.statistics()
    # Each minute of the thirty days is a slot that was skipped, and counted, check by check.
    assert statistics.skipped >= 300 * (30 * 24 * 60 - 1)
    assert all(len(source.asked) in (2, 3) for source in sources.values())


async def test_a_first_round_runs_every_check_within_a_minute() -> None:
    clock = SimulatedClock()
    sources = {a_check(f"c{number}", every=Duration(24 * HOUR)): Probed(clock) for number in range(100)}
    async with polling(clock, dict(sources)):
        await clock.advance(MINUTE)
    assert {len(source.asked) for source in sources.values()} == {1}


async def test_a_slot_that_finds_the_last_run_going_is_skipped_and_counted() -> None:
    clock = SimulatedClock()
    source = Probed(clock, lasts=Duration(2500 * MILLISECOND))
    async with polling(clock, {a_check(timeout=Duration(3 * SECOND)): source}) as seen:
        await clock.advance(Duration(12 * SECOND))
        statistics = seen.poller.statistics()
    assert source.most == 1
    assert (statistics.started, statistics.skipped) == (4, 8)


async def test_every_attempt_has_the_whole_timeout_and_is_kept() -> None:
    clock = SimulatedClock()
    source = Hanging(clock)
    async with polling(clock, {a_check(every=MINUTE, retries=2): source}) as seen:
        await clock.advance(MINUTE)
    (observed,) = seen.observed
    assert observed.observation.reason is Reason.TIMEOUT
    assert [attempt.lasted for attempt in observed.observation.attempts] == [HALF] * 3


async def test_a_retry_that_succeeds_makes_the_run_good() -> None:
    clock = SimulatedClock()
    source = Probed(clock, REFUSED, OK)
    async with polling(clock, {a_check(every=MINUTE, retries=3): source}) as seen:
        await clock.advance(MINUTE)
    (observed,) = seen.observed
    assert observed.observation.outcome is Outcome.OK
    assert [attempt.reason for attempt in observed.observation.attempts] == [Reason.CONNECT, None]


async def test_a_source_that_raises_is_our_own_fault() -> None:
    clock = SimulatedClock()
    sources: dict[Check, Source | Prompt] = {
        a_check("a"): Probed(clock, LookupError("a defect")),
        a_check("b"): Answering(LookupError("a defect")),
    }
    async with polling(clock, sources) as seen:
        await clock.advance(SECOND)
    assert seen.outcomes == [(Outcome.UNKNOWN, Reason.INTERNAL_ERROR)] * 2
    assert all("LookupError: a defect" in observed.observation.detail for observed in seen.observed)


@pytest.mark.parametrize("faulty", [Deaf, Stubborn])
async def test_a_source_that_overruns_its_deadline_is_cut_off_as_our_own_fault(faulty: type[Probed]) -> None:
    clock = SimulatedClock()
    async with polling(clock, {a_check(every=MINUTE, retries=1): faulty(clock)}) as seen:
        await clock.advance(MINUTE)
        statistics = seen.poller.statistics()
    assert seen.outcomes == [(Outcome.UNKNOWN, Reason.INTERNAL_ERROR)]
    lasted = [attempt.lasted for attempt in seen.observed[0].observation.attempts]
    assert len(lasted) == 2
    assert all(SECOND <= each <= SECOND + 60 * MILLISECOND for each in lasted)
    assert statistics.overran == 2


async def test_a_source_that_uses_its_own_timeout_can_after_an_overrun() -> None:
    # A cancellation that is not taken back would turn the timeouts of the next attempt into cancellations.
    clock = SimulatedClock()

    class Twice(Probed):
        async def answer(self, deadline: Deadline) -> Observation:
            if len(self.asked) == 1:
                await asyncio.Event().wait()
            try:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            except TimeoutError:
                return REFUSED
            return OK

    async with polling(clock, {a_check(every=MINUTE, retries=1): Twice(clock)}) as seen:
        await clock.advance(MINUTE)
    assert seen.outcomes == [(Outcome.FAILED, Reason.CONNECT)]


async def test_without_capacity_a_run_is_shed_once_a_slot_and_counted() -> None:
    clock = SimulatedClock()
    lasting = Duration(2 * SECOND)
    sources = {a_check(f"c{number}", timeout=lasting): Hanging(clock) for number in range(30)}
    async with polling(clock, dict(sources), capacity=10) as seen:
        await clock.advance(Duration(20 * SECOND))
        statistics = seen.poller.statistics()
    shed = [outcome for outcome in seen.outcomes if outcome == (Outcome.UNKNOWN, Reason.OVERLOAD)]
    assert statistics.peak == 10
    assert len(shed) == statistics.shed > 0
    assert statistics.started + statistics.shed + statistics.skipped == 30 * 20
    slots = Counter(
        (observed.check, observed.started.ns // SECOND)
        for observed in seen.observed
        if not observed.observation.attempts
    )
    assert set(slots.values()) == {1}


async def test_a_full_inbox_holds_polling_back_and_nothing_piles_up() -> None:
    clock = SimulatedClock()
    room = asyncio.Semaphore(5)
    taken: list[Observed] = []

    async def submit(observed: Observed) -> None:
        await room.acquire()
        taken.append(observed)

    sources: dict[Check, Source | Prompt] = {a_check(f"c{number}"): Probed(clock) for number in range(20)}
    sources[a_check("prompt")] = Answering()
    async with polling(clock, sources, capacity=8, submit=submit) as seen:
        await clock.advance(Duration(10 * SECOND))
        assert len(taken) == 5
        assert seen.poller.statistics().outstanding <= 8
        for _ in range(1000):
            room.release()
        await clock.advance(Duration(3 * SECOND))
        statistics = seen.poller.statistics()
    assert len(taken) == statistics.done + statistics.shed
    assert statistics.peak <= 8
    assert statistics.skipped > 0


async def test_a_timeout_during_our_own_stall_is_no_failure() -> None:
    clock = SimulatedClock()
    sources = {a_check(f"c{number}"): Hanging(clock) for number in range(20)}
    async with polling(clock, dict(sources)) as seen:
        await clock.advance(Duration(900 * MILLISECOND))
        before = len(seen.observed)
        clock.stall(Duration(2 * SECOND))
        await clock.advance(MILLISECOND)
        blamed = seen.outcomes[before:]
        statistics = seen.poller.statistics()
        assert blamed
        assert set(blamed) == {(Outcome.UNKNOWN, Reason.OVERLOAD)}
        assert statistics.excused == len(blamed)
        assert statistics.overran == 0
        await clock.advance(Duration(3 * SECOND))
        assert (Outcome.FAILED, Reason.TIMEOUT) in seen.outcomes[before + len(blamed) :]


@given(stall=some.integers(0, 30), at=some.integers(0, 9))
def test_a_timeout_is_our_own_fault_when_we_stalled_for_half_of_it_or_more(stall: int, at: int) -> None:
    tenth = Duration(100 * MILLISECOND)

    async def scenario() -> None:
        clock = SimulatedClock()
        source = Hanging(clock)
        async with polling(clock, {a_check(every=MINUTE, timeout=SECOND): source}) as seen:
            await begun(source)
            await clock.advance(Duration(at * tenth))
            clock.stall(Duration(stall * tenth))
            await clock.advance(Duration(2 * SECOND))
        # A stall is noticed by a wait that it delays: up to fifty milliseconds of it are not.
        expected = Reason.OVERLOAD if stall > 5 else Reason.TIMEOUT
        assert stall == 5 or seen.observed[0].observation.reason is expected

    asyncio.run(scenario())


async def test_a_busy_loop_gives_a_source_its_chance_before_it_is_cut_off() -> None:
    clock = SimulatedClock()
    source = Probed(clock, lasts=Duration(400 * MILLISECOND))
    async with polling(clock, {a_check(every=MINUTE): source}) as seen:
        await begun(source)
        clock.stall(Duration(5 * SECOND))
        await clock.advance(SECOND)
    assert seen.outcomes == [(Outcome.OK, None)]


async def test_stopping_starts_nothing_more_and_lets_runs_finish_with_their_retries() -> None:
    clock = SimulatedClock()
    source = Probed(clock, REFUSED, OK, lasts=Duration(300 * MILLISECOND))
    async with polling(clock, {a_check(retries=1): source}) as seen:
        await begun(source)
        stopping = asyncio.create_task(seen.poller.stop(deadline_after(clock, Duration(5 * SECOND))))
        await clock.advance(Duration(2 * SECOND))
        assert stopping.done()
        assert seen.running.done()
    assert seen.outcomes == [(Outcome.OK, None)]


@pytest.mark.parametrize("source", [Deaf, Stubborn])
async def test_runs_that_outlive_the_grace_end_as_unknown_by_shutdown(source: type[Probed]) -> None:
    clock = SimulatedClock()
    check = a_check(timeout=MINUTE, retries=2)
    async with polling(clock, {check: source(clock)}) as seen:
        await clock.advance(SECOND)
        stopping = asyncio.create_task(seen.poller.stop(deadline_after(clock, Duration(5 * SECOND))))
        await clock.advance(Duration(5 * SECOND))
        await stopping
        await seen.running
        assert seen.poller.statistics().interrupted == 1
    assert seen.outcomes == [(Outcome.UNKNOWN, Reason.SHUTDOWN)]


async def test_cancelled_polling_takes_its_runs_with_it_and_submits_nothing() -> None:
    clock = SimulatedClock()
    source = Hanging(clock)
    async with polling(clock, {a_check(timeout=MINUTE): source}) as seen:
        await clock.advance(SECOND)
        assert source.going == 1
        seen.running.cancel()
        await clock.settle()
        assert seen.running.cancelled()
    assert (source.going, seen.observed) == (0, [])
    assert seen.poller.statistics().interrupted == 1


async def test_polling_can_run_again_after_it_failed() -> None:
    clock = SimulatedClock()
    observed: list[Observed] = []

    async def submit(what: Observed) -> None:
        if not observed:
            observed.append(what)
            raise LookupError("a defect behind the inbox")
        observed.append(what)

    check = a_check()
    poller = Poller([check], {check.id: Probed(clock)}, clock, submit)
    first = asyncio.create_task(poller.run())
    await clock.advance(SECOND)
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await first
    second = asyncio.create_task(poller.run())
    await clock.advance(Duration(3 * SECOND))
    second.cancel()
    assert len(observed) == 4


async def test_a_replaced_set_of_checks_leaves_the_unchanged_alone() -> None:
    clock = SimulatedClock()
    kept, removed, added = a_check("kept"), a_check("removed", timeout=MINUTE), a_check("added")
    going = {kept.id: Probed(clock), removed.id: Hanging(clock), added.id: Probed(clock)}
    async with polling(clock, {kept: going[kept.id], removed: going[removed.id]}) as seen:
        await clock.advance(Duration(3 * SECOND))
        assert going[removed.id].going == 1
        await seen.poller.replace([kept, added], {name: going[name] for name in (kept.id, added.id)})
        assert going[removed.id].going == 0
        await clock.advance(Duration(3 * SECOND))
        statistics = seen.poller.statistics()
    assert len(going[kept.id].asked) == 6
    assert len(going[added.id].asked) in (2, 3)
    assert (statistics.checks, statistics.cancelled, len(going[removed.id].asked)) == (2, 1, 1)
    assert "removed" not in {observed.check for observed in seen.observed}


async def test_a_changed_check_runs_by_its_new_settings_once_replaced() -> None:
    clock = SimulatedClock()
    before, after = a_check(every=MINUTE), a_check(every=Duration(2 * SECOND))
    source = Probed(clock)
    async with polling(clock, {before: source}) as seen:
        await seen.poller.replace([after], {after.id: source})
        await clock.advance(Duration(20 * SECOND))
    assert len(source.asked) in (9, 10)


async def test_a_single_run_answers_its_caller_alone() -> None:
    clock = SimulatedClock()
    check, prompt, deaf = a_check(retries=1), a_check("prompt"), a_check("deaf")
    poller = Poller(
        [check, prompt, deaf],
        {check.id: Probed(clock, REFUSED, OK), prompt.id: Answering(), deaf.id: Deaf(clock)},
        clock,
        Polling(clock).submit,
    )
    assert len((await poller.run_once(check.id)).attempts) == 2
    assert await poller.run_once(prompt.id) == OK
    async with clock.autojump():
        assert (await poller.run_once(deaf.id)).reason is Reason.INTERNAL_ERROR
    with pytest.raises(NotFound):
        await poller.run_once("shop.nothing")


async def test_a_check_that_a_decision_waits_for_runs_at_once_and_then_at_its_slots() -> None:
    clock = SimulatedClock()
    check, slow = a_check(every=MINUTE), a_check("slow", every=MINUTE)
    source, lasting = Probed(clock), Hanging(clock)
    async with polling(clock, {check: source, slow: lasting}) as seen:
        await clock.advance(Duration(65 * SECOND))
        runs, hanging = len(source.asked), len(lasting.asked)
        seen.poller.hasten([check.id, slow.id, "shop.nothing"])
        seen.poller.hasten([check.id, slow.id])
        await clock.settle()
        assert (len(source.asked), len(lasting.asked)) == (runs + 1, hanging + 1), "one run of a check at a time"
        assert seen.observed[-1].check == "health"
        await clock.advance(MINUTE)
    slots = [at for place, at in enumerate(source.asked) if place != runs]
    assert slots[-1].since(slots[-2]) == MINUTE, "its slots are where they were"


async def test_a_single_run_and_a_slot_never_run_at_once() -> None:
    clock = SimulatedClock()
    check = a_check(timeout=Duration(10 * SECOND))
    source = Probed(clock, lasts=Duration(3 * SECOND))
    async with polling(clock, {check: source}) as seen:
        single = asyncio.create_task(seen.poller.run_once(check.id))
        await clock.advance(Duration(2500 * MILLISECOND))
        with pytest.raises(Conflict):
            await seen.poller.run_once(check.id)
        await clock.advance(SECOND)
        assert (await single).outcome is Outcome.OK
        assert seen.poller.statistics().skipped >= 2
    assert source.most == 1


@given(some.lists(some.integers(0, 3 * SECOND), min_size=1))
def test_quantiles_of_lateness_are_right_within_a_bucket(lates: list[int]) -> None:
    lateness = Lateness()
    for late in lates:
        lateness.record(late)
    seen = lateness.statistics()
    exact = sorted(lates)[max(0, -(-len(lates) // 2) - 1)]
    assert (seen.count, seen.worst) == (len(lates), max(lates))
    assert exact <= seen.median
    assert seen.median <= exact + (1 << 16) or exact >> 16 >= (1 << 14) - 1


async def test_a_poller_that_is_held_back_for_long_shows_that_it_lives_and_goes_on() -> None:
    clock = SimulatedClock()
    beats: list[int] = []
    taken: list[Observed] = []
    room = asyncio.Event()

    async def submit(what: Observed) -> None:
        await room.wait()
        taken.append(what)

    checks = [a_check(f"c{number}") for number in range(3)]
    poller = Poller(checks, {check.id: Answering() for check in checks}, clock, submit)
    running = asyncio.create_task(poller.run(lambda: beats.append(clock.tick().ns)))
    await clock.advance(Duration(2 * SILENT))
    assert taken == []
    room.set()
    await clock.advance(Duration(5 * SECOND))
    assert len(taken) >= 3 * 4
    assert max(later - earlier for earlier, later in pairwise(beats)) < SILENT
    await poller.stop(deadline_after(clock, SECOND))
    await clock.settle()
    assert running.done()
    await running

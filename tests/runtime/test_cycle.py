"""The cycle: one point of admission, one commit per round, and nothing told before it is kept."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from service_monitoring.application import Monitor, Round
from service_monitoring.domain.configuration import ALLOWANCE, Check, Configuration, Service
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    GapBegan,
    Marked,
    MarkKind,
    Observed,
    Pinged,
    Pushed,
    PushedSample,
    Signal,
    Taken,
)
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.schedules import Expectation, Period
from service_monitoring.domain.strategies import Comparison, Operator, Threshold
from service_monitoring.errors import Conflict, Refused, Unavailable
from service_monitoring.ports import Commit, Tick
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.supervise import SILENT
from service_monitoring.testing.builders import a_route
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.stores import MemoryStore

FAILED = Observation(Outcome.FAILED, Reason.CONNECT)
OK = Observation(Outcome.OK)


class SlowStore(MemoryStore):
    """Commits take `takes` of simulated time, and are noted when they are done."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock
        self.takes = Duration(0)
        self.log: list[str] = []

    async def commit(self, commit: Commit) -> None:
        await self._clock.wait_until(self._clock.tick().plus(self.takes))
        await super().commit(commit)
        self.log += [f"committed {notice.page}" for notice in commit.notices]


class House:
    """A cycle with all that it needs, in simulated time."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.store = SlowStore(self.clock)
        self.troubles: list[str] = []
        self.beats: list[Tick] = []
        self.shown: list[tuple[int, Commit]] = []
        self.resumptions = 0
        self.cycle: Cycle
        self.loop: asyncio.Task[None]

    def beat(self) -> None:
        self.beats.append(self.clock.tick())

    def owed(self, notices: Sequence[Notice]) -> None:
        self.store.log += [f"told {notice.page}" for notice in notices]

    def kept(self, judged: Round) -> None:
        """What is shown of a round: how far the store had come by then, and how far the round goes."""
        if judged.commit is not None:
            self.shown.append((len(self.store.commits), judged.commit))

    def begin(self) -> None:
        self.resumptions += 1

    async def see(self, observation: Observation, service: str = "shop") -> None:
        await self.cycle.submit(Observed(service, "page", observation, self.clock.now()))

    async def pass_(self, seconds: float) -> None:
        await self.clock.advance(Duration(round(seconds * SECOND)))

    @property
    def states(self) -> list[State]:
        """What was committed of incidents, in order."""
        records = [record for commit in self.store.commits for _, record in commit.records]
        return [record.incident.state for record in records if isinstance(record, IncidentMoved)]

    @property
    def opened(self) -> IncidentMoved:
        records = [record for commit in self.store.commits for _, record in commit.records]
        return next(r for r in records if isinstance(r, IncidentMoved) and r.incident.state is State.OPEN)


@asynccontextmanager
async def house(*, holds_for: int = 10, capacity: int = 64) -> AsyncIterator[House]:
    """A running cycle that watches one check with the rule `down`."""
    down = Rule(
        "shop",
        "down",
        "page",
        "up",
        Threshold(Comparison(Operator.BELOW, 1.0)),
        Severity.CRITICAL,
        holds_for=Duration(holds_for * SECOND),
    )
    check = Check("shop", "page", "http", Duration(5 * SECOND), Duration(SECOND), Duration(3600 * SECOND))
    configuration = Configuration(
        (Service("shop", checks=(check,), rules=(down,)),), (a_route("all", channels=("hook",)),)
    )
    made = House()
    monitor = await Monitor.resume(made.store)
    made.cycle = Cycle(
        monitor,
        made.clock,
        capacity=capacity,
        owed=made.owed,
        troubled=made.troubles.append,
        follower=made,
    )
    await made.cycle.start(Configured(configuration))
    loop = made.loop = asyncio.get_running_loop().create_task(made.cycle.run(made.beat))
    try:
        yield made
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def test_an_incident_opens_at_its_due_instant_between_two_polls() -> None:
    async with house() as it:
        await it.see(FAILED)
        await it.pass_(11)
        assert it.states == [State.PENDING, State.OPEN]
        assert it.opened.at == it.opened.incident.breached_at.plus(Duration(10 * SECOND))


async def test_nobody_is_told_before_the_commit() -> None:
    async with house(holds_for=0) as it:
        it.store.takes = Duration(200 * MILLISECOND)
        await it.see(FAILED)
        await it.pass_(0.1)
        assert it.store.log == []
        await it.pass_(0.2)
        assert it.store.log == ["committed first", "told first"]


async def test_a_sample_that_arrived_before_a_timer_is_decided_before_it_however_long_the_commit_takes() -> None:
    async with house() as it:
        await it.see(FAILED)
        await it.pass_(9)
        it.store.takes = Duration(3 * SECOND)
        await it.see(FAILED, service="another")
        asking = asyncio.ensure_future(it.cycle.ask(Acted("nothing", Act.RESOLVE, by="ada")))
        await it.cycle.submit(Marked(MarkKind.STARTED))  # this one's commit takes until after the timer was due
        await it.pass_(0.5)
        await it.see(OK)
        await it.pass_(10)
        with pytest.raises(Refused):
            await asking
        assert it.states == [State.PENDING, State.DROPPED]


async def test_a_store_that_cannot_be_written_loses_nothing_and_is_tried_until_it_can() -> None:
    async with house(holds_for=0) as it:
        it.store.outage = "the disk is full"
        await it.see(FAILED)
        await it.pass_(3.5)
        await it.see(OK)
        assert set(it.troubles) == {"the disk is full"}
        assert it.states == []
        it.store.outage = ""
        await it.pass_(1)
        assert it.states == [State.PENDING, State.OPEN, State.RESOLVED]
        assert it.store.log == ["committed first", "told first", "committed recovered", "told recovered"]
        assert it.troubles[-1] == ""


async def test_a_cycle_that_waits_for_the_disk_for_ten_minutes_is_not_taken_to_be_stuck() -> None:
    async with house(holds_for=0) as it:
        it.store.outage = "the disk is full"
        await it.see(FAILED)
        await it.pass_(600)
        it.store.outage = ""
        await it.pass_(2)
        assert max(later.since(earlier) for earlier, later in pairwise(it.beats)) < SILENT
        assert it.states == [State.PENDING, State.OPEN]


async def test_a_full_inbox_holds_its_producers_back_and_refuses_nothing() -> None:
    async with house(capacity=2) as it:
        it.store.outage = "locked"
        producers = [asyncio.ensure_future(it.see(FAILED)) for _ in range(10)]
        await it.pass_(1)
        statistics = it.cycle.statistics()
        assert statistics.length == statistics.capacity == 2
        assert sum(not producer.done() for producer in producers) > 0
        it.store.outage = ""
        await it.pass_(5)
        assert all(producer.done() for producer in producers)
        assert it.cycle.statistics().refused == 0


async def test_a_sign_of_life_does_not_overtake_what_is_still_in_the_inbox() -> None:
    async with house(holds_for=0, capacity=5_000) as it:
        it.store.outage = "locked"
        for _ in range(5_000):
            await it.see(FAILED)
        await it.pass_(20)
        it.store.outage = ""
        await it.see(OK)
        await it.pass_(2)
        assert it.states == [State.PENDING, State.OPEN, State.RESOLVED]
        assert it.cycle.statistics().taken == 5_001


async def test_what_comes_in_as_a_wait_ends_is_decided_before_the_sign_of_life() -> None:
    async with house(holds_for=0) as it:
        await it.pass_(0)
        wake = it.clock.tick().plus(Duration(SECOND))

        async def at_the_last_moment() -> None:
            await it.clock.wait_until(wake)
            await it.see(FAILED)

        producing = [asyncio.ensure_future(at_the_last_moment()) for _ in range(5)]
        await it.pass_(3)
        await asyncio.gather(*producing)
        assert it.states == [State.PENDING, State.OPEN]


async def test_what_a_person_is_told_is_kept_already() -> None:
    async with house(holds_for=0) as it:
        await it.see(FAILED)
        await it.pass_(1)
        incident = it.opened.incident.id
        it.store.takes = Duration(SECOND)
        asking = asyncio.ensure_future(it.cycle.ask(Acted(incident, Act.ACKNOWLEDGE, by="ada")))
        await it.pass_(0.5)
        assert not asking.done()
        await it.pass_(1)
        assert (await asking).refusal == ""
        assert it.states[-1] is State.ACKNOWLEDGED


async def test_a_refused_act_is_answered_with_its_sentence_and_not_recorded() -> None:
    async with house() as it:
        asking = asyncio.ensure_future(it.cycle.ask(Acted("nothing", Act.ACKNOWLEDGE, by="ada")))
        await it.pass_(1)
        with pytest.raises(Refused, match="no incident nothing is open"):
            await asking
        inputs = [
            record.input for commit in it.store.commits for _, record in commit.records if isinstance(record, Admitted)
        ]
        assert not any(isinstance(what, Acted) for what in inputs)


async def test_a_conflict_ends_the_loop_and_the_store_is_the_truth() -> None:
    async with house(holds_for=0) as it:
        await it.see(FAILED)
        await it.pass_(1)
        it.store._versions["shop"] = 99  # somebody else wrote
        loop = asyncio.ensure_future(it.cycle.run(lambda: None))
        await it.see(OK)
        await it.pass_(1)
        results = await asyncio.gather(loop, return_exceptions=True) if loop.done() else [Conflict()]
        assert isinstance(results[0], Conflict)
        assert it.states == [State.PENDING, State.OPEN]


async def test_an_orderly_end_decides_what_came_in_and_leaves_a_mark() -> None:
    async with house(holds_for=0) as it:
        it.store.outage = "not yet"
        await it.see(OK)
        await it.see(FAILED)
        it.store.outage = ""
        await it.cycle.stop()
        await it.pass_(2)
    assert it.states == [State.PENDING, State.OPEN]
    last = it.store.commits[-1].records[-1][1]
    assert isinstance(last, Admitted) and last.input == Marked(MarkKind.STOPPED)
    with pytest.raises(Unavailable):
        await it.see(OK)


async def test_a_wall_clock_set_forward_or_back_opens_nothing_and_keeps_what_has_accrued() -> None:
    for step in (3600, -3600):
        async with house() as it:
            await it.see(FAILED)
            await it.pass_(8)
            it.clock.step(Duration(step * SECOND))
            await it.pass_(1.5)
            assert it.states == [State.PENDING]
            await it.pass_(1)
            assert it.states == [State.PENDING, State.OPEN]


async def test_time_in_which_the_program_stood_still_counts_for_nothing() -> None:
    async with house() as it:
        await it.see(FAILED)
        await it.pass_(8)
        it.clock.stall(Duration(60 * SECOND))
        await it.pass_(1)
        gaps = [
            record.input
            for commit in it.store.commits
            for _, record in commit.records
            if isinstance(record, Admitted) and isinstance(record.input, GapBegan)
        ]
        assert it.states == [State.PENDING]
        assert len(gaps) == 1
        await it.pass_(2)
        assert it.states == [State.PENDING, State.OPEN]


async def test_an_idle_program_leaves_a_sign_of_life_every_five_seconds_and_commits_no_more_than_that() -> None:
    async with house() as it:
        before = len(it.store.commits)
        for _ in range(60):
            await it.pass_(0.5)
            await it.see(OK)
        assert 5 <= len(it.store.commits) - before <= 8


# What arrives by itself -----------------------------------------------------------------------------------------------


async def test_a_push_is_kept_with_its_marks_before_it_is_answered() -> None:
    orders = Check("shop", "orders", "push", Duration(0), Duration(0), Duration(300 * SECOND), allowance=ALLOWANCE)
    async with house() as it:
        await it.cycle.ask(Configured(Configuration((Service("shop", checks=(orders,)),))))
        sample = PushedSample(it.clock.now(), "orders_per_minute", 3.0)
        ruling = await it.cycle.ask(Pushed("shop", "orders", (sample,)))
        assert ruling.taken == (Taken.JUDGED,)
        known = await it.store.pushed(
            "shop", "orders", until=it.cycle.course.progress.judged, since=Instant(0), least=9
        )
        assert [admitted.input for admitted in known] == [Pushed("shop", "orders", (sample,))]


async def test_a_report_is_journalled_and_a_push_is_not() -> None:
    page = Check("shop", "page", "http", Duration(5 * SECOND), Duration(SECOND), Duration(3600 * SECOND))
    orders = Check("shop", "orders", "push", Duration(0), Duration(0), Duration(300 * SECOND), allowance=ALLOWANCE)
    job = Expectation(Period(Duration(3600 * SECOND)), Duration(60 * SECOND))
    backup = Check("shop", "backup", "heartbeat", Duration(0), Duration(0), Duration(0), expects=job)
    shop = Service("shop", checks=(page, orders, backup))
    async with house() as it:
        await it.cycle.ask(Configured(Configuration((shop,))))
        await it.cycle.ask(Pinged("shop", "backup", Signal.START, "run-1"))
        sample = PushedSample(it.clock.now(), "orders_per_minute", 3.0)
        await it.cycle.ask(Pushed("shop", "orders", (sample,)))
        await it.cycle.ask(Marked(MarkKind.ALIVE))
    records = [record for commit in it.store.commits for _, record in commit.records]
    kinds = {type(record.input) for record in records if isinstance(record, Admitted)}
    assert Pinged in kinds
    assert Pushed not in kinds


async def test_nothing_is_shown_before_it_is_kept() -> None:
    async with house(holds_for=0) as it:
        await it.pass_(0)
        before = len(it.shown)
        it.store.outage = "the disk is full"
        await it.see(FAILED)
        await it.pass_(3)
        assert len(it.shown) == before
        it.store.outage = ""
        await it.pass_(2)
        assert [place for place, _ in it.shown] == list(range(1, len(it.store.commits) + 1))
        assert [commit for _, commit in it.shown] == it.store.commits
        assert it.shown[before][1].incidents


async def test_what_was_decided_and_never_kept_is_never_shown_and_who_shows_hears_of_the_new_beginning() -> None:
    async with house(holds_for=0) as it:
        before = len(it.shown)

        async def conflict(commit: Commit) -> None:
            raise Conflict("somebody else wrote")

        commit, it.store.commit = it.store.commit, conflict  # type: ignore[method-assign]  # this store is to fail
        await it.see(FAILED)
        await it.pass_(0)
        with pytest.raises(Conflict):
            await it.loop
        assert (len(it.shown), it.resumptions) == (before, 0)
        it.store.commit = commit  # type: ignore[method-assign]  # and works again
        running = asyncio.get_running_loop().create_task(it.cycle.run(it.beat))
        await it.pass_(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert it.resumptions == 1

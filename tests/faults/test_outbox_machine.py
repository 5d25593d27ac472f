"""The outbox as a machine: committed, sent, silenced, crashed and started in any order, over a real store on a disk.

Time and far sides are simulated, the store is not. What must hold is asked after every step: one key and one body for
every attempt, no more arrivals than ambiguities allow, nothing after the end, nothing lost, and no attempt too soon.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from service_monitoring.domain.course import Progress
from service_monitoring.domain.inputs import Admitted, Delivery, Input, Requeued, Settled, Stamp
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.notices import Held, Notice, Withheld
from service_monitoring.ports import (
    Accepted,
    Answer,
    Commit,
    Deadline,
    Later,
    Message,
    Rejected,
    Settlement,
    Tick,
    Uncertain,
)
from service_monitoring.runtime.deliver import Deliverer, Terms
from service_monitoring.runtime.lanes import Channel
from service_monitoring.runtime.retry import BASE, LONGEST, LONGEST_ASKED
from service_monitoring.storage.folder import FACTS
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.clock import SimulatedClock
from tests.data_folders import with_tables
from tests.runtime.delivering import a_notice

pytestmark = pytest.mark.real_time("a store on a disk is waited for, half a millisecond at a time")

CHANNELS = ("ops", "desk")
HUSH = Held(Withheld.FLAPPING, by="somebody")
ANSWERS = st.sampled_from(["accept", "later", "wish", "reject", "reset", "hang"])


class World:
    """The far sides' ledger, and what is known of every notice. It outlives programs."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.behaviour = dict.fromkeys(CHANNELS, "accept")
        self.silent: set[str] = set()
        self.sends: dict[str, list[Message]] = {}
        self.accepted: Counter[str] = Counter()
        self.ambiguous: Counter[str] = Counter()
        self.ended: dict[str, Delivery] = {}
        self.open_from = dict.fromkeys(CHANNELS, Tick(0))
        self.faults: list[str] = []

    def withheld(self, notice: Notice) -> Held | None:
        return HUSH if notice.channel in self.silent else None


class FarSide:
    def __init__(self, world: World, channel: str) -> None:
        self.world = world
        self.channel = channel

    def render(self, notice: Notice) -> Message:
        return Message(notice.key, notice.thread, "", f"{notice.facts.incident}, {len(self.world.sends)} before it")

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        world, key, now = self.world, message.key, self.world.clock.tick()
        if self.channel in world.silent:
            world.faults.append(f"{key} was sent into the silence")
        if key in world.ended:
            world.faults.append(f"{key} was sent after it was {world.ended[key]}")
        if now < world.open_from[self.channel]:
            world.faults.append(f"{key} was sent before {self.channel} wished for it")
        world.sends.setdefault(key, []).append(message)
        match world.behaviour[self.channel]:
            case "accept":
                world.accepted[key] += 1
                return Accepted()
            case "later":
                return Later("503")
            case "wish":
                world.open_from[self.channel] = now.plus(Duration(40 * SECOND))
                return Later("429", Duration(40 * SECOND))
            case "reject":
                return Rejected("410 Gone")
            case kind:
                world.accepted[key] += 1
                world.ambiguous[key] += 1
                if kind == "hang":
                    await asyncio.Event().wait()
                return Uncertain("reset")


class Busy:
    """A store that counts the calls under way, so that simulated time waits for the disk."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            try:
                return await method(*arguments, **named)
            finally:
                self.calls -= 1

        return call


class Outbox(RuleBasedStateMachine):
    """Rules are what may happen; invariants are S8 to S12, S23 and S24 of the system's own faults."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.data = Path(self.folder.name) / "data"
        self.clock = SimulatedClock()
        self.world = World(self.clock)
        self.numbers = count(1)
        self.committed: dict[str, Notice] = {}
        self.starts: set[int] = set()
        self._do(self._start())

    # What may happen

    @rule(number=st.integers(1, 4), channel=st.sampled_from(CHANNELS), told=st.booleans())
    def decide(self, number: int, channel: str, told: bool) -> None:
        notices = [
            replace(a_notice(next(self.numbers), channel=channel), decided_at=self.clock.now()) for _ in range(number)
        ]
        self.committed.update((notice.key, notice) for notice in notices)
        self._do(self._owe(notices, told=told))

    @rule(channel=st.sampled_from(CHANNELS), answer=ANSWERS)
    def behave(self, channel: str, answer: str) -> None:
        self.world.behaviour[channel] = answer

    @rule(seconds=st.sampled_from([0, 1, 3, 11, 45, 400]))
    def pass_time(self, seconds: int) -> None:
        self._do(self._pass(Duration(seconds * SECOND)))

    @rule(channel=st.sampled_from(CHANNELS))
    def silence(self, channel: str) -> None:
        self.world.silent ^= {channel}

    @rule(turns=st.integers(0, 30), channel=st.sampled_from(CHANNELS))
    def crash(self, turns: int, channel: str) -> None:
        """While a new notice is on its way, and whatever is tried again next."""
        notice = replace(a_notice(next(self.numbers), channel=channel), decided_at=self.clock.now())
        self.committed[notice.key] = notice
        self._do(self._crash(turns, notice))

    @precondition(lambda self: Delivery.PARKED in self.world.ended.values())
    @rule()
    def requeue(self) -> None:
        key = next(key for key, delivery in self.world.ended.items() if delivery is Delivery.PARKED)
        del self.world.ended[key]
        self._do(self._requeue(key))

    # What must hold

    @invariant()
    def nobody_broke_a_law(self) -> None:
        assert self.world.faults == []

    @invariant()
    def every_attempt_has_the_same_bytes(self) -> None:
        assert set(self.world.sends) <= set(self.committed)
        assert all(len(set(messages)) == 1 for messages in self.world.sends.values())

    @invariant()
    def nothing_arrives_more_often_than_ambiguities_allow(self) -> None:
        for key, number in self.world.accepted.items():
            assert number <= 1 + self.world.ambiguous[key], key

    @invariant()
    def nothing_is_lost_and_every_wait_is_within_its_bounds(self) -> None:
        with closing(sqlite3.connect(self.data / FACTS)) as facts:
            states = dict(facts.execute("SELECT key, state FROM notices").fetchall())
            waits = facts.execute(
                "SELECT due_at, (SELECT max(at) FROM deliveries WHERE deliveries.key = notices.key), attempt "
                "FROM notices WHERE state IN ('waiting', 'uncertain')"
            ).fetchall()
        assert set(states) == set(self.committed)
        for key, state in states.items():
            final = self.world.ended.get(key)
            assert state == final or (final is None and state in {"owed", "sending", "waiting", "uncertain"}), key
            assert state != "delivered" or self.world.accepted[key]
        for due_at, at, _ in waits:
            assert due_at in self.starts or BASE <= due_at - at <= max(LONGEST, LONGEST_ASKED)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.world.behaviour = dict.fromkeys(CHANNELS, "accept")
            self.world.silent.clear()
            self._do(self._pass(Duration(12 * MINUTE)))
            self.nobody_broke_a_law()
            assert set(self.world.ended) == set(self.committed), "what was owed is settled once all is well"
        finally:
            self._do(self._end())
            self.loop.close()
            self.folder.cleanup()

    # How

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(what)

    async def _start(self) -> None:
        self.starts.add(self.clock.now().ns)
        self.store = await SqliteStore.open(with_tables(self.data), self.clock, tuning=Tuning(reserve=0))
        self.busy = Busy(self.store)
        stamps = await self.store.load()
        self.stamp = stamps.progress.judged.at if stamps.progress else Instant(0)
        deliverer = Deliverer(
            self.busy,
            self.clock,
            {name: Channel(FarSide(self.world, name), concurrency=2) for name in CHANNELS},
            finish=self._finish,
            dice=lambda: 0.5,
            troubled=lambda sentence: None,
            terms=Terms(capacity=20),
            withheld=self.world.withheld,
        )
        self.deliverer = deliverer
        self.running = asyncio.get_running_loop().create_task(deliverer.run())
        await self._rest()

    async def _finish(self, settled: Settled, settlement: Settlement | None) -> None:
        await self._commit(inputs=[settled], settlements=() if settlement is None else (settlement,))
        if settled.delivery is not Delivery.DELAYED:
            self.world.ended[settled.notice] = settled.delivery

    async def _commit(self, inputs: list[Input] | None = None, **given: Any) -> None:
        self.stamp = max(self.clock.now(), self.stamp.plus(Duration(1)))
        stamp = Stamp(0, self.stamp)
        records = tuple((stamp, Admitted(stamp, what)) for what in inputs or ())
        given = {name: tuple(values) for name, values in given.items()}
        await self.busy.commit(Commit(Progress(stamp), records=records, **given))

    async def _owe(self, notices: list[Notice], *, told: bool) -> None:
        await self._commit(notices=notices)
        if told:
            self.deliverer.wake(notices)
        await self._rest()

    async def _requeue(self, key: str) -> None:
        await self._commit(inputs=[Requeued(key, "ada")], requeued=(key,))
        await self._rest()

    async def _rest(self) -> None:
        """Until neither the loop nor the disk has anything to do."""
        await self.clock.settle()
        while self.busy.calls:
            await asyncio.sleep(0.0005)
            await self.clock.settle()

    async def _pass(self, duration: Duration) -> None:
        target = self.clock.tick().plus(duration)
        await self._rest()
        while (due := self.clock.next_due()) is not None and due <= target:
            self.clock.stall(due.since(self.clock.tick()))
            await self._rest()
        self.clock.stall(target.since(self.clock.tick()))
        await self._rest()

    async def _crash(self, turns: int, notice: Notice) -> None:
        await self._commit(notices=[notice])
        self.deliverer.wake([notice])
        if (due := self.clock.next_due()) is not None:
            self.clock.stall(due.since(self.clock.tick()))
        for _ in range(turns):
            await asyncio.sleep(0.0002)  # the disk has its turns, too
        await self._end()
        with closing(sqlite3.connect(self.data / FACTS)) as facts:
            settled = facts.execute("SELECT key, state FROM notices WHERE settled_at IS NOT NULL").fetchall()
            lost = facts.execute("SELECT key FROM notices WHERE state = 'sending'").fetchall()
        # What was committed just before the end counts, whether or not anybody heard of it.
        self.world.ended.update((key, Delivery(state)) for key, state in settled)
        self.world.ambiguous.update(key for (key,) in lost)
        self.world.open_from = dict.fromkeys(CHANNELS, Tick(0))
        await self._start()

    async def _end(self) -> None:
        for _ in range(2):
            self.running.cancel()
            await self.clock.settle()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.store.close()


Outbox.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestOutbox = Outbox.TestCase

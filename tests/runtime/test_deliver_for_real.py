"""The whole way of a notice, nothing simulated: embedded store, deliverer, webhooks and a server on this machine."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from service_monitoring.domain.course import Progress
from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Commit, Settlement, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.lanes import Channel
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks.webhook import Kind, Options
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.sink_laws import Behaviour, a_notice
from service_monitoring.testing.store_laws import a_stamp
from tests.data_folders import with_tables
from tests.sinks.servers import HttpServer

pytestmark = pytest.mark.real_time("deadlines and sweeps of seconds are armed on the real clock; no test waits for one")

WORLD = Surroundings(SystemClock(), AddressPolicy.allowing(["127.0.0.0/8"]))


class Program:
    """One run of the program, as far as it delivers. `killed` makes it die before the outcome is settled."""

    def __init__(self, store: SqliteStore, deliverer_of: dict[str, Channel], numbers: count[int]) -> None:
        self.store = store
        self.killed = False
        self.outcomes: list[Settled] = []
        self._numbers = numbers
        self.deliverer = Deliverer(
            store, SystemClock(), deliverer_of, finish=self.finish, dice=lambda: 0.01, troubled=print
        )

    async def commit(self, *notices: Notice) -> None:
        await self.store.commit(Commit(Progress(a_stamp(next(self._numbers))), notices=notices))
        self.deliverer.wake(notices)

    async def finish(self, settled: Settled, settlement: Settlement | None) -> None:
        if settlement is not None and not self.killed:
            stamp = a_stamp(next(self._numbers))
            await self.store.commit(Commit(Progress(stamp), settlements=(settlement,)))
            self.outcomes.append(settled)

    async def delivered(self, number: int) -> None:
        while len(self.outcomes) < number:
            await asyncio.sleep(0.002)


class Site:
    """A data folder, a server, and the programs that run one after the other."""

    def __init__(self, folder: Path, server: HttpServer, kind: Kind) -> None:
        self.server = server
        self._folder = folder
        self._kind = kind
        self._numbers = count(1)

    @asynccontextmanager
    async def program(self) -> AsyncIterator[Program]:
        options = Options.model_validate({"webhook": f"http://127.0.0.1:{self.server.port}/"})
        sink = self._kind.open_sink(options, surroundings=WORLD)
        async with await SqliteStore.open(with_tables(self._folder), SystemClock(), tuning=Tuning(reserve=0)) as store:
            program = Program(store, {"ops": Channel(sink)}, self._numbers)
            running = asyncio.create_task(program.deliverer.run())
            await asyncio.sleep(0)
            try:
                yield program
            finally:
                await program.deliverer.stop()
                await running


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    kind = Kind()
    async with HttpServer().listening() as server:
        yield Site(tmp_path / "data", server, kind)
        await kind.close()


async def test_a_committed_notice_reaches_the_server_and_the_outbox_is_empty(site: Site) -> None:
    notices = [a_notice(number) for number in range(50)]
    async with site.program() as program:
        await program.commit(*notices)
        await program.delivered(50)
        assert await program.store.due(100) == []
    assert sorted(received.key for received in site.server.received) == sorted(notice.key for notice in notices)
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in site.server.requests]
    assert {content["summary"] for content in bodies} == {"shop is down: timeout"}


async def test_killed_after_the_server_accepted_it_is_sent_once_more_under_the_same_key(site: Site) -> None:
    notice = a_notice()
    async with site.program() as program:
        program.killed = True
        await program.commit(notice)
        while not site.server.received:
            await asyncio.sleep(0.002)
    async with site.program() as program:
        await program.delivered(1)
        assert await program.store.due(10) == []
    first, second = site.server.received
    assert first == second
    assert first.key == notice.key


async def test_read_and_reset_is_uncertain_in_the_outbox_and_comes_again_under_the_same_key(site: Site) -> None:
    notice = a_notice()
    site.server.behaviour = Behaviour.RESET
    async with site.program() as program:
        await program.commit(notice)
        while not await _waiting(program.store):
            await asyncio.sleep(0.002)
        site.server.behaviour = Behaviour.ACCEPT
        await program.delivered(1)
    assert len(site.server.received) >= 2
    assert {received.key for received in site.server.received} == {notice.key}
    assert len(set(site.server.requests)) == 1


async def test_each_reset_costs_one_duplicate_at_most_and_every_copy_is_the_same(site: Site) -> None:
    """Row 49: a server that reads each notice and resets, then takes what comes again."""
    notices = [a_notice(number) for number in range(8)]
    site.server.resets_new_keys = True
    async with site.program() as program:
        await program.commit(*notices)
        await program.delivered(len(notices))
        assert await program.store.due(100) == []
        (lane,) = program.deliverer.statistics()
        assert (lane.answers["uncertain"], lane.answers["accepted"]) == (len(notices), len(notices))
    assert Counter(received.key for received in site.server.received) == {notice.key: 2 for notice in notices}
    assert Counter(site.server.requests) == dict.fromkeys(site.server.requests, 2)
    assert {settled.delivery for settled in program.outcomes} == {Delivery.DELIVERED}
    assert len(program.outcomes) == len(notices)


async def _waiting(store: SqliteStore) -> bool:
    return any(due.attempt for due in await store.due(10))

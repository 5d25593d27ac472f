"""A program's inside with its board and its feed, served as a whole to whoever is let in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from service_monitoring.access.identity import OWNER, Identity
from service_monitoring.application import Monitor
from service_monitoring.bootstrap import StoreDesk
from service_monitoring.bootstrap.board import StoreBoard
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Configured, Observed
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.strategies import Threshold
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, below
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.arrivals import Receive, Scope, Send
from service_monitoring.web.door import Door
from service_monitoring.web.permitting import ASKED_AGAIN, IDENTITY, Again
from service_monitoring.web.serve import serve_door
from tests.data_folders import with_tables

OK = Observation(Outcome.OK)
FAILED = Observation(Outcome.FAILED, Reason.CONNECT, "nobody <listens> & waits")


def shops(*names: str) -> Configuration:
    """Services that are down at the first failure, and never stale while a test runs."""
    return a_configuration(
        *(
            a_service(
                a_rule("down", Threshold(below(1.0)), service=name, metric="up", severity=Severity.CRITICAL),
                name=name,
                checks=[a_check(service=name, stale_after="1h")],
                labels={"team": f"team-{number % 2}"},
            )
            for number, name in enumerate(names)
        )
    )


class House:
    """What stands behind the address."""

    def __init__(self, store: SqliteStore, monitor: Monitor) -> None:
        self.clock = SystemClock()
        self.store = store
        self.trouble: tuple[str, ...] = ()
        self.board = StoreBoard(store, self.clock, course=lambda: self.cycle.course, trouble=lambda: self.trouble)
        self.cycle = Cycle(
            monitor,
            self.clock,
            capacity=1_000,
            owed=lambda owed: None,
            troubled=lambda sentence: None,
            follower=self.board,
        )
        self.desk = StoreDesk(store, course=lambda: self.cycle.course, ask=self.cycle.ask, clock=self.clock)
        self.identity = OWNER
        self.again: Again | None = None
        self.url = ""

    async def see(self, service: str, observation: Observation) -> None:
        """An observation that is kept when this returns."""
        await self.cycle.ask(Observed(service, "health", observation, self.clock.now()))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something."""
        while not holds():
            await asyncio.sleep(0.005)

    @property
    def app(self) -> Any:
        """Everything, for whoever `identity` is."""
        inside = application(Faces("1", self.desk, board=self.board, live=self.board.feed))

        async def entered(scope: Scope, receive: Receive, send: Send) -> None:
            scope[IDENTITY] = self.identity
            scope[ASKED_AGAIN] = self.again
            await inside(scope, receive, send)

        return entered


@asynccontextmanager
async def a_house(folder: Path, configuration: Configuration) -> AsyncIterator[House]:
    clock = SystemClock()
    async with await SqliteStore.open(with_tables(folder), clock) as store:
        house = House(store, await Monitor.resume(store))
        await house.cycle.start(Configured(configuration))
        house.board.begin()
        door = Door("127.0.0.1", 0).open()
        house.url = f"http://{door.address}"
        running = [
            asyncio.create_task(house.cycle.run(lambda: None)),
            asyncio.create_task(house.board.feed.run(lambda: None)),
            asyncio.create_task(serve_door(house.app, door, lambda: None)),
        ]
        try:
            yield house
        finally:
            await house.board.feed.stop()
            await house.cycle.stop()
            await running[0]
            for task in running[1:]:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def a_reader(name: str = "alice", **more: Any) -> Identity:
    """Somebody who may read and no more."""
    from service_monitoring.access.permissions import OF_ROLE, Role

    return Identity(name, Role.VIEWER, OF_ROLE[Role.VIEWER], "session", **more)

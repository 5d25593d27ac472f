"""A program's inside with its doors open: a store, a cycle, keys, and servers on a socket and on a TCP port."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_monitoring.application import Monitor
from service_monitoring.bootstrap import StoreDesk
from service_monitoring.bootstrap.intake import StoreIntake
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.bootstrap.wiring import new_key
from service_monitoring.domain.configuration import ALLOWANCE, Check, Configuration, Service
from service_monitoring.domain.inputs import Configured, Pinged
from service_monitoring.domain.instants import MINUTE, Duration
from service_monitoring.domain.schedules import Expectation, Period
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.limits import Limits
from service_monitoring.settings import WebSettings
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.faces import Faces
from service_monitoring.web.arrivals import Arrivals
from service_monitoring.web.composing import composed
from service_monitoring.web.door import Door
from service_monitoring.web.serve import serve, serve_door
from tests.data_folders import with_tables
from tests.web.served import for_the_owner

NEVER = Duration(0)
HOURLY = Expectation(Period(Duration(60 * MINUTE)), MINUTE)
CONFIGURATION = Configuration(
    (
        Service(
            "shop",
            checks=(
                Check("shop", "backup", "heartbeat", NEVER, NEVER, NEVER, expects=HOURLY),
                Check("shop", "tidy", "heartbeat", NEVER, NEVER, NEVER, expects=HOURLY),
                Check("shop", "orders", "push", NEVER, NEVER, Duration(5 * MINUTE), allowance=ALLOWANCE),
                Check("shop", "health", "http", Duration(MINUTE), MINUTE, Duration(5 * MINUTE)),
            ),
        ),
    )
)


class Inside:
    """What stands behind the doors."""

    def __init__(self, store: SqliteStore, monitor: Monitor, keyring: Keyring, limits: Limits | None) -> None:
        self.clock = SystemClock()
        self.store = store
        self.troubles: list[str] = []
        self.cycle = Cycle(monitor, self.clock, capacity=1_000, owed=lambda owed: None, troubled=self.troubles.append)
        self.vitals: dict[str, Any] = {"trouble": ()}
        self.desk = StoreDesk(
            store,
            course=lambda: self.cycle.course,
            ask=self.cycle.ask,
            vitals=lambda: self.vitals,
            keyring=keyring,
        )
        self.intake = StoreIntake(
            keyring, self.clock, course=lambda: self.cycle.course, ask=self.cycle.ask, limits=limits
        )

    async def reports(self) -> list[Pinged]:
        """Every report that was journalled, in order."""
        return [each.input async for each in self.store.inputs() if isinstance(each.input, Pinged)]


@asynccontextmanager
async def lived_in(folder: Path, limits: Limits | None = None) -> AsyncIterator[Inside]:
    clock = SystemClock()
    async with await SqliteStore.open(with_tables(folder), clock) as store:
        keyring = await Keyring(store, clock, new_key).load()
        inside = Inside(store, await Monitor.resume(store), keyring, limits)
        await inside.cycle.start(Configured(CONFIGURATION))
        running = asyncio.create_task(inside.cycle.run(lambda: None))
        try:
            yield inside
        finally:
            await inside.cycle.stop()
            await running


@asynccontextmanager
async def the_door(inside: Inside) -> AsyncIterator[str]:
    """The TCP address, open; its URL."""
    door = Door("127.0.0.1", 0).open()
    url = f"http://{door.address}"
    faces = Faces("1", inside.desk, inside.intake)
    app = composed(faces, WebSettings("127.0.0.1", 0), csrf="of the process")
    serving = asyncio.create_task(serve_door(app, door, lambda: None))
    try:
        yield url
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    async with lived_in(tmp_path / "data") as inside:
        yield inside


@pytest.fixture
def door() -> Iterator[Path]:
    """A path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        yield Path(folder) / "control.sock"


@pytest.fixture(params=["tcp", "socket"])
async def visitor(request: pytest.FixtureRequest, inside: Inside, door: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of what arrives by itself, over TCP and over the socket."""
    async with AsyncExitStack() as stack:
        if request.param == "tcp":
            url = await stack.enter_async_context(the_door(inside))
            yield await stack.enter_async_context(aiohttp.ClientSession(url))
            return
        app = Arrivals(inside.intake, for_the_owner(inside.desk))
        serving = asyncio.create_task(serve(app, door, lambda: None))
        try:
            while not door.exists():
                await asyncio.sleep(0.005)
            connector = aiohttp.UnixConnector(path=str(door))
            yield await stack.enter_async_context(aiohttp.ClientSession("http://monitor", connector=connector))
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

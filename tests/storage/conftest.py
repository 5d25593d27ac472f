"""Stores in folders of their own, closed when a test ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.clock import SimulatedClock
from tests.data_folders import with_tables

Open = Callable[..., Awaitable[SqliteStore]]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def opened(folder: Path, clock: SimulatedClock) -> AsyncIterator[Open]:
    """Opens stores that are closed when the test ends."""
    async with AsyncExitStack() as stack:

        async def open_store(where: Path = folder, tuning: Tuning | None = None) -> SqliteStore:
            store = await SqliteStore.open(where, clock, tuning=tuning or Tuning(reserve=0))
            stack.push_async_callback(store.close)
            return store

        yield open_store


@pytest.fixture
async def store(opened: Open, folder: Path) -> SqliteStore:
    return await opened(with_tables(folder))

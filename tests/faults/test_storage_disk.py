"""A full disk (row 24) and a lock held by another program (row 25) under the embedded store."""

import asyncio
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service_monitoring.domain.inputs import Stamp
from service_monitoring.errors import Unavailable
from service_monitoring.storage.files import connect
from service_monitoring.storage.folder import FACTS, RESERVE
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.store_laws import START, a_commit, a_notice, an_incident, an_observation
from tests.faults.disks import a_lock_holder, a_small_disk, held, integrity, let_go

ROOM = 2 * 1024 * 1024


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two mebibytes, in memory."""
    with a_small_disk(tmp_path / "disk", ROOM) as disk:
        yield disk


async def fill(store: SqliteStore, number: int) -> int:
    """Commit notices from `number` on until the disk is full; the first that was not stored."""
    for each in range(number, number + 5_000):
        try:
            await store.commit(a_commit(each, notices=[a_notice(an_incident(each))]))
        except Unavailable:
            return each
    raise AssertionError("the disk never became full")


async def test_on_a_full_disk_reads_go_on_the_reserve_takes_the_alert_and_writing_resumes(
    small_disk: Path, stack: AsyncExitStack
) -> None:
    folder, ballast = small_disk / "data", small_disk / "ballast"
    store = await SqliteStore.open(folder, SimulatedClock(), tuning=Tuning(reserve=128 * 1024))
    stack.push_async_callback(store.close)
    await store.record([an_observation(1)])
    ballast.write_bytes(bytes(512 * 1024))
    stored = await fill(store, 1)
    assert stored > 20
    assert not store.health().reserve_kept
    assert not (folder / RESERVE).exists()
    assert len(await store.due(10_000)) == stored - 1
    assert await store.beyond(Stamp(0, START)) == [an_observation(1)]

    await store.commit(a_commit(stored, notices=[a_notice(an_incident(stored), channel="self")]))
    stored = await fill(store, stored + 1)
    assert len(await store.due(10_000)) == stored - 1

    ballast.unlink()
    await store.commit(a_commit(stored, notices=[a_notice(an_incident(stored))]))
    assert len(await store.due(10_000)) == stored
    await store.close()
    assert integrity(folder / FACTS) == "ok"


async def test_the_reserve_is_taken_back_when_there_is_room(small_disk: Path, stack: AsyncExitStack) -> None:
    folder, ballast = small_disk / "data", small_disk / "ballast"
    store = await SqliteStore.open(folder, SimulatedClock(), tuning=Tuning(reserve=64 * 1024))
    stack.push_async_callback(store.close)
    ballast.write_bytes(bytes(1024 * 1024))
    stored = await fill(store, 1)
    assert not (folder / RESERVE).exists()
    ballast.unlink()
    await store.commit(a_commit(stored))
    assert store.health().reserve_kept
    assert (folder / RESERVE).stat().st_size == 64 * 1024


async def test_a_file_that_may_not_grow_refuses_writes_whole_and_resumes(tmp_path: Path, stack: AsyncExitStack) -> None:
    made: list[sqlite3.Connection] = []

    def limited(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        if path.name == FACTS:
            connection.execute("PRAGMA max_page_count=120")
            made.append(connection)
        return connection

    store = await SqliteStore.open(tmp_path / "data", SimulatedClock(), tuning=Tuning(reserve=0, connect=limited))
    stack.push_async_callback(store.close)
    stored = await fill(store, 0)
    late = a_commit(stored, versions=[("shop", 0)], notices=[a_notice(an_incident(stored))])
    with pytest.raises(Unavailable, match="the disk is full"):
        await store.commit(late)
    assert (await store.load()).versions == {}
    assert len(await store.due(10_000)) == stored
    made[0].execute("PRAGMA max_page_count=100000")
    await store.commit(late)
    assert (await store.load()).versions == {"shop": 1}
    assert len(await store.due(10_000)) == stored + 1


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds the lock of the facts until it reads a line."""
    with a_lock_holder(tmp_path / "data" / FACTS) as process:
        yield process


@pytest.fixture
async def impatient(tmp_path: Path, stack: AsyncExitStack) -> SqliteStore:
    """A store that waits for a lock for milliseconds only."""
    tuning = Tuning(reserve=0, busy_milliseconds=20)
    store = await SqliteStore.open(tmp_path / "data", SimulatedClock(), tuning=tuning)
    stack.push_async_callback(store.close)
    return store


@pytest.fixture
async def patient(tmp_path: Path, stack: AsyncExitStack) -> SqliteStore:
    """A store that waits as long as it does by default."""
    store = await SqliteStore.open(tmp_path / "data", SimulatedClock(), tuning=Tuning(reserve=0))
    stack.push_async_callback(store.close)
    return store


async def test_a_lock_held_too_long_is_unavailable_and_changes_nothing(
    impatient: SqliteStore, locked: subprocess.Popen[str]
) -> None:
    held(locked)
    commit = a_commit(1, versions=[("shop", 0)], notices=[a_notice(an_incident())])
    with pytest.raises(Unavailable, match="another program holds the lock"):
        await impatient.commit(commit)
    await impatient.record([an_observation(1)])
    assert await impatient.due(10) == []
    let_go(locked)
    locked.wait(10)
    await impatient.commit(commit)
    assert (await impatient.load()).versions == {"shop": 1}
    assert len(await impatient.due(10)) == 1


async def test_commits_wait_for_a_lock_and_none_is_lost(patient: SqliteStore, locked: subprocess.Popen[str]) -> None:
    held(locked)
    incidents = [an_incident(number) for number in range(20)]
    commits = [
        asyncio.ensure_future(patient.commit(a_commit(number, notices=[a_notice(incident)])))
        for number, incident in enumerate(incidents)
    ]
    await asyncio.sleep(0.05)
    assert not any(commit.done() for commit in commits)
    let_go(locked)
    await asyncio.gather(*commits)
    assert len(await patient.due(100)) == 20

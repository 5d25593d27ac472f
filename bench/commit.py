"""Facts with the notices that they cause, durable before anybody is told: our store against bare SQLite.

A fact is an event in the journal; each has its notice in the outbox, in the same transaction. `synchronous=FULL`
everywhere, 100 writers. The anchors write the same bytes into a journal and an outbox of their own: one transaction a
fact over sqlite3 and over aiosqlite, and, as the limit of what can be had, finished rows in groups by executemany.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import aiosqlite

from service_monitoring.domain.course import Progress
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import Cause, Move, move
from service_monitoring.domain.inputs import Admitted
from service_monitoring.domain.samples import Measurement
from service_monitoring.ports import Commit
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.files import connect, prepare_writer
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.store_laws import a_notice, a_stamp, an_incident, an_observation
from service_monitoring.wire.codec import encode

WRITERS: Final = 100
REPEATS: Final = 3

Round = Callable[[Path], Coroutine[Any, Any, tuple[int, float, float]]]


def rounds(facts: int) -> Callable[[int, int], Commit]:
    """Makes the commits of one writer, each with so many facts and notices; prepared before the clock runs."""

    def made(writer: int, number: int) -> Commit:
        stamp = a_stamp(number)
        events, notices = [], []
        for each in range(facts):
            opened = move(
                an_incident(number * facts + each, service=f"s{writer}"), Move.OPEN, at=stamp.at, cause=Cause.TIMER
            )
            events.append(IncidentMoved(stamp.at, stamp.at, opened))
            notices.append(a_notice(opened))
        return Commit(
            progress=Progress(stamp),
            records=tuple((stamp, event) for event in events),
            versions=((f"s{writer}", number),),
            incidents=tuple(event.incident for event in events) if facts > 1 else (),
            notices=tuple(notices),
        )

    return made


def ours(facts: int, count: int) -> Round:
    """Our store: every writer awaits its commit before the next."""

    async def run(folder: Path) -> tuple[int, float, float]:
        make = rounds(facts)
        prepared = [[make(writer, number) for number in range(count)] for writer in range(WRITERS)]
        store = await SqliteStore.open(folder, SystemClock())

        async def write(commits: list[Commit]) -> None:
            for commit in commits:
                await store.commit(commit)

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(write(commits) for commits in prepared))
        took, used = time.perf_counter() - began, time.process_time() - cpu
        await store.close()
        return WRITERS * count * facts, took, used

    return run


def samples(batch: int, measurements: int = 6) -> Round:
    """Our store's other hot path: observations with their samples (`synchronous=NORMAL`)."""

    async def run(folder: Path) -> tuple[int, float, float]:
        count = 20_000 // batch
        measured = [Measurement(f"phase_{place}_seconds", 0.01 * place) for place in range(measurements)]
        prepared: list[list[Admitted]] = [
            [
                an_observation(number * batch + each, service=f"s{each % 500}", measurements=measured)
                for each in range(batch)
            ]
            for number in range(count)
        ]
        store = await SqliteStore.open(folder, SystemClock())
        began, cpu = time.perf_counter(), time.process_time()
        for part in prepared:
            await store.record(part)
        took, used = time.perf_counter() - began, time.process_time() - cpu
        await store.close()
        return count * batch, took, used

    return run


TABLES: Final = """
CREATE TABLE journal (position INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE outbox (key TEXT PRIMARY KEY, state TEXT NOT NULL, body BLOB NOT NULL);
"""
FACT: Final = "INSERT INTO journal (at, body) VALUES (?, ?)"
NOTICE: Final = "INSERT INTO outbox (key, state, body) VALUES (?, 'owed', ?)"


def rows(count: int) -> list[tuple[int, bytes, str, bytes]]:
    """Finished rows of as many facts, as our store would write them."""
    made = rounds(1)
    found = []
    for number in range(count):
        commit = made(number % WRITERS, number)
        (notice,) = commit.notices
        (stamp, event) = commit.records[0]
        found.append((stamp.at.ns, encode(event), notice.key, encode(notice)))
    return found


def bare(path: Path) -> sqlite3.Connection:
    """A connection with our pragmas and the anchors' tables."""
    connection = connect(path)
    prepare_writer(connection, synchronous="FULL")
    connection.executescript(TABLES)
    return connection


async def one_by_one(folder: Path) -> tuple[int, float, float]:
    """sqlite3, one transaction a fact."""
    connection, given = bare(folder / "anchor.db"), rows(4_000)
    began, cpu = time.perf_counter(), time.process_time()
    for at, event, key, notice in given:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(FACT, (at, event))
        connection.execute(NOTICE, (key, notice))
        connection.execute("COMMIT")
    took, used = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    return len(given), took, used


async def over_aiosqlite(folder: Path) -> tuple[int, float, float]:
    """aiosqlite, 100 writers on its one connection, one transaction a fact."""
    bare(folder / "anchor.db").close()
    given = rows(2_000)
    lock = asyncio.Lock()
    async with aiosqlite.connect(folder / "anchor.db", isolation_level=None) as connection:
        await connection.execute("PRAGMA synchronous=FULL")

        async def write(part: list[tuple[int, bytes, str, bytes]]) -> None:
            for at, event, key, notice in part:
                async with lock:
                    await connection.execute("BEGIN IMMEDIATE")
                    await connection.execute(FACT, (at, event))
                    await connection.execute(NOTICE, (key, notice))
                    await connection.execute("COMMIT")

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(write(given[writer::WRITERS]) for writer in range(WRITERS)))
        took, used = time.perf_counter() - began, time.process_time() - cpu
    return len(given), took, used


async def the_limit(folder: Path) -> tuple[int, float, float]:
    """sqlite3, finished rows, 100 facts a transaction by executemany, nobody waiting."""
    connection, given = bare(folder / "anchor.db"), rows(20_000)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(given), WRITERS):
        part = given[start : start + WRITERS]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(FACT, [(at, event) for at, event, _, _ in part])
        connection.executemany(NOTICE, [(key, notice) for _, _, key, notice in part])
        connection.execute("COMMIT")
    took, used = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    return len(given), took, used


@contextlib.asynccontextmanager
async def a_folder() -> AsyncIterator[Path]:
    """A folder on the disk of this checkout: /tmp may be memory, where a sync costs nothing."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".commit-") as folder:
        yield Path(folder)


async def compare() -> None:
    """Measure all in turn, several times, so that what else the machine does meets each of them alike."""
    candidates: dict[str, Round] = {
        "sqlite3, one transaction a fact": one_by_one,
        "aiosqlite, one transaction a fact": over_aiosqlite,
        "limit: finished rows, executemany": the_limit,
        "ours, 100 writers, 1 fact a commit": ours(1, 200),
        "ours, 100 writers, 10 facts a commit": ours(10, 20),
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for _ in range(REPEATS):
        for name, run in candidates.items():
            results[name].append(await measured(run))
    print(f"{'facts with their notices, FULL':40} {'facts/s':>10} {'CPU us/fact':>12} {'ratio':>7} {'of limit':>9}")
    rates = {name: statistics.median(rate for rate, _ in found) for name, found in results.items()}
    first, limit = rates["sqlite3, one transaction a fact"], rates["limit: finished rows, executemany"]
    for name, found in results.items():
        cost = statistics.median(cost for _, cost in found)
        rate = rates[name]
        print(f"{name:40} {rate:10,.0f} {cost:12.1f} {rate / first:7.1f} {rate / limit:9.2f}")
    rate, cost = await measured(samples(100))
    print(f"{'observations with 7 samples, 100 a call':40} {rate:10,.0f} {cost:12.1f}")


async def measured(run: Round) -> tuple[float, float]:
    """Facts a second, and microseconds of CPU a fact, both threads of the program included."""
    async with a_folder() as folder:
        facts, took, used = await run(folder)
    return facts / took, used / facts * 1e6


def main() -> None:
    """Run it."""
    asyncio.run(compare())


if __name__ == "__main__":
    main()

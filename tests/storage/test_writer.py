"""Group commit: one fails alone, a cancelled one is whole or nothing, waiting is bounded."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from service_monitoring.domain.inputs import Act, Acted, Admitted
from service_monitoring.errors import Conflict, Refused
from service_monitoring.storage.files import connect
from service_monitoring.storage.operations import Operation, in_savepoint
from service_monitoring.storage.rows import Insert
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.storage.writer import Writer
from service_monitoring.testing.store_laws import a_commit, a_notice, a_stamp, an_incident, an_observation
from tests.storage.conftest import Open


class Put:
    """Write a number, then refuse, break or wait, as asked."""

    def __init__(self, number: int, failure: Exception | None = None, gate: threading.Event | None = None) -> None:
        self._number = number
        self._failure = failure
        self._gate = gate

    def run(self, connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (self._number,))
        if self._gate is not None:
            assert self._gate.wait(10)
        if self._failure is not None:
            raise self._failure
        return self._number


class OneByOne:
    """The plainest batch."""

    def __init__(self) -> None:
        self.undoings = 0

    def prepare(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> None:
        pass

    def run(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
        return [in_savepoint(connection, operation) for operation in operations]

    def done(self) -> None:
        pass

    def undone(self) -> None:
        self.undoings += 1


def a_writer(path: Path, *, capacity: int = 100) -> tuple[Writer, OneByOne]:
    connection = connect(path)
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    batch = OneByOne()
    return Writer(path, connection, batch, capacity=capacity), batch


def numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]
    finally:
        connection.close()


async def test_waiting_operations_are_written_in_one_transaction(tmp_path: Path) -> None:
    writer, _ = a_writer(tmp_path / "db")
    gate = threading.Event()
    first = asyncio.ensure_future(writer.write(Put(0, gate=gate)))
    rest = [asyncio.ensure_future(writer.write(Put(number))) for number in range(1, 50)]
    await asyncio.sleep(0.01)
    gate.set()
    assert await asyncio.gather(first, *rest) == list(range(50))
    assert writer.statistics().groups <= 3
    assert writer.statistics().operations == 50
    await writer.close()


async def test_an_operation_that_refuses_is_undone_alone(tmp_path: Path) -> None:
    writer, batch = a_writer(tmp_path / "db")
    gate = threading.Event()
    writes = [writer.write(Put(0, gate=gate)), writer.write(Put(1, Conflict("stale"))), writer.write(Put(2))]
    gate.set()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [int, Conflict, int]
    await writer.close()
    assert numbers(tmp_path / "db") == [0, 2]
    assert batch.undoings == 0


async def test_a_defect_in_one_operation_does_not_harm_its_neighbours_nor_the_writer(tmp_path: Path) -> None:
    writer, batch = a_writer(tmp_path / "db")
    gate = threading.Event()
    first = asyncio.ensure_future(writer.write(Put(0, gate=gate)))
    await asyncio.sleep(0.01)
    others = [writer.write(Put(1, ZeroDivisionError("a defect"))), writer.write(Put(2)), writer.write(Put(3))]
    waiting = asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)
    gate.set()
    assert await first == 0
    assert [type(result) for result in await waiting] == [ZeroDivisionError, int, int]
    assert await writer.write(Put(4)) == 4
    await writer.close()
    assert numbers(tmp_path / "db") == [0, 2, 3, 4]
    assert batch.undoings == 2


async def test_an_operation_cancelled_while_it_waits_is_not_written(tmp_path: Path) -> None:
    writer, _ = a_writer(tmp_path / "db")
    gate = threading.Event()
    first = asyncio.ensure_future(writer.write(Put(0, gate=gate)))
    await asyncio.sleep(0.01)
    second = asyncio.ensure_future(writer.write(Put(1)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    await first
    await writer.close()
    assert numbers(tmp_path / "db") == [0]


async def test_no_more_operations_wait_than_there_are_places(tmp_path: Path) -> None:
    writer, _ = a_writer(tmp_path / "db", capacity=5)
    gate = threading.Event()
    writes = [asyncio.ensure_future(writer.write(Put(number, gate=gate))) for number in range(20)]
    await asyncio.sleep(0.01)
    assert writer.statistics().waiting <= writer.statistics().capacity == 5
    gate.set()
    assert await asyncio.gather(*writes) == list(range(20))
    await writer.close()


async def test_closing_writes_what_is_waiting(tmp_path: Path) -> None:
    writer, _ = a_writer(tmp_path / "db")
    gate = threading.Event()
    writes = [asyncio.ensure_future(writer.write(Put(number, gate=gate))) for number in range(5)]
    await asyncio.sleep(0)
    gate.set()
    await writer.close()
    assert await asyncio.gather(*writes) == list(range(5))
    assert numbers(tmp_path / "db") == list(range(5))


async def test_a_text_that_cannot_be_stored_refuses_its_commit_alone(store: SqliteStore) -> None:
    bad = a_commit(1, versions=[("shop", 0)])
    acted = Acted("0123", Act.RESOLVE, "ada", "\udc80")
    bad = replace(bad, records=((a_stamp(1), Admitted(a_stamp(1), acted)),))
    results = await asyncio.gather(
        *(store.commit(commit) for commit in (a_commit(1, versions=[("a", 0)]), bad, a_commit(1, versions=[("b", 0)]))),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["NoneType", "Refused", "NoneType"]
    assert (await store.load()).versions == {"a": 1, "b": 1}
    await store.commit(a_commit(2, versions=[("shop", 0)]))


async def test_progress_never_goes_back(store: SqliteStore) -> None:
    await store.commit(a_commit(5))
    await store.commit(a_commit(3, versions=[("shop", 0)]))
    stored = await store.load()
    assert stored.progress is not None
    assert stored.progress.judged == a_stamp(5)
    assert stored.versions == {"shop": 1}


async def test_only_what_was_measured_is_recorded(store: SqliteStore) -> None:
    act = Admitted(a_stamp(1), Acted("0123", Act.RESOLVE, "ada"))
    with pytest.raises(Refused, match="only what was measured"):
        await store.record([an_observation(1), act])
    assert await store.beyond(a_stamp(0)) == []
    await store.record([an_observation(1)])
    assert await store.beyond(a_stamp(0)) == [an_observation(1)]


async def test_a_failed_record_leaves_no_number_behind(opened: Open, folder: Path) -> None:
    made: list[sqlite3.Connection] = []

    def kept(path: Path) -> sqlite3.Connection:
        made.append(connect(path))
        return made[-1]

    store = await opened(tuning=Tuning(reserve=0, connect=kept))
    samples = made[1]
    samples.execute("CREATE TEMP TRIGGER fail BEFORE INSERT ON observations BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(Refused):
        await store.record([an_observation(1)])
    samples.execute("DROP TRIGGER fail")
    await store.record([an_observation(2)])
    await store.close()
    again = await opened()
    assert await again.beyond(a_stamp(0)) == [an_observation(2)]


@pytest.mark.parametrize("count", [0, 1, 2_000, 4_001])
def test_many_rows_go_down_in_few_statements(count: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    Insert("pairs", ("a", "b")).run(connection, [number for each in range(count) for number in (each, -each)])
    connection.set_trace_callback(None)
    assert sum("INSERT" in statement for statement in statements) == -(-count // 2_000)
    rows = connection.execute("SELECT a, b FROM pairs ORDER BY a").fetchall()
    connection.close()
    assert rows == [(each, -each) for each in range(count)]


async def test_a_notice_that_no_record_names_is_journalled_with_its_commit(store: SqliteStore) -> None:
    notice = a_notice(an_incident())
    await store.commit(replace(a_commit(1), notices=(notice,)))
    assert [each async for each in store.decisions()] == [notice]
    assert (await store.due(1))[0].notice == notice

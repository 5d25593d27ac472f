"""The one writer of a file: a thread that takes all that is waiting, writes it in one transaction, and syncs once.

Owns the writing connection, the order of operations and the group commit. Knows no table: an operation brings its
statements. Every transaction is `BEGIN IMMEDIATE`: one that reads first and asks for the lock later fails at once,
whatever the busy timeout says.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from service_monitoring.errors import MonitoringError, Unavailable, Unusable
from service_monitoring.storage.failures import busy, fatal, full, translated
from service_monitoring.storage.operations import Batch, Operation

T = TypeVar("T")

CAPACITY: Final = 1_000
"""Operations that wait at most; a caller beyond that waits for a place."""

_GROUP: Final = 500
_ATTEMPTS: Final = 3


class _Waiting(Generic[T]):
    __slots__ = ("future", "operation")

    def __init__(self, operation: Operation[T], future: asyncio.Future[T]) -> None:
        self.operation = operation
        self.future = future


class Statistics(Struct, frozen=True):
    """What the writer did since it was opened. `waiting` and `capacity` are operations."""

    waiting: int
    capacity: int
    groups: int
    operations: int
    failures: int


class Writer:
    """Group commit over one connection. `write` belongs to one event loop; everything else to the thread.

    A caller that is cancelled leaves its operation whole or undone, never half. After a failure of the device
    (`Unusable`) nothing is acknowledged any more.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        batch: Batch,
        *,
        capacity: int = CAPACITY,
        on_full: Callable[[], None] = lambda: None,
        on_success: Callable[[], None] = lambda: None,
        on_broken: Callable[[Unusable], None] = lambda failure: None,
    ) -> None:
        """`on_full` and `on_success` are called in the thread, `on_broken` in the loop, before a caller hears of it."""
        self._path = path
        self._connection = connection
        self._batch = batch
        self._capacity = capacity
        self._places = asyncio.Semaphore(capacity)
        self._on_full = on_full
        self._on_success = on_success
        self._on_broken = on_broken
        self._queue: deque[_Waiting[Any]] = deque()
        self._awake = threading.Condition()
        self._closing = False
        self._broken: Unusable | None = None
        self._groups = self._operations = self._failures = 0
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[T]) -> T:
        """Wait until the operation is durable; its result, or its error.

        `Unavailable`: disk full, locked by another, or closing; nothing was stored. `Unusable`: the device failed.
        """
        async with self._places:
            future: asyncio.Future[T] = self._loop.create_future()
            with self._awake:
                if self._broken is not None:
                    raise _again(self._broken)
                if self._closing:
                    raise Unavailable(f"{self._path} is closed")
                self._queue.append(_Waiting(operation, future))
                if len(self._queue) == 1:
                    self._awake.notify()
            return await future

    def statistics(self) -> Statistics:
        """Counters for `status` and `/metrics`."""
        return Statistics(len(self._queue), self._capacity, self._groups, self._operations, self._failures)

    async def close(self) -> None:
        """Write what is waiting, then end the thread and close the connection. May be called twice."""
        with self._awake:
            self._closing = True
            self._awake.notify()
        await asyncio.shield(self._loop.run_in_executor(None, self._thread.join))

    # In the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while group := self._next():
                answers = self._answers([waiting.operation for waiting in group])
                self._operations += len(group)
                self._in_loop(_resolve, group, answers)
        finally:
            self._connection.close()

    def _next(self) -> list[_Waiting[Any]]:
        with self._awake:
            while True:
                while not self._queue and not self._closing:
                    self._awake.wait()
                taken = [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP))]
                group = [waiting for waiting in taken if not waiting.future.cancelled()]
                if group or not taken:
                    return group

    def _answers(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        if self._broken is not None:
            return [_again(self._broken) for _ in operations]
        try:
            answers = self._transaction(operations)
        except (Unavailable, Unusable) as error:
            return [_again(error) for _ in operations]
        except Exception as error:  # noqa: BLE001  a value that cannot be stored, or a defect: it must not hang its caller
            if len(operations) == 1:
                return [error]
            # One of them is to blame; the others are not to suffer for it.
            return [answer for operation in operations for answer in self._answers([operation])]
        self._on_success()
        return answers

    def _transaction(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._attempt(operations)
            except sqlite3.Error as error:
                self._failures += 1
                again = busy(error) or (full(error) and attempt == 1 and self._emptied())
                if again and attempt < _ATTEMPTS:
                    continue
                if full(error):
                    self._on_full()
                failure = translated(error, self._path)
                if fatal(error) and isinstance(failure, Unusable):
                    self._broken = failure
                    self._in_loop(self._on_broken, failure)
                raise failure from error
        raise AssertionError("the last attempt returns or raises")

    def _emptied(self) -> bool:
        """Give the disk back what the write-ahead log holds; whether that could be done."""
        try:
            (blocked, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        return not blocked

    def _attempt(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        connection = self._connection
        self._batch.prepare(connection, operations)
        connection.execute("BEGIN IMMEDIATE")
        try:
            answers = self._batch.run(connection, operations)
            connection.execute("COMMIT")
        except BaseException:
            self._batch.undone()
            # SQLite has rolled back by itself after some errors; a device that fails may refuse this, too.
            if connection.in_transaction:
                try:
                    connection.execute("ROLLBACK")
                except sqlite3.Error:
                    self._failures += 1
            raise
        self._batch.done()
        self._groups += 1
        return answers

    def _in_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        # When the loop has ended, so have its callers: nobody waits for an answer.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)


def _again(error: MonitoringError) -> MonitoringError:
    """The same error for another caller: each has a traceback of its own."""
    return type(error)(*error.args)


def _resolve(group: Sequence[_Waiting[Any]], answers: Sequence[Any]) -> None:
    for waiting, answer in zip(group, answers, strict=True):
        if waiting.future.done():
            continue
        if isinstance(answer, BaseException):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)

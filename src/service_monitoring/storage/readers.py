"""Readers of one file: a few connections that cannot write, each read in a thread and bounded in time.

A read sees what was committed when it began, and ends after five seconds at the latest: a longer one would keep the
write-ahead log from being emptied.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Clock
from service_monitoring.storage.failures import translated
from service_monitoring.storage.files import connect_reader

T = TypeVar("T")

BOUND: Final = Duration(5 * SECOND)
_CONNECTIONS: Final = 2
_INSTRUCTIONS: Final = 200_000
"""How many instructions of SQLite's machine pass between two looks at the clock: about ten milliseconds."""


class Readers:
    """A bounded set of reading connections. `read` belongs to one event loop; the clock is asked from threads."""

    def __init__(self, path: Path, clock: Clock, *, bound: Duration = BOUND, instructions: int = _INSTRUCTIONS) -> None:
        self._path = path
        self._clock = clock
        self._bound = bound
        self._instructions = instructions
        self._closed = False
        self._free: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._connections = [connect_reader(path) for _ in range(_CONNECTIONS)]
        for connection in self._connections:
            self._free.put(connection)
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix=f"reader of {path.name}")

    async def read(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `what`, which runs in a thread within one transaction.

        `Unavailable` when it took too long, or after `close`. Cancelled, the thread goes on to its bound and its
        result is dropped.
        """
        if self._closed:
            raise Unavailable(f"{self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_here, what)

    def read_here(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """The same in the caller's thread: blocks."""
        connection = self._free.get()
        try:
            until = self._clock.tick().plus(self._bound)
            connection.set_progress_handler(lambda: until < self._clock.tick(), self._instructions)
            connection.execute("BEGIN")
            try:
                return what(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            connection.set_progress_handler(None, 0)
            self._free.put(connection)

    def close(self) -> None:
        """Wait for reads that are under way, then close. Blocks."""
        self._closed = True
        self._threads.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

"""Tallies: least, mean and greatest value of each series in each ten minutes, so that a chart of months comes at once.

A view of `samples.db` in a file of its own: it holds a cursor, takes in what came behind it, piece by piece, and may be
thrown away at any time. Reading 90 days of a series that is measured every five seconds takes two seconds from samples,
and ten milliseconds from here. Owns `tallies.db`; never writes to another file, and no backup holds it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from service_monitoring.domain.inputs import Taken
from service_monitoring.domain.instants import MINUTE, Instant
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Clock
from service_monitoring.storage.failures import fatal, translated
from service_monitoring.storage.files import BUSY_MILLISECONDS, connect
from service_monitoring.storage.folder import SAMPLES, make_file
from service_monitoring.storage.readers import Readers

T = TypeVar("T")

TALLIES: Final = "tallies.db"
WIDTH: Final = 10 * MINUTE
"""How long one tally is, in nanoseconds."""

_VERSION: Final = 1
_PIECE: Final = 200_000
"""Rows of one piece: about a quarter of a second."""
_SERIES_AT_ONCE: Final = 2_000
_SETTLED: Final = MINUTE
"""Records of the last minute may still be joined by one that is older than they are."""

_TABLES: Final = f"""
CREATE TABLE tallies (
    series_id INTEGER NOT NULL, at INTEGER NOT NULL, count INTEGER NOT NULL, least REAL NOT NULL, total REAL NOT NULL,
    greatest REAL NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (series_id, at)
) WITHOUT ROWID;
CREATE TABLE reached (
    source TEXT PRIMARY KEY, epoch INTEGER NOT NULL, at INTEGER NOT NULL, series INTEGER NOT NULL, named TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_NAMED: Final = (
    "SELECT series.id, checks.service || ' ' || checks.name || ' ' || metric || ' ' || labels FROM source.series "
    "JOIN source.checks ON checks.id = check_id"
)


class Source(NamedTuple):
    """A table of samples, which column has their own instant, and which of its rows count."""

    table: str
    at: str
    kept: str


MEASURED: Final = Source("samples", "at", "1")
PUSHED: Final = Source("pushed", "measured_at", f"mark = '{Taken.JUDGED}'")


class Reached(NamedTuple):
    """Up to which stamp of a source everything is tallied."""

    epoch: int = -1
    at: int = 0


class Tally(NamedTuple):
    """Values of a stretch of one series: how many, and which. `first` and `last` are instants of samples (ns)."""

    place: int
    number: int
    least: float
    total: float
    greatest: float
    first: int
    last: int


class Tallies:
    """The tallies of one data folder. Belongs to one event loop; one piece at a time, in a thread of its own.

    The file is made with the first piece. One that is damaged, or belongs to other samples, is begun anew.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / TALLIES
        self._samples = folder / SAMPLES
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._readers: Readers | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tallies")
        self._closed = False

    async def further(self) -> bool:
        """Take in one piece; whether there is more. `Unavailable` where it cannot be kept now, or after `close`."""
        return await self._in_thread(_further)

    async def forget(self, before: Instant) -> None:
        """Let go of what is older. Without a file there is nothing."""
        if self._connection is None and not self._path.exists():
            return
        after = 0
        while after >= 0:
            after = await self._in_thread(partial(_forget, before=before.ns, after=after))

    async def read(
        self, source: Source, series: int, within: tuple[int, int], width: int
    ) -> tuple[Reached, list[Tally]]:
        """How far the source is tallied, and a series in [first, last) by stretches of `width`, some `WIDTH`s."""
        if self._readers is None:
            return Reached(), []
        return await self._readers.read(lambda one: (_reached(one, source), _read(one, series, within, width)))

    def close(self) -> None:
        """Wait for what is under way, then close. Blocks."""
        self._closed = True
        self._thread.shutdown(wait=True)
        if self._readers is not None:
            self._readers.close()
        if self._connection is not None:
            self._connection.close()

    async def _in_thread(self, what: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise Unavailable(f"{self._path} is closed")
        answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._do, what)
        if self._readers is None:
            self._readers = Readers(self._path, self._clock)
        return answer

    def _do(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """Within one transaction."""
        try:
            if self._connection is None:
                self._connection = _opened(self._path, self._samples)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                answer = what(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        return answer


def _opened(path: Path, samples: Path) -> sqlite3.Connection:
    """The file, with the samples beside it to be read; begun anew where it is of no use."""
    make_file(path)
    try:
        connection = _attached(path, samples)
        if _fits(connection):
            return connection
        connection.close()
    except sqlite3.Error as error:
        if not fatal(error):
            raise
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        each.unlink(missing_ok=True)
    make_file(path)
    connection = _attached(path, samples)
    connection.executescript(_TABLES)
    return connection


def _attached(path: Path, samples: Path) -> sqlite3.Connection:
    connection = connect(path)
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("ATTACH ? AS source", (f"{samples.absolute().as_uri()}?mode=ro",))
    return connection


def _fits(connection: sqlite3.Connection) -> bool:
    """Whether the tables are those of this version, and were made of these samples."""
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        return False
    for table, epoch, at, series, named in connection.execute("SELECT * FROM reached").fetchall():
        newest = _newest(connection, table)
        found = connection.execute(f"{_NAMED} WHERE series.id = ?", (series,)).fetchone()
        if (newest is not None and newest < (epoch, at)) or (series and (found is None or found[1] != named)):
            return False
    return True


def _further(connection: sqlite3.Connection) -> bool:
    more = [_taken(connection, source) for source in (MEASURED, PUSHED)]
    return any(more)


def _taken(connection: sqlite3.Connection, source: Source) -> bool:
    """One piece of a source; stamps are never split. Whether there is more."""
    begun = _reached(connection, source)
    last = _newest(connection, source.table)
    if last is None:
        return False
    settled = (last[0], last[1] - _SETTLED)
    piece = connection.execute(
        f"SELECT epoch, at FROM source.{source.table} WHERE (epoch, at) > (?, ?) ORDER BY epoch, at LIMIT 1 OFFSET ?",
        (*begun, _PIECE),
    ).fetchone()
    until = settled if piece is None else min(piece, settled)
    if until <= begun:
        return False
    connection.execute(
        f"INSERT INTO tallies SELECT series_id, {source.at} - {source.at} % {WIDTH} AS place, count(*), min(value), "
        f"total(value), max(value), min({source.at}), max({source.at}) FROM source.{source.table} "
        f"WHERE (epoch, at) > (?, ?) AND (epoch, at) <= (?, ?) AND {source.kept} GROUP BY series_id, place "
        "ON CONFLICT DO UPDATE SET count = count + excluded.count, least = min(least, excluded.least), "
        "total = total + excluded.total, greatest = max(greatest, excluded.greatest), "
        "first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)",
        (*begun, *until),
    )
    named = connection.execute(f"{_NAMED} ORDER BY series.id DESC LIMIT 1").fetchone() or (0, "")
    connection.execute(
        "INSERT OR REPLACE INTO reached VALUES (?, ?, ?, ?, ?)", (source.table, until[0], until[1], *named)
    )
    return piece is not None and piece < settled


def _newest(connection: sqlite3.Connection, table: str) -> tuple[int, int] | None:
    row = connection.execute(f"SELECT epoch, at FROM source.{table} ORDER BY epoch DESC, at DESC LIMIT 1").fetchone()
    return None if row is None else (row[0], row[1])


def _reached(connection: sqlite3.Connection, source: Source) -> Reached:
    row = connection.execute("SELECT epoch, at FROM reached WHERE source = ?", (source.table,)).fetchone()
    return Reached() if row is None else Reached(*row)


def _read(connection: sqlite3.Connection, series: int, within: tuple[int, int], width: int) -> list[Tally]:
    rows = connection.execute(
        f"SELECT at / {width} * {width} AS place, sum(count), min(least), total(total), max(greatest), min(first_at), "
        "max(last_at) FROM tallies WHERE series_id = ? AND at >= ? AND at < ? GROUP BY place ORDER BY place",
        (series, *within),
    ).fetchall()
    return [Tally(*row) for row in rows]


def _forget(connection: sqlite3.Connection, before: int, after: int) -> int:
    """Of the next series; the last of them, below 0 where there are no more."""
    rows = connection.execute(
        "SELECT id FROM source.series WHERE id > ? ORDER BY id LIMIT ?", (after, _SERIES_AT_ONCE)
    ).fetchall()
    connection.executemany(
        "DELETE FROM tallies WHERE series_id = ? AND at < ?", [(number, before - WIDTH) for (number,) in rows]
    )
    return int(rows[-1][0]) if len(rows) == _SERIES_AT_ONCE else -1

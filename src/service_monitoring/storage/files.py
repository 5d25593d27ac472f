"""One SQLite file: how it is opened, and what is asked of it before anything is written.

Knows pragmas and paths. Knows no statement on a table.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, Literal

from service_monitoring.errors import Unusable
from service_monitoring.storage.failures import RESTORE, translated

Synchronous = Literal["FULL", "NORMAL"]

BUSY_MILLISECONDS: Final = 5_000
WAL_BYTES: Final = 64 * 1024 * 1024
CHECKED_BYTES: Final = 128 * 1024 * 1024
"""A file above this is not checked at the start: that would take longer than a start may."""

_STATEMENTS: Final = 48
_CHECKPOINT_PAGES: Final = 8_000
"""32 MiB: keys are hashes, so a small log would carry the same pages to the file again and again."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection without transactions of its own making, for the one thread that uses it at a time."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS)


def prepare_writer(connection: sqlite3.Connection, *, synchronous: Synchronous, busy: int = BUSY_MILLISECONDS) -> None:
    """WAL; `FULL` syncs every commit, `NORMAL` (a power loss may take the last ones) every checkpoint."""
    connection.execute(f"PRAGMA busy_timeout={busy}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    connection.execute("PRAGMA cache_size=-16000")


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = connect(path)
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA query_only=1")
    return connection


def look(path: Path) -> str | None:
    """The version of the schema in the file, if there is one, found without writing a byte.

    `Unusable` when the file is damaged or is no database.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    # Without a write-ahead log beside it nobody else has it open: then not even the shared-memory file is made.
    how = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
        try:
            if path.stat().st_size <= CHECKED_BYTES:
                _check(connection, path)
            named = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if named else None
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return None if row is None else str(row[0])


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    if found != ["ok"]:
        first = found[0].splitlines()[-1] if found else "no answer"
        raise Unusable(f"{path}: the file is damaged ({first}); nothing was changed; {RESTORE}")

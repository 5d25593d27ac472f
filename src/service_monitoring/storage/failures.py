"""What SQLite's errors mean to a caller: the one place that translates them.

Full and busy pass; a device that fails, or a damaged file, does not: after a failed sync nobody knows which pages
are on the disk, so a writer must not go on acknowledging.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from service_monitoring.errors import MonitoringError, Refused, Unavailable, Unusable

RESTORE = "restore the newest backup into an empty folder: service-monitoring restore FILE"


def primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code; SQLITE_ERROR where the driver itself complains."""
    return (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF


def full(error: BaseException) -> bool:
    """Whether the disk is full. Where the memory that readers share cannot grow, SQLite calls that a failed disk."""
    return isinstance(error, sqlite3.Error) and (
        primary(error) == sqlite3.SQLITE_FULL
        or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE
    )


def busy(error: BaseException) -> bool:
    """Whether another program holds the lock."""
    return isinstance(error, sqlite3.Error) and primary(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def fatal(error: BaseException) -> bool:
    """Whether nothing written from now on could be trusted."""
    return isinstance(error, sqlite3.Error) and primary(error) in {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }


def translated(error: sqlite3.Error, path: Path) -> MonitoringError:
    """The error of ours that says what a caller can do."""
    if full(error):
        return Unavailable(f"{path}: the disk is full; nothing was stored, and storing resumes when there is room")
    if busy(error):
        return Unavailable(f"{path}: another program holds the lock for too long; try again when it has ended")
    if primary(error) == sqlite3.SQLITE_INTERRUPT:
        return Unavailable(f"{path}: reading took too long and was given up; ask for less")
    if primary(error) == sqlite3.SQLITE_IOERR:
        return Unusable(f"{path}: the disk failed ({error}); start again on a sound disk, or {RESTORE}")
    if fatal(error):
        return Unusable(f"{path}: the file is damaged ({error}); {RESTORE}")
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return Refused(f"{path}: a value cannot be stored ({error})")
    return Unavailable(f"{path}: {error}")

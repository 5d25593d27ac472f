"""The data folder: whose it is, who may use it now, and the room it keeps in reserve.

Owner-only, used by one program at a time (an exclusive lock that ends with the process, however that ends). Knows the
names of the files; knows no table.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from service_monitoring.errors import InUse, Refused, Unavailable, Unusable

FACTS: Final = "facts.db"
SAMPLES: Final = "samples.db"
LOCK: Final = "lock"
RESERVE: Final = "reserve"
SHORTEST_SECRET: Final = 32
"""Bytes of a secret that is kept here."""

Connect = Callable[[Path], sqlite3.Connection]
"""Opens a database file for writing; handed in, so that a test can put a failing disk underneath."""


def make(folder: Path) -> None:
    """Make the folder, for its owner only; one that is empty, or ours already, is closed to others."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        inside = {entry.name for entry in os.scandir(folder)}
        if not inside or FACTS in inside:
            folder.chmod(0o700)
    except NotADirectoryError as error:
        raise Refused(f"{folder} is not a folder: name another one at store.path") from error
    except OSError as error:
        raise Refused(
            f"the data folder {folder} cannot be used ({error.strerror}): name another at store.path"
        ) from error


def make_file(path: Path) -> None:
    """Make the file, for its owner only, unless it is there; what SQLite puts beside it gets the same rights."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Unavailable(f"{path} cannot be made ({error.strerror})") from error


def kept_secret(path: Path, make_secret: Callable[[], str]) -> bytes:
    """A secret that is made once and kept in a file, for its owner only. The caller holds the lock of the folder.

    `Unusable` where the file holds something else, `Unavailable` where it cannot be read or made.
    """
    try:
        if not path.exists():
            aside = path.with_suffix(".partial")
            aside.unlink(missing_ok=True)
            descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(make_secret())
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        path.chmod(0o600)
        kept = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path} cannot be read or made ({error.strerror})") from error
    if len(kept) < SHORTEST_SECRET:
        raise Unusable(f"{path} is damaged: remove it, and what it sealed before opens nothing any more")
    return kept


class Lock:
    """The right to use a folder, from `take` to `release`; it ends with the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take it; `InUse`, naming the process, when another program uses the folder."""
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise InUse(
                f"the data folder {self._path.parent} is in use by the process {holder}: "
                "stop that one, or name another folder at store.path"
            ) from None
        # A full disk must not keep a program from starting: the number is for people only.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; the file stays, for removing it could take away another's lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Reserve:
    """Room on the disk that is given up when the disk is full, so that what must be told of it can still be stored.

    Any thread: samples come before the facts that they decide, so either writer may be the one that needs it.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / RESERVE
        self._size = size
        self._turn = threading.Lock()
        self.kept = False

    def keep(self) -> None:
        """Take the room (back), when at least twice as much stays free; otherwise another time."""
        if self.kept:
            return
        with self._turn, contextlib.suppress(OSError):
            space = os.statvfs(self._path.parent)
            if self._size <= 0 or space.f_bavail * space.f_frsize < 3 * self._size:
                return
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
            self.kept = True

    def give_up(self) -> None:
        """Free the room."""
        with self._turn, contextlib.suppress(OSError):
            self.kept = False
            self._path.unlink(missing_ok=True)

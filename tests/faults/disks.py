"""Disks that a test has power over: a small one, one that loses power or fails, and another program that locks a file.

Knows mounts, bytes and syncs, no table.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw
import pytest

T = TypeVar("T")

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


@contextmanager
def a_small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of `size` bytes, in memory; the test is skipped where that cannot be had."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def a_lock_holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that takes the lock of a database, and holds it until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        if process.poll() is None:
            process.communicate("\n", timeout=10)


def held(process: subprocess.Popen[str]) -> None:
    """It has the lock when this returns."""
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"


def let_go(process: subprocess.Popen[str]) -> None:
    """It is told to give the lock back."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def integrity(path: Path) -> str:
    """What the check of a database says: `ok`."""
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


class Moment:
    """What the disk holds for certain when the power goes, and what was on its way; `acknowledged` was promised."""

    def __init__(self, durable: dict[str, bytes], under_way: list[tuple[str, int, bytes]], acknowledged: int) -> None:
        self.durable = durable
        self.under_way = under_way
        self.acknowledged = acknowledged

    def wake(self, folder: Path, dice: random.Random | None = None) -> None:
        """Write what is found after the power returns; with dice, some of what was under way arrived, in any order."""
        folder.mkdir()
        files = {name: bytearray(content) for name, content in self.durable.items()}
        for name, offset, content in self.under_way if dice else ():
            assert dice is not None
            if name in files and dice.random() < 0.5:
                file = files[name]
                file.extend(bytes(max(0, offset + len(content) - len(file))))
                file[offset : offset + len(content)] = content
        for name, file in files.items():
            (folder / name).write_bytes(file)


class Disk(apsw.VFS):
    """Passes everything on to the real file system, and notes at each sync what would survive.

    `failing` makes every later sync an input/output error.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.moments: list[Moment] = []
        self.acknowledged = 0
        self.failing = False
        self._durable: dict[str, bytes] = {}
        self._under_way: list[tuple[str, int, bytes]] = []

    def holds(self, path: Path) -> None:
        """The file was synced before."""
        self._durable[path.name] = path.read_bytes()

    def moment(self) -> Moment:
        """What would be found if the power went now."""
        return Moment(dict(self._durable), list(self._under_way), self.acknowledged)

    def synced(self, path: str) -> None:
        self.moments.append(self.moment())
        if self.failing:
            raise apsw.IOError("fsync failed")
        name = Path(path).name
        self._durable[name] = Path(path).read_bytes()
        self._under_way = [entry for entry in self._under_way if entry[0] != name]

    def wrote(self, path: str, offset: int, content: bytes) -> None:
        self._under_way.append((Path(path).name, offset, content))

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802  the name is apsw's
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802  the name is apsw's
        super().xDelete(filename, syncdir)
        self._durable.pop(Path(filename).name, None)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._path = name.filename() if hasattr(name, "filename") else str(name)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  the name is apsw's
        super().xWrite(data, offset)
        self._disk.wrote(self._path, offset, bytes(data))

    def xSync(self, flags: int) -> None:  # noqa: N802  the name is apsw's
        self._disk.synced(self._path)
        super().xSync(flags)


class Connection:
    """As much of `sqlite3.Connection` as a writer needs, over apsw. Locks exclusively: a `Disk` shares no memory."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._connection = apsw.Connection(os.fspath(path), vfs=disk.name)
        self.execute("PRAGMA locking_mode=EXCLUSIVE")

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, given: Sequence[Any] = ()) -> Cursor:
        return _translated(lambda: Cursor(self._connection, self._connection.execute(sql, tuple(given))))

    def close(self) -> None:
        _translated(self._connection.close)


class Cursor:
    """As much of `sqlite3.Cursor`."""

    def __init__(self, connection: apsw.Connection, cursor: apsw.Cursor) -> None:
        self._rows = cursor.fetchall()
        self.rowcount = connection.changes()

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not self._rows:
            raise StopIteration
        return self._rows.pop(0)


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except apsw.Error as error:
        foreign = sqlite3.OperationalError(str(error))
        # An error that our disk raised itself carries no code: there is but one kind.
        foreign.sqlite_errorcode = getattr(error, "extendedresult", sqlite3.SQLITE_IOERR)
        raise foreign from error

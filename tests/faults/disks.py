"""A file system under SQLite that loses power, or fails, when a test says so. Knows bytes and syncs, no table."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

T = TypeVar("T")


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

"""Many rows in one statement.

The driver lets go of the interpreter lock around every step of a statement; with a busy event loop beside it, getting
the lock back takes up to five milliseconds. `executemany` pays that for each row (measured: 5,000 rows a second instead
of 340,000), a statement of several hundred rows pays it once. So rows travel flat, in one list of parameters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

_PARAMETERS: Final = 4_000
"""The most parameters in a statement; SQLite since 3.32 takes 32,766."""


class Insert:
    """`INSERT` of rows of `width` columns; `after` is what follows the values, such as an `ON CONFLICT` clause."""

    __slots__ = ("_after", "_into", "_row", "_rows", "width")

    def __init__(self, table: str, columns: tuple[str, ...], *, after: str = "") -> None:
        self.width = len(columns)
        self._into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        self._row = f"({','.join('?' * self.width)})"
        self._after = f" {after}" if after else ""
        self._rows = _PARAMETERS // self.width

    def run(self, connection: sqlite3.Connection, flat: Sequence[Any]) -> None:
        """Insert the rows that `flat` holds one after another."""
        step = self._rows * self.width
        for start in range(0, len(flat), step):
            part = flat if len(flat) <= step else flat[start : start + step]
            connection.execute(_statement(self._into, self._row, len(part) // self.width, self._after), part)


@lru_cache(maxsize=512)
def _statement(into: str, row: str, count: int, after: str) -> str:
    return into + ",".join([row] * count) + after


def marks(count: int) -> str:
    """`?,?,?` for an `IN` list."""
    return ",".join("?" * count)


def tuples(count: int, width: int) -> str:
    """`(?,?),(?,?)` for a `VALUES` list."""
    return ",".join([f"({marks(width)})"] * count)

"""Operations: what may be written to a file, one by one or many at once.

Knows a connection and its savepoints. Does not know who runs them, nor in which thread (`writer`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from service_monitoring.errors import MonitoringError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Operation(Protocol[T_co]):
    """One thing to be written whole. Run in the writer's thread, inside a savepoint of its own."""

    def run(self, connection: sqlite3.Connection) -> T_co:
        """Write it. Any error leaves nothing of this operation behind."""
        ...


class Batch(Protocol):
    """A file's own way of writing many operations at once; also told what became of them."""

    def prepare(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> None:
        """What must be set before the transaction of these begins."""
        ...

    def run(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Results in the order of the operations; an exception in place of a result refuses that operation alone.

        What it raises itself undoes the whole transaction.
        """
        ...

    def done(self) -> None:
        """The transaction is durable."""
        ...

    def undone(self) -> None:
        """The transaction was rolled back: forget what was thought to be written."""
        ...


def in_savepoint(connection: sqlite3.Connection, operation: Operation[T]) -> T | MonitoringError:
    """Run one operation; what it refuses is undone and given back, what the device refuses is raised."""
    connection.execute("SAVEPOINT operation")
    try:
        result = operation.run(connection)
    except MonitoringError as error:
        connection.execute("ROLLBACK TO operation")
        connection.execute("RELEASE operation")
        return error
    connection.execute("RELEASE operation")
    return result

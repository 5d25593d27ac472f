"""Keys and reports in `facts.db`: who may send to which check, as hashes, and what was sent.

A key itself is never here. Knows tables; knows no clock, and does not decide which key is good.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.inputs import Pinged, Signal, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Refused
from service_monitoring.ports import Enclosed, Ping


class Purpose(StrEnum):
    """What a key opens."""

    PING = "ping"
    PUSH = "push"


class Key(Struct, frozen=True):
    """A key by its hash (SHA-256, hexadecimal). Past `expires_at` it opens nothing."""

    hash: str
    service: str
    check: str
    purpose: Purpose
    made_at: Instant
    expires_at: Instant | None = None


class Replace:
    """Put a key in the place of those that its check has; these open nothing from `until` on."""

    def __init__(self, key: Key, until: Instant, *, had: Sequence[str]) -> None:
        """`had` are the hashes of the keys that it was decided upon; `Refused` when these are others by now."""
        self._key = key
        self._until = until
        self._had = set(had)

    def run(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        key = self._key
        rows = connection.execute(
            "SELECT hash FROM keys WHERE service = ? AND check_name = ?", (key.service, key.check)
        ).fetchall()
        if {row[0] for row in rows} != self._had:
            raise Refused(f"the keys of {key.service}.{key.check} were changed meanwhile: look again")
        connection.execute(
            "UPDATE keys SET expires_at = min(coalesce(expires_at, ?), ?) WHERE service = ? AND check_name = ?",
            (self._until.ns, self._until.ns, key.service, key.check),
        )
        connection.execute("DELETE FROM keys WHERE expires_at <= ?", (key.made_at.ns,))
        connection.execute(
            "INSERT INTO keys (hash, service, check_name, purpose, made_at, expires_at) VALUES (?, ?, ?, ?, ?, NULL)",
            (key.hash, key.service, key.check, key.purpose.value, key.made_at.ns),
        )


class Revoke:
    """Forget all keys of a check."""

    def __init__(self, service: str, check: str) -> None:
        self._check = (service, check)

    def run(self, connection: sqlite3.Connection) -> int:
        """How many there were."""
        return connection.execute("DELETE FROM keys WHERE service = ? AND check_name = ?", self._check).rowcount


_COLUMNS: Final = "epoch, at, signal, run, exit_code, cut, body"


def all_keys(connection: sqlite3.Connection) -> list[Key]:
    """All keys, by service and check, the oldest first."""
    rows = connection.execute(
        "SELECT hash, service, check_name, purpose, made_at, expires_at FROM keys "
        "ORDER BY service, check_name, made_at, hash"
    ).fetchall()
    return [
        Key(digest, service, check, Purpose(purpose), Instant(made_at), None if until is None else Instant(until))
        for digest, service, check, purpose, made_at, until in rows
    ]


def pings(connection: sqlite3.Connection, service: str, check: str, limit: int) -> list[Ping]:
    """The newest reports of a check, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM pings WHERE service = ? AND check_name = ? ORDER BY position DESC LIMIT ?",
        (service, check, limit),
    ).fetchall()
    return [
        Ping(
            Stamp(epoch, Instant(at)),
            Pinged(service, check, Signal(signal), run, exit_code),
            Enclosed(body, bool(cut)),
        )
        for epoch, at, signal, run, exit_code, cut, body in rows
    ]

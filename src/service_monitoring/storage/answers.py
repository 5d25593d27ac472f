"""Answers in `facts.db`: what was answered under the keys of senders; statements alone.

Knows the table. What an answer consists of, and what a key goes by, are bytes and a digest here.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import DAY, Instant

KEPT: Final = DAY
"""How long an act with a key of its sender's is answered the same."""
_NONE_YET: Final = 0


class Found(Struct, frozen=True):
    """What there is under a key: a digest of what was asked, and the answer, None where there is none yet."""

    request: str
    answer: bytes | None


class Begin:
    """Put a key down as begun, unless it is there already."""

    def __init__(self, key: str, request: str, at: Instant) -> None:
        self._key = key
        self._request = request
        self._at = at

    def run(self, connection: sqlite3.Connection) -> Found | None:
        """What was there already."""
        connection.execute("DELETE FROM answers WHERE hash = ? AND made_at <= ?", (self._key, self._at.ns - KEPT))
        row = connection.execute("SELECT request, status, body FROM answers WHERE hash = ?", (self._key,)).fetchone()
        if row is not None:
            request, status, body = row
            return Found(request, None if status == _NONE_YET else body)
        connection.execute(
            "INSERT INTO answers (hash, request, status, body, made_at) VALUES (?, ?, ?, ?, ?)",
            (self._key, self._request, _NONE_YET, b"", self._at.ns),
        )
        return None


class End:
    """Keep the answer under a key that was begun."""

    def __init__(self, key: str, status: int, answer: bytes) -> None:
        self._key = key
        self._status = status
        self._answer = answer

    def run(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        connection.execute(
            "UPDATE answers SET status = ?, body = ? WHERE hash = ?", (self._status, self._answer, self._key)
        )


class Forget:
    """Let a key be used anew that was begun and came to nothing."""

    def __init__(self, key: str) -> None:
        self._key = key

    def run(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        connection.execute("DELETE FROM answers WHERE hash = ? AND status = ?", (self._key, _NONE_YET))

"""The outbox in `facts.db`: what is due, leases with their tokens, and how they end.

A row's `due_at` alone says whether it may be claimed: it is empty while the notice is held, being sent or settled. Each
claim raises the token; an end under an older token changes nothing. Knows no sink and no retry rule.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Due, Lease, Message, Settlement
from service_monitoring.storage.rows import Insert, tuples
from service_monitoring.wire.codec import decode, encode

_DELIVERIES: Final = Insert(
    "deliveries", ("key", "token", "attempt", "outcome", "detail", "at"), after="ON CONFLICT (key, token) DO NOTHING"
)
_CHUNK: Final = 500
# Each claim raises the token and each end is logged: a claim without an end was lost with its program.
_UNCERTAIN: Final = (
    "CASE WHEN token = 0 THEN 0 ELSE token > (SELECT count(*) FROM deliveries WHERE deliveries.key = notices.key) "
    "OR EXISTS (SELECT 1 FROM deliveries WHERE deliveries.key = notices.key AND outcome = 'uncertain') END"
)
_REPORTED: Final = (
    "EXISTS (SELECT 1 FROM journal AS outcome "
    "WHERE outcome.subject = notices.key AND outcome.subject <> '' AND outcome.kind = 'settled')"
)


class Claim:
    """Take leases on notices, with the messages that are to be sent."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    def run(self, connection: sqlite3.Connection) -> list[Lease]:
        """Leases in the order of the messages, without those that cannot be had."""
        taken: dict[str, Lease] = {}
        for start in range(0, len(self._messages), _CHUNK):
            part = self._messages[start : start + _CHUNK]
            rows = connection.execute(
                f"WITH wanted(key, message) AS (VALUES {tuples(len(part), 2)}) "
                "UPDATE notices SET token = token + 1, attempt = attempt + 1, state = 'sending', due_at = NULL, "
                "message = coalesce(notices.message, wanted.message) FROM wanted "
                "WHERE notices.key = wanted.key AND notices.due_at IS NOT NULL "
                "RETURNING notices.key, token, attempt, message",
                [value for message in part for value in (message.key, encode(message))],
            ).fetchall()
            taken.update((key, Lease(key, token, attempt, decode(Message, body))) for key, token, attempt, body in rows)
        return [taken.pop(message.key) for message in self._messages if message.key in taken]


class Settle:
    """Store how leases ended."""

    def __init__(self, settlements: Sequence[Settlement]) -> None:
        self._settlements = settlements

    def run(self, connection: sqlite3.Connection) -> int:
        """The number that an older token made void."""
        return settle(connection, self._settlements)


def settle(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> int:
    """Store the ends of leases, each in the log of deliveries; the number that changed nothing for an older token."""
    void = 0
    log: list[Any] = []
    for each in settlements:
        state, due_at, settled_at = _after(each)
        row = connection.execute(
            "UPDATE notices SET state = ?, due_at = ?, settled_at = ? "
            "WHERE key = ? AND token = ? AND state = 'sending' RETURNING attempt",
            (state, due_at, settled_at, each.key, each.token),
        ).fetchall()
        void += not row
        outcome = each.status if row else f"void {each.status}"
        log += (each.key, each.token, row[0][0] if row else each.token, outcome, each.detail, each.at.ns)
    _DELIVERIES.run(connection, log)
    return void


def _after(settlement: Settlement) -> tuple[str, int | None, int | None]:
    """State, due instant and settled instant after an end."""
    if settlement.retry_at is None:
        return settlement.status, None, settlement.at.ns
    return "uncertain" if settlement.status == "uncertain" else "waiting", settlement.retry_at.ns, None


def requeue(connection: sqlite3.Connection, parked: Sequence[tuple[int, str]]) -> None:
    """Make parked notices owed again, each from an instant (ns) on. Their tokens, keys, messages and log stay."""
    connection.executemany(
        "UPDATE notices SET state = 'owed', attempt = 0, due_at = ?, settled_at = NULL "
        "WHERE key = ? AND state = 'parked'",
        parked,
    )


def release(connection: sqlite3.Connection, at: Instant) -> int:
    """Let go of the leases of a program that has ended: due again at `at`; how many there were."""
    connection.execute("BEGIN IMMEDIATE")
    cursor = connection.execute("UPDATE notices SET state = 'waiting', due_at = ? WHERE state = 'sending'", (at.ns,))
    connection.execute("COMMIT")
    return cursor.rowcount


def due(connection: sqlite3.Connection, limit: int, channel: str | None) -> list[Due]:
    """Notices that may be claimed, the longest due first."""
    where, given = ("", ()) if channel is None else ("AND channel = ? ", (channel,))
    rows = connection.execute(
        f"SELECT body, attempt, due_at, message, {_UNCERTAIN}, {_REPORTED} "
        "FROM notices INDEXED BY notices_due JOIN journal USING (position) "
        f"WHERE due_at IS NOT NULL {where}ORDER BY due_at, decided_at, sequence, key LIMIT ?",
        (*given, limit),
    ).fetchall()
    return [
        Due(
            decode(Notice, body),
            attempt,
            Instant(due_at),
            None if message is None else decode(Message, message),
            uncertain=bool(uncertain),
            reported=bool(reported),
        )
        for body, attempt, due_at, message, uncertain, reported in rows
    ]

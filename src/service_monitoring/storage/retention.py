"""What is forgotten, and what never is: open incidents and notices that are not settled.

Each piece is small, so that the rounds of decisions that wait meanwhile wait for milliseconds.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.storage.samples import epochs

PIECE: Final = 2_000

_KEPT: Final = (
    "SELECT id FROM incidents WHERE ended_at IS NULL UNION SELECT incident FROM members WHERE gone = 0 "
    "UNION SELECT id FROM groups WHERE ended = 0 UNION SELECT id FROM flaps WHERE ended = 0"
)


class Pruned(Struct, frozen=True):
    """How many rows were forgotten."""

    records: int = 0
    incidents: int = 0
    notices: int = 0
    observations: int = 0
    pings: int = 0
    silences: int = 0
    sessions: int = 0
    entries: int = 0


class PruneJournal:
    """Forget a piece of the journal; the newest record stays, so that positions never begin anew."""

    def __init__(self, before: Instant, after: int) -> None:
        self._before = before
        self._after = after

    def run(self, connection: sqlite3.Connection) -> tuple[int, int | None]:
        """How many are gone, and the position to go on from, if there is more."""
        rows = connection.execute(
            "SELECT position, at FROM journal WHERE position > ? AND position < (SELECT max(position) FROM journal) "
            "ORDER BY position LIMIT ?",
            (self._after, PIECE),
        ).fetchall()
        old = [position for position, at in rows if at < self._before.ns]
        if not old:
            return 0, None
        gone = connection.execute(
            "DELETE FROM journal WHERE position > ? AND position <= ? AND at < ? "
            f"AND (subject = '' OR subject NOT IN ({_KEPT})) "
            "AND NOT EXISTS (SELECT 1 FROM notices WHERE notices.position = journal.position)",
            (self._after, old[-1], self._before.ns),
        ).rowcount
        return gone, old[-1] if len(old) == PIECE else None


class PruneOutbox:
    """Forget a piece of the settled notices with their attempts."""

    def __init__(self, before: Instant) -> None:
        self._before = before

    def run(self, connection: sqlite3.Connection) -> int:
        """How many notices are gone."""
        keys = connection.execute(
            "SELECT key, position FROM notices JOIN journal USING (position) "
            f"WHERE settled_at < ? AND subject NOT IN ({_KEPT}) LIMIT ?",
            (self._before.ns, PIECE),
        ).fetchall()
        connection.executemany("DELETE FROM deliveries WHERE key = ?", [(key,) for key, _ in keys])
        connection.executemany("DELETE FROM notices WHERE key = ?", [(key,) for key, _ in keys])
        return len(keys)


class PruneIncidents:
    """Forget a piece of the ended incidents whose notices are gone, with their groups and unnamed configurations."""

    def __init__(self, before: Instant) -> None:
        self._before = before

    def run(self, connection: sqlite3.Connection) -> int:
        """How many incidents are gone."""
        ids = connection.execute(
            f"SELECT id FROM incidents WHERE ended_at < ? AND id NOT IN ({_KEPT}) "
            "AND NOT EXISTS (SELECT 1 FROM journal CROSS JOIN notices USING (position) "
            "WHERE subject = incidents.id AND subject <> '') "
            "AND NOT EXISTS (SELECT 1 FROM members CROSS JOIN journal ON subject = group_id AND subject <> '' "
            "CROSS JOIN notices USING (position) WHERE members.incident = incidents.id) LIMIT ?",
            (self._before.ns, PIECE),
        ).fetchall()
        groups = {
            row
            for incident in ids
            for row in connection.execute("SELECT group_id FROM members WHERE incident = ?", incident).fetchall()
        }
        connection.executemany("DELETE FROM members WHERE incident = ?", ids)
        connection.executemany("DELETE FROM incidents WHERE id = ?", ids)
        connection.executemany(
            "DELETE FROM groups WHERE id = ? AND ended = 1 "
            "AND NOT EXISTS (SELECT 1 FROM members WHERE group_id = groups.id)",
            sorted(groups),
        )
        if len(ids) < PIECE:
            connection.execute(
                "DELETE FROM configurations WHERE revision NOT IN (SELECT revision FROM progress) "
                "AND NOT EXISTS (SELECT 1 FROM journal WHERE subject = configurations.revision AND subject <> '')"
            )
        return len(ids)


class PrunePings:
    """Forget a piece of what came with reports."""

    def __init__(self, before: Instant) -> None:
        self._before = before

    def run(self, connection: sqlite3.Connection) -> int:
        """How many reports are gone."""
        positions = connection.execute(
            "SELECT position FROM pings WHERE at < ? ORDER BY at LIMIT ?", (self._before.ns, PIECE)
        ).fetchall()
        connection.executemany("DELETE FROM pings WHERE position = ?", positions)
        return len(positions)


class PruneSilences:
    """Forget a piece of the silences that are over."""

    def __init__(self, before: Instant) -> None:
        self._before = before

    def run(self, connection: sqlite3.Connection) -> int:
        """How many silences are gone."""
        ids = connection.execute(
            "SELECT id FROM silences WHERE ends < ? AND over = 1 ORDER BY ends LIMIT ?", (self._before.ns, PIECE)
        ).fetchall()
        connection.executemany("DELETE FROM silences WHERE id = ?", ids)
        return len(ids)


class PruneSamples:
    """Forget a piece of the observations, or of what was pushed, with the samples."""

    def __init__(self, before: Instant) -> None:
        self._before = before

    def run(self, connection: sqlite3.Connection) -> int:
        """How many observations and pushes are gone."""
        for table, holds in (("observations", "samples"), ("pushes", "pushed")):
            for epoch in epochs(connection, table):
                row = connection.execute(
                    "SELECT max(at), count(*) FROM "
                    f"(SELECT at FROM {table} WHERE epoch = ? AND at < ? ORDER BY at LIMIT ?)",
                    (epoch, self._before.ns, PIECE),
                ).fetchone()
                if row[1]:
                    connection.execute(f"DELETE FROM {holds} WHERE epoch = ? AND at <= ?", (epoch, row[0]))
                    connection.execute(f"DELETE FROM {table} WHERE epoch = ? AND at <= ?", (epoch, row[0]))
                    return int(row[1])
        return 0

"""What is on record about one incident and who was told of it: everything that an explanation needs, read at once.

Reads only, as a function of a connection. Does not know what follows from it (`views.explain`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.events import IncidentMoved, SeriesFlapped, SilenceMoved
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Admitted, Delivery, GapBegan, GapEnded, Order, Settled, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.storage import reading
from service_monitoring.storage.rows import marks
from service_monitoring.views.on_record import Attempted, Gap, OnRecord, Outcome, Revision, Sent
from service_monitoring.wire.codec import decode
from service_monitoring.wire.journal import read

_CHUNK: Final = 500
_MOST_KEPT: Final = 256
"""Configurations of a service."""
_COLUMNS: Final = "position, epoch, at, kind, version, body"

Body = TypeVar("Body")

_MOVED: Final = (
    "SELECT position, epoch, at, version, body FROM journal "
    "WHERE subject <> '' AND subject IN ({}) AND kind = 'incident_moved'"
)


class Revisions:
    """Configurations by their revision, as far as they are about one service. For any thread.

    A revision never changes, and the page of an incident is asked for again and again: the latest are kept.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Configuration] = {}

    def about(self, connection: sqlite3.Connection, names: Iterable[str], service: str) -> dict[str, Configuration]:
        """Those of these names that are stored."""
        found = {name: kept for name in names if (kept := self._kept.get((name, service))) is not None}
        read = reading.revisions(connection, set(names) - set(found), about=service)
        for name, configuration in read.items():
            self._kept[name, service] = configuration
        for oldest in list(self._kept)[:-_MOST_KEPT]:
            self._kept.pop(oldest, None)
        return found | read


def on_record(connection: sqlite3.Connection, name: str, known: Revisions) -> OnRecord:
    """Everything on record; the beginning of an id will do. `NotFound`, `Refused`."""
    story = reading.story(connection, name)
    incident = story.incident
    mine = _bodies(connection, Member, "incident", [incident.id])
    groups = _bodies(connection, Group, "id", [member.group for member in mine], table="groups")
    members = _bodies(connection, Member, "group_id", [group.id for group in groups])
    sent = [_sent(each) for each in story.notices]
    sent += _of_groups(connection, _flaps(connection, incident))
    keys = [each.notice.key for each in sent]
    sent += _of_groups(connection, [*keys, *(f"{Delivery.DELAYED} {key}" for key in keys)])
    held = [each.notice.held.by for each in sent if each.notice.held is not None]
    others = dict.fromkeys((*(member.incident for member in members), *held, incident.id))
    moves = _moves(connection, others)
    outcomes = _about(connection, [each.notice.key for each in sent], ("settled",))
    return OnRecord(
        incident=incident,
        events=story.events,
        moves=tuple(each for each in moves if isinstance(each, IncidentMoved)),
        acts=story.acts,
        groups=groups,
        members=members,
        sent=tuple(sorted(sent, key=lambda each: (each.notice.decided_at, each.notice.sequence))),
        outcomes=tuple(
            Outcome(each.stamp.at, each.input)
            for each in outcomes
            if isinstance(each, Admitted) and isinstance(each.input, Settled)
        ),
        silences=_silences(connection, incident),
        revisions=_revisions(connection, incident, known),
        gaps=_gaps(connection, incident),
        until=story.until,
    )


def _bodies(
    connection: sqlite3.Connection, wanted: type[Body], column: str, values: Iterable[str], *, table: str = "members"
) -> tuple[Body, ...]:
    found: list[Body] = []
    for part in _parts(values):
        rows = connection.execute(f"SELECT body FROM {table} WHERE {column} IN ({marks(len(part))})", part)
        found += [decode(wanted, body) for (body,) in rows.fetchall()]
    return tuple(found)


def _about(connection: sqlite3.Connection, subjects: Iterable[str], kinds: Sequence[str]) -> list[reading.Record]:
    """Records of some kinds about these subjects, in the order of the journal."""
    found: list[reading.Recorded] = []
    for part in _parts(subjects):
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM journal WHERE subject <> '' AND subject IN ({marks(len(part))}) "
            f"AND kind IN ({marks(len(kinds))})",
            (*part, *kinds),
        ).fetchall()
        found += reading.recorded(connection, rows)
    return [each.record for each in sorted(found, key=lambda each: each.position)]


def _moves(connection: sqlite3.Connection, incidents: Iterable[str]) -> list[reading.Record]:
    """What happened to these incidents, in the order of the journal."""
    rows = [row for part in _parts(incidents) for row in connection.execute(_MOVED.format(marks(len(part))), part)]
    return [_moved(*row) for _, *row in sorted(rows)]


@lru_cache(maxsize=4_096)
def _moved(epoch: int, at: int, version: int, body: bytes) -> reading.Record:
    """A move. What is written of one never changes, and all incidents of a storm are told of in one group."""
    return read("incident_moved", version, body, stamp=Stamp(epoch, Instant(at)), revisions={})


def _of_groups(connection: sqlite3.Connection, groups: Iterable[str]) -> list[Sent]:
    """The notices of groups of another kind: what flaps, and what the owners heard."""
    notices = [each for each in _about(connection, groups, ("notice",)) if isinstance(each, Notice)]
    return [_sent(each) for notice in notices for each in reading.posted_as(connection, notice)]


def _sent(posted: reading.Posted) -> Sent:
    attempts = tuple(Attempted(each.at, each.outcome, each.detail) for each in posted.attempts)
    return Sent(posted.notice, posted.state, posted.due_at, attempts)


def _flaps(connection: sqlite3.Connection, incident: Incident) -> list[str]:
    """The groups under which it was told that the incident's series flaps, since the last time before it began."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM journal WHERE subject = ? AND subject <> '' AND kind = 'series_flapped' "
        "ORDER BY position",
        (f"{incident.service}.{incident.rule}",),
    ).fetchall()
    mine = [
        (each.position, each.record.decided_at)
        for each in reading.recorded(connection, rows)
        if isinstance(each.record, SeriesFlapped) and each.record.flapping and each.record.series == incident.series
    ]
    before = [place for place, (_, at) in enumerate(mine) if at <= incident.breached_at]
    groups: list[str] = []
    for position, at in mine[before[-1] if before else 0 :]:
        if incident.ended_at is None or at <= incident.ended_at:
            groups += _said_at(connection, position)
    return groups


def _said_at(connection: sqlite3.Connection, position: int) -> list[str]:
    """The group of the notices that an event caused: they follow it in the journal."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM journal WHERE position > ? ORDER BY position LIMIT 1", (position,)
    ).fetchall()
    records = [each.record for each in reading.recorded(connection, rows)]
    return [each.group for each in records if isinstance(each, Notice) and each.page is Page.FLAPPING]


def _silences(connection: sqlite3.Connection, incident: Incident) -> tuple[SilenceMoved, ...]:
    """What was said of every silence that may have held since the incident began."""
    rows = connection.execute("SELECT id FROM silences WHERE ends >= ?", (incident.breached_at.ns,)).fetchall()
    records = _about(connection, [id for (id,) in rows], ("silence_moved",))
    return tuple(each for each in records if isinstance(each, SilenceMoved))


def _revisions(connection: sqlite3.Connection, incident: Incident, known: Revisions) -> tuple[Revision, ...]:
    """The configurations that were in force while the incident went on, each with the instant from which on.

    Where the journal has forgotten all of them, the one in force now stands for them.
    """
    rows = connection.execute(
        "SELECT position, epoch, at, subject FROM journal WHERE subject <> '' "
        "AND subject IN (SELECT revision FROM configurations) AND kind = 'configured' ORDER BY position"
    ).fetchall()
    before = [place for place, row in enumerate(rows) if row[2] <= incident.breached_at.ns]
    since = [(row[2], row[3]) for row in rows[before[-1] if before else 0 :]]
    if not since:
        since = connection.execute("SELECT at, revision FROM progress").fetchall()
    stored = known.about(connection, [name for _, name in since], incident.service)
    return tuple(Revision(Instant(at), stored[name]) for at, name in since if name in stored)


def _gaps(connection: sqlite3.Connection, incident: Incident) -> tuple[Gap, ...]:
    """The gaps that began while the incident went on."""
    row = connection.execute(
        "SELECT min(epoch), max(epoch) FROM journal WHERE subject = ? AND subject <> ''", (incident.id,)
    ).fetchone()
    # Where it goes on, it does so in the newest epoch.
    until = (2**62, 0) if incident.ended_at is None else (row[1], incident.ended_at.ns)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM journal WHERE place IS NOT NULL AND (epoch, at) >= (?, ?) AND (epoch, at) <= (?, ?) "
        f"AND place IN ({int(Order.GAP_END)}, {int(Order.GAP_START)}) ORDER BY epoch, at, place, position",
        (row[0], incident.breached_at.ns, *until),
    ).fetchall()
    found: list[Gap] = []
    for each in _inputs(connection, rows):
        if isinstance(each.input, GapBegan):
            found.append(Gap(each.stamp.at, None, str(each.input.cause)))
        elif isinstance(each.input, GapEnded) and found:
            found[-1] = replace(found[-1], ended=each.stamp.at)
    return tuple(found)


def _inputs(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[Admitted]:
    records = (each.record for each in reading.recorded(connection, rows))
    return [record for record in records if isinstance(record, Admitted)]


def _parts(values: Iterable[str]) -> Iterable[list[Any]]:
    """Distinct values in lists that a statement can take."""
    every = list(dict.fromkeys(values))
    return (every[start : start + _CHUNK] for start in range(0, len(every), _CHUNK))

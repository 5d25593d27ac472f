"""What faces ask of the facts: incidents, their story, the journal, the outbox in numbers.

Reads only, each a function of a connection. The order of lists is stated, and so is what the next page starts from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Progress
from service_monitoring.domain.dispatch import Flap, Told
from service_monitoring.domain.events import Event, IncidentMoved, IncidentNoted, SeriesFlapped
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import Admitted, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.notices import Held, Notice
from service_monitoring.domain.silences import Silence, StoredSilence
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Drafts, Message, Stored
from service_monitoring.storage.rows import marks
from service_monitoring.views.incidents import EVERY, Narrow
from service_monitoring.views.silences import SilencePage
from service_monitoring.wire import configuration as configurations
from service_monitoring.wire.codec import decode
from service_monitoring.wire.journal import Opaque, Revision, read

Record = Admitted | Event | Notice | Opaque


Happened = IncidentMoved | IncidentNoted | SeriesFlapped
"""What an incident's story is made of."""


class Recorded(Struct, frozen=True):
    """A record of the journal. Positions rise without meaning: there may be holes."""

    position: int
    stamp: Stamp
    record: Record


class Attempted(Struct, frozen=True):
    """One attempt of a notice, as it ended; `void ...` when a younger lease existed."""

    attempt: int
    outcome: str
    detail: str
    at: Instant


class Posted(Struct, frozen=True):
    """A notice with what became of it.

    `state`: owed, held, sending, waiting, uncertain, delivered, parked or withheld.
    """

    notice: Notice
    state: str
    attempt: int
    due_at: Instant | None
    message: Message | None
    attempts: tuple[Attempted, ...]


Body = TypeVar("Body")


class Waiting(Struct, frozen=True):
    """A notice of the outbox with how its last attempt ended; `since` is when that was, or when it was decided.

    `position` is that of its record in the journal.
    """

    position: int
    notice: Notice
    state: str
    attempt: int
    due_at: Instant | None
    detail: str
    since: Instant


class Listed(Struct, frozen=True):
    """An incident, and when its acknowledgement expires, if it does."""

    incident: Incident
    until: Instant | None


class Story(Struct, frozen=True):
    """An incident with everything that is known of it, oldest first; `acts` are inputs that name it.

    `events` are its moves, what was assigned and noted, and that its series began to flap or stopped while it went on.
    """

    incident: Incident
    until: Instant | None
    events: tuple[Happened, ...]
    acts: tuple[Admitted, ...]
    notices: tuple[Posted, ...]


# Most records have no subject; the index leaves those out, and is used where a query says that it does, too.
_ABOUT: Final = "subject = ? AND subject <> ''"
_PAGE: Final = 1_000


def stored(connection: sqlite3.Connection) -> Stored:
    """Everything that decisions go on from."""
    row = connection.execute("SELECT revision, body FROM progress").fetchone()
    revision = "" if row is None else row[0]
    return Stored(
        progress=None if row is None else decode(Progress, row[1]),
        configuration=revisions(connection, [revision]).get(revision),
        versions=dict(connection.execute("SELECT service, version FROM policies ORDER BY service").fetchall()),
        holds=tuple(
            decode(StoredHold, body)
            for (body,) in connection.execute("SELECT body FROM holds ORDER BY service, rule, series").fetchall()
        ),
        jobs=tuple(
            decode(StoredJob, body)
            for (body,) in connection.execute("SELECT body FROM jobs ORDER BY service, check_name").fetchall()
        ),
        silences=tuple(
            decode(StoredSilence, body)
            for (body,) in connection.execute("SELECT body FROM silences WHERE over = 0 ORDER BY id").fetchall()
        ),
        incidents=tuple(
            decode(Incident, body)
            for (body,) in connection.execute(
                "SELECT body FROM incidents WHERE ended_at IS NULL ORDER BY breached_at, id"
            ).fetchall()
        ),
        told=Told(
            groups=_bodies(connection, Group, "groups WHERE ended = 0 ORDER BY id"),
            members=_bodies(connection, Member, "members WHERE gone = 0 ORDER BY incident, group_id"),
            flaps=_bodies(connection, Flap, "flaps WHERE ended = 0 ORDER BY id"),
        ),
    )


def _bodies(connection: sqlite3.Connection, wanted: type[Body], where: str) -> tuple[Body, ...]:
    return tuple(decode(wanted, body) for (body,) in connection.execute(f"SELECT body FROM {where}").fetchall())


def revisions(connection: sqlite3.Connection, names: Iterable[str], *, about: str = "") -> dict[str, Configuration]:
    """Configurations by their revision; those that are not stored are left out. `about` one service alone, or all."""
    wanted = sorted(set(names))
    rows = connection.execute(
        f"SELECT revision, body FROM configurations WHERE revision IN ({marks(len(wanted))})", wanted
    ).fetchall()
    read = (lambda body: configurations.read_about(body, about)) if about else configurations.read
    return {name: read(body) for name, body in rows}


def incidents(
    connection: sqlite3.Connection,
    *,
    states: Sequence[State] = (),
    service: str | None = None,
    limit: int = 200,
    after: str | None = None,
    drafts: Drafts = Drafts.SHOWN,
    narrow: Narrow = EVERY,
) -> list[Incident]:
    """Incidents, the latest breached first; `after` is the id of the last one of the page before.

    `Refused` where there is no such incident any more: nobody is told that the list ends there.
    """
    conditions, given = _narrowed(narrow)
    if states:
        conditions.append(f"state IN ({marks(len(states))})")
        given += [state.value for state in states]
        if FINAL.isdisjoint(states):
            conditions.append("ended_at IS NULL")
    if service is not None:
        conditions.append("service = ?")
        given.append(service)
    if after is not None:
        if connection.execute("SELECT 1 FROM incidents WHERE id = ?", (after,)).fetchone() is None:
            raise Refused("the page before ended with an incident that is not kept any more: begin with the first page")
        conditions.append("(breached_at, id) < (SELECT breached_at, id FROM incidents WHERE id = ?)")
        given.append(after)
    if drafts is Drafts.LEFT_OUT:  # asked last: it is read out of the body
        conditions.append("NOT coalesce(json_extract(CAST(body AS TEXT), '$.draft'), 0)")
    rows = connection.execute(
        f"SELECT body FROM incidents WHERE {' AND '.join(conditions)} ORDER BY breached_at DESC, id DESC LIMIT ?",
        (*given, limit),
    ).fetchall()
    return [decode(Incident, body) for (body,) in rows]


def _narrowed(narrow: Narrow) -> tuple[list[str], list[Any]]:
    """Conditions, and what is put in for their question marks."""
    conditions, given = ["1"], list[Any]()
    if narrow.rule:
        conditions.append("rule = ?")
        given.append(narrow.rule)
    if narrow.severities:
        conditions.append(f"severity IN ({marks(len(narrow.severities))})")
        given += [severity.value for severity in narrow.severities]
    if narrow.text:
        conditions.append("instr(lower(service || '.' || rule || ' ' || series || ' ' || id), lower(?)) > 0")
        given.append(narrow.text)
    if narrow.since is not None:
        conditions.append("breached_at >= ?")
        given.append(narrow.since.ns)
    if narrow.until is not None:
        conditions.append("breached_at < ?")
        given.append(narrow.until.ns)
    if narrow.open_at is not None:
        conditions.append("opened_at <= ? AND (ended_at IS NULL OR ended_at > ?)")
        given += [narrow.open_at.ns, narrow.open_at.ns]
    return conditions, given


def listed(
    connection: sqlite3.Connection,
    *,
    states: Sequence[State] = (),
    service: str | None = None,
    limit: int = 200,
    after: str | None = None,
    drafts: Drafts = Drafts.SHOWN,
    narrow: Narrow = EVERY,
) -> list[Listed]:
    """Incidents as `incidents` finds them, each with the end of its acknowledgement."""
    found = incidents(
        connection, states=states, service=service, limit=limit, after=after, drafts=drafts, narrow=narrow
    )
    return [Listed(incident, _expiry(connection, incident)) for incident in found]


def _expiry(connection: sqlite3.Connection, incident: Incident) -> Instant | None:
    """The hold that carries the incident knows; a step of the clock moves it there."""
    if incident.state is not State.ACKNOWLEDGED:
        return None
    row = connection.execute(
        "SELECT body FROM holds WHERE service = ? AND rule = ? AND series = ?",
        (incident.service, incident.rule, str(incident.series)),
    ).fetchone()
    hold = None if row is None else decode(StoredHold, row[0])
    return Instant(hold.expires) if hold is not None and hold.incident == incident.id and hold.expires else None


def lately(connection: sqlite3.Connection, since: Instant, limit: int) -> list[Incident]:
    """Incidents that were open after `since`, the latest opened first; drafts and what never opened excepted."""
    columns = "opened_at, id, body"
    rows = connection.execute(
        f"SELECT body FROM (SELECT {columns} FROM incidents WHERE ended_at IS NULL AND opened_at IS NOT NULL UNION ALL "
        f"SELECT {columns} FROM incidents WHERE ended_at IS NOT NULL AND ended_at > ? AND opened_at IS NOT NULL) "
        "WHERE NOT coalesce(json_extract(CAST(body AS TEXT), '$.draft'), 0) ORDER BY opened_at DESC, id DESC LIMIT ?",
        (since.ns, limit),
    ).fetchall()
    return [decode(Incident, body) for (body,) in rows]


def silences(connection: sqlite3.Connection, page: SilencePage, at: Instant) -> list[Silence]:
    """The silences that are kept and are in a state at an instant, the latest to end first, then by id."""
    conditions, given = ["1"], list[Any]()
    if page.state:
        conditions.append("ends <= ?" if page.state == "ended" else "ends > ?")
        given.append(at.ns)
    if page.state in {"active", "pending"}:
        # RFC 3339 in UTC with nine digits: texts are in the order of the instants.
        begun = "<=" if page.state == "active" else ">"
        conditions.append(f"json_extract(CAST(body AS TEXT), '$.silence.begins') {begun} ?")
        given.append(str(at))
    if page.after is not None:
        ends = Instant.parse(page.after[0]).ns
        conditions.append("ends <= ? AND (ends < ? OR id > ?)")
        given += [ends, ends, page.after[1]]
    rows = connection.execute(
        f"SELECT body FROM silences WHERE {' AND '.join(conditions)} ORDER BY ends DESC, id LIMIT ?",
        (*given, page.limit),
    ).fetchall()
    return [decode(StoredSilence, body).silence for (body,) in rows]


def silence(connection: sqlite3.Connection, start: str) -> Silence:
    """The silence whose id begins so; `NotFound`, or `Refused` when there are several."""
    rows = connection.execute(
        "SELECT id, body FROM silences WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (start, f"{start}g")
    ).fetchall()
    if not rows or not start:
        raise NotFound(f"there is no silence {start!r}: `service-monitoring silence list` names them")
    if len(rows) > 1 and rows[0][0] != start:
        raise Refused(f"several silences begin with {start!r}: write more of the id")
    return decode(StoredSilence, rows[0][1]).silence


def story(connection: sqlite3.Connection, incident: str) -> Story:
    """One incident with its events, what people did, and its notices.

    The beginning of an id will do. `NotFound` when no incident has it, `Refused` when several have.
    """
    incident, body = _named(connection, incident)
    rows = connection.execute(f"SELECT {_JOURNAL} FROM journal WHERE {_ABOUT} ORDER BY position", (incident,))
    found = recorded(connection, rows.fetchall())
    records = [each.record for each in found]
    known = decode(Incident, body)
    return Story(
        incident=known,
        until=_expiry(connection, known),
        events=_happened(connection, known, found),
        acts=tuple(record for record in records if isinstance(record, Admitted)),
        notices=posted(connection, incident),
    )


def _happened(connection: sqlite3.Connection, incident: Incident, found: Sequence[Recorded]) -> tuple[Happened, ...]:
    """An incident's moves and notes, and between the first move and what the last decided: that its series flapped."""
    moves = [each for each in found if isinstance(each.record, IncidentMoved)]
    notes = [each for each in found if isinstance(each.record, IncidentNoted)]
    if not moves:
        return ()
    rows = connection.execute(
        f"SELECT {_JOURNAL} FROM journal WHERE {_ABOUT} AND position > ? AND kind = 'series_flapped' ORDER BY position",
        (f"{incident.service}.{incident.rule}", moves[0].position),
    ).fetchall()
    last = moves[-1]
    flaps = [
        each
        for each in recorded(connection, rows)
        if isinstance(each.record, SeriesFlapped)
        and each.record.series == incident.series
        and (incident.state not in FINAL or each.position < last.position or each.stamp == last.stamp)
    ]
    ordered = sorted((*moves, *notes, *flaps), key=lambda each: each.position)
    return tuple(each.record for each in ordered if isinstance(each.record, Happened))


def held_back(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Held]:
    """What holds the notices of incidents back, by the incident; those that are told are left out."""
    rows = connection.execute(
        f"SELECT incident, body FROM members WHERE incident IN ({marks(len(ids))}) AND gone = 0", ids
    ).fetchall()
    members = [(incident, decode(Member, body)) for incident, body in rows]
    reasons = [
        (incident, member.blocked or next((word.held for word in member.words if word.held is not None), None))
        for incident, member in members
    ]
    return {incident: held for incident, held in reasons if held is not None}


def _named(connection: sqlite3.Connection, start: str) -> tuple[str, bytes]:
    # Ids are hexadecimal: everything that begins with `start` is below the same with a letter behind f.
    rows = connection.execute(
        "SELECT id, body FROM incidents WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", (start, f"{start}g")
    ).fetchall()
    if not rows or not start:
        raise NotFound(f"there is no incident {start!r}: `incidents list` shows those there are")
    if len(rows) > 1 and rows[0][0] != start:
        raise Refused(f"several incidents begin with {start!r}: write more of the id")
    return str(rows[0][0]), rows[0][1]


def posted(connection: sqlite3.Connection, incident: str) -> tuple[Posted, ...]:
    """The notices that tell of an incident, in the order in which they were decided, with their attempts."""
    rows = connection.execute(
        "SELECT key, body, state, attempt, due_at, message FROM journal CROSS JOIN notices USING (position) "
        "WHERE subject <> '' AND subject IN (SELECT group_id FROM members WHERE incident = ?1 UNION SELECT ?1) "
        "AND kind = 'notice' ORDER BY position",
        (incident,),
    ).fetchall()
    read_back = ((decode(Notice, row[1]), row) for row in rows)
    return tuple(_posted(connection, notice, row) for notice, row in read_back if _tells_of(notice, incident))


def posted_as(connection: sqlite3.Connection, notice: Notice) -> list[Posted]:
    """What the outbox has of one notice; nothing where it is gone."""
    rows = connection.execute(
        "SELECT key, NULL, state, attempt, due_at, message FROM notices WHERE key = ?", (notice.key,)
    ).fetchall()
    return [_posted(connection, notice, row) for row in rows]


def _posted(connection: sqlite3.Connection, notice: Notice, row: tuple[Any, ...]) -> Posted:
    key, _, state, attempt, due_at, message = row
    attempts = connection.execute(
        "SELECT attempt, outcome, detail, at FROM deliveries WHERE key = ? ORDER BY token", (key,)
    ).fetchall()
    return Posted(
        notice=notice,
        state=state,
        attempt=attempt,
        due_at=None if due_at is None else Instant(due_at),
        message=None if message is None else decode(Message, message),
        attempts=tuple(Attempted(number, outcome, detail, Instant(at)) for number, outcome, detail, at in attempts),
    )


def _tells_of(notice: Notice, incident: str) -> bool:
    written_out = (facts.incident for facts in (notice.facts, *notice.others))
    return incident in notice.news or incident in written_out


SEARCHED: Final = 20_000
"""Notices whose text is looked through, the newest of those that the other conditions leave."""


class Wanted(Struct, frozen=True):
    """Which notices are asked for: in these states, with this beginning of a key, to a channel, with a text in them.

    `before` is the position of the last one of the page before.
    """

    states: tuple[str, ...] = ()
    key: str = ""
    channel: str = ""
    text: str = ""
    before: int | None = None


def waiting(connection: sqlite3.Connection, wanted: Wanted, *, limit: int = 200) -> list[Waiting]:
    """Notices of the outbox, the latest decided first. A text is looked for in the newest `SEARCHED` of them."""
    states, key = wanted.states, wanted.key
    conditions, given = ["1"], list[Any]()
    if states:
        conditions.append(f"state IN ({marks(len(states))})")
        given += states
    if key:
        # Keys are hexadecimal: everything that begins with `key` is below the same with a letter behind f.
        conditions.append("key >= ? AND key < ?")
        given += [key, f"{key}g"]
    if wanted.channel:
        conditions.append("channel = ?")
        given.append(wanted.channel)
    if wanted.before is not None:
        conditions.append("position < ?")
        given.append(wanted.before)
    chosen = f"SELECT * FROM notices WHERE {' AND '.join(conditions)} ORDER BY position DESC LIMIT ?"
    given += [SEARCHED, wanted.text] if wanted.text else [limit, ""]
    last = "FROM deliveries WHERE deliveries.key = chosen.key ORDER BY token DESC LIMIT 1"
    rows = connection.execute(
        f"SELECT position, body, state, attempt, due_at, (SELECT detail {last}), (SELECT at {last}), decided_at "
        f"FROM ({chosen}) AS chosen CROSS JOIN journal USING (position) "
        "WHERE instr(lower(CAST(body AS TEXT)), lower(?)) ORDER BY position DESC LIMIT ?",
        (*given, limit),
    ).fetchall()
    return [
        Waiting(
            position,
            decode(Notice, body),
            state,
            attempt,
            None if due_at is None else Instant(due_at),
            detail or "",
            Instant(decided_at if at is None else at),
        )
        for position, body, state, attempt, due_at, detail, at, decided_at in rows
    ]


_JOURNAL: Final = "position, epoch, at, kind, version, body"


def journal(connection: sqlite3.Connection, *, after: int = 0, limit: int = _PAGE) -> list[Recorded]:
    """Records after a position, oldest first."""
    rows = connection.execute(
        f"SELECT {_JOURNAL} FROM journal WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
    ).fetchall()
    return recorded(connection, rows)


def decisions(connection: sqlite3.Connection, *, after: int = 0, limit: int = _PAGE) -> list[Recorded]:
    """Events and notices after a position, oldest first."""
    rows = connection.execute(
        f"SELECT {_JOURNAL} FROM journal WHERE position > ? AND place IS NULL ORDER BY position LIMIT ?", (after, limit)
    ).fetchall()
    return [each for each in recorded(connection, rows) if isinstance(each.record, Event | Notice)]


Place = tuple[int, int, int, int]
"""Where an input stands: epoch, instant (ns), order at that instant, position."""


def inputs(connection: sqlite3.Connection, after: Place, limit: int) -> list[tuple[Place, Admitted]]:
    """Inputs after a place in their own order, observations excepted; what a newer version wrote is left out."""
    rows = connection.execute(
        f"SELECT place, {_JOURNAL} FROM journal "
        "WHERE place IS NOT NULL AND (epoch, at, place, position) > (?, ?, ?, ?) "
        "ORDER BY epoch, at, place, position LIMIT ?",
        (*after, limit),
    ).fetchall()
    read_back = recorded(connection, [row[1:] for row in rows])
    return [
        ((row[2], row[3], row[0], row[1]), each.record)
        for row, each in zip(rows, read_back, strict=True)
        if isinstance(each.record, Admitted)
    ]


def recorded(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[Recorded]:
    """Rows of the journal (position, epoch, at, kind, version, body) as records."""
    named = [decode(Revision, row[5]).revision for row in rows if row[3] == "configured"]
    known = revisions(connection, named) if named else {}
    found: list[Recorded] = []
    for position, epoch, at, kind, version, body in rows:
        stamp = Stamp(epoch, Instant(at))
        found.append(Recorded(position, stamp, read(kind, version, body, stamp=stamp, revisions=known)))
    return found


def outbox(connection: sqlite3.Connection) -> dict[str, int]:
    """How many notices are in each state, those held and those delivered included."""
    return dict(connection.execute("SELECT state, count(*) FROM notices GROUP BY state ORDER BY state").fetchall())


def owed(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """How many notices are in each state of each channel."""
    rows = connection.execute("SELECT state, channel, count(*) FROM notices GROUP BY state, channel").fetchall()
    return {(state, channel): number for state, channel, number in rows}


def alive(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """How many incidents are not over, by state and severity, without drafts."""
    rows = connection.execute(
        "SELECT state, severity, count(*) FROM incidents WHERE ended_at IS NULL "
        "AND NOT coalesce(json_extract(CAST(body AS TEXT), '$.draft'), 0) GROUP BY state, severity"
    ).fetchall()
    return {(state, severity): number for state, severity, number in rows}

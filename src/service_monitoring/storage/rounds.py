"""Rounds of decisions as rows of `facts.db`: the batch that writes many commits as one.

Owns the versions of policies and the positions of the journal: the folder's lock makes this program the only writer,
so they are compared and counted in memory and written with the rest. Rows of many commits go down in one statement a
table. Knows no thread and no transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

from service_monitoring.domain.course import Progress
from service_monitoring.domain.events import Event
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Admitted, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.samples import Series
from service_monitoring.errors import Conflict, MonitoringError
from service_monitoring.ports import Commit, Ping
from service_monitoring.storage.operations import Operation, in_savepoint
from service_monitoring.storage.outbox import requeue, settle
from service_monitoring.storage.rows import Insert, tuples
from service_monitoring.wire import configuration as configurations
from service_monitoring.wire.codec import encode
from service_monitoring.wire.journal import VERSION, written

_JOURNAL: Final = Insert(
    "journal", ("position", "epoch", "at", "place", "kind", "service", "subject", "version", "body")
)
_POLICIES: Final = Insert(
    "policies", ("service", "version"), after="ON CONFLICT (service) DO UPDATE SET version = excluded.version"
)
_HOLDS: Final = Insert(
    "holds",
    ("service", "rule", "series", "body"),
    after="ON CONFLICT (service, rule, series) DO UPDATE SET body = excluded.body",
)
_JOBS: Final = Insert(
    "jobs",
    ("service", "check_name", "body"),
    after="ON CONFLICT (service, check_name) DO UPDATE SET body = excluded.body",
)
_SILENCES: Final = Insert(
    "silences",
    ("id", "ends", "over", "body"),
    after="ON CONFLICT (id) DO UPDATE SET ends = excluded.ends, over = excluded.over, body = excluded.body",
)
_INCIDENTS: Final = Insert(
    "incidents",
    (
        *("id", "service", "rule", "series", "severity", "state", "sequence"),
        *("breached_at", "opened_at", "acknowledged_at", "ended_at", "body"),
    ),
    after="ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, state = excluded.state, "
    "sequence = excluded.sequence, opened_at = excluded.opened_at, acknowledged_at = excluded.acknowledged_at, "
    "ended_at = excluded.ended_at, body = excluded.body",
)
_GROUPS: Final = Insert(
    "groups",
    ("id", "ended", "body"),
    after="ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, body = excluded.body",
)
_MEMBERS: Final = Insert(
    "members",
    ("incident", "group_id", "gone", "body"),
    after="ON CONFLICT (incident, group_id) DO UPDATE SET gone = excluded.gone, body = excluded.body",
)
_FLAPS: Final = Insert(
    "flaps",
    ("id", "ended", "body"),
    after="ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, body = excluded.body",
)
_NOTICES: Final = Insert(
    "notices",
    ("key", "position", "channel", "decided_at", "sequence", "state", "attempt", "token", "due_at", "settled_at"),
    after="ON CONFLICT (key) DO NOTHING",
)
_PINGS: Final = Insert(
    "pings",
    (
        *("position", "epoch", "at", "service", "check_name", "signal", "run", "exit_code", "cut"),
        *("digest", "body"),
    ),
    # The same report of the same run, once more: a sender that did not hear our answer.
    after="ON CONFLICT DO NOTHING",
)
_CONFIGURATIONS: Final = Insert("configurations", ("revision", "body"), after="ON CONFLICT (revision) DO NOTHING")
_PROGRESS: Final = Insert(
    "progress",
    ("id", "epoch", "at", "revision", "body"),
    after="ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, at = excluded.at, revision = excluded.revision, "
    "body = excluded.body",
)


class Round:
    """One `Commit` on its way to the file."""

    __slots__ = ("_rounds", "commit")

    def __init__(self, commit: Commit, rounds: Rounds) -> None:
        self.commit = commit
        self._rounds = rounds

    @property
    def plain(self) -> bool:
        """Whether it only adds and replaces rows, so that it can go down together with others."""
        return not self.commit.forgotten and not self.commit.settlements and not self.commit.requeued

    def run(self, connection: sqlite3.Connection) -> None:
        """Write it alone."""
        refusal = self._rounds.write(connection, [self])[0]
        if refusal is not None:
            raise refusal


class Rounds:
    """The batch of `facts.db`. Used by the writer's thread alone; made from what the file holds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._versions: dict[str, int] = dict(connection.execute("SELECT service, version FROM policies"))
        row = connection.execute("SELECT epoch, at, revision FROM progress").fetchone()
        self._judged = (-1, 0) if row is None else (int(row[0]), int(row[1]))
        self._revision = "" if row is None else str(row[2])
        self._new_versions: dict[str, int] = {}
        self._new_judged = self._judged
        self._new_revision = self._revision
        self._position = int(connection.execute("SELECT coalesce(max(position), 0) FROM journal").fetchone()[0])
        self._new_position = self._position

    def prepare(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> None:
        """Nothing: every commit is synced."""

    def run(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Write operations in their order, neighbouring commits together."""
        answers: list[Any] = []
        for together, group in groupby(operations, lambda one: isinstance(one, Round) and one.plain):
            if together:
                answers += self.write(connection, [one for one in group if isinstance(one, Round)])
            else:
                answers += [in_savepoint(connection, one) for one in group]
        return answers

    def done(self) -> None:
        """What was written holds."""
        self._versions.update(self._new_versions)
        self._new_versions.clear()
        self._judged, self._revision, self._position = self._new_judged, self._new_revision, self._new_position

    def undone(self) -> None:
        """Nothing was written."""
        self._new_versions.clear()
        self._new_judged, self._new_revision, self._new_position = self._judged, self._revision, self._position

    def write(self, connection: sqlite3.Connection, rounds: Iterable[Round]) -> list[MonitoringError | None]:
        """Write commits in their order; those with a stale version are left out and get a `Conflict`."""
        refusals: list[MonitoringError | None] = []
        rows = _Rows(self._new_position)
        for each in rounds:
            refusal = self._stale(each.commit)
            refusals.append(refusal)
            if refusal is None:
                self._add(rows, each.commit)
        rows.write(connection)
        self._new_position = rows.position
        return refusals

    def _stale(self, commit: Commit) -> Conflict | None:
        for service, version in commit.versions:
            stands = self._new_versions.get(service, self._versions.get(service, 0))
            if stands != version:
                return Conflict(
                    f"the policy of {service} was changed by another (version {stands}, not {version}): "
                    "load it again and repeat the command"
                )
        return None

    def _add(self, rows: _Rows, commit: Commit) -> None:
        for service, version in commit.versions:
            self._new_versions[service] = version + 1
            rows.policies += (service, version + 1)
        rows.add(commit)
        if commit.configuration is not None:
            body = configurations.body(commit.configuration)
            self._new_revision = configurations.named(body)
            rows.configurations += (self._new_revision, body)
        rows.progress = self._progress(commit.progress) or rows.progress

    def _progress(self, progress: Progress) -> tuple[Any, ...] | None:
        """The row of progress; none when another commit came further, unless the revision changed meanwhile."""
        judged = (progress.judged.epoch, progress.judged.at.ns)
        if judged < self._new_judged:
            return None
        self._new_judged = judged
        return (1, *judged, self._new_revision, encode(progress))


class _Rows:
    """Rows of each table, flat, in the order of the commits."""

    __slots__ = (
        *("configurations", "flaps", "forgotten", "groups", "holds", "incidents", "jobs", "journal", "members"),
        *("notices", "pings", "policies", "position", "progress", "requeued", "settlements"),
        "silences",
    )

    def __init__(self, position: int) -> None:
        self.position = position
        self.journal: list[Any] = []
        self.policies: list[Any] = []
        self.holds: list[Any] = []
        self.incidents: list[Any] = []
        self.jobs: list[Any] = []
        self.silences: list[Any] = []
        self.groups: list[Any] = []
        self.members: list[Any] = []
        self.flaps: list[Any] = []
        self.notices: list[Any] = []
        self.pings: list[Any] = []
        self.configurations: list[Any] = []
        self.progress: tuple[Any, ...] = ()
        self.forgotten: list[Any] = []
        self.settlements: list[Any] = []
        self.requeued: list[Any] = []

    def add(self, commit: Commit) -> None:
        """The rows of one commit that depend on nothing but itself."""
        positions: dict[str, int] = {}
        reported: dict[Stamp, int] = {}
        for stamp, record in commit.records:
            position = self._journalled(stamp, record)
            if isinstance(record, Notice):
                positions[record.key] = position
            elif commit.pings and isinstance(record, Admitted):
                reported[stamp] = position
        for ping in commit.pings:
            self.pings += _ping(ping, reported[ping.stamp])
        for notice in commit.notices:
            position = positions.get(notice.key) or self._journalled(commit.progress.judged, notice)
            self.notices += _notice(notice, position)
        for stored in commit.holds:
            self.holds += (stored.service, stored.rule, series_text(stored.series), encode(stored))
        for job in commit.jobs:
            self.jobs += (job.service, job.check, encode(job))
        for kept in commit.silences:
            self.silences += (kept.silence.id, kept.silence.ends.ns, int(kept.over), encode(kept))
        for incident in commit.incidents:
            self.incidents += _incident(incident)
        for group in commit.told.groups:
            self.groups += (group.id, int(group.ended), encode(group))
        for member in commit.told.members:
            self.members += (member.incident, member.group, int(member.gone), encode(member))
        for flap in commit.told.flaps:
            self.flaps += (flap.id, int(flap.ended), encode(flap))
        self.forgotten += [(service, rule, str(series)) for service, rule, series in commit.forgotten]
        self.settlements += commit.settlements
        self.requeued += [(commit.progress.judged.at.ns, key) for key in commit.requeued]

    def _journalled(self, stamp: Stamp, record: Admitted | Event | Notice) -> int:
        """The position of a record at the journal's end."""
        self.position += 1
        row = written(record)
        self.journal += (
            *(self.position, stamp.epoch, stamp.at.ns, row.order),
            *(row.kind, row.service, row.subject, VERSION, row.body),
        )
        return self.position

    def write(self, connection: sqlite3.Connection) -> None:
        """All rows, one statement a table."""
        _CONFIGURATIONS.run(connection, self.configurations)
        _POLICIES.run(connection, self.policies)
        _JOURNAL.run(connection, self.journal)
        _HOLDS.run(connection, self.holds)
        _JOBS.run(connection, self.jobs)
        _SILENCES.run(connection, self.silences)
        _INCIDENTS.run(connection, self.incidents)
        _GROUPS.run(connection, self.groups)
        _MEMBERS.run(connection, self.members)
        _FLAPS.run(connection, self.flaps)
        _NOTICES.run(connection, self.notices)
        _PINGS.run(connection, self.pings)
        _PROGRESS.run(connection, self.progress)
        for start in range(0, len(self.forgotten), 500):
            part = self.forgotten[start : start + 500]
            connection.execute(
                f"DELETE FROM holds WHERE (service, rule, series) IN (VALUES {tuples(len(part), 3)})",
                [text for key in part for text in key],
            )
        if self.settlements:
            settle(connection, self.settlements)
        if self.requeued:
            requeue(connection, self.requeued)


@lru_cache(maxsize=65_536)
def series_text(series: Series) -> str:
    """The text of a series, as the ledger has it."""
    return str(series)


def _incident(incident: Incident) -> tuple[Any, ...]:
    return (
        incident.id,
        incident.service,
        incident.rule,
        series_text(incident.series),
        incident.severity.value,
        incident.state.value,
        incident.sequence,
        incident.breached_at.ns,
        _ns(incident.opened_at),
        _ns(incident.acknowledged_at),
        _ns(incident.ended_at),
        encode(incident),
    )


def _notice(notice: Notice, position: int) -> tuple[Any, ...]:
    at = notice.decided_at.ns
    state, due_at, settled_at = ("owed", at, None) if notice.held is None else ("held", None, at)
    return (notice.key, position, notice.channel, at, notice.sequence, state, 0, 0, due_at, settled_at)


def _ping(ping: Ping, position: int) -> tuple[Any, ...]:
    report, enclosed = ping.report, ping.enclosed
    told = f"{report.signal}:{report.exit_code}:".encode()
    return (
        *(position, ping.stamp.epoch, ping.stamp.at.ns, report.service, report.check, report.signal.value, report.run),
        *(report.exit_code, int(enclosed.cut), sha256(told + enclosed.content).hexdigest(), enclosed.content),
    )


def _ns(instant: Instant | None) -> int | None:
    return None if instant is None else instant.ns

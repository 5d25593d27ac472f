"""A store in memory, for tests of what commits and delivers. It keeps every law of `ports.Store` but durability.

Knows rows, versions, leases and their fencing tokens. Does not know files: its content ends with the object. A crash is
`restarted`: leases of the program that is gone are void, everything else is as committed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Progress
from service_monitoring.domain.dispatch import Flap, Told
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import FINAL, Incident
from service_monitoring.domain.inputs import Admitted, Observed, Pushed, Settled, Stamp, Taken
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.recollections import recollect
from service_monitoring.domain.samples import Series
from service_monitoring.domain.silences import StoredSilence
from service_monitoring.errors import Conflict, Unavailable
from service_monitoring.ports import NO_MARKS, Asked, Commit, Due, Lease, Message, Recalled, Settlement, Stored

_SETTLED: Final = frozenset({"delivered", "parked", "withheld"})


@dataclass(frozen=True, slots=True)
class Row:
    """A notice in the outbox. `leased` while somebody holds the right to send it; `token` is that of the last claim."""

    notice: Notice
    status: str
    due_at: Instant
    attempt: int = 0
    token: int = 0
    leased: bool = False
    message: Message | None = None
    detail: str = ""
    uncertain: bool = False
    reported: bool = False


class MemoryStore:
    """A `ports.Store` for one loop. Never waits, so a call happens whole or not at all.

    `outage` is a sentence that makes every write `Unavailable` while it is set; `stale` counts settlements that came
    under an old token.
    """

    def __init__(self) -> None:
        self.outage = ""
        self.stale = 0
        self.commits: list[Commit] = []
        self._outbox: dict[str, Row] = {}
        self._tokens = 0
        self._observations: dict[Stamp, Admitted] = {}
        self._judged: dict[Stamp, Admitted] = {}
        self._progress: Progress | None = None
        self._configuration: Configuration | None = None
        self._versions: dict[str, int] = {}
        self._holds: dict[tuple[str, str, Series], StoredHold] = {}
        self._incidents: dict[str, Incident] = {}
        self._groups: dict[str, Group] = {}
        self._members: dict[tuple[str, str], Member] = {}
        self._flaps: dict[str, Flap] = {}
        self._jobs: dict[tuple[str, str], StoredJob] = {}
        self._silences: dict[str, StoredSilence] = {}

    def row(self, key: str) -> Row:
        """The notice of that key, as it stands in the outbox."""
        return self._outbox[key]

    def restarted(self) -> MemoryStore:
        """What the next program finds: everything but the leases of this one, and the outage, which may be over."""
        found = copy.copy(self)
        found._outbox = {
            key: replace(row, leased=False, uncertain=row.uncertain or row.leased) for key, row in self._outbox.items()
        }
        found.outage = ""
        return found

    async def load(self) -> Stored:
        """What was committed."""
        return Stored(
            progress=self._progress,
            configuration=self._configuration,
            versions=dict(self._versions),
            holds=tuple(self._holds.values()),
            incidents=tuple(incident for incident in self._incidents.values() if incident.state not in FINAL),
            told=Told(
                groups=tuple(group for _, group in sorted(self._groups.items()) if not group.ended),
                members=tuple(member for _, member in sorted(self._members.items()) if not member.gone),
                flaps=tuple(flap for _, flap in sorted(self._flaps.items()) if not flap.ended),
            ),
            jobs=tuple(self._jobs.values()),
            silences=tuple(kept for kept in self._silences.values() if not kept.over),
        )

    async def record(
        self, observations: Sequence[Admitted], *, marks: Mapping[Stamp, Sequence[Taken]] = NO_MARKS
    ) -> None:
        """Append observations and pushes; one with a known stamp is known already."""
        self._writable()
        for admitted in observations:
            if admitted.stamp in self._observations:
                continue
            given = marks.get(admitted.stamp, ())
            kept = _only(admitted, given, {Taken.JUDGED, Taken.LATE, Taken.DUPLICATE, Taken.CONFLICT})
            judged = _only(admitted, given, {Taken.JUDGED})
            if kept is not None:
                self._observations[admitted.stamp] = kept
            if judged is not None:
                self._judged[admitted.stamp] = judged

    async def commit(self, commit: Commit) -> None:
        """Store a round; `Conflict`, nothing changed, where a version is not the one that was loaded."""
        self._writable()
        for name, version in commit.versions:
            if self._versions.get(name, 0) != version:
                raise Conflict(f"{name} is at version {self._versions.get(name, 0)}, not {version}: load it again")
        self.commits.append(commit)
        self._progress = commit.progress
        self._configuration = commit.configuration or self._configuration
        self._versions.update((name, version + 1) for name, version in commit.versions)
        self._holds.update(((hold.service, hold.rule, hold.series), hold) for hold in commit.holds)
        for key in commit.forgotten:
            self._holds.pop(key, None)
        self._incidents.update((incident.id, incident) for incident in commit.incidents)
        self._groups.update((group.id, group) for group in commit.told.groups)
        self._members.update(((member.incident, member.group), member) for member in commit.told.members)
        self._flaps.update((flap.id, flap) for flap in commit.told.flaps)
        self._jobs.update(((job.service, job.check), job) for job in commit.jobs)
        self._silences.update((kept.silence.id, kept) for kept in commit.silences)
        for notice in commit.notices:
            status = "owed" if notice.held is None else "held"
            self._outbox.setdefault(notice.key, Row(notice, status, notice.decided_at))
        self._settle(commit.settlements)
        settled = [record.input for _, record in commit.records if isinstance(record, Admitted)]
        for what in settled:
            if isinstance(what, Settled) and what.notice in self._outbox:
                self._outbox[what.notice] = replace(self._outbox[what.notice], reported=True)
        for name in commit.requeued:
            if (row := self._outbox.get(name)) is not None and row.status == "parked":
                self._outbox[name] = replace(row, status="owed", attempt=0, due_at=commit.progress.judged.at)

    async def beyond(self, stamp: Stamp) -> list[Admitted]:
        """The observations and pushes after `stamp`, in order."""
        return [self._observations[at] for at in sorted(self._observations) if at > stamp]

    async def recall(self, asked: Sequence[Asked], *, until: Stamp) -> list[Recalled]:
        """What checks said up to `until`; of every series all that was heard."""
        return [self._recalled(one, until) for one in asked]

    async def pushed(self, service: str, check: str, *, until: Stamp, since: Instant, least: int) -> list[Admitted]:
        """What was pushed to a check up to `until`: what came after `since`, and at least the last `least`."""
        known = [
            admitted
            for stamp in sorted(self._judged)
            if stamp <= until
            and isinstance((admitted := self._judged[stamp]).input, Pushed)
            and (admitted.input.service, admitted.input.check) == (service, check)
        ]
        young = sum(admitted.stamp.at > since for admitted in known)
        return known[len(known) - min(len(known), max(young, least)) :]

    def _recalled(self, asked: Asked, until: Stamp) -> Recalled:
        known = [
            admitted
            for stamp in sorted(self._judged)
            if stamp <= until
            and isinstance((admitted := self._judged[stamp]).input, Observed)
            and (admitted.input.service, admitted.input.check) == (asked.service, asked.check)
        ]
        young = sum(admitted.stamp.at > asked.since for admitted in known)
        wanted = known[len(known) - min(len(known), max(young, asked.least)) :]
        return Recalled(tuple(recollect(wanted)), len(known) < asked.least)

    async def due(self, limit: int, *, channel: str | None = None) -> list[Due]:
        """What waits in the outbox and is not leased, the longest due first."""
        rows = [row for row in self._outbox.values() if _open(row) and channel in {None, row.notice.channel}]
        rows.sort(key=lambda row: (row.due_at, row.notice.decided_at, row.notice.sequence, row.notice.key))
        return [
            Due(row.notice, row.attempt, row.due_at, row.message, uncertain=row.uncertain, reported=row.reported)
            for row in rows[:limit]
        ]

    async def claim(self, messages: Sequence[Message]) -> list[Lease]:
        """Lease what is still open, each under a token higher than any before."""
        self._writable()
        leases = []
        for message in messages:
            row = self._outbox.get(message.key)
            if row is None or not _open(row):
                continue
            self._tokens += 1
            row = replace(row, leased=True, token=self._tokens, attempt=row.attempt + 1, message=row.message or message)
            self._outbox[message.key] = row
            assert row.message is not None
            leases.append(Lease(message.key, row.token, row.attempt, row.message))
        return leases

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """End leases; the number of settlements whose token was not the last."""
        self._writable()
        return self._settle(settlements)

    def _settle(self, settlements: Sequence[Settlement]) -> int:
        void = 0
        for settlement in settlements:
            row = self._outbox.get(settlement.key)
            if row is None or row.token != settlement.token or not row.leased:
                void += 1
                continue
            self._outbox[settlement.key] = replace(
                row,
                leased=False,
                status=settlement.status,
                detail=settlement.detail,
                due_at=settlement.retry_at or row.due_at,
                uncertain=row.uncertain or settlement.status == "uncertain",
            )
        self.stale += void
        return void

    def _writable(self) -> None:
        if self.outage:
            raise Unavailable(self.outage)


def _open(row: Row) -> bool:
    return not row.leased and row.status != "held" and row.status not in _SETTLED


def _only(admitted: Admitted, marks: Sequence[Taken], wanted: set[Taken]) -> Admitted | None:
    """A push with those of its samples that bear one of these marks, or None; an observation as it is."""
    what = admitted.input
    if not isinstance(what, Pushed):
        return admitted
    given = marks or [Taken.JUDGED] * len(what.samples)
    samples = tuple(sample for sample, mark in zip(what.samples, given, strict=True) if mark in wanted)
    return Admitted(admitted.stamp, Pushed(what.service, what.check, samples)) if samples else None

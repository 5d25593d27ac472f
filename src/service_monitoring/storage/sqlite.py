"""The embedded store: `ports.Store` over two SQLite files, and what faces and rehearsals read from them.

Wires folder, writers and readers together; the statements are in `rounds`, `outbox`, `samples`, `reading` and
`retention`. Knows no rule, no sink, and reads no clock but the one it is given.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self, TypeVar

from msgspec import Struct

from service_monitoring.access.audit import Row
from service_monitoring.domain.configuration import Check, Service
from service_monitoring.domain.events import Event
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Admitted, Stamp, Taken
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.maintenance import Maintenance
from service_monitoring.domain.notices import Held, Notice
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Series
from service_monitoring.domain.silences import Silence
from service_monitoring.domain.uptime import FOR_EVER, Known, Span
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.errors import Unusable
from service_monitoring.ports import (
    NO_MARKS,
    Asked,
    Clock,
    Commit,
    Drafts,
    Due,
    Lease,
    Message,
    Ping,
    Recalled,
    Settlement,
    Stored,
)
from service_monitoring.storage import access, answers, archive, explaining, outbox, reading, recall, recorded, watching
from service_monitoring.storage.failures import translated
from service_monitoring.storage.files import Synchronous, connect, look, prepare_writer
from service_monitoring.storage.folder import FACTS, SAMPLES, Connect, Lock, Reserve, kept_secret, make, make_file
from service_monitoring.storage.heard import last_heard, last_reported
from service_monitoring.storage.history.own import History
from service_monitoring.storage.keys import Key, Replace, Revoke, all_keys, pings
from service_monitoring.storage.lines import Lines
from service_monitoring.storage.migrate import migrate, refuse_newer
from service_monitoring.storage.readers import Readers
from service_monitoring.storage.retention import (
    Pruned,
    PruneIncidents,
    PruneJournal,
    PruneOutbox,
    PrunePings,
    PruneSamples,
    PruneSilences,
)
from service_monitoring.storage.rounds import Round, Rounds
from service_monitoring.storage.samples import Record, Recording
from service_monitoring.storage.tallies import Tallies
from service_monitoring.storage.writer import Statistics, Writer
from service_monitoring.views.incidents import EVERY, Narrow
from service_monitoring.views.on_record import OnRecord
from service_monitoring.views.projection import Heard
from service_monitoring.views.silences import SilencePage

T = TypeVar("T")

RESERVED_BYTES: Final = 1024 * 1024
_PAGE: Final = 1_000
_NOTHING: Final[Mapping[str, Instant]] = MappingProxyType({})


class Tuning(Struct, frozen=True):
    """What tests and benchmarks set differently. `connect` opens the files for writing."""

    reserve: int = RESERVED_BYTES
    busy_milliseconds: int = 5_000
    connect: Connect = connect
    capacity: int = 1_000


class Sizes(Struct, frozen=True):
    """Bytes on the disk, write-ahead logs included."""

    facts: int
    samples: int


class Health(Struct, frozen=True):
    """How the writers fare. `reserve_kept` is false from a full disk until there is room again."""

    facts: Statistics
    samples: Statistics
    reserve_kept: bool


class SqliteStore:
    """A data folder in use by this program. Belongs to one event loop and never blocks it; keeps the laws of `Store`.

    Made by `open`. After `close`, or when the device failed, every write raises `Unavailable` or `Unusable`.
    """

    def __init__(self, opened: _Opened, clock: Clock, tuning: Tuning) -> None:
        self._opened = opened
        self._folder = opened.folder
        self._clock = clock
        self.migration_backups: tuple[Path, ...] = opened.copies
        """Copies of the files that were made before a migration at this start."""
        self._recording = opened.recording
        self._revisions = explaining.Revisions()
        self._broken: Unusable | None = None
        self._when_broken: Callable[[Unusable], None] | None = None
        self._facts = Writer(
            opened.folder / FACTS,
            opened.facts,
            opened.rounds,
            capacity=tuning.capacity,
            on_full=opened.reserve.give_up,
            on_success=opened.reserve.keep,
            on_broken=self._broke,
        )
        self._samples = Writer(
            opened.folder / SAMPLES,
            opened.samples,
            opened.recording,
            capacity=tuning.capacity,
            on_full=opened.reserve.give_up,
            on_broken=self._broke,
        )
        self._facts_readers = Readers(opened.folder / FACTS, clock)
        self._samples_readers = Readers(opened.folder / SAMPLES, clock)
        self.tallies = Tallies(opened.folder, clock)
        self.lines = Lines(self._facts_readers, self._samples_readers, self.tallies, opened.recording)
        """What charts are read from, and the view of samples that long ones need."""

    @classmethod
    async def open(cls, folder: Path, clock: Clock, *, tuning: Tuning | None = None) -> Self:
        """Open, make or upgrade a data folder, and take back the leases of the program that used it before.

        `Unavailable` when another program uses it, `Refused` when it cannot be one, `Unusable` when it is damaged or
        was written by a newer version; nothing is changed then.
        """
        tuning = tuning or Tuning()
        return cls(await asyncio.to_thread(_open, folder, clock, tuning), clock, tuning)

    async def close(self) -> None:
        """Store what is waiting, then let go of the files and of the folder. May be called twice."""
        await self._facts.close()
        await self._samples.close()
        await asyncio.to_thread(self._facts_readers.close)
        await asyncio.to_thread(self._samples_readers.close)
        await asyncio.to_thread(self.tallies.close)
        self._opened.lock.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The port ---------------------------------------------------------------------------------------------------------

    async def load(self) -> Stored:
        """What was committed last."""
        return await self._facts_readers.read(reading.stored)

    async def record(
        self, observations: Sequence[Admitted], *, marks: Mapping[Stamp, Sequence[Taken]] = NO_MARKS
    ) -> None:
        """Append observations and pushes; those whose stamp is stored already are left as they are.

        Observations are not synced one by one: a power loss may take the last seconds, which a restart then treats as
        a gap. What was pushed is synced.
        """
        if observations:
            await self._samples.write(Record(observations, self._recording, marks))

    async def commit(self, commit: Commit) -> None:
        """Store a round, durable when this returns."""
        await self._facts.write(Round(commit, self._opened.rounds))

    async def beyond(self, stamp: Stamp) -> list[Admitted]:
        """The recorded observations and pushes after `stamp`, in order."""
        found: list[Admitted] = []
        while page := await self._samples_readers.read(self._after(found[-1].stamp if found else stamp)):
            found += page
        return found

    async def recall(self, asked: Sequence[Asked], *, until: Stamp) -> list[Recalled]:
        """What checks said up to `until`, an answer to each question."""
        names, latest = self._recording.names, self._recording.latest
        return await self._samples_readers.read(lambda one: recall.answers(one, names, latest, asked, until=until))

    async def pushed(self, service: str, check: str, *, until: Stamp, since: Instant, least: int) -> list[Admitted]:
        """What was pushed to a check up to `until`, oldest first: what came after `since`, or is among the last."""
        names, latest = self._recording.names, self._recording.latest
        return await self._samples_readers.read(
            lambda one: recorded.pushed(one, names, latest, (service, check), until=until, since=since, least=least)
        )

    async def due(self, limit: int, *, channel: str | None = None) -> list[Due]:
        """Notices that nobody holds a lease on, the longest due first."""
        return await self._facts_readers.read(lambda connection: outbox.due(connection, limit, channel))

    async def claim(self, messages: Sequence[Message]) -> list[Lease]:
        """Take leases, in the order of the messages, without those that cannot be had."""
        return await self._facts.write(outbox.Claim(messages)) if messages else []

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Store ends of leases; the number that an older token made void."""
        return await self._facts.write(outbox.Settle(settlements)) if settlements else 0

    # For faces --------------------------------------------------------------------------------------------------------

    async def incidents(
        self,
        *,
        states: Sequence[State] = (),
        service: str | None = None,
        limit: int = 200,
        after: str | None = None,
        drafts: Drafts = Drafts.SHOWN,
    ) -> list[Incident]:
        """Incidents, the latest breached first; `after` is the id of the last one of the page before."""
        return await self._facts_readers.read(
            lambda one: reading.incidents(one, states=states, service=service, limit=limit, after=after, drafts=drafts)
        )

    async def listed(
        self,
        *,
        states: Sequence[State] = (),
        service: str | None = None,
        limit: int = 200,
        after: str | None = None,
        drafts: Drafts,
        narrow: Narrow = EVERY,
    ) -> list[reading.Listed]:
        """Incidents, the latest breached first, each with the end of its acknowledgement."""
        return await self._facts_readers.read(
            lambda one: reading.listed(
                one, states=states, service=service, limit=limit, after=after, drafts=drafts, narrow=narrow
            )
        )

    async def incident(self, name: str) -> reading.Story:
        """One incident with its events, what people did, its notices and their attempts; `NotFound`."""
        return await self._facts_readers.read(lambda connection: reading.story(connection, name))

    async def on_record(self, name: str) -> OnRecord:
        """Everything on record about an incident and who was told of it; `NotFound`, `Refused`."""
        return await self._facts_readers.read(
            lambda connection: explaining.on_record(connection, name, self._revisions)
        )

    async def held_back(self, ids: Sequence[str]) -> dict[str, Held]:
        """What holds the notices of incidents back, by the incident."""
        return await self._facts_readers.read(lambda connection: reading.held_back(connection, ids)) if ids else {}

    async def lately(self, since: Instant, *, limit: int) -> list[Incident]:
        """Incidents that were open after `since`, the latest opened first, without drafts."""
        return await self._facts_readers.read(lambda one: reading.lately(one, since, limit))

    async def silences(self, page: SilencePage, at: Instant) -> list[Silence]:
        """The silences that are kept and are in a state at an instant, the latest to end first."""
        return await self._facts_readers.read(lambda one: reading.silences(one, page, at))

    async def silence(self, name: str) -> Silence:
        """The silence whose id begins so; `NotFound`, `Refused`."""
        return await self._facts_readers.read(lambda one: reading.silence(one, name))

    async def journal(self, *, after: int = 0, limit: int = _PAGE) -> list[reading.Recorded]:
        """Records after a position, oldest first; the last one's position is where the next page starts."""
        return await self._facts_readers.read(lambda one: reading.journal(one, after=after, limit=limit))

    async def decisions(self) -> AsyncIterator[Event | Notice]:
        """Every event and notice in the order of their commits."""
        async for decision in self._through(History.decisions):
            yield decision

    async def inputs(self) -> AsyncIterator[Admitted]:
        """Everything that came in, observations included, in (epoch, instant, order): what a rehearsal reads."""
        async for admitted in self._through(History.inputs):
            yield admitted

    async def known(
        self, service: Service, began: Instant, ended: Instant, *, maintenances: Sequence[Maintenance] = ()
    ) -> Known:
        """When incidents of a service were open, nobody watched and no check was heard, as far as it touches a range.

        The checks that count are those it is configured with. Of `maintenances` those count that cover all of it.
        """
        names, within = self._recording.names, Span(began.ns, ended.ns)
        seen = await self._facts_readers.read(lambda one: watching.watched(one, service, within))
        planned = await self._facts_readers.read(
            lambda one: watching.maintained_spans(one, service, maintenances, seen.eras, within)
        )
        silent = await self._samples_readers.read(lambda one: watching.unheard(one, names, service, seen, within))
        return Known(tuple(seen.spells), tuple(seen.unwatched), silent, planned)

    async def troubles(
        self, service: Service, began: Instant, ended: Instant, *, maintenances: Sequence[Maintenance] = ()
    ) -> Known:
        """When incidents of a service were open, whole, that touch a range; and its maintenance up to there."""

        def read(one: sqlite3.Connection) -> Known:
            spells = watching.spells(one, service.name, Span(began.ns, ended.ns))
            within = Span(min((each.span.began for each in spells), default=began.ns), ended.ns)
            known = watching.eras(one)
            planned = watching.maintained_spans(one, service, maintenances, known, within)
            return Known(spells=tuple(spells), maintenance=planned)

        return await self._facts_readers.read(read)

    async def columns(
        self, rule: Rule, *, since: Instant, until: Stamp, shifts: Mapping[int, Duration], pushed: bool
    ) -> dict[Series, tuple[InstantColumn, FloatColumn]]:
        """The samples of a rule's series in (since, until], by the clock as it is set now.

        `shifts` has each epoch, with how much the clock was set since; `pushed` says whether they come by themselves.
        """
        names = self._recording.names
        ends = {epoch: until.at.ns if epoch == until.epoch else FOR_EVER for epoch in shifts}
        wanted = [watching.Stretch(each, since.ns - shifts[each], ends[each], shifts[each]) for each in sorted(shifts)]
        return await self._samples_readers.read(lambda one: watching.columns(one, names, rule, wanted, pushed=pushed))

    async def outbox(self) -> dict[str, int]:
        """How many notices are in each state."""
        return await self._facts_readers.read(reading.outbox)

    async def waiting(self, wanted: reading.Wanted, *, limit: int = 200) -> list[reading.Waiting]:
        """Notices of the outbox, the latest decided first."""
        return await self._facts_readers.read(lambda one: reading.waiting(one, wanted, limit=limit))

    async def posted(self, notice: Notice) -> list[reading.Posted]:
        """What the outbox has of one notice, with its message and attempts; nothing where it is gone."""
        return await self._facts_readers.read(lambda one: reading.posted_as(one, notice))

    async def alive(self) -> dict[tuple[str, str], int]:
        """How many incidents are not over, by state and severity, without drafts."""
        return await self._facts_readers.read(reading.alive)

    async def owed(self) -> dict[tuple[str, str], int]:
        """How many notices are in each state of each channel."""
        return await self._facts_readers.read(reading.owed)

    async def newest(self) -> list[Admitted]:
        """The newest observation of each check, by service and check."""
        names = self._recording.names
        return await self._samples_readers.read(lambda connection: recorded.newest(connection, names))

    async def heard(self, checks: Iterable[Check]) -> list[Heard]:
        """What each of these checks said last; ask for some hundreds at once."""
        names, asked = self._recording.names, list(checks)
        jobs = [(each.service, each.name) for each in asked if each.expects is not None]
        found = await self._samples_readers.read(lambda one: last_heard(one, names, asked))
        return found if not jobs else found + await self._facts_readers.read(lambda one: last_reported(one, jobs))

    async def pings(self, service: str, check: str, *, limit: int = 100) -> list[Ping]:
        """The newest reports of a check with what came with them, the newest first."""
        return await self._facts_readers.read(lambda connection: pings(connection, service, check, limit))

    async def keys(self) -> list[Key]:
        """All keys, by service and check, the oldest first; those that have expired may be among them."""
        return await self._facts_readers.read(all_keys)

    async def replace_keys(self, key: Key, *, until: Instant, had: Sequence[str] = ()) -> None:
        """Put a key in the place of those its check has, of hashes `had`, which open until `until`; `Refused`."""
        await self._facts.write(Replace(key, until, had=had))

    async def revoke_keys(self, service: str, check: str) -> int:
        """Forget all keys of a check; how many there were."""
        return await self._facts.write(Revoke(service, check))

    # Access -----------------------------------------------------------------------------------------------------------

    async def secret(self, name: str, make_secret: Callable[[], str]) -> bytes:
        """A secret in a file of the folder, made when it is needed first; no backup has it. See `kept_secret`."""
        return await asyncio.to_thread(kept_secret, self._folder / name, make_secret)

    async def people(self) -> access.People:
        """All accounts with what is theirs, that included which is over, after all that is being written."""
        return await self._facts.write(access.Everything())

    async def change_access(self, change: access.Change) -> None:
        """Store what changes together of accounts and what is theirs, with the entry about it."""
        await self._facts.write(access.Write(change))

    async def seen(
        self, *, sessions: Mapping[str, Instant] = _NOTHING, tokens: Mapping[str, Instant] = _NOTHING
    ) -> None:
        """Store when sessions were seen and tokens were used last, by their hashes."""
        await self._facts.write(access.Seen(sessions, tokens))

    async def audit(self, *, before: int | None, limit: int) -> list[Row]:
        """Entries of the audit trail, the latest first; before a position, where one is given."""
        return await self._facts_readers.read(lambda one: access.latest(one, before, limit))

    async def trail(self, *, after: int = 0, limit: int = _PAGE) -> list[Row]:
        """Entries of the audit trail after a position, the oldest first."""
        return await self._facts_readers.read(lambda one: access.trail(one, after, limit))

    # Answers ----------------------------------------------------------------------------------------------------------

    async def begin_answer(self, key: str, request: str, at: Instant) -> answers.Found | None:
        """Put a key down as begun; what was there already, where it was."""
        return await self._facts.write(answers.Begin(key, request, at))

    async def end_answer(self, key: str, status: int, answer: bytes) -> None:
        """Keep the answer under a key that was begun."""
        await self._facts.write(answers.End(key, status, answer))

    async def forget_answer(self, key: str) -> None:
        """Let a key be used anew that was begun and came to nothing."""
        await self._facts.write(answers.Forget(key))

    # ------------------------------------------------------------------------------------------------------------------

    def sizes(self) -> Sizes:
        """Bytes on the disk."""
        return Sizes(_bytes(self._folder / FACTS), _bytes(self._folder / SAMPLES))

    def health(self) -> Health:
        """How the writers fare."""
        return Health(self._facts.statistics(), self._samples.statistics(), self._opened.reserve.kept)

    def when_broken(self, tell: Callable[[Unusable], None]) -> None:
        """Call `tell` once, when the device fails under a write; at once if it did. Nothing is acknowledged then."""
        self._when_broken = tell
        if self._broken is not None:
            tell(self._broken)

    def _broke(self, failure: Unusable) -> None:
        if self._broken is None:
            self._broken = failure
            if self._when_broken is not None:
                self._when_broken(failure)

    # Keeping house ----------------------------------------------------------------------------------------------------

    async def prune(self, *, facts: Instant, samples: Instant) -> Pruned:
        """Forget facts and samples before these instants, piece by piece.

        Open incidents with their journal and notices that are not settled stay. What lets nobody in any more goes, too,
        by the clock as it is now. Cancelled, what is gone is gone.
        """
        records = notices = incidents = observations = reports = silences = entries = 0
        while gone := await self._facts.write(PruneOutbox(facts)):
            notices += gone
        position: int | None = 0
        while position is not None:
            gone, position = await self._facts.write(PruneJournal(facts, position))
            records += gone
        while gone := await self._facts.write(PruneIncidents(facts)):
            incidents += gone
        while gone := await self._facts.write(PrunePings(facts)):
            reports += gone
        while gone := await self._facts.write(PruneSilences(facts)):
            silences += gone
        while gone := await self._samples.write(PruneSamples(samples)):
            observations += gone
        now = self._clock.now()
        sessions = await self._facts.write(access.PruneSessions(now))
        while gone := await self._facts.write(access.PruneAudit(facts, now)):
            entries += gone
        await self.tallies.forget(samples)
        return Pruned(records, incidents, notices, observations, reports, silences, sessions, entries)

    async def backup(self, target: Path) -> archive.Manifest:
        """Write a backup beside everything else that goes on; see `archive.backup`."""
        return await asyncio.to_thread(archive.backup, self._folder, target, made_at=self._clock.now())

    # ------------------------------------------------------------------------------------------------------------------

    def _after(self, stamp: Stamp) -> Callable[[sqlite3.Connection], list[Admitted]]:
        return lambda connection: recorded.after(connection, self._recording.names, stamp, _PAGE)

    async def _through(self, what: Callable[[History], Iterator[T]]) -> AsyncIterator[T]:
        history = await asyncio.to_thread(History, self._folder)
        try:
            entries = what(history)
            while page := await asyncio.to_thread(lambda: list(islice(entries, _PAGE))):
                for entry in page:
                    yield entry
        finally:
            history.close()


class _Opened(Struct):
    """A folder that was opened, before a loop works on it."""

    folder: Path
    lock: Lock
    reserve: Reserve
    facts: sqlite3.Connection
    samples: sqlite3.Connection
    rounds: Rounds
    recording: Recording
    copies: tuple[Path, ...]


def _open(folder: Path, clock: Clock, tuning: Tuning) -> _Opened:
    make(folder)
    lock = Lock(folder)
    lock.take()
    connections: list[sqlite3.Connection] = []
    try:
        copies = _schemas(folder)
        reserve = Reserve(folder, tuning.reserve)
        reserve.keep()
        facts = _writer(folder / FACTS, tuning, "FULL", connections)
        samples_file = _writer(folder / SAMPLES, tuning, "NORMAL", connections)
        try:
            outbox.release(facts, clock.now())
            rounds, recording = Rounds(facts), Recording(samples_file)
        except sqlite3.Error as error:
            raise translated(error, folder) from error
        return _Opened(folder, lock, reserve, facts, samples_file, rounds, recording, copies)
    except BaseException:
        for connection in connections:
            connection.close()
        lock.release()
        raise


def _schemas(folder: Path) -> tuple[Path, ...]:
    """Bring both files to this program's schema, after looking at both: one that is refused leaves both alone."""
    paths = [folder / FACTS, folder / SAMPLES]
    versions = [look(path) for path in paths]
    for path, version in zip(paths, versions, strict=True):
        refuse_newer(path, version)
    copies: list[Path] = []
    for path, version in zip(paths, versions, strict=True):
        make_file(path)
        copy = migrate(path, version)
        copies += [copy] if copy else []
    return tuple(copies)


def _writer(
    path: Path, tuning: Tuning, synchronous: Synchronous, opened: list[sqlite3.Connection]
) -> sqlite3.Connection:
    try:
        connection = tuning.connect(path)
        opened.append(connection)
        prepare_writer(connection, synchronous=synchronous, busy=tuning.busy_milliseconds)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def _bytes(path: Path) -> int:
    beside = (path, path.with_name(path.name + "-wal"))
    return sum(each.stat().st_size for each in beside if each.exists())

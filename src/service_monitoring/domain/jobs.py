"""Jobs: what is known of the jobs behind a service's heartbeat checks, and when each wants to be asked again.

Knows checks with an expectation, the state that `heartbeats` steps, and the agenda. Does not know which rules count
which failing, nor what follows from it: the policy asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from service_monitoring.domain import heartbeats
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import Check
from service_monitoring.domain.heartbeats import Job
from service_monitoring.domain.inputs import Order, Pinged
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.samples import Series
from service_monitoring.domain.schedules import Expectation, Failing
from service_monitoring.domain.tracks import Key
from service_monitoring.errors import Refused

SCHEDULE = "schedule"
"""The fourth part of a job's key in the agenda."""


class StoredJob(Struct, frozen=True):
    """What is known of the job behind a heartbeat check, as it is kept between runs."""

    service: str
    check: str
    job: Job


class Jobs:
    """The jobs of one service. Steps them, and books each again; instants are nanoseconds."""

    def __init__(self, service: str, agenda: Agenda[Key]) -> None:
        self._service = service
        self._agenda = agenda
        self._expected: dict[str, Expectation] = {}
        self._jobs: dict[str, Job] = {}
        self._dirty: dict[str, None] = {}

    def failings(self, check: str) -> frozenset[Failing]:
        """What is wrong with the job of a check."""
        return heartbeats.failings(self._jobs[check])

    def due(self, check: str) -> int | None:
        """When the job of a check is asked again."""
        return self._agenda.due(self._key(check))

    def names(self) -> list[str]:
        """The checks that have a job, in order."""
        return sorted(self._jobs)

    def expect(self, checks: Mapping[str, Check], at: int) -> None:
        """Take over a revision: jobs come and go; one whose expectation did not change keeps its state."""
        before = self._expected
        self._expected = {name: check.expects for name, check in checks.items() if check.expects is not None}
        for name in [name for name in self._jobs if name not in self._expected]:
            del self._jobs[name]
            self._agenda.cancel(self._key(name))
        for name, expected in self._expected.items():
            if name not in self._jobs:
                self._take(name, heartbeats.begun(at))
            elif before.get(name) != expected:
                self._take(name, heartbeats.rescheduled(self._jobs[name], at))

    def report(self, pinged: Pinged, at: int) -> None:
        """A job reported; `Refused` when nobody expects it to."""
        name = pinged.check
        if name not in self._expected:
            raise Refused(f"{self._service} has no heartbeat {name}")
        job, expected = self._jobs[name], self._expected[name]
        self._take(name, heartbeats.reported(job, expected, pinged.signal, pinged.run, pinged.exit_code, at))

    def fire(self, check: str, due: int) -> None:
        """What a job asked for has come."""
        self._take(check, heartbeats.fired(self._jobs[check], self._expected[check], due))

    def blind(self, at: int) -> None:
        """Nobody listens from here on."""
        for name, job in list(self._jobs.items()):
            self._take(name, heartbeats.blinded(job, at))

    def sight(self, at: int) -> None:
        """Somebody listens again."""
        for name, job in list(self._jobs.items()):
            self._take(name, heartbeats.sighted(job, self._expected[name], at))

    def shift(self, delta: Duration, at: int) -> None:
        """The wall clock stepped by `delta` to `at`: slots of cron are appointments and stay."""
        for name, job in list(self._jobs.items()):
            self._take(name, heartbeats.shifted(job, self._expected[name], at, delta))

    def revive(self, checks: Mapping[str, Check]) -> None:
        """Take over the checks as they were configured before a restart; `restore` follows."""
        self._expected = {name: check.expects for name, check in checks.items() if check.expects is not None}

    def restore(self, stored: StoredJob) -> None:
        """Put back what was known of a job."""
        if stored.check in self._expected:
            self._jobs[stored.check] = stored.job

    def rebook(self) -> None:
        """Book each anew."""
        for name in self._jobs:
            self._book(name)

    @property
    def changed(self) -> bool:
        """Whether there is something to store."""
        return bool(self._dirty)

    def take_changes(self) -> Iterable[StoredJob]:
        """What changed since the last call, for the store."""
        changed = [StoredJob(self._service, name, self._jobs[name]) for name in self._dirty if name in self._jobs]
        self._dirty = {}
        return changed

    def _take(self, name: str, job: Job) -> None:
        if job != self._jobs.get(name):
            self._jobs[name] = job
            self._dirty[name] = None
        self._book(name)

    def _book(self, name: str) -> None:
        wanted = heartbeats.due(self._jobs[name], self._expected[name])
        if wanted is None:
            self._agenda.cancel(self._key(name))
        else:
            self._agenda.book(self._key(name), wanted, Order.SCHEDULE)

    def _key(self, check: str) -> Key:
        return (self._service, "", Series(self._service, check, ""), SCHEDULE)

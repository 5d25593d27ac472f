"""Restarts in a rehearsal: what a course decided is put away, and given back to a new one, as by a store.

Knows what a store keeps of a course and how far back its history has to reach. Does not know any store, nor why a
program was started again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.configuration import Check, Configuration
from service_monitoring.domain.course import Changes, Course, Decision, Progress, Ruling
from service_monitoring.domain.dispatch import Flap, Told
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import FINAL, Incident
from service_monitoring.domain.inputs import (
    Admitted,
    Configured,
    GapBegan,
    Marked,
    MarkKind,
    Observed,
    Pushed,
    Stamp,
    Taken,
)
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.recollections import Recollection, recollect
from service_monitoring.domain.samples import Outcome, Series
from service_monitoring.domain.silences import StoredSilence
from service_monitoring.domain.tracks import HoldKey
from service_monitoring.domain.windows import Reach

_FEW: Final = 1_000
"""Inputs of a check that are kept before anybody asks which of them are needed."""


class Restarted:
    """A course that is stored and revived before a gap that begins at one of `restarts`; else one like any."""

    def __init__(self, restarts: Collection[Instant]) -> None:
        self._left = set(restarts)
        self._course = Course()
        self._shelf = _Shelf()

    @property
    def progress(self) -> Progress:
        """How far it came."""
        return self._course.progress

    def due(self) -> Instant | None:
        """When it wants to be stepped again."""
        return self._course.due()

    def lacks(self, configuration: Configuration) -> list[tuple[str, str, Reach]]:
        """The history that this revision looks back at, and the one in force does not."""
        return self._course.lacks(configuration)

    def refill(self, service: str, check: str, reach: Reach, history: Iterable[Recollection]) -> None:
        """Hand over what is recorded of a check."""
        self._course.refill(service, check, reach, history)

    def step(self, admitted: Admitted) -> Ruling:
        """What follows from an input, for the course as it is now."""
        at = admitted.stamp.at
        if not isinstance(admitted.input, GapBegan) or at not in self._left:
            return self._kept(admitted)
        self._left.remove(at)
        before: tuple[tuple[Stamp, Decision], ...] = ()
        if self._course.progress.judged < admitted.stamp:
            # The program lived until then: all that was due before is decided.
            before = self._kept(Admitted(admitted.stamp, Marked(MarkKind.ALIVE))).decisions
        self._course = self._shelf.revive(self._course.progress)
        ruling = self._kept(admitted)
        return replace(ruling, decisions=(*before, *ruling.decisions))

    def _kept(self, admitted: Admitted) -> Ruling:
        ruling = self._course.step(admitted)
        self._shelf.keep(self._course, admitted, ruling)
        return ruling


class _Shelf:
    """What a store keeps."""

    def __init__(self) -> None:
        self._configuration = Configuration()
        self._revisions = 0
        self._holds: dict[HoldKey, StoredHold] = {}
        self._incidents: dict[str, Incident] = {}
        self._jobs: dict[tuple[str, str], StoredJob] = {}
        self._groups: dict[str, Group] = {}
        self._members: dict[tuple[str, str], Member] = {}
        self._flaps: dict[str, Flap] = {}
        self._silences: dict[str, StoredSilence] = {}
        self._heard: dict[tuple[str, str], list[Admitted]] = defaultdict(list)
        self._many: dict[tuple[str, str], int] = defaultdict(lambda: _FEW)

    def keep(self, course: Course, admitted: Admitted, ruling: Ruling) -> None:
        """What an input was, and what changed by it."""
        match admitted.input:
            case Configured() if not ruling.refusal:
                self._configuration = admitted.input.configuration
                self._revisions += 1
            case Observed() | Pushed():
                self._hear(course, admitted.input, as_judged(admitted, ruling))
            case _:
                pass
        changes = course.take_changes()
        if changes is not None:
            self._put(changes)

    def _put(self, changes: Changes) -> None:
        for key in changes.forgotten:
            self._holds.pop(key, None)
        self._holds |= {(each.service, each.rule, each.series): each for each in changes.holds}
        for incident in changes.incidents:
            if incident.state in FINAL:
                self._incidents.pop(incident.id, None)
            else:
                self._incidents[incident.id] = incident
        self._jobs |= {(each.service, each.check): each for each in changes.jobs}
        self._groups |= {each.id: each for each in changes.told.groups}
        self._members |= {(each.incident, each.group): each for each in changes.told.members}
        self._flaps |= {each.id: each for each in changes.told.flaps}
        self._silences |= {each.silence.id: each for each in changes.silences}

    def _hear(self, course: Course, what: Observed | Pushed, admitted: Admitted) -> None:
        heard = self._heard[what.service, what.check]
        heard.append(admitted)
        # Where revisions follow one another, the next one may look further back.
        if self._revisions == 1 and len(heard) > self._many[what.service, what.check]:
            heard[:] = self._within_reach(course, what.service, what.check)
            self._many[what.service, what.check] = max(_FEW, 2 * len(heard))

    def revive(self, progress: Progress) -> Course:
        """A course that knows what a store would have given back."""
        course = Course.revive(
            configuration=self._configuration,
            progress=progress,
            holds=self._holds.values(),
            incidents=self._incidents.values(),
            jobs=self._jobs.values(),
            told=Told(tuple(self._groups.values()), tuple(self._members.values()), tuple(self._flaps.values())),
            silences=self._silences.values(),
        )
        for service in course.configuration.services:
            for check in service.checks:
                self._recall(course, check)
        course.rebook()
        return course

    def _recall(self, course: Course, check: Check) -> None:
        known = self._within_reach(course, check.service, check.name)
        if check.allowance:
            course.recall_pushed(check.service, check.name, known)
        else:
            for recollection in recollect(known):
                course.recall(recollection)

    def _within_reach(self, course: Course, service: str, check: str) -> list[Admitted]:
        """What rules look back at: by time, and until each series is there often enough."""
        known = self._heard[service, check]
        reach, allowance = course.reach(service, check), _allowance(course.configuration, service, check)
        needed = len(known)
        counts: dict[Series, int] = defaultdict(int)
        for index in range(len(known) - 1, -1, -1):
            series = _series(known[index])
            old = course.progress.judged.at.ns - _now(course.progress, known[index])
            few = reach.samples > 1 and any(counts[each] < reach.samples for each in series)
            if old < reach.over + 2 * allowance or few or index == len(known) - 1:
                needed = index
            for each in series:
                counts[each] += 1
        if allowance:
            # What was pushed before all these may have younger samples than they have, by an allowance.
            oldest = min((_oldest(course.progress, each) for each in known[needed:]), default=0) - allowance
            while needed and _now(course.progress, known[needed - 1]) > oldest:
                needed -= 1
        return known[needed:]


def _allowance(configuration: Configuration, service: str, check: str) -> Duration:
    checks = (each for one in configuration.services if one.name == service for each in one.checks)
    return next((each.allowance for each in checks if each.name == check), Duration(0))


def as_judged(admitted: Admitted, ruling: Ruling) -> Admitted:
    """What of an input rules may look back at: of a push only the samples that were taken to be judged."""
    what = admitted.input
    if not isinstance(what, Pushed):
        return admitted
    judged = (each for each, mark in zip(what.samples, ruling.taken, strict=True) if mark is Taken.JUDGED)
    return Admitted(admitted.stamp, Pushed(what.service, what.check, tuple(judged)))


def _now(progress: Progress, admitted: Admitted) -> int:
    """When it was, by the clock as it was set since."""
    shift = sum(delta for epoch, delta in progress.shifts if epoch > admitted.stamp.epoch)
    return admitted.stamp.at.ns + shift


def _oldest(progress: Progress, admitted: Admitted) -> int:
    """The instant (ns) of the oldest sample of a push, by the clock as it was set since."""
    assert isinstance(admitted.input, Pushed)
    now = _now(progress, admitted)
    return min((each.at.since(admitted.stamp.at) + now for each in admitted.input.samples), default=now)


def _series(admitted: Admitted) -> list[Series]:
    what = admitted.input
    if isinstance(what, Pushed):
        return [Series(what.service, what.check, each.metric, each.labels) for each in what.samples]
    assert isinstance(what, Observed), "nothing else is heard"
    if what.observation.outcome is Outcome.UNKNOWN:
        return []
    measured = [Series(what.service, what.check, each.metric, each.labels) for each in what.observation.measurements]
    return [*measured, Series(what.service, what.check, "up")]

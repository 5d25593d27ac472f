"""The use case of the live program: load, let the domain decide, commit state, events and notices together.

Knows the course and a store. Does not know clocks, queues, tasks or retries (`runtime`), nor what stands behind the
store; it never waits for anything but the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.course import Changes, Course, Decision, Ruling
from service_monitoring.domain.inputs import (
    Admitted,
    Configured,
    Marked,
    MarkKind,
    Observed,
    Pinged,
    Pushed,
    PushedSample,
    Requeued,
    Stamp,
    Stepped,
    Taken,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.recollections import recollect
from service_monitoring.domain.windows import Reach
from service_monitoring.ports import Asked, Commit, Enclosed, Ping, Recalled, Settlement, Store

MARK_EVERY: Final = Duration(5 * SECOND)
"""How often a sign of life is recorded when nothing else is."""

_DEEPEST: Final = 4096
_NOTHING_ENCLOSED: Final[Mapping[Stamp, Enclosed]] = MappingProxyType({})
_AT_ONCE: Final = 512
"""Checks that are asked for together: enough to be quick, few enough to be held in memory."""


class Round(Struct, frozen=True):
    """What came of a batch: observations and pushes for the sample file, one commit, and the rulings in its order.

    `marks` say what became of the samples of each push, by its stamp.
    """

    observations: tuple[Admitted, ...]
    commit: Commit | None
    rulings: tuple[Ruling, ...]
    marks: dict[Stamp, tuple[Taken, ...]] = {}

    @property
    def owed(self) -> tuple[Notice, ...]:
        """The notices that may be delivered once the round is kept."""
        notices = self.commit.notices if self.commit is not None else ()
        return tuple(notice for notice in notices if notice.held is None)

    @property
    def wants(self) -> tuple[str, ...]:
        """The checks that decisions wait for: they should run at once."""
        return tuple(dict.fromkeys(name for ruling in self.rulings for name in ruling.wants))


class Monitor:
    """The course with the store that it is kept in.

    One writer: call from one task. `judge` decides at once and without waiting; `keep` stores what was decided and
    may be called again with the same round when it failed. Nothing of a round may be shown or sent before it was kept.
    """

    def __init__(self, store: Store, course: Course, versions: dict[str, int]) -> None:
        self._store = store
        self._course = course
        self._versions = versions
        self._marked = Instant(0)

    @classmethod
    async def resume(cls, store: Store, *, expected: Configuration | None = None) -> Monitor:
        """Go on from what is stored: windows are filled, and what a crash left unjudged is judged and kept.

        `expected` is what the caller holds anyway: where the stored revision equals it, nobody holds a second one.
        """
        stored = await store.load()
        if stored.progress is None or stored.configuration is None:
            return cls(store, Course(), {})
        configuration = stored.configuration
        if expected is not None and expected == configuration:
            configuration = expected
        course = Course.revive(
            configuration=configuration,
            progress=stored.progress,
            holds=stored.holds,
            incidents=stored.incidents,
            jobs=stored.jobs,
            told=stored.told,
            silences=stored.silences,
        )
        judged_until, versions = stored.progress.judged, dict(stored.versions)
        del stored  # the windows take its place
        await _recall(store, course, configuration)
        monitor = cls(store, course, versions)
        unjudged = await store.beyond(judged_until)
        if unjudged:
            judged = monitor.judge(unjudged)
            await monitor.keep(Round((), judged.commit, judged.rulings))
        return monitor

    async def again(self) -> Monitor:
        """A monitor that goes on from the store, where this one is void."""
        return await Monitor.resume(self._store)

    @property
    def course(self) -> Course:
        """For questions; it is stepped by `judge` alone."""
        return self._course

    def judge(
        self,
        batch: Sequence[Admitted],
        settlements: Sequence[Settlement] = (),
        enclosed: Mapping[Stamp, Enclosed] = _NOTHING_ENCLOSED,
    ) -> Round:
        """Step the course through a batch; nothing is stored yet. `enclosed` is what came with reports, by stamp."""
        records: list[tuple[Stamp, Admitted | Decision]] = []
        rulings: list[Ruling] = []
        observations: list[Admitted] = []
        marks: dict[Stamp, tuple[Taken, ...]] = {}
        pings: list[Ping] = []
        for admitted, following in zip_longest(batch, batch[1:]):
            ruling = self._course.step(admitted)
            rulings.append(ruling)
            what = admitted.input
            if isinstance(what, Observed):
                observations.append(admitted)
            elif isinstance(what, Pushed) and not ruling.refusal:
                observations.append(admitted)
                marks[admitted.stamp] = ruling.taken
            elif isinstance(what, Pinged) and not ruling.refusal:
                pings.append(Ping(admitted.stamp, what, enclosed.get(admitted.stamp, Enclosed())))
            # A timer's decisions come before the input that woke it: the journal is in the order of the stamps.
            before = [pair for pair in ruling.decisions if pair[0] < admitted.stamp]
            records += before
            if not ruling.refusal and self._worth_recording(admitted, ruling, following):
                records.append((admitted.stamp, admitted))
            records += ruling.decisions[len(before) :]
        return Round(tuple(observations), self._commit(records, settlements, pings), tuple(rulings), marks)

    async def prepare(self, configured: Configured) -> None:
        """Before a revision is judged: hand over the history that its rules look back at, and those in force do not."""
        course = self._course
        services = {service.name: service for service in configured.configuration.services}
        looking = []
        for name, check_name, reach in course.lacks(configured.configuration):
            check = next(check for check in services[name].checks if check.name == check_name)
            looking.append(_Look(course, services[name], check, reach))
        async for look in _looked_back(self._store, course, [look for look in looking if not look.check.allowance]):
            course.refill(look.check.service, look.check.name, look.reach, look.seen.recollections)
        for look in looking:
            if look.check.allowance:
                known = recollect(await _pushed(self._store, course, look))
                course.refill(look.check.service, look.check.name, look.reach, known)

    async def keep(self, judged: Round) -> None:
        """Samples first, then everything that was decided, in one transaction.

        `Unavailable`: call again later. `Conflict`: somebody else wrote; this monitor is void, resume from the store.
        """
        if judged.observations:
            await self._store.record(judged.observations, marks=judged.marks)
        if judged.commit is not None:
            await self._store.commit(judged.commit)
            for service, version in judged.commit.versions:
                self._versions[service] = version + 1

    def _worth_recording(self, admitted: Admitted, ruling: Ruling, following: Admitted | None) -> bool:
        """What was measured is in the sample file; a sign of life counts now and then, or when a timer fired by it.

        So does the last one of an epoch, as it says how far that had come.
        """
        what = admitted.input
        if isinstance(what, Observed | Pushed):
            return False
        if isinstance(what, Marked):
            young = Instant(0) < self._marked and admitted.stamp.at.since(self._marked) < MARK_EVERY
            last = following is not None and isinstance(following.input, Stepped)
            if what.mark is MarkKind.ALIVE and young and not ruling.decisions and not last:
                return False
            self._marked = admitted.stamp.at
        return True

    def _commit(
        self,
        records: list[tuple[Stamp, Admitted | Decision]],
        settlements: Sequence[Settlement],
        pings: Sequence[Ping],
    ) -> Commit | None:
        changes = self._course.take_changes()
        if changes is None and not records and not settlements:
            return None
        changes = changes or Changes(self._course.progress, (), (), (), (), ())
        return Commit(
            progress=self._course.progress,
            records=tuple(records),
            versions=tuple((service, self._versions.get(service, 0)) for service in changes.touched),
            holds=changes.holds,
            forgotten=changes.forgotten,
            incidents=changes.incidents,
            told=changes.told,
            jobs=changes.jobs,
            silences=changes.silences,
            notices=tuple(record for _, record in records if isinstance(record, Notice)),
            settlements=tuple(settlements),
            configuration=_newest_configuration(records),
            pings=tuple(pings),
            requeued=_requeued(records),
        )


def _newest_configuration(records: list[tuple[Stamp, Admitted | Decision]]) -> Configuration | None:
    for _, record in reversed(records):
        if isinstance(record, Admitted) and isinstance(record.input, Configured):
            return record.input.configuration
    return None


def _requeued(records: list[tuple[Stamp, Admitted | Decision]]) -> tuple[str, ...]:
    inputs = (record.input for _, record in records if isinstance(record, Admitted))
    return tuple(what.notice for what in inputs if isinstance(what, Requeued))


async def _recall(store: Store, course: Course, configuration: Configuration) -> None:
    """Fill the windows with the samples that were judged before."""
    checks = [(service, check) for service in configuration.services for check in service.checks]
    # A part at a time: the answers for twenty thousand checks together are a tenth of a gigabyte.
    looking = (_Look(course, service, check, course.reach(service.name, check.name)) for service, check in checks)
    async for look in _looked_back(store, course, (look for look in looking if not look.check.allowance)):
        for recollection in look.seen.recollections:
            course.recall(recollection)
    for service, check in checks:
        if check.allowance:
            look = _Look(course, service, check, course.reach(service.name, check.name))
            course.recall_pushed(service.name, check.name, await _pushed(store, course, look))
    course.rebook()


async def _looked_back(store: Store, course: Course, looking: Iterable[_Look]) -> AsyncIterator[_Look]:
    """Each of them, once it has seen enough; hundreds are asked for at once."""
    rest = iter(looking)
    while part := list(islice(rest, _AT_ONCE)):
        wanting = part
        while wanting:
            answers = await store.recall([look.asked for look in wanting], until=course.progress.judged)
            wanting = [look for look, answer in zip(wanting, answers, strict=True) if not look.content(answer)]
        for look in part:
            yield look


async def _pushed(store: Store, course: Course, look: _Look) -> list[Admitted]:
    """What was pushed to a check, as far back as its rules look at any of its series."""
    check, least = look.check, look.asked.least

    async def ask(since: Instant) -> list[Admitted]:
        return await store.pushed(check.service, check.name, until=course.progress.judged, since=since, least=least)

    while True:
        known = await ask(look.asked.since)
        full = Recalled(tuple(recollect(known)), len(known) < least)
        if look.enough(full, least):
            break
        least *= 2
    # What came before all these may have younger samples than they have, by an allowance.
    oldest = min((sample.at for each in known for sample in _samples(each)), default=look.asked.since)
    since = oldest.plus(Duration(-check.allowance - look.forward))
    return await ask(since) if since < look.asked.since else known


def _samples(admitted: Admitted) -> tuple[PushedSample, ...]:
    assert isinstance(admitted.input, Pushed)
    return admitted.input.samples


class _Look:
    """One check's history, as far back as its rules look.

    A failed run lacks the measurements of the phases that it did not reach, so a rule over the last n samples may look
    further back than n runs: it looks twice as far until every series of a judged metric is there n times, or nothing
    older is stored.
    """

    __slots__ = ("asked", "check", "forward", "reach", "seen")

    def __init__(self, course: Course, service: Service, check: Check, reach: Reach) -> None:
        # Samples of an earlier epoch lie further back by as much as the wall clock was set forward since.
        self.forward = sum(max(0, delta) for _, delta in course.progress.shifts)
        # A pushed sample is decided an allowance after its instant, and came an allowance before it at the earliest.
        since = course.progress.judged.at.plus(Duration(-reach.over - self.forward - 2 * check.allowance))
        metrics = frozenset(rule.metric for rule in service.rules if rule.check == check.name) - {""}
        if not check.allowance:
            metrics -= {"up"}  # every run has it
        self.check = check
        self.reach = reach
        self.asked = Asked(service.name, check.name, since, reach.samples, metrics)
        self.seen = Recalled()

    def content(self, answer: Recalled) -> bool:
        """Whether the answer reaches back far enough; where not, `asked` is the next question."""
        self.seen = answer
        asked = self.asked
        if self.enough(answer, asked.least):
            return True
        self.asked = Asked(asked.service, asked.check, asked.since, asked.least * 2, asked.metrics)
        return False

    def enough(self, answer: Recalled, least: int) -> bool:
        """Whether there is no need to look back at more than the last `least` runs."""
        return self.reach.samples == 1 or answer.everything or least >= _DEEPEST or self._full(answer)

    def _full(self, answer: Recalled) -> bool:
        counts: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        for recollection in answer.recollections:
            for column in recollection.columns:
                if column.metric in self.asked.metrics:
                    place = (column.metric, column.labels)
                    counts[place] = counts.get(place, 0) + len(column.values)
        known = {metric for metric, _ in counts}
        return known == self.asked.metrics and all(count >= self.reach.samples for count in counts.values())

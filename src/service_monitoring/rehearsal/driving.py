"""The drivers of a rehearsal: history goes through the course, each decision at its own instant, nothing waits.

Knows the course and the ports of history. Does not know what follows what (`domain.course`), where history is kept
(`storage`), or any clock, task, thread, source or sink: what is handed in is all that it can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Course, Decision, Ruling
from service_monitoring.domain.inputs import (
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Pushed,
    Stamp,
)
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.recollections import recollect
from service_monitoring.domain.stretches import Gap
from service_monitoring.errors import Refused
from service_monitoring.ports import SampleHistory
from service_monitoring.rehearsal.restarted import Restarted, as_judged

Decided = tuple[Stamp, Decision]

Progress = Callable[[Instant, int], None]
"""Told how far a rehearsal has come in simulated time, and how many samples that were so far."""

_ALIVE: Final = Marked(MarkKind.ALIVE)
_ONE: Final = Duration(1)
_LAST: Final = Duration(-1)


class People(Protocol):
    """Who acts in a rehearsal where nothing says what people did."""

    def hear(self, stamp: Stamp, decision: Decision) -> None:
        """Something was decided."""
        ...

    def due(self) -> Instant | None:
        """When somebody acts next."""
        ...

    def take(self) -> Acted:
        """What they do then."""
        ...


def replay(recorded: Iterable[Admitted], until: Stamp, course: Course | Restarted | None = None) -> Iterator[Decided]:
    """What recorded inputs decide again, each decision with its stamp, in order; an input is asked for after that.

    `until` is how far the live program had come when its recording ends. Nothing is changed or left out: equal inputs,
    equal ledger. `course` is a new one where it is not given.
    """
    course = course or Course()
    heard: dict[tuple[str, str], list[Admitted]] = {}
    for admitted in recorded:
        what = admitted.input
        if isinstance(what, Configured):
            for service, check, reach in course.lacks(what.configuration):
                course.refill(service, check, reach, recollect(heard.get((service, check), ())))
        ruling = course.step(admitted)
        yield from ruling.decisions
        if isinstance(what, Observed | Pushed):
            heard.setdefault((what.service, what.check), []).append(as_judged(admitted, ruling))
    yield from course.step(Admitted(until, _ALIVE)).decisions


def play(
    history: SampleHistory,
    configuration: Configuration,
    since: Instant,
    until: Instant,
    *,
    people: People | None = None,
    progress: Progress | None = None,
) -> Iterator[Decided]:
    """What a history of samples decides in [since, until) under one configuration that begins cold at `since`.

    Each sample comes at its instant; those of one check at one instant are one run. `Refused` says what is wrong with
    the configuration. What is decided is handed out portion by portion, in order.
    """
    driver = _Driver(people)
    ruling = driver.step(since, Configured(configuration))
    if ruling.refusal:
        raise Refused(ruling.refusal)
    yield from ruling.decisions
    samples = 0
    for portion in history.portions(since, until):
        driver.course.hear(portion.stretches)
        yield from driver.advance(portion.until)
        if portion.gap is not None:
            yield from driver.miss(portion.gap)
        driver.course.take_changes()  # nobody stores them
        samples += sum(len(stretch.instants) for stretch in portion.stretches)
        if progress is not None:
            progress(portion.until, samples)
        # A portion is large: nobody holds on to it while the next one is read.
        driver.course.rest()
        del portion
    yield from driver.advance(until)
    yield from driver.step(until, _ALIVE).decisions


class _Driver:
    """A course and who acts on what it decides."""

    def __init__(self, people: People | None) -> None:
        self.course = Course()
        self._people = people
        self._free = Instant(0)
        """When somebody may act next."""

    def step(self, at: Instant, what: Input) -> Ruling:
        """One input, stamped with its instant."""
        ruling = self.course.step(Admitted(Stamp(0, at), what))
        # People come first at any instant.
        self._free = at if isinstance(what, Acted) else at.plus(_ONE)
        self._show(ruling)
        return ruling

    def advance(self, until: Instant) -> Iterator[Decided]:
        """Everything that is known before `until`, and what people do meanwhile.

        What follows at its last instant on what is known there is left: a gap may begin, or somebody act, just then.
        """
        last = max(until.plus(_LAST), self.course.progress.judged.at)
        if self._people is not None:
            while (act := self._next_act(self._people, last)) is not None:
                yield from act.decisions
        yield from self.step(max(last, self.course.progress.judged.at), _ALIVE).decisions

    def miss(self, gap: Gap) -> Iterator[Decided]:
        """Nobody watches from here on; nobody acts either, for nothing would take it."""
        yield from self.step(self.course.progress.judged.at, GapBegan(gap.cause)).decisions
        yield from self.step(gap.until, GapEnded()).decisions

    def _next_act(self, people: People, last: Instant) -> Ruling | None:
        """What is decided until somebody acts, and by their act; None where nobody does up to `last`.

        What is due comes one instant at a time: any of it may be what somebody acts on.
        """
        due, acts = self.course.due(), people.due()
        if acts is not None and acts <= last and (due is None or acts <= due):
            # What was due in a gap comes as soon as it is over.
            return self.step(max(acts, self._free), people.take())
        if due is None or due >= last:
            return None
        return self.step(due.plus(_ONE), _ALIVE)

    def _show(self, ruling: Ruling) -> None:
        if self._people is not None:
            for stamp, decision in ruling.decisions:
                self._people.hear(stamp, decision)

"""The drivers of a rehearsal: history goes through the course, each decision at its own instant, nothing waits.

Knows the course and the ports of history. Does not know what follows what (`domain.course`), where history is kept
(`storage`), or any clock, task, thread, source or sink: what is handed in is all that it can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from service_monitoring.domain.course import Course, Decision
from service_monitoring.domain.inputs import (
    Admitted,
    Configured,
    Marked,
    MarkKind,
    Observed,
    Pushed,
    Stamp,
    Taken,
)
from service_monitoring.domain.recollections import recollect

Decided = tuple[Stamp, Decision]


def replay(recorded: Iterable[Admitted], until: Stamp) -> Iterator[Decided]:
    """What recorded inputs decide again, each decision with its stamp, in order.

    `until` is how far the live program had come when its recording ends. Nothing is changed or left out: equal inputs,
    equal ledger.
    """
    course = Course()
    heard: dict[tuple[str, str], list[Admitted]] = {}
    for admitted in recorded:
        what = admitted.input
        if isinstance(what, Configured):
            for service, check, reach in course.lacks(what.configuration):
                course.refill(service, check, reach, recollect(heard.get((service, check), ())))
        ruling = course.step(admitted)
        yield from ruling.decisions
        if isinstance(what, Pushed):
            judged = (each for each, mark in zip(what.samples, ruling.taken, strict=True) if mark is Taken.JUDGED)
            what = Pushed(what.service, what.check, tuple(judged))
        if isinstance(what, Observed | Pushed):
            heard.setdefault((what.service, what.check), []).append(Admitted(admitted.stamp, what))
    yield from course.step(Admitted(until, Marked(MarkKind.ALIVE))).decisions


Progress = Callable[[Stamp, int], None]
"""Told how far a rehearsal has come in simulated time, and how many samples that were."""

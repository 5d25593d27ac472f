"""The thinnest rehearsal there can be: recorded inputs through the course, by a loop that knows no order of its own."""

from collections.abc import Iterable

from service_monitoring.domain.course import Course, Decision
from service_monitoring.domain.inputs import Admitted, Configured, Marked, MarkKind, Observed, Pushed, Stamp, Taken
from service_monitoring.domain.recollections import recollect


def rehearse(recorded: Iterable[Admitted], until: Stamp) -> list[Decision]:
    """What the same inputs decide again; `until` is how far the live program had come when its recording ends."""
    course = Course()
    decisions: list[Decision] = []
    heard: dict[tuple[str, str], list[Admitted]] = {}
    for admitted in recorded:
        what = admitted.input
        if isinstance(what, Configured):
            for service, check, reach in course.lacks(what.configuration):
                course.refill(service, check, reach, recollect(heard.get((service, check), ())))
        ruling = course.step(admitted)
        decisions += [decision for _, decision in ruling.decisions]
        if isinstance(what, Pushed):
            judged = (each for each, mark in zip(what.samples, ruling.taken, strict=True) if mark is Taken.JUDGED)
            what = Pushed(what.service, what.check, tuple(judged))
        if isinstance(what, Observed | Pushed):
            heard.setdefault((what.service, what.check), []).append(Admitted(admitted.stamp, what))
    end = course.step(Admitted(until, Marked(MarkKind.ALIVE)))
    return decisions + [decision for _, decision in end.decisions]

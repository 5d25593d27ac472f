"""The thinnest rehearsal there can be: recorded inputs through the course, by a loop that knows no order of its own."""

from collections.abc import Iterable

from service_monitoring.domain.course import Course, Decision
from service_monitoring.domain.inputs import Admitted, Marked, MarkKind, Stamp


def rehearse(recorded: Iterable[Admitted], until: Stamp) -> list[Decision]:
    """What the same inputs decide again; `until` is how far the live program had come when its recording ends."""
    course = Course()
    decisions: list[Decision] = []
    for admitted in recorded:
        decisions += [decision for _, decision in course.step(admitted).decisions]
    end = course.step(Admitted(until, Marked(MarkKind.ALIVE)))
    return decisions + [decision for _, decision in end.decisions]

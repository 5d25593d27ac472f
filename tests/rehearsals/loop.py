"""What the tests of recorded days ask of a rehearsal: the decisions alone."""

from collections.abc import Iterable

from service_monitoring.domain.course import Decision
from service_monitoring.domain.inputs import Admitted, Stamp
from service_monitoring.rehearsal.driving import replay


def rehearse(recorded: Iterable[Admitted], until: Stamp) -> list[Decision]:
    """What the same inputs decide again."""
    return [decision for _, decision in replay(recorded, until)]

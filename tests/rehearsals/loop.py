"""What the tests of recorded days ask of a rehearsal, and a recording that is held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service_monitoring.domain.course import Decision
from service_monitoring.domain.inputs import Admitted, Stamp
from service_monitoring.rehearsal.driving import replay


def rehearse(recorded: Iterable[Admitted], until: Stamp) -> list[Decision]:
    """What the same inputs decide again."""
    return [decision for _, decision in replay(recorded, until)]


class Recording:
    """`RecordedHistory` of inputs in their order; decisions had come as far as `judged`."""

    def __init__(self, inputs: Iterable[Admitted], judged: Stamp) -> None:
        self._inputs = list(inputs)
        self._judged = judged

    def extent(self) -> tuple[Stamp, Stamp] | None:
        return (self._inputs[0].stamp, self._judged) if self._inputs else None

    def inputs(self) -> Iterator[Admitted]:
        return iter(self._inputs)

"""Recollections: what a check said before a start, as far as decisions look back, as columns for its windows.

Knows series and observations. Does not know who kept them, how far back to look, or what a rule makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from service_monitoring.domain.inputs import Admitted, Observed
from service_monitoring.domain.samples import Outcome, Reason, samples_of

Labels = tuple[tuple[str, str], ...]


class Column(Struct, frozen=True):
    """Samples of one series of a check: instants (ns), never falling, and the values at them."""

    metric: str
    labels: Labels
    instants: Sequence[int]
    values: Sequence[float]


class Recollection(Struct, frozen=True):
    """What a check said within one epoch. `reason` and `detail` are those of its newest run that was not unknown."""

    service: str
    check: str
    epoch: int
    reason: Reason | None
    detail: str
    columns: tuple[Column, ...]


def recollect(observations: Iterable[Admitted]) -> list[Recollection]:
    """The recollections of observations that are in order: one for each check and epoch; unknown runs say nothing."""
    said: dict[tuple[str, str, int], tuple[Reason | None, str]] = {}
    heard: dict[tuple[str, str, int], dict[tuple[str, Labels], tuple[list[int], list[float]]]] = {}
    for admitted in observations:
        what, stamp = admitted.input, admitted.stamp
        assert isinstance(what, Observed)
        if what.observation.outcome is Outcome.UNKNOWN:
            continue
        key = (what.service, what.check, stamp.epoch)
        said[key] = (what.observation.reason, what.observation.detail)
        columns = heard.setdefault(key, {})
        for sample in samples_of(what.service, what.check, what.observation, stamp.at):
            instants, values = columns.setdefault((sample.series.metric, sample.series.labels), ([], []))
            instants.append(stamp.at.ns)
            values.append(sample.value)
    return [
        Recollection(*key, *said[key], tuple(Column(*place, *column) for place, column in columns.items()))
        for key, columns in heard.items()
    ]

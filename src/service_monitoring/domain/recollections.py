"""Recollections: what a check said before a start, as far as decisions look back, as columns for its windows.

Knows series and observations. Does not know who kept them, how far back to look, or what a rule makes of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from service_monitoring.domain.inputs import Admitted, Observed, Pushed
from service_monitoring.domain.instants import Instant
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


def recollect(recorded: Iterable[Admitted]) -> list[Recollection]:
    """The recollections of observations and pushes that are in order: one for each check and epoch.

    Unknown runs say nothing. Pushed samples are put in the order of their instants.
    """
    said: dict[tuple[str, str, int], tuple[Reason | None, str]] = {}
    heard: dict[tuple[str, str, int], dict[tuple[str, Labels], tuple[list[int], list[float]]]] = {}
    for admitted in recorded:
        what = admitted.input
        assert isinstance(what, Observed | Pushed)
        key = (what.service, what.check, admitted.stamp.epoch)
        if isinstance(what, Observed):
            if what.observation.outcome is Outcome.UNKNOWN:
                continue
            said[key] = (what.observation.reason, what.observation.detail)
        columns = heard.setdefault(key, {})
        for at, place, value in _samples(what, admitted.stamp.at):
            instants, values = columns.setdefault(place, ([], []))
            index = bisect_right(instants, at)
            instants.insert(index, at)
            values.insert(index, value)
    return [
        Recollection(
            *key, *said.get(key, (None, "")), tuple(Column(*place, *column) for place, column in columns.items())
        )
        for key, columns in heard.items()
    ]


def _samples(what: Observed | Pushed, at: Instant) -> Iterator[tuple[int, tuple[str, Labels], float]]:
    if isinstance(what, Pushed):
        for pushed in what.samples:
            yield pushed.at.ns, (pushed.metric, pushed.labels), pushed.value
    else:
        for sample in samples_of(what.service, what.check, what.observation, at):
            yield at.ns, (sample.series.metric, sample.series.labels), sample.value

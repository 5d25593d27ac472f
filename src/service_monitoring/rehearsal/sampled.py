"""Rehearsing samples that somebody else recorded: columns under one configuration, begun cold.

Knows the driver of columns, and which samples it is for. Does not know what the samples were called where they came
from; what people did and why a run failed is not in such a history at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Decision
from service_monitoring.domain.instants import NANOSECOND, Duration, Instant
from service_monitoring.domain.stretches import Portion
from service_monitoring.errors import Refused
from service_monitoring.ports import Flaw, SampleHistory
from service_monitoring.rehearsal.assumed import Assumed
from service_monitoring.rehearsal.driving import Progress, play
from service_monitoring.rehearsal.recorded import look_back, named, outside
from service_monitoring.rehearsal.rehearsed import Rehearsed


def sampled(
    history: SampleHistory,
    configuration: Configuration,
    since: Instant,
    until: Instant,
    *,
    assumed: Assumed | None = None,
    progress: Progress | None = None,
) -> Rehearsed:
    """What `configuration` decides about a history in [since, until).

    It begins cold so long before `since` as its rules look back, or at the first sample; it ends with the last one:
    nobody knows what came after. `Refused` where no sample is of a check that is configured.
    """
    first, last = history.extent() or (since, since)
    back = look_back(configuration)
    begin, end = max(first, since.plus(Duration(-back))), min(until, last.plus(NANOSECOND))
    wanted = _Wanted(history, configuration)
    decisions: tuple[Decision, ...] = ()
    if begin < end:
        decided = play(wanted, configuration, begin, end, people=assumed, progress=progress)
        decisions = tuple(decision for stamp, decision in decided if stamp.at >= since)
    wanted.refuse_strangers()
    limits = [*outside(since, until, first, last), *wanted.limits()]
    return Rehearsed(
        since=since,
        until=until,
        warm=min(until, max(since, begin.plus(back))),
        configuration=configuration,
        decisions=decisions,
        samples=wanted.samples,
        flaws=tuple(history.flaws()),
        limits=tuple(limits if assumed is None else [*limits, assumed.limit]),
    )


class _Wanted:
    """The samples of a history that are of configured checks, under the same laws; remembers what the others are of."""

    def __init__(self, history: SampleHistory, configuration: Configuration) -> None:
        self.samples = 0
        self._history = history
        self._checks = {(check.service, check.name) for service in configuration.services for check in service.checks}
        self._heard: set[tuple[str, str]] = set()
        self._strangers: set[tuple[str, str]] = set()

    def extent(self) -> tuple[Instant, Instant] | None:
        return self._history.extent()

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        for portion in self._history.portions(since, until):
            kept = []
            for stretch in portion.stretches:
                check = (stretch.series.service, stretch.series.check)
                if check in self._checks:
                    self._heard.add(check)
                    self.samples += len(stretch.instants)
                    kept.append(stretch)
                else:
                    self._strangers.add(check)
            yield replace(portion, stretches=tuple(kept))

    def flaws(self) -> Sequence[Flaw]:
        return self._history.flaws()

    def refuse_strangers(self) -> None:
        """A rehearsal of nothing would look like a quiet one."""
        if self._strangers and not self._heard:
            raise Refused(
                f"no sample of this history is of a configured check: they are of {_listed(self._strangers)}; "
                "give the configuration these names, or say in a mapping file which series is which: --mapping FILE"
            )

    def limits(self) -> Iterator[str]:
        """What a reader must know of it."""
        silent = self._checks - self._heard
        if silent:
            yield f"nothing was recorded of {_listed(silent)}: rules on it say nothing"
        if self._strangers:
            yield f"samples of {_listed(self._strangers)} were left out: the configuration has no such check"


def _listed(checks: set[tuple[str, str]]) -> str:
    return named(sorted(f"{service}.{check}" for service, check in checks))

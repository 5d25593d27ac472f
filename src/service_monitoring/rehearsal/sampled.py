"""Rehearsing samples that somebody else recorded: columns under one configuration, begun cold.

Knows the driver of columns, and which samples it is for. Does not know what the samples were called where they came
from; what people did, what jobs reported and why a run failed is not in such a history at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.configuration import Check, Configuration
from service_monitoring.domain.course import Decision
from service_monitoring.domain.instants import NANOSECOND, Duration, Instant
from service_monitoring.domain.strategies import Absence
from service_monitoring.domain.stretches import Portion
from service_monitoring.errors import Refused
from service_monitoring.ports import Flaw, SampleHistory
from service_monitoring.rehearsal.assumed import Assumed
from service_monitoring.rehearsal.driving import Progress, play
from service_monitoring.rehearsal.paces import Pace, Paces
from service_monitoring.rehearsal.recorded import look_back, outside
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.unheard import left_out, named, waiting_for, waiting_for_reports, without
from service_monitoring.views.because import length_text

_MENTIONED: Final = 0.01
"""A pause that is a smaller share of the range is not worth a sentence."""


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
    nobody knows what came after. Rules that wait for what such a history cannot have are left out. `Refused` where no
    sample is of a check that is configured.
    """
    reports = waiting_for_reports(configuration)
    rehearsed, waited = _played(history, configuration, reports, since, until, assumed, progress)
    if waited:
        # Which checks a history does not have is known at its end, and then rules on them have waited in vain.
        again = None if assumed is None else assumed.anew()
        rehearsed, _ = _played(history, configuration, reports | waited, since, until, again, progress)
    return rehearsed


def _played(
    history: SampleHistory,
    whole: Configuration,
    mute: Set[str],
    since: Instant,
    until: Instant,
    assumed: Assumed | None,
    progress: Progress | None,
) -> tuple[Rehearsed, frozenset[str]]:
    """What comes of it without some rules, and which others wait for checks that are not in the history."""
    configuration = without(whole, mute)
    first, last = history.extent() or (since, since)
    back = look_back(configuration)
    begin, end = max(first, since.plus(Duration(-back))), min(until, last.plus(NANOSECOND))
    wanted = _Wanted(history, configuration, max(begin, since), end)
    decisions: tuple[Decision, ...] = ()
    if begin < end:
        decided = play(wanted, configuration, begin, end, people=assumed, progress=progress)
        decisions = tuple(decision for stamp, decision in decided if stamp.at >= since)
    wanted.refuse_strangers()
    limits = [*outside(since, until, first, last), *wanted.limits(mute), _never_recorded(assumed)]
    rehearsed = Rehearsed(
        since=since,
        until=until,
        warm=min(until, max(since, begin.plus(back))),
        configuration=configuration,
        decisions=decisions,
        samples=wanted.samples,
        flaws=tuple(history.flaws()),
        limits=tuple(limits if assumed is None else [*limits, assumed.limit]),
    )
    return rehearsed, waiting_for(whole, wanted.silent()) - mute


def _never_recorded(assumed: Assumed | None) -> str:
    nobody = "" if assumed else ", nobody acknowledges anything (--assume ack=10m assumes that somebody does)"
    return (
        f"samples alone are known here: every notice counts as delivered{nobody}, and probes are not run again: "
        "their retries, timeouts and reasons are not in it"
    )


class _Wanted:
    """The samples of a history that are of configured checks, under the same laws; remembers what the others are of."""

    def __init__(self, history: SampleHistory, configuration: Configuration, since: Instant, until: Instant) -> None:
        self.samples = 0
        self._history = history
        self._configuration = configuration
        self._since, self._until = since, until
        self._checks = {
            (check.service, check.name): check for service in configuration.services for check in service.checks
        }
        self._paces = Paces(since, until)
        self._heard: set[tuple[str, str]] = set()
        self._strangers: set[tuple[str, str]] = set()

    def extent(self) -> tuple[Instant, Instant] | None:
        return self._history.extent()

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        return map(self._kept, self._history.portions(since, until))

    def _kept(self, portion: Portion) -> Portion:
        kept = []
        for stretch in portion.stretches:
            check = (stretch.series.service, stretch.series.check)
            if check in self._checks:
                self._heard.add(check)
                self.samples += len(stretch.instants)
                kept.append(stretch)
            else:
                self._strangers.add(check)
        self._paces.take(kept)
        return replace(portion, stretches=tuple(kept))

    def flaws(self) -> Sequence[Flaw]:
        return self._history.flaws()

    def silent(self) -> set[tuple[str, str]]:
        """Checks of which the history has nothing."""
        return self._checks.keys() - self._heard

    def refuse_strangers(self) -> None:
        """A rehearsal of nothing would look like a quiet one."""
        if self._strangers and not self._heard:
            raise Refused(
                f"no sample of this history is of a configured check: they are of {_listed(self._strangers)}; "
                "give the configuration these names, or say in a mapping file which series is which: --mapping FILE"
            )

    def limits(self, mute: Set[str]) -> Iterator[str]:
        """What a reader must know of it."""
        if mute:
            yield left_out(mute)
        silent = {check for check in self.silent() if self._checks[check].expects is None}
        if silent:
            yield f"nothing was recorded of {_listed(silent)}: rules on it say nothing"
        heard = [(self._checks[check], self._paces.of(self._checks[check])) for check in sorted(self._heard)]
        yield from self._slow(heard)
        yield from self._hasty(heard)
        yield from self._paused(heard)
        if self._strangers:
            yield f"samples of {_listed(self._strangers)} were left out: the configuration has no such check"

    def _slow(self, heard: Sequence[tuple[Check, Pace]]) -> Iterator[str]:
        """Checks whose verdicts are Unknown before the next sample comes."""
        for check, pace in heard:
            if pace.usual is not None and 0 < check.stale_after < pace.usual:
                usual, stale = length_text(pace.usual), length_text(check.stale_after)
                enough = length_text(Duration(pace.usual * 5 // 2))
                yield (
                    f"{check.id} has a sample every {usual} here, and verdicts are unknown {stale} after each: "
                    f"most of the time rules on it know nothing; rehearse it with stale_after: {enough}"
                )

    def _hasty(self, heard: Sequence[tuple[Check, Pace]]) -> Iterator[str]:
        """Rules that take the usual interval for silence."""
        usual = {check.id: pace.usual for check, pace in heard}
        for service in self._configuration.services:
            for rule in service.rules:
                pace = usual.get(f"{service.name}.{rule.check}")
                if pace is not None and isinstance(rule.strategy, Absence) and rule.strategy.after < pace:
                    yield (
                        f"{rule.id} waits {length_text(rule.strategy.after)} for a sample, and here they come every "
                        f"{length_text(pace)}: it opens before each; rehearse it with a longer absent_for"
                    )

    def _paused(self, heard: Sequence[tuple[Check, Pace]]) -> Iterator[str]:
        """How much of the range nobody watched, as far as that can be told."""
        shares = {check.id: pace.silent(self._since, self._until) for check, pace in heard}
        paused = sorted((-share, name) for name, share in shares.items() if share >= _MENTIONED)
        if paused:
            said = named([f"{name} ({-share:.0%})" for share, name in paused])
            yield (
                f"for part of the range there are no samples of {said}: whether nobody watched or nothing came "
                "cannot be told, and rules take it for missing data"
            )


def _listed(checks: set[tuple[str, str]]) -> str:
    return named(sorted(f"{service}.{check}" for service, check in checks))

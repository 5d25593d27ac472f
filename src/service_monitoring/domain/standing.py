"""Standing: how one rule stands on one series, for people who ask: its verdict, what counts, what is next, and why.

Reads what holds keep and changes nothing. Knows holds and terms; does not know rules, nor who is told of what.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from service_monitoring.domain import holds
from service_monitoring.domain.holds import Doubt, Hold, Phase, StoredHold, Terms
from service_monitoring.domain.inputs import Order
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.rules import NoDataMode
from service_monitoring.domain.verdicts import Code, Evidence


class Opinion(StrEnum):
    """A verdict as people read it."""

    BREACHED = "breached"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


class Why(StrEnum):
    """What keeps a verdict from being simply that of the newest sample, or an incident from simply following it."""

    NOTHING_HEARD = "nothing_heard"
    TOO_LITTLE = "too_little"
    STALE = "stale"
    NOT_MEASURED = "not_measured"
    GAP = "gap"
    AFTER_GAP = "after_gap"
    NO_DATA = "no_data"
    OFF_HOURS = "off_hours"
    FLAPPING = "flapping"
    RESOLVED_BY_HAND = "resolved_by_hand"
    NOT_YET_RECOVERED = "not_yet_recovered"


class Counted(StrEnum):
    """What observed time is counted for."""

    HOLD = "for"
    RECOVERY = "recovery"
    NO_DATA = "no_data"
    ABSENCE = "absent_for"


class Count(Struct, frozen=True):
    """So much of what is needed has been counted."""

    what: Counted
    accrued: Duration
    needed: Duration


class Standing(Struct, frozen=True):
    """One rule on one series. `lag` is how long after its instant a sample is judged.

    `deadline` (ns) is when its job is asked for next, where the rule is about a job.
    """

    stored: StoredHold
    terms: Terms
    lag: Duration
    evidence: Evidence
    deadline: int | None = None

    @property
    def verdict(self) -> Opinion:
        """What the rule says."""
        return opinion(Code.UNKNOWN if self.stored.hold.blind else self.stored.hold.code)

    def since(self) -> Instant | None:
        """Since when it stands so, verdict, episode, gap and hours together; None where it never said anything."""
        hold = self.stored.hold
        if hold.blind or hold.code is not Code.UNKNOWN:
            return Instant(hold.at)
        match hold.doubt:
            case Doubt.SILENT:
                return Instant(hold.at - hold.silent)
            case Doubt.AFTER_GAP:
                return Instant(hold.anchor)
            case _:
                return None

    def due(self) -> tuple[Instant, Order] | None:
        """When the next decision comes by itself, if no sample comes before, and which."""
        wanted = holds.due(self.stored.hold, self.terms, self.stored.heard)
        if wanted is not None:
            return Instant(wanted[0] + self.lag), wanted[1]
        return None if self.deadline is None else (Instant(self.deadline), Order.SCHEDULE)

    def counts(self, at: Instant) -> Iterator[Count]:
        """What was counted when everything up to `at` is decided."""
        hold, terms = self._counted(at), self.terms
        if hold.phase is Phase.PENDING:
            yield Count(Counted.HOLD, Duration(hold.accrued), terms.holds_for)
        elif hold.phase is Phase.OPEN and (hold.code is Code.RECOVERED or hold.accrued):
            yield Count(Counted.RECOVERY, Duration(hold.accrued), terms.recovers_for)
        if hold.doubt is Doubt.SILENT and terms.no_data.mode is NoDataMode.BREACH_AFTER:
            yield Count(Counted.NO_DATA, Duration(hold.silent), terms.no_data.after)
        if terms.absent_for is not None and hold.code is not Code.BREACHED and not hold.blind:
            silent = hold.at - max(self.stored.heard, hold.anchor)
            yield Count(Counted.ABSENCE, Duration(max(0, silent)), terms.absent_for)

    def why(self, at: Instant) -> Iterator[Why]:
        """What is to be said besides the verdict, when everything up to `at` is decided."""
        hold = self.stored.hold
        if hold.blind:
            yield Why.GAP
        else:
            yield from self._doubts(hold, self._counted(at).at)
        if hold.phase is Phase.OPEN and hold.code is Code.BETWEEN:
            yield Why.NOT_YET_RECOVERED
        if hold.off:
            yield Why.OFF_HOURS
        if hold.barred:
            yield Why.RESOLVED_BY_HAND
        if self.stored.flips.flapping:
            yield Why.FLAPPING

    def _doubts(self, hold: Hold, at: int) -> Iterator[Why]:
        match hold.doubt:
            case Doubt.FRESH if hold.code is Code.UNKNOWN:
                yield Why.TOO_LITTLE if self.stored.heard else Why.NOTHING_HEARD
            case Doubt.SILENT:
                stale_after = self.terms.stale_after
                stale = stale_after is not None and at >= self.stored.heard + hold.credit + stale_after
                yield Why.STALE if stale else Why.NOT_MEASURED
            case Doubt.AFTER_GAP:
                yield Why.AFTER_GAP
            case Doubt.PRESUMED:
                yield Why.NO_DATA
            case _:
                pass

    def _counted(self, at: Instant) -> Hold:
        hold = self.stored.hold
        return holds.counted_to(hold, max(hold.at, at.ns - self.lag))


def opinion(code: Code) -> Opinion:
    """A code as people read it."""
    if code is Code.UNKNOWN:
        return Opinion.UNKNOWN
    return Opinion.HEALTHY if code in (Code.RECOVERED, Code.BETWEEN) else Opinion.BREACHED

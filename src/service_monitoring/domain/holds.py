"""Holds: the one scalar fold that counts observed time, for `for`, `recover`, silence and `no_data`.

Knows codes, instants and gaps of one rule on one series. Does not know what a sample's value was (`strategies`), which
incident follows (`policy`) or which clock is running: it steps when it is asked, and says when it wants to be asked
again. Time inside a gap is counted by nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.incidents import Cause
from service_monitoring.domain.inputs import Order
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.rules import NoData, NoDataMode
from service_monitoring.domain.samples import Reason, Series
from service_monitoring.domain.verdicts import Code


class Phase(StrEnum):
    """How far an episode is. `open` covers the acknowledged incident: the fold does not care."""

    QUIET = "quiet"
    PENDING = "pending"
    OPEN = "open"


class Doubt(StrEnum):
    """Why the verdict in force is not simply that of the last sample."""

    NONE = "none"
    FRESH = "fresh"
    SILENT = "silent"
    PRESUMED = "presumed"
    AFTER_GAP = "after_gap"


class Turn(StrEnum):
    """What an episode did in a step."""

    BEGAN = "began"
    OPENED = "opened"
    DROPPED = "dropped"
    RESOLVED = "resolved"


class Terms(Struct, frozen=True):
    """What a rule and its check say of time. `stale_after` is None where silence is the rule's own subject."""

    holds_for: Duration = Duration(0)
    recovers_for: Duration = Duration(0)
    no_data: NoData = NoData()
    stale_after: Duration | None = None
    absent_for: Duration | None = None


class Hold(Struct, frozen=True):
    """State of one rule on one series.

    `at` is the instant (ns) up to which time is counted; `accrued` counts the breach of a pending episode or the
    recovery of an open one; `silent` counts Unknown for `no_data`. `anchor` is where silence counts from when that is
    later than the last sample (activation, end of a gap); `credit` is the length of the gaps since the last sample.
    `blind`: a gap is on, nothing counts, and `code` is the verdict put aside. `barred`: a person resolved it while
    breached, and no Healthy verdict came since.
    """

    at: int
    phase: Phase = Phase.QUIET
    code: Code = Code.UNKNOWN
    doubt: Doubt = Doubt.FRESH
    accrued: int = 0
    silent: int = 0
    anchor: int = 0
    credit: int = 0
    blind: bool = False
    barred: bool = False


class StoredHold(Struct, frozen=True):
    """A hold as it is kept between runs, with the incident it carries and the one before.

    `heard` is the newest sample's instant (ns, 0 for none) and `value` its value, `reason` and `detail` what its run
    said, all as of the last change of the hold: younger samples that changed nothing come back from history.
    """

    service: str
    rule: str
    series: Series
    hold: Hold
    incident: str = ""
    previous: str = ""
    heard: int = 0
    value: float = 0.0
    reason: Reason | None = None
    detail: str = ""


class Step(Struct, frozen=True):
    """The hold after a step and what the episode did in it, in order, with its cause."""

    hold: Hold
    turns: tuple[tuple[Turn, Cause], ...] = ()


_QUIETED: Final = (Code.RECOVERED, Code.BETWEEN)


def due(hold: Hold, terms: Terms, heard: int) -> tuple[int, Order] | None:
    """When the hold wants to be asked again, and for what; `heard` is the instant (ns) of the last sample.

    Of several at one instant the first in `Order` is given.
    """
    if hold.blind:
        return None
    if hold.phase is Phase.QUIET and hold.doubt is Doubt.NONE and terms.absent_for is None:
        # All is well, as nearly always: nothing but silence is waited for.
        stale_after = terms.stale_after
        return None if stale_after is None else (max(heard + hold.credit + stale_after, hold.at), Order.STALE)
    wanted: list[tuple[int, Order]] = []
    if hold.phase is Phase.PENDING and hold.code is Code.BREACHED:
        wanted.append((hold.at + terms.holds_for - hold.accrued, Order.HOLD))
    if hold.phase is Phase.OPEN and hold.code is Code.RECOVERED:
        wanted.append((hold.at + terms.recovers_for - hold.accrued, Order.RECOVERY))
    if terms.absent_for is not None:
        if hold.code is not Code.BREACHED:
            wanted.append((max(heard, hold.anchor) + terms.absent_for, Order.ABSENCE))
    elif terms.stale_after is not None:
        if hold.doubt is Doubt.NONE:
            wanted.append((heard + hold.credit + terms.stale_after, Order.STALE))
        elif hold.doubt is Doubt.AFTER_GAP:
            wanted.append((hold.anchor + terms.stale_after, Order.STALE))
    if hold.doubt is Doubt.SILENT and terms.no_data.mode is NoDataMode.BREACH_AFTER:
        wanted.append((hold.at + terms.no_data.after - hold.silent, Order.NO_DATA))
    # What a `stale_after` that was made shorter would have asked for in the past is asked for now.
    return min(((max(instant, hold.at), what) for instant, what in wanted), default=None)


def counted_to(hold: Hold, at: int) -> Hold:
    """Count the time from `hold.at` to `at` for whatever is accruing."""
    passed = at - hold.at
    if hold.blind or passed == 0:
        return replace(hold, at=at)
    if hold.doubt is Doubt.SILENT:
        return replace(hold, at=at, silent=hold.silent + passed)
    pending = hold.phase is Phase.PENDING and hold.code is Code.BREACHED
    recovering = hold.phase is Phase.OPEN and hold.code is Code.RECOVERED
    return replace(hold, at=at, accrued=hold.accrued + passed) if pending or recovering else replace(hold, at=at)


def judged(hold: Hold, terms: Terms, at: int, code: Code) -> Step:
    """A sample came at `at` and its strategy says `code`.

    Unknown means that its window holds too little. When our own gap emptied it, that is no missing data either: silence
    counts from here.
    """
    counted = replace(counted_to(hold, at), credit=0)
    if code is not Code.UNKNOWN:
        return _turned(counted, terms, at, code, Doubt.NONE, Cause.SAMPLE)
    if hold.doubt is Doubt.AFTER_GAP or hold.credit:
        return _turned(replace(counted, anchor=at), terms, at, code, Doubt.AFTER_GAP, Cause.SAMPLE)
    doubt = Doubt.FRESH if hold.doubt is Doubt.FRESH else Doubt.SILENT
    return _turned(counted, terms, at, code, doubt, Cause.SAMPLE)


def unknown(hold: Hold, terms: Terms, at: int) -> Step:
    """A run was `unknown`: nothing can be said of the series from `at` on, and no absence counts through it.

    A breach that `no_data` presumes goes on: the data is missing as before.
    """
    counted = counted_to(hold, at)
    if terms.absent_for is not None:
        return Step(replace(counted, code=Code.UNKNOWN, doubt=Doubt.AFTER_GAP, anchor=at))
    if hold.doubt is Doubt.PRESUMED:
        return Step(counted)
    doubt = Doubt.FRESH if hold.doubt is Doubt.FRESH else Doubt.SILENT
    return _turned(counted, terms, at, Code.UNKNOWN, doubt, Cause.SAMPLE)


def fired(hold: Hold, terms: Terms, at: int, what: Order) -> Step:
    """What `due` asked for has come; `at` is its due instant, however late the caller is."""
    counted = counted_to(hold, at)
    match what:
        case Order.HOLD:
            opened = replace(counted, phase=Phase.OPEN, accrued=0)
            return Step(opened, ((Turn.OPENED, _cause(hold)),))
        case Order.RECOVERY:
            return Step(replace(counted, phase=Phase.QUIET, accrued=0), ((Turn.RESOLVED, Cause.TIMER),))
        case Order.STALE:
            return _turned(counted, terms, at, Code.UNKNOWN, Doubt.SILENT, Cause.TIMER)
        case Order.ABSENCE:
            return _turned(counted, terms, at, Code.BREACHED, Doubt.NONE, Cause.TIMER)
        case Order.NO_DATA:
            return _turned(counted, terms, at, Code.BREACHED, Doubt.PRESUMED, Cause.NO_DATA)
        case _:
            raise AssertionError(f"a hold never asks for {what!r}")


def blinded(hold: Hold, at: int) -> Hold:
    """Nobody watches from `at` on: every verdict is Unknown (unobserved) and nothing counts."""
    return hold if hold.blind else replace(counted_to(hold, at), blind=True)


def sighted(hold: Hold, terms: Terms, at: int, heard: int) -> Hold:
    """The gap ends at `at`: the verdict returns if its sample is younger than `stale_after` by the wall.

    Otherwise it stays Unknown until the next sample, and silence counts from here: a restart alone is no missing data.
    An absence that was breached is Unknown until its whole time has passed again or a sample comes.
    """
    if not hold.blind:
        return hold
    back = replace(hold, at=at, anchor=at, credit=hold.credit + at - hold.at, blind=False)
    if hold.code is Code.UNKNOWN:
        return back
    if terms.absent_for is not None:
        returns = hold.code in _QUIETED
    else:
        returns = hold.doubt is Doubt.NONE and (terms.stale_after is None or at - heard < terms.stale_after)
    return back if returns else replace(back, code=Code.UNKNOWN, doubt=Doubt.AFTER_GAP)


def resolved(hold: Hold, at: int) -> Hold:
    """A person resolved the incident: barred from a new one until one Healthy verdict, unless it is healthy now."""
    healthy = hold.code in _QUIETED
    return replace(counted_to(hold, at), phase=Phase.QUIET, accrued=0, barred=not healthy)


def shifted(hold: Hold, delta: Duration) -> Hold:
    """The wall clock stepped by `delta`: what was counted stays counted."""
    return replace(hold, at=hold.at + delta, anchor=hold.anchor + delta if hold.anchor else 0)


def _cause(hold: Hold) -> Cause:
    return Cause.NO_DATA if hold.doubt is Doubt.PRESUMED else Cause.TIMER


def _turned(hold: Hold, terms: Terms, at: int, code: Code, doubt: Doubt, cause: Cause) -> Step:
    """The verdict in force becomes `code`: what the episode does about it."""
    silent = hold.silent if doubt is Doubt.SILENT and hold.doubt is Doubt.SILENT else 0
    now = replace(hold, code=code, doubt=doubt, silent=silent)
    match code:
        case Code.BREACHED:
            return _breached(now, terms, cause)
        case Code.RECOVERED | Code.BETWEEN:
            return _healthy(replace(now, barred=False), terms, cause)
        case _:
            return _silenced(now, terms, was=hold.doubt)


def _breached(now: Hold, terms: Terms, cause: Cause) -> Step:
    if now.phase is Phase.OPEN:
        return Step(replace(now, accrued=0))
    if now.phase is Phase.PENDING or now.barred:
        return Step(now)
    if terms.holds_for == 0:
        return Step(replace(now, phase=Phase.OPEN, accrued=0), ((Turn.BEGAN, cause), (Turn.OPENED, cause)))
    return Step(replace(now, phase=Phase.PENDING, accrued=0), ((Turn.BEGAN, cause),))


def _healthy(now: Hold, terms: Terms, cause: Cause) -> Step:
    if now.phase is Phase.PENDING:
        return Step(replace(now, phase=Phase.QUIET, accrued=0), ((Turn.DROPPED, cause),))
    if now.phase is Phase.QUIET:
        return Step(now)
    if now.code is Code.BETWEEN:
        return Step(replace(now, accrued=0))
    if terms.recovers_for == 0:
        return Step(replace(now, phase=Phase.QUIET, accrued=0), ((Turn.RESOLVED, cause),))
    return Step(now)


def _silenced(now: Hold, terms: Terms, *, was: Doubt) -> Step:
    begins = now.doubt is Doubt.SILENT and was is not Doubt.SILENT
    if not begins or terms.no_data.mode is not NoDataMode.RESOLVE or now.phase is Phase.QUIET:
        return Step(now)
    turn = Turn.DROPPED if now.phase is Phase.PENDING else Turn.RESOLVED
    return Step(replace(now, phase=Phase.QUIET, accrued=0), ((turn, Cause.NO_DATA),))

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

from service_monitoring.domain.flapping import Flips
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
    RAISED = "raised"
    RESOLVED = "resolved"
    VANISHED = "vanished"


class Terms(Struct, frozen=True):
    """What a rule and its check say of time. `stale_after` is None where silence is the rule's own subject.

    `worse` is how long each stronger comparison must hold; `forget_after` the observed silence after which a series is
    forgotten, None where it never is.
    """

    holds_for: Duration = Duration(0)
    recovers_for: Duration = Duration(0)
    no_data: NoData = NoData()
    stale_after: Duration | None = None
    absent_for: Duration | None = None
    worse: tuple[Duration, ...] = ()
    forget_after: Duration | None = None


def silences(terms: Terms) -> list[Duration]:
    """The lengths of silence that anything is due after."""
    return [each for each in (terms.stale_after, terms.absent_for, terms.forget_after) if each is not None]


class Hold(Struct, frozen=True):
    """State of one rule on one series.

    `at` is the instant (ns) up to which time is counted; `accrued` counts the breach of a pending episode or the
    recovery of an open one; `silent` counts Unknown for `no_data`. `anchor` is where silence counts from when that is
    later than the last sample (activation, end of a gap); `credit` is the length of the gaps since the last sample.
    `blind`: a gap is on, nothing counts, and `code` is the verdict put aside. `barred`: a person resolved it while
    breached, and no Healthy verdict came since. `level` is how many of the stronger comparisons hold by the verdict in
    force, `worse` counts the time of each during an episode, `raised` is how far the episode's severity rose. `off`:
    these are not the rule's active hours, in which nothing opens and only recovery counts.
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
    level: int = 0
    worse: tuple[int, ...] = ()
    raised: int = 0
    off: bool = False


class StoredHold(Struct, frozen=True):
    """A hold as it is kept between runs, with the incident it carries and the one before.

    `heard` is the newest sample's instant (ns, 0 for none) and `value` its value, `reason` and `detail` what its run
    said, all as of the last change of the hold: younger samples that changed nothing come back from history. `expires`
    is when an acknowledgement ends (ns, 0 for never). Of samples before `since` (ns) nothing is remembered: the series
    was forgotten then; 0 where it never was.
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
    expires: int = 0
    flips: Flips = Flips()
    since: int = 0


class Step(Struct, frozen=True):
    """The hold after a step and what the episode did in it, in order, with its cause."""

    hold: Hold
    turns: tuple[tuple[Turn, Cause], ...] = ()


# What every step asks for: to look a member up in its enumeration costs as much as a field of ten holds.
_PENDING, _OPEN, _QUIET = Phase.PENDING, Phase.OPEN, Phase.QUIET
_RECOVERED, _BETWEEN, _BREACHED, _UNKNOWN = Code.RECOVERED, Code.BETWEEN, Code.BREACHED, Code.UNKNOWN
_CERTAIN, _SILENT = Doubt.NONE, Doubt.SILENT

_QUIETED: Final = (_RECOVERED, _BETWEEN)


def due(hold: Hold, terms: Terms, heard: int) -> tuple[int, Order] | None:
    """When the hold wants to be asked again, and for what; `heard` is the instant (ns) of the last sample.

    Of several at one instant the first in `Order` is given.
    """
    if hold.blind:
        return None
    if hold.phase is _QUIET and hold.doubt is _CERTAIN and terms.absent_for is None:
        # All is well, as nearly always: nothing but silence is waited for.
        stale_after = terms.stale_after
        return None if stale_after is None else (max(heard + hold.credit + stale_after, hold.at), Order.STALE)
    wanted = _of_episode(hold, terms) + _of_silence(hold, terms, heard)
    if not wanted:
        return None
    first = min(wanted)
    # What a `stale_after` that was made shorter would have asked for in the past is asked for now.
    return first if first[0] >= hold.at else min((max(instant, hold.at), what) for instant, what in wanted)


def _of_episode(hold: Hold, terms: Terms) -> list[tuple[int, Order]]:
    if hold.phase is _OPEN and hold.code is _RECOVERED:
        return [(hold.at + terms.recovers_for - hold.accrued, Order.RECOVERY)]
    if hold.phase is _QUIET or hold.code is not _BREACHED or hold.off:
        return []
    rising = range(hold.raised, hold.level)
    wanted = [(hold.at + terms.worse[level] - hold.worse[level], Order.WORSE) for level in rising]
    if hold.phase is _PENDING:
        wanted.append((hold.at + terms.holds_for - hold.accrued, Order.HOLD))
    return wanted


def _of_silence(hold: Hold, terms: Terms, heard: int) -> list[tuple[int, Order]]:
    wanted = []
    if terms.absent_for is not None:
        if hold.code is not _BREACHED:
            wanted.append((max(heard, hold.anchor) + terms.absent_for, Order.ABSENCE))
    elif terms.stale_after is not None:
        if hold.doubt is _CERTAIN:
            wanted.append((heard + hold.credit + terms.stale_after, Order.STALE))
        elif hold.doubt is Doubt.AFTER_GAP:
            wanted.append((hold.anchor + terms.stale_after, Order.STALE))
    if hold.doubt is _CERTAIN:
        return wanted
    if hold.doubt is _SILENT and terms.no_data.mode is NoDataMode.BREACH_AFTER and not hold.off:
        wanted.append((hold.at + terms.no_data.after - hold.silent, Order.NO_DATA))
    if heard and terms.forget_after is not None:
        wanted.append((heard + hold.credit + terms.forget_after, Order.FORGET))
    return wanted


def counted_to(hold: Hold, at: int) -> Hold:
    """Count the time from `hold.at` to `at` for whatever is accruing."""
    passed = at - hold.at
    if hold.blind or passed == 0:
        return replace(hold, at=at)
    if hold.phase is _OPEN and hold.code is _RECOVERED:
        return replace(hold, at=at, accrued=hold.accrued + passed)
    if hold.off:
        return replace(hold, at=at)
    if hold.doubt is _SILENT:
        return replace(hold, at=at, silent=hold.silent + passed)
    if hold.phase is _QUIET or hold.code is not _BREACHED:
        return replace(hold, at=at)
    worse = hold.worse
    if hold.level:
        worse = tuple(time + passed if level < hold.level else time for level, time in enumerate(worse))
    accrued = hold.accrued + passed if hold.phase is _PENDING else hold.accrued
    return replace(hold, at=at, accrued=accrued, worse=worse)


def judged(hold: Hold, terms: Terms, at: int, code: Code) -> Step:
    """A sample came at `at` and its strategy says `code`, which tells how many of the stronger comparisons hold too.

    Unknown means that its window holds too little. When our own gap emptied it, that is no missing data either: silence
    counts from here.
    """
    counted = counted_to(hold, at)
    if counted.credit:
        counted = replace(counted, credit=0)
    if code is not _UNKNOWN:
        return _turned(counted, terms, code, _CERTAIN, Cause.SAMPLE)
    if hold.doubt is Doubt.AFTER_GAP or hold.credit:
        return _turned(replace(counted, anchor=at), terms, code, Doubt.AFTER_GAP, Cause.SAMPLE)
    doubt = Doubt.FRESH if hold.doubt is Doubt.FRESH else _SILENT
    return _turned(counted, terms, code, doubt, Cause.SAMPLE)


def unknown(hold: Hold, terms: Terms, at: int) -> Step:
    """A run was `unknown`: nothing can be said of the series from `at` on, and no absence counts through it.

    A breach that `no_data` presumes goes on: the data is missing as before.
    """
    counted = counted_to(hold, at)
    if terms.absent_for is not None:
        return Step(replace(counted, code=_UNKNOWN, doubt=Doubt.AFTER_GAP, anchor=at))
    if hold.doubt is Doubt.PRESUMED:
        return Step(counted)
    doubt = Doubt.FRESH if hold.doubt is Doubt.FRESH else _SILENT
    return _turned(counted, terms, _UNKNOWN, doubt, Cause.SAMPLE)


def fired(hold: Hold, terms: Terms, at: int, what: Order) -> Step:
    """What `due` asked for has come; `at` is its due instant, however late the caller is."""
    counted = counted_to(hold, at)
    match what:
        case Order.HOLD:
            opened = replace(counted, phase=_OPEN, accrued=0)
            return Step(opened, ((Turn.OPENED, _cause(hold)),))
        case Order.WORSE:
            return _raised(counted, terms, _cause(hold))
        case Order.RECOVERY:
            return Step(_over(counted), ((Turn.RESOLVED, Cause.TIMER),))
        case Order.STALE:
            return _turned(counted, terms, _UNKNOWN, _SILENT, Cause.TIMER)
        case Order.ABSENCE:
            return _turned(counted, terms, _BREACHED, _CERTAIN, Cause.TIMER)
        case Order.NO_DATA:
            return _turned(counted, terms, _BREACHED, Doubt.PRESUMED, Cause.NO_DATA)
        case Order.FORGET:
            return Step(counted, ((Turn.VANISHED, Cause.VANISHED),))
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
    if hold.code is _UNKNOWN:
        return back
    if terms.absent_for is not None:
        returns = hold.code in _QUIETED
    else:
        returns = hold.doubt is _CERTAIN and (terms.stale_after is None or at - heard < terms.stale_after)
    return back if returns else replace(back, code=_UNKNOWN, doubt=Doubt.AFTER_GAP)


def awake(hold: Hold, terms: Terms, at: int, *, off: bool) -> Step:
    """The rule's active hours begin or end at `at`: a breach that goes on when they begin is a new one from there."""
    now = replace(counted_to(hold, at), off=off)
    if off or hold.blind or now.code is not _BREACHED:
        return Step(now)
    return _breached(now, terms, Cause.TIMER)


def again(hold: Hold, *, off: bool, levels: int) -> Hold:
    """The hold under a changed rule: an episode goes on, but what counted in it starts again."""
    worse = () if hold.phase is _QUIET else (0,) * levels
    return replace(hold, accrued=0, silent=0, level=0, worse=worse, raised=min(hold.raised, levels), off=off)


def superseded(hold: Hold) -> Hold:
    """A changed rule finds it well: the episode is over."""
    return _over(hold)


def resolved(hold: Hold, at: int) -> Hold:
    """A person resolved the incident: barred from a new one until one Healthy verdict, unless it is healthy now."""
    healthy = hold.code in _QUIETED
    return replace(_over(counted_to(hold, at)), barred=not healthy)


def shifted(hold: Hold, delta: Duration) -> Hold:
    """The wall clock stepped by `delta`: what was counted stays counted."""
    return replace(hold, at=hold.at + delta, anchor=hold.anchor + delta if hold.anchor else 0)


def _cause(hold: Hold) -> Cause:
    return Cause.NO_DATA if hold.doubt is Doubt.PRESUMED else Cause.TIMER


def _over(hold: Hold) -> Hold:
    """The episode is over, and so is all that counted in it."""
    return replace(hold, phase=_QUIET, accrued=0, worse=(), raised=0)


def _turned(hold: Hold, terms: Terms, code: Code, doubt: Doubt, cause: Cause) -> Step:
    """The verdict in force becomes `code`: what the episode does about it."""
    silent = hold.silent if doubt is _SILENT and hold.doubt is _SILENT else 0
    if code in _QUIETED:
        return _healthy(replace(hold, code=code, doubt=doubt, silent=silent, level=0, barred=False), terms, cause)
    if code is _UNKNOWN:
        return _silenced(replace(hold, code=code, doubt=doubt, silent=silent, level=0), terms, was=hold.doubt)
    level = max(0, code - _UNKNOWN)
    return _breached(replace(hold, code=_BREACHED, doubt=doubt, silent=silent, level=level), terms, cause)


def _breached(now: Hold, terms: Terms, cause: Cause) -> Step:
    if now.phase is _QUIET:
        if now.barred or now.off:
            return Step(now)
        turns: tuple[tuple[Turn, Cause], ...] = ((Turn.BEGAN, cause),)
        phase = _PENDING
        if terms.holds_for == 0:
            turns, phase = (*turns, (Turn.OPENED, cause)), _OPEN
        begun = replace(now, phase=phase, accrued=0, worse=(0,) * len(terms.worse), raised=0)
        return _raised_at_once(Step(begun, turns), terms, cause)
    # What is not that bad any more starts again when it is.
    worse = tuple(time if level < now.level else 0 for level, time in enumerate(now.worse))
    accrued = 0 if now.phase is _OPEN else now.accrued
    return _raised_at_once(Step(replace(now, accrued=accrued, worse=worse)), terms, cause)


def _raised_at_once(step: Step, terms: Terms, cause: Cause) -> Step:
    """The severity rises to the worst level that need not hold; what must hold is found by timer."""
    hold = step.hold
    for level in range(hold.level, hold.raised, -1):
        if terms.worse[level - 1] == 0 and not hold.off:
            return Step(replace(hold, raised=level), (*step.turns, (Turn.RAISED, cause)))
    return step


def _raised(hold: Hold, terms: Terms, cause: Cause) -> Step:
    """The severity rises to the worst level that held for long enough."""
    for level in range(hold.level, hold.raised, -1):
        if hold.worse[level - 1] >= terms.worse[level - 1]:
            return Step(replace(hold, raised=level), ((Turn.RAISED, cause),))
    raise AssertionError("a level that has not held asks for nothing")


def _healthy(now: Hold, terms: Terms, cause: Cause) -> Step:
    if now.phase is _QUIET:
        return Step(now)
    if now.phase is _PENDING:
        return Step(_over(now), ((Turn.DROPPED, cause),))
    worse = (0,) * len(now.worse)
    if now.code is _BETWEEN:
        return Step(replace(now, accrued=0, worse=worse))
    if terms.recovers_for == 0:
        return Step(_over(now), ((Turn.RESOLVED, cause),))
    return Step(replace(now, worse=worse))


def _silenced(now: Hold, terms: Terms, *, was: Doubt) -> Step:
    begins = now.doubt is _SILENT and was is not _SILENT
    if not begins or terms.no_data.mode is not NoDataMode.RESOLVE or now.phase is _QUIET:
        return Step(now)
    turn = Turn.DROPPED if now.phase is _PENDING else Turn.RESOLVED
    return Step(_over(now), ((turn, Cause.NO_DATA),))

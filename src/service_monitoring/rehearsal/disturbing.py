"""Disturbances: faults of time that are injected into a history, as inputs that a live program would have had.

Knows what may be asked for, and what history is left of one that is disturbed. Does not know what is decided about it:
a course cannot tell an injected gap from one that was recorded.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.calendar import clock_changes, local_instant, moved_zone
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import order_of
from service_monitoring.domain.inputs import (
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    Observed,
    Order,
    Pinged,
    Pushed,
    Requeued,
    Retired,
    Settled,
    Silenced,
    Stamp,
    Stepped,
    Unsilenced,
)
from service_monitoring.domain.instants import DAY, NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.stretches import Gap, Portion, Stretch
from service_monitoring.domain.windows import InstantColumn
from service_monitoring.errors import Refused
from service_monitoring.ports import Flaw, RecordedHistory, SampleHistory
from service_monitoring.settings.lengths import duration
from service_monitoring.views.because import instant_text

WEEK: Final = Duration(7 * DAY)
RESTART: Final = Duration(5 * SECOND)
"""How long a program is away that is started again, where nothing else is said."""

_REMEDY: Final = "write suspend=22m@2026-01-06T03:00, monitor-down=40m@..., restart@..., late=5% or dst"
_CAUSES: Final = {"suspend": GapCause.SUSPEND, "monitor-down": GapCause.RESTART, "restart": GapCause.RESTART}
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%", re.ASCII)
_SEASONS: Final = {"": (-1, 1), "spring": (1,), "autumn": (-1,)}
"""Which way the clock goes."""


class Blind(Struct, frozen=True):
    """Nobody watches in (began, until]. `revived`: the course is stored and given back at its begin."""

    text: str
    began: Instant
    until: Instant
    cause: GapCause
    revived: bool = False


class Late(Struct, frozen=True):
    """So many of 100 % x 10,000 samples come too late to be judged."""

    text: str
    share: int


class Clocks(Struct, frozen=True):
    """The clocks of a zone change, in `season` where one is named."""

    text: str
    zone: str
    season: str = ""


class Disturbances(Struct, frozen=True):
    """All that is injected into one rehearsal: gaps in the order of time, and `weeks` by which clocks change later."""

    blind: tuple[Blind, ...] = ()
    late: Late | None = None
    clocks: Clocks | None = None
    weeks: int = 0
    changed: Instant | None = None

    @property
    def restarts(self) -> frozenset[Instant] | None:
        """Where the course is revived; None where nothing is injected at all."""
        return frozenset(each.began for each in self.blind if each.revived) if self.texts else None

    @property
    def texts(self) -> tuple[str, ...]:
        """What was typed, gaps first."""
        others = (each.text for each in (self.late, self.clocks) if each is not None)
        return (*(each.text for each in self.blind), *others)


# What is asked --------------------------------------------------------------------------------------------------------


def disturbances(texts: Iterable[str], zone: str) -> Disturbances:
    """What was typed, read by the clock of `zone`; `Refused` names what cannot be injected, and what can."""
    found = Disturbances()
    for text in texts:
        name, _, rest = text.partition("@")
        what, equals, amount = name.partition("=")
        if what in _CAUSES and rest:
            found = replace(found, blind=(*found.blind, _blind(text, what, amount, local_instant_of(text, rest, zone))))
        elif what == "late" and equals and not rest and found.late is None:
            found = replace(found, late=_late(text, amount))
        elif what == "dst" and amount in _SEASONS and found.clocks is None:
            found = replace(found, clocks=Clocks(text, rest or zone, amount))
        else:
            raise Refused(f"--inject {text} says nothing that can be injected, or says it twice: {_REMEDY}")
    return replace(found, blind=_apart(found.blind))


def local_instant_of(text: str, at: str, zone: str) -> Instant:
    """The instant of an injection."""
    try:
        return local_instant(at.replace("Z", "+00:00"), zone)
    except Refused as refused:
        raise Refused(f"--inject {text}: {refused}") from refused


def _blind(text: str, what: str, amount: str, began: Instant) -> Blind:
    if not amount and what != "restart":
        raise Refused(f"--inject {text} does not say for how long: write {what}=22m@...")
    try:
        lasts = duration(amount) if amount else RESTART
    except Refused as refused:
        raise Refused(f"--inject {text}: {refused}") from refused
    if lasts <= 0:
        raise Refused(f"--inject {text} lasts no time: write {what}=22m@...")
    return Blind(text, began, began.plus(lasts), _CAUSES[what], revived=what == "restart")


def _late(text: str, amount: str) -> Late:
    match = _SHARE.fullmatch(amount)
    share = None if match is None else Decimal(match[1])
    if share is None or share > 100:
        raise Refused(f"--inject {text} is no share of the samples: write late=5%")
    return Late(text, int(share * 10_000))


def _apart(blind: Iterable[Blind]) -> tuple[Blind, ...]:
    ordered = tuple(sorted(blind, key=lambda each: each.began))
    for one, other in pairwise(ordered):
        if other.began <= one.until:
            raise Refused(f"--inject {one.text} and --inject {other.text} are at one time: part them by a second")
    return ordered


def within(asked: Disturbances, since: Instant, until: Instant) -> Disturbances:
    """The same, with where clocks change in [since, until); `Refused` where something lies outside of that."""
    for each in asked.blind:
        if each.began < since or each.until >= until:
            raise Refused(
                f"--inject {each.text} is not within what is rehearsed, {since} to {until}: "
                "name an instant in it, or rehearse a longer range"
            )
    return asked if asked.clocks is None else _with_change(asked, asked.clocks, since, until)


def _with_change(asked: Disturbances, clocks: Clocks, since: Instant, until: Instant) -> Disturbances:
    """Whole weeks later or earlier, so that days of the week stay; as near to the middle, and as few, as can be."""
    ways = _SEASONS[clocks.season]
    years = Duration(370 * DAY)
    changes = clock_changes(clocks.zone, since.plus(Duration(-years)), until.plus(years))
    found = [at for at, by in changes if (by > 0) - (by < 0) in ways]
    if not found:
        what = f"in {clocks.season} " if clocks.season else ""
        raise Refused(
            f"--inject {clocks.text}: clocks of {clocks.zone} do not change {what}around that time: "
            "name a zone where they do, as dst@Europe/Berlin"
        )
    there = next((at for at in found if since <= at < until), None)
    if there is not None:
        raise Refused(
            f"--inject {clocks.text}: clocks of {clocks.zone} change in this range already, at {there}: "
            "rehearse it as it is, or another range"
        )
    middle = (since.ns + until.ns) // 2
    places = [
        (abs(at.ns + weeks * WEEK - middle), abs(weeks), weeks, at)
        for at in found
        for weeks in {(middle - at.ns) // WEEK, (middle - at.ns) // WEEK + 1}
        if since.ns <= at.ns + weeks * WEEK < until.ns
    ]
    if not places:
        raise Refused(
            f"--inject {clocks.text}: clocks change at {found[0]} and whole weeks from it, and no such instant "
            "is in this range: rehearse a longer one"
        )
    least = min(places, key=lambda place: place[:3])
    return replace(asked, weeks=least[2], changed=least[3].plus(Duration(least[2] * WEEK)))


# What is left of a history --------------------------------------------------------------------------------------------


class DisturbedSamples:
    """`SampleHistory` of a disturbed one: portions end where gaps begin, and lack what came in gaps, or late."""

    def __init__(self, history: SampleHistory, asked: Disturbances) -> None:
        self._history = history
        self._asked = asked

    def extent(self) -> tuple[Instant, Instant] | None:
        """That of the history itself."""
        return self._history.extent()

    def flaws(self) -> Sequence[Flaw]:
        """Those of the history itself."""
        return self._history.flaws()

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        """What is left of them; one that lies in a gap is left out."""
        waiting = deque(each for each in self._asked.blind if since <= each.began < until)
        seen = Instant(since.ns - 1)
        for portion in self._history.portions(since, until):
            stretches = tuple(map(self._in_time, portion.stretches))
            while waiting and waiting[0].began < portion.until:
                blind = waiting.popleft()
                began = blind.began.plus(NANOSECOND)
                yield Portion(began, _between(stretches, seen, began), Gap(blind.until, blind.cause))
                seen = blind.until
            if portion.until.ns > seen.ns + 1:
                yield replace(portion, stretches=_between(stretches, seen, portion.until))
                seen = portion.until.plus(Duration(-1))
            del portion, stretches  # nobody holds on to it while the next one is read

    def _in_time(self, stretch: Stretch) -> Stretch:
        late = self._asked.late
        if late is None:
            return stretch
        series = stretch.series
        kept = ~_are_late(late, (series.service, series.check, series.labels), stretch.instants)
        return Stretch(series, stretch.instants[kept], stretch.values[kept])


def _between(stretches: Iterable[Stretch], after: Instant, before: Instant) -> tuple[Stretch, ...]:
    """What they have after one instant and before the other."""
    found = (stretch.within(after.ns + 1, before.ns) for stretch in stretches)
    return tuple(stretch for stretch in found if len(stretch.instants))


_Who = tuple[str, str, tuple[tuple[str, str], ...]]
"""Service, check and labels: what of them has one instant came together, and is late together."""


def _are_late(late: Late, who: _Who, instants: InstantColumn) -> npt.NDArray[np.bool_]:
    """Which are late. Each by itself: it depends on nothing but its series and its instant."""
    seed = hashlib.sha256(repr(who).encode()).digest()[:8]
    # The finalizer of splitmix64, by Sebastiano Vigna: neighbouring instants have nothing in common.
    mixed = instants.astype(np.uint64) + np.frombuffer(seed, dtype="<u8")
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    late_ones: npt.NDArray[np.bool_] = mixed % np.uint64(1_000_000) < np.uint64(late.share)
    return late_ones


class DisturbedRecording:
    """`RecordedHistory` of a disturbed one. `lost` is how many acts of people came while nobody watched."""

    def __init__(self, history: RecordedHistory, asked: Disturbances) -> None:
        self.lost = 0
        self._history = history
        self._asked = asked

    def extent(self) -> tuple[Stamp, Stamp] | None:
        """That of the history itself."""
        return self._history.extent()

    def inputs(self) -> Iterator[Admitted]:
        """What the program would have taken in."""
        self.lost = 0
        inputs: Iterable[Admitted] = self._history.inputs()
        if self._asked.weeks:
            inputs = (self._with_other_clocks(admitted) for admitted in inputs)
        if self._asked.late is not None:
            inputs = _in_time(inputs, self._asked.late)
        if not self._asked.blind:
            yield from inputs
            return
        blinded = _Blinded(self._asked.blind)
        for admitted in inputs:
            yield from blinded.take(admitted)
        yield from blinded.end()
        self.lost = blinded.lost

    def _with_other_clocks(self, admitted: Admitted) -> Admitted:
        what = admitted.input
        if not isinstance(what, Configured):
            return admitted
        return Admitted(admitted.stamp, Configured(with_clocks_moved(what.configuration, self._asked.weeks)))


def _in_time(inputs: Iterable[Admitted], late: Late) -> Iterator[Admitted]:
    """Without what came late."""
    for admitted in inputs:
        what = admitted.input
        if isinstance(what, Observed):
            if _is_late(late, (what.service, what.check, ()), admitted.stamp.at):
                continue
        elif isinstance(what, Pushed):
            who = (what.service, what.check)
            kept = tuple(each for each in what.samples if not _is_late(late, (*who, each.labels), each.at))
            if not kept:
                continue
            if len(kept) < len(what.samples):
                yield Admitted(admitted.stamp, replace(what, samples=kept))
                continue
        yield admitted


def _is_late(late: Late, who: _Who, at: Instant) -> bool:
    return bool(_are_late(late, who, np.array([at.ns], dtype=np.int64))[0])


class _Blinded:
    """Recorded inputs in their order, with gaps among them."""

    def __init__(self, blind: Iterable[Blind]) -> None:
        self.lost = 0
        self._waiting = deque(blind)
        self._open: Blind | None = None
        self._recorded = False
        self._delayed: list[Input] = []
        self._last = (Stamp(0, Instant(0)), Order.PERSON)

    def take(self, admitted: Admitted) -> Iterator[Admitted]:
        """One input, after what the gaps have to say before it."""
        stamp, what = admitted.stamp, admitted.input
        # Before the clock was set, it showed so much less.
        at = stamp.at.plus(Duration(-what.delta)) if isinstance(what, Stepped) else stamp.at
        while self._open is None or at > self._open.until:
            if self._open is not None:
                yield from self._see(self._open)
            elif self._waiting and (at, order_of(what)) > (self._waiting[0].began, Order.GAP_START):
                yield self._begin(self._waiting.popleft())
            else:
                break
        if self._open is not None:
            self._miss(what, self._open)
            return
        if isinstance(what, GapBegan | GapEnded):
            self._recorded = isinstance(what, GapBegan)
        yield self._stamped(stamp, what)

    def end(self) -> Iterator[Admitted]:
        """What the gaps have to say after the last input."""
        while self._open is not None or self._waiting:
            if self._open is not None:
                yield from self._see(self._open)
            else:
                yield self._begin(self._waiting.popleft())

    def _begin(self, blind: Blind) -> Admitted:
        if self._recorded:
            raise Refused(_overlaps(blind, "nobody watched then as it was"))
        self._open = blind
        return self._stamped(self._in_this_epoch(blind.began), GapBegan(blind.cause))

    def _see(self, blind: Blind) -> Iterator[Admitted]:
        self._open = None
        for what in (GapEnded(), *self._delayed):
            yield self._stamped(self._in_this_epoch(blind.until), what)
        self._delayed = []

    def _miss(self, what: Input, blind: Blind) -> None:
        """What nobody heard. A program that is started reads its file, and asks what became of its notices."""
        match what:
            case Configured() | Settled():
                self._delayed.append(what)
            case Acted() | Retired() | Silenced() | Unsilenced() | Requeued():
                self.lost += 1
            case GapBegan() | GapEnded():
                raise Refused(_overlaps(blind, "nobody watched then as it was"))
            case Stepped():
                raise Refused(_overlaps(blind, "the clock was set in it"))
            case Observed() | Pushed() | Pinged() | Marked():
                pass

    def _in_this_epoch(self, at: Instant) -> Stamp:
        return Stamp(self._last[0].epoch, at)

    def _stamped(self, stamp: Stamp, what: Input) -> Admitted:
        """Never before what was stamped already."""
        order = order_of(what)
        last, after = self._last
        if stamp.epoch == last.epoch and (stamp.at, order) < (last.at, after):
            stamp = Stamp(last.epoch, last.at if order >= after else last.at.plus(NANOSECOND))
        self._last = (stamp, order)
        return Admitted(stamp, what)


def _overlaps(blind: Blind, why: str) -> str:
    return f"--inject {blind.text}: {why}: name an instant before or after"


def with_clocks_moved(configuration: Configuration, weeks: int) -> Configuration:
    """The configuration, in whose zones clocks change so many weeks later than they did."""
    moved: Configuration = _moved(configuration, weeks) if weeks else configuration
    return moved


def _moved(value: Any, weeks: int) -> Any:
    if isinstance(value, tuple):
        parts = tuple(_moved(each, weeks) for each in value)
        return value if all(map(_same, parts, value)) else parts
    if not isinstance(value, Struct):
        return value
    changes = {}
    for name in value.__struct_fields__:
        before = getattr(value, name)
        after = moved_zone(before, weeks) if name == "zone" else _moved(before, weeks)
        if after is not before:
            changes[name] = after
    return replace(value, **changes) if changes else value


def _same(one: object, other: object) -> bool:
    return one is other


def limits(asked: Disturbances, lost: int = 0) -> Iterator[str]:
    """What a reader must know of what was injected."""
    for each in asked.blind:
        began, until = instant_text(each.began), instant_text(each.until)
        yield f"nobody watched after {began} up to {until} (--inject {each.text}): what came then was lost"
    if lost:
        yield f"{lost} acts of people came while nobody watched, and were lost"
    if asked.late is not None:
        yield (
            f"{asked.late.share / 10_000:g} % of the samples came too late (--inject {asked.late.text}): "
            "none of them was judged"
        )
    if asked.clocks is not None and asked.changed is not None:
        yield (
            f"the clocks change at {asked.changed} (--inject {asked.clocks.text}), "
            f"{abs(asked.weeks)} weeks {'later' if asked.weeks > 0 else 'earlier'} than they did"
        )

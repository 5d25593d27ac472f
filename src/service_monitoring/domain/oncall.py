"""On call: who is, at an instant and over a range, and when that changes.

Pure functions of a rota. Does not know who is told of what (`routing`), nor zones (`calendar`). What counts, in order:

1. overrides: of several at one instant the one that was made last, so that a correction needs no removal;
2. layers: of several that have somebody the last one in the file. A layer has somebody from its first handover on, and
   while one of its restrictions is active, if it has any; otherwise the layer below is asked;
3. swaps change the places of two people in what layers say; each applies to what the swaps before it left.

So there is one person at most. Turns are counted in local time: a handover happens when local time reaches what is
written, in a skipped hour at the first valid instant, in a repeated hour once, in its first pass. A turn that a skipped
hour leaves no room for does not take place, and the order of people goes on as if it had.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import calendar
from service_monitoring.domain.instants import DAY, SECOND, Duration, Instant
from service_monitoring.domain.rotas import Layer, Override, Rota, Swap

_FORESEEN: Final = Duration(2 * 366 * DAY)


class Shift(Struct, frozen=True):
    """One person is on call from `begin` to before `end`. `layer` counts from 0, the lowest; None for an override."""

    person: str
    begin: Instant
    end: Instant
    layer: int | None = None


def who(rota: Rota, at: Instant) -> tuple[str, ...]:
    """The people on call at an instant: one, or nobody."""
    held = _Timeline(rota).held(at)
    return () if held is None else (held.person,)


def shifts(rota: Rota, since: Instant, until: Instant) -> Iterator[Shift]:
    """The shifts of a range, which cuts those at its edges. Between two there is nobody, or the one begins as the other
    ends: at a handover, also to the same person, and wherever an override, a swap or a restriction begins or ends.
    """
    for shift in _walked(_Timeline(rota), since):
        if shift.begin >= until:
            return
        yield shift if shift.end <= until else replace(shift, end=until)


def whole_shifts(rota: Rota, since: Instant, until: Instant) -> Iterator[Shift]:
    """The shifts that a range touches, uncut."""
    timeline = _Timeline(rota)
    held = timeline.held(since)
    begin = since if held is None else timeline.earliest(held)
    for shift in takewhile(lambda shift: shift.begin < until, _walked(timeline, begin)):
        if shift.end > since:
            yield shift


def next_change(rota: Rota, after: Instant) -> Instant | None:
    """The first instant strictly after `after` at which `who` changes.

    None where it does not within two years after `after` and everything that has a date.
    """
    timeline = _Timeline(rota)
    last = max(after, timeline.dates[-1]) if timeline.dates else after
    now, at = who(rota, after), timeline.turning(after)
    while at is not None and at <= last.plus(_FORESEEN):
        if who(rota, at) != now:
            return at
        at = timeline.turning(at)
    return None


def with_overrides(rota: Rota, overrides: Iterable[Override]) -> Rota:
    """The rota with overrides that were made after those it has: they come before all of them."""
    return replace(rota, overrides=(*rota.overrides, *overrides))


class _Held(NamedTuple):
    """Who is on call, and by which turn of which layer, or by which override where there is no layer."""

    person: str
    layer: int | None
    turn: int


class _Turns:
    """The turns of one layer, numbered from 0."""

    __slots__ = ("_every", "_first", "_zone", "layer")

    def __init__(self, layer: Layer, zone: str) -> None:
        self.layer = layer
        self._zone = zone
        self._every = layer.turn // SECOND
        self._first = calendar.first_local(zone, layer.handover.minute, layer.handover.weekday, layer.starts)

    def at(self, at: Instant) -> int | None:
        """Whose number is up, restricted or not; None before the first."""
        turn = calendar.steps_reached(self._zone, self._first, self._every, at) - 1
        return turn if turn >= 0 else None

    def begins(self, turn: int) -> Instant:
        return calendar.reached(self._zone, self._first + turn * self._every)

    def next_handover(self, after: Instant) -> Instant:
        return self.begins(max(calendar.steps_reached(self._zone, self._first, self._every, after), 0))

    def counts(self, at: Instant) -> bool:
        limits = self.layer.restrictions
        return not limits or any(calendar.is_active(limit, at) for limit in limits)

    def next_limit(self, after: Instant) -> Iterator[Instant]:
        changes = (calendar.next_change(limit, after) for limit in self.layer.restrictions)
        return (change for change in changes if change is not None)


class _Timeline:
    """A rota, prepared for many questions."""

    def __init__(self, rota: Rota) -> None:
        self._rota = rota
        self._layers = [_Turns(layer, rota.zone) for layer in rota.layers]
        spans: list[Override | Swap] = [*rota.overrides, *rota.swaps]
        self.dates = sorted(
            {span.begin for span in spans} | {span.end for span in spans} | {turns.begins(0) for turns in self._layers}
        )
        """Every instant at which something happens once, in order."""

    def held(self, at: Instant) -> _Held | None:
        """Who is on call at an instant."""
        for index in range(len(self._rota.overrides) - 1, -1, -1):
            override = self._rota.overrides[index]
            if override.begin <= at < override.end:
                return _Held(override.person, None, index)
        for index in range(len(self._layers) - 1, -1, -1):
            turns = self._layers[index]
            if (turn := turns.at(at)) is not None and turns.counts(at):
                people = turns.layer.people
                return _Held(self._swapped(people[turn % len(people)], at), index, turn)
        return None

    def boundary(self, after: Instant) -> Instant | None:
        """The first instant strictly after `after` at which anything begins or ends, if only behind something else."""
        found = [turns.next_handover(after) for turns in self._layers]
        return min((*found, *self._limits(after), *self._dates(after)), default=None)

    def turning(self, after: Instant) -> Instant | None:
        """Likewise, without handovers of a layer to the same person: they change nothing."""
        found = [turns.next_handover(after) for turns in self._layers if len(set(turns.layer.people)) > 1]
        return min((*found, *self._limits(after), *self._dates(after)), default=None)

    def earliest(self, held: _Held) -> Instant:
        """Before this it was not held."""
        if held.layer is None:
            return self._rota.overrides[held.turn].begin
        return self._layers[held.layer].begins(held.turn)

    def _swapped(self, person: str, at: Instant) -> str:
        for swap in self._rota.swaps:
            if swap.begin <= at < swap.end and person in {swap.person, swap.substitute}:
                person = swap.substitute if person == swap.person else swap.person
        return person

    def _limits(self, after: Instant) -> Iterator[Instant]:
        for turns in self._layers:
            yield from turns.next_limit(after)

    def _dates(self, after: Instant) -> list[Instant]:
        next_one = bisect_right(self.dates, after)
        return self.dates[next_one : next_one + 1]


def _walked(timeline: _Timeline, since: Instant) -> Iterator[Shift]:
    """Shifts without an end, the first of them cut at `since`."""
    begin, held = since, timeline.held(since)
    at = timeline.boundary(since)
    while at is not None:
        then = timeline.held(at)
        if then != held:
            if held is not None:
                yield Shift(held.person, begin, at, held.layer)
            begin, held = at, then
        at = timeline.boundary(at)

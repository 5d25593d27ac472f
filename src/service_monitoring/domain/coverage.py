"""Coverage: what is doubtful about a rota over a range: gaps, people who are named in vain, unfair load.

Pure functions of a rota. Finds, and judges nothing: a gap may be intended. Does not know who is on call (`oncall`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct

from service_monitoring.domain import calendar
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.oncall import Shift, shifts
from service_monitoring.domain.rotas import Layer, Override, Rota
from service_monitoring.domain.schedules import ActiveHours, Span

NIGHT: Final = (Span(22 * 60, 6 * 60),)
"""From 22:00 to 06:00, local time."""

WEEKEND: Final = (5, 6)
"""Saturday and Sunday, from midnight to midnight."""

_MORE_THAN_FAIR: Final = 4
"""A quarter more than the mean is unfair."""


class Gap(Struct, frozen=True):
    """Nobody is on call from `begin` to before `end`."""

    begin: Instant
    end: Instant


class Overlap(Struct, frozen=True):
    """Two overrides at once, from `begin` to before `end`: `person` is on call, not `hidden`, who was named earlier."""

    person: str
    hidden: str
    begin: Instant
    end: Instant


class Twice(Struct, frozen=True):
    """A person follows themselves in a layer of several people: the first such turns are from `begin` to before `end`.

    `begin` and `end` are None where no such turns begin within the range.
    """

    person: str
    layer: int
    begin: Instant | None
    end: Instant | None


class Load(Struct, frozen=True):
    """How long a person is on call: in all, from 22:00 to 06:00, and on Saturdays and Sundays, by local time."""

    person: str
    total: Duration
    nights: Duration
    weekends: Duration


class Unfair(Struct, frozen=True):
    """A person of a layer carries a quarter more than the mean of all of them, by more than their longest shift.

    `what` is `total`, `nights` or `weekends`.
    """

    person: str
    what: str
    carried: Duration
    mean: Duration


class Examined(Struct, frozen=True):
    """What was found in the range from `begin` to before `end`, each in the order of time or of names."""

    begin: Instant
    end: Instant
    gaps: tuple[Gap, ...]
    overlaps: tuple[Overlap, ...]
    twice: tuple[Twice, ...]
    loads: tuple[Load, ...]
    unfair: tuple[Unfair, ...]


def examined(rota: Rota, since: Instant, until: Instant) -> Examined:
    """All that is doubtful about a rota over a range."""
    found = list(shifts(rota, since, until))
    carried = [_carried(shift, rota.zone) for shift in found]
    loads = tuple(_summed(person, carried) for person in sorted({load.person for load in carried}))
    return Examined(
        since,
        until,
        tuple(_between(found, since, until)),
        tuple(_overlaps(rota.overrides, since, until)),
        tuple(_twice(rota, since, until)),
        loads,
        tuple(_unfair(rota, loads, carried)),
    )


def gaps(rota: Rota, since: Instant, until: Instant) -> tuple[Gap, ...]:
    """When nobody is on call."""
    return tuple(_between(list(shifts(rota, since, until)), since, until))


def _between(found: list[Shift], since: Instant, until: Instant) -> Iterator[Gap]:
    edges = [since, *(edge for shift in found for edge in (shift.begin, shift.end)), until]
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if begin < end:
            yield Gap(begin, end)


def _overlaps(overrides: tuple[Override, ...], since: Instant, until: Instant) -> Iterator[Overlap]:
    order = sorted(range(len(overrides)), key=lambda index: (overrides[index].begin, index))
    for position, index in enumerate(order):
        for other in order[position + 1 :]:
            if overrides[other].begin >= overrides[index].end:
                break
            above, below = overrides[max(index, other)], overrides[min(index, other)]
            begin, end = max(above.begin, below.begin, since), min(above.end, below.end, until)
            if begin < end:
                yield Overlap(above.person, below.person, begin, end)


def _twice(rota: Rota, since: Instant, until: Instant) -> Iterator[Twice]:
    for index, layer in enumerate(rota.layers):
        people = layer.people
        if len(set(people)) == 1 < len(people):
            yield Twice(people[0], index, None, None)
        elif len(people) > 1:
            told: set[str] = set()
            for place, (person, then) in enumerate(pairwise((*people, people[0]))):
                if person == then and person not in told:
                    told.add(person)
                    yield Twice(person, index, *_first_twice(layer, place, rota.zone, since, until))


def _first_twice(
    layer: Layer, place: int, zone: str, since: Instant, until: Instant
) -> tuple[Instant, Instant] | tuple[None, None]:
    first = calendar.first_local(zone, layer.handover.minute, layer.handover.weekday, layer.starts)
    every, number = layer.turn // SECOND, len(layer.people)
    turn = max(calendar.steps_reached(zone, first, every, since.plus(Duration(-1))), 0)
    turn += (place - turn) % number
    begin, end = (calendar.reached(zone, first + each * every) for each in (turn, turn + 2))
    return (begin, end) if begin < until else (None, None)


def _carried(shift: Shift, zone: str) -> Load:
    nights = _within(ActiveHours(zone, spans=NIGHT), shift)
    weekends = _within(ActiveHours(zone, weekdays=WEEKEND), shift)
    return Load(shift.person, shift.end.since(shift.begin), nights, weekends)


def _within(hours: ActiveHours, shift: Shift) -> Duration:
    """How much of a shift is within the hours."""
    total, at = 0, shift.begin
    while at < shift.end:
        change = calendar.next_change(hours, at)
        end = shift.end if change is None else min(change, shift.end)
        total += end.since(at) if calendar.is_active(hours, at) else 0
        at = end
    return Duration(total)


def _summed(person: str, carried: list[Load]) -> Load:
    theirs = [load for load in carried if load.person == person]
    total, nights, weekends = (
        Duration(sum(getattr(load, what) for load in theirs)) for what in ("total", "nights", "weekends")
    )
    return Load(person, total, nights, weekends)


def _unfair(rota: Rota, loads: tuple[Load, ...], carried: list[Load]) -> Iterator[Unfair]:
    # Who stands in by overrides alone has promised nothing, and who is in a layer and never comes has carried nothing.
    people = sorted({person for layer in rota.layers for person in layer.people})
    of = {load.person: load for load in loads}
    for what in ("total", "nights", "weekends"):
        borne = {person: getattr(of[person], what) if person in of else 0 for person in people}
        mean = sum(borne.values()) // max(len(people), 1)
        for person in people:
            longest = max((getattr(load, what) for load in carried if load.person == person), default=0)
            if borne[person] - mean > max(mean // _MORE_THAN_FAIR, longest):
                yield Unfair(person, what, Duration(borne[person]), Duration(mean))

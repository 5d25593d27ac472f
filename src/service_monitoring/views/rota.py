"""Rotas as faces show them: who is on call now, and the calendar of a rota over a range, line by line.

Pure functions of a rota and instants. Does not know how a calendar looks, nor where a configuration comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.coverage import Gap, Overlap, examined
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.oncall import Shift, next_change, shifts, who, whole_shifts
from service_monitoring.domain.rotas import Override, Rota, Swap
from service_monitoring.errors import Refused

_Span = TypeVar("_Span", Override, Swap)

LONGEST: Final = Duration(366 * DAY)
"""The longest range that is asked for at once."""


class OnCallRow(Struct, frozen=True):
    """Who is on call for a rota at an instant, until when, and who is then; nobody is None.

    `layer` counts from 0, the lowest; None for an override, and where nobody is. `until` is None where who is on call
    does not change any more.
    """

    rota: str
    zone: str
    at: str
    person: str | None
    layer: int | None
    until: str | None
    next: str | None


class ShiftRow(Struct, frozen=True, rename={"begin": "from", "end": "until"}):
    """One person is on call, or nobody (None). `layer` counts from 0; None for an override, and where nobody is."""

    rota: str
    person: str | None
    begin: str
    end: str
    layer: int | None


class Calendar(Struct, frozen=True):
    """A rota from `begin` to before `end`.

    `layers` has what each layer says by itself, the lowest first; `final` who is on call once overrides and swaps are
    heeded, uncut where they reach beyond; between two of these there is nobody: `gaps`. `overlaps` are overrides that
    hide one another.
    """

    rota: Rota
    begin: Instant
    end: Instant
    layers: tuple[tuple[Shift, ...], ...]
    final: tuple[Shift, ...]
    overrides: tuple[Override, ...]
    swaps: tuple[Swap, ...]
    gaps: tuple[Gap, ...]
    overlaps: tuple[Overlap, ...]

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who is named in it, in the order of the file."""
        named = [person for layer in self.rota.layers for person in layer.people]
        named += [override.person for override in self.rota.overrides]
        named += [person for swap in self.rota.swaps for person in (swap.person, swap.substitute)]
        return tuple(dict.fromkeys(named))


class RotaDesk(Protocol):
    """What faces ask of rotas: those of the configuration in force. Nothing is told here.

    `NotFound` where there is no such rota, `Refused` for a range that is none, or is longer than `LONGEST`.
    """

    async def on_call(self, at: Instant | None) -> list[OnCallRow]:
        """Who is on call for each rota, in the order of the file; now, where no instant is named."""
        ...

    async def calendar(self, rota: str, begin: Instant, end: Instant) -> Calendar:
        """One rota over a range."""
        ...

    def now(self) -> Instant:
        """What the clock says, for ranges that begin now."""
        ...


def standing(rota: Rota, at: Instant) -> OnCallRow:
    """Who is on call at an instant."""
    change = next_change(rota, at)
    shift = next(shifts(rota, at, at.plus(Duration(1))), None)
    return OnCallRow(
        rota=rota.name,
        zone=rota.zone,
        at=str(at),
        person=None if shift is None else shift.person,
        layer=None if shift is None else shift.layer,
        until=None if change is None else str(change),
        next=None if change is None else next(iter(who(rota, change)), None),
    )


def calendar_of(rota: Rota, begin: Instant, end: Instant) -> Calendar:
    """A rota over a range; `Refused` for a range that is none."""
    if not begin < end or end.since(begin) > LONGEST:
        raise Refused("a range ends after it begins, and is no longer than 366 days")
    alone = (replace(rota, layers=(layer,), overrides=(), swaps=()) for layer in rota.layers)
    found = examined(rota, begin, end)
    return Calendar(
        rota=rota,
        begin=begin,
        end=end,
        layers=tuple(tuple(whole_shifts(each, begin, end)) for each in alone),
        final=tuple(whole_shifts(rota, begin, end)),
        overrides=tuple(_within(rota.overrides, begin, end)),
        swaps=tuple(_within(rota.swaps, begin, end)),
        gaps=found.gaps,
        overlaps=found.overlaps,
    )


def shift_rows(calendar: Calendar) -> list[ShiftRow]:
    """Shifts and the times without anybody between them, in order, those at the edges of the range cut."""
    name = calendar.rota.name
    rows: list[tuple[Instant, Instant, str | None, int | None]]
    rows = [(each.begin, each.end, None, None) for each in calendar.gaps]
    rows += [
        (max(each.begin, calendar.begin), min(each.end, calendar.end), each.person, each.layer)
        for each in calendar.final
    ]
    return [
        ShiftRow(name, person, str(begin), str(end), layer)
        for begin, end, person, layer in sorted(rows, key=lambda row: row[0])
    ]


def _within(spans: Iterable[_Span], begin: Instant, end: Instant) -> Iterator[_Span]:
    return (span for span in spans if span.begin < end and begin < span.end)

"""Rotas: from the section `oncall` to values of the domain.

Knows what must fit together within a rota, and what a layer means that leaves something out. Does not know who is on
call when (`domain.oncall`), nor who is told through a rota (`routes`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from service_monitoring.domain.calendar import active_hours, local_instant, local_text
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.rotas import DAILY, SHORTEST_TURN, WEEKLY, Handover, Layer, Override, Rota, Swap
from service_monitoring.errors import Refused
from service_monitoring.settings.calendars import handover_parts
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.lengths import duration_text
from service_monitoring.settings.problems import shown
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, LayerShape, OncallShape
from service_monitoring.settings.validation import suggestion

_TURNS: Final = {"daily": DAILY, "weekly": WEEKLY}


def read_rotas(shape: FileShape, reading: Reading) -> tuple[Rota, ...]:
    """All rotas, in the order of the file; what is wrong in one is left out of it, after complaining."""
    return tuple(_Reader(shape, name, given, reading).rota(name) for name, given in shape.oncall.items())


class _Reader:
    """Reads one rota."""

    def __init__(self, shape: FileShape, name: str, given: OncallShape, reading: Reading) -> None:
        self._given = given
        self._zone = given.timezone or shape.timezone
        self._base: KeyPath = ("oncall", name)
        self._reading = reading
        self._people = reading.names("people")

    def rota(self, name: str) -> Rota:
        layers = [self._layer(layer, (*self._base, "layers", at)) for at, layer in enumerate(self._given.layers)]
        overrides, swaps = [], []
        for position, override in enumerate(self._given.overrides):
            where = (*self._base, "overrides", position)
            self._check_person(override.person, (*where, "person"))
            span = self._span(override.begins, override.ends, where)
            overrides += [] if span is None else [Override(override.person, *span)]
        for position, swap in enumerate(self._given.swaps):
            where = (*self._base, "swaps", position)
            self._check_person(swap.person, (*where, "person"))
            self._check_person(swap.substitute, (*where, "with"))
            if swap.person == swap.substitute:
                self._reading.complain((*where, "with"), "nobody swaps with themselves", "name somebody else")
            span = self._span(swap.begins, swap.ends, where)
            swaps += [] if span is None else [Swap(swap.person, swap.substitute, *span)]
        found = (layer for layer in layers if layer is not None)
        return Rota(name, self._zone, tuple(found), tuple(overrides), tuple(swaps))

    def _layer(self, given: LayerShape, path: KeyPath) -> Layer | None:
        complain, said = self._reading.complain, self._reading.said
        for index, person in enumerate(given.people):
            self._check_person(person, (*path, "people", index))
        turn = given.rotate if isinstance(given.rotate, int) else _TURNS[given.rotate]
        if turn <= 0:
            complain((*path, "rotate"), "nobody has a turn of no length", "write weekly")
        elif turn < SHORTEST_TURN or turn % SECOND:
            complain((*path, "rotate"), f"{duration_text(turn)} is no turn for a person", "write 1h, or longer")
        starts = None if given.starts is None else self._instant(given.starts, (*path, "starts"))
        if given.starts is None and turn not in {DAILY, WEEKLY}:
            problem = f"nothing says from when turns of {duration_text(turn)} are counted"
            complain((*path, "rotate"), problem, 'add starts: "2026-01-05" to the layer')
        for index, restriction in enumerate(given.restrictions):
            if restriction.weekdays is None and restriction.times is None:
                complain(
                    (*path, "restrictions", index), "this restricts nothing", "add weekdays or times, or remove it"
                )
        handover = self._handover(given, turn, starts, path)
        if self._reading.said != said:
            return None
        hours = (active_hours(each.weekdays, each.times, self._zone) for each in given.restrictions)
        return Layer(tuple(given.people), turn, handover, starts, tuple(hours))

    def _handover(self, given: LayerShape, turn: Duration, starts: Instant | None, path: KeyPath) -> Handover:
        """What is left out is that of `starts`, and without it midnight, for turns of a week that of Monday."""
        begun = None if starts is None else datetime.fromisoformat(local_text(starts, self._zone))
        minute = 0 if begun is None else 60 * begun.hour + begun.minute
        weekday = None
        if given.handover is not None:
            minute, weekday = handover_parts(given.handover)
        if turn == WEEKLY and weekday is None:
            weekday = 0 if begun is None else begun.weekday()
        if weekday is not None and turn == DAILY:
            problem = "turns of a day are handed over every day"
            self._reading.complain((*path, "handover"), problem, f'write "{minute // 60:02}:{minute % 60:02}"')
        return Handover(minute, weekday)

    def _check_person(self, name: str, path: KeyPath) -> None:
        if name not in self._people:
            self._reading.complain(path, f"there is no person {shown(name)}", suggestion(name, self._people))

    def _span(self, begins: str, ends: str, path: KeyPath) -> tuple[Instant, Instant] | None:
        begin, end = self._instant(begins, (*path, "from")), self._instant(ends, (*path, "until"))
        if begin is None or end is None:
            return None
        if end <= begin:
            self._reading.complain((*path, "until"), "this is not after its beginning", "write a later moment")
            return None
        return begin, end

    def _instant(self, text: str, path: KeyPath) -> Instant | None:
        try:
            return local_instant(text, self._zone)
        except Refused:
            self._reading.complain(path, f"{shown(text)} is too far away", "write 2026-12-24T09:00")
            return None

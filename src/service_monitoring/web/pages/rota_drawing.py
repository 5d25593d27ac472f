"""The drawing of a rota: which bar stands where, week by week, on lines of layers, of overrides and of what counts.

Knows instants and widths. A day is as wide as it lasts. Does not know zones, pages or colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.views.rota import Calendar

LEFT: Final = 92
"""Where days begin: before that are the names of lines."""
WIDTH: Final = 1000
LINE: Final = 26
TOP: Final = 22
MOST_BARS: Final = 1_200
"""Of all weeks together: what has more is a list, and no drawing."""
COLOURS: Final = 8
_LETTER: Final = 7.2


class Week(Struct, frozen=True):
    """Seven days: the instants at which they begin, and the one at which the last ends; a name for each."""

    edges: tuple[Instant, ...]
    names: tuple[str, ...]
    day: str


class Bar(Struct, frozen=True):
    """One bar: `colour` is a number, -1 where nobody is. `label` is what fits in, `title` all of it."""

    x: float
    width: float
    label: str
    title: str
    colour: int
    override: bool


class Line(Struct, frozen=True):
    """One line with its bars. `kind`: layer, overrides or final."""

    name: str
    kind: str
    y: int
    bars: tuple[Bar, ...]


class Drawing(Struct, frozen=True):
    """One week. `now` is where the present is, if it is in it."""

    day: str
    height: int
    days: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    now: float | None


class _Stretch(Struct, frozen=True):
    person: str
    begin: Instant
    end: Instant
    override: bool = False


def drawn(shown: Calendar, weeks: Sequence[Week], *, at: Instant) -> tuple[Drawing, ...]:
    """A drawing a week; none at all where there would be too many bars to be told apart."""
    colours = {person: number % COLOURS for number, person in enumerate(shown.people)}
    rows: list[tuple[str, str, list[_Stretch]]] = []
    if len(shown.layers) > 1 or shown.overrides or shown.swaps:
        rows = [
            (f"layer {number}", "layer", [_Stretch(each.person, each.begin, each.end) for each in layer])
            for number, layer in enumerate(shown.layers)
        ]
    if shown.overrides:
        rows.append(("overrides", "overrides", [_Stretch(e.person, e.begin, e.end, True) for e in shown.overrides]))
    final = [_Stretch(each.person, each.begin, each.end, each.layer is None) for each in shown.final]
    final += [_Stretch("", each.begin, each.end) for each in shown.gaps]
    rows.append(("on call", "final", final))
    if sum(len(stretches) for _, _, stretches in rows) > MOST_BARS:
        return ()
    return tuple(_week(week, rows, colours, at) for week in weeks)


def _week(week: Week, rows: list[tuple[str, str, list[_Stretch]]], colours: dict[str, int], at: Instant) -> Drawing:
    begin, end = week.edges[0], week.edges[-1]
    lines = tuple(
        Line(name, kind, TOP + LINE * number, tuple(_bars(stretches, colours, begin, end)))
        for number, (name, kind, stretches) in enumerate(rows)
    )
    days = tuple((_x(edge, begin, end), name) for edge, name in zip(week.edges, week.names, strict=False))
    now = _x(at, begin, end) if begin <= at < end else None
    return Drawing(week.day, TOP + LINE * len(rows) + 2, days, lines, now)


def _bars(stretches: Iterable[_Stretch], colours: dict[str, int], begin: Instant, end: Instant) -> Iterator[Bar]:
    for each in stretches:
        if each.begin >= end or each.end <= begin:
            continue
        x = _x(max(each.begin, begin), begin, end)
        width = _x(min(each.end, end), begin, end) - x
        who = each.person or "nobody"
        words = f"{who}, override" if each.override else who
        yield Bar(x, round(width, 1), _fitting(who, width), words, colours.get(each.person, -1), each.override)


def _fitting(text: str, width: float) -> str:
    letters = int((width - 8) / _LETTER)
    if letters >= len(text):
        return text
    return f"{text[: letters - 1]}\u2026" if letters >= 3 else ""


def _x(at: Instant, begin: Instant, end: Instant) -> float:
    return round(LEFT + (WIDTH - LEFT) * at.since(begin) / end.since(begin), 1)

"""Plots: where the shapes of a drawing stand, across in per cent of its width and down in pixels.

Knows figures and what of them is drawn. Does not know how a shape is written down, or its colour (`page`). Since only
widths are relative, a plot fits a telephone as well as a wall, and its letters stay as large as those around it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Final

from service_monitoring.domain import calendar
from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant, seconds
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.rehearsal.difference import Difference
from service_monitoring.rehearsal.figures import Figures, Paged, Recipient
from service_monitoring.rehearsal.sweep import Point, Sweep, front_of
from service_monitoring.views.because import length_text
from service_monitoring.views.drawing import Plot, Shape
from service_monitoring.views.on_record import names

MOST_LANES: Final = 12
"""Rules, or recipients, that a timeline shows: those that page, or are paged, most."""
COLOURS: Final = 6
"""Recipients with a colour of their own; the others share a grey."""

_STEPS: Final = tuple(HOUR * each for each in (1, 3, 6, 12)) + tuple(DAY * each for each in (1, 2, 3, 7, 14, 28, 91))
_MOST_TICKS: Final = 10
_LONGEST_WITH_NIGHTS: Final = 62 * DAY
_LANE: Final = 38
_BAR: Final = 12
_AXIS: Final = 24
_BARS: Final = 180
_CURVE: Final = 300
_RESOLUTION: Final = 1000
_SEVERITIES: Final = ("info", "warning", "critical")


def zone_of_all(figures: Figures) -> str:
    """The zone in which the report tells the time: that of most people."""
    zones = Counter(each.zone for each in figures.recipients if each.recipient.startswith("person."))
    return min(zones, key=lambda zone: (-zones[zone], zone), default="UTC")


def timeline(figures: Figures, zone: str) -> Plot:
    """Incidents by rule, and pages by who got them, over the whole range; nights are shaded."""
    width = _Across(figures.since, figures.until)
    rules = [row for row in figures.rules if row.incidents or row.pages][:MOST_LANES]
    people = [each for each in figures.recipients if each.pages or each.in_warm_up][:MOST_LANES]
    height = _LANE * (len(rules) + len(people)) + _AXIS
    shapes: list[Shape] = []
    for number, row in enumerate(rules):
        top = number * _LANE
        shapes += _nights(figures, zone, width, top)
        shapes.append(Shape("text", 0, top + 14, look="lane", text=row.rule + (" (draft)" if row.draft else "")))
        shapes.append(Shape("line", 0, top + 20 + _BAR, 100, 0, "rail"))
        shapes += _incidents(figures, row.rule, width, top + 20)
    for number, who in enumerate(people, start=len(rules)):
        top = number * _LANE
        shapes += _nights(figures, who.zone, width, top)
        shapes.append(Shape("text", 0, top + 14, look="lane", text=f"pages of {names((who.recipient,))}"))
        shapes.append(Shape("line", 0, top + 20 + _BAR, 100, 0, "rail"))
        shapes += _ticks((page for page in figures.every_page if page.recipient == who.recipient), width, top + 20)
    shapes += _warm_up(figures, width, height - _AXIS)
    shapes += _axis(width, zone, height)
    return Plot(
        name="timeline",
        title="Incidents and pages over time",
        says=f"{figures.opened} incidents by rule, then {figures.pages} pages by who got them, "
        f"from {_day(figures.since, zone)} to {_day(figures.until, zone)}.",
        height=height,
        shapes=tuple(shapes),
        legend=(
            *((f"severity-{each}", each) for each in _severities(figures)),
            *((("draft", "draft"),) if figures.of_drafts else ()),
            ("page-day", "page"),
            ("page-night", "page at night"),
            *((("warm-up", "warm-up"),) if figures.warm > figures.since else ()),
        ),
    )


def pages_by_week(figures: Figures) -> Plot:
    """Stacked bars, a week each; weeks are by the calendar of whoever was paged."""
    rows = sorted(figures.recipients, key=lambda row: -row.pages)
    weeks = sorted({*figures.weeks, *(week.week for row in rows for week in row.weeks)})
    counts = {row.recipient: {week.week: week.pages for week in row.weeks} for row in rows}
    sums = {week: sum(of.get(week, 0) for of in counts.values()) for week in weeks}
    top = round_up(max(sums.values(), default=0))
    step, every = 100 / max(1, len(weeks)), max(1, math.ceil(len(weeks) / _MOST_TICKS))
    shapes: list[Shape] = list(_levels(top, _BARS))
    for number, week in enumerate(weeks):
        below = float(_BARS)
        for place, row in enumerate(rows):
            count = counts[row.recipient].get(week, 0)
            high = (_BARS - 24) * count / top
            below -= high
            said = f"{names((row.recipient,))}, {week}: {count}"
            if count:
                wide = min(step * 0.7, 12)
                look = _colour(place)
                shapes.append(Shape("rect", number * step + (step - wide) / 2, below, wide, high, look, said))
        if sums[week]:
            shapes.append(Shape("text", (number + 0.5) * step, below - 5, look="count", text=f"{sums[week]}"))
        if number % every == 0:
            shapes.append(Shape("text", (number + 0.5) * step, _BARS + 16, look="tick middle", text=week[-3:]))
    shapes.append(Shape("line", 0, _BARS, 100, 0, "rail"))
    return Plot(
        name="weeks",
        title="Pages per week",
        says="; ".join(f"{week}: {count}" for week, count in sums.items()) + ".",
        height=_BARS + _AXIS,
        shapes=tuple(shapes),
        legend=tuple(_legend(rows)),
    )


def curve(sweep: Sweep) -> Plot:
    """Pages against the median delay, a dot for each point; those that no other beats are joined and named."""
    shown = [point for point in sweep.points if point.delay.median is not None]
    most = round_up(max((point.pages for point in shown), default=0))
    slowest = max((point.delay.median or 0 for point in shown), default=0) or 1.0

    def across(point: Point) -> float:
        return 6 + 86 * (point.delay.median or 0) / slowest

    def down(point: Point) -> float:
        return _CURVE - (_CURVE - 36) * point.pages / most

    shapes: list[Shape] = list(_levels(most, _CURVE, " pages", room=36))
    for one, other in pairwise(_stairs(sweep)):
        # Between two points there is nothing to be had: more delay saves no page until the next one.
        shapes.append(Shape("line", across(other), down(other), across(one) - across(other), 0, "front"))
        shapes.append(Shape("line", across(one), down(other), 0, down(one) - down(other), "front"))
    for point in sorted(shown, key=lambda point: point.on_front):
        look = "point" + (" on-front" if point.on_front else "") + (" current" if point.current else "")
        shapes.append(
            Shape("dot", across(point), down(point), 6 if point.on_front else 4, look=look, text=_says(point))
        )
    shapes += _point_names(shown, across, down)
    shapes.append(Shape("line", 0, _CURVE, 100, 0, "rail"))
    for share in (0, 0.5, 1):
        look = "tick" if share == 0 else "tick middle" if share < 1 else "tick end"
        text = length_text(seconds(round(slowest * share)))
        shapes.append(
            Shape("text", 6 + 86 * share, _CURVE + 16, look=look, text=f"{text} late" if share else "at once")
        )
    return Plot(
        name="curve",
        title=f"Pages against delay, by {', '.join(sweep.parameters)}",
        says="; ".join(_says(point) for point in sweep.points) + ".",
        height=_CURVE + _AXIS,
        shapes=tuple(shapes),
        legend=(("on-front", "no other point beats it"), ("point", "beaten by another")),
    )


def gains(difference: Difference, zone: str) -> Plot:
    """What is gained and lost over time, by who gains or loses it."""
    width = _Across(difference.since, difference.until)
    rows = [row for row in difference.recipients if row.gained or row.lost][:MOST_LANES]
    shapes: list[Shape] = []
    for number, row in enumerate(rows):
        top = number * _LANE
        said = f"{names((row.name,))}: {row.gained} gained, {row.lost} lost"
        shapes.append(Shape("text", 0, top + 14, look="lane", text=said))
        shapes.append(Shape("line", 0, top + 20 + _BAR, 100, 0, "rail"))
        for pages, look in ((difference.lost, "lost"), (difference.gained, "gained")):
            shapes += _marks((page for page in pages if page.recipient == row.name), width, top + 20, look)
    height = _LANE * len(rows) + _AXIS
    shapes += _axis(width, zone, height)
    return Plot(
        name="gains",
        title="Pages gained and lost over time",
        says=f"{len(difference.gained)} pages are gained and {len(difference.lost)} lost.",
        height=height,
        shapes=tuple(shapes),
        legend=(("gained", "gained"), ("lost", "lost")),
    )


def day_text(at: Instant, zone: str) -> str:
    """`Mon 5 Jan 20:10`."""
    return f"{_day(at, zone)} {calendar.local_text(at, zone)[11:16]}"


class _Across:
    """Where an instant of a range stands, in per cent."""

    def __init__(self, since: Instant, until: Instant) -> None:
        self.since = since
        self.until = until
        self._whole = max(1, until.since(since))

    def at(self, at: Instant) -> float:
        return round(100 * min(self._whole, max(0, at.since(self.since))) / self._whole, 2)

    @property
    def length(self) -> int:
        return self._whole


def _severities(figures: Figures) -> list[str]:
    seen = {episode.severity for episode in figures.incidents if not episode.draft}
    return [each for each in _SEVERITIES if each in seen]


def _incidents(figures: Figures, rule: str, width: _Across, top: int) -> Iterator[Shape]:
    """Bars; what falls within a thousandth of the width is one."""
    bars: dict[tuple[int, str], list[tuple[float, float, str]]] = {}
    for episode in figures.incidents:
        if episode.rule != rule:
            continue
        begin, end = width.at(episode.opened_at), width.at(episode.ended_at or figures.until)
        look = "draft" if episode.draft else f"severity-{episode.severity}"
        said = f"{rule}, {episode.severity}, {length_text(seconds(round(episode.lasted_seconds)))}"
        bars.setdefault((int(begin * _RESOLUTION // 100), look), []).append((begin, end, said))
    for (_, look), together in sorted(bars.items()):
        begin, end = min(bar[0] for bar in together), max(bar[1] for bar in together)
        said = together[0][2] if len(together) == 1 else f"{rule}: {len(together)} incidents"
        yield Shape("rect", begin, top, max(0.3, round(end - begin, 2)), _BAR, f"bar {look}", said)


def _ticks(pages: Iterable[Paged], width: _Across, top: int) -> Iterator[Shape]:
    every = list(pages)
    for look, some in (
        ("page-day", (page for page in every if not page.at_night)),
        ("page-night", (page for page in every if page.at_night)),
    ):
        yield from _marks(some, width, top, look)


def _marks(pages: Iterable[Paged], width: _Across, top: int, look: str) -> Iterator[Shape]:
    """A mark for each page; those within a thousandth of the width are one."""
    marks: dict[float, list[Paged]] = {}
    for page in pages:
        marks.setdefault(round(width.at(page.at), 1), []).append(page)
    for x, together in sorted(marks.items()):
        first = together[0]
        said = f"{first.page}, {first.rule}" if len(together) == 1 else f"{len(together)} pages"
        yield Shape("rect", x, top, 0.35, _BAR, f"mark {look}", said)


def _nights(figures: Figures, zone: str, width: _Across, top: int) -> Iterator[Shape]:
    if width.length > _LONGEST_WITH_NIGHTS:
        return
    hours = ActiveHours(zone, spans=(Span(figures.night.since, figures.night.until),))
    at: Instant | None = figures.since
    while at is not None and at < figures.until:
        then = calendar.next_change(hours, at)
        if calendar.is_active(hours, at):
            begin, end = width.at(at), width.at(figures.until if then is None else then)
            yield Shape("rect", begin, top, round(end - begin, 2), _LANE, "night")
        at = then


def _warm_up(figures: Figures, width: _Across, height: int) -> Iterator[Shape]:
    end = width.at(figures.warm)
    if end:
        yield Shape("rect", 0, 0, end, height, "warm-up", "warm-up: rules do not know enough history yet")


def _axis(width: _Across, zone: str, height: int) -> Iterator[Shape]:
    step = next((each for each in _STEPS if width.length / each <= _MOST_TICKS), width.length // _MOST_TICKS)
    at = calendar.local_instant(calendar.local_text(width.since, zone)[:10], zone)
    number = 0
    while at < width.until:
        if at >= width.since:
            x = width.at(at)
            text = calendar.local_text(at, zone)[11:16] if step < DAY else _day(at, zone)
            yield Shape("line", x, 0, 0, height - _AXIS, "grid")
            if x < 90:
                yield Shape("text", x, height - 7, look="tick seldom" if number % 2 else "tick", text=text)
            number += 1
        # By the calendar, so that a day of 23 hours moves no midnight.
        at = _midnight_after(at, step, zone) if step % DAY == 0 else at.plus(Duration(step))


def _midnight_after(at: Instant, step: int, zone: str) -> Instant:
    return calendar.local_instant(calendar.local_text(at.plus(Duration(step + 6 * HOUR)), zone)[:10], zone)


def _levels(top: int, height: int, unit: str = "", *, room: int = 24) -> Iterator[Shape]:
    for share in (0.5, 1.0):
        y = height - (height - room) * share
        yield Shape("line", 0, y, 100, 0, "grid")
        yield Shape("text", 0, y - 4, look="tick", text=f"{top * share:g}{unit}")


def round_up(value: int) -> int:
    """The next of 2, 4, ..., 18, 20, 40, ..., 180, 200, ...: its half is a whole number."""
    size: int = 10 ** max(0, len(str(value)) - 1)
    return next(each * size for each in range(2, 22, 2) if each * size >= value)


def _colour(place: int) -> str:
    return f"colour-{place}" if place < COLOURS else "colour-more"


def _legend(rows: Sequence[Recipient]) -> Iterator[tuple[str, str]]:
    paged = [row for row in rows if row.pages]
    for place, row in enumerate(paged[:COLOURS]):
        yield _colour(place), names((row.recipient,))
    if len(paged) > COLOURS:
        yield "colour-more", f"{len(paged) - COLOURS} more"


def _point_names(
    points: Iterable[Point], across: Callable[[Point], float], down: Callable[[Point], float]
) -> Iterator[Shape]:
    """What the points are called that no other beats, one above the other where they are close."""
    named = sorted((point for point in points if point.on_front or point.current), key=down, reverse=True)
    written: list[tuple[float, float]] = []
    for point in named:
        x, y = across(point), down(point) - 11
        while any(abs(x - other) < 45 and abs(y - above) < 14 for other, above in written):
            y -= 14
        written.append((x, y))
        yield Shape("text", x, y, look="name" if x < 60 else "name before", text=_named(point))


def _stairs(sweep: Sweep) -> list[Point]:
    """The points of the front that have less delay than all with fewer pages: others are on it for what they miss."""
    found: list[Point] = []
    for point in front_of(sweep):
        delay = point.delay.median
        if delay is not None and (not found or delay < (found[-1].delay.median or 0)):
            found.append(point)
    return found


def _named(point: Point) -> str:
    notes = [*(["now"] if point.current else []), *([f"misses {point.missed}"] if point.missed else [])]
    return " / ".join(point.values) + (f" ({', '.join(notes)})" if notes else "")


def _says(point: Point) -> str:
    late = "detects nothing" if point.delay.median is None else _late(point.delay.median)
    return f"{' / '.join(point.values)}: {point.pages} pages, {late}, {point.missed} missed"


def _late(delay: float) -> str:
    return f"{length_text(seconds(round(delay)))} late" if delay else "at once"


def _day(at: Instant, zone: str) -> str:
    day = date.fromisoformat(calendar.local_text(at, zone)[:10])
    return f"{day:%a} {day.day} {day:%b}"

"""Sweeps: what each value of a parameter costs in pages, and how late it finds what others find sooner.

Knows what several rehearsals of one range came to, each in short, so that they may have been made elsewhere. Does not
know how a value gets into a configuration, nor how a curve is drawn.

An incident is detected when it opens. How late that is, is counted from the start of what really went wrong, where that
is known (`judging`); otherwise from the earliest detection of the same trouble among all points, and what some point
finds and another does not, that one has missed. So without a truth, the most nervous point sets the measure. What all
points detect at the same instant says nothing of the parameter, and is left out.

At a nervous point one incident may cover several that others tell apart: each of those is a trouble of its own, which
that point detects when it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.instants import Instant, in_seconds
from service_monitoring.domain.schedules import Span
from service_monitoring.errors import Refused
from service_monitoring.rehearsal.difference import seen_of
from service_monitoring.rehearsal.figures import NIGHT, Delay, delay_of, figures_of
from service_monitoring.rehearsal.judging import TrueIncident, is_caught_by, is_for_nothing, within
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.same import Seen, Timeline, Trouble, troubles


class Summary(Struct, frozen=True):
    """A rehearsal in short: enough for a sweep, and small enough to come from another process.

    `recipients` are pages of each; `pages_about` the incidents that each page tells of. Drafts are left out, and all
    but `seen` counts what came after the warm-up.
    """

    since: Instant
    until: Instant
    warm: Instant
    pages: int
    at_night: int
    recipients: tuple[tuple[str, int], ...]
    pages_about: tuple[tuple[str, ...], ...]
    breach_to_page: Delay
    incidents: int
    seen: tuple[Seen, ...]


class Point(Struct, frozen=True):
    """What one choice of values comes to. `delay` is how late it detects what it detects, in seconds.

    `pages_for_nothing` is known where the truth is. A point on the front is one that no other beats: none has at most
    as many pages, as much delay in the median and as many missed, and less of one of them.
    """

    values: tuple[str, ...]
    pages: int
    at_night: int
    incidents: int
    missed: int
    delay: Delay
    breach_to_page: Delay
    recipients: tuple[tuple[str, int], ...]
    pages_for_nothing: int | None = None
    on_front: bool = False
    current: bool = False


class Detected(Struct, frozen=True):
    """A trouble, or a true incident, and how many seconds late each point detects it; None where it does not."""

    name: str
    began: Instant
    delays: tuple[float | None, ...]


class Sweep(Struct, frozen=True):
    """The points in the order in which they were given, and what each of them detects.

    `measured_from` says in words what a delay is counted from; `unaffected` troubles are detected at the same instant
    by all points.
    """

    parameters: tuple[str, ...]
    measured_from: str
    points: tuple[Point, ...]
    detected: tuple[Detected, ...]
    unaffected: int = 0


def summary_of(rehearsed: Rehearsed, *, night: Span = NIGHT) -> Summary:
    """A rehearsal in short."""
    figures = figures_of(rehearsed, night=night)
    return Summary(
        since=figures.since,
        until=figures.until,
        warm=figures.warm,
        pages=figures.pages,
        at_night=figures.at_night,
        recipients=tuple((each.recipient, each.pages) for each in figures.recipients),
        pages_about=tuple(page.incidents for page in figures.every_page if not page.in_warm_up),
        breach_to_page=figures.breach_to_page,
        seen=tuple(seen_of(each, figures.until) for each in figures.incidents if not each.draft),
        incidents=figures.opened,
    )


def sweep_of(
    parameters: Sequence[str],
    made: Iterable[tuple[Sequence[str], Rehearsed | Summary]],
    truth: Sequence[TrueIncident] | None = None,
    *,
    current: Sequence[str] | None = None,
) -> Sweep:
    """The curve. Each of `made` is the values of all parameters, as people write them, with what came of them.

    `current` are the values that are in force. `Refused` where points are not of one range or lack a value.
    """
    points = [(tuple(values), _short(what)) for values, what in made]
    _refuse_unlike(parameters, points)
    summaries = [summary for _, summary in points]
    if truth is not None and summaries:
        warm = max(summary.warm for summary in summaries)
        truth = within(truth, warm, summaries[0].until)
    every = _of_truth(summaries, truth) if truth is not None else _of_troubles(summaries)
    detected = every if truth is not None else [each for each in every if set(each.delays) != {0.0}]
    found = [
        _point(values, summary, [each.delays[number] for each in detected], truth)
        for number, (values, summary) in enumerate(points)
    ]
    wanted = None if current is None else tuple(current)
    return Sweep(
        parameters=tuple(parameters),
        measured_from="the earliest detection among all points" if truth is None else "the start of the true incident",
        points=tuple(
            _marked(point, on_front=not any(_beats(other, point) for other in found), current=point.values == wanted)
            for point in found
        ),
        detected=tuple(detected),
        unaffected=len(every) - len(detected),
    )


def front_of(sweep: Sweep) -> list[Point]:
    """The points that no other beats, those with the fewest pages first."""
    return sorted((point for point in sweep.points if point.on_front), key=lambda point: (point.pages, _cost(point)))


def _short(what: Rehearsed | Summary) -> Summary:
    return what if isinstance(what, Summary) else summary_of(what)


def _refuse_unlike(parameters: Sequence[str], points: Sequence[tuple[tuple[str, ...], Summary]]) -> None:
    for values, summary in points:
        if len(values) != len(parameters):
            raise Refused(f"{', '.join(values)} are not values of {', '.join(parameters)}: give one for each")
        if (summary.since, summary.until) != (points[0][1].since, points[0][1].until):
            raise Refused("the points of a sweep must be rehearsals of one range")


def _of_truth(summaries: Sequence[Summary], truth: Iterable[TrueIncident]) -> list[Detected]:
    rows = []
    for true in truth:
        opened = [[each.opened_at for each in summary.seen if is_caught_by(true, each)] for summary in summaries]
        # One that was open before is detected at the start: that is as soon as can be.
        delays = tuple(max(0.0, in_seconds(min(found).since(true.start))) if found else None for found in opened)
        rows.append(Detected(true.id, true.start, delays))
    return rows


def _of_troubles(summaries: Sequence[Summary]) -> list[Detected]:
    rows = []
    for trouble in troubles([summary.seen for summary in summaries]):
        _, brace, labels = trouble.series.partition("{")
        pieces = _told_apart(trouble)
        apart, at_points = Timeline(pieces), [Timeline(seen) for seen in trouble.seen]
        for one in pieces:
            detections = [_detection(one, point, apart) for point in at_points]
            earliest = min(at for at in detections if at is not None)
            delays = tuple(None if at is None else in_seconds(at.since(earliest)) for at in detections)
            rows.append(Detected(f"{trouble.rule}{brace}{labels}", one.breached_at, delays))
    return sorted(rows, key=lambda row: (row.began, row.name))


def _told_apart(trouble: Trouble) -> list[Seen]:
    """The incidents into which a trouble falls: those of the point that has most, and others beside all of them."""
    judged = [[each for each in seen if not each.in_warm_up] for seen in trouble.seen]
    apart: list[Seen] = max(judged, key=len)
    for seen in judged:
        known = Timeline(apart)
        apart = apart + [each for each in seen if not known.beside(each)]
    return apart


def _detection(one: Seen, point: Timeline, apart: Timeline) -> Instant | None:
    """When a point detects a trouble; what covers others besides was open for some other reason before it began."""
    first = min(point.beside(one), key=lambda each: each.opened_at, default=None)
    if first is None:
        return None
    covers_others = first.in_warm_up or len(apart.beside(first)) > 1
    return max(first.opened_at, one.breached_at) if covers_others else first.opened_at


def _point(
    values: tuple[str, ...],
    summary: Summary,
    delays: Sequence[float | None],
    truth: Sequence[TrueIncident] | None,
) -> Point:
    return Point(
        values=values,
        pages=summary.pages,
        at_night=summary.at_night,
        incidents=summary.incidents,
        missed=sum(delay is None for delay in delays),
        delay=delay_of(delay for delay in delays if delay is not None),
        breach_to_page=summary.breach_to_page,
        recipients=summary.recipients,
        pages_for_nothing=None if truth is None else _for_nothing(summary, truth),
    )


def _for_nothing(summary: Summary, truth: Sequence[TrueIncident]) -> int:
    nothing = {each.id for each in summary.seen if not each.in_warm_up and is_for_nothing(each, truth)}
    return sum(bool(about) and nothing.issuperset(about) for about in summary.pages_about)


def _marked(point: Point, *, on_front: bool, current: bool) -> Point:
    return replace(point, on_front=on_front, current=current)


def _cost(point: Point) -> float:
    """The delay by which points are compared; of one that detects nothing it has no end."""
    return float("inf") if point.delay.median is None else point.delay.median


def _beats(one: Point, other: Point) -> bool:
    ours, theirs = ((point.pages, _cost(point), point.missed) for point in (one, other))
    return ours != theirs and all(mine <= its for mine, its in zip(ours, theirs, strict=True))

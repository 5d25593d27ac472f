"""On call: who is now, and the calendar of a rota, week by week or as a month.

Knows HTTP, the desk of rotas and what local time is asked of (`domain.calendar`). Where bars stand is known to
`rota_drawing`, what a page looks like to its template.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, timedelta
from typing import Annotated, Final

from fastapi import Query, Request, Response
from msgspec import Struct

from service_monitoring.access.permissions import Permission
from service_monitoring.domain import calendar as calendars
from service_monitoring.domain.coverage import Gap, Overlap
from service_monitoring.domain.instants import Duration, Instant, in_seconds
from service_monitoring.domain.oncall import Shift
from service_monitoring.domain.rotas import Swap
from service_monitoring.errors import Refused
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.rota import Calendar, OnCallRow, RotaDesk
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.pages.rota_drawing import Week, drawn
from service_monitoring.web.permitting import Routes

MOST_LISTED: Final = 200
MOST_ROTAS: Final = 200
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_WEEK: Final = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_YEARS: Final = range(1971, 2200)


class Span(Struct, frozen=True):
    """The days that are shown, whole weeks from a Monday on, and what they go by in the URL."""

    first: date
    weeks: int
    title: str
    query: str
    before: str
    after: str


class Moment(Struct, frozen=True):
    """A handover: by the clock of the rota's zone, and by the reader's."""

    at: str
    there: str
    here: str


class ListedShift(Struct, frozen=True):
    """One line of the list: somebody, or nobody (None), from when until when, by which layer, and how long."""

    person: str | None
    begin: Moment
    end: Moment
    layer: int | None
    hours: str


def oncall_pages(rotas: RotaDesk) -> Routes:
    """Its routes."""
    routes = Routes(described=False)

    @routes.get("/oncall", needs=Permission.READ)
    async def oncall(
        request: Request,
        rota: Annotated[str, Query(max_length=100)] = "",
        month: Annotated[str, Query(max_length=10)] = "",
        week: Annotated[str, Query(max_length=10)] = "",
        zone: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        rows = await rotas.on_call(None)
        if not rows:
            return page(request, "oncall.html", rows=(), more=0, shown=None, weeks=(), shifts=(), rota="")
        chosen = rota or rows[0].rota
        there = next((row.zone for row in rows if row.rota == chosen), "UTC")
        here = _zone(zone or there)
        span = _span(month, week, calendars.local_text(rotas.now(), here)[:10])
        begin = _midnight(span.first, here)
        shown = await rotas.calendar(chosen, begin, _midnight(span.first + timedelta(weeks=span.weeks), here))
        return page(
            request,
            "oncall.html",
            rows=[_now(row, here) for row in rows[:MOST_ROTAS]],
            more=max(len(rows) - MOST_ROTAS, 0),
            names=[row.rota for row in rows],
            rota=chosen,
            zone=here,
            there=there,
            given_zone=zone,
            span=span,
            shown=shown,
            weeks=drawn(shown, _days(span, here), at=rotas.now()),
            shifts=_listed(shown, here)[:MOST_LISTED],
            unlisted=max(len(shown.final) + len(shown.gaps) - MOST_LISTED, 0),
            gaps=[_ends(each, there, here) for each in shown.gaps],
            overlaps=[(each, *_ends(each, there, here)) for each in shown.overlaps],
            swaps=[(each, *_ends(each, there, here)) for each in shown.swaps],
            changes=_changes(shown, sorted({there, here})),
            example=_example(shown, there),
        )

    return routes


def _now(row: OnCallRow, zone: str) -> tuple[OnCallRow, Moment | None]:
    return row, None if row.until is None else _moment(Instant.parse(row.until), row.zone, zone)


def _zone(name: str) -> str:
    try:
        calendars.refuse_unknown_zone(name)
    except Refused as refused:
        raise InvalidValue(str(refused), "write Europe/Berlin, or UTC") from None
    return name


def _span(month: str, week: str, today: str) -> Span:
    """A month with the weeks that it is part of, or one week; the month of today where neither is named."""
    with suppress(ValueError):  # there is no such month or week
        if (named := _WEEK.fullmatch(week)) is not None and int(named[1]) in _YEARS:
            return _week(date.fromisocalendar(int(named[1]), int(named[2]), 1))
        if (named := _MONTH.fullmatch(month or today[:7])) is not None and int(named[1]) in _YEARS and not week:
            return _month(date(int(named[1]), int(named[2]), 1))
    raise InvalidValue("this is no month and no week", "write month=2026-11, or week=2026-W48")


def _week(first: date) -> Span:
    before, after = (_week_query(first + timedelta(weeks=by)) for by in (-1, 1))
    last = first + timedelta(days=6)
    return Span(first, 1, f"{first.isoformat()} to {last.isoformat()}", _week_query(first), before, after)


def _week_query(day: date) -> str:
    year, number, _ = day.isocalendar()
    return f"week={year}-W{number:02}"


def _month(first: date) -> Span:
    following = (first + timedelta(days=31)).replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    monday = first - timedelta(days=first.weekday())
    weeks = -(-(following - monday).days // 7)
    return Span(monday, weeks, f"{first:%Y-%m}", *(f"month={each:%Y-%m}" for each in (first, before, following)))


def _midnight(day: date, zone: str) -> Instant:
    return calendars.local_instant(day.isoformat(), zone)


def _days(span: Span, zone: str) -> list[Week]:
    """The days of each week with where they begin: one of 23 or 25 hours is as wide as it lasts."""
    weeks = []
    for number in range(span.weeks):
        days = [span.first + timedelta(days=7 * number + day) for day in range(8)]
        edges = tuple(_midnight(day, zone) for day in days)
        weeks.append(Week(edges, tuple(f"{_DAYS[day.weekday()]} {day.day}" for day in days[:7]), days[0].isoformat()))
    return weeks


def _moment(at: Instant, there: str, here: str) -> Moment:
    return Moment(str(at), clock_text(at, there), clock_text(at, here))


def _ends(span: Gap | Overlap | Swap, there: str, here: str) -> tuple[Moment, Moment]:
    return _moment(span.begin, there, here), _moment(span.end, there, here)


def clock_text(at: Instant, zone: str) -> str:
    """What the clock on the wall of a zone shows: `Sun 2026-10-25 02:30 +01:00`."""
    text = calendars.local_text(at, zone)
    return f"{_DAYS[date.fromisoformat(text[:10]).weekday()]} {text[:10]} {text[11:16]} {text[19:]}"


def _listed(shown: Calendar, here: str) -> list[ListedShift]:
    nobody = (Shift("", each.begin, each.end) for each in shown.gaps)
    found = sorted((*shown.final, *nobody), key=lambda shift: shift.begin)
    return [
        ListedShift(
            each.person or None,
            _moment(each.begin, shown.rota.zone, here),
            _moment(each.end, shown.rota.zone, here),
            each.layer,
            _hours(each.end.since(each.begin)),
        )
        for each in found
    ]


def _hours(length: Duration) -> str:
    return f"{in_seconds(length) / 3600:.4g} h"


def _changes(shown: Calendar, zones: list[str]) -> list[str]:
    """A sentence for each time that the clocks are set within what is shown."""
    return [
        f"{zone}: the clocks go {'forward' if by > 0 else 'back'} by {abs(by) // 60} minutes, and then show "
        f"{clock_text(at, zone)}"
        for zone in zones
        for at, by in calendars.clock_changes(zone, shown.begin, shown.end)
    ]


def _example(shown: Calendar, zone: str) -> str:
    """The lines of an override, for whoever wants to stand in."""
    day = calendars.local_text(shown.begin, zone)[:10]
    later = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    return (
        f"oncall:\n  {shown.rota.name}:\n    overrides:\n"
        f"      - {{person: {(shown.people or ('NAME',))[0]}, from: {day}T18:00, until: {later}T09:00}}"
    )

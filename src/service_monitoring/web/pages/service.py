"""The pages of one service and of one rule, and charts as pictures of their own.

Knows the desks and what an address may ask for. Does not draw (`charts`), and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from msgspec import Struct

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.inputs import Retired
from service_monitoring.domain.instants import Instant, seconds
from service_monitoring.errors import NotFound
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.because import length_text
from service_monitoring.views.faces import Faces
from service_monitoring.views.rules import WHY
from service_monitoring.views.service import (
    Around,
    Bucket,
    Line,
    Range,
    RuleStanding,
    SeriesName,
    ServiceDesk,
    ServiceDetail,
)
from service_monitoring.web.api.fields import actor
from service_monitoring.web.pages import charts
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes
from service_monitoring.web.ranges import RANGES, USUAL, chosen, earlier, later, out

DAYS: Final = 90
_SERIES: Final = 100
_RUNS: Final = 10
_BUDGETS: Final = 50
_NARROWEST: Final = 200
_WIDEST: Final = 2400
_PREFERRED: Final = ("duration_seconds", "up")


class Asked(Struct, frozen=True):
    """What the address of a page asks for, each part as it was written."""

    check: str = ""
    metric: str = ""
    labels: str = ""
    range: str = ""
    began: str = ""
    ended: str = ""
    after: str = ""

    def query(self, **changes: str) -> str:
        """The query that asks for the same with these changes."""
        asked = {
            "check": self.check, "metric": self.metric, "labels": self.labels,
            "range": self.range, "from": self.began, "to": self.ended, "after": self.after,
        } | changes  # fmt: skip
        return urlencode({name: value for name, value in asked.items() if value})

    def at(self, within: Range) -> str:
        """The query that asks for the same in a range."""
        return self.query(range="", **{"from": _short(within.began), "to": _short(within.ended)})


def _asked(
    check: Annotated[str, Query(max_length=200)] = "",
    metric: Annotated[str, Query(max_length=200)] = "",
    labels: Annotated[str, Query(max_length=4096)] = "",
    range: Annotated[str, Query(max_length=40)] = "",  # noqa: A002 - its name in the address
    began: Annotated[str, Query(alias="from", max_length=64)] = "",
    ended: Annotated[str, Query(alias="to", max_length=64)] = "",
    after: Annotated[str, Query(max_length=4096)] = "",
) -> Asked:
    return Asked(check, metric, labels, range, began, ended, after)


class Drawn(Struct, frozen=True):
    """A chart on a page: the drawing, its figures, and what a script needs to read values from it."""

    svg: Markup
    line: Line
    rows: list[charts.Row]
    points: str
    links: Mapping[str, str]


def service_pages(faces: Faces, desk: ServiceDesk) -> Routes:
    """Its routes."""
    routes = Routes(described=False)

    @routes.get("/services/{service}", needs=Permission.READ)
    async def service(request: Request, service: str, asked: Annotated[Asked, Depends(_asked)]) -> Response:
        return await _service_page(request, faces, desk, service, asked)

    @routes.get("/services/{service}/chart.svg", needs=Permission.READ)
    async def chart(
        service: str,
        asked: Annotated[Asked, Depends(_asked)],
        width: Annotated[int, Query(ge=_NARROWEST, le=_WIDEST)] = 800,
    ) -> Response:
        within = chosen(desk.now(), named=asked.range, began=asked.began, ended=asked.ended)
        line = await desk.line(service, SeriesName(asked.check, asked.metric, asked.labels), within)
        around = await desk.around(service, within)
        return Response(charts.line_chart(line, around, width=width), media_type="image/svg+xml; charset=utf-8")

    @routes.get("/services/{service}/checks/{check}", needs=Permission.READ)
    async def runs(
        request: Request, service: str, check: str, before: Annotated[str, Query(max_length=64)] = ""
    ) -> Response:
        found = await desk.runs(service, check, before=before, limit=_SERIES)
        further = f"?before={quote(found.next)}" if found.next else ""
        return page(
            request,
            "runs.html",
            service=service,
            check=check,
            runs=found.runs,
            further=further,
            before=before,
            words=_WORDS,
        )

    @routes.get("/services/{service}/budgets", needs=Permission.READ)
    async def budgets(request: Request, service: str) -> Response:
        found = (await faces.desk.budgets(service))[:_BUDGETS]
        return page(request, "budgets.html", service=service, budgets=found, words=_WORDS)

    @routes.get("/services/{service}/rules/{rule}", needs=Permission.READ)
    async def rule(
        request: Request, service: str, rule: str, after: Annotated[str, Query(max_length=4096)] = ""
    ) -> Response:
        found = await desk.rule(service, rule, after=after, limit=_SERIES)
        further = f"?{urlencode({'after': found.next})}" if found.next else ""
        return page(request, "rule.html", found=found, rule=found.rule, further=further, words=_WORDS, why=WHY)

    @routes.post("/services/{service}/rules/{rule}/retire", needs=Permission.ADMINISTER)
    async def retire(
        request: Request,
        service: str,
        rule: str,
        reason: Annotated[str, Form(min_length=1, max_length=4096)],
        by: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        await faces.desk.retire(Retired(service, rule, reason, actor(request, by)))
        return RedirectResponse(f"/services/{quote(service, safe='')}/rules/{quote(rule, safe='')}", 303)

    return routes


async def _service_page(request: Request, faces: Faces, desk: ServiceDesk, service: str, asked: Asked) -> Response:
    now, wrong = desk.now(), ""
    try:
        within = chosen(now, named=asked.range, began=asked.began, ended=asked.ended)
    except InvalidValue as refused:
        # What was asked for is said to be wrong, and the usual range is shown.
        wrong, within = str(refused), chosen(now)
        asked = Asked(asked.check, asked.metric, asked.labels, after=asked.after)
    found = await desk.service(service)
    around = await desk.around(service, within)
    listed = await desk.series(service, check=asked.check, after=asked.after, limit=_SERIES)
    chosen_series = await _series(desk, found, asked)
    drawn = None
    if chosen_series is not None:
        asked = Asked(*_named(chosen_series), asked.range, asked.began, asked.ended, asked.after)
        try:
            line = await desk.line(service, chosen_series, within)
        except NotFound as missing:
            wrong = wrong or str(missing)
        else:
            drawn = _drawn(line, around, asked, within, now)
    days = () if faces.days is None else (await faces.days.days([service], DAYS)).get(service, ())
    values: dict[str, Any] = {
        "found": found,
        "around": around,
        "drawn": drawn,
        "asked": asked,
        "ranges": [(name, asked.query(range=name, **{"from": "", "to": ""})) for name in RANGES],
        "named_range": asked.range or ("" if asked.began or asked.ended else USUAL),
        "listed": listed,
        "wrong": wrong,
        "phases": {
            each.check: Markup(charts.phases_bar(each.newest.phases, name=f"phases-{place}"))  # noqa: S704 - written by ElementTree, which escapes
            for place, each in enumerate(found.checks)
            if each.newest is not None and each.newest.phases
        },
        "days": days,
        "bar": Markup(charts.days_bar(days)) if days else "",  # noqa: S704 - written by ElementTree, which escapes
        # A month of samples is counted for them: they come by themselves, and the page does not wait.
        "has_budgets": any(each.rule.kind == "budget" for each in found.rules),
        "why": WHY,
        "words": _WORDS,
    }
    return page(request, "service.html", status=422 if wrong else 200, **values)


async def _series(desk: ServiceDesk, found: ServiceDetail, asked: Asked) -> SeriesName | None:
    """The series that is asked for, or the one that says most: how long a run takes, or what a rule judges."""
    if asked.metric:
        check = asked.check or (found.checks[0].check if found.checks else "")
        return SeriesName(check, asked.metric, asked.labels)
    judged = [each.rule.metric for each in found.rules]
    for check in [asked.check] if asked.check else [each.check for each in found.checks]:
        known = await desk.series(found.service, check=check, after="", limit=1000)
        if known.series:
            wanted = [*_PREFERRED[:1], *judged, *_PREFERRED[1:]]
            return next((each for metric in wanted for each in known.series if each.metric == metric), known.series[0])
    return None


def _drawn(line: Line, around: Around, asked: Asked, within: Range, now: Instant) -> Drawn:
    after = later(within, now)
    links = {"earlier": asked.at(earlier(within)), "out": asked.at(out(within, now))}
    if after is not None:
        links["later"] = asked.at(after)
    return Drawn(
        svg=Markup(charts.line_chart(line, around)),  # noqa: S704 - written by ElementTree, which escapes
        line=line,
        rows=charts.rows(line),
        points="[" + ",".join(_point(each) for each in line.buckets) + "]",
        links=links,
    )


def _point(bucket: Bucket) -> str:
    """When and what, as JSON: milliseconds, least, mean, greatest. Every float of ours is finite."""
    middle = (Instant.parse(bucket.first_at).ns + Instant.parse(bucket.last_at).ns) // 2_000_000
    return f"[{middle},{bucket.least:.6g},{bucket.mean:.6g},{bucket.greatest:.6g}]"


def _named(series: SeriesName) -> tuple[str, str, str]:
    return series.check, series.metric, series.labels


def _short(at: Instant) -> str:
    """An instant in an address: whole seconds are enough, and can be read."""
    return f"{str(at)[:19]}Z"


def _length(number: float) -> str:
    return length_text(seconds(number))


def _stands(each: RuleStanding) -> str:
    """How many of its series say something else than the worst."""
    says = each.rule.verdicts
    return ", ".join(f"{count} {word}" for word, count in says.items() if count)


_WORDS: Final = {
    "length": _length,
    "worded": charts.worded,
    "milliseconds": charts.milliseconds,
    "phase": charts.phase_name,
    "condition": charts.condition,
    "shares": charts.shares,
    "stands": _stands,
    "quote": lambda text: quote(text, safe=""),
}

"""The pages of rehearsals: a form, a line of jobs, and what came of each.

Knows the fields of the form, as they come in a query and in a form, and the port. Does not know how anything is
rehearsed. `set:KEY` is a field with the new value of a number; an empty one leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, QueryParams

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.instants import seconds
from service_monitoring.errors import MonitoringError, NotFound
from service_monitoring.views.because import length_text
from service_monitoring.views.rehearsals import (
    LASTING,
    UNDER_WAY,
    Change,
    JobRow,
    Parameter,
    RehearsalOptions,
    Rehearsals,
    Standing,
    Wanted,
    WrongRehearsal,
)
from service_monitoring.web.api.fields import actor
from service_monitoring.web.api.rehearsals import document
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes

ROWS: Final = 100
"""Rows of a list on one page."""
_MOST_FIELDS: Final = 2_000
_MOST_SERVICES: Final = 20
_LONGEST: Final = 400
_SET: Final = "set:"


def rehearsal_pages(port: Rehearsals) -> Routes:
    """Its routes."""
    routes = Routes(described=False)

    @routes.get("/rehearsals", needs=Permission.READ)
    async def rehearsals(request: Request) -> Response:
        return await _shown(request, port, request.query_params)

    @routes.post("/rehearsals", needs=Permission.RESPOND)
    async def start(request: Request) -> Response:
        async with request.form(max_fields=_MOST_FIELDS, max_files=0) as form:
            try:
                row = await port.start(_wanted(form, actor(request, _text(form, "by"))))
            except WrongRehearsal as wrong:
                faults = {each.field: each.sentence for each in wrong.faults}
                return await _shown(request, port, form, faults=faults, status=422)
            except MonitoringError as error:
                return await _shown(request, port, form, faults={"": str(error)}, status=409)
        return RedirectResponse(f"/rehearsals/{row.id}", 303)

    @routes.get("/rehearsals/{id}", needs=Permission.READ)
    async def rehearsal(request: Request, id: str, after: int = 0) -> Response:
        detail = await port.job(id)
        job = detail.job
        report = await port.report(id) if job.state is Standing.DONE else None
        rows = () if report is None else report.pages[max(0, after) : max(0, after) + ROWS]
        further = report is not None and len(report.pages) > max(0, after) + ROWS
        return page(
            request,
            "rehearsal.html",
            job=job,
            detail=detail,
            report=report,
            rows=rows,
            further=f"/rehearsals/{id}?after={max(0, after) + ROWS}#pages" if further else "",
            under_way=job.state in UNDER_WAY,
            again=f"/rehearsals?{urlencode(list(_fields(job.wanted)))}",
            lasting=_lasting,
        )

    @routes.post("/rehearsals/{id}/cancel", needs=Permission.RESPOND)
    async def cancel(id: str) -> Response:
        row = await port.cancel(id)
        return RedirectResponse(f"/rehearsals/{row.id}", 303)

    @routes.get("/rehearsals/{id}/report", needs=Permission.READ)
    async def report(id: str) -> Response:
        return document(await port.page(id))

    return routes


async def _shown(
    request: Request,
    port: Rehearsals,
    given: FormData | QueryParams,
    *,
    faults: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    """The form as it was filled, with what is wrong at each field, and the jobs."""
    services = tuple(dict.fromkeys(filter(None, _texts(given, "service"))))[:_MOST_SERVICES]
    options = await port.options(services, _text(given, "search"))
    before = _text(request.query_params, "before")
    try:
        jobs = await port.jobs(limit=ROWS, before=before)
    except NotFound:
        jobs = await port.jobs(limit=ROWS)
    values = {key.removeprefix(_SET): _text(given, key) for key in given if key.startswith(_SET)}
    faults = faults or {}
    known = {each.key for each in _parameters(options)}
    others = [key for key, value in values.items() if value and key not in known]
    return page(
        request,
        "rehearsals.html",
        status=status,
        options=options,
        services=services,
        unknown=[name for name in services if name not in {rule.service for rule in options.rules}],
        values=values,
        others=others,
        faults=faults,
        unplaced=[text for field, text in faults.items() if field not in {*known, *others, *_FIELDS}],
        field=lambda name: _text(given, name),
        ranges=LASTING,
        chosen=_chosen_range(given),
        jobs=jobs,
        further=f"/rehearsals?before={jobs[-1].id}" if len(jobs) == ROWS else "",
        changes=_changes,
        state=str,
    )


_FIELDS: Final = frozenset({"began", "ended", "drafts", "acknowledged_after"})


def _parameters(options: RehearsalOptions) -> Iterator[Parameter]:
    for rule in options.rules:
        yield from rule.parameters
    yield from options.routes


def _wanted(form: FormData, by: str) -> Wanted:
    """What the form asks for. A value that is as it was is no change."""
    changes = []
    for key in form:
        value = _text(form, key)
        if key.startswith(_SET) and value and value != _text(form, f"was:{key.removeprefix(_SET)}"):
            changes.append(Change(key.removeprefix(_SET)[:_LONGEST], value))
    chosen = _chosen_range(form)
    return Wanted(
        by=by,
        began=_text(form, "began") if chosen == "other" else "" if chosen == "all" else f"-{chosen}",
        ended=_text(form, "ended") if chosen == "other" else "",
        changes=tuple(changes),
        drafts=_text(form, "drafts") == "on",
        acknowledged_after=_text(form, "acknowledged_after"),
        acknowledged_by=_text(form, "acknowledged_by"),
    )


def _chosen_range(given: FormData | QueryParams) -> str:
    chosen = _text(given, "range")
    if chosen in (*LASTING, "all", "other"):
        return chosen
    return "other" if _text(given, "began") or _text(given, "ended") else "7d"


def _fields(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """The form filled as it was when this was asked for."""
    preset = wanted.began.removeprefix("-")
    if not wanted.ended and preset in LASTING:
        yield "range", preset
    elif not wanted.ended and not wanted.began:
        yield "range", "all"
    else:
        yield from (("range", "other"), ("began", wanted.began), ("ended", wanted.ended))
    for service in dict.fromkeys(each.key.partition(".")[0] for each in wanted.changes):
        if not service.startswith("routes["):
            yield "service", service
    for change in wanted.changes:
        yield f"{_SET}{change.key}", change.value
    if wanted.drafts:
        yield "drafts", "on"
    if wanted.acknowledged_after:
        yield from (("acknowledged_after", wanted.acknowledged_after), ("acknowledged_by", wanted.acknowledged_by))


def _changes(job: JobRow) -> str:
    """What a job changes, in a few words."""
    said = [f"{each.key} = {each.value}" for each in job.wanted.changes[:3]]
    if len(job.wanted.changes) > len(said):
        said.append(f"{len(job.wanted.changes) - len(said)} more")
    if job.wanted.drafts:
        said.append("drafts tell people")
    return ", ".join(said) or "the file as it is"


def _lasting(value: float | None) -> str:
    return "-" if value is None else length_text(seconds(round(value)))


def _text(given: Any, name: str) -> str:
    found = given.get(name, "")
    return found.strip()[:_LONGEST] if isinstance(found, str) else ""


def _texts(given: FormData | QueryParams, name: str) -> list[str]:
    return [each.strip()[:_LONGEST] for each in given.getlist(name) if isinstance(each, str)]

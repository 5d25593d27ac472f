"""Rehearsals: what may be varied, jobs asked for, followed and cancelled, and what came of them.

Knows HTTP and the port. Does not know how anything is rehearsed.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from service_monitoring.access.permissions import Permission
from service_monitoring.views.rehearsals import (
    MOST_CHANGES,
    Change,
    JobDetail,
    JobRow,
    RehearsalOptions,
    RehearsalReport,
    Rehearsals,
    Wanted,
    WrongRehearsal,
)
from service_monitoring.web.api.fields import Body, Person, actor
from service_monitoring.web.api.problems import json, problem
from service_monitoring.web.describing import answers, texts
from service_monitoring.web.permitting import Routes

_BASE: Final = "/api/v1/rehearsals"
_STARTED: Final = answers(JobRow, 202)
_STARTED[202]["headers"] = {"Location": {"description": "Where the job is", "schema": {"type": "string"}}}


class ChangeField(Body):
    """One value in place of what the file says."""

    key: str = Field(min_length=1, max_length=400, examples=["shop.slow.above"])
    value: str = Field(min_length=1, max_length=200, examples=["0.5"])


class NewRehearsal(Person):
    """What is to be rehearsed. `from` and `to` are local, RFC 3339, or `-7d` back from the end."""

    began: str = Field(default="", max_length=64, alias="from", examples=["-7d"])
    ended: str = Field(default="", max_length=64, alias="to")
    changes: list[ChangeField] = Field(default_factory=list, max_length=MOST_CHANGES)
    drafts: bool = Field(default=False, description="Let drafts tell people: a change like any other")
    acknowledged_after: str = Field(default="", max_length=40, examples=["10m"])
    acknowledged_by: str = Field(default="", max_length=200)


def rehearsals(port: Rehearsals) -> Routes:
    """Its routes."""
    routes = Routes(area="rehearsals")

    @routes.get(
        f"{_BASE}/options",
        needs=Permission.READ,
        summary="What may be rehearsed, and which numbers may be varied",
        responses=answers(RehearsalOptions),
    )
    async def options(
        service: Annotated[list[str] | None, Query(max_length=20, description="Services whose rules are named")] = None,
        search: Annotated[str, Query(max_length=200, description="What the names of services hold")] = "",
    ) -> Response:
        return json(await port.options(tuple(service or ()), search))

    @routes.post(_BASE, needs=Permission.RESPOND, summary="Rehearse a change", status_code=202, responses=_STARTED)
    async def start(request: Request, given: NewRehearsal) -> Response:
        wanted = Wanted(
            by=actor(request, given.by),
            began=given.began.strip(),
            ended=given.ended.strip(),
            changes=tuple(Change(each.key, each.value) for each in given.changes),
            drafts=given.drafts,
            acknowledged_after=given.acknowledged_after.strip(),
            acknowledged_by=given.acknowledged_by.strip(),
        )
        try:
            row = await port.start(wanted)
        except WrongRehearsal as wrong:
            faults = [{"field": each.field, "sentence": each.sentence} for each in wrong.faults]
            return problem(422, "not understood", str(wrong), faults=faults)
        answer = json(row, 202)
        answer.headers["location"] = f"{_BASE}/{row.id}"
        return answer

    @routes.get(
        _BASE,
        needs=Permission.READ,
        summary="Rehearsals, the latest asked for first",
        responses=answers(list[JobRow]),
    )
    async def listed(
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
        before: Annotated[str, Query(max_length=64, description="The last one of the page before")] = "",
    ) -> Response:
        return json(await port.jobs(limit=limit, before=before))

    @routes.get(
        f"{_BASE}/{{id}}",
        needs=Permission.READ,
        summary="One rehearsal, how far it is, and what to write to have what it tries",
        responses=answers(JobDetail),
    )
    async def one(id: str) -> Response:
        return json(await port.job(id))

    @routes.post(
        f"{_BASE}/{{id}}/cancel",
        needs=Permission.RESPOND,
        summary="End a rehearsal that waits or runs",
        responses=answers(JobRow),
    )
    async def cancel(id: str) -> Response:
        return json(await port.cancel(id))

    @routes.get(
        f"{_BASE}/{{id}}/report",
        needs=Permission.READ,
        summary="What came of it",
        responses=answers(RehearsalReport),
    )
    async def report(id: str) -> Response:
        return json(await port.report(id))

    @routes.get(
        f"{_BASE}/{{id}}/report.html",
        needs=Permission.READ,
        summary="The whole report as a page",
        response_class=HTMLResponse,
    )
    async def page(id: str) -> Response:
        return document(await port.page(id))

    @routes.get(
        f"{_BASE}/{{id}}/ledger.jsonl",
        needs=Permission.READ,
        summary="Every decision as JSON lines",
        response_class=StreamingResponse,
        responses=texts("application/jsonl"),
    )
    async def ledger(
        id: str, side: Annotated[str, Query(pattern="^(before|after)$", description="before or after")] = "after"
    ) -> Response:
        named = {"content-disposition": f'attachment; filename="rehearsal-{side}.jsonl"'}
        return StreamingResponse(await port.ledger(id, side), media_type="application/jsonl", headers=named)

    return routes


def document(content: bytes) -> Response:
    """The report as a document of its own, to which nothing is permitted but the style that it holds."""
    style = content.partition(b"<style>")[2].partition(b"</style>")[0]
    digest = b64encode(sha256(style).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox"
    )
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)

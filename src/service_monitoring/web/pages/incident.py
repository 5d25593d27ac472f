"""The page of one incident: what happened, who was told and why, what else was open, and what people do to it.

Knows the desk and its own template. Does not know how an incident moves, nor how a reason is worded.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.incidents import FINAL
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import HOUR, Duration, Instant
from service_monitoring.errors import MonitoringError, NotFound
from service_monitoring.ports import Drafts
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk, IncidentDetail
from service_monitoring.views.explanation import PARTS, Explanation, because_text, concerning, told_text
from service_monitoring.views.incidents import IncidentRow, Narrow
from service_monitoring.views.on_record import names
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.pages.forms import Form, asked, form_of, sentence, who
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes

SAID: Final = {
    Act.ACKNOWLEDGE: ("acknowledged", "Acknowledged."),
    Act.RESOLVE: ("resolved", "Resolved."),
    Act.SNOOZE: ("snoozed", "Snoozed."),
    Act.ASSIGN: ("assigned", "Assigned."),
    Act.NOTE: ("noted", "Noted."),
}
"""By the act: the word that the address has afterwards, and what the page says."""

_MOST_BESIDE: Final = 10
"""Incidents of the same rule, and others that were open then, that are named."""

_AROUND: Final = HOUR
"""How much of the series before and after the incident is drawn."""

_CHART: Final = "/services/{service}/chart.svg"


def incident_page(routes: Routes, desk: Desk) -> None:
    """Its routes, made on those of all incidents."""

    async def shown(request: Request, id: str, *, status: int = 200, wrong: str = "") -> Response:
        detail = await desk.incident(id)
        form = asked(request)
        try:
            at, person = form.instant("at"), form.text("person", 200)
            explanation = await desk.explain(detail.incident.id, at, person)
        except (InvalidValue, NotFound) as error:
            status, wrong = status_of(error)[0], wrong or sentence(error)
            explanation = await desk.explain(detail.incident.id, None, "")
        row = detail.incident
        return page(
            request,
            "incident.html",
            status=status,
            detail=detail,
            row=row,
            over=row.state in FINAL,
            explanation=explanation,
            parts=PARTS,
            names=lambda recipient: names((recipient,)),
            told_text=told_text,
            because_text=because_text,
            concerning=concerning,
            held=_reasons(explanation),
            asked_at=request.query_params.get("at", "")[:64],
            people=_people(detail, explanation),
            earlier=await _earlier(desk, row),
            beside=await _beside(desk, row),
            most=_MOST_BESIDE,
            service_at=f"/services/{quote(row.service, safe='')}?{urlencode(_range(detail))}",
            chart_at=_chart(request, detail),
            said=dict(SAID.values()).get(request.query_params.get("said", ""), ""),
            wrong=wrong,
        )

    @routes.get("/incidents/{id}", needs=Permission.READ)
    async def incident(request: Request, id: str) -> Response:
        return await shown(request, id)

    @routes.post("/incidents/{id}/{act}", needs=Permission.RESPOND)
    async def act(request: Request, id: str, act: Act) -> Response:
        try:
            row = await desk.act(_acted(request, id, act, await form_of(request)))
        except NotFound:
            raise
        except MonitoringError as error:
            # Somebody was faster, or something is missing: the page says so, with what is the case now.
            return await shown(request, id, status=status_of(error)[0], wrong=sentence(error))
        return RedirectResponse(f"/incidents/{row.id}?said={SAID[act][0]}", 303)


def _acted(request: Request, id: str, act: Act, form: Form) -> Acted:
    """What the form asks for; `InvalidValue` where something is missing."""
    by = who(request, form)
    if act is Act.NOTE:
        return Acted(id, act, by, form.needed("comment", "the text of the note"))
    comment = form.text("comment")
    if act is Act.ASSIGN:
        return Acted(id, act, by, comment, to=form.needed("to", "the name of who is to take care of it", 200))
    lasts = form.length("for")
    if act is Act.SNOOZE and lasts is None:
        raise InvalidValue("a snooze has a length", "write 2h")
    return Acted(id, act, by, comment, lasts if act is not Act.RESOLVE else None)


def _reasons(explanation: Explanation) -> dict[str, str]:
    """Why notices were held back, by their keys."""
    return {line.notice: line.because for line in explanation.lines if line.kind == "held" and line.notice}


def _people(detail: IncidentDetail, explanation: Explanation) -> list[str]:
    """The people whom the explanation may be narrowed to: those whom it is about anyway."""
    recipients = [*(each.recipient for each in detail.notices), *(each.recipient for each in explanation.recipients)]
    found = {name.removeprefix("person.") for name in recipients if name.startswith("person.")}
    return sorted(found)


async def _earlier(desk: Desk, row: IncidentRow) -> list[IncidentRow]:
    """Incidents of the same rule that began before it."""
    shown = Drafts.SHOWN if row.draft else Drafts.LEFT_OUT
    narrow = Narrow(rule=row.rule)
    return await desk.incidents(
        states=(), service=row.service, limit=_MOST_BESIDE, drafts=shown, narrow=narrow, after=row.id
    )


async def _beside(desk: Desk, row: IncidentRow) -> list[IncidentRow]:
    """Incidents that were open when it opened, one more than are shown."""
    if row.opened_at is None:
        return []
    narrow = Narrow(open_at=Instant.parse(row.opened_at))
    found = await desk.incidents(states=(), service=None, limit=_MOST_BESIDE + 2, narrow=narrow)
    return [each for each in found if each.id != row.id]


def _range(detail: IncidentDetail) -> dict[str, str]:
    """The time around it."""
    begins = Instant.parse(detail.breached_at).plus(Duration(-_AROUND))
    over = detail.incident.resolved_at
    return {"from": str(begins)} | ({"to": str(Instant.parse(over).plus(_AROUND))} if over else {})


def _chart(request: Request, detail: IncidentDetail) -> str:
    """Where its series is drawn, if anything here draws one."""
    row = detail.incident
    if not any(getattr(route, "path", "") == _CHART for route in request.app.routes):
        return ""
    query = urlencode({"series": row.series, "rule": row.rule, **_range(detail)})
    return f"{_CHART.format(service=quote(row.service, safe=''))}?{query}"

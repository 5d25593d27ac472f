"""The pages of incidents: lists by state, severity and text, and acts on several of them.

Knows the desk and its own templates. Does not know how an incident moves.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from msgspec import Struct

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.rules import Severity
from service_monitoring.errors import MonitoringError
from service_monitoring.ports import Drafts
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.faces import Faces
from service_monitoring.views.incidents import IncidentRow, Narrow
from service_monitoring.web.api.paging import MOST, USUAL, address, cut, key_of
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.pages.forms import Form, asked, capital, form_of, sentence, who
from service_monitoring.web.pages.incident import incident_page
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes
from service_monitoring.web.several import MOST_AT_ONCE, each_of

TABS: Final[dict[str, tuple[str, tuple[State, ...]]]] = {
    "open": ("Open", (State.OPEN, State.ACKNOWLEDGED)),
    "unacknowledged": ("Nobody is on it", (State.OPEN,)),
    "acknowledged": ("Acknowledged", (State.ACKNOWLEDGED,)),
    "pending": ("Pending", (State.PENDING,)),
    "ended": ("Ended", (State.RESOLVED, State.CLOSED, State.DROPPED)),
    "all": ("All", ()),
}
"""By the word of the address: what it is called, and the states that it has."""

SAID: Final = {
    "acknowledged": "Acknowledged.",
    "resolved": "Resolved.",
}
_SEVERAL: Final = {"acknowledge": (Act.ACKNOWLEDGE, "acknowledged"), "resolve": (Act.RESOLVE, "resolved")}


class Wish(Struct, frozen=True):
    """What the list is narrowed to, as it was written."""

    state: str = "open"
    severity: str = ""
    service: str = ""
    rule: str = ""
    q: str = ""
    since: str = ""
    until: str = ""
    drafts: str = ""
    limit: int = USUAL


def incident_pages(faces: Faces) -> Routes:
    """Its routes."""
    routes = Routes(described=False)
    desk = faces.desk

    async def listed(
        request: Request, *, status: int = 200, wrong: tuple[str, ...] = (), chosen: frozenset[str] = frozenset()
    ) -> Response:
        rows: list[IncidentRow] = []
        form = asked(request)
        wish = Wish()
        try:
            wish = _wish(form)
            narrow = Narrow(
                wish.rule,
                (Severity(wish.severity),) if wish.severity else (),
                wish.q,
                form.instant("from"),
                form.instant("to"),
            )
            after = form.text("after")
            rows = await desk.incidents(
                states=TABS[wish.state][1],
                service=wish.service or None,
                limit=wish.limit + 1,
                drafts=Drafts.SHOWN if wish.drafts else Drafts.LEFT_OUT,
                narrow=narrow,
                after=key_of(after, 1)[0] if after else "",
            )
        except MonitoringError as error:
            status, wrong = status_of(error)[0], (*wrong, sentence(error))
        shown, further = cut(rows, wish.limit, lambda row: (row.id,))
        return page(
            request,
            "incidents.html",
            status=status,
            rows=shown,
            wish=wish,
            tabs=[(word, title, address(request, state=word, after="", said="")) for word, (title, _) in TABS.items()],
            severities=[str(each) for each in reversed(Severity)],
            here=address(request, said=""),
            further_at=address(request, after=further, said="") if further else "",
            first_at=address(request, after="", said="") if request.query_params.get("after") else "",
            said=SAID.get(request.query_params.get("said", ""), ""),
            wrong=wrong,
            chosen=chosen,
        )

    @routes.get("/incidents", needs=Permission.READ)
    async def incidents(request: Request) -> Response:
        return await listed(request)

    @routes.post("/incidents", needs=Permission.RESPOND)
    async def several(request: Request) -> Response:
        try:
            form = await form_of(request)
            by = who(request, form)
            if form.text("act") not in _SEVERAL:
                raise InvalidValue("there is no such act", "press one of the buttons")
            act, word = _SEVERAL[form.text("act")]
            ids = list(dict.fromkeys(form.texts("id")))
            if not 0 < len(ids) <= MOST_AT_ONCE:
                raise InvalidValue(f"{len(ids)} incidents are chosen", f"choose 1 to {MOST_AT_ONCE}")
            comment = form.text("comment")
        except MonitoringError as error:
            return await listed(request, status=status_of(error)[0], wrong=(sentence(error),))
        outcomes = await each_of(desk, (Acted(id, act, by, comment) for id in ids))
        failed = [each for each in outcomes if each.status != 200]
        if not failed:
            return RedirectResponse(address(request, said=word), 303)
        done = f"{len(outcomes) - len(failed)} of {len(outcomes)} are {word}; the others are not:"
        sentences = (done, *(capital(each.detail) for each in failed))
        again = frozenset(each.id for each in failed)
        return await listed(request, status=max(each.status for each in failed), wrong=sentences, chosen=again)

    incident_page(routes, desk)
    return routes


def _wish(form: Form) -> Wish:
    """What is asked for; `InvalidValue` for what no list has."""
    state, severity, limit = form.text("state") or "open", form.text("severity"), form.text("limit") or str(USUAL)
    if state not in TABS:
        raise InvalidValue("there is no such list", f"choose one of {', '.join(TABS)}")
    if severity and severity not in set(Severity):
        raise InvalidValue("there is no such severity", f"choose one of {', '.join(Severity)}")
    if not limit.isdecimal() or not 0 < int(limit) <= MOST:
        raise InvalidValue("limit: a page has no such number of rows", f"write 1 to {MOST}")
    return Wish(
        state,
        severity,
        form.text("service", 200),
        form.text("rule", 200),
        form.text("q", 200),
        form.text("from", 64),
        form.text("to", 64),
        form.text("drafts", 8),
        int(limit),
    )

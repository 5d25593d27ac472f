"""The outbox: notices by what became of them, one notice with its text and attempts, and parked ones sent once more.

Knows HTTP and the desk. Does not know how anything is sent. What a notice says is text, whatever it looks like.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote, urlencode

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.inputs import Requeued
from service_monitoring.errors import Conflict, Refused
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk
from service_monitoring.web.api.fields import actor
from service_monitoring.web.api.outbox import place_of, position_of
from service_monitoring.web.api.paging import USUAL, address, cut
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes

STATES: Final = {
    "parked": ("parked",),
    "waiting": ("owed", "sending", "waiting"),
    "uncertain": ("uncertain",),
    "held": ("held",),
    "withheld": ("withheld",),
    "delivered": ("delivered",),
}
"""What may be chosen, and the states of the outbox that are meant."""
LONGEST: Final = 4_096
_MOST_AT_ONCE: Final = 200


def outbox_pages(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(described=False)

    @routes.get("/outbox", needs=Permission.READ)
    async def outbox(
        request: Request,
        state: Annotated[str, Query(max_length=20)] = "",
        channel: Annotated[str, Query(max_length=200)] = "",
        text: Annotated[str, Query(max_length=200)] = "",
        after: Annotated[str, Query(max_length=500)] = "",
        sent: Annotated[int, Query(ge=0, le=_MOST_AT_ONCE)] = 0,
        refused: Annotated[int, Query(ge=0, le=_MOST_AT_ONCE)] = 0,
    ) -> Response:
        if state and state not in STATES:
            raise InvalidValue("state: there is no such state", f"choose one of {', '.join(STATES)}")
        before = position_of(after)
        found = await desk.outbox(
            states=STATES.get(state, ()), limit=USUAL + 1, channel=channel, text=text, before=before
        )
        rows, further = cut(found, USUAL, place_of)
        counts = (await desk.status()).outbox
        return page(
            request,
            "outbox.html",
            rows=rows,
            further=address(request, after=further, sent="", refused="") if further else "",
            counts={name: sum(counts.get(each, 0) for each in meant) for name, meant in STATES.items()},
            state=state,
            channel=channel,
            text=text,
            sent=sent,
            refused=refused,
            query=urlencode({"channel": channel, "text": text}, errors="replace"),
        )

    @routes.get("/outbox/{key}", needs=Permission.READ)
    async def notice(request: Request, key: str, sent: Annotated[int, Query(ge=0, le=1)] = 0) -> Response:
        detail = await desk.notice(key)
        return page(request, "notice.html", each=detail, row=detail.notice, longest=LONGEST, sent=sent)

    @routes.post("/outbox/requeue", needs=Permission.ADMINISTER)
    async def requeue_all(
        request: Request,
        key: Annotated[list[str] | None, Form()] = None,
        comment: Annotated[str, Form(max_length=4096)] = "",
        state: Annotated[str, Form(max_length=20)] = "",
    ) -> Response:
        """One that somebody else has requeued meanwhile keeps none of the others from it."""
        sent = refused = 0
        for each in dict.fromkeys((key or ())[:_MOST_AT_ONCE]):
            try:
                await desk.requeue(Requeued(each, actor(request, ""), comment))
                sent += 1
            except (Refused, Conflict):
                refused += 1
        chosen = {"state": state} if state in STATES else {}
        query = urlencode(chosen | {name: number for name, number in (("sent", sent), ("refused", refused)) if number})
        return RedirectResponse(f"/outbox?{query}", 303)

    @routes.post("/outbox/{key}/requeue", needs=Permission.ADMINISTER)
    async def requeue(request: Request, key: str, comment: Annotated[str, Form(max_length=4096)] = "") -> Response:
        row = await desk.requeue(Requeued(key, actor(request, ""), comment))
        return RedirectResponse(f"/outbox/{quote(row.key, safe='')}?sent=1", 303)

    return routes

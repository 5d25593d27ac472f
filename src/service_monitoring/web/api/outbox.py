"""The outbox: notices and what became of them.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.inputs import Requeued
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.desk import Desk, NoticeDetail, OutboxRow
from service_monitoring.web.api.fields import ByPerson, actor
from service_monitoring.web.api.paging import USUAL, After, Limit, key_of, paged
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


def outbox(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="outbox")

    @routes.get(
        "/api/v1/outbox",
        needs=Permission.READ,
        summary="Notices and what became of them, the latest decided first",
        responses=answers(list[OutboxRow]),
    )
    async def outbox(
        request: Request,
        state: Annotated[list[str] | None, Query(description="Only these states: parked, waiting, ...")] = None,
        channel: Annotated[str, Query(max_length=200, description="Only those to this channel")] = "",
        text: Annotated[str, Query(max_length=200, description="Only those that this is written in")] = "",
        limit: Limit = USUAL,
        after: After = "",
    ) -> Response:
        rows = await desk.outbox(
            states=state or (), limit=limit + 1, channel=channel, text=text, before=position_of(after)
        )
        return paged(request, rows, limit, place_of)

    @routes.get(
        "/api/v1/outbox/{key}",
        needs=Permission.READ,
        summary="One notice with its text and every attempt",
        responses=answers(NoticeDetail),
    )
    async def notice(key: str) -> Response:
        return json(await desk.notice(key))

    @routes.post(
        "/api/v1/outbox/{key}/requeue",
        needs=Permission.ADMINISTER,
        summary="Have a parked notice sent once more, under the same key",
        responses=answers(OutboxRow),
    )
    async def requeue(request: Request, key: str, person: ByPerson) -> Response:
        return json(await desk.requeue(Requeued(key, actor(request, person.by), person.comment)))

    return routes


def place_of(row: OutboxRow) -> tuple[str, ...]:
    """The key of a row in the list."""
    return (str(row.position),)


def position_of(after: str) -> int | None:
    """The position after which a page begins; `InvalidValue` for what no page has given out."""
    if not after:
        return None
    (text,) = key_of(after, 1)
    if not text.isdecimal() or len(text) > 18:
        raise InvalidValue("after: no page begins there", "follow the Link header of the page before")
    return int(text)

"""The outbox: notices and what became of them.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.inputs import Requeued
from service_monitoring.views.desk import Desk, OutboxRow
from service_monitoring.web.api.fields import ByPerson, actor
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


def outbox(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes()

    @routes.get(
        "/api/v1/outbox",
        needs=Permission.READ,
        summary="Notices and what became of them, the latest decided first",
        responses=answers(list[OutboxRow]),
    )
    async def outbox(
        state: Annotated[list[str] | None, Query(description="Only these states: parked, waiting, ...")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        return json(await desk.outbox(states=state or (), limit=limit))

    @routes.post(
        "/api/v1/outbox/{key}/requeue",
        needs=Permission.ADMINISTER,
        summary="Have a parked notice sent once more, under the same key",
        responses=answers(OutboxRow),
    )
    async def requeue(request: Request, key: str, person: ByPerson) -> Response:
        return json(await desk.requeue(Requeued(key, actor(request, person.by), person.comment)))

    return routes

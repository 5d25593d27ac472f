"""The board: how every service is now, and what is to be seen first.

Knows HTTP and the desk of the board.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.uptime import Condition
from service_monitoring.views.board import MOST_MATCHERS, MOST_ROWS, BoardDesk, Overview, ServicePage, Sort, Wanted
from service_monitoring.web.api.fields import MatcherField
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


def board(desk: BoardDesk) -> Routes:
    """Its routes."""
    routes = Routes(area="board")

    @routes.get(
        "/api/v1/services",
        needs=Permission.READ,
        summary="Services as they are now, the worst first",
        responses=answers(ServicePage),
    )
    async def services(
        q: Annotated[str, Query(max_length=200, description="Words in name, labels or description")] = "",
        condition: Annotated[list[Condition] | None, Query(description="Only in one of these conditions")] = None,
        label: Annotated[
            list[MatcherField] | None, Query(max_length=MOST_MATCHERS, description="Only with these labels")
        ] = None,
        sort: Annotated[Sort, Query()] = Sort.CONDITION,
        after: Annotated[str, Query(max_length=300, description="`further` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    ) -> Response:
        wanted = Wanted(q, tuple(condition or ()), tuple(label or ()), sort, after, limit)
        return json(await desk.services(wanted))

    @routes.get(
        "/api/v1/overview", needs=Permission.READ, summary="What is to be seen first", responses=answers(Overview)
    )
    async def overview() -> Response:
        return json(await desk.overview())

    return routes

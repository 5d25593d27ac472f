"""Rules: how each stands, and why.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.inputs import Retired
from service_monitoring.views.desk import Desk
from service_monitoring.views.rules import RuleDetail, RuleRow
from service_monitoring.web.api.fields import Person, actor
from service_monitoring.web.api.paging import USUAL, After, Limit, key_of, paged
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


class Retirement(Person):
    """Who retires a rule, and why."""

    reason: str = Field(min_length=1, max_length=4096)


def rules(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="rules")

    @routes.get(
        "/api/v1/rules",
        needs=Permission.READ,
        summary="Rules, and what they say, by service, in pages",
        responses=answers(list[RuleRow]),
    )
    async def rules(
        request: Request,
        service: Annotated[str | None, Query(max_length=200, description="Only those of this service")] = None,
        limit: Limit = USUAL,
        after: After = "",
    ) -> Response:
        last = key_of(after, 2) if after else None
        rows = await desk.rules(service=service, after=None if last is None else (last[0], last[1]), limit=limit + 1)
        return paged(request, rows, limit, lambda row: (row.service, row.rule))

    @routes.get(
        "/api/v1/rules/{service}/{rule}",
        needs=Permission.READ,
        summary="How a rule stands, and why",
        responses=answers(RuleDetail),
    )
    async def rule(service: str, rule: str) -> Response:
        return json(await desk.rule(service, rule))

    @routes.post(
        "/api/v1/rules/{service}/{rule}/retire",
        needs=Permission.ADMINISTER,
        summary="Retire a rule for ever",
        status_code=204,
    )
    async def retire(request: Request, service: str, rule: str, retirement: Retirement) -> Response:
        await desk.retire(Retired(service, rule, retirement.reason, actor(request, retirement.by)))
        return Response(status_code=204)

    return routes

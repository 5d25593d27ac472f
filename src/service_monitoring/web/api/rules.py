"""Rules: how each stands, and why.

Knows HTTP and the desk.
"""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import Field

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.inputs import Retired
from service_monitoring.views.desk import Desk
from service_monitoring.views.rules import RuleDetail, RuleRow
from service_monitoring.web.api.fields import Person, actor
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
        "/api/v1/rules", needs=Permission.READ, summary="All rules, and what they say", responses=answers(list[RuleRow])
    )
    async def rules() -> Response:
        return json(await desk.rules())

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

"""Services: how available they were, and what is left of their error budgets.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.views.desk import Desk
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.web.api.fields import Moment
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


def services(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes()

    @routes.get(
        "/api/v1/services/{service}/uptime",
        needs=Permission.READ,
        summary="Which share of a range a service was up, down, degraded, in maintenance, or nobody knows",
        responses=answers(UptimeRow),
    )
    async def uptime(
        service: str,
        began: Annotated[
            Moment | None, Query(alias="from", description="30 days before the end where left out")
        ] = None,
        ended: Annotated[
            Moment | None, Query(alias="to", description="Not part of the range; now, where left out")
        ] = None,
    ) -> Response:
        return json(await desk.uptime(service, began, ended))

    @routes.get(
        "/api/v1/services/{service}/budgets",
        needs=Permission.READ,
        summary="What is left of the error budgets of a service",
        responses=answers(list[BudgetRow]),
    )
    async def budgets(service: str) -> Response:
        return json(await desk.budgets(service))

    return routes

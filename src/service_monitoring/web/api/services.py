"""Services: one with its checks, runs, series and values, how available it was, and what is left of its budgets.

Knows HTTP and the desks.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.views.desk import Desk
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.views.service import POINTS, Line, RunPage, SeriesName, SeriesPage, ServiceDesk, ServiceDetail
from service_monitoring.web.api.fields import Moment
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes
from service_monitoring.web.ranges import chosen

SERVICE_SHAPES: Final = (ServiceDetail, RunPage, SeriesPage, Line)
"""What the routes of one service answer."""


def services(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="services")

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


def one_service(desk: ServiceDesk) -> Routes:
    """The routes of what one service looks like."""
    routes = Routes(area="services")

    @routes.get(
        "/api/v1/services/{service}",
        needs=Permission.READ,
        summary="How a service stands: its checks with their newest runs, its rules, what holds its notices back",
        responses=answers(ServiceDetail),
    )
    async def service(service: str) -> Response:
        return json(await desk.service(service))

    @routes.get(
        "/api/v1/services/{service}/checks/{check}/observations",
        needs=Permission.READ,
        summary="Runs of a check, newest first, with their phases",
        responses=answers(RunPage),
    )
    async def observations(
        service: str,
        check: str,
        before: Annotated[str, Query(max_length=64, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        return json(await desk.runs(service, check, before=before, limit=limit))

    @routes.get(
        "/api/v1/services/{service}/series",
        needs=Permission.READ,
        summary="Which series a service has",
        responses=answers(SeriesPage),
    )
    async def series(
        service: str,
        check: Annotated[str, Query(max_length=200, description="Only those of this check")] = "",
        after: Annotated[str, Query(max_length=4096, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        return json(await desk.series(service, check=check, after=after, limit=limit))

    @routes.get(
        "/api/v1/series",
        needs=Permission.READ,
        summary="The values of a series in a range, as buckets of least, mean and greatest",
        responses=answers(Line),
    )
    async def line(
        service: Annotated[str, Query(max_length=200)],
        check: Annotated[str, Query(max_length=200)],
        metric: Annotated[str, Query(max_length=200)],
        labels: Annotated[str, Query(max_length=4096, description="As `series` answers them")] = "",
        began: Annotated[str, Query(alias="from", max_length=64, description="Six hours before the end")] = "",
        ended: Annotated[str, Query(alias="to", max_length=64, description="Not part of it; now")] = "",
        points: Annotated[int, Query(ge=2, le=2000, description="How many buckets at most, about")] = POINTS,
    ) -> Response:
        within = chosen(desk.now(), began=began, ended=ended)
        return json(await desk.line(service, SeriesName(check, metric, labels), within, points=points))

    return routes

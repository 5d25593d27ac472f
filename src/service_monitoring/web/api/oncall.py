"""On call: who is, and the shifts of a rota.

Knows HTTP and the desk of rotas.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.instants import DAY, Duration
from service_monitoring.views.rota import OnCallRow, RotaDesk, ShiftRow, shift_rows
from service_monitoring.web.api.fields import Moment
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes

_AHEAD: Final = Duration(28 * DAY)


def oncall(rotas: RotaDesk) -> Routes:
    """Its routes."""
    routes = Routes(area="on call")

    @routes.get(
        "/api/v1/oncall",
        needs=Permission.READ,
        summary="Who is on call for each rota, until when, and who is next",
        responses=answers(list[OnCallRow]),
    )
    async def on_call(
        at: Annotated[Moment | None, Query(description="At this instant; now, where it is left out")] = None,
    ) -> Response:
        return json(await rotas.on_call(at))

    @routes.get(
        "/api/v1/oncall/{rota}/shifts",
        needs=Permission.READ,
        summary="The shifts of a rota, and the times without anybody, in order",
        responses=answers(list[ShiftRow]),
    )
    async def shifts(
        rota: str,
        begin: Annotated[Moment | None, Query(alias="from", description="Now, where it is left out")] = None,
        end: Annotated[
            Moment | None, Query(alias="to", description="28 days later, where it is left out; 366 days at most")
        ] = None,
    ) -> Response:
        since = rotas.now() if begin is None else begin
        return json(shift_rows(await rotas.calendar(rota, since, since.plus(_AHEAD) if end is None else end)))

    return routes

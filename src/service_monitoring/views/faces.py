"""Faces: everything that the web room is handed, one port an area.

Knows the ports alone. Does not know what stands behind them: `bootstrap` puts them together.
"""

from __future__ import annotations

from msgspec import Struct

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.provider import Provider
from service_monitoring.ports import Tracing
from service_monitoring.views.answers import Answers
from service_monitoring.views.board import BoardDesk
from service_monitoring.views.days import Days
from service_monitoring.views.desk import Desk
from service_monitoring.views.intake import Intake
from service_monitoring.views.links import LinkDesk
from service_monitoring.views.live import Live
from service_monitoring.views.measures import Meter, RequestCounts
from service_monitoring.views.rehearsals import Rehearsals
from service_monitoring.views.rota import RotaDesk
from service_monitoring.views.service import ServiceDesk
from service_monitoring.views.status import StatusDesk


class Faces(Struct, frozen=True):
    """What faces ask and tell, by area. An area whose port is missing has no routes."""

    version: str
    desk: Desk
    intake: Intake | None = None
    links: LinkDesk | None = None
    access: AccessDesk | None = None
    provider: Provider | None = None
    board: BoardDesk | None = None
    live: Live | None = None
    service: ServiceDesk | None = None
    days: Days | None = None
    rotas: RotaDesk | None = None
    rehearsals: Rehearsals | None = None
    meter: Meter | None = None
    requests: RequestCounts | None = None
    tracing: Tracing | None = None
    status: StatusDesk | None = None
    answers: Answers | None = None

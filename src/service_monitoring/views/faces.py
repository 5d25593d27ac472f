"""Faces: everything that the web room is handed, one port an area.

Knows the ports alone. Does not know what stands behind them: `bootstrap` puts them together.
"""

from __future__ import annotations

from msgspec import Struct

from service_monitoring.views.days import Days
from service_monitoring.views.desk import Desk
from service_monitoring.views.intake import Intake
from service_monitoring.views.links import LinkDesk
from service_monitoring.views.status import StatusDesk


class Faces(Struct, frozen=True):
    """What faces ask and tell, by area. An area whose port is missing has no routes."""

    version: str
    desk: Desk
    intake: Intake | None = None
    links: LinkDesk | None = None
    days: Days | None = None
    status: StatusDesk | None = None

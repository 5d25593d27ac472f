"""Several: one act on many incidents at once, each of which comes out by itself.

Knows the desk and errors. Does not know how it was asked for, nor how it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from service_monitoring.domain.inputs import Acted
from service_monitoring.errors import MonitoringError
from service_monitoring.views.desk import Desk
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.web.api.problems import status_of

MOST_AT_ONCE: Final = 200
"""Incidents of one act."""


class Outcome(Struct, frozen=True):
    """What became of an act on one incident: the status it would have had alone, and a sentence where it failed."""

    id: str
    status: int
    detail: str
    incident: IncidentRow | None


async def each_of(desk: Desk, acts: Iterable[Acted]) -> tuple[Outcome, ...]:
    """Do all of them, in their order; what is refused keeps no other from being done."""
    # Together, so that they are decided and committed in few rounds.
    return tuple(await asyncio.gather(*(_one(desk, act) for act in acts)))


async def _one(desk: Desk, act: Acted) -> Outcome:
    try:
        return Outcome(act.incident, 200, "", await desk.act(act))
    except MonitoringError as error:
        return Outcome(act.incident, status_of(error)[0], str(error), None)

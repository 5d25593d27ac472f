"""Keys of checks that report by themselves, and what came with their reports.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, Field

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.views.desk import Desk
from service_monitoring.web.api.problems import json
from service_monitoring.web.permitting import Routes


class NamedCheck(BaseModel):
    """A check, as `service.check`."""

    check: str = Field(min_length=3, max_length=201)


class Rotation(BaseModel):
    """How long the keys before it still open."""

    overlap_seconds: int = Field(default=0, ge=0, le=31 * 86_400)


def keys(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes()

    @routes.get("/api/v1/keys", needs=Permission.ADMINISTER, summary="The keys of checks that report by themselves")
    async def keys() -> Response:
        return json(await desk.keys())

    @routes.post(
        "/api/v1/keys",
        needs=Permission.ADMINISTER,
        summary="Make the key of a check: it is shown this once",
        status_code=201,
    )
    async def create_key(named: NamedCheck) -> Response:
        return json(await desk.create_key(named.check), 201)

    @routes.post(
        "/api/v1/keys/{check}/rotate",
        needs=Permission.ADMINISTER,
        summary="Make another key in place of those that a check has",
    )
    async def rotate_key(check: str, rotation: Rotation) -> Response:
        return json(await desk.rotate_key(check, Duration(rotation.overlap_seconds * SECOND)))

    @routes.delete("/api/v1/keys/{check}", needs=Permission.ADMINISTER, summary="Forget all keys of a check")
    async def revoke_key(check: str) -> Response:
        return json({"check": check, "revoked": await desk.revoke_key(check)})

    @routes.get(
        "/api/v1/checks/{check}/pings", needs=Permission.READ, summary="The newest reports to a check, newest first"
    )
    async def pings(check: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        return json(await desk.pings(check, limit=limit))

    return routes

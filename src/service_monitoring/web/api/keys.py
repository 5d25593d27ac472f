"""Keys of checks that report by themselves, and what came with their reports.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Response
from msgspec import Struct
from pydantic import Field

from service_monitoring.access.permissions import Permission
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.views.desk import Desk
from service_monitoring.views.intake import KeyRow, NewKey, PingRow
from service_monitoring.web.api.fields import Body
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes


class NamedCheck(Body):
    """A check, as `service.check`."""

    check: str = Field(min_length=3, max_length=201)


class Rotation(Body):
    """How long the keys before it still open."""

    overlap_seconds: int = Field(default=0, ge=0, le=31 * 86_400)


class Revoked(Struct, frozen=True):
    """How many keys a check had, which open nothing any more."""

    check: str
    revoked: int


KEY_SHAPES: Final = (KeyRow, NewKey, PingRow, Revoked)
"""What these routes answer."""


def keys(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="keys")

    @routes.get(
        "/api/v1/keys",
        needs=Permission.ADMINISTER,
        summary="The keys of checks that report by themselves",
        responses=answers(list[KeyRow]),
    )
    async def keys() -> Response:
        return json(await desk.keys())

    @routes.post(
        "/api/v1/keys",
        needs=Permission.ADMINISTER,
        summary="Make the key of a check: it is shown this once",
        status_code=201,
        responses=answers(NewKey, 201),
        secret=True,
    )
    async def create_key(named: NamedCheck) -> Response:
        return json(await desk.create_key(named.check), 201)

    @routes.post(
        "/api/v1/keys/{check}/rotate",
        needs=Permission.ADMINISTER,
        summary="Make another key in place of those that a check has",
        responses=answers(NewKey),
        secret=True,
    )
    async def rotate_key(check: str, rotation: Rotation) -> Response:
        return json(await desk.rotate_key(check, Duration(rotation.overlap_seconds * SECOND)))

    @routes.delete(
        "/api/v1/keys/{check}",
        needs=Permission.ADMINISTER,
        summary="Forget all keys of a check",
        responses=answers(Revoked),
    )
    async def revoke_key(check: str) -> Response:
        return json(Revoked(check, await desk.revoke_key(check)))

    @routes.get(
        "/api/v1/checks/{check}/pings",
        needs=Permission.READ,
        summary="The newest reports to a check, newest first",
        responses=answers(list[PingRow]),
    )
    async def pings(check: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        return json(await desk.pings(check, limit=limit))

    return routes

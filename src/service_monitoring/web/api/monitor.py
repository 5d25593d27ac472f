"""The monitor itself: how it is, its configuration, its backups.

Knows HTTP and the desk.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from msgspec import Struct
from pydantic import Field

from service_monitoring.access.permissions import Permission
from service_monitoring.views.desk import Desk, Reloaded, Status
from service_monitoring.web.api.fields import Body
from service_monitoring.web.api.problems import LATER, json, problem
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes, identity_of


class BackupTarget(Body):
    """Where a backup goes: a path on the machine of the program, which must not exist yet."""

    file: str = Field(min_length=1, max_length=4096, examples=["/var/backups/monitor.tar"])


class BackedUp(Struct, frozen=True):
    """Where a backup is."""

    file: str


MONITOR_SHAPES: Final = (Status, Reloaded, BackedUp)
"""What these routes answer."""


def monitor(desk: Desk) -> Routes:
    """Its routes."""
    routes = Routes(area="monitor")

    @routes.get(
        "/healthz", needs=Permission.PUBLIC, summary="Whether the program answers", response_class=PlainTextResponse
    )
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @routes.get(
        "/readyz",
        needs=Permission.PUBLIC,
        summary="Whether it does its work; 503 tells whoever may read each reason why not",
        response_class=PlainTextResponse,
    )
    async def readyz(request: Request) -> Response:
        reasons = (await desk.status()).trouble
        if reasons and not identity_of(request).may(Permission.READ):
            # What the trouble is, is not for everybody: paths and names are in it.
            detail = "in trouble: the status of the program says which"
            return problem(503, "not ready", detail, {"Retry-After": LATER})
        if reasons:
            return problem(503, "not ready", "; ".join(reasons), {"Retry-After": LATER}, reasons=reasons)
        return Response("ready\n", media_type="text/plain")

    @routes.get("/api/v1/status", needs=Permission.READ, summary="How the program itself is", responses=answers(Status))
    async def status() -> Response:
        return json(await desk.status())

    @routes.post(
        "/api/v1/reload",
        needs=Permission.ADMINISTER,
        summary="Read the configuration again; 422 names each complaint",
        responses=answers(Reloaded),
    )
    async def reload() -> Response:
        return json(await desk.reload())

    @routes.post(
        "/api/v1/backup",
        needs=Permission.ADMINISTER,
        summary="Write a backup to a new file",
        responses=answers(BackedUp),
    )
    async def backup(target: BackupTarget) -> Response:
        return json(BackedUp(await desk.backup(target.file)))

    return routes

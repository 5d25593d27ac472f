"""Static files: style sheets and scripts of the console, under an address that changes with what they hold."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from service_monitoring.access.permissions import Permission
from service_monitoring.errors import NotFound
from service_monitoring.web.pages.rendering import static_files, static_url
from service_monitoring.web.permitting import Routes

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER: Final = {"cache-control": "public, max-age=31536000, immutable"}

statics: Final = Routes(described=False)


@statics.get("/static/{digest}/{name}", needs=Permission.PUBLIC)
async def static(digest: str, name: str) -> Response:
    """One file; under any other digest than its own there is nothing."""
    if name not in static_files() or static_url(name) != f"/static/{digest}/{name}":
        raise NotFound("there is nothing here")
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(static_files()[name], media_type=f"{kind}; charset=utf-8", headers=_FOR_EVER)

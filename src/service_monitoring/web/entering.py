"""Entering over the owner's socket: whoever can open it is the owner of the process, and may do everything."""

from __future__ import annotations

from service_monitoring.access.identity import OWNER
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send, bodiless
from service_monitoring.web.permitting import IDENTITY


class AsOwner:
    """Lets everybody in as the owner. Holds no state."""

    def __init__(self, inside: Asgi) -> None:
        self._inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        scope[IDENTITY] = OWNER
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope["method"], send = "GET", bodiless(send)
        await self._inside(scope, receive, send)

"""Counting: how requests were answered, by the template of the route that they met. Plain ASGI, one count a request.

Does not know who asks, nor what: paths hold names and keys, and are not looked at.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from service_monitoring.views.measures import RequestCounts
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send

NO_ROUTE: Final = "none"
"""What stands for a route where there was none."""


class Counted:
    """Counts what is answered inside."""

    def __init__(self, app: Asgi, counts: RequestCounts) -> None:
        self._inside = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
            return
        status = 500

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inside(scope, receive, noted)
        finally:
            self._counts.count(template_of(scope), status)


def template_of(scope: Scope) -> str:
    """The template of the route that a request met."""
    route = scope.get("route")
    return str(getattr(route, "path", "") or NO_ROUTE)

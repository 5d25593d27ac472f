"""Traced: a span around each request, named by the template of its route. Plain ASGI, there only where traces are on.

Does not know who asks, nor what: paths and queries hold names and keys, and stand in no span.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from service_monitoring.ports import Tracing
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.counting import template_of

_TAKEN: Final = (b"traceparent", b"tracestate")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Traced:
    """Traces what is answered inside."""

    def __init__(self, app: Asgi, tracing: Tracing) -> None:
        self._inside = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
            return
        given = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _TAKEN}
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        with self._tracing.served(method, given) as span:

            async def noted(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    span.set_attribute("http.route", template_of(scope))
                    span.update_name(f"{method} {template_of(scope)}")
                await send(message)

            await self._inside(scope, receive, noted)

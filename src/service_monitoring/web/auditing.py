"""Auditing: whatever was done over HTTP is written down after it was answered, by whichever route.

Knows ASGI, the routes that `permitting` made and the desk of access. Bodies, queries and headers are never written.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.identity import STRANGER, Identity
from service_monitoring.access.permissions import EVERYBODY
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.permitting import IDENTITY, NOTED, needs_of

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFECT: Final = 500


class Audited:
    """Lets requests through, and notes those that could change something. Holds no state.

    What a stranger was refused is not noted: he did nothing, and there is no end of strangers. Where the desk has
    written down itself what a route did, only a refusal is noted here.
    """

    def __init__(self, inside: Asgi, access: AccessDesk) -> None:
        self._inside = inside
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._inside(scope, receive, send)
            return
        status = _DEFECT

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inside(scope, receive, watched)
        finally:
            await self._note(scope, status)

    async def _note(self, scope: Scope, status: int) -> None:
        identity: Identity = scope.get(IDENTITY, STRANGER)
        needs = needs_of(scope)
        if identity.via == "" or needs is None or needs in EVERYBODY:
            return
        outcome = _outcome(status)
        if outcome == "done" and scope.get(NOTED):
            return
        what = f"{scope['method']} {scope['route'].path}"
        subject = " ".join(f"{name}={value}" for name, value in scope.get("path_params", {}).items())
        await self._access.note(identity, what, subject, outcome, str(status))


def _outcome(status: int) -> str:
    if status < 400:
        return "done"
    return "refused" if status < 500 else "failed"

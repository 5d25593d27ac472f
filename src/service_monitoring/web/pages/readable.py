"""Readable errors: what goes wrong with a page is told as a page, and who has to sign in is led there.

Knows problem+json as it comes from inside, and which requests are for pages: a browser asks for HTML. Does not know
what went wrong.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec
from fastapi import Request
from fastapi.responses import RedirectResponse

from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send
from service_monitoring.web.doorstep import values
from service_monitoring.web.pages.forms import FIRST, local_path
from service_monitoring.web.pages.rendering import page

_PROBLEM: Final = b"application/problem+json"
_KEPT: Final = frozenset({b"retry-after", b"allow"})
_SIGN_IN: Final = "/login"


class Readable:
    """Turns problems into pages for those who asked for a page. Holds no state."""

    def __init__(self, inside: Asgi) -> None:
        self._inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if not _for_a_page(scope):
            await self._inside(scope, receive, send)
            return
        begun: Any = None
        parts: list[bytes] = []
        asked = dict(scope)

        async def readable(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and dict(message["headers"]).get(b"content-type") == _PROBLEM:
                begun = message
            elif begun is None:
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    # Whoever asks is in the scope by now; its method may have been changed for those inside.
                    told = dict(scope) | {"method": asked["method"], "path": asked["path"]}
                    await _told(told, begun, b"".join(parts), send)

        await self._inside(scope, receive, readable)


def _for_a_page(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["path"].startswith("/api/"):
        return False
    return any(each.strip().startswith("text/html") for each in values(scope, b"accept"))


async def _told(scope: Scope, begun: Any, body: bytes, send: Send) -> None:
    status: int = begun["status"]
    request = Request(scope)
    if status == 401:
        answer: Any = RedirectResponse(_sign_in(scope), 303)
    else:
        said = msgspec.json.decode(body) if body else {"title": "error", "detail": ""}
        answer = page(request, "error.html", status=status, title=said["title"], detail=said["detail"])
    for name, value in begun["headers"]:
        if name in _KEPT:
            answer.headers[name.decode()] = value.decode()
    if scope["method"] == "HEAD":
        answer.body = b""
    await answer(scope, _nothing, send)


def _sign_in(scope: Scope) -> str:
    """Where to sign in, and where to go on from there."""
    query = scope["query_string"].decode("latin-1")
    here = local_path(quote(scope["path"], safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else ""))
    known = scope["method"] in {"GET", "HEAD"} and here != FIRST
    return f"{_SIGN_IN}?next={quote(here, safe='/')}" if known else _SIGN_IN


async def _nothing() -> Any:
    return {"type": "http.disconnect"}

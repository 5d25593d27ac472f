"""Status pages, their feeds, data and badges: what anybody may fetch, from any site, as often as they like.

Knows what is shown and how long it may be kept. Asks nobody who they are and sets no cookie: the answer is the same for
everybody. Whatever is not on a page is not there, in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec
from fastapi import Request, Response

from service_monitoring.access.permissions import Permission
from service_monitoring.errors import NotFound
from service_monitoring.views.status import HistoryView, ServiceStatus, StatusDesk, StatusView, percent
from service_monitoring.web.pages.bars import badge, bars, colour_of, uptime_colour, uptime_text
from service_monitoring.web.pages.feed import feed
from service_monitoring.web.pages.rendering import environment
from service_monitoring.web.permitting import Routes

_SECONDS: Final = 15
"""How long an answer may be kept by whoever fetched it."""
_MOST_KEPT: Final = 500
_HTML: Final = "text/html; charset=utf-8"
_ELSEWHERE: Final = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
"""Other sites may show it: it is public."""

Kind = Literal["state", "uptime"]


def status_pages(desk: StatusDesk) -> Routes:
    """The routes of all status pages."""
    routes = Routes(described=False)
    kept = _Kept()

    @routes.get("/status/{page}.json", needs=Permission.PUBLIC)
    async def data(request: Request, page: str) -> Response:
        view = await desk.page(page)
        body = kept.of(view, page, "json", lambda: msgspec.json.encode(_data(view)))
        return _answer(request, body, "application/json", elsewhere=_ELSEWHERE)

    @routes.get("/status/{page}", needs=Permission.PUBLIC)
    async def shown(request: Request, page: str) -> Response:
        view = await desk.page(page)
        return _answer(request, kept.of(view, page, "html", lambda: _html("status.html", view)), _HTML)

    @routes.get("/status/{page}/history", needs=Permission.PUBLIC)
    async def history(request: Request, page: str, month: str = "") -> Response:
        view = await desk.history(page, month)
        made = kept.of(view, page, f"history {view.month}", lambda: _html("status_history.html", view))
        return _answer(request, made, _HTML)

    @routes.get("/status/{page}/feed.rss", needs=Permission.PUBLIC)
    async def rss(request: Request, page: str) -> Response:
        view = await desk.page(page)
        # Where nobody said how the public reaches it, this asker's way there is as good as any.
        body = feed(view, view.url or f"{str(request.base_url).rstrip('/')}/status/{page}")
        return _answer(request, body, "application/rss+xml; charset=utf-8", elsewhere=_ELSEWHERE)

    @routes.get("/status/{page}/badge/{service}.svg", needs=Permission.PUBLIC)
    async def drawn(request: Request, page: str, service: str, kind: Kind = "state") -> Response:
        found = _service(await desk.page(page), service)
        body = badge(*_said(found, kind))
        return _answer(request, body, "image/svg+xml; charset=utf-8", elsewhere=_ELSEWHERE)

    @routes.get("/status/{page}/badge/{service}.json", needs=Permission.PUBLIC)
    async def endpoint(request: Request, page: str, service: str, kind: Kind = "state") -> Response:
        found = _service(await desk.page(page), service)
        label, message, colour = _said(found, kind)
        shield = {"schemaVersion": 1, "label": label, "message": message, "color": colour}
        return _answer(request, msgspec.json.encode(shield), "application/json", elsewhere=_ELSEWHERE)

    return routes


class _Kept:
    """What was made of views: the desk gives the same one for some seconds, and so long this is made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[object, bytes]] = {}

    def of(self, view: object, page: str, what: str, make: Callable[[], bytes]) -> bytes:
        """What is made of a view."""
        found = self._made.get((page, what))
        if found is not None and found[0] is view:
            return found[1]
        if len(self._made) >= _MOST_KEPT:
            self._made.clear()
        made = make()
        self._made[page, what] = (view, made)
        return made


def _answer(request: Request, body: bytes, kind: str, *, elsewhere: dict[str, str] | None = None) -> Response:
    """An answer that may be kept; without its body for who has it still."""
    tag = f'"{sha256(body).hexdigest()[:20]}"'
    headers = {"cache-control": f"public, max-age={_SECONDS}", "etag": tag, "x-content-type-options": "nosniff"}
    headers |= elsewhere or {}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=kind)


def _html(template: str, view: StatusView | HistoryView) -> bytes:
    return environment().get_template(template).render(view=view, bars=bars, percent=percent).encode()


def _service(view: StatusView, slug: str) -> ServiceStatus:
    for group in view.groups:
        for service in group.services:
            if service.slug == slug:
                return service
    raise NotFound("there is nothing here")


def _said(service: ServiceStatus, kind: Kind) -> tuple[str, str, str]:
    """Label, message and colour of a badge."""
    if kind == "uptime":
        return service.name, uptime_text(service.uptime), uptime_colour(service.uptime)
    return service.name, str(service.state), colour_of(service.state)


def _data(view: StatusView) -> dict[str, Any]:
    """The page for programs. Fields may be added, and none is taken away."""
    return {
        "page": view.page,
        "title": view.title,
        "at": view.at,
        "state": view.state,
        "headline": view.headline,
        "history_days": view.history_days,
        "services": [
            {"name": each.name, "id": each.slug, "group": group.name, "state": each.state, "uptime": each.uptime}
            | {"days": each.days}
            for group in view.groups
            for each in group.services
        ],
        "incidents": (*view.open, *view.past),
        "maintenance": view.work,
    }

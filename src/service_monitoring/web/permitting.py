"""Permitting: routes are made here alone, each with the permission that it needs.

Knows FastAPI and permissions. Does not know how it was found out who asks: that is in the request's scope by now. What
is sent is not looked at before it is clear that whoever sends it may: a stranger learns nothing of what is understood.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from service_monitoring.access.identity import STRANGER, Identity
from service_monitoring.access.permissions import EVERYBODY, Permission
from service_monitoring.errors import Forbidden, Unauthenticated
from service_monitoring.web.arrivals import Asgi, Receive, Scope, Send

IDENTITY: Final = "service_monitoring.identity"
"""Where the scope of a request has who asks. What nobody put there is a stranger's."""

NOTED: Final = "service_monitoring.noted"
"""Where the scope of a request has that the desk itself writes into the audit trail what is done."""
UNKEPT: Final = "service_monitoring.unkept"
"""Where the scope of a request has that what is asked, or answered, opens something: no copy of it is kept."""
BETWEEN: Final = "service_monitoring.between"
"""Where the scope of a request may have a `Between`."""
NEEDS: Final = "x-permission"
"""What the description of a route calls the permission that it needs."""
ASKED_AGAIN: Final = "service_monitoring.identity_again"
"""Where the scope of a request may have an `Again`, for what goes on after it was permitted."""

Again = Callable[[], Awaitable[Identity | None]]
"""Who asks, found out anew: None where the session has ended. Whatever lasts asks within each minute."""

Between = Callable[[Asgi, Scope, Receive, Send], Awaitable[None]]
"""Stands between a permission and what it permits, which is its first argument."""

_Route = TypeVar("_Route", bound=Callable[..., Any])


class Made(Protocol):
    """Makes a route of a function, which stays what it is."""

    def __call__(self, route: _Route, /) -> _Route:
        """Make it."""
        ...


def identity_of(request: Request) -> Identity:
    """Who asks."""
    found: Identity = request.scope.get(IDENTITY, STRANGER)
    return found


class Permitted(APIRoute):
    """A route that asks for its permission before anything else. One that names none opens for nobody."""

    needs: Permission | None = None
    noted: bool = False
    secret: bool = False
    allowed: Sequence[str] = ()
    """The methods of its path, those of other routes as well."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(self.allowed)})
        scope[NOTED], scope[UNKEPT] = self.noted, self.secret
        require(scope.get(IDENTITY, STRANGER), self.needs)
        between: Between | None = scope.get(BETWEEN)
        if between is None:
            await super().handle(scope, receive, send)
        else:
            await between(super().handle, scope, receive, send)


class Routes:
    """Routes of one area. Each names what it needs; `router` is what an application includes.

    Every act that needs a permission is written into the audit trail. A route with `noted=True` is one whose desk does
    that, in more words than its path has. With `secret=True`, what is asked or answered opens something.
    """

    def __init__(self, *, described: bool = True, area: str = "") -> None:
        """`described`: whether they are part of the API's description, under the name of their area. Pages are not."""
        tags: list[Any] = [area] if area else []
        self.router = APIRouter(include_in_schema=described, route_class=Permitted, tags=tags)
        self._methods: dict[str, list[str]] = {}

    def get(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """A question: it changes nothing, however often it is asked."""
        return self._route("GET", path, needs, said)

    def post(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """An act."""
        return self._route("POST", path, needs, said)

    def put(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """An act that leaves the same, however often it is done."""
        return self._route("PUT", path, needs, said)

    def delete(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """An end."""
        return self._route("DELETE", path, needs, said)

    def _route(self, method: str, path: str, needs: Permission, said: dict[str, Any]) -> Made:
        noted, secret = bool(said.pop("noted", False)), bool(said.pop("secret", False))
        more = dict(said.pop("openapi_extra", {})) | {NEEDS: str(needs)}
        if needs not in EVERYBODY:
            more["security"] = [{"token": []}, {"session": []}]

        def made(route: _Route) -> _Route:
            self.router.add_api_route(
                path, route, methods=[method], operation_id=_operation(method, path), openapi_extra=more, **said
            )
            permitted = self.router.routes[-1]
            assert isinstance(permitted, Permitted)
            permitted.needs, permitted.noted, permitted.secret = needs, noted, secret
            permitted.allowed = self._methods.setdefault(path, [])
            self._methods[path].append(method)
            return route

        return made


def _operation(method: str, path: str) -> str:
    """What programs call a route: its method and the words of its path, which stay the same while these do."""
    words = re.findall("[a-z0-9]+", path.removeprefix("/api/v1").lower())
    return "_".join([method.lower(), *words])


def needs_of(scope: MutableMapping[str, Any]) -> Permission | None:
    """What the route needs that answered a request; None where none did."""
    route = scope.get("route")
    if not isinstance(route, Permitted) or scope["method"] not in (route.methods or ()):
        return None
    return route.needs


def require(identity: Identity, needs: Permission | None) -> None:
    """`Unauthenticated` or `Forbidden` where this one may not do what needs it; nobody may do what names nothing."""
    if needs is not None and identity.may(needs):
        return
    if identity.via == "":
        raise Unauthenticated("sign in, or send a token as Authorization: Bearer TOKEN")
    if needs is None:
        raise Forbidden("this names no permission, so that nobody has it")
    raise Forbidden(f"this needs the permission {needs}, which {identity.name or 'whoever asks'} does not have")

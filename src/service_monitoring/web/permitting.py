"""Permitting: routes are made here alone, each with the permission that it needs.

Knows FastAPI and permissions. Does not know how it was found out who asks: that is in the request's scope by now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute

from service_monitoring.access.identity import STRANGER, Identity
from service_monitoring.access.permissions import EVERYBODY, Permission
from service_monitoring.errors import Forbidden, Unauthenticated

IDENTITY: Final = "service_monitoring.identity"
"""Where the scope of a request has who asks. What nobody put there is a stranger's."""

NOTED: Final = "service_monitoring.noted"
"""Where the scope of a request has that the desk itself writes into the audit trail what is done."""
_NEEDS: Final = "x-permission"
ASKED_AGAIN: Final = "service_monitoring.identity_again"
"""Where the scope of a request may have an `Again`, for what goes on after it was permitted."""

Again = Callable[[], Awaitable[Identity | None]]
"""Who asks, found out anew: None where the session has ended. Whatever lasts asks within each minute."""

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


class Routes:
    """Routes of one area. Each names what it needs; `router` is what an application includes.

    Every act that needs a permission is written into the audit trail. A route with `noted=True` is one whose desk does
    that, in more words than its path has.
    """

    def __init__(self, *, described: bool = True) -> None:
        """`described`: whether they are part of the API's description. Pages are not."""
        self.router = APIRouter(include_in_schema=described)

    def get(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """A question: it changes nothing, however often it is asked."""
        return self._route(["GET"], path, needs, said)

    def post(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """An act."""
        return self._route(["POST"], path, needs, said)

    def put(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """An act that leaves the same, however often it is done."""
        return self._route(["PUT"], path, needs, said)

    def delete(self, path: str, *, needs: Permission, **said: Any) -> Made:
        """An end."""
        return self._route(["DELETE"], path, needs, said)

    def _route(self, methods: list[str], path: str, needs: Permission, said: dict[str, Any]) -> Made:
        noted = bool(said.pop("noted", False))
        more = dict(said.pop("openapi_extra", {})) | {_NEEDS: str(needs)}
        if needs not in EVERYBODY:
            more["security"] = [{"token": []}, {"session": []}]

        async def permitted(request: Request) -> None:
            request.scope[NOTED] = noted
            require(identity_of(request), needs)

        def made(route: _Route) -> _Route:
            self.router.add_api_route(
                path, route, methods=methods, dependencies=[Depends(permitted)], openapi_extra=more, **said
            )
            return route

        return made


def needs_of(scope: MutableMapping[str, Any]) -> Permission | None:
    """What the route needs that answered a request; None where none did."""
    route = scope.get("route")
    if not isinstance(route, APIRoute) or scope["method"] not in route.methods:
        return None
    named = (route.openapi_extra or {}).get(_NEEDS)
    return None if named is None else Permission(named)


def require(identity: Identity, needs: Permission) -> None:
    """`Unauthenticated` or `Forbidden` where this one may not do what needs it."""
    if identity.may(needs):
        return
    if identity.via == "":
        raise Unauthenticated("sign in, or send a token as Authorization: Bearer TOKEN")
    raise Forbidden(f"this needs the permission {needs}, which {identity.name or 'whoever asks'} does not have")

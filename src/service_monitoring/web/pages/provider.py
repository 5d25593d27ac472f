"""Signing in over there: to an identity provider, and back from it.

Knows the two addresses and the cookie between them. Does not know the protocol. The way there is a link and no form:
browsers hold to `form-action` where the answer to a form leads elsewhere, too.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.permissions import Permission
from service_monitoring.access.provider import Answered, Provider
from service_monitoring.errors import MonitoringError, Unavailable
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.doorstep import Caller, caller_of
from service_monitoring.web.pages.access import WRONG, end_session, let_in, secured
from service_monitoring.web.pages.forms import sentence
from service_monitoring.web.pages.leading import FIRST, local_path
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes, identity_of

_LASTS: Final = 600
"""Seconds that the cookie of a sign-in is kept."""


def provider_pages(provider: Provider, access: AccessDesk) -> Routes:
    """Their routes."""
    routes = Routes(described=False)

    @routes.get("/login/oidc", needs=Permission.PUBLIC)
    async def there(request: Request, next: str = FIRST) -> Response:  # noqa: A002 - how the address says it
        onwards, caller = local_path(next), caller_of(request)
        if identity_of(request).via in {"session", "open"}:
            return RedirectResponse(onwards, 303)
        try:
            begun = await provider.begin(onwards)
        except (*WRONG, Unavailable) as error:
            return _refused(request, provider, error)
        answer = RedirectResponse(begun.url, 303)
        answer.set_cookie(
            _cookie(caller), begun.kept, max_age=_LASTS, path="/", secure=secured(caller), httponly=True, samesite="lax"
        )
        return answer

    @routes.get("/login/oidc/callback", needs=Permission.PUBLIC)
    async def back(request: Request) -> Response:
        caller = caller_of(request)
        try:
            vouched = await provider.finish(
                request.cookies.get(_cookie(caller), ""),
                Answered(*(_once(request, name) for name in ("state", "code", "error", "iss"))),
                caller.client,
            )
            opened = await access.admit(vouched.subject, vouched.name, vouched.role, caller.client)
        except (*WRONG, Unavailable) as error:
            answer = _refused(request, provider, error)
        else:
            await end_session(request, access)
            answer = let_in(RedirectResponse(vouched.onwards, 303), opened, caller)
        # Whatever came of it, it is over: what came back is good once.
        answer.delete_cookie(_cookie(caller), path="/", secure=secured(caller), httponly=True, samesite="lax")
        return answer

    return routes


def _refused(request: Request, provider: Provider, error: MonitoringError) -> Response:
    status, _, headers = status_of(error)
    answer = page(
        request,
        "login.html",
        status=status,
        name="",
        onwards=FIRST,
        wrong=sentence(error),
        provider=provider.name,
    )
    if "Retry-After" in headers:
        answer.headers["Retry-After"] = headers["Retry-After"]
    return answer


def _once(request: Request, name: str) -> str:
    """What an address says under a name; nothing where it says it twice."""
    given = request.query_params.getlist(name)
    return given[0] if len(given) == 1 else ""


def _cookie(caller: Caller) -> str:
    return "__Host-signing-in" if secured(caller) else "signing-in"

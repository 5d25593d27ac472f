"""One's own account: password, sessions and tokens.

Knows forms and the desk of access. Does not know accounts of others.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import SCOPES, Permission
from service_monitoring.domain.instants import DAY, Duration
from service_monitoring.errors import NotFound
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.doorstep import caller_of
from service_monitoring.web.pages.access import WRONG, let_in
from service_monitoring.web.pages.forms import sentence
from service_monitoring.web.pages.leading import chosen, sent
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes, identity_of

_HERE: Final = "/account"
_DAYS: Final = ("7", "30", "90", "365")
"""How long a token may be good for."""
_SAID: Final = {
    "password": "The password was changed; all other sessions have ended.",
    "session": "The session has ended.",
    "token": "The token was revoked.",
    "second": "The second factor is off: your password alone lets you in.",
}


def account_pages(access: AccessDesk) -> Routes:
    """Their routes."""
    routes = Routes(described=False)

    async def shown(
        request: Request, *, status: int = 200, wrong: str = "", said: str = "", made: str = ""
    ) -> Response:
        who = somebody(request)
        own = [token for token in await access.tokens(who) if token.account == who.name]
        return page(
            request,
            "account.html",
            status=status,
            wrong=wrong,
            said=said,
            made=made,
            sessions=await access.sessions(who, who.name),
            tokens=own,
            scopes=[scope for scope in SCOPES if who.may(scope)],
            days=_DAYS,
            second=await access.second(who),
        )

    @routes.get("/account", needs=Permission.ACCOUNT)
    async def account(request: Request, said: str = "") -> Response:
        return await shown(request, said=_SAID.get(said, ""))

    @routes.post("/account/password", needs=Permission.ACCOUNT, noted=True)
    async def change_password(request: Request) -> Response:
        who, caller = somebody(request), caller_of(request)
        given = await sent(request, "old", "password", "again")
        if given["password"] != given["again"]:
            return await shown(request, status=422, wrong="The two passwords are not the same.")
        try:
            opened = await access.change_password(who, given["old"], given["password"], caller.client)
        except WRONG as error:
            return await shown(request, status=status_here(error), wrong=sentence(error))
        return let_in(RedirectResponse(f"{_HERE}?said=password", 303), opened, caller)

    @routes.post("/account/sessions/{handle}/end", needs=Permission.ACCOUNT, noted=True)
    async def end_session(request: Request, handle: str) -> Response:
        await access.end_session(somebody(request), handle)
        return RedirectResponse(f"{_HERE}?said=session", 303)

    @routes.post("/account/tokens", needs=Permission.ACCOUNT, noted=True)
    async def create_token(request: Request) -> Response:
        who = somebody(request)
        given = await sent(request, "name", "days")
        asked = await chosen(request, "scope")
        scopes = [scope for scope in SCOPES if scope in asked]
        days = int(given["days"]) if given["days"] in _DAYS else 90
        if not given["name"].strip() or not scopes:
            return await shown(request, status=422, wrong="A token has a name, and something that it is good for.")
        try:
            token = await access.create_token(who, given["name"].strip(), scopes, Duration(days * DAY))
        except WRONG as error:
            return await shown(request, status=status_here(error), wrong=sentence(error))
        # Answered in place: whoever is led elsewhere would have to be told there.
        return await shown(request, made=token.secret)

    @routes.post("/account/tokens/{handle}/revoke", needs=Permission.ACCOUNT, noted=True)
    async def revoke_token(request: Request, handle: str) -> Response:
        await access.revoke_token(somebody(request), handle)
        return RedirectResponse(f"{_HERE}?said=token", 303)

    return routes


def somebody(request: Request) -> Identity:
    """Who signed in."""
    who = identity_of(request)
    if who.via != "session":
        raise NotFound("nobody signed in, so there is no account to show")
    return who


def status_here(error: Exception) -> int:
    """The status of a form that is shown anew. That of who is not known would end the session on its way."""
    status = status_of(error)[0]  # type: ignore[arg-type]  # all of WRONG are errors of ours
    return 422 if status == 401 else status

"""Coming and going: the first account, signing in and out.

Knows forms and the cookie of a session. Does not know how passwords are judged. Nothing that opens anything stands in
an address: it is sent in forms and cookies alone.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.desk import AccessDesk, HalfOpened, Opened
from service_monitoring.access.permissions import Permission
from service_monitoring.errors import Conflict, Refused, TooMuch, Unauthenticated
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.doorstep import Caller, caller_of
from service_monitoring.web.pages.forms import sentence
from service_monitoring.web.pages.leading import FIRST, local_path, sent
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes, identity_of

WRONG: Final = (Conflict, Refused, TooMuch, Unauthenticated)
"""What somebody may try again in other words: the form is shown anew, with a sentence."""
_LONGEST_SESSION: Final = 7 * 86_400
_LONGEST_HALF_OPEN: Final = 5 * 60
_NOT_THE_SAME: Final = "The two passwords are not the same."


def access_pages(access: AccessDesk, provider: str = "") -> Routes:
    """Their routes. `provider` is what people call the identity provider, where there is one."""
    routes = Routes(described=False)

    @routes.get("/setup", needs=Permission.PUBLIC)
    async def setup(request: Request) -> Response:
        if not await access.setup_needed():
            return RedirectResponse("/login", 303)
        return page(request, "setup.html", name="", wrong="", provider=provider)

    @routes.post("/setup", needs=Permission.PUBLIC)
    async def set_up(request: Request) -> Response:
        given = await sent(request, "token", "name", "password", "again")
        wrong, status = _NOT_THE_SAME, 422
        if given["password"] == given["again"]:
            caller = caller_of(request)
            try:
                opened = await access.set_up(
                    given["token"].strip(), given["name"].strip(), given["password"], caller.client
                )
            except WRONG as error:
                wrong, status = sentence(error), status_of(error)[0]
            else:
                return let_in(RedirectResponse(FIRST, 303), opened, caller)
        return page(request, "setup.html", status=status, name=given["name"], wrong=wrong, provider=provider)

    @routes.get("/login", needs=Permission.PUBLIC)
    async def login(request: Request, next: str = FIRST) -> Response:  # noqa: A002 - how the address says it
        onwards = local_path(next)
        if identity_of(request).via in {"session", "open"}:
            return RedirectResponse(onwards, 303)
        if await access.setup_needed():
            return RedirectResponse("/setup", 303)
        return page(request, "login.html", name="", onwards=onwards, wrong="", provider=provider)

    @routes.post("/login", needs=Permission.PUBLIC)
    async def sign_in(request: Request) -> Response:
        given = await sent(request, "name", "password", "next")
        onwards, caller = local_path(given["next"]), caller_of(request)
        try:
            opened = await access.sign_in(given["name"].strip(), given["password"], caller.client)
        except WRONG as error:
            status, _, headers = status_of(error)
            answer = page(
                request,
                "login.html",
                status=status,
                name=given["name"],
                onwards=onwards,
                wrong=sentence(error),
                provider=provider,
            )
            if "Retry-After" in headers:
                answer.headers["Retry-After"] = headers["Retry-After"]
            return answer
        return await _onwards(request, access, onwards, opened)

    @routes.post("/logout", needs=Permission.ACCOUNT, noted=True)
    async def sign_out(request: Request) -> Response:
        await end_session(request, access)
        caller = caller_of(request)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(caller.cookie, path="/", secure=secured(caller), httponly=True, samesite="lax")
        return answer

    return routes


async def _onwards(request: Request, access: AccessDesk, onwards: str, opened: Opened | HalfOpened) -> Response:
    """Where somebody goes whose password was right."""
    if isinstance(opened, HalfOpened):
        return let_half_in(onwards, opened, caller_of(request))
    await end_session(request, access)
    return let_in(RedirectResponse(onwards, 303), opened, caller_of(request))


async def end_session(request: Request, access: AccessDesk) -> None:
    """End the session whose cookie came along, if any: a browser has one at most."""
    if secret := request.cookies.get(caller_of(request).cookie):
        await access.sign_out(secret)


def let_in(answer: Response, opened: Opened, caller: Caller) -> Response:
    """The answer, with the cookie of a session that has begun."""
    answer.set_cookie(
        caller.cookie,
        opened.secret,
        max_age=_LONGEST_SESSION,
        path="/",
        secure=secured(caller),
        httponly=True,
        samesite="lax",
    )
    return answer


def let_half_in(onwards: str, opened: HalfOpened, caller: Caller) -> Response:
    """On to where a code is asked for, with a cookie that is good for that alone."""
    answer = RedirectResponse(f"/login/second?next={quote(onwards, safe='/')}", 303)
    answer.set_cookie(
        half_cookie(caller),
        opened.secret,
        max_age=_LONGEST_HALF_OPEN,
        path="/",
        secure=secured(caller),
        httponly=True,
        samesite="strict",
    )
    return answer


def half_cookie(caller: Caller) -> str:
    """How the cookie of somebody is called who owes a code."""
    return f"{caller.cookie}-half"


def no_more_half_in(answer: Response, caller: Caller) -> Response:
    """The answer, which takes that cookie away."""
    answer.delete_cookie(half_cookie(caller), path="/", secure=secured(caller), httponly=True, samesite="strict")
    return answer


def secured(caller: Caller) -> bool:
    """Whether cookies go to encrypted addresses alone."""
    return caller.cookie.startswith("__Host-")

"""The second factor: asked for after the password, turned on with a first code, turned off with the password.

Knows forms, the cookie of somebody who owes a code, and how a secret is drawn. Does not know how codes are made.
"""

from __future__ import annotations

from typing import Final

import segno
from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from service_monitoring.access.desk import AccessDesk, SecondOffer
from service_monitoring.access.permissions import Permission
from service_monitoring.errors import Expired
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.doorstep import caller_of
from service_monitoring.web.pages.access import WRONG, end_session, half_cookie, let_in, no_more_half_in
from service_monitoring.web.pages.account import somebody, status_here
from service_monitoring.web.pages.forms import sentence
from service_monitoring.web.pages.leading import FIRST, local_path, sent
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes, identity_of

_HERE: Final = "/account"


def second_pages(access: AccessDesk) -> Routes:
    """Their routes."""
    routes = Routes(described=False)
    _signing_in(routes, access)
    _turning(routes, access)
    return routes


def _signing_in(routes: Routes, access: AccessDesk) -> None:
    @routes.get("/login/second", needs=Permission.PUBLIC)
    async def code_owed(request: Request, next: str = FIRST) -> Response:  # noqa: A002 - how the address says it
        onwards = local_path(next)
        if identity_of(request).via in {"session", "open"}:
            return RedirectResponse(onwards, 303)
        if half_cookie(caller_of(request)) not in request.cookies:
            return RedirectResponse("/login", 303)
        return page(request, "login_second.html", onwards=onwards, wrong="", over=False)

    @routes.post("/login/second", needs=Permission.PUBLIC)
    async def confirm(request: Request) -> Response:
        given = await sent(request, "code", "next")
        onwards, caller = local_path(given["next"]), caller_of(request)
        try:
            opened = await access.confirm(
                request.cookies.get(half_cookie(caller), ""), given["code"].strip(), caller.client
            )
        except Expired as error:
            answer = page(request, "login_second.html", status=401, onwards=onwards, wrong=sentence(error), over=True)
            return no_more_half_in(answer, caller)
        except WRONG as error:
            status, _, headers = status_of(error)
            answer = page(
                request, "login_second.html", status=status, onwards=onwards, wrong=sentence(error), over=False
            )
            if "Retry-After" in headers:
                answer.headers["Retry-After"] = headers["Retry-After"]
            return answer
        await end_session(request, access)
        return let_in(no_more_half_in(RedirectResponse(onwards, 303), caller), opened, caller)


def _turning(routes: Routes, access: AccessDesk) -> None:
    def shown(
        request: Request,
        *,
        status: int = 200,
        wrong: str = "",
        offer: SecondOffer | None = None,
        codes: tuple[str, ...] = (),
        asked: str = "",
    ) -> Response:
        picture = drawn(offer.uri) if offer is not None else ""
        return page(
            request,
            "second.html",
            status=status,
            wrong=wrong,
            offer=offer,
            picture=picture,
            codes=codes,
            asked=asked,
        )

    @routes.post("/account/second", needs=Permission.ACCOUNT, noted=True)
    async def begin(request: Request) -> Response:
        try:
            offer = await access.begin_second(somebody(request))
        except WRONG as error:
            return shown(request, status=status_here(error), wrong=sentence(error))
        # Answered in place, like what follows: neither the secret nor the codes are ever told again.
        return shown(request, offer=offer, asked="code")

    @routes.post("/account/second/confirm", needs=Permission.ACCOUNT, noted=True)
    async def complete(request: Request) -> Response:
        given = await sent(request, "code")
        try:
            codes = await access.complete_second(somebody(request), given["code"])
        except Expired as error:
            return shown(request, status=status_here(error), wrong=sentence(error))
        except WRONG as error:
            return shown(request, status=status_here(error), wrong=sentence(error), asked="code")
        return shown(request, codes=codes)

    @routes.post("/account/second/end", needs=Permission.ACCOUNT, noted=True)
    async def end(request: Request) -> Response:
        given = await sent(request, "password")
        try:
            await access.end_second(somebody(request), given["password"], caller_of(request).client)
        except WRONG as error:
            return shown(request, status=status_here(error), wrong=sentence(error))
        return RedirectResponse(f"{_HERE}?said=second", 303)


def drawn(text: str) -> Markup:
    """A text as a QR code, with attributes alone and no style, black on white whatever the scheme."""
    code = segno.make_qr(text, error="m")
    # Made of numbers alone: nothing of the text stands in it.
    return Markup(code.svg_inline(omitsize=True, dark="#000", light="#fff", svgclass=None, lineclass=None))  # noqa: S704

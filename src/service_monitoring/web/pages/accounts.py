"""Accounts, tokens and the audit trail: what admins see and change.

Knows forms and the desk of access.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from service_monitoring.access.desk import AccessDesk
from service_monitoring.access.identity import Identity
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.web.api.problems import status_of
from service_monitoring.web.pages.access import WRONG
from service_monitoring.web.pages.forms import sentence
from service_monitoring.web.pages.leading import sent
from service_monitoring.web.pages.rendering import page
from service_monitoring.web.permitting import Routes, identity_of

_ROWS: Final = 100
_SAID: Final = {
    "created": "The account was made.",
    "changed": "The account was changed; its sessions have ended.",
    "removed": "The account was removed, with its sessions and tokens.",
    "loosened": "The second factor was taken away; the sessions of the account have ended.",
    "revoked": "The token was revoked.",
}


def accounts_pages(access: AccessDesk) -> Routes:
    """Their routes."""
    routes = Routes(described=False)

    async def shown(
        request: Request, *, status: int = 200, wrong: str = "", said: str = "", name: str = ""
    ) -> Response:
        rows = await access.accounts()
        return page(
            request,
            "accounts.html",
            status=status,
            wrong=wrong,
            said=said,
            name=name,
            accounts=rows,
            roles=list(Role),
        )

    @routes.get("/accounts", needs=Permission.ADMINISTER)
    async def accounts(request: Request, said: str = "") -> Response:
        return await shown(request, said=_SAID.get(said, ""))

    @routes.post("/accounts", needs=Permission.ADMINISTER, noted=True)
    async def create_account(request: Request) -> Response:
        given = await sent(request, "name", "role", "password")
        name = given["name"].strip()
        try:
            await access.create_account(identity_of(request), name, _role(given["role"]), given["password"])
        except WRONG as error:
            return await shown(request, status=status_of(error)[0], wrong=sentence(error), name=name)
        return RedirectResponse("/accounts?said=created", 303)

    @routes.post("/accounts/{name}", needs=Permission.ADMINISTER, noted=True)
    async def change_account(request: Request, name: str) -> Response:
        given = await sent(request, "act", "role", "password")
        try:
            said = await _changed(access, identity_of(request), name, given)
        except WRONG as error:
            return await shown(request, status=status_of(error)[0], wrong=sentence(error))
        if not said:
            return await shown(request, status=422, wrong="Nothing was asked for.")
        return RedirectResponse(f"/accounts?said={said}", 303)

    @routes.get("/tokens", needs=Permission.ADMINISTER)
    async def tokens(request: Request, said: str = "") -> Response:
        rows = await access.tokens(identity_of(request))
        return page(request, "tokens.html", tokens=rows, said=_SAID.get(said, ""))

    @routes.post("/tokens/{handle}/revoke", needs=Permission.ADMINISTER, noted=True)
    async def revoke_token(request: Request, handle: str) -> Response:
        await access.revoke_token(identity_of(request), handle)
        return RedirectResponse("/tokens?said=revoked", 303)

    @routes.get("/audit", needs=Permission.ADMINISTER)
    async def audit(
        request: Request, before: Annotated[int | None, Query(ge=0, lt=2**63)] = None, check: str = ""
    ) -> Response:
        rows = await access.audit(before=before, limit=_ROWS)
        further = f"/audit?before={rows[-1].position}" if len(rows) == _ROWS else ""
        broken = await access.verify_audit() if check else ""
        return page(request, "audit.html", rows=rows, further=further, checked=bool(check), broken=broken)

    return routes


async def _changed(access: AccessDesk, who: Identity, name: str, given: Mapping[str, str]) -> str:
    """Do what a form asks for; what is said of it, or nothing where it asks for nothing."""
    match given["act"]:
        case "role":
            await access.change_account(who, name, role=_role(given["role"]))
        case "password":
            await access.change_account(who, name, password=given["password"])
        case "disable" | "enable":
            await access.change_account(who, name, disabled=given["act"] == "disable")
        case "second":
            await access.remove_second(who, name)
            return "loosened"
        case "remove":
            await access.remove_account(who, name)
            return "removed"
        case _:
            return ""
    return "changed"


def _role(given: str) -> Role:
    """A role as it was chosen; the least for what is none."""
    return Role(given) if given in list(Role) else Role.VIEWER

"""Accounts, sessions, tokens and the audit trail.

Knows HTTP and the desk of access. Signing in is a page's: a program sends a token.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Request, Response
from msgspec import Struct
from pydantic import BeforeValidator, Field, WithJsonSchema

from service_monitoring.access.desk import AccessDesk, AccountRow, AuditRow, NewToken, SessionRow, TokenRow
from service_monitoring.access.permissions import Permission, Role
from service_monitoring.domain.instants import Duration
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.web.api.fields import Body, length
from service_monitoring.web.api.problems import json
from service_monitoring.web.describing import answers
from service_monitoring.web.permitting import Routes, identity_of

_LONGEST = 1_024
"""Characters of a password in a request: the desk says what is too long, up to here."""


class NewAccount(Body):
    """Who is to be let in."""

    name: str = Field(min_length=1, max_length=100, examples=["ada"])
    role: Role
    password: str = Field(max_length=_LONGEST, description="12 characters at least")


class ChangedAccount(Body):
    """What of an account is to be another. What is left out stays."""

    role: Role | None = None
    disabled: bool | None = None
    password: str | None = Field(default=None, max_length=_LONGEST)


class WantedToken(Body):
    """A token for a program: what it is for, and what it may do."""

    name: str = Field(min_length=1, max_length=100, examples=["deploy"], description="What it is for")
    scopes: list[Permission] = Field(min_length=1, max_length=10)
    lasts: Annotated[
        Duration | None,
        BeforeValidator(length),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}, {"type": "null"}],
                "description": "How long it is good: 30d, or a number of seconds. 90 days where left out.",
            }
        ),
    ] = None
    account: str = Field(default="", max_length=100, description="Whose it is; needed over the owner's socket alone")


class Who(Struct, frozen=True):
    """Who asks. A token has the permissions of its scopes alone."""

    name: str
    role: Role | None
    via: str
    permissions: tuple[Permission, ...]


class Verified(Struct, frozen=True):
    """Whether the audit trail can be what was written; if not, why."""

    whole: bool
    problem: str


ACCESS_SHAPES: Final = (AccountRow, SessionRow, TokenRow, NewToken, AuditRow, Who, Verified)
"""What these routes answer."""


def accounts(desk: AccessDesk) -> Routes:
    """Its routes."""
    routes = Routes(area="access")
    _accounts(routes, desk)
    _sessions(routes, desk)
    _tokens(routes, desk)
    _audit(routes, desk)
    return routes


def _accounts(routes: Routes, desk: AccessDesk) -> None:
    @routes.get(
        "/api/v1/account",
        needs=Permission.ACCOUNT,
        summary="Who asks, and what that one may do",
        responses=answers(Who),
    )
    async def account(request: Request) -> Response:
        who = identity_of(request)
        return json(Who(who.name, who.role, who.via, tuple(sorted(who.permissions))))

    @routes.get(
        "/api/v1/accounts",
        needs=Permission.ADMINISTER,
        summary="All accounts, by name",
        responses=answers(list[AccountRow]),
    )
    async def accounts() -> Response:
        return json(await desk.accounts())

    @routes.post(
        "/api/v1/accounts",
        needs=Permission.ADMINISTER,
        summary="Make an account",
        status_code=201,
        responses=answers(AccountRow, 201),
        noted=True,
        secret=True,
    )
    async def create_account(request: Request, given: NewAccount) -> Response:
        return json(await desk.create_account(identity_of(request), given.name, given.role, given.password), 201)

    @routes.put(
        "/api/v1/accounts/{name}",
        needs=Permission.ADMINISTER,
        summary="Change an account: its sessions end",
        responses=answers(AccountRow),
        noted=True,
        secret=True,
    )
    async def change_account(request: Request, name: str, given: ChangedAccount) -> Response:
        if not given.model_fields_set:
            raise InvalidValue("body: nothing is to be changed", "give role, disabled or password")
        changed = await desk.change_account(
            identity_of(request), name, role=given.role, disabled=given.disabled, password=given.password
        )
        return json(changed)

    @routes.delete(
        "/api/v1/accounts/{name}",
        needs=Permission.ADMINISTER,
        summary="Remove an account with its sessions and tokens",
        status_code=204,
        noted=True,
    )
    async def remove_account(request: Request, name: str) -> Response:
        await desk.remove_account(identity_of(request), name)
        return Response(status_code=204)

    @routes.delete(
        "/api/v1/accounts/{name}/second",
        needs=Permission.ADMINISTER,
        summary="Take the second factor away from somebody else: the sessions of the account end",
        responses=answers(AccountRow),
        noted=True,
    )
    async def remove_second(request: Request, name: str) -> Response:
        return json(await desk.remove_second(identity_of(request), name))


def _sessions(routes: Routes, desk: AccessDesk) -> None:
    @routes.get(
        "/api/v1/sessions",
        needs=Permission.ACCOUNT,
        summary="The sessions of an account, the latest seen first",
        responses=answers(list[SessionRow]),
    )
    async def sessions(
        request: Request,
        account: Annotated[str, Query(max_length=100, description="One's own, where left out")] = "",
    ) -> Response:
        who = identity_of(request)
        return json(await desk.sessions(who, account or who.name))

    @routes.delete(
        "/api/v1/sessions/{handle}", needs=Permission.ACCOUNT, summary="End a session", status_code=204, noted=True
    )
    async def end_session(request: Request, handle: str) -> Response:
        await desk.end_session(identity_of(request), handle)
        return Response(status_code=204)


def _tokens(routes: Routes, desk: AccessDesk) -> None:
    @routes.get(
        "/api/v1/tokens",
        needs=Permission.ACCOUNT,
        summary="One's own tokens, or all for an admin",
        responses=answers(list[TokenRow]),
    )
    async def tokens(request: Request) -> Response:
        return json(await desk.tokens(identity_of(request)))

    @routes.post(
        "/api/v1/tokens",
        needs=Permission.ACCOUNT,
        summary="Make a token: it is shown this once",
        status_code=201,
        responses=answers(NewToken, 201),
        noted=True,
        secret=True,
    )
    async def create_token(request: Request, given: WantedToken) -> Response:
        made = await desk.create_token(
            identity_of(request), given.name, given.scopes, given.lasts, account=given.account
        )
        return json(made, 201)

    @routes.delete(
        "/api/v1/tokens/{handle}", needs=Permission.ACCOUNT, summary="Revoke a token", status_code=204, noted=True
    )
    async def revoke_token(request: Request, handle: str) -> Response:
        await desk.revoke_token(identity_of(request), handle)
        return Response(status_code=204)


def _audit(routes: Routes, desk: AccessDesk) -> None:
    @routes.get(
        "/api/v1/audit",
        needs=Permission.ADMINISTER,
        summary="What was done and by whom, the latest first",
        responses=answers(list[AuditRow]),
    )
    async def audit(
        before: Annotated[int | None, Query(ge=1, le=1 << 53, description="The position of the last one seen")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        return json(await desk.audit(before=before, limit=limit))

    @routes.get(
        "/api/v1/audit/verify",
        needs=Permission.ADMINISTER,
        summary="Whether the audit trail can be what was written, and if not, why",
        responses=answers(Verified),
    )
    async def verify() -> Response:
        broken = await desk.verify_audit()
        return json(Verified(not broken, broken))

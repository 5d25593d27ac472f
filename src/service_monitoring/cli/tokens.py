"""Tokens and the audit trail on the command line.

Knows the desk's questions and their routes. Does not know how a token is made or kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_monitoring import bootstrap
from service_monitoring.access.identity import OWNER
from service_monitoring.access.permissions import Permission
from service_monitoring.cli import BAD_ANSWER, DONE, Form, show
from service_monitoring.cli.asking import EmptyError, ask, say
from service_monitoring.domain.instants import SECOND
from service_monitoring.errors import NotFound, Refused
from service_monitoring.settings.lengths import duration


def create(name: str, account: str, scopes: Sequence[str], lasts: str, config: Path, form: Form) -> None:
    """Make a token of an account: it is shown this once."""
    length = duration(lasts)
    if length <= 0:
        raise Refused("a token that is good for no time opens nothing: write --lasts 90d")
    try:
        answer = ask(
            config,
            "POST",
            "/api/v1/tokens",
            lambda desk: desk.create_token(OWNER, name, [Permission(each) for each in scopes], length, account=account),
            body={"name": name, "account": account, "scopes": list(scopes), "lasts": length / SECOND},
            access=True,
        )
    except EmptyError:
        raise NotFound(f"there is no account {account}: `service-monitoring users add {account}` makes one") from None
    if form is Form.JSON:
        show.as_json(answer)
        return
    row = answer["row"]
    show.line(answer["secret"])
    show.warn(f"This is the token {row['name']} of {row['account']}; it is shown this once, and stored nowhere.")
    show.warn("Send it as Authorization: Bearer TOKEN")
    show.warn(f"It opens until {show.moment(row['expires_at'], bootstrap.the_clock().now())}")


def list_tokens(config: Path, form: Form) -> None:
    """All tokens, without what opens anything."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(config, "GET", "/api/v1/tokens", lambda desk: desk.tokens(OWNER), access=True)
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import show_access

        show_access.tokens(rows, bootstrap.the_clock().now())


def revoke(handle: str, config: Path, form: Form) -> None:
    """Let a token open nothing any more."""
    try:
        ask(
            config,
            "DELETE",
            f"/api/v1/tokens/{quote(handle, safe='')}",
            lambda desk: desk.revoke_token(OWNER, handle),
            access=True,
        )
    except EmptyError:
        raise NotFound("there is no token yet: `service-monitoring tokens create` makes one") from None
    say(form, {"handle": handle, "revoked": True}, f"The token {handle} opens nothing any more")


def list_audit(before: int | None, limit: int, config: Path, form: Form) -> None:
    """What was done and by whom, the latest first."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(
            config,
            "GET",
            "/api/v1/audit",
            lambda desk: desk.audit(before=before, limit=limit),
            query={"limit": limit} | ({} if before is None else {"before": before}),
            access=True,
        )
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import show_access

        show_access.audit(rows, bootstrap.the_clock().now())


def verify_audit(config: Path, form: Form) -> int:
    """Whether the audit trail can be what was written."""

    async def directly(desk: Any) -> dict[str, Any]:
        broken = await desk.verify_audit()
        return {"whole": not broken, "problem": broken}

    try:
        answer = ask(config, "GET", "/api/v1/audit/verify", directly, access=True)
    except EmptyError:
        answer = {"whole": True, "problem": ""}
    say(form, answer, "The audit trail is whole" if answer["whole"] else answer["problem"])
    return DONE if answer["whole"] else BAD_ANSWER

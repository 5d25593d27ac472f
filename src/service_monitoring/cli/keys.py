"""Keys and reports on the command line: made, listed, replaced, revoked; and what jobs sent.

Knows the desk's questions and their routes. Does not know how a key is made or kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_monitoring import bootstrap
from service_monitoring.cli import Form, show
from service_monitoring.cli.asking import EmptyError, ask, say
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.errors import NotFound, Refused
from service_monitoring.settings.lengths import duration, duration_text


def create(check: str, config: Path, form: Form) -> None:
    """Make the key of a check; the data folder is made for it where there is none yet."""
    answer = ask(config, "POST", "/api/v1/keys", lambda desk: desk.create_key(check), body={"check": check}, made=True)
    _show_key(answer, form)


def rotate(check: str, overlap: str, config: Path, form: Form) -> None:
    """Make another key in place of the one before, which closes after `overlap`."""
    length = _overlap(overlap)
    try:
        answer = ask(
            config,
            "POST",
            f"/api/v1/keys/{quote(check, safe='')}/rotate",
            lambda desk: desk.rotate_key(check, length),
            body={"overlap_seconds": length // SECOND},
        )
    except EmptyError:
        raise _no_key(check) from None
    _show_key(answer, form)


def revoke(check: str, config: Path, form: Form) -> None:
    """Forget all keys of a check."""

    async def directly(desk: Any) -> dict[str, Any]:
        return {"check": check, "revoked": await desk.revoke_key(check)}

    try:
        answer = ask(config, "DELETE", f"/api/v1/keys/{quote(check, safe='')}", directly)
    except EmptyError:
        raise _no_key(check) from None
    say(form, answer, f"Revoked {show.amount(answer['revoked'], 'key')} of {check}")


def list_keys(config: Path, form: Form) -> None:
    """The keys that open something, without what opens it."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(config, "GET", "/api/v1/keys", lambda desk: desk.keys())
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import tables

        tables.keys(rows, bootstrap.the_clock().now())


def list_pings(check: str, limit: int, config: Path, form: Form) -> None:
    """What was reported to a check, newest first."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(
            config,
            "GET",
            f"/api/v1/checks/{quote(check, safe='')}/pings",
            lambda desk: desk.pings(check, limit=limit),
            query={"limit": limit},
        )
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import tables

        tables.pings(rows, bootstrap.the_clock().now())


def _overlap(text: str) -> Duration:
    length = duration(text)
    if length < 0 or length % SECOND:
        raise Refused(f"an overlap of {duration_text(length)} is not a number of seconds: write 1h")
    return length


def _no_key(check: str) -> NotFound:
    return NotFound(f"{check} has no key: `service-monitoring keys create {check}` makes one")


def _show_key(answer: dict[str, Any], form: Form) -> None:
    if form is Form.JSON:
        show.as_json(answer)
        return
    show.line(answer["key"])
    show.warn(f"This is the key of {answer['check']}; it is shown this once, and stored nowhere in clear.")
    if answer["purpose"] == "ping":
        show.warn("Report with: service-monitoring ping KEY, or POST http://127.0.0.1:8080/ping/KEY")
    else:
        show.warn("Send with: POST http://127.0.0.1:8080/api/v1/samples and Authorization: Bearer KEY")
    if answer["former_until"]:
        show.warn(f"The key before it opens until {show.moment(answer['former_until'], bootstrap.the_clock().now())}")

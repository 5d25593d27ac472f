"""The outbox on the command line: notices with what became of them, and parked ones sent again.

Knows the desk's questions and their routes. Does not know how anything is sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_monitoring import bootstrap
from service_monitoring.cli import Form, show
from service_monitoring.cli.asking import EmptyError, ask, say
from service_monitoring.errors import NotFound


def list_outbox(config: Path, form: Form, *, states: list[str], limit: int) -> None:
    """Notices, the latest decided first."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(
            config,
            "GET",
            "/api/v1/outbox",
            lambda desk: desk.outbox(states=states, limit=limit),
            query={"state": states},
            most=limit,
        )
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        from service_monitoring.cli import tables

        tables.outbox(rows, bootstrap.the_clock().now())


def requeue(key: str, by: str, comment: str, config: Path, form: Form) -> None:
    """Send a parked notice once more; its key may be shortened."""

    def directly(desk: Any) -> Any:
        from service_monitoring.domain.inputs import Requeued

        return desk.requeue(Requeued(key, by, comment))

    try:
        row = ask(
            config,
            "POST",
            f"/api/v1/outbox/{quote(key, safe='')}/requeue",
            directly,
            body={"by": by, "comment": comment},
        )
    except EmptyError:
        raise NotFound(f"there is no notice {key!r}: nothing was ever stored here") from None
    say(form, row, f"Requeued {row['key'][:16]} to {row['channel']} by {by}")

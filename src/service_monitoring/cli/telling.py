"""`notify`: whether a channel takes a test, and what it would say, for people and programs.

Knows words for answers. Does not know how anything is sent.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rich.text import Text

from service_monitoring import bootstrap
from service_monitoring.cli import BAD_ANSWER, DONE, Form, show, tables
from service_monitoring.cli.asking import ask, identified, load
from service_monitoring.domain.instants import in_seconds
from service_monitoring.ports import Accepted, Answer, Later, Rejected

_MEANINGS: Final = {
    "accepted": "the far side has it",
    "later": "the far side does not have it, and would be asked again",
    "refused": "the far side will never take this",
    "uncertain": "the far side may have it, and would be asked again",
}


def test(recipient: str, config: Path, form: Form) -> int:
    """Send one test; the exit code is 0 only where it was accepted."""
    told = asyncio.run(bootstrap.send_test(load(config), recipient))
    outcome = _outcome(told.answer)
    after = told.answer.after if isinstance(told.answer, Later) else None
    if form is Form.JSON:
        wish = None if after is None else in_seconds(after)
        answer = {"channel": told.channel, "outcome": outcome, "detail": told.detail, "after": wish}
        show.as_json(answer | {"key": told.message.key})
    else:
        said = f", {told.detail}" if told.detail else ""
        show.line(f"{told.channel}: {outcome}{said} ({_MEANINGS[outcome]})")
    return DONE if outcome == "accepted" else BAD_ANSWER


def preview(recipient: str, incident: str, config: Path, form: Form) -> None:
    """Show what would be sent of an incident, or of a made-up one."""
    settings = load(config)
    detail: dict[str, Any] | None = None
    if incident:
        whole = identified(config, incident)
        detail = ask(config, "GET", f"/api/v1/incidents/{quote(whole, safe='')}", lambda desk: desk.incident(whole))
    message = asyncio.run(bootstrap.preview(settings, recipient, detail))
    if form is Form.JSON:
        show.as_json(
            {
                "subject": message.subject,
                "content_type": message.content_type,
                "headers": dict(message.headers),
                "body": message.body,
                "degraded": message.degraded,
            }
        )
        return
    facts: list[tuple[str | Text, Any]] = [
        ("subject", tables.word(message.subject)),
        ("content type", tables.word(message.content_type)),
    ]
    if message.degraded:
        facts.append(("degraded", tables.word(message.degraded, "bold red")))
    tables.lines(tables.facts_table(facts), Text())
    for each in message.body.splitlines():
        show.line(each)  # as it is: no line of it is folded


def _outcome(answer: Answer) -> str:
    if isinstance(answer, Accepted):
        return "accepted"
    if isinstance(answer, Later):
        return "later"
    return "refused" if isinstance(answer, Rejected) else "uncertain"

"""The kind `teams`: a notice as an Adaptive Card, posted to the webhook of a workflow of Microsoft Teams.

Knows the card. Its lines are runs of text in `RichTextBlock`, which knows no Markdown, and without `msteams.entities`
nothing in it is a mention. The answer 202 says that the workflow has the card, not that it has posted it. A workflow
offers neither idempotency nor threads: a notice that is sent again may be seen twice.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Answer, Later, Rejected, Surroundings
from service_monitoring.sinks.addressing import SecretUrl, secrets_of
from service_monitoring.sinks.chat import ChatSink, Words, fitted, size, unmentioned
from service_monitoring.sinks.posting import Heard, PostingKind, by_status, canonical

LARGEST_MESSAGE: Final = 28 * 1024
"""Bytes that Teams takes, all told; what follows keeps a card below."""
LONGEST_TITLE: Final = 400
LONGEST_TEXT: Final = 6000
LONGEST_FACTS: Final = 3000
MOST_LINES: Final = 40
MOST_ACTIONS: Final = 3

# A webhook of the older kind (connectors) answers 200 and says here what became of it.
_FAILED: Final = re.compile(rb"\AWebhook message delivery failed.*?HTTP error (\d{3})", re.DOTALL)
_COLOURS: Final = {Severity.CRITICAL: "attention", Severity.WARNING: "warning", Severity.INFO: "accent"}
_OVER: Final = frozenset({Page.RECOVERED, Page.CLOSED, Page.STEADY})


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teams: SecretUrl = Field(description="the URL of a workflow that posts when a webhook request is received")


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "teams"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Teams:
        """A sink for one workflow; opens no connection yet."""
        poster = self.poster(surroundings, secrets=secrets_of(options.teams))
        # The signature in the query is given as it must come back: encoded already.
        to = URL(options.teams.reveal(), encoded=True)
        return Teams(poster, to, judge=judged, template=surroundings.template, links=surroundings.links)


class Teams(ChatSink):
    """Posts a card: a title, the text line by line, the facts, a button for each link."""

    def write(self, words: Words) -> str:
        """The message with its one card."""
        colour = "good" if words.page in _OVER else _COLOURS[words.severity]
        title = _run(fitted(words.title, LONGEST_TITLE, escape=unmentioned, measure=size))
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [_block(title | {"weight": "bolder", "size": "medium", "color": colour})],
            "msteams": {"width": "Full"},
        }
        for text, limit in ((words.text, LONGEST_TEXT), (words.listed(), LONGEST_FACTS)):
            card["body"] += _lines(fitted(text, limit, escape=unmentioned, measure=size))
        runbook = (("Runbook", words.link),) if words.link else ()
        actions = [_opens(word, url) for word, url in (*runbook, *words.offers)]
        if actions:
            card["actions"] = actions[:MOST_ACTIONS]
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return canonical({"type": "message", "attachments": [attachment]})


def judged(heard: Heard) -> Answer:
    """By status; and by what an older webhook says behind a 200."""
    failed = _FAILED.match(heard.body) if heard.status == 200 else None
    if failed is None:
        return by_status(heard)
    status = int(failed[1])
    return Later(heard.told, heard.wish) if status == 429 or status >= 500 else Rejected(heard.told)


def _lines(text: str) -> list[dict[str, Any]]:
    """A block for each line, as a run keeps none; the first set apart from what is above."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "…"]
    blocks = [_block(_run(line)) | {"spacing": "none"} for line in lines]
    return [blocks[0] | {"spacing": "medium"}, *blocks[1:]] if blocks else []


def _opens(word: str, url: str) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "title": unmentioned(word), "url": url}


def _block(run: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [run]}


def _run(text: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text}

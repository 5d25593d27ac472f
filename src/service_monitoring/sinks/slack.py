"""The kind `slack`: a notice as blocks, posted to an incoming webhook.

Knows the blocks and their limits. All strangers' text stands in objects of `plain_text`, which know no formatting, with
the three characters escaped that could begin a mention or a link. An incoming webhook offers neither idempotency nor,
as it tells no timestamp of what it posted, threads: a notice that is sent again may be seen twice.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.ports import Answer, Rejected, Surroundings
from service_monitoring.sinks.addressing import SecretUrl, secrets_of
from service_monitoring.sinks.chat import ChatSink, Words, fitted, unmentioned, whole
from service_monitoring.sinks.posting import Heard, PostingKind, by_status, canonical

LONGEST_HEADER: Final = 150
LONGEST_SECTION: Final = 3000

# What an incoming webhook says of itself, of its channel or of the payload: as true the next time, whatever the status.
_NEVER: Final = frozenset(
    {
        "action_prohibited", "channel_is_archived", "channel_not_found", "invalid_blocks", "invalid_payload",
        "invalid_token", "missing_text_or_fallback_or_attachments", "no_active_hooks", "no_service", "no_service_id",
        "no_team", "no_text", "posting_to_general_channel_denied", "team_disabled", "too_many_attachments",
        "user_not_found",
    }
)  # fmt: skip


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slack: SecretUrl = Field(description="the URL of an incoming webhook")


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "slack"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Slack:
        """A sink for one webhook; opens no connection yet."""
        poster = self.poster(surroundings, secrets=secrets_of(options.slack))
        return Slack(
            poster,
            URL(options.slack.reveal()),
            judge=judged,
            template=surroundings.template,
            links=surroundings.links,
        )


class Slack(ChatSink):
    """Posts blocks: a header, the text, the facts, the links.

    A button would be a request to the application as well, and show a warning where that takes none: these are links.
    """

    def write(self, words: Words) -> str:
        """The payload. `text` is what notifications show."""
        blocks = [
            {"type": "header", "text": _plain(words.title, LONGEST_HEADER)},
            {"type": "section", "text": _plain(words.text or words.title, LONGEST_SECTION)},
        ]
        if words.facts:
            blocks.append({"type": "section", "text": _plain(words.listed(), LONGEST_SECTION)})
        runbook = (("Runbook", words.link),) if words.link else ()
        links = (_link(word, url) for word, url in (*runbook, *words.offers))
        if text := whole(links, LONGEST_SECTION, between=" · "):
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}})
        return canonical(
            {
                "text": fitted(words.title, LONGEST_SECTION, escape=escaped),
                "mrkdwn": False,
                "blocks": blocks,
                "unfurl_links": False,
                "unfurl_media": False,
            }
        )


def escaped(text: str) -> str:
    """`text` without what Slack reads as a mention, a link or a date."""
    return unmentioned(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def judged(heard: Heard) -> Answer:
    """By status, but what is wrong with the webhook or the payload stays wrong."""
    if heard.status >= 300 and heard.body.strip().decode(errors="replace") in _NEVER:
        return Rejected(heard.told)
    return by_status(heard)


def _link(word: str, url: str) -> str:
    return f"<{url.replace('&', '&amp;')}|{escaped(word).replace('|', '')}>"


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": fitted(text, limit, escape=escaped), "emoji": False}

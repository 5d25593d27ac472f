r"""The kind `discord`: a notice as a line and an embed, posted to a webhook.

Knows the message and its limits. `allowed_mentions` allows none, and Markdown is escaped: `\` before a punctuation mark
makes a character of it. Executing a webhook offers no idempotency (a nonce is for bots) and no threads by a key of
ours: a notice that is sent again may be seen twice.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Answer, Later, Surroundings
from service_monitoring.sinks.addressing import SecretUrl, secrets_of
from service_monitoring.sinks.chat import ChatSink, Words, fitted, units, whole
from service_monitoring.sinks.posting import Heard, PostingKind, by_status, canonical, wish_of

LONGEST_CONTENT: Final = 2000
LONGEST_DESCRIPTION: Final = 4096
LONGEST_FACTS: Final = 1500
LONGEST_LINKS: Final = 2000

_MARKDOWN: Final = re.compile(r"[\\*_~`|<>#\[\]():@-]")
_COLOURS: Final = {Severity.CRITICAL: 0xC62828, Severity.WARNING: 0xF9A825, Severity.INFO: 0x1565C0}
_OVER: Final = {Page.RECOVERED: 0x2E7D32, Page.CLOSED: 0x2E7D32, Page.STEADY: 0x2E7D32}


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    discord: SecretUrl = Field(description="the URL of a webhook")
    thread: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")] | None = Field(
        None, description="the id of a thread of the webhook's channel, in quotes"
    )


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "discord"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Discord:
        """A sink for one webhook; opens no connection yet."""
        # Without `wait` a message that is not kept would be answered like one that is.
        query = {"wait": "true"} | ({"thread_id": options.thread} if options.thread is not None else {})
        to = URL(options.discord.reveal()).update_query(query)
        poster = self.poster(surroundings, secrets=secrets_of(options.discord))
        return Discord(poster, to, judge=judged, template=surroundings.template, links=surroundings.links)


class Discord(ChatSink):
    """Posts a line, which notifications show, and an embed with the text, the facts and the links."""

    def write(self, words: Words) -> str:
        """The message."""
        facts = fitted(words.listed(), LONGEST_FACTS, escape=escaped)
        # Buttons are for bots.
        offers = (f"[{escaped(word)}](<{url}>)" for word, url in words.offers)
        links = whole(offers, LONGEST_LINKS, between=" · ")
        text = fitted(words.text, LONGEST_DESCRIPTION - units(facts) - units(links) - 4, escape=escaped)
        embed: dict[str, Any] = {
            "description": "\n\n".join(part for part in (text, facts, links) if part),
            "color": _OVER.get(words.page, _COLOURS[words.severity]),
        }
        if words.link:
            embed |= {"title": "Runbook", "url": words.link}
        return canonical(
            {
                "content": fitted(words.title, LONGEST_CONTENT, escape=escaped),
                "embeds": [embed],
                "allowed_mentions": {"parse": []},
            }
        )


def escaped(text: str) -> str:
    """`text` without what Discord reads as Markdown, a mention or a link."""
    return _MARKDOWN.sub(r"\\\g<0>", text)


def judged(heard: Heard) -> Answer:
    """By status; the wish in the body is finer than the header's."""
    answer = by_status(heard)
    if not isinstance(answer, Later):
        return answer
    wish = wish_of(heard.content().get("retry_after"))
    return answer if wish is None else Later(answer.detail, wish)

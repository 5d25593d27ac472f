"""The kind `ntfy`: a notice as plain text, published to a topic of ntfy.sh or of a server of one's own.

Knows how a topic is published to, and its limit. The text is the body and everything else a header: the form as JSON
would need the topic in the body, which is stored, and who knows a topic may read it and publish to it. No stranger's
text comes to a header as it is: the title is base64 (RFC 2047), and links are URLs by `is_link`.

The notice's key is the `X-Sequence-ID`: a notice that is sent again replaces itself where the server is of version 2.16
or newer, and may be seen twice on older ones. There are no threads.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Surroundings
from service_monitoring.settings import InvalidValue, Secret
from service_monitoring.sinks.addressing import SecretUrl, checked_header_value, secrets_of
from service_monitoring.sinks.chat import ChatSink, Words, fitted, size
from service_monitoring.sinks.posting import PostingKind

LARGEST_MESSAGE: Final = 4096
"""Bytes; a longer body would become a file."""
LARGEST_TITLE: Final = 250
LARGEST_FACTS: Final = 1500
MOST_BUTTONS: Final = 3

_TOPIC: Final = re.compile(r"[-_A-Za-z0-9]{1,64}\Z")
_PRIORITIES: Final = {Severity.CRITICAL: "5", Severity.WARNING: "4", Severity.INFO: "3"}
_TAGS: Final = {Severity.CRITICAL: "rotating_light", Severity.WARNING: "warning", Severity.INFO: "information_source"}
_OVER: Final = frozenset({Page.RECOVERED, Page.CLOSED, Page.STEADY})


def _checked_topic(secret: Secret) -> Secret:
    url = URL(secret.reveal())
    if not _TOPIC.match(url.name) or url.query_string or url.fragment:
        raise InvalidValue("this is not the URL of a topic", "write https://ntfy.sh/topic, of letters, digits, - and _")
    return secret


def _checked_token(token: Secret) -> Secret:
    checked_header_value(token.reveal())
    return token


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ntfy: Annotated[SecretUrl, AfterValidator(_checked_topic)] = Field(description="the URL of a topic")
    token: Annotated[Secret, AfterValidator(_checked_token)] | None = Field(None, description="an access token")


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "ntfy"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Ntfy:
        """A sink for one topic; opens no connection yet."""
        to = URL(options.ntfy.reveal())
        secrets = secrets_of(options.ntfy, Secret(to.name), options.token)
        headers = {} if options.token is None else {"Authorization": f"Bearer {options.token.reveal()}"}
        poster = self.poster(surroundings, secrets=secrets)
        return Ntfy(poster, to, headers=headers, template=surroundings.template, links=surroundings.links)


class Ntfy(ChatSink):
    """Publishes a text with a title, a priority, an emoji, a link and buttons."""

    content_type: ClassVar[str] = "text/plain; charset=utf-8"

    def write(self, words: Words) -> str:
        """The text and the facts."""
        facts = fitted(words.listed(), LARGEST_FACTS, measure=size)
        text = fitted(words.text or words.title, LARGEST_MESSAGE - size(facts) - 2, measure=size)
        return f"{text}\n\n{facts}".strip()

    def headers(self, words: Words, key: str) -> tuple[tuple[str, str], ...]:
        """Title, priority, tags, links and key, in ASCII."""
        title = b64encode(fitted(words.title, LARGEST_TITLE, measure=size).encode("utf-8", "replace")).decode()
        over = words.page in _OVER
        headers = [
            ("X-Title", f"=?UTF-8?B?{title}?="),
            ("X-Priority", "3" if over else _PRIORITIES[words.severity]),
            ("X-Tags", "white_check_mark" if over else _TAGS[words.severity]),
            ("X-Sequence-ID", key),
        ]
        if words.link:
            headers.append(("X-Click", words.link))
        if words.offers:
            # As JSON: its own short form would be broken by a comma or a semicolon in a URL.
            buttons = [{"action": "view", "label": word, "url": url} for word, url in words.offers[:MOST_BUTTONS]]
            headers.append(("X-Actions", json.dumps(buttons, separators=(",", ":"))))
        return tuple(headers)

"""The kind `telegram`: a notice as a text, sent to a chat by a bot (`sendMessage`).

Knows the method and its limit. The text is plain, without `parse_mode`, so that nothing in it is markup; the title is
made bold by an entity, and an invisible joiner after each `@` keeps names from being mentions. The token is a part of
the URL, and never of a message. The method offers no idempotency, and a reply needs the number of an earlier message,
which the thread's key is not: a notice that is sent again may be seen twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.ports import NO_TEMPLATE, Answer, Later, Links, Rejected, Surroundings, Template, no_links
from service_monitoring.settings import InvalidValue, Secret
from service_monitoring.sinks.addressing import PlainUrl
from service_monitoring.sinks.chat import ChatSink, Words, fitted, units, unmentioned, whole
from service_monitoring.sinks.posting import Heard, PostingKind, by_status, canonical, wish_of

if TYPE_CHECKING:
    from service_monitoring.sinks.poster import Poster

LONGEST_MESSAGE: Final = 4096
LONGEST_TITLE: Final = 256
LONGEST_FACTS: Final = 1500
LONGEST_LINKS: Final = 1500
API: Final = "https://api.telegram.org"

_TOKEN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def _checked_token(token: Secret) -> Secret:
    number, colon, rest = token.reveal().partition(":")
    if not (number.isascii() and number.isdigit() and colon and rest and set(rest) <= _TOKEN):
        raise InvalidValue("this is not the token of a bot", "copy it from @BotFather: digits, a colon, letters")
    return token


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    telegram: Annotated[str, Field(pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{4,32})$")] = Field(
        description='the chat: its number, in quotes, or "@name" of a channel'
    )
    token: Annotated[Secret, AfterValidator(_checked_token)]
    topic: int | None = Field(None, ge=1, description="the number of a topic of a forum (message_thread_id)")
    api: PlainUrl = Field(API, description="where the Bot API is")


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "telegram"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Telegram:
        """A sink for one chat; opens no connection yet."""
        # An answer may quote the part behind the number of the bot alone.
        secrets = (options.token, Secret(options.token.reveal().partition(":")[2]))
        poster = self.poster(surroundings, secrets=secrets)
        return Telegram(options, poster, template=surroundings.template, links=surroundings.links)


class Telegram(ChatSink):
    """Sends a text: a title, the text, the facts, the links.

    A button with a URL that Telegram does not take, as that of a host without a domain, would refuse the whole message:
    the links are text.
    """

    def __init__(
        self, options: Options, poster: Poster, *, template: Template = NO_TEMPLATE, links: Links = no_links
    ) -> None:
        to = URL(f"{options.api.rstrip('/')}/bot{options.token.reveal()}/sendMessage")
        super().__init__(poster, to, judge=judged, template=template, links=links)
        self._chat: dict[str, Any] = {"chat_id": options.telegram}
        if options.topic is not None:
            self._chat["message_thread_id"] = options.topic

    def write(self, words: Words) -> str:
        """The parameters of the method. Links are not fetched for a preview."""
        title = fitted(words.title, LONGEST_TITLE, escape=unmentioned)
        below = [
            fitted(words.listed(), LONGEST_FACTS, escape=unmentioned),
            unmentioned(words.link),
            whole((f"{unmentioned(word)}: {url}" for word, url in words.offers), LONGEST_LINKS),
        ]
        rest = "".join(f"\n\n{part}" for part in below if part)
        left = LONGEST_MESSAGE - units(title) - units(rest) - 1
        text = fitted(words.text, left, escape=unmentioned)
        return canonical(
            self._chat
            | {
                "text": f"{title}\n{text}{rest}".strip(),
                "entities": [{"type": "bold", "offset": 0, "length": units(title)}],
                "link_preview_options": {"is_disabled": True},
            }
        )


def judged(heard: Heard) -> Answer:
    """By `ok`, `error_code` and `parameters.retry_after` of the answer; by status where it has none of them."""
    content = heard.content()
    if content.get("ok") is not False:
        return by_status(heard)
    parameters = content.get("parameters")
    wish = wish_of(parameters.get("retry_after")) if isinstance(parameters, dict) else None
    code = content.get("error_code")
    if not isinstance(code, int):
        code = heard.status
    return Later(heard.told, wish or heard.wish) if code == 429 or code >= 500 else Rejected(heard.told)

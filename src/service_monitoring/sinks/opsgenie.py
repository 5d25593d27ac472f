"""The kind `opsgenie`: a notice as an alert of Opsgenie's Alert API, or of a system that speaks it.

A page creates an alert, an acknowledged incident acknowledges it, an end closes it. Its `alias` is the thread's key, so
all notices of one group move one alert: one that is created again while it is open counts up and changes nothing
else. Knows the three requests and where each goes. The key is a header, put in when it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Accepted, Answer, Deadline, Message, Surroundings
from service_monitoring.sinks.chat import JSON, offered, whole
from service_monitoring.sinks.paging import SOURCE, BaseUrl, Key, Standing, cut, facts_of, standing
from service_monitoring.sinks.posting import Heard, PostingKind, by_status, canonical
from service_monitoring.views.digests import foremost, worst
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import Article, article

if TYPE_CHECKING:
    from service_monitoring.sinks.poster import Poster

LONGEST_MESSAGE: Final = 130
LONGEST_DESCRIPTION: Final = 15_000
LONGEST_NOTE: Final = 25_000
LONGEST_LINKS: Final = 5000
LONGEST_ALIAS: Final = 512
LONGEST_ENTITY: Final = 512
LONGEST_TAG: Final = 50
MOST_TAGS: Final = 20
LARGEST_DETAILS: Final = 8000

_BASES: Final = {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}
# Which request a message is: its body alone does not tell a closing from an acknowledgement. Not sent.
_REQUEST: Final = "Request"
_REQUESTS: Final = {
    Standing.TRIGGERED: "create",
    Standing.ACKNOWLEDGED: "acknowledge",
    Standing.OVER: "close",
}
_PRIORITIES: Final = {Severity.CRITICAL: "P1", Severity.WARNING: "P3", Severity.INFO: "P5"}

Offers = tuple[tuple[str, str], ...]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opsgenie: Key = Field(description="the key of an API integration")
    region: Literal["us", "eu"] = Field("us", description="where the account is")
    url: BaseUrl | None = Field(None, description="where the interface is, in place of the region's")
    priorities: Mapping[Severity, Priority] = Field({}, description="what a severity is there: {critical: P2}")


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "opsgenie"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Opsgenie:
        """A sink for one integration; opens no connection yet."""
        return Opsgenie(options, self.poster(surroundings, secrets=(options.opsgenie,)), surroundings)


class Opsgenie:
    """A `ports.Sink` over HTTP. Several sends may run at once; one that is cancelled closes its connection."""

    def __init__(self, options: Options, poster: Poster, surroundings: Surroundings) -> None:
        self._poster = poster
        self._template = surroundings.template
        self._links = surroundings.links
        self.address = URL(options.url or _BASES[options.region]) / "v2" / "alerts"
        self._headers = {"Authorization": f"GenieKey {options.opsgenie.reveal()}"}
        self._priorities = _PRIORITIES | dict(options.priorities)

    def render(self, notice: Notice) -> Message:
        """The alert, or the note with which it is acknowledged or closed."""
        words = article(notice, self._template)
        links = offered(self._links(notice, notice.channel))
        request = _REQUESTS[standing(notice)]
        said = self._alert(notice, words, links) if request == "create" else _note(words, links)
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=words.headline,
            body=canonical(said),
            content_type=JSON,
            headers=((_REQUEST, request),),
            degraded=words.degraded,
        )

    def _alert(self, notice: Notice, words: Article, links: Offers) -> dict[str, Any]:
        facts = foremost(notice).facts
        tags = [f"{name}={one_line(value)}" for name, value in facts.labels]
        return {
            "message": cut(one_line(words.headline), LONGEST_MESSAGE),
            "alias": _alias(notice.thread),
            "description": cut(words.text, LONGEST_DESCRIPTION),
            "priority": self._priorities[worst(notice)],
            "source": SOURCE,
            "entity": cut(one_line(facts.service), LONGEST_ENTITY),
            "tags": [cut(tag, LONGEST_TAG) for tag in tags[:MOST_TAGS]],
            "details": _details(notice, words, links),
        }

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request: 202 has it, 429 and 5xx later, everything else never."""
        request = dict(message.headers).get(_REQUEST, "create")
        body = message.body if message.content_type == JSON else canonical(_plain(message))
        to, judge = self.address, by_status
        if request != "create":
            to = (self.address / _alias(message.thread) / request) % {"identifierType": "alias"}
            judge = _of_one_that_is_gone
        posted = replace(message, body=body, content_type=JSON, headers=())
        return await self._poster.post(posted, deadline, to=to, headers=self._headers, judge=judge)


def _of_one_that_is_gone(heard: Heard) -> Answer:
    """Where answers are not given ahead of the work, an alert that somebody deleted is 404: there is nothing to do."""
    return Accepted(heard.told) if heard.status == 404 else by_status(heard)


def _alias(thread: str) -> str:
    return thread[:LONGEST_ALIAS]


def _details(notice: Notice, words: Article, links: Offers) -> dict[str, str]:
    """What may be done, and the facts, as many as there is room for."""
    kept: dict[str, str] = {}
    room = LARGEST_DETAILS
    for name, value in (*links, *facts_of(notice, words).items()):
        room -= len(name) + len(value)
        if room >= 0:
            kept[name] = value
    return kept


def _note(words: Article, links: Offers) -> dict[str, Any]:
    below = whole((f"{word}: {url}" for word, url in links), LONGEST_LINKS)
    said = cut(f"{one_line(words.headline)}\n\n{words.text}", LONGEST_NOTE - len(below) - 2)
    return {"source": SOURCE, "note": f"{said}\n\n{below}" if below else said}


def _plain(message: Message) -> dict[str, Any]:
    """A message that another wrote, as the built-in text is, as an alert."""
    return {
        "message": cut(one_line(message.subject), LONGEST_MESSAGE),
        "alias": _alias(message.thread),
        "description": cut(message.body, LONGEST_DESCRIPTION),
        "priority": _PRIORITIES[Severity.CRITICAL],
        "source": SOURCE,
    }

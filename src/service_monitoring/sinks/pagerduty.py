"""The kind `pagerduty`: a notice as an event of PagerDuty's Events API v2.

A page triggers an alert, an acknowledged incident acknowledges it, an end resolves it. Its `dedup_key` is the thread's
key, so all notices of one group move one alert, and an event that comes twice changes nothing: PagerDuty drops an
acknowledgement or an end of what is not open. Knows the event. The integration key is a part of it, and is put in only
when it is sent: what is stored holds none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Severity
from service_monitoring.ports import Answer, Deadline, Message, Surroundings
from service_monitoring.sinks.chat import JSON, is_link, offered
from service_monitoring.sinks.paging import SOURCE, BaseUrl, Key, Standing, cut, facts_of, standing
from service_monitoring.sinks.posting import PostingKind, canonical
from service_monitoring.views.digests import foremost, worst
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import article

if TYPE_CHECKING:
    from service_monitoring.sinks.poster import Poster

LONGEST_SUMMARY: Final = 1024
LONGEST_KEY: Final = 255

_BASES: Final = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
_ACTIONS: Final = {
    Standing.TRIGGERED: "trigger",
    Standing.ACKNOWLEDGED: "acknowledge",
    Standing.OVER: "resolve",
}

Level = Literal["critical", "error", "warning", "info"]


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pagerduty: Key = Field(description="the integration key of a service: Events API v2")
    region: Literal["us", "eu"] = Field("us", description="where the account is")
    url: BaseUrl | None = Field(None, description="where the interface is, in place of the region's")
    severities: Mapping[Severity, Level] = Field({}, description="what a severity is called there: {warning: error}")


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "pagerduty"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> PagerDuty:
        """A sink for one integration; opens no connection yet."""
        return PagerDuty(options, self.poster(surroundings, secrets=(options.pagerduty,)), surroundings)


class PagerDuty:
    """A `ports.Sink` over HTTP. Several sends may run at once; one that is cancelled closes its connection."""

    def __init__(self, options: Options, poster: Poster, surroundings: Surroundings) -> None:
        self._poster = poster
        self._template = surroundings.template
        self._links = surroundings.links
        self._key = options.pagerduty
        self.address = URL(options.url or _BASES[options.region]) / "v2" / "enqueue"
        self._severities = {severity: severity.value for severity in Severity} | dict(options.severities)

    def render(self, notice: Notice) -> Message:
        """The event, without the integration key."""
        words = article(notice, self._template)
        facts = foremost(notice).facts
        action = _ACTIONS[standing(notice)]
        event: dict[str, Any] = {"event_action": action, "dedup_key": _key(notice.thread)}
        # Everything else would be ignored in an acknowledgement or an end, but for the log of the alert.
        event["payload"] = {
            "summary": cut(one_line(words.headline), LONGEST_SUMMARY),
            "source": facts.service or SOURCE,
            "severity": self._severities[worst(notice)],
            "timestamp": str(facts.opened_at or notice.decided_at),
            "class": facts.rule,
            "custom_details": {
                **facts_of(notice, words),
                "text": words.text,
                **({} if words.complete else {"labels": dict(facts.labels)}),
            },
        }
        event["client"] = SOURCE
        runbook = (("Runbook", words.runbook),) if is_link(words.runbook) else ()
        links = [{"href": url, "text": word} for word, url in (*runbook, *offered(self._links(notice, notice.channel)))]
        if links:
            event["links"] = links
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=words.headline,
            body=canonical(event),
            content_type=JSON,
            degraded=words.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request: 202 has it, 400 and other 4xx never, 429 and 5xx later."""
        event = json.loads(message.body) if message.content_type == JSON else _plain(message)
        body = canonical({**event, "routing_key": self._key.reveal()})
        return await self._poster.post(replace(message, body=body, content_type=JSON), deadline, to=self.address)


def _key(thread: str) -> str:
    return thread[:LONGEST_KEY]


def _plain(message: Message) -> dict[str, Any]:
    """A message that another wrote, as the built-in text is, as an event."""
    return {
        "event_action": "trigger",
        "dedup_key": _key(message.thread),
        "payload": {
            "summary": cut(one_line(message.subject), LONGEST_SUMMARY),
            "source": SOURCE,
            "severity": "critical",
            "custom_details": {"text": message.body},
        },
    }

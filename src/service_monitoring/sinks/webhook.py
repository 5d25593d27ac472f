"""The kind `webhook`: a notice as a JSON object, sent to a URL.

Knows the object; `posting` knows HTTP. Redirects are not followed: a POST that is repeated elsewhere would take the
credentials with it, so a 3xx is a mistake in the configuration and refused like a 4xx.

The object has the keys of `FIELDS`; keys may be added, and `version` changes if one is ever taken away.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Answer, Deadline, Message, Surroundings
from service_monitoring.sinks.addressing import Headers, SecretUrl
from service_monitoring.sinks.posting import Poster, PostingKind, canonical
from service_monitoring.views.wording import headline, word

VERSION: Final = 1
FIELDS: Final = (
    "version", "key", "thread", "page", "decided_at", "incident", "service", "rule", "series", "severity", "state",
    "labels", "summary", "runbook", "value", "reason", "detail", "cause", "breached_at", "opened_at", "ended_at",
    "degraded",
)  # fmt: skip


class Options(BaseModel):
    """Keys of a channel of this kind. The URL is a secret: with most chat systems, who has it may post."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: SecretUrl = Field(description="the URL that notices are sent to")
    headers: Headers = {}
    method: Annotated[
        Literal["POST", "PUT", "PATCH"],
        BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given),
    ] = "POST"


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "webhook"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Webhook:
        """A sink for one URL; opens no connection yet."""
        return Webhook(options, self.poster(surroundings, secrets=(options.webhook, *options.headers.values())))


class Webhook:
    """A `ports.Sink` over HTTP. Several sends may run at once; one that is cancelled closes its connection."""

    def __init__(self, options: Options, poster: Poster) -> None:
        self._poster = poster
        self._url = URL(options.webhook.reveal())
        self._method = options.method
        self._headers = {name: value.reveal() for name, value in options.headers.items()}

    def render(self, notice: Notice) -> Message:
        """The object as canonical JSON: sorted keys, no spaces."""
        facts, words = notice.facts, word(notice.facts)
        content = {
            "version": VERSION,
            "key": notice.key,
            "thread": notice.thread,
            "page": notice.page.value,
            "decided_at": str(notice.decided_at),
            "incident": facts.incident or None,
            "service": facts.service or None,
            "rule": facts.rule or None,
            "series": str(facts.series) if facts.series is not None else None,
            "severity": facts.severity.value,
            "state": facts.state or None,
            "labels": dict(facts.labels),
            "summary": words.summary,
            "runbook": words.runbook or None,
            "value": facts.evidence.value,
            "reason": facts.evidence.reason.value if facts.evidence.reason is not None else None,
            "detail": facts.evidence.detail or None,
            "cause": facts.cause or None,
            "breached_at": _moment(facts.breached_at),
            "opened_at": _moment(facts.opened_at),
            "ended_at": _moment(facts.ended_at),
            "degraded": words.degraded or None,
        }
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=headline(notice, words),
            body=canonical(content),
            content_type="application/json",
            headers=(("Idempotency-Key", notice.key),),
            degraded=words.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request; see `posting.by_status` for what its answer means."""
        return await self._poster.post(message, deadline, to=self._url, method=self._method, headers=self._headers)


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else str(instant)

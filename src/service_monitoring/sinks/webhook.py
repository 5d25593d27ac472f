"""The kind `webhook`: a notice as a JSON object, sent to a URL.

Knows the request; `content` knows the object and `posting` HTTP. Redirects are not followed: a POST that is repeated
elsewhere would take the credentials with it, so a 3xx is a mistake in the configuration and refused like a 4xx.

With `sign`, a request says who made it: `X-Signature-256` is `sha256=` and the HMAC-SHA256, in hexadecimal digits, of
the text of `X-Signature-Timestamp`, a full stop, and the body. That timestamp is when the notice was decided, in
seconds of Unix time, and not when it is sent: every attempt sends the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.instants import SECOND
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Answer, Deadline, Message, Surroundings
from service_monitoring.settings import InvalidValue, Secret
from service_monitoring.sinks.addressing import Headers, SecretUrl, secrets_in, secrets_of
from service_monitoring.sinks.content import content
from service_monitoring.sinks.posting import PostingKind, canonical
from service_monitoring.views.digests import foremost
from service_monitoring.views.wording import article

if TYPE_CHECKING:
    from service_monitoring.sinks.poster import Poster

SIGNATURE: Final = "X-Signature-256"
TIMESTAMP: Final = "X-Signature-Timestamp"


def _not_empty(secret: Secret) -> Secret:
    if not secret.reveal():
        raise InvalidValue("a signature needs a secret", "write {env: NAME}")
    return secret


class Options(BaseModel):
    """Keys of a channel of this kind. The URL is a secret: with most chat systems, who has it may post."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: SecretUrl = Field(description="the URL that notices are sent to")
    headers: Headers = {}
    method: Annotated[
        Literal["POST", "PUT", "PATCH"],
        BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given),
    ] = "POST"
    sign: Annotated[Secret, AfterValidator(_not_empty)] | None = Field(
        None, description="the secret that requests are signed with, for the receiver to know them by"
    )


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "webhook"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Webhook:
        """A sink for one URL; opens no connection yet."""
        secrets = secrets_of(options.webhook, *secrets_in(options.headers), options.sign)
        return Webhook(options, self.poster(surroundings, secrets=secrets), surroundings)


class Webhook:
    """A `ports.Sink` over HTTP. Several sends may run at once; one that is cancelled closes its connection."""

    def __init__(self, options: Options, poster: Poster, surroundings: Surroundings) -> None:
        self._poster = poster
        self._links = surroundings.links
        self._template = surroundings.template
        self._url = URL(options.webhook.reveal())
        self._method = options.method
        self._headers = {name: value.reveal() for name, value in options.headers.items()}
        self._secret = options.sign

    def render(self, notice: Notice) -> Message:
        """The object as canonical JSON: sorted keys, no spaces."""
        words = article(notice, self._template)
        headers = [("Idempotency-Key", notice.key)]
        if self._secret is not None:
            headers.append((TIMESTAMP, str(notice.decided_at.ns // SECOND)))
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=words.headline,
            body=canonical(content(foremost(notice), words, self._links(notice, notice.channel))),
            content_type="application/json",
            headers=tuple(headers),
            degraded=words.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request; see `posting.by_status` for what its answer means."""
        headers = dict(self._headers)
        if self._secret is not None:
            timestamp = dict(message.headers).get(TIMESTAMP, "0")
            headers |= {TIMESTAMP: timestamp, SIGNATURE: signature(self._secret, timestamp, message.body)}
        return await self._poster.post(message, deadline, to=self._url, method=self._method, headers=headers)


def signature(secret: Secret, timestamp: str, body: str) -> str:
    """What stands in `X-Signature-256`."""
    signed = f"{timestamp}.{body}".encode("utf-8", "replace")
    return f"sha256={hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest()}"

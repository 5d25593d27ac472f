"""The kind `alertmanager`: a notice as an alert, pushed to Alertmanager's API v2.

A notice about several incidents is one alert for each that it writes out, with its own words, links and end.
Alertmanager knows an alert by its labels, so these are what does not change between the notices of one incident: name
of the rule, service, check, metric, and the labels of series, rule and service. The severity may rise, so it is an
annotation; who routes by it writes `labels: {severity: ...}` at a channel that gets nothing else.

An alert without an end is taken for over after Alertmanager's `resolve_timeout`, five minutes by default, unless it is
pushed again and again, as Prometheus does. We push once, so an alert that is open has an end that is far away, after
`lasts`; the notice of the end brings the true one.

Knows that object. Does not know what Alertmanager makes of it: grouping, silences and receivers are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from yarl import URL

from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.ports import Answer, Deadline, Message, Surroundings
from service_monitoring.settings import DurationField, InvalidValue
from service_monitoring.settings.programs import VariableName
from service_monitoring.sinks.addressing import Headers, secrets_in
from service_monitoring.sinks.chat import is_link, offered
from service_monitoring.sinks.paging import SOURCE, BaseUrl, Standing, facts_of, standing
from service_monitoring.sinks.posting import PostingKind, canonical
from service_monitoring.views.digests import apart
from service_monitoring.views.wording import Article, article

if TYPE_CHECKING:
    from service_monitoring.sinks.poster import Poster

NAME: Final = "alertname"

_JSON: Final = "application/json"
_CHANGING: Final = frozenset({"severity"})
_FLAPPING: Final = frozenset({Page.FLAPPING, Page.STEADY})


def _some_time(length: Duration) -> Duration:
    if length <= 0:
        raise InvalidValue("an alert lasts longer than nothing", "write 7d, or longer than an incident takes")
    return length


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alertmanager: BaseUrl = Field(description="where Alertmanager is: http://host:9093; /api/v2/alerts follows")
    headers: Headers = {}
    labels: Mapping[VariableName, str] = Field({}, description="labels that every alert gets besides its own")
    lasts: Annotated[DurationField, AfterValidator(_some_time)] = Field(
        Duration(7 * DAY), description="after which time an alert is over of which nothing more was said"
    )


class Kind(PostingKind):
    """Opens sinks that share a session. Belongs to one loop; `close` ends what is under way."""

    name = "alertmanager"
    options = Options

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Alertmanager:
        """A sink for one Alertmanager; opens no connection yet."""
        return Alertmanager(options, self.poster(surroundings, secrets=secrets_in(options.headers)), surroundings)


class Alertmanager:
    """A `ports.Sink` over HTTP. Several sends may run at once; one that is cancelled closes its connection."""

    def __init__(self, options: Options, poster: Poster, surroundings: Surroundings) -> None:
        self._poster = poster
        self._template = surroundings.template
        self._links = surroundings.links
        self._to = URL(options.alertmanager) / "api" / "v2" / "alerts"
        self._headers = {name: value.reveal() for name, value in options.headers.items()}
        self._labels = dict(options.labels)
        self._lasts = options.lasts

    def render(self, notice: Notice) -> Message:
        """An alert for each incident."""
        said = article(notice, self._template)
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=said.headline,
            body=_listed(*map(self._alert, apart(notice))),
            content_type=_JSON,
            degraded=said.degraded,
        )

    def _alert(self, notice: Notice) -> dict[str, Any]:
        words = article(notice, self._template)
        begun = notice.facts.opened_at or notice.decided_at
        links = offered(self._links(notice, notice.channel))
        alert = {
            "labels": _labels(notice) | self._labels,
            "annotations": _annotations(notice, words) | {word.lower(): url for word, url in links},
            "startsAt": str(begun),
            **self._end(notice, begun),
        }
        if is_link(words.runbook):
            alert["generatorURL"] = words.runbook
        return alert

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """One request: 200 has it, 400 and other 4xx never, 5xx later."""
        if message.content_type != _JSON:
            # A message that another wrote, as the built-in text is, has no end of its own.
            alert = {
                "labels": {NAME: SOURCE, "thread": message.thread} | self._labels,
                "annotations": {"summary": message.subject, "description": message.body},
            }
            message = replace(message, body=_listed(alert), content_type=_JSON)
        return await self._poster.post(message, deadline, to=self._to, headers=self._headers)

    def _end(self, notice: Notice, begun: Instant) -> dict[str, str]:
        if notice.page is Page.OWNER:
            return {}  # nobody tells when that is over: it is for Alertmanager to forget
        if standing(notice) is Standing.OVER:
            return {"endsAt": str(max(begun, notice.facts.ended_at or notice.decided_at))}
        return {"endsAt": str(notice.decided_at.plus(self._lasts))}


def _labels(notice: Notice) -> dict[str, str]:
    """What the alert is known by. A label without a value is none, as in Prometheus."""
    facts = notice.facts
    given = (*(facts.series.labels if facts.series is not None else ()), *facts.labels)
    kept = {name: value for name, value in given if value and name not in _CHANGING}
    if facts.series is not None:
        kept |= {"check": facts.series.check, "metric": facts.series.metric}
    if facts.service:
        kept["service"] = facts.service
    if facts.rule:
        kept["rule"] = facts.rule
    if notice.page in _FLAPPING:
        # It goes on beside the incidents of the same rule, which have an alert of their own.
        kept["flapping"] = "true"
    return {**kept, NAME: facts.rule or SOURCE}


def _annotations(notice: Notice, words: Article) -> dict[str, str]:
    known = facts_of(notice, words)
    return {**known, "summary": words.headline, "description": words.text}


def _listed(*alerts: Mapping[str, Any]) -> str:
    return f"[{','.join(map(canonical, alerts))}]"

"""Silences and planned work as faces show them, and what a set of matchers would have silenced.

Knows the shapes of answers and the labels of incidents. Does not know where incidents come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, windows
from service_monitoring.domain.matchers import Matcher, matcher_text
from service_monitoring.domain.routing import facts_of
from service_monitoring.domain.silences import Silence
from service_monitoring.views.incidents import IncidentRow

LATELY: Final = Duration(7 * DAY)
"""How far a preview looks back."""

MOST_MATCHED: Final = 1_000
"""How many incidents a preview looks at; a week that has more says enough."""


class SilencePage(Struct, frozen=True):
    """Which part of the silences: those of one `state`, `limit` of them, after a place.

    A state is `active`, `pending`, `ended`, or `current`, which is either of the first two.

    `after` is where the last one of the page before ends, as RFC 3339, and its id.
    """

    state: str = ""
    limit: int = 1_000
    after: tuple[str, str] | None = None


EVERY_SILENCE: Final = SilencePage()
"""The first thousand."""


class SilenceRow(Struct, frozen=True):
    """One silence. Instants are RFC 3339; `state` is pending, active or ended; `expired_by` ended it early."""

    id: str
    matchers: tuple[str, ...]
    state: str
    begins: str
    ends: str
    author: str
    comment: str
    expired_by: str


class SilencePreview(Struct, frozen=True):
    """What a set of matchers matches: incidents open `now`, and those that were open after `since`, now included."""

    matchers: tuple[str, ...]
    now: tuple[IncidentRow, ...]
    since: str
    lately: tuple[IncidentRow, ...]


class WindowRow(Struct, frozen=True):
    """One window of planned work, from `begins` to before `ends`.

    In one of a flexible maintenance it begins at the first failure and lasts for `lasts_after_failure` seconds.
    """

    name: str
    matchers: tuple[str, ...]
    begins: str
    ends: str
    comment: str
    lasts_after_failure: float | None


def silence_row(silence: Silence, at: Instant) -> SilenceRow:
    """A silence as it is at an instant."""
    state = "ended" if silence.ends <= at else "pending" if at < silence.begins else "active"
    return SilenceRow(
        id=silence.id,
        matchers=_texts(silence.matchers),
        state=state,
        begins=str(silence.begins),
        ends=str(silence.ends),
        author=silence.author,
        comment=silence.comment,
        expired_by=silence.expired_by,
    )


def labels_now(incident: Incident, configuration: Configuration) -> dict[str, str]:
    """The labels of an incident by the configuration in force; where its rule is gone, those that are its own."""
    for service in configuration.services:
        if service.name == incident.service:
            for rule in service.rules:
                if rule.name == incident.rule:
                    return dict(facts_of(incident, rule, service).labels)
    return {
        **dict(incident.series.labels),
        "service": incident.service,
        "check": incident.series.check,
        "metric": incident.series.metric,
        "rule": incident.rule,
        "severity": incident.severity,
    }


def preview_of(
    matchers: tuple[Matcher, ...],
    since: Instant,
    now: Iterable[IncidentRow],
    lately: Iterable[IncidentRow],
) -> SilencePreview:
    """What a set of matchers matches, as faces show it."""
    return SilencePreview(_texts(matchers), tuple(now), str(since), tuple(lately))


def window_rows(maintenances: Iterable[Maintenance], since: Instant, until: Instant, most: int) -> list[WindowRow]:
    """The windows of planned work that overlap [since, until), the first `most` of each, in order."""
    found: list[tuple[Instant, str, WindowRow]] = []
    for maintenance in maintenances:
        after = None if maintenance.after_failure is None else maintenance.after_failure / 1e9
        texts = _texts(maintenance.matchers)
        for _, (begins, ends) in zip(range(most), windows(maintenance, since, until), strict=False):
            row = WindowRow(maintenance.name, texts, str(begins), str(ends), maintenance.comment, after)
            found.append((begins, maintenance.name, row))
    return [row for _, _, row in sorted(found, key=lambda each: each[:2])]


def _texts(matchers: Iterable[Matcher]) -> tuple[str, ...]:
    return tuple(matcher_text(matcher) for matcher in matchers)

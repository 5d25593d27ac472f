"""Routing: which notices an incident's move causes, for whom, and which are held back.

Knows routes, matchers and what each group was told. Does not know channels behind their names, texts or sending.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2
from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.configuration import Matcher, MatchOperator, Route, Service
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Settled
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Facts, Held, Notice, Page, notice_key, thread_key
from service_monitoring.domain.rules import Rule, Severity


class Group(Struct, frozen=True):
    """What was told of one incident, and to whom. `sequence` counts its notices without holes; `held` holds them back.

    `recipients` are those of its route when it began; `told` those who were owed a notice of the open incident.
    """

    id: str
    incident: str
    route: str
    recipients: tuple[str, ...]
    told: tuple[str, ...] = ()
    sequence: int = 0
    held: Held | None = None
    ended: bool = False


def labels_of(incident: Incident, rule: Rule, service: Service) -> dict[str, str]:
    """The labels an incident is routed by: reserved ones, then the rule's over the series' over the service's."""
    series = incident.series
    return {
        **dict(service.labels),
        **dict(series.labels),
        **dict(rule.labels),
        "service": incident.service,
        "check": series.check,
        "metric": series.metric,
        "rule": incident.rule,
        "severity": incident.severity,
    }


def matches(matcher: Matcher, labels: dict[str, str]) -> bool:
    """Whether one matcher holds; an absent label is the empty string."""
    value = labels.get(matcher.label, "")
    match matcher.operator:
        case MatchOperator.EQUALS:
            return value == matcher.value
        case MatchOperator.DIFFERS:
            return value != matcher.value
        case MatchOperator.MATCHES:
            return _pattern(matcher.value).fullmatch(value) is not None
        case MatchOperator.MATCHES_NOT:
            return _pattern(matcher.value).fullmatch(value) is None


def first_match(routes: tuple[Route, ...], labels: dict[str, str]) -> Route | None:
    """The first route whose matchers all hold."""
    for route in routes:
        if all(matches(matcher, labels) for matcher in route.matchers):
            return route
    return None


def begin(
    incident: Incident, facts: Facts, routes: tuple[Route, ...], *, decided_at: Instant, held: Held | None
) -> tuple[Group, tuple[Notice, ...]]:
    """An incident opened: its group, with one notice for each recipient of its route, owed or held."""
    route = first_match(routes, dict(facts.labels))
    recipients = route.recipients if route is not None else ()
    group = Group(incident.id, incident.id, route.path if route is not None else "", recipients, held=held)
    return _tell(group, recipients, Page.FIRST, facts, decided_at)


def release(group: Group, facts: Facts, *, decided_at: Instant) -> tuple[Group, tuple[Notice, ...]]:
    """What held the group back is over and it is still breached: the recipients are told now."""
    return _tell(replace(group, held=None), group.recipients, Page.RELEASED, facts, decided_at)


def end(group: Group, incident: Incident, facts: Facts, *, decided_at: Instant) -> tuple[Group, tuple[Notice, ...]]:
    """The incident is over: those who were told of it are told of its end, nobody else."""
    page = Page.RECOVERED if incident.state is State.RESOLVED else Page.CLOSED
    return _tell(replace(group, held=None, ended=True), group.told, page, facts, decided_at)


def tell_owners(owners: tuple[str, ...], parked: Settled, *, decided_at: Instant) -> tuple[Notice, ...]:
    """A notice could not be delivered: the owners of the monitor hear of it by any other channel than that one.

    A notice to the owners that is parked itself tells nobody: it would go round in circles.
    """
    if parked.page is Page.OWNER:
        return ()
    facts = Facts(
        summary=f"a notice to {parked.channel} was given up: {parked.detail}",
        severity=Severity.CRITICAL,
        state="parked",
        labels=(("channel", parked.channel),),
    )
    group = Group(parked.notice, "", "self", tuple(owner for owner in owners if owner != parked.channel))
    return _tell(group, group.recipients, Page.OWNER, facts, decided_at)[1]


def facts_of(incident: Incident, rule: Rule, service: Service) -> Facts:
    """What a notice about this incident says; of one that is over, also why it was open: its last run says nothing."""
    evidence = incident.evidence
    if evidence.reason is None and incident.opened_reason is not None:
        evidence = replace(evidence, reason=incident.opened_reason, detail=incident.opened_detail)
    return Facts(
        summary=rule.summary,
        runbook=rule.runbook,
        incident=incident.id,
        service=incident.service,
        rule=incident.rule,
        series=incident.series,
        severity=incident.severity,
        state=incident.state,
        labels=tuple(sorted(labels_of(incident, rule, service).items())),
        breached_at=incident.breached_at,
        opened_at=incident.opened_at,
        ended_at=incident.ended_at,
        cause=incident.cause,
        evidence=evidence,
    )


def _tell(
    group: Group, recipients: tuple[str, ...], page: Page, facts: Facts, decided_at: Instant
) -> tuple[Group, tuple[Notice, ...]]:
    notices = tuple(
        Notice(
            key=notice_key(group.id, channel, page, number),
            thread=thread_key(group.id, channel),
            group=group.id,
            sequence=number,
            channel=channel,
            page=page,
            decided_at=decided_at,
            facts=facts,
            held=group.held,
        )
        for number, channel in enumerate(recipients, start=group.sequence + 1)
    )
    told = group.told if group.held is not None else tuple(dict.fromkeys((*group.told, *recipients)))
    return replace(group, sequence=group.sequence + len(notices), told=told), notices


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Any:
    return re2.compile(text)

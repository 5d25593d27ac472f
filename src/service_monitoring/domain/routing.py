"""Routing: by which routes an incident goes, with whom it shares notices, and what these say of it.

Knows the tree of routes, matchers and labels. Does not know what was told (`groups`), when something is told
(`dispatch`), channels behind their names, texts or sending.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.configuration import EVERY_LABEL, Route, Service
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.matchers import all_hold
from service_monitoring.domain.notices import Facts, Notice, Page, notice_key, thread_key
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Series

OWNERS: Final = "self"
"""The recipient of what concerns the monitor itself."""

Labels = tuple[tuple[str, str], ...]


_TOLD_TO_OWNERS: Final = {
    Delivery.PARKED: "was given up",
    Delivery.DELAYED: "has not arrived yet and is tried again",
}


def labels_of(series: Series, rule: Rule, service: Service, severity: Severity) -> dict[str, str]:
    """The labels an incident is routed by: reserved ones, then the rule's over the series' over the service's."""
    return {
        **dict(service.labels),
        **dict(series.labels),
        **dict(rule.labels),
        "service": rule.service,
        "check": series.check,
        "metric": series.metric,
        "rule": rule.name,
        "severity": severity,
    }


def matching(routes: tuple[Route, ...], labels: Mapping[str, str]) -> tuple[Route, ...]:
    """The routes that an incident goes by: the narrowest of the first that matches, and more where it proceeds."""
    found: list[Route] = []
    for route in routes:
        if all_hold(route.matchers, labels):
            found += matching(route.routes, labels) or (route,)
            if not route.proceed:
                break
    return tuple(found)


def shared(route: Route, labels: Mapping[str, str]) -> Labels:
    """The labels in which the incidents of a group agree, in order; one that they do not have is left out.

    Every label is all but the severity: an incident that gets worse is still the same, and told in the same thread.
    """
    names = labels.keys() - {"severity"} if EVERY_LABEL in route.group_by else route.group_by
    return tuple((name, labels[name]) for name in sorted(names) if labels.get(name))


def every(routes: Iterable[Route]) -> Iterator[Route]:
    """All routes of the tree, each before its narrower ones."""
    for route in routes:
        yield route
        yield from every(route.routes)


def facts_of_flapping(rule: Rule, service: Service, series: Series, what: str) -> Facts:
    """What a notice says of a series that flaps, or does so no more."""
    labels = labels_of(series, rule, service, rule.severity)
    return Facts(
        summary=f"{rule.id} on {series} {what}",
        service=rule.service,
        rule=rule.name,
        series=series,
        severity=rule.severity,
        state="flapping",
        labels=tuple(sorted(labels.items())),
    )


def tell_owners(owners: tuple[str, ...], outcome: Settled, *, decided_at: Instant) -> tuple[Notice, ...]:
    """A notice was parked or is delayed: the owners of the monitor hear of it by any other channel than that one.

    A notice to the owners that does not arrive itself tells nobody: it would go round in circles. Each of the two
    outcomes is told under keys of its own: whoever heard of a delay also hears of the end.
    """
    if outcome.page is Page.OWNER or outcome.delivery not in _TOLD_TO_OWNERS:
        return ()
    facts = Facts(
        summary=f"a notice to {outcome.channel} {_TOLD_TO_OWNERS[outcome.delivery]}: {outcome.detail}",
        severity=Severity.CRITICAL,
        state=outcome.delivery,
        labels=(("channel", outcome.channel),),
    )
    name = outcome.notice if outcome.delivery is Delivery.PARKED else f"{outcome.delivery} {outcome.notice}"
    others = [owner for owner in owners if owner != outcome.channel]
    return tuple(
        Notice(
            key=notice_key(name, OWNERS, owner, Page.OWNER, number),
            thread=thread_key(name, OWNERS, owner),
            group=name,
            sequence=number,
            recipient=OWNERS,
            channel=owner,
            page=Page.OWNER,
            decided_at=decided_at,
            facts=facts,
        )
        for number, owner in enumerate(others, start=1)
    )


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
        labels=tuple(sorted(labels_of(incident.series, rule, service, incident.severity).items())),
        breached_at=incident.breached_at,
        opened_at=incident.opened_at,
        ended_at=incident.ended_at,
        cause=incident.cause,
        evidence=evidence,
        taken_by=incident.acknowledged_by if incident.state is State.ACKNOWLEDGED else "",
    )

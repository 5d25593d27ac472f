"""Routing: which notices an incident's move causes, for whom, and which are held back.

Knows routes, matchers and what each group was told. Does not know channels behind their names, texts or sending.
"""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.configuration import Route, Service
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.matchers import all_hold
from service_monitoring.domain.notices import Facts, Held, Notice, Page, notice_key, thread_key
from service_monitoring.domain.parents import Wait
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Series


class Group(Struct, frozen=True):
    """What was told of one incident, and to whom. `sequence` counts its notices without holes; `held` holds them back.

    `recipients` are those of its route when it began; `told` those who were owed a notice of the open incident, and of
    which `severity`. While `awaits` names checks, the notices wait for a run of each of them, `until` then at most.
    What is told of a series that flaps is a group without an incident; `subject` is that rule and series.
    """

    id: str
    incident: str
    route: str
    recipients: tuple[str, ...]
    told: tuple[str, ...] = ()
    sequence: int = 0
    held: Held | None = None
    ended: bool = False
    severity: Severity = Severity.WARNING
    awaits: tuple[str, ...] = ()
    until: Instant | None = None
    subject: tuple[str, str, Series] | None = None


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


def first_match(routes: tuple[Route, ...], labels: dict[str, str]) -> Route | None:
    """The first route whose matchers all hold."""
    for route in routes:
        if all_hold(route.matchers, labels):
            return route
    return None


def begin(
    incident: Incident,
    facts: Facts,
    routes: tuple[Route, ...],
    *,
    decided_at: Instant,
    held: Held | None,
    wait: Wait | None = None,
) -> tuple[Group, tuple[Notice, ...]]:
    """An incident opened: its group, with one notice for each recipient of its route, owed or held."""
    route = first_match(routes, dict(facts.labels))
    recipients = route.recipients if route is not None else ()
    group = Group(
        id=incident.id,
        incident=incident.id,
        route=route.path if route is not None else "",
        recipients=recipients,
        held=held,
        severity=incident.severity,
        awaits=() if wait is None else wait.checks,
        until=None if wait is None else wait.until,
    )
    return _tell(group, recipients, Page.FIRST, facts, decided_at)


def rise(
    group: Group, incident: Incident, facts: Facts, routes: tuple[Route, ...], *, decided_at: Instant
) -> tuple[Group, tuple[Notice, ...]]:
    """The severity rose: it goes by the route of what it is now, and that route's recipients are told."""
    route = first_match(routes, dict(facts.labels))
    recipients = route.recipients if route is not None else ()
    path = route.path if route is not None else ""
    return _tell(
        replace(group, route=path, recipients=recipients, severity=incident.severity),
        recipients,
        Page.RAISED,
        facts,
        decided_at,
    )


def hold_back(group: Group, facts: Facts, held: Held, *, decided_at: Instant) -> tuple[Group, tuple[Notice, ...]]:
    """The reason for which the group is held back is another now."""
    changed = replace(group, held=held, awaits=(), until=None)
    return _tell(changed, group.recipients, Page.FIRST, facts, decided_at)


def release(group: Group, facts: Facts, *, decided_at: Instant) -> tuple[Group, tuple[Notice, ...]]:
    """What held the group back is over and it is still breached: the recipients are told now."""
    free = replace(group, held=None, awaits=(), until=None)
    return _tell(free, group.recipients, Page.RELEASED, facts, decided_at)


def end(
    group: Group, incident: Incident, facts: Facts, *, decided_at: Instant, held: Held | None = None
) -> tuple[Group, tuple[Notice, ...]]:
    """The incident is over: those who were told of it are told of its end, nobody else."""
    page = Page.RECOVERED if incident.state is State.RESOLVED else Page.CLOSED
    over = replace(group, held=held, awaits=(), until=None, ended=True)
    return _tell(over, group.told, page, facts, decided_at)


def flap(
    rule: Rule, service: Service, series: Series, routes: tuple[Route, ...], *, decided_at: Instant, percent: float
) -> tuple[Group, tuple[Notice, ...]]:
    """A series flaps: the recipients of its incidents are told so once, and what follows is held back."""
    facts = _facts_of_flapping(rule, service, series, f"changes its state too often ({percent:.0f} %)")
    route = first_match(routes, dict(facts.labels))
    recipients = route.recipients if route is not None else ()
    name = "\n".join(("flapping", rule.id, str(series), str(decided_at)))
    group = Group(
        id=hashlib.sha256(name.encode()).hexdigest()[:16],
        incident="",
        route=route.path if route is not None else "",
        recipients=recipients,
        severity=rule.severity,
        subject=(rule.service, rule.name, series),
    )
    return _tell(group, recipients, Page.FLAPPING, facts, decided_at)


def steady(
    group: Group, rule: Rule, service: Service, state: str, *, decided_at: Instant
) -> tuple[Group, tuple[Notice, ...]]:
    """The series flaps no more: those who were told that it does hear how it is."""
    assert group.subject is not None
    facts = _facts_of_flapping(rule, service, group.subject[2], f"is steady again: {state}")
    return _tell(replace(group, ended=True), group.told, Page.STEADY, facts, decided_at)


def _facts_of_flapping(rule: Rule, service: Service, series: Series, what: str) -> Facts:
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
    group = Group(name, "", "self", tuple(owner for owner in owners if owner != outcome.channel))
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
        labels=tuple(sorted(labels_of(incident.series, rule, service, incident.severity).items())),
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

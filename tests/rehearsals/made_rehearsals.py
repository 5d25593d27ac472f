"""Rehearsals out of thin air, for laws: incidents and notices in any mixture, without a course that decides them."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.domain import calendar, incidents
from service_monitoring.domain.configuration import Configuration, Person, QuietHours
from service_monitoring.domain.course import Decision
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import Cause, Incident, Move
from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.domain.notices import Held, Notice, Page, Withheld, notice_key, thread_key
from service_monitoring.domain.routing import facts_of
from service_monitoring.domain.rules import Lifecycle, Severity
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.testing.builders import START, a_configuration, a_rule, a_series, a_service

MINUTES = 3_000
"""A little more than two days."""

RULES = ("slow", "down", "idle")
RECIPIENTS = ("person.ada", "person.bo", "channel.ops")

_CONFIGURATION = replace(
    a_configuration(
        a_service(
            a_rule("slow"),
            a_rule("down", metric="up"),
            a_rule("idle", metric="load", state=Lifecycle.DRAFT),
            labels={"team": "web"},
        )
    ),
    people=(
        Person("ada", quiet=QuietHours(calendar.active_hours(None, "22:00-07:00", "Asia/Tokyo"))),
        Person("bo"),
    ),
)


def a_minute(number: int) -> Instant:
    return START.plus(Duration(number * MINUTE))


@st.composite
def rehearsals(draw: st.DrawFn, *, configuration: Configuration = _CONFIGURATION) -> Rehearsed:
    """Up to three rules with up to five incidents each, which do not overlap, and whatever is told of them."""
    decisions: list[tuple[Instant, Decision]] = []
    for rule in RULES:
        edges = sorted(draw(st.lists(st.integers(0, MINUTES - 1), max_size=10, unique=True)))
        for began, ended in zip(edges[::2], edges[1::2], strict=False):
            decisions += draw(an_episode(rule, began, ended, configuration))
    decisions.sort(key=lambda one: one[0])
    return Rehearsed(
        since=START,
        until=a_minute(MINUTES),
        warm=a_minute(draw(st.sampled_from((0, 0, 500)))),
        configuration=configuration,
        decisions=tuple(decision for _, decision in decisions),
        samples=MINUTES,
    )


@st.composite
def an_episode(
    draw: st.DrawFn, rule: str, began: int, ended: int, configuration: Configuration
) -> list[tuple[Instant, Decision]]:
    """An incident from its first breached sample to its end, or beyond the end of the rehearsal."""
    draft = rule == "idle"
    incident = incidents.begin(
        "shop",
        rule,
        a_series(rule),
        severity=Severity.WARNING,
        at=a_minute(began),
        cause=Cause.SAMPLE,
        evidence=Evidence(2.0),
        previous="",
        draft=draft,
    )
    made: list[tuple[Instant, Decision]] = [_moved(incident)]
    opened = draw(st.integers(began, ended))
    if draw(st.booleans()):
        incident = incidents.move(incident, Move.OPEN, at=a_minute(opened), cause=Cause.TIMER)
        made.append(_moved(incident))
        told = 0 if draft else draw(st.integers(0, 4))
        for number in range(told):
            at = a_minute(draw(st.integers(opened, ended)))
            made.append((at, _notice(draw, incident, at, number, configuration)))
        if draw(st.booleans()):
            made.append(_moved(incidents.move(incident, Move.RESOLVE, at=a_minute(ended), cause=Cause.SAMPLE)))
    return made


def _moved(incident: Incident) -> tuple[Instant, Decision]:
    return incident.changed_at, IncidentMoved(incident.changed_at, incident.changed_at, incident)


def _notice(draw: st.DrawFn, incident: Incident, at: Instant, number: int, configuration: Configuration) -> Notice:
    (service,) = configuration.services
    rule = next(each for each in service.rules if each.name == incident.rule)
    recipient = draw(st.sampled_from(RECIPIENTS))
    page = draw(st.sampled_from((Page.FIRST, Page.REPEATED, Page.ESCALATED, Page.RECOVERED)))
    held = draw(st.sampled_from((None, None, Held(Withheld.QUIET_HOURS, recipient), Held(Withheld.MUTED, "routes[0]"))))
    return Notice(
        key=notice_key(incident.id, recipient, "sms", page, number),
        thread=thread_key(incident.id, recipient, "sms"),
        group=incident.id,
        sequence=number,
        recipient=recipient,
        channel="sms",
        page=page,
        decided_at=at,
        facts=facts_of(incident, rule, service),
        held=held,
        news=(incident.id,) if draw(st.booleans()) else (),
    )

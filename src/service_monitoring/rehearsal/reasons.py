"""Reasons: why something is as it is at an instant of a rehearsed span, in sentences for people.

Asks the course and the memory of what was decided, and uses the words in which an explanation of live incidents is
given. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from service_monitoring.domain.course import Course
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Lifecycle
from service_monitoring.domain.standing import Standing
from service_monitoring.rehearsal.memory import Memory
from service_monitoring.views.because import (
    PAGES,
    cause_text,
    evidence_text,
    held_text,
    instant_text,
    length_text,
)
from service_monitoring.views.explain import explain
from service_monitoring.views.on_record import Past, names
from service_monitoring.views.wording import render_summary

_MOST: Final = 5
"""Series or incidents that one answer speaks of."""


class Reasons:
    """Why things are as they are at one instant."""

    def __init__(self, course: Course, memory: Memory, at: Instant) -> None:
        self._course = course
        self._memory = memory
        self._at = at

    def of_rule(self, rule: str) -> list[str]:
        """How a rule stands on its series."""
        service, _, name = rule.partition(".")
        policy = self._course.policy(service)
        standings = policy.standings(name)
        said = [standing_text(each, self._at) for each in standings[:_MOST]]
        if len(standings) > _MOST:
            said.append(f"and on {len(standings) - _MOST} more series")
        if not standings:
            configured = policy.rule(name)
            subject = f" of {service}.{configured.check}" if configured.check else ""
            said.append(f"{rule} has heard nothing: no sample{subject} has come")
        if policy.lifecycle(name) is Lifecycle.DRAFT:
            said.append(f"{rule} is a draft: nobody is told of it")
        return said

    def of_incidents(self, rule: str) -> list[str]:
        """Why a rule has no such incident: how those are that it has, and how it stands."""
        said = [
            f"{rule} is {each.state} ({each.severity}) since {instant_text(each.changed_at)}: {cause_text(each)}"
            for each in self._memory.incidents(rule)[-_MOST:]
        ]
        return said + self.of_rule(rule)

    def of_opening(self, incident: Incident) -> list[str]:
        """Why an incident is there."""
        opened = incident.opened_at or incident.breached_at
        why = evidence_text(incident.evidence)
        since = f"breached since {instant_text(incident.breached_at)}, open since {instant_text(opened)}"
        return [f"{since}{f': {why}' if why else ''}"]

    def of_notice(self, notice: Notice) -> list[str]:
        """Why a notice was decided, and what it says."""
        if notice.held is None:
            why = PAGES.get(notice.page, str(notice.page))
        else:
            record = next(iter(self._records(f"{notice.facts.service}.{notice.facts.rule}")), None)
            why = str(notice.held.reason) if record is None else held_text(notice.held, record)
        return [why, f"it says: {render_summary(notice.facts)}"]

    def told(self, rule: str, to: str) -> list[str]:
        """Whether somebody was told of a rule, or of anything, and why or why not, incident by incident."""
        said = [
            line
            for each in self._memory.incidents(rule)[-_MOST:]
            if each.state is not State.DROPPED
            for line in (f"{_rule_of(each)} ({each.state}): {self._standing(each, to)}", *self._ahead(each, to))
        ]
        return said or (self.of_rule(rule) if rule else ["there has been no incident"])

    def of_silence(self, rule: str, to: str) -> list[str]:
        """Why somebody was not told of a rule."""
        said = self.told(rule, to)
        if rule and not any(each.opened_at for each in self._memory.incidents(rule)):
            said = [f"{rule} has opened no incident", *self.of_rule(rule)]
        return said

    def _standing(self, incident: Incident, to: str) -> str:
        explanation = explain(self._memory.on_record(incident), self._at)
        for each in explanation.recipients:
            if each.recipient == to:
                state = f"{each.state} at {each.at}".replace(".000000000", "")
                return f"{names((to,))}: {state}: {each.because}"
        if incident.draft or incident.opened_at is None:
            return f"{names((to,))}: nobody is told of what is a draft, or has not opened"
        person = to.removeprefix("person.")
        if person != to:
            [standing] = explain(self._memory.on_record(incident), self._at, person=person).recipients
            return f"{names((to,))}: {standing.state}: {standing.because}"
        others = names(each.recipient for each in explanation.recipients)
        return f"{names((to,))}: no route that it goes by leads there, but to {others}"

    def _ahead(self, incident: Incident, to: str) -> list[str]:
        """What comes next of an incident for somebody, if nothing else happens."""
        lines = explain(self._memory.on_record(incident), self._at).ahead
        return [f"ahead, at {line.at}: {line.what}, because {line.because}" for line in lines if to in line.people][:1]

    def _records(self, rule: str) -> Iterator[Past]:
        for each in reversed(self._memory.incidents(rule)):
            yield Past(self._memory.on_record(each), self._at)


def _rule_of(incident: Incident) -> str:
    return f"{incident.service}.{incident.rule}"


def standing_text(standing: Standing, at: Instant) -> str:
    """`shop.down on shop/health/up is breached: the value was 0; for: 5s of 10s`."""
    stored = standing.stored
    said = [evidence_text(standing.evidence)]
    said += [
        f"{count.what}: {length_text(count.accrued)} of {length_text(count.needed)}" for count in standing.counts(at)
    ]
    said += [str(why).replace("_", " ") for why in standing.why(at)]
    due = standing.due()
    if due is not None:
        said.append(f"next asked at {instant_text(due[0])}")
    series = str(stored.series) if stored.series.check else "its members"
    because = "; ".join(part for part in said if part)
    return f"{stored.service}.{stored.rule} on {series} is {standing.verdict}" + (f": {because}" if because else "")

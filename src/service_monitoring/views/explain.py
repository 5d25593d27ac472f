"""Explain: who was or was not told of an incident, and the chain of reasons, at any instant.

Puts together what happened (`happened`) and what is due (`ahead`), and says of each recipient how it stands. A pure
function of what is on record: it decides nothing, and repeats no decision that is recorded.
"""

from __future__ import annotations

from typing import Final

from service_monitoring.domain.groups import Group
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.routing import OWNERS
from service_monitoring.errors import NotFound
from service_monitoring.views.ahead import Ahead
from service_monitoring.views.because import (
    PAGES,
    held_text,
    whom,
)
from service_monitoring.views.explanation import Explanation, Standing, place
from service_monitoring.views.happened import Happened
from service_monitoring.views.on_record import OnRecord, Past, names, sort_of

_ARRIVED: Final = frozenset({"delivered"})


def explain(record: OnRecord, at: Instant, *, person: str = "") -> Explanation:
    """The whole answer; `NotFound` for a person whom the configuration in force at that instant does not name."""
    past, person = Past(record, at), person.removeprefix("person.")
    people = [each.name for each in past.configuration.people]
    if person and person not in people:
        raise NotFound(f"there is no person {person}: there are {', '.join(sorted(people)) or 'none'}")
    recipients = _Recipients(past)
    who = f"person.{person}" if person else ""
    # Where the clock was set back, what was decided before may bear a later instant: it is not told as if it had been.
    lines = sorted((line for line in Happened(past).lines(who) if place(line) <= at.ns), key=place)
    ahead = sorted(Ahead(past).lines(), key=place)
    if who:
        lines = [line for line in lines if who in line.people]
        ahead = [line for line in ahead if who in line.people]
    incident = past.incident
    return Explanation(
        incident=record.incident.id,
        service=record.incident.service,
        rule=record.incident.rule,
        series=str(record.incident.series),
        state="not begun" if incident is None else str(incident.state),
        at=str(at),
        person=person,
        recipients=tuple(recipients.standing(each) for each in ([who] if who else recipients.recipients())),
        lines=tuple(lines),
        ahead=tuple(ahead),
    )


class _Recipients:
    """How those whom an incident concerns stood at an instant."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._at = past.at

    def recipients(self) -> list[str]:
        """Everybody who was told, was kept from it, or is led to by now: each once, in that order."""
        found = dict.fromkeys(each.notice.recipient for each in self._past.sent if each.notice.recipient != OWNERS)
        for group in self._past.groups:
            found |= dict.fromkeys(self._past.concerned(group))
            for step in group.route.steps:
                found |= dict.fromkeys(self._past.who(step.recipients))
        return list(found)

    def standing(self, who: str) -> Standing:
        """Whether somebody was told, and why or why not."""
        owed = [each for each in self._past.sent if each.notice.recipient == who and each.notice.held is None]
        arrived = [each for each in owed if self._past.became(each)[0] in _ARRIVED]
        last = self._past.last(who)
        if last is not None and (last.notice.held is None or arrived):
            best = arrived[-1] if arrived else last
            state, since, detail, held = self._past.became(best)
            why = PAGES.get(best.notice.page, str(best.notice.page))
            if state not in _ARRIVED:
                then = self._past.as_of(since)
                why = detail or "it has not been sent yet" if held is None else held_text(held, then)
            return Standing(who, bool(arrived), state, str(since), why)
        if last is not None and last.notice.held is not None:
            then = self._past.as_of(last.notice.decided_at)
            why = held_text(last.notice.held, then, route=self._past.route_of(last.notice))
            return Standing(who, False, "held", str(last.notice.decided_at), why)
        state, at, why = self._why_nothing(who)
        return Standing(who, False, state, str(at), why)

    def _why_nothing(self, who: str) -> tuple[str, Instant, str]:
        """Why nothing is on record for somebody: state, instant and sentence."""
        incident = self._past.incident
        if incident is None:
            return "not told", self._at, "it had not begun"
        if incident.draft:
            return "not told", self._at, "its rule is a draft, and nobody is told of drafts"
        if incident.opened_at is None:
            return "not told", self._at, f"it was {incident.state}, and had not opened"
        routes = self._past.groups or ()
        if not routes and not self._past.matched:
            return "not told", incident.opened_at, "no route matches it"
        for group in routes:
            found = self._why_not_by(group, who)
            if found is not None:
                return found
        return "not told", incident.opened_at, f"no route that it goes by leads to {names((who,))}"

    def _why_not_by(self, group: Group, who: str) -> tuple[str, Instant, str] | None:
        """Why a group has not told somebody; None where its route does not lead there."""
        steps = group.route.steps
        mine = [number for number, step in enumerate(steps) if self._past.leads_to(step.recipients, who)]
        if not mine:
            return None
        for taken in reversed(group.taken):
            if taken.at <= self._at and taken.number % len(steps) in mine and who not in taken.recipients:
                then = self._past.as_of(taken.at)
                wanted = steps[taken.number % len(steps)].recipients
                why = "; ".join(whom(then, each) for each in wanted if sort_of(each)[0] == "oncall")
                return "not on call", taken.at, f"at step {taken.number + 1} {why}"
        for number, due in self._past.steps_ahead(group):
            if number % len(steps) not in mine:
                continue
            said = f"step {number + 1} of {group.route.path}, which leads there, has not been reached"
            if due is not None:
                return "ahead", due, said
            since, why = Ahead(self._past).why_still(self._past.timer(group), group)
            return "ahead", since, f"{said}, and its clock does not run: {why}"
        at = group.began
        return "not told", at, f"the group of {group.route.path} had nothing to tell {names((who,))}"

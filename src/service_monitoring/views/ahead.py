"""What is due for an incident after an instant, if nothing else happens: flushes, steps, ends of what held it.

Knows what is on record (`on_record`) and the configuration in force at the instant. Decides nothing: what is foretold
is what the terms of routes and the clock say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from service_monitoring.domain.groups import Group, after
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import matcher_text
from service_monitoring.domain.notices import Page
from service_monitoring.views.because import (
    held_text,
    instant_text,
    length_text,
    to_whom,
    whom,
)
from service_monitoring.views.explanation import Line, first_flush, line
from service_monitoring.views.on_record import Past, Timer, names

MOST_AHEAD: Final = 20
"""Steps of one escalation that are foretold."""

_ENDS: Final = frozenset({"delivered", "parked", "withheld"})


class Ahead:
    """What would happen next."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._at = past.at

    def lines(self) -> Iterator[Line]:
        """What would happen if nothing else did."""
        incident = self._past.incident
        if incident is None or incident.draft:
            return
        if incident.state is State.PENDING:
            yield from self._opening(incident)
        until = self._past.taken_until
        if until is not None and until > self._at:
            why = f"the acknowledgement of {incident.acknowledged_by} expires"
            yield line(until, "expiry", "it is open again, unless it is over", why)
        for group in self._past.groups:
            if not self._past.is_over(group):
                yield from self._ahead_of(group, incident)
        yield from self._waiting()

    def _opening(self, incident: Incident) -> Iterator[Line]:
        found = self._past.rule
        if found is None:
            return
        due = incident.breached_at.plus(found[1].holds_for)
        why = f"it must be breached for {length_text(found[1].holds_for)} of observed time (`for`)"
        yield line(max(due, self._at), "opening", "it opens, if it stays breached", why)

    def _ahead_of(self, group: Group, incident: Incident) -> Iterator[Line]:
        flush = self._past.next_flush(group)
        if flush is not None and flush == self._past.first_flush(group) and flush >= self._at:
            yield first_flush(group, flush)
        elif flush is not None and flush > self._at:
            what = f"the group {group.id} tells what is new"
            why = (
                f"`group_interval` is {length_text(group.route.interval)}"
                if group.route.interval
                else ("it is looked at again what is still to be told")
            )
            yield line(flush, "flush", what, why, group=group.id)
        if incident.state in FINAL:
            return
        for recipient in self._past.concerned(group):
            yield from self._next_word(group, recipient, incident, flush)
        yield from self._next_steps(group)

    def _next_word(self, group: Group, who: str, incident: Incident, flush: Instant | None) -> Iterator[Line]:
        """When somebody who has not been told would be, and somebody who was would be told again."""
        last = self._past.last(who, group.id)
        if last is not None and last.notice.held is not None:
            held = last.notice.held
            end = self._past.end_of(held, group.route.path)
            when = _flush_at(group, flush, end) if end is not None else self._at
            what = f"{names((who,))} would be told, if it is still open"
            if end is None:
                what = f"{names((who,))} is told when that is over, if it is still open"
            why = held_text(held, self._past, route=group.route.path)
            yield line(when, "release", what, why, people=(who,), group=group.id, held=str(held.reason), by=held.by)
        elif last is not None and incident.state is State.OPEN and last.notice.page is not Page.FLAPPING:
            due = last.notice.decided_at.plus(group.route.repeat)
            why = f"`repeat_interval` is {length_text(group.route.repeat)}"
            what = f"{names((who,))} is told again, if it is still open"
            yield line(_flush_at(group, flush, due), "repeat", what, why, people=(who,), group=group.id)

    def _next_steps(self, group: Group) -> Iterator[Line]:
        timer = self._past.timer(group)
        for count, (number, due) in enumerate(self._past.steps_ahead(group)):
            if count == MOST_AHEAD:
                return
            step = group.route.steps[number % len(group.route.steps)]
            when = self._at if due is None or due < self._at else due
            then = self._past.foreseen(when)
            who = then.who(step.recipients)
            calls = f"step {number + 1} of {group.route.path} calls {names(who)}"
            why = "; ".join(whom(then, each) for each in step.recipients)
            if step.matchers:
                why += f"; only while {', '.join(map(matcher_text, step.matchers))} is open"
            if due is None:
                calls = f"step {number + 1} of {group.route.path} waits: its clock does not run"
                when, why = self.why_still(timer, group)
                why += self._left(timer, group, number)
            elif due < self._at:
                why += f"; it was due at {instant_text(due)}, and is asked again at each flush"
            else:
                held = then.why(group.route)
                why += "" if held is None else f"; but {held_text(held, then, route=group.route.path)}"
            yield line(when, "step_ahead", calls, why, people=who, group=group.id, step=number + 1)

    def why_still(self, timer: Timer | None, group: Group) -> tuple[Instant, str]:
        """Since when the clock of an escalation does not run, and why."""
        incident = self._past.incident
        assert incident is not None
        if timer is None or timer.stopped is None:
            held = [each.notice for each in self._past.sent if each.notice.group == group.id and each.notice.held]
            if not held or held[-1].held is None:
                return self._past.first_flush(group), "nobody need be called yet"
            return held[-1].decided_at, held_text(held[-1].held, self._past, route=group.route.path)
        if incident.state is State.ACKNOWLEDGED:
            until = self._past.taken_until
            ends = "it is over" if until is None else instant_text(until)
            return (
                timer.stopped,
                f"{incident.acknowledged_by} acknowledged it until {ends}, after it had run {_ran(timer)}",
            )
        return timer.stopped, f"nobody need be called, after it had run {_ran(timer)}"

    def _left(self, timer: Timer | None, group: Group, number: int) -> str:
        """When a step is due if the acknowledgement expires."""
        until = self._past.taken_until
        if until is None or timer is None or timer.stopped is None:
            return ""
        due = timer.started.plus(Duration(timer.paused + after(group.route, number)))
        return f"; it would be due at {instant_text(until.plus(due.since(timer.stopped)))}"

    def _waiting(self) -> Iterator[Line]:
        for sent in self._past.sent:
            state, since, detail, _ = self._past.became(sent)
            if sent.notice.held is not None or state in _ENDS:
                continue
            when = sent.due_at if sent.due_at is not None and sent.due_at > self._at else self._at
            what = f"the {sent.notice.page} notice to {to_whom(sent.notice)} is {state}"
            why = f"{detail or 'no attempt has ended yet'}, since {instant_text(since)}"
            more = {"people": (sent.notice.recipient,), "notice": sent.notice.key}
            yield line(when, "sending", what, why, state=state, group=sent.notice.group, **more)


def _ran(timer: Timer) -> str:
    """How long the clock of an escalation ran before it stopped."""
    assert timer.stopped is not None
    return length_text(Duration(timer.stopped.since(timer.started) - timer.paused))


def _flush_at(group: Group, flush: Instant | None, due: Instant) -> Instant:
    """The first flush at or after an instant."""
    if flush is None or flush >= due:
        return flush or due
    if not group.route.interval:
        return due
    apart = int(group.route.interval)
    return flush.plus(Duration(-(-due.since(flush) // apart) * apart))

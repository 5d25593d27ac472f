"""On record: what is known about an incident and who was told of it, and how all that stood at one instant.

Holds facts as the journal and the tables have them; answers questions about one instant as pure functions of them.
Does not know where facts are stored, nor how an answer is worded (`because`, `happened`, `ahead`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import calendar, groups, oncall
from service_monitoring.domain.configuration import Configuration, Person, Route, Service
from service_monitoring.domain.events import IncidentMoved, IncidentNoted, SeriesFlapped, SilenceMoved
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Act, Acted, Admitted, Delivery, Settled
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, flexible_window, in_maintenance, window_at
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.domain.rotas import Rota
from service_monitoring.domain.routing import labels_of, matching, shared
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.silences import Silence, next_end, silencing

_MOST_CHANGES: Final = 400
"""Of hours that are looked at for the end of a mute: a year of days has fewer."""


class Attempted(Struct, frozen=True):
    """One attempt of a notice, as it ended."""

    at: Instant
    outcome: str
    detail: str = ""


class Sent(Struct, frozen=True):
    """A notice with its attempts; `state` and `due_at` are those of the outbox now."""

    notice: Notice
    state: str = "owed"
    due_at: Instant | None = None
    attempts: tuple[Attempted, ...] = ()


class Outcome(Struct, frozen=True):
    """What became of a notice, as decisions learnt it."""

    at: Instant
    settled: Settled


class Revision(Struct, frozen=True):
    """This configuration was in force from an instant on."""

    at: Instant
    configuration: Configuration


class Gap(Struct, frozen=True):
    """Nobody watched from one instant to another; without an end, nobody does yet."""

    began: Instant
    ended: Instant | None
    cause: str


class OnRecord(Struct, frozen=True):
    """Everything on record that an explanation may need, each list in the order in which it was recorded.

    `groups` and `members` are those that the incident is or was in, with all members; `moves` are those of all members
    and of the incidents that held it back; `until` is when the acknowledgement expires that is in force now.
    """

    incident: Incident
    events: tuple[IncidentMoved | IncidentNoted | SeriesFlapped, ...] = ()
    moves: tuple[IncidentMoved, ...] = ()
    acts: tuple[Admitted, ...] = ()
    groups: tuple[Group, ...] = ()
    members: tuple[Member, ...] = ()
    sent: tuple[Sent, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    silences: tuple[SilenceMoved, ...] = ()
    revisions: tuple[Revision, ...] = ()
    gaps: tuple[Gap, ...] = ()
    until: Instant | None = None


class Timer(Struct, frozen=True):
    """The clock of an escalation: it stands still from `stopped` on, where that is an instant."""

    started: Instant
    paused: Duration
    stopped: Instant | None


def sort_of(recipient: str) -> tuple[str, str]:
    """`person.ada` is a person, ada."""
    sort, _, name = recipient.partition(".")
    return (sort, name) if name else ("", recipient)


def names(recipients: Iterable[str]) -> str:
    """Recipients in a sentence: `ada, the channel ops`."""
    said = {"person": "{}", "channel": "the channel {}", "oncall": "whoever is on call in {}"}
    parts = (said.get(sort, "{}").format(name) for sort, name in map(sort_of, recipients))
    return ", ".join(parts) or "nobody"


def rota_names(rota: Rota) -> frozenset[str]:
    """Everybody whom a rota may lead to."""
    return frozenset(
        (
            *(person for layer in rota.layers for person in layer.people),
            *(override.person for override in rota.overrides),
            *(name for swap in rota.swaps for name in (swap.person, swap.substitute)),
        )
    )


class Past:
    """How everything stood at one instant. What was decided after it is not seen."""

    def __init__(
        self, record: OnRecord, at: Instant, moves: Mapping[str, Sequence[IncidentMoved]] | None = None
    ) -> None:
        """`moves` are those of the record, by incident, where somebody has them in that order already."""
        self.record = record
        self.at = at
        self._moves_of = _by_incident(record.moves) if moves is None else moves

    def as_of(self, at: Instant) -> Past:
        """The same facts at another instant."""
        return Past(self.record, at, self._moves_of)

    def foreseen(self, at: Instant) -> Past:
        """A later instant as it was foreseen: with what was known here."""
        then = self.as_of(at)
        then.configuration, then.silences, then.moves = self.configuration, self.silences, self.moves
        return then

    # Incidents --------------------------------------------------------------------------------------------------------

    @cached_property
    def moves(self) -> tuple[IncidentMoved, ...]:
        """Those of the incident."""
        moves = (each for each in self.record.events if isinstance(each, IncidentMoved))
        return tuple(each for each in moves if each.decided_at <= self.at)

    @property
    def incident(self) -> Incident | None:
        """As it was; None before it began."""
        return self.moves[-1].incident if self.moves else None

    def other(self, id: str) -> Incident | None:
        """Another one as it was, or else as it became."""
        if id == self.record.incident.id:
            return self.incident
        moves = self._moves_of.get(id, ())
        before = [each for each in moves if each.decided_at <= self.at]
        return (before or moves)[-1].incident if moves else None

    @property
    def taken_until(self) -> Instant | None:
        """When the acknowledgement in force expires, if it does."""
        if self.incident is None or self.incident.state is not State.ACKNOWLEDGED:
            return None
        if self.record.until is not None and self.incident == self.record.incident:
            return self.record.until
        taken = [
            (each.stamp.at, each.input.expires_after)
            for each in self.record.acts
            if isinstance(each.input, Acted)
            and each.input.act in {Act.ACKNOWLEDGE, Act.SNOOZE}
            and each.stamp.at <= self.at
        ]
        return None if not taken or taken[-1][1] is None else taken[-1][0].plus(taken[-1][1])

    # The configuration ------------------------------------------------------------------------------------------------

    @cached_property
    def configuration(self) -> Configuration:
        """The revision in force; the oldest known where all that are known are younger."""
        known = self.record.revisions
        before = [each for each in known if each.at <= self.at]
        return (before[-1:] or known[:1] or (Revision(self.at, Configuration()),))[0].configuration

    @property
    def rule(self) -> tuple[Service, Rule] | None:
        """The incident's rule with its service; None where this revision has it no more."""
        wanted = (self.record.incident.service, self.record.incident.rule)
        for service in self.configuration.services:
            for rule in service.rules:
                if (service.name, rule.name) == wanted:
                    return service, rule
        return None

    @property
    def labels(self) -> dict[str, str]:
        """By which it is routed."""
        incident, found = self.incident or self.record.incident, self.rule
        if found is not None:
            return labels_of(incident.series, found[1], found[0], incident.severity)
        mine = [each for each in self.record.members if each.incident == incident.id]
        return dict(mine[-1].facts.labels) if mine else {}

    @property
    def matched(self) -> tuple[Route, ...]:
        """The routes that it goes by."""
        return matching(self.configuration.routes, self.labels)

    def person(self, recipient: str) -> Person | None:
        """Somebody, by `person.NAME`."""
        sort, name = sort_of(recipient)
        return next((each for each in self.configuration.people if sort == "person" and each.name == name), None)

    def rota(self, recipient: str) -> Rota | None:
        """A rota, by `oncall.NAME`."""
        sort, name = sort_of(recipient)
        return next((each for each in self.configuration.rotas if sort == "oncall" and each.name == name), None)

    def who(self, recipients: Iterable[str]) -> tuple[str, ...]:
        """People and channels that recipients led to, each once."""
        found: dict[str, None] = {}
        for recipient in recipients:
            rota = self.rota(recipient)
            if rota is not None:
                found |= dict.fromkeys(f"person.{person}" for person in oncall.who(rota, self.at))
            elif sort_of(recipient)[0] != "oncall":
                found[recipient] = None
        return tuple(found)

    def leads_to(self, recipients: Iterable[str], person: str) -> bool:
        """Whether these may lead to somebody, now or at another time."""
        rotas = (self.rota(recipient) for recipient in recipients)
        behind = any(rota is not None and sort_of(person)[1] in rota_names(rota) for rota in rotas)
        return person in recipients or (behind and sort_of(person)[0] == "person")

    # Groups -----------------------------------------------------------------------------------------------------------

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those that it was in by then, in the order of their beginning."""
        found = [group for group in self.record.groups if group.began <= self.at and self.joined(group) <= self.at]
        return tuple(sorted(found, key=lambda group: (group.began, group.route.path, group.id)))

    def joined(self, group: Group) -> Instant:
        """When the incident came into it: when it opened, rose or a revision came so that the group's route matched."""
        opened = self.record.incident.opened_at or group.began
        changes = [each.decided_at for each in self.record.events if isinstance(each, IncidentMoved)]
        changes += [each.at for each in self.record.revisions]
        for at in sorted({opened, group.began, *(each for each in changes if each >= opened)}):
            if at < max(opened, group.began):
                continue
            then = self.as_of(at)
            # A route that stood elsewhere in the file but said the same is the same.
            same = (
                each for each in then.matched if each.path == group.route.path or _terms(each) == _terms(group.route)
            )
            if any(shared(route, then.labels) == group.labels for route in same):
                return at
        return max(opened, group.began)

    def company(self, group: Group) -> tuple[Incident, ...]:
        """The other incidents that shared its notices by then: open while this one was in the group."""
        joined, found = self.joined(group), []
        for member in sorted(self.record.members, key=lambda each: each.joined):
            if member.group != group.id or member.incident == self.record.incident.id:
                continue
            other = self.other(member.incident)
            if other is None or other.opened_at is None or other.opened_at > self.at:
                continue
            if other.ended_at is None or other.ended_at > joined:
                found.append(other)
        return tuple(found)

    def is_current(self, group: Group) -> bool:
        """Whether nothing is known to have happened to a group since: what is stored of it is how it stood."""
        mine = {member.incident for member in self.record.members if member.group == group.id}
        moved = (each.decided_at for each in self.record.moves if each.incident.id in mine)
        told = (each.notice.decided_at for each in self.record.sent if each.notice.group == group.id)
        steps = (step.at for step in group.taken)
        started = () if group.started is None else (group.started,)
        return all(at <= self.at for at in (*moved, *told, *steps, *started))

    def timer(self, group: Group) -> Timer | None:
        """The clock of its escalation; None before the first notice."""
        if group.started is None or group.started > self.at:
            return None
        if self.is_current(group):
            return Timer(group.started, group.paused, group.stopped)
        mine = {member.incident for member in self.record.members if member.group == group.id}
        states: dict[str, State] = {}
        paused, stopped = 0, None
        for each in sorted(self.record.moves, key=lambda each: each.decided_at):
            if each.incident.id not in mine or each.decided_at > self.at:
                continue
            states[each.incident.id] = each.incident.state
            running = any(state is State.OPEN for state in states.values())
            if each.decided_at <= group.started:
                continue
            if running and stopped is not None:
                paused, stopped = paused + each.decided_at.since(stopped), None
            elif not running and stopped is None:
                stopped = each.decided_at
        return Timer(group.started, Duration(paused), stopped)

    def is_over(self, group: Group) -> bool:
        """Whether it tells nothing more."""
        return group.ended and self.is_current(group)

    def first_flush(self, group: Group) -> Instant:
        """When it was to tell for the first time: `wait` after it began, at once where that had passed for anybody."""
        mine = [member.incident for member in self.record.members if member.group == group.id]
        opened = [found.opened_at for id in mine if (found := self.other(id)) is not None and found.opened_at]
        over = min(opened, default=group.began).plus(group.route.wait) <= group.began
        return group.began if over else group.began.plus(group.route.wait)

    def next_flush(self, group: Group) -> Instant | None:
        """When it tells next what there is to tell; None where that is at once, or never."""
        first, wakes = self.first_flush(group), group.wakes if self.is_current(group) else None
        if self.is_over(group) or first > self.at:
            return None if self.is_over(group) else first
        if not group.route.interval:
            return group.due if self.is_current(group) and group.due is not None else wakes
        # Flushes that told nothing left no trace: what is stored is counted back.
        anchor, apart = group.due or first, int(group.route.interval)
        due = anchor.plus(Duration((self.at.since(anchor) // apart + 1) * apart))
        return due if wakes is None else min(due, wakes)

    def steps_ahead(self, group: Group) -> Iterator[tuple[int, Instant | None]]:
        """The numbers of the steps that are not taken, each with its due instant; None while the clock does not run."""
        timer, last = self.timer(group), len(group.route.steps) * group.route.rounds
        taken = {step.number for step in group.taken if step.at <= self.at}
        later = {step.number for step in group.taken if step.at > self.at}
        begin = group.next_step if self.is_current(group) else max(taken, default=-1) + 1
        for number in range(begin, last):
            after = groups.after(group.route, number)
            if timer is None:
                first = self.first_flush(group)
                yield number, first.plus(after) if first >= self.at else None
                continue
            due = timer.started.plus(Duration(timer.paused + after))
            if due <= self.at and not self.is_current(group) and number not in later:
                continue  # its matchers matched nothing that was open
            yield number, due if timer.stopped is None else None

    # Reasons ----------------------------------------------------------------------------------------------------------

    @cached_property
    def silences(self) -> tuple[Silence, ...]:
        """As they had been said by then."""
        found: dict[str, Silence] = {}
        for moved in self.record.silences:
            if moved.decided_at <= self.at:
                found[moved.silence.id] = moved.silence
        return tuple(found.values())

    def silence(self, id: str) -> Silence | None:
        """One of them, or as it was said later."""
        every = (*self.silences, *(moved.silence for moved in self.record.silences))
        return next((each for each in every if each.id == id), None)

    def why(self, route: Route) -> Held | None:
        """What holds its notices as far as the clock alone says: a silence, planned work, the hours of a route."""
        silence = silencing(self.silences, self.labels, self.at)
        if silence is not None:
            return Held(Withheld.SILENCED, silence.id)
        failed_at, works = self.record.incident.breached_at, self.configuration.maintenances
        planned = in_maintenance(works, self.labels, self.at, failed_at=failed_at)
        if planned is not None:
            return Held(Withheld.MAINTENANCE, planned.name)
        return Held(Withheld.MUTED, route.path) if _muted(route, self.at) else None

    def end_of(self, held: Held, route: str = "") -> Instant | None:
        """When a reason is over, where the clock alone says so."""
        match held.reason:
            case Withheld.SILENCED:
                silence = self.silence(held.by)
                return None if silence is None else next_end(self.silences, self.labels, self.at) or silence.ends
            case Withheld.MAINTENANCE:
                return self._end_of_work(held.by)
            case Withheld.ACKNOWLEDGED:
                return self.taken_until
            case Withheld.QUIET_HOURS:
                return self._end_of_quiet(held.by)
            case Withheld.MUTED:
                found = next((each.route for each in self.record.groups if each.route.path == (route or held.by)), None)
                return None if found is None else _unmuted(found, self.at)
            case _:
                return None

    def _end_of_quiet(self, recipient: str) -> Instant | None:
        person = self.person(recipient)
        if person is None or person.quiet is None or not calendar.is_active(person.quiet.hours, self.at):
            return self.at
        return calendar.next_change(person.quiet.hours, self.at)

    def _end_of_work(self, name: str) -> Instant | None:
        found: Maintenance | None = next((each for each in self.configuration.maintenances if each.name == name), None)
        window = None if found is None else window_at(found, self.at)
        if found is None or window is None:
            return None
        held = flexible_window(found, window, self.record.incident.breached_at)
        return None if held is None else held[1]

    # Notices ----------------------------------------------------------------------------------------------------------

    @property
    def sent(self) -> tuple[Sent, ...]:
        """What had been decided by then."""
        return tuple(each for each in self.record.sent if each.notice.decided_at <= self.at)

    def route_of(self, notice: Notice) -> str:
        """The path of the route by which a notice was decided; empty where it goes by none."""
        return next((group.route.path for group in self.record.groups if group.id == notice.group), "")

    def concerned(self, group: Group) -> tuple[str, ...]:
        """Everybody whom a group called, or had something to tell."""
        taken = (who for step in group.taken if step.at <= self.at for who in step.recipients)
        told = (each.notice.recipient for each in self.sent if each.notice.group == group.id)
        return tuple(dict.fromkeys((*taken, *told)))

    def last(self, who: str, group: str = "") -> Sent | None:
        """The last notice to somebody that was decided by then, owed or held: of one group, or of all."""
        mine = [
            each
            for each in self.sent
            if each.notice.recipient == who and each.notice.page is not Page.OWNER and group in {"", each.notice.group}
        ]
        return mine[-1] if mine else None

    def became(self, sent: Sent) -> tuple[str, Instant, str, Held | None]:
        """How a notice stood: its state, since when, the words of the far side, and what withheld it."""
        if sent.notice.held is not None:
            return "held", sent.notice.decided_at, "", sent.notice.held
        ends: list[tuple[Instant, str, str, Held | None]] = [
            (each.at, each.outcome, each.detail, None) for each in sent.attempts if not each.outcome.startswith("void")
        ]
        ends += [
            (each.at, str(each.settled.delivery), each.settled.detail, each.settled.held)
            for each in self.record.outcomes
            if each.settled.notice == sent.notice.key
        ]
        before = [each for each in ends if each[0] <= self.at]
        if not before:
            return "owed", sent.notice.decided_at, "", None
        at, state, detail, held = max(before, key=lambda each: (each[0], each[3] is not None))
        return ("waiting" if state == Delivery.DELAYED else state), at, detail, held


def _by_incident(moves: Iterable[IncidentMoved]) -> dict[str, list[IncidentMoved]]:
    found: dict[str, list[IncidentMoved]] = {}
    for each in moves:
        found.setdefault(each.incident.id, []).append(each)
    return found


def _terms(route: Route) -> Route:
    return replace(route, path="", routes=())


def _muted(route: Route, at: Instant) -> bool:
    return any(calendar.is_active(hours, at) for hours in route.muted) or (
        bool(route.active) and not any(calendar.is_active(hours, at) for hours in route.active)
    )


def _unmuted(route: Route, at: Instant) -> Instant | None:
    if not _muted(route, at):
        return at
    for _ in range(_MOST_CHANGES):
        changes = [change for hours in (*route.muted, *route.active) if (change := calendar.next_change(hours, at))]
        if not changes:
            return None
        at = min(changes)
        if not _muted(route, at):
            return at
    return None

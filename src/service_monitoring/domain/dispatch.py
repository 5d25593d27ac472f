"""The dispatch: from incidents that move to notices, group by group, each at its due instant.

Owns the groups of all routes, what holds an incident back, and their timers in the agenda. Does not judge (`policy`),
does not know parents of incidents (`parents`), what a flush says (`groups`), or how a notice travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import calendar, groups, oncall, routing
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import Configuration, Person, Route, Service
from service_monitoring.domain.groups import Flushed, Group, Labels, Member, Word
from service_monitoring.domain.incidents import FINAL
from service_monitoring.domain.inhibition import Inhibitor
from service_monitoring.domain.inputs import Delivery, Order, Settled
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, in_maintenance
from service_monitoring.domain.notices import Facts, Held, Notice, Page, Withheld, notice_key, thread_key
from service_monitoring.domain.parents import Wait
from service_monitoring.domain.rotas import Rota
from service_monitoring.domain.routing import facts_of_flapping, matching, shared
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Series
from service_monitoring.domain.silences import Silence, silencing
from service_monitoring.domain.tracks import Key

_FLUSH, _WAKE, _STEP = "flush", "wake", "step"
_ORDERS: Final = {_FLUSH: Order.FLUSH, _WAKE: Order.FLUSH, _STEP: Order.STEP}

Subject = tuple[str, str, Series]
"""Service, rule and series: what flaps."""


class Flap(Struct, frozen=True):
    """That a series flaps, and who was told so."""

    id: str
    subject: Subject
    told: tuple[str, ...] = ()
    sequence: int = 0
    ended: bool = False


class Told(Struct, frozen=True):
    """What is kept of notices: groups, their members, and what flaps; all of it, or what changed lately."""

    groups: tuple[Group, ...] = ()
    members: tuple[Member, ...] = ()
    flaps: tuple[Flap, ...] = ()


class Dispatch:
    """All groups of one machine.

    Single-threaded and synchronous; one writer at a time. Every method that takes `at` decides at that instant and
    returns the notices that follow, in order.
    """

    def __init__(self, agenda: Agenda[Key], silences: Callable[[], Iterable[Silence]] = tuple) -> None:
        """`silences` gives those that people made, as they are at the time of asking."""
        self._agenda = agenda
        self._silences = silences
        self._maintenances: tuple[Maintenance, ...] = ()
        self._routes: tuple[Route, ...] = ()
        self._people: dict[str, Person] = {}
        self._rotas: dict[str, Rota] = {}
        self._inhibitor = Inhibitor()
        self._groups: dict[str, Group] = {}
        self._members: dict[str, dict[str, Member]] = {}
        self._of: dict[str, dict[str, None]] = {}
        self._alive: dict[tuple[str, Labels], str] = {}
        self._blocked: dict[str, None] = {}
        self._flaps: dict[Subject, Flap] = {}
        self._postponed: dict[tuple[str, str], None] = {}
        self._late: dict[str, None] = {}
        self._changed: dict[str, Group] = {}
        self._moved: dict[tuple[str, str], Member] = {}
        self._flapped: dict[str, Flap] = {}

    # What it is asked -------------------------------------------------------------------------------------------------

    def blocked(self) -> Iterator[Member]:
        """The incidents that a parent or flapping holds back, by service, rule and series, each once."""
        yield from sorted((next(self._memberships(incident)) for incident in self._blocked), key=_subject)

    def holds_back(self) -> bool:
        """Whether there are any."""
        return bool(self._blocked)

    def member(self, incident: str) -> Member | None:
        """What is known of an incident in the first of its groups."""
        return next(self._memberships(incident), None)

    def flaps(self) -> tuple[Subject, ...]:
        """What flaps."""
        return tuple(self._flaps)

    def withheld(self, notice: Notice, at: Instant) -> Held | None:
        """Why a notice that is owed is not to be sent any more: what it tells is held, taken on or over by now."""
        group = self._groups.get(notice.group)
        if group is None or notice.page not in _CALLS:
            return None
        told = [m for m in self._members[group.id].values() if m.word(notice.recipient).by == notice.sequence]
        reasons = [self._why_not(group, member, at) for member in told]
        return reasons[0] if reasons and all(reasons) else None

    # What it is told --------------------------------------------------------------------------------------------------

    def configure(self, configuration: Configuration, at: Instant) -> list[Notice]:
        """These routes hold from now on. Open incidents go by them; what was told stays told.

        A route that stands elsewhere in the file but says the same is the same.
        """
        self._adopt(configuration)
        for incident in self._of:
            member = next(self._memberships(incident))
            if not member.over:
                self._inhibitor.note(incident, dict(member.facts.labels))
        stand = {route.path: route for route in routing.every(configuration.routes)}
        moved = {_said(route): route for route in reversed(list(stand.values()))}
        for group in list(self._groups.values()):
            same = moved.get(_said(group.route)) or stand.get(group.route.path)
            self._alive.pop((group.route.path, group.labels), None)
            if same is not None:
                self._keep(replace(group, route=replace(same, routes=())), at)
        self._alive = {(group.route.path, group.labels): id for id, group in self._groups.items()}
        notices: list[Notice] = []
        for incident in sorted(self._of):
            known = next(self._memberships(incident))
            if not known.over:
                self._place(known.facts, dict(known.facts.labels), at)
                for member in list(self._memberships(incident)):
                    self._set(replace(member, blocked=known.blocked, awaits=known.awaits, until=known.until))
                notices += self._look_at(incident, at)
        return notices

    def move(self, facts: Facts, at: Instant, *, blocked: Held | None = None, wait: Wait | None = None) -> list[Notice]:
        """An incident opened, rose, was taken on or given back, or is over: these are its facts now.

        `blocked` is why nobody is told of it until `free` or `block`; with `wait` its parents are asked again first.
        """
        incident, labels = facts.incident, dict(facts.labels)
        if facts.state in FINAL:
            self._inhibitor.forget(incident)
        else:
            self._inhibitor.note(incident, labels)
            self._place(facts, labels, at)
        for id in self._of.get(incident, ()):
            member = self._members[id][incident]
            asked = () if wait is None else wait.checks
            until = None if wait is None else wait.until
            self._set(replace(member, facts=facts, blocked=blocked, awaits=asked, until=until))
        return self._look_at(incident, at)

    def block(self, incident: str, why: Held, at: Instant) -> list[Notice]:
        """The reason for which it is held back is another one now, and no parent is waited for."""
        for id in self._of.get(incident, ()):
            self._set(replace(self._members[id][incident], blocked=why, awaits=(), until=None))
        return self._look_at(incident, at)

    def free(self, incident: str, at: Instant) -> list[Notice]:
        """Nothing holds it back any more: a group that has told nobody yet does so now, others at their next flush."""
        for id in self._of.get(incident, ()):
            self._set(replace(self._members[id][incident], blocked=None, awaits=(), until=None))
        return self._look_at(incident, at, freed=True)

    def await_only(self, incident: str, checks: tuple[str, ...]) -> None:
        """It waits for a run of these checks alone."""
        for id in self._of.get(incident, ()):
            self._set(replace(self._members[id][incident], awaits=checks))

    def fire(self, key: tuple[str, str], due: int, *, in_gap: bool) -> list[Notice]:
        """A timer of a group has come, at its due instant (ns). In a gap its end decides what was due."""
        self._agenda.cancel(key)
        if in_gap:
            self._postponed[key] = None
            return []
        id, what = key
        group = self._groups.get(id)
        if group is None:
            return []
        return self._flush(id, Instant(due), regular=what == _FLUSH)

    def sight(self, at: Instant, one_round: Duration) -> None:
        """A gap ends: what fell due in it is told once, after one round of checks."""
        postponed, self._postponed = self._postponed, {}
        then = at.plus(one_round)
        for id, what in postponed:
            group = self._groups.get(id)
            if group is None:
                continue
            self._late[id] = None
            if what == _FLUSH:
                self._keep(replace(group, due=then), at)
            elif what == _WAKE:
                self._keep(replace(group, wakes=then), at)
            else:
                self._agenda.book((id, _STEP), then.ns, Order.STEP)

    def shift(self, delta: Duration, at: Instant) -> None:
        """The wall clock stepped: what is waited for by elapsed time moves with it, quiet hours do not.

        The agenda is shifted by its owner.
        """
        for group in list(self._groups.values()):
            self._keep(
                replace(
                    group,
                    began=group.began.plus(delta),
                    due=None if group.due is None else group.due.plus(delta),
                    started=None if group.started is None else group.started.plus(delta),
                    stopped=None if group.stopped is None else group.stopped.plus(delta),
                    told_at=tuple((who, told.plus(delta)) for who, told in group.told_at),
                ),
                at,
            )
        for members in self._members.values():
            for member in list(members.values()):
                if member.until is not None:
                    self._set(replace(member, until=member.until.plus(delta)))

    def settled(self, settled: Settled, at: Instant) -> list[Notice]:
        """What became of a notice: who did not get it has not been told, and is told another way where there is one."""
        group = self._groups.get(settled.group)
        if group is None or settled.delivery is Delivery.DELIVERED:
            return []
        withheld = settled.delivery is Delivery.WITHHELD
        if not withheld and not self._has_more_contacts(group, settled.recipient):
            return []  # the owners hear of it; at the next flush the same channel would fail again
        for member in list(self._members[group.id].values()):
            word = member.word(settled.recipient)
            if word.by == settled.sequence and word.severity is not None:
                self._set(member.told(replace(word, severity=None, by=0, held=settled.held)))
        if withheld:
            return []
        failed = dict(group.failed)
        failed[settled.recipient] = failed.get(settled.recipient, 0) + 1
        self._keep(replace(group, failed=tuple(sorted(failed.items()))), at)
        return self._flush(group.id, at, regular=False)

    # Flapping ---------------------------------------------------------------------------------------------------------

    def flap(self, rule: Rule, service: Service, series: Series, at: Instant, *, percent: float) -> list[Notice]:
        """A series flaps: those who would hear of its incidents are told so once, and what follows is held back."""
        facts = facts_of_flapping(rule, service, series, f"changes its state too often ({percent:.0f} %)")
        routes = matching(self._routes, dict(facts.labels))
        steps = [route.steps[0].recipients for route in routes if route.steps]
        who = self.who((recipient for step in steps for recipient in step), at)
        name = "\n".join(("flapping", rule.id, str(series), str(at)))
        subject = (rule.service, rule.name, series)
        flap = Flap(hashlib.sha256(name.encode()).hexdigest()[:16], subject, who)
        self._flaps[subject] = flap
        return self._say(flap, Page.FLAPPING, facts, at)

    def steady(self, subject: Subject, facts: Facts | None, at: Instant) -> list[Notice]:
        """It flaps no more: who heard that it did hears how it is, and that counts as told. None: the rule is gone."""
        flap = self._flaps.pop(subject)
        ended = replace(flap, ended=True)
        for incident in sorted(self._blocked):
            for member in list(self._memberships(incident)):
                about = member.facts
                if (about.service, about.rule, about.series) != subject or not _flaps(member.blocked):
                    continue
                for who in flap.told:
                    member = member.told(Word(who, None if member.over else about.severity, 0))  # noqa: PLW2901
                self._set(replace(member, blocked=None))
                self._stand_in(member.group, flap.told, at)
        if facts is None:
            self._flapped[flap.id] = ended
            return []
        notices = self._say(ended, Page.STEADY, facts, at)
        for incident in sorted(incident for incident in self._of if self._is_about(incident, subject)):
            notices += self._look_at(incident, at, freed=True)
        return notices

    def _stand_in(self, id: str, told: Iterable[str], at: Instant) -> None:
        """The first step counts as taken by those who heard that it flaps: the escalation goes on from here."""
        group = self._groups[id]
        if group.started is None:
            taken = groups.Taken(0, at, tuple(told))
            heard = tuple((who, at) for who in told)
            self._keep(replace(group, started=at, taken=(taken,), next_step=1, told_at=heard), at)

    def _is_about(self, incident: str, subject: Subject) -> bool:
        facts = next(self._memberships(incident)).facts
        return (facts.service, facts.rule, facts.series) == subject

    def _say(self, flap: Flap, page: Page, facts: Facts, at: Instant) -> list[Notice]:
        notices = [
            Notice(
                key=notice_key(flap.id, who, (channel := self.channel(who, 0)), page, number),
                thread=thread_key(flap.id, who, channel),
                group=flap.id,
                sequence=number,
                recipient=who,
                channel=channel,
                page=page,
                decided_at=at,
                facts=facts,
            )
            for number, who in enumerate(flap.told, start=flap.sequence + 1)
        ]
        said = replace(flap, sequence=flap.sequence + len(notices))
        self._flapped[flap.id] = said
        if not said.ended:
            self._flaps[flap.subject] = said
        return notices

    # What is kept -----------------------------------------------------------------------------------------------------

    def revive(self, configuration: Configuration, told: Told) -> None:
        """Take over what was stored; `rebook` follows."""
        self._adopt(configuration)
        self._groups = {group.id: group for group in told.groups if not group.ended}
        self._members = {id: {} for id in self._groups}
        self._alive = {(group.route.path, group.labels): group.id for group in self._groups.values()}
        for member in sorted(told.members, key=lambda each: each.joined):
            if member.group not in self._groups or member.gone:
                continue
            self._members[member.group][member.incident] = member
            self._of.setdefault(member.incident, {})[member.group] = None
            if member.blocked is not None:
                self._blocked[member.incident] = None
            if not member.over:
                self._inhibitor.note(member.incident, dict(member.facts.labels))
        self._flaps = {flap.subject: flap for flap in told.flaps if not flap.ended}

    def rebook(self, at: Instant) -> None:
        """Book every timer anew; everything up to `at` is decided."""
        for group in self._groups.values():
            self._book(group, at)

    def take_changes(self) -> Told:
        """What changed since the last call, for the store."""
        changes = Told(tuple(self._changed.values()), tuple(self._moved.values()), tuple(self._flapped.values()))
        self._changed, self._moved, self._flapped = {}, {}, {}
        return changes

    @property
    def changed(self) -> bool:
        """Whether there is something to store."""
        return bool(self._changed or self._moved or self._flapped)

    # What a group asks ------------------------------------------------------------------------------------------------

    def why(self, group: Group, facts: Facts, at: Instant) -> Held | None:
        """Why nobody is told of an incident now, if there is a reason."""
        labels = dict(facts.labels)
        silence = silencing(self._silences(), labels, at)
        if silence is not None:
            return Held(Withheld.SILENCED, silence.id)
        planned = in_maintenance(self._maintenances, labels, at, failed_at=facts.breached_at)
        if planned is not None:
            return Held(Withheld.MAINTENANCE, planned.name)
        muting = self._inhibitor.muting(facts.incident, labels)
        if muting is not None:
            return Held(Withheld.INHIBITED, muting)
        hours = group.route
        if any(calendar.is_active(muted, at) for muted in hours.muted) or (
            hours.active and not any(calendar.is_active(active, at) for active in hours.active)
        ):
            return Held(Withheld.MUTED, hours.path)
        return None

    def who(self, recipients: Iterable[str], at: Instant) -> tuple[str, ...]:
        """People and channels that recipients lead to now, each once."""
        found: dict[str, None] = {}
        for recipient in recipients:
            sort, _, name = recipient.partition(".")
            rota = self._rotas.get(name) if sort == "oncall" else None
            if rota is not None:
                found |= dict.fromkeys(f"person.{person}" for person in oncall.who(rota, at))
            elif sort != "oncall":
                found[recipient] = None
        return tuple(found)

    def channel(self, recipient: str, failed: int) -> str:
        """Through what somebody is told, when so many of their contacts failed."""
        sort, _, name = recipient.partition(".")
        person = self._people.get(name) if sort == "person" else None
        if person is None or not person.contacts:
            return name
        return person.contacts[min(failed, len(person.contacts) - 1)]

    def quiet_until(self, recipient: str, severities: frozenset[Severity], at: Instant) -> Instant | None:
        """Until when somebody is left alone; None when they are not, or one of the severities is excepted."""
        sort, _, name = recipient.partition(".")
        person = self._people.get(name) if sort == "person" else None
        if person is None or person.quiet is None or severities.intersection(person.quiet.excepted):
            return None
        if not calendar.is_active(person.quiet.hours, at):
            return None
        return calendar.next_change(person.quiet.hours, at)

    # How it does it ---------------------------------------------------------------------------------------------------

    def _adopt(self, configuration: Configuration) -> None:
        self._routes = configuration.routes
        self._people = {person.name: person for person in configuration.people}
        self._maintenances = configuration.maintenances
        self._rotas = {rota.name: rota for rota in configuration.rotas}
        self._inhibitor = Inhibitor(configuration.inhibitions)

    def _memberships(self, incident: str) -> Iterator[Member]:
        for id in self._of.get(incident, ()):
            yield self._members[id][incident]

    def _place(self, facts: Facts, labels: Mapping[str, str], at: Instant) -> None:
        """Put an incident into the groups that it belongs to now, and take it out of others."""
        wanted = {(route.path, shared(route, labels)): route for route in matching(self._routes, labels)}
        mine = self._of.setdefault(facts.incident, {})
        for id in mine:
            group, member = self._groups[id], self._members[id][facts.incident]
            left = (group.route.path, group.labels) not in wanted
            wanted.pop((group.route.path, group.labels), None)
            if left is not member.left:
                self._set(replace(member, left=left))
        for (path, agreed), route in wanted.items():
            known = self._alive.get((path, agreed))
            group = self._groups[known] if known else groups.begin(route, agreed, facts.incident, at)
            group, member = groups.joined(group, facts, at)
            self._alive[path, agreed] = group.id
            self._members.setdefault(group.id, {})
            mine[group.id] = None
            self._set(member)
            self._keep(group, at)
        if not mine:
            del self._of[facts.incident]

    def _look_at(self, incident: str, at: Instant, *, freed: bool = False) -> list[Notice]:
        """Flush the groups of an incident that do not wait; others note whether anybody need be called."""
        notices: list[Notice] = []
        for id in tuple(self._of.get(incident, ())):
            group = self._groups[id]
            if not group.flushed:
                at_once = group.due is not None and group.due <= at
            else:
                at_once = not group.route.interval or (freed and group.started is None)
            if at_once:
                notices += self._flush(id, at, regular=not group.flushed or bool(group.route.interval))
            else:
                self._keep(groups.clocked(group, self._members[id].values(), at), at)
        return notices

    def _flush(self, id: str, at: Instant, *, regular: bool) -> list[Notice]:
        late = id in self._late
        self._late.pop(id, None)
        flushed = groups.flush(self._groups[id], self._members[id], self, at, regular=regular, latest_only=late)
        self._take(flushed, at)
        return list(flushed.notices)

    def _take(self, flushed: Flushed, at: Instant) -> None:
        for member in flushed.members:
            self._set(member)
        self._keep(flushed.group, at)

    def _set(self, member: Member) -> None:
        incident = member.incident
        self._moved[member.group, incident] = member
        if member.gone:
            self._members[member.group].pop(incident, None)
            mine = self._of.get(incident, {})
            mine.pop(member.group, None)
            if not mine:
                self._of.pop(incident, None)
        else:
            self._members[member.group][incident] = member
        if any(each.blocked for each in self._memberships(incident)):
            self._blocked[incident] = None
        else:
            self._blocked.pop(incident, None)

    def _keep(self, group: Group, at: Instant) -> None:
        self._changed[group.id] = group
        if group.ended:
            for what in _ORDERS:
                self._agenda.cancel((group.id, what))
            self._groups.pop(group.id, None)
            self._members.pop(group.id, None)
            if self._alive.get((group.route.path, group.labels)) == group.id:
                del self._alive[group.route.path, group.labels]
            return
        self._groups[group.id] = group
        self._book(group, at)

    def _book(self, group: Group, at: Instant) -> None:
        step = group.step_due
        if step is not None and step <= at:
            step = None  # it was due while everything was held: asked again at each flush
        for what, due in ((_FLUSH, group.due), (_WAKE, group.wakes), (_STEP, step)):
            key = (group.id, what)
            if due is None:
                self._agenda.cancel(key)
            else:
                self._agenda.book(key, due.ns, _ORDERS[what])

    def _why_not(self, group: Group, member: Member, at: Instant) -> Held | None:
        """Why it is not to be told any more. What is over meanwhile is told all the same: its end is told after it."""
        if member.over:
            return None
        if not member.wants:
            return Held(Withheld.ACKNOWLEDGED, member.facts.taken_by)
        return member.blocked or self.why(group, member.facts, at)

    def _has_more_contacts(self, group: Group, recipient: str) -> bool:
        failed = dict(group.failed).get(recipient, 0)
        person = self._people.get(recipient.removeprefix("person."))
        return recipient.startswith("person.") and person is not None and failed + 1 < len(person.contacts)


_CALLS: Final = frozenset({Page.FIRST, Page.RELEASED, Page.RAISED, Page.REPEATED, Page.ESCALATED})
"""Pages that call somebody: they are of no use once it is taken on, held or over."""


def _subject(member: Member) -> tuple[str, str, str]:
    return (member.facts.service, member.facts.rule, str(member.facts.series))


def _said(route: Route) -> Route:
    """A route as it would be anywhere in the file."""
    return replace(route, path="", routes=())


def _flaps(held: Held | None) -> bool:
    return held is not None and held.reason is Withheld.FLAPPING

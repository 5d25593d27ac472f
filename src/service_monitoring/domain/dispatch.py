"""The dispatch: from incidents that move to notices, group by group, each at its due instant.

Owns the groups of all routes and their timers in the agenda. Does not judge (`policy`), does not know parents of
incidents (`parents`), what a flush says (`flushes`), why something is held (`withholding`), or how a notice travels.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import flushes, groups, routing
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import Configuration, Route, Service
from service_monitoring.domain.flushes import Flushed
from service_monitoring.domain.groups import Group, Labels, Member, Word
from service_monitoring.domain.incidents import FINAL, State
from service_monitoring.domain.inputs import Delivery, Order, Settled
from service_monitoring.domain.instants import NANOSECOND, Duration, Instant
from service_monitoring.domain.notices import ENDS, Facts, Held, Notice, Page, Withheld, notice_key, thread_key
from service_monitoring.domain.parents import Wait
from service_monitoring.domain.routing import facts_of_flapping, matching, shared
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Series
from service_monitoring.domain.silences import Silence
from service_monitoring.domain.tracks import Key
from service_monitoring.domain.withholding import World

_K = TypeVar("_K")
_FLUSH, _WAKE, _STEP = "flush", "wake", "step"
_ORDERS: Final = {_FLUSH: Order.FLUSH, _WAKE: Order.FLUSH, _STEP: Order.STEP}

Subject = tuple[str, str, Series]
"""Service, rule and series: what flaps."""


class Flap(Struct, frozen=True):
    """That a series flaps, and who was told so. `facts` are what is said of it."""

    id: str
    subject: Subject
    told: tuple[str, ...] = ()
    sequence: int = 0
    ended: bool = False
    facts: Facts = Facts()


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
        self._world = World(silences)
        self._routes: tuple[Route, ...] = ()
        self._groups: dict[str, Group] = {}
        self._members: dict[str, dict[str, Member]] = {}
        self._of: dict[str, dict[str, None]] = {}
        self._alive: dict[tuple[str, Labels], str] = {}
        # How many members of each group somebody should hear of, and how many are not over.
        self._wanting: Counter[str] = Counter()
        self._living: Counter[str] = Counter()
        # Incidents by what is asked for: held back, by service; waiting for a check; of one series.
        self._blocked: dict[str, dict[str, None]] = {}
        self._awaiting: dict[str, dict[str, None]] = {}
        self._about: dict[Subject, dict[str, None]] = {}
        self._flaps: dict[Subject, Flap] = {}
        self._postponed: dict[tuple[str, str], None] = {}
        self._changed: dict[str, Group] = {}
        self._moved: dict[tuple[str, str], Member] = {}
        self._flapped: dict[str, Flap] = {}

    # What it is asked -------------------------------------------------------------------------------------------------

    def blocked(self, service: str | None = None) -> Iterator[Member]:
        """The incidents, of all services or one, that a parent or flapping holds back: by service, rule and series."""
        names = self._blocked if service is None else [service]
        yield from self._in_order(incident for name in names for incident in self._blocked.get(name, ()))

    def awaiting(self, check: str) -> Iterator[Member]:
        """Those of them that wait for a run of this check, as `service.check`, in the same order."""
        yield from self._in_order(self._awaiting.get(check, ()))

    def holds_back(self) -> bool:
        """Whether there are any."""
        return bool(self._blocked)

    def member(self, incident: str) -> Member | None:
        """What is known of an incident in one of its groups."""
        return next(self._memberships(incident), None)

    def flaps(self) -> tuple[Subject, ...]:
        """What flaps, in order."""
        return tuple(sorted(self._flaps, key=lambda subject: (subject[0], subject[1], str(subject[2]))))

    def withheld(self, notice: Notice, at: Instant) -> Held | None:
        """Why a notice that is owed is not to be sent now: all it is news of is held, or taken on, by now.

        One without news says again what its recipient knows.
        """
        if notice.page is Page.FLAPPING or notice.page in ENDS:
            about = [each for each in (notice.facts, *notice.others) if each.incident in notice.news] or [notice.facts]
            reasons = [self._world.why_by(_ANYWHERE, each, at) for each in about]
            return reasons[0] if all(reasons) else None
        group = self._groups.get(notice.group)
        if group is None or notice.page not in _CALLS:
            return None
        members = self._members[group.id]
        reason: Held | None = None
        told = (members[id] for id in notice.news if id in members)
        if not notice.news:
            told = (each for each in members.values() if each.word(notice.recipient).severity is not None)
        for member in told:
            why = self._why_not(group, member, at)
            if why is None:
                return None
            reason = reason or why
        return reason

    # What it is told --------------------------------------------------------------------------------------------------

    def configure(self, configuration: Configuration, at: Instant, strays: Iterable[Facts] = ()) -> list[Notice]:
        """These routes hold from now on. Open incidents go by them; what was told stays told.

        `strays` are open incidents that no route matched: they mute others, and are to be moved after this.
        A route that stands elsewhere in the file but says the same is the same.
        """
        before = self._routes
        self._adopt(configuration)
        for facts in strays:
            self._world.note(facts)
        for incident in self._of:
            member = next(self._memberships(incident))
            if not member.over:
                self._world.note(member.facts)
        successor = _successors(before, configuration.routes)
        self._alive = {}
        for group in sorted(self._groups.values(), key=lambda group: (not group.route.path, group.began, group.id)):
            route = successor(group.route)
            if route is None or (route.path, group.labels) in self._alive:
                route = replace(group.route, path="")
            else:
                self._alive[route.path, group.labels] = group.id
            self._keep(groups.revised(group, route, lambda recipients: self._world.who(recipients, at), at), at)
        incidents = sorted(self._of)
        for incident in incidents:
            known = next(self._memberships(incident))
            if not known.over:
                self._place(known.facts, dict(known.facts.labels), at)
                for member in list(self._memberships(incident)):
                    self._set(replace(member, blocked=known.blocked, awaits=known.awaits, until=known.until))
        # A group may be flushed at once: when all that belongs to it is in it.
        return [notice for incident in incidents for notice in self._look_at(incident, at)]

    def move(self, facts: Facts, at: Instant, *, blocked: Held | None = None, wait: Wait | None = None) -> list[Notice]:
        """An incident opened, rose, was taken on or given back, or is over: these are its facts now.

        `blocked` is why nobody is told of it until `free` or `block`; with `wait` its parents are asked again first.
        """
        incident, labels = facts.incident, dict(facts.labels)
        if facts.state in FINAL:
            self._world.forget(incident)
        else:
            self._world.note(facts)
            self._place(facts, labels, at)
        for id in self._of.get(incident, ()):
            member = self._members[id][incident]
            asked = () if wait is None else wait.checks
            until = None if wait is None else wait.until
            self._set(replace(member, facts=facts, blocked=blocked, awaits=asked, until=until))
        return self._announce_late(facts, at) + self._look_at(incident, at)

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
            if group is not None:
                due = then if what == _FLUSH else group.due
                self._keep(replace(group, due=due, wakes=None if what == _WAKE else group.wakes, late=then), at)

    def shift(self, delta: Duration, at: Instant) -> None:
        """The wall clock stepped: what is waited for by elapsed time moves with it, quiet hours do not.

        The agenda is shifted by its owner.
        """
        for group in list(self._groups.values()):
            self._keep(
                replace(
                    group,
                    began=group.began.plus(delta),
                    due=_shifted(group.due, delta),
                    late=_shifted(group.late, delta),
                    started=_shifted(group.started, delta),
                    stopped=_shifted(group.stopped, delta),
                    taken=tuple(replace(step, at=step.at.plus(delta)) for step in group.taken),
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
        if settled.delivery is Delivery.DELIVERED:
            return []
        if group is None:
            self._unsay_flapping(settled)
            return []
        if settled.delivery is Delivery.WITHHELD:
            if not self._unsay(group, settled):
                self._repeat_soon(group, settled, at)
            # Where there is no interval nobody would look at it again.
            return [] if group.route.interval else self._flush(group.id, at, regular=False)
        failed = dict(group.failed)
        count = failed.get(settled.recipient, 0)
        is_current = self._world.channel(settled.recipient, count) == settled.channel
        if is_current and not self._world.has_more_contacts(settled.recipient, count):
            return []  # the owners hear of it; at the next flush the same channel would fail again
        unsaid = self._unsay(group, settled)
        if is_current:
            failed[settled.recipient] = count + 1
            self._keep(replace(group, failed=tuple(sorted(failed.items()))), at)
        elif not unsaid:
            return []  # it was said by another contact already
        anew = settled.recipient if not unsaid and settled.page in _AGAIN else ""
        return self._flush(group.id, at, regular=False, anew=anew)

    def _unsay(self, group: Group, settled: Settled) -> bool:
        """What a notice said was not heard. Whether it said anything that is not known since by another."""
        unsaid = False
        for member in list(self._members[group.id].values()):
            word = member.word(settled.recipient)
            if word.by == settled.sequence and word.severity is not None:
                unsaid = True
                self._set(member.told(replace(word, severity=None, by=0, held=settled.held)))
        return unsaid

    def _repeat_soon(self, group: Group, settled: Settled, at: Instant) -> None:
        """A notice that said again what is known was not sent: it is due at the first flush that may tell it."""
        if settled.page in _AGAIN:
            due = at.plus(Duration(-group.route.repeat))
            told_at = tuple((who, due if who == settled.recipient else told) for who, told in group.told_at)
            self._keep(replace(group, told_at=told_at), at)

    # Flapping ---------------------------------------------------------------------------------------------------------

    def flap(self, rule: Rule, service: Service, series: Series, at: Instant, *, percent: float) -> list[Notice]:
        """A series flaps: those who would hear of its incidents are told so once, and what follows is held back."""
        facts = facts_of_flapping(rule, service, series, f"changes its state too often ({percent:.0f} %)")
        name = "\n".join(("flapping", rule.id, str(series), str(at)))
        flap = Flap(hashlib.sha256(name.encode()).hexdigest()[:16], (rule.service, rule.name, series), facts=facts)
        return self._say(flap, Page.FLAPPING, facts, self._who_hears(facts, at), at)

    def _announce_late(self, facts: Facts, at: Instant) -> list[Notice]:
        """What flaps while nobody may be told is told with its first move after that."""
        if not self._flaps or facts.series is None:
            return []
        flap = self._flaps.get((facts.service, facts.rule, facts.series))
        if flap is None or flap.told:
            return []
        free = {who: why for who, why in self._who_hears(flap.facts, at).items() if why is None}
        return self._say(flap, Page.FLAPPING, flap.facts, free, at)

    def _who_hears(self, facts: Facts, at: Instant) -> dict[str, Held | None]:
        """Whom the first steps lead to, and why they are not told by any route, where there is a reason."""
        found: dict[str, Held | None] = {}
        for route in matching(self._routes, dict(facts.labels)):
            why = self._world.why_by(route, facts, at)
            for who in self._world.who(route.steps[0].recipients if route.steps else (), at):
                if found.get(who, why) is not None or who not in found:
                    found[who] = why or self._leaves_alone(who, facts, at)
        return found

    def _leaves_alone(self, who: str, facts: Facts, at: Instant) -> Held | None:
        quiet = self._world.quiet_until(who, frozenset({facts.severity}), at)
        return None if quiet is None else Held(Withheld.QUIET_HOURS, who)

    def _unsay_flapping(self, settled: Settled) -> None:
        for flap in self._flaps.values():
            if flap.id == settled.group and settled.delivery is Delivery.WITHHELD:
                told = tuple(who for who in flap.told if who != settled.recipient)
                self._flaps[flap.subject] = self._flapped[flap.id] = replace(flap, told=told)
                return

    def steady(self, subject: Subject, facts: Facts | None, at: Instant) -> list[Notice]:
        """It flaps no more: who heard that it did hears how it is, and that counts as told. None: the rule is gone."""
        flap = self._flaps.pop(subject)
        hears = {} if facts is None else {who: self._why_not_steady(who, facts, at) for who in flap.told}
        told = flap.told if facts is None else tuple(who for who, why in hears.items() if why is None)
        about = sorted(self._about.get(subject, ()))
        for incident in about:
            for member in [each for each in self._memberships(incident) if _flaps(each.blocked)]:
                known = member
                for who in told:
                    known = known.told(Word(who, None if member.over else member.facts.severity, 0))
                self._set(replace(known, blocked=None))
                if told:
                    self._stand_in(member.group, told, at)
        flap = replace(flap, ended=True)
        if facts is None:
            self._flapped[flap.id] = flap
            return []
        notices = self._say(flap, Page.STEADY, facts, hears, at)
        for incident in about:
            notices += self._look_at(incident, at, freed=True)
        return notices

    def _why_not_steady(self, who: str, facts: Facts, at: Instant) -> Held | None:
        return self._world.why_by(_ANYWHERE, facts, at) or self._leaves_alone(who, facts, at)

    def _stand_in(self, id: str, told: Iterable[str], at: Instant) -> None:
        """The first step counts as taken by those who heard that it flaps: the escalation goes on from here."""
        group = self._groups[id]
        if group.started is None:
            taken = groups.Taken(0, at, tuple(told))
            heard = tuple((who, at) for who in told)
            self._keep(replace(group, started=at, taken=(taken,), next_step=1, told_at=heard), at)

    def _say(self, flap: Flap, page: Page, facts: Facts, hears: Mapping[str, Held | None], at: Instant) -> list[Notice]:
        notices = [
            Notice(
                key=notice_key(flap.id, who, (channel := self._world.channel(who, 0)), page, number),
                thread=thread_key(flap.id, who, channel),
                group=flap.id,
                sequence=number,
                recipient=who,
                channel=channel,
                page=page,
                decided_at=at,
                facts=facts,
                held=why,
            )
            for number, (who, why) in enumerate(hears.items(), start=flap.sequence + 1)
        ]
        said = replace(flap, sequence=flap.sequence + len(notices))
        if not said.ended:
            said = replace(said, told=(*said.told, *(who for who, why in hears.items() if why is None)))
            self._flaps[flap.subject] = said
        self._flapped[flap.id] = said
        return notices

    # What is kept -----------------------------------------------------------------------------------------------------

    def revive(self, configuration: Configuration, told: Told, strays: Iterable[Facts] = ()) -> None:
        """Take over what was stored, and the open incidents that no route matches; `rebook` follows."""
        self._adopt(configuration)
        for facts in strays:
            self._world.note(facts)
        self._groups = {group.id: group for group in told.groups if not group.ended}
        self._members = {id: {} for id in self._groups}
        self._alive = {(group.route.path, group.labels): group.id for group in self._groups.values()}
        for member in sorted(told.members, key=lambda each: each.joined):
            if member.group in self._groups and not member.gone:
                self._of.setdefault(member.incident, {})[member.group] = None
                self._set(member)
                if not member.over:
                    self._world.note(member.facts)
        self._moved = {}
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

    # How it does it ---------------------------------------------------------------------------------------------------

    def _adopt(self, configuration: Configuration) -> None:
        self._routes = configuration.routes
        self._world.configure(configuration)

    def _memberships(self, incident: str) -> Iterator[Member]:
        for id in sorted(self._of.get(incident, ())):
            yield self._members[id][incident]

    def _in_order(self, incidents: Iterable[str]) -> list[Member]:
        return sorted((next(self._memberships(incident)) for incident in incidents), key=_place_of)

    def _place(self, facts: Facts, labels: Mapping[str, str], at: Instant) -> None:
        """Put an incident into the groups that it belongs to now, and take it out of others."""
        wanted = {(route.path, shared(route, labels)): route for route in matching(self._routes, labels)}
        mine = self._of.setdefault(facts.incident, {})
        known_here = bool(mine)
        for id in mine:
            group, member = self._groups[id], self._members[id][facts.incident]
            left = (group.route.path, group.labels) not in wanted
            wanted.pop((group.route.path, group.labels), None)
            if left is not member.left:
                self._set(replace(member, left=left))
        for (path, agreed), route in wanted.items():
            known = self._alive.get((path, agreed))
            # A wall clock that was set back may show the same instant, or an earlier one, than when it opened.
            again = () if facts.opened_at == at and not known_here else (at,)
            group = self._groups[known] if known else groups.begin(route, agreed, facts, at, *again)
            group, member = groups.joined(group, facts, self._living[group.id], at)
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
        for id in sorted(self._of.get(incident, ())):
            group = self._groups[id]
            if not group.flushed:
                at_once = group.due is not None and group.due <= at
            else:
                at_once = not group.route.interval or (freed and group.started is None)
            if at_once:
                notices += self._flush(id, at, regular=not group.flushed or bool(group.route.interval))
            else:
                self._keep(groups.clocked(group, self._wanting[id], at), at)
        return notices

    def _flush(self, id: str, at: Instant, *, regular: bool, anew: str = "") -> list[Notice]:
        flushed = flushes.flush(self._groups[id], self._members[id], self._world, at, regular=regular, anew=anew)
        self._take(flushed, at)
        return list(flushed.notices)

    def _take(self, flushed: Flushed, at: Instant) -> None:
        for member in flushed.members:
            self._set(member)
        # A step that is due now and was not taken is asked for again at the next flush, not at this one's instant.
        self._keep(flushed.group, at.plus(NANOSECOND))

    def _set(self, member: Member) -> None:
        incident, group = member.incident, member.group
        before = self._members[group].pop(incident, None) if member.gone else self._members[group].get(incident)
        if before is not None:
            self._count(before, -1)
        self._moved[group, incident] = member
        if member.gone:
            mine = self._of.get(incident, {})
            mine.pop(group, None)
            if not mine:
                self._of.pop(incident, None)
        else:
            self._members[group][incident] = member
            self._count(member, 1)
        self._index(member, before)

    def _count(self, member: Member, one: int) -> None:
        self._wanting[member.group] += one * member.wants
        self._living[member.group] += one * (not member.over and not member.left)

    def _index(self, member: Member, before: Member | None) -> None:
        """Find an incident again by what may be asked of it."""
        incident, facts = member.incident, member.facts
        for check in () if before is None else before.awaits:
            if not any(check in each.awaits for each in self._memberships(incident)):
                _drop(self._awaiting, check, incident)
        for check in member.awaits:
            self._awaiting.setdefault(check, {})[incident] = None
        if any(each.blocked for each in self._memberships(incident)):
            self._blocked.setdefault(facts.service, {})[incident] = None
        else:
            _drop(self._blocked, facts.service, incident)
        if facts.series is not None:
            subject = (facts.service, facts.rule, facts.series)
            if incident in self._of:
                self._about.setdefault(subject, {})[incident] = None
            else:
                _drop(self._about, subject, incident)

    def _keep(self, group: Group, at: Instant) -> None:
        self._changed[group.id] = group
        if group.ended:
            for what in _ORDERS:
                self._agenda.cancel((group.id, what))
            self._groups.pop(group.id, None)
            self._members.pop(group.id, None)
            self._wanting.pop(group.id, None)
            self._living.pop(group.id, None)
            if self._alive.get((group.route.path, group.labels)) == group.id:
                del self._alive[group.route.path, group.labels]
            return
        self._groups[group.id] = group
        self._book(group, at)

    def _book(self, group: Group, at: Instant) -> None:
        step = group.step_due
        if step is not None and step < at:
            step = None  # it was due while everything was held: asked again at each flush
        wakes = min((each for each in (group.wakes, group.late) if each is not None), default=None)
        for what, due in ((_FLUSH, group.due), (_WAKE, wakes), (_STEP, step)):
            key = (group.id, what)
            if due is None:
                self._agenda.cancel(key)
            else:
                self._agenda.book(key, due.ns, _ORDERS[what])

    def _why_not(self, group: Group, member: Member, at: Instant) -> Held | None:
        """Why it is not to be told any more. What is over meanwhile is told all the same: its end is told after it."""
        if member.facts.state == State.ACKNOWLEDGED:
            return Held(Withheld.ACKNOWLEDGED, member.facts.taken_by)
        return member.blocked or self._world.why(group, member.facts, at)


_CALLS: Final = frozenset({Page.FIRST, Page.RELEASED, Page.RAISED, Page.REPEATED, Page.ESCALATED})
"""Pages that call somebody: they are of no use once it is taken on or held."""

_AGAIN: Final = frozenset({Page.REPEATED, Page.ESCALATED})
"""Pages that may say nothing new."""

_ANYWHERE: Final = Route("")
"""A route without hours of its own."""


def _successors(before: Iterable[Route], after: Iterable[Route]) -> Callable[[Route], Route | None]:
    """Which route of a new revision goes on with the groups of one before; None where it was removed.

    It is the same where it stands and says the same; else where it says the same elsewhere; else what stands in its
    place, with other words, unless that stood elsewhere before.
    """
    said_before = {_said(route) for route in routing.every(before)}
    stand = {route.path: route for route in routing.every(after)}
    moved = {_said(route): route for route in reversed(list(stand.values()))}

    def successor(route: Route) -> Route | None:
        said, here = _said(route), stand.get(route.path)
        if here is not None and _said(here) == said:
            return here
        return moved.get(said) or (None if here is None or _said(here) in said_before else here)

    return successor


def _said(route: Route) -> Route:
    """A route as it would be anywhere in the file."""
    return replace(route, path="", routes=())


def _place_of(member: Member) -> tuple[str, str, str]:
    return (member.facts.service, member.facts.rule, str(member.facts.series))


def _shifted(at: Instant | None, delta: Duration) -> Instant | None:
    return None if at is None else at.plus(delta)


def _flaps(held: Held | None) -> bool:
    return held is not None and held.reason is Withheld.FLAPPING


def _drop(index: dict[_K, dict[str, None]], key: _K, incident: str) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(incident, None)
        if not found:
            del index[key]

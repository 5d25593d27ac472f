"""The course: the chain from an input or a due timer to events and notices, in the one order there is.

It alone holds the order of inputs and timers and every hand-over from policy to incident and routing. Both drivers,
the live one and the rehearsal, step it; neither knows what follows what. It does not know what time it is, how an
input came, or where its decisions go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import parents, routing
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.composites import Labels, composites_of, members_of, together
from service_monitoring.domain.configuration import Configuration, Service, judged_metrics, reach_of, refuse_twins
from service_monitoring.domain.events import Event, IncidentMoved, RuleMoved, SeriesFlapped
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapEnded,
    Input,
    Marked,
    Observed,
    Order,
    Pinged,
    Pushed,
    Requeued,
    Retired,
    Settled,
    Stamp,
    Stepped,
    Taken,
)
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.notices import Facts, Held, Notice, Withheld
from service_monitoring.domain.parents import Wait
from service_monitoring.domain.policy import MonitoringPolicy
from service_monitoring.domain.recollections import Recollection
from service_monitoring.domain.routing import Group
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.samples import Outcome, Series
from service_monitoring.domain.strategies import Composite
from service_monitoring.domain.tracks import HoldKey, Key
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import Reach
from service_monitoring.errors import Refused

Decision = Event | Notice


class Ruling(Struct, frozen=True):
    """What a step decided, in order, each with its stamp; `refusal` says why the input was not taken.

    `taken` says what becomes of each sample that was pushed. `wants` are checks, as `service.check`, that should be run
    at once: the decision waits for them, but not for ever.
    """

    decisions: tuple[tuple[Stamp, Decision], ...]
    refusal: str = ""
    taken: tuple[Taken, ...] = ()
    wants: tuple[str, ...] = ()


class Progress(Struct, frozen=True):
    """What the course itself keeps: everything up to `judged` is decided.

    `shifts` are the wall-clock steps that began each epoch; `retired` the rules, as (service, rule), that a person
    retired and that the configuration still names.
    """

    judged: Stamp
    shifts: tuple[tuple[int, Duration], ...] = ()
    retired: tuple[tuple[str, str], ...] = ()


class Changes(Struct, frozen=True):
    """What is to be stored since it was asked last; `touched` are the services whose state changed."""

    progress: Progress
    touched: tuple[str, ...]
    holds: tuple[StoredHold, ...]
    forgotten: tuple[HoldKey, ...]
    incidents: tuple[Incident, ...]
    groups: tuple[Group, ...]
    jobs: tuple[StoredJob, ...] = ()


_ORDERS: Final[dict[type[Input], Order]] = {
    Acted: Order.PERSON,
    Retired: Order.PERSON,
    Requeued: Order.PERSON,
    Configured: Order.CONFIGURATION,
    Stepped: Order.CONFIGURATION,
    Observed: Order.OBSERVATION,
    Pinged: Order.OBSERVATION,
    Pushed: Order.OBSERVATION,
    Settled: Order.OUTCOME,
    Marked: Order.MARK,
    GapEnded: Order.GAP_END,
    GapBegan: Order.GAP_START,
}


def order_of(what: Input) -> Order:
    """Where an input stands among inputs and timers of the same instant."""
    return _ORDERS[type(what)]


_QUIET: Final = Ruling(())
"""What nearly every observation decides."""

_RECHECK: Final = "recheck"
"""What the course itself waits for: the fourth part of a key in the agenda."""


class Course:
    """All policies and groups of one machine, stepped one input at a time.

    Synchronous, single-threaded, no I/O. `step` first fires what is due before the input, each timer at its own due
    instant, then decides the input; it returns the decisions in order. Inputs must come in the order of
    (stamp, `order_of`): what is out of order is a defect of the driver and raises `AssertionError`.
    """

    def __init__(self) -> None:
        self._agenda: Agenda[Key] = Agenda()
        self._configuration = Configuration()
        self._policies: dict[str, MonitoringPolicy] = {}
        self._groups: dict[str, Group] = {}
        self._held: dict[str, Group] = {}
        self._told: dict[str, Group] = {}
        self._carriers: dict[str, str] = {}
        self._flaps: dict[tuple[str, str, Series], Group] = {}
        self._postponed: list[Key] = []
        self._wants: dict[str, None] = {}
        self._composites: tuple[Rule, ...] = ()
        self._touched: dict[str, None] = {}
        self._judged = Stamp(0, Instant(0))
        self._place = (0, 0, Order.PERSON)
        self._shifts: tuple[tuple[int, Duration], ...] = ()
        self._retired: tuple[tuple[str, str], ...] = ()

    # What it is asked -------------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        """The revision in force."""
        return self._configuration

    @property
    def progress(self) -> Progress:
        """How far it came."""
        return Progress(self._judged, self._shifts, self._retired)

    def due(self) -> Instant | None:
        """When it wants to be stepped again, if nothing comes before; it may turn out that nothing was to be done."""
        wanted = self._agenda.peek()
        return None if wanted is None else Instant(wanted[0])

    def policy(self, service: str) -> MonitoringPolicy:
        """The policy of a service; `Refused` when there is none."""
        try:
            return self._policies[service]
        except KeyError:
            raise Refused(f"there is no service {service}") from None

    def incidents(self) -> list[Incident]:
        """All incidents that are not over."""
        return [incident for name in sorted(self._policies) for incident in self._policies[name].incidents()]

    def reach(self, service: str, check: str) -> Reach:
        """The history that decisions on a check look back at."""
        return self.policy(service).reach(check)

    def lacks(self, configuration: Configuration) -> list[tuple[str, str, Reach]]:
        """The history that this revision looks back at, and the one in force does not: (service, check, reach).

        `refill` it before the revision is stepped, so that what a rule decides does not depend on when it came.
        """
        if not self._judged.at.ns:
            return []
        known = {service.name: service for service in self._configuration.services}
        wanted: list[tuple[str, str, Reach]] = []
        for service in configuration.services:
            before = known.get(service.name, Service(service.name))
            if before.rules == service.rules and before.checks == service.checks:
                continue
            judged, judges = judged_metrics(before.rules), judged_metrics(service.rules)
            for check in service.checks:
                has, needs = reach_of(before, check.name), reach_of(service, check.name)
                more = judges.get(check.name, frozenset()) - judged.get(check.name, frozenset())
                if more or has.joined(needs) != has:
                    wanted.append((service.name, check.name, needs))
        return wanted

    # What it is told --------------------------------------------------------------------------------------------------

    def step(self, admitted: Admitted) -> Ruling:
        """Fire the timers that come before `admitted`, then decide it; a refused input changes nothing itself."""
        stamp, what = admitted.stamp, admitted.input
        if isinstance(what, Stepped):
            self._shift(stamp, what.delta)
        order = order_of(what)
        place = (stamp.epoch, stamp.at.ns, order)
        assert place >= self._place, f"{what} at {stamp} comes after {self._judged} was decided"
        decisions = self._fire(stamp, order)
        self._judged, self._place = stamp, place
        if isinstance(what, Pushed):
            return Ruling(tuple(decisions), taken=self._take(what, stamp.at), wants=self._take_wants())
        try:
            decided = self._decide(what, stamp.at)
        except Refused as refused:
            return Ruling(tuple(decisions), str(refused), wants=self._take_wants())
        if not decided and not decisions:
            return _QUIET
        return Ruling((*decisions, *((stamp, decision) for decision in decided)), wants=self._take_wants())

    def take_changes(self) -> Changes | None:
        """What changed since the last call; None when nothing did but time."""
        touched = tuple(name for name in sorted(self._touched) if self._policies[name].changed)
        self._touched = {}
        if not touched and not self._told:
            return None
        parts = [self._policies[name].take_changes() for name in touched]
        told, self._told = tuple(self._told.values()), {}
        return Changes(
            progress=self.progress,
            touched=touched,
            holds=tuple(hold for part in parts for hold in part.holds),
            forgotten=tuple(key for part in parts for key in part.forgotten),
            incidents=tuple(incident for part in parts for incident in part.incidents),
            groups=told,
            jobs=tuple(job for part in parts for job in part.jobs),
        )

    # What it is given back after a restart ----------------------------------------------------------------------------

    @classmethod
    def revive(
        cls,
        *,
        configuration: Configuration,
        progress: Progress,
        holds: Iterable[StoredHold],
        incidents: Iterable[Incident],
        groups: Iterable[Group],
        jobs: Iterable[StoredJob] = (),
    ) -> Course:
        """The course as it was stored; `recall` what it had heard, then `rebook`."""
        course = cls()
        course._configuration, course._judged = configuration, progress.judged
        course._place = (progress.judged.epoch, progress.judged.at.ns, Order.PERSON)
        course._shifts, course._retired = progress.shifts, progress.retired
        members = members_of(configuration)
        for service in configuration.services:
            policy = course._policies[service.name] = MonitoringPolicy(service.name, course._agenda)
            retired = [rule for name, rule in progress.retired if name == service.name]
            policy.revive(service, retired, progress.judged.at, members.get(service.name, frozenset()))
        course._composites = composites_of(configuration)
        known = {incident.id: incident for incident in incidents}
        for hold in holds:
            if hold.service in course._policies:
                course._policies[hold.service].restore(hold, known.get(hold.incident))
        for job in jobs:
            if job.service in course._policies:
                course._policies[job.service].restore_job(job)
        course._carriers = {incident.id: incident.service for incident in course.incidents()}
        course._touched = dict.fromkeys(course._policies)
        alive = [group for group in groups if not group.ended]
        course._groups = {group.incident: group for group in alive if group.subject is None}
        course._flaps = {group.subject: group for group in alive if group.subject is not None}
        course._held = {group.incident: group for group in course._groups.values() if group.held is not None}
        return course

    def recall(self, recollection: Recollection) -> None:
        """Remember what a check said before: windows fill, nothing is decided. A check's epochs come in their order."""
        self._policies[recollection.service].recall(recollection, self._shift_since(recollection.epoch))

    def recall_pushed(self, admitted: Admitted) -> None:
        """Remember what was pushed before; what is not judged yet waits again. Pushes come in their order."""
        what = admitted.input
        assert isinstance(what, Pushed)
        shift = self._shift_since(admitted.stamp.epoch)
        self._policies[what.service].recall_pushed(what.check, what.samples, shift, self._judged.at.ns)

    def refill(self, service: str, check: str, reach: Reach, history: Iterable[Recollection]) -> None:
        """Hand over all that is recorded of a check, as far back as `lacks` asked; nothing is decided."""
        policy = self._policies.get(service)
        if policy is not None:
            policy.refill(check, reach, [(each, self._shift_since(each.epoch)) for each in history])

    def rebook(self) -> None:
        """Book all timers, once everything is recalled."""
        for policy in self._policies.values():
            policy.rebook()
        for group in self._groups.values():
            self._wait_for_parents(group)

    def _shift_since(self, epoch: int) -> Duration:
        """By how much the wall clock was set since that epoch."""
        return Duration(sum(delta for number, delta in self._shifts if number > epoch))

    # The chain --------------------------------------------------------------------------------------------------------

    def _fire(self, stamp: Stamp, order: Order) -> list[tuple[Stamp, Decision]]:
        decisions: list[tuple[Stamp, Decision]] = []
        now = stamp.at.ns
        while (entry := self._agenda.peek()) is not None and (entry[0] < now or (entry[0] == now and entry[1] < order)):
            due, what, key = entry
            at = Stamp(stamp.epoch, Instant(due))
            if len(key) == 4 and key[3] == _RECHECK:
                decisions += [(at, decision) for decision in self._stop_waiting(key, at.at)]
                continue
            policy = self._policies[key[0]]
            events = policy.fire(key, what, due)
            if policy.changed:
                self._touched[key[0]] = None
            if events or policy.turned:
                decisions += [(at, decision) for decision in self._conclude(events, at.at)]
        return decisions

    def _take(self, what: Pushed, at: Instant) -> tuple[Taken, ...]:
        """What becomes of each pushed sample: they decide nothing yet."""
        policy = self._policies.get(what.service)
        return (Taken.UNKNOWN,) * len(what.samples) if policy is None else policy.push(what.check, what.samples, at)

    def _decide(self, what: Input, at: Instant) -> list[Decision]:
        match what:
            case Observed():
                return self._observe(what, at)
            case Pinged():
                policy = self.policy(what.service)
                self._touched[what.service] = None
                return self._conclude(policy.report(what, at), at)
            case Acted():
                return self._follow(self._act(what, at), at)
            case Retired():
                return self._retire(what, at)
            case Configured():
                return self._configure(what.configuration, at)
            case Settled():
                return list(routing.tell_owners(self._configuration.owners, what, decided_at=at))
            case GapBegan():
                return self._blind(at)
            case GapEnded():
                return self._sight(at)
            case Stepped():
                events = [event for _, policy in sorted(self._policies.items()) for event in policy.wake(at)]
                return self._conclude(events, at)
            case Marked() | Requeued():
                return []
            case Pushed():
                raise AssertionError("pushed samples are taken, not decided")
            case _:
                assert_never(what)

    def _blind(self, at: Instant) -> list[Decision]:
        self._touched = dict.fromkeys(self._policies)
        for policy in self._policies.values():
            policy.blind(at)
        return self._combine(at)

    def _sight(self, at: Instant) -> list[Decision]:
        self._touched = dict.fromkeys(self._policies)
        events = [event for _, policy in sorted(self._policies.items()) for event in policy.sight(at)]
        postponed, self._postponed = self._postponed, []
        for key in postponed:
            self._agenda.book(key, at.ns, Order.RECHECK)
        return self._conclude(events, at)

    def _observe(self, what: Observed, at: Instant) -> list[Decision]:
        policy = self._policies.get(what.service)
        if policy is None:
            return []  # the service was removed while this run was under way
        events = policy.observe(what.check, what.observation, at)
        if policy.changed:
            self._touched[what.service] = None
        if not events and not self._held and not policy.turned:
            return []
        decisions = self._conclude(events, at)
        if self._held:
            if what.observation.outcome is not Outcome.UNKNOWN:
                decisions += self._rechecked(f"{what.service}.{what.check}", at)
            decisions += self._release(what, at)
        return decisions

    def _retire(self, what: Retired, at: Instant) -> list[Decision]:
        policy = self.policy(what.service)
        self._touched[what.service] = None
        decisions = self._follow(policy.retire(what.rule, what.reason, at), at)
        self._retired = (*self._retired, (what.service, what.rule))
        return decisions

    def _act(self, what: Acted, at: Instant) -> list[Event]:
        incident = self._incident(what.incident)
        if incident is None:
            raise Refused(f"no incident {what.incident} is open")
        policy = self._policies[incident.service]
        self._touched[incident.service] = None
        if what.act is Act.ACKNOWLEDGE:
            return policy.acknowledge(incident, what.by, at, what.expires_after)
        return policy.resolve(incident, what.by, at)

    def _configure(self, configuration: Configuration, at: Instant) -> list[Decision]:
        for service in configuration.services:
            refuse_twins(service)
        retired = self._still_retired(configuration)
        members = members_of(configuration)
        composites = composites_of(configuration)
        events: list[Event] = []
        named = {service.name for service in configuration.services}
        for gone in [name for name in self._policies if name not in named]:
            events += self._policies[gone].configure(Service(gone), at)
        for service in configuration.services:
            if service.name not in self._policies:
                self._policies[service.name] = MonitoringPolicy(service.name, self._agenda)
            mine = [rule for name, rule in retired if name == service.name]
            joined = members.get(service.name, frozenset())
            events += self._policies[service.name].configure(service, at, mine, joined)
        self._touched = dict.fromkeys(self._policies)
        # What closes is told in the words of the revision before.
        decisions = self._follow(events, at)
        self._configuration = configuration
        self._retired = retired
        self._composites = composites
        decisions += self._combine(at, all_of_them=True)
        for subject in [subject for subject in self._flaps if not self._flapping(subject)]:
            decisions += self._steady(subject, at)
        return decisions

    def _still_retired(self, configuration: Configuration) -> tuple[tuple[str, str], ...]:
        """Rules that a person retired and that this revision names unchanged: retired is for ever."""
        before, after = _rules(self._configuration), _rules(configuration)
        return tuple(
            key
            for key in self._retired
            if key in before and key in after and before[key].revision == after[key].revision
        )

    def _conclude(self, events: list[Event], at: Instant) -> list[Decision]:
        """Each event with the notices that it causes, then what composites make of it."""
        return self._follow(events, at) + self._combine(at)

    def _follow(self, events: list[Event], at: Instant) -> list[Decision]:
        """Each event, then the notices that it causes."""
        decisions: list[Decision] = []
        for event in events:
            decisions.append(event)
            match event:
                case IncidentMoved():
                    if event.incident.state in FINAL:
                        self._carriers.pop(event.incident.id, None)
                    else:
                        self._carriers[event.incident.id] = event.incident.service
                    decisions += self._tell(event.incident, at)
                case SeriesFlapped():
                    decisions += self._flap(event, at)
                case RuleMoved():
                    pass
                case _:
                    assert_never(event)
        return decisions

    def _tell(self, incident: Incident, at: Instant) -> tuple[Notice, ...]:
        if incident.draft:
            return ()
        group = self._groups.get(incident.id)
        routes = self._configuration.routes
        facts = self._facts(incident)
        if incident.state is State.OPEN and group is None:
            if facts is None:
                return ()
            held, wait = self._reason_to_wait(incident, at)
            group, notices = routing.begin(incident, facts, routes, decided_at=at, held=held, wait=wait)
            self._wants.update(dict.fromkeys(group.awaits))
            self._wait_for_parents(group)
        elif incident.state is State.OPEN and group is not None and incident.severity is not group.severity:
            if facts is None:
                return ()
            group, notices = routing.rise(group, incident, facts, routes, decided_at=at)
        elif incident.state in FINAL and group is not None:
            facts = facts or Facts(incident=incident.id, state=incident.state)
            subject = (incident.service, incident.rule, incident.series)
            held = self._flaps_by(subject)
            group, notices = routing.end(group, incident, facts, decided_at=at, held=held)
        else:
            return ()
        self._keep(group)
        return notices

    # Flapping ---------------------------------------------------------------------------------------------------------

    def _flapping(self, subject: tuple[str, str, Series]) -> bool:
        policy = self._policies.get(subject[0])
        return policy is not None and policy.flapping(subject[1], subject[2])

    def _flaps_by(self, subject: tuple[str, str, Series]) -> Held | None:
        return Held(Withheld.FLAPPING, by=f"{subject[0]}.{subject[1]}") if self._flapping(subject) else None

    def _flap(self, event: SeriesFlapped, at: Instant) -> list[Decision]:
        subject = (event.service, event.rule, event.series)
        if not event.flapping:
            return self._steady(subject, at)
        policy = self._policies[event.service]
        rule = policy.rule(event.rule)
        if policy.lifecycle(event.rule) is not Lifecycle.ACTIVE:
            return []
        group, notices = routing.flap(
            rule, policy.configured, event.series, self._configuration.routes, decided_at=at, percent=event.percent
        )
        self._flaps[subject] = group
        self._told[group.id] = group
        return list(notices)

    def _steady(self, subject: tuple[str, str, Series], at: Instant) -> list[Decision]:
        """It flaps no more: who heard that it did hears how it is, and that counts as told."""
        flap = self._flaps.pop(subject, None)
        if flap is None:
            return []
        policy = self._policies[subject[0]]
        mine = [each for each in policy.incidents() if (each.rule, each.series) == subject[1:]]
        groups = [group for each in mine if (group := self._groups.get(each.id)) is not None]
        for group in groups:
            if group.held is not None and group.held.reason is Withheld.FLAPPING:
                self._keep(replace(group, held=None, told=tuple(dict.fromkeys((*group.told, *flap.told)))))
        service = policy.configured
        rule = next((rule for rule in service.rules if rule.name == subject[1]), None)
        if rule is None:
            self._told[flap.id] = replace(flap, ended=True)
            return []
        state = str(mine[0].state) if mine else "well"
        flap, notices = routing.steady(flap, rule, service, state, decided_at=at)
        self._told[flap.id] = flap
        return list(notices)

    # Parents ----------------------------------------------------------------------------------------------------------

    def _reason_to_wait(self, incident: Incident, at: Instant) -> tuple[Held | None, Wait | None]:
        """Why nobody is told of an incident that has just opened, and which checks are asked again before."""
        blocked = parents.blocking(incident, self._policies)
        if blocked is not None and blocked.state is not State.PENDING:
            return Held(Withheld.UNREACHABLE, by=blocked.id), None
        held = self._flaps_by((incident.service, incident.rule, incident.series))
        if held is not None:
            return held, None
        wait = parents.to_be_asked(incident, self._policies, at)
        if wait is not None:
            return Held(Withheld.RECHECKING, by=", ".join(wait.checks)), wait
        return self._blocked(incident), None

    def _wait_for_parents(self, group: Group) -> None:
        incident = self._incident(group.incident)
        if group.until is not None and incident is not None:
            key = (incident.service, incident.rule, incident.series, _RECHECK)
            self._agenda.book(key, group.until.ns, Order.RECHECK)

    def _rechecked(self, check: str, at: Instant) -> list[Decision]:
        """A check ran that incidents wait for: those that wait for no other are told, or held for the parent."""
        decisions: list[Decision] = []
        for id, group in sorted(self._held.items()):
            if check in group.awaits:
                waiting = replace(group, awaits=tuple(name for name in group.awaits if name != check))
                self._keep(waiting)
                if not waiting.awaits:
                    decisions += self._settle(id, at)
        return decisions

    def _stop_waiting(self, key: Key, at: Instant) -> list[Decision]:
        """Their whole budget has passed, and the parents did not say anything new."""
        self._agenda.cancel(key)
        policy = self._policies[key[0]]
        if policy.in_gap:
            self._postponed.append(key)
            return []
        found = [each for each in policy.incidents() if (each.rule, each.series) == (key[1], key[2])]
        return [decision for each in found for decision in self._settle(each.id, at)]

    def _settle(self, id: str, at: Instant) -> list[Decision]:
        group = self._groups.get(id)
        incident = self._incident(id)
        if group is None or incident is None or group.held is None or group.until is None:
            return []
        self._agenda.cancel((incident.service, incident.rule, incident.series, _RECHECK))
        facts = self._facts(incident)
        blocked = self._blocked(incident)
        if facts is None or incident.state is not State.OPEN:
            self._keep(replace(group, awaits=(), until=None))
            return []
        if blocked is not None:
            group, notices = routing.hold_back(group, facts, blocked, decided_at=at)
        else:
            group, notices = routing.release(group, facts, decided_at=at)
        self._keep(group)
        return list(notices)

    # Composites -------------------------------------------------------------------------------------------------------

    def _combine(self, at: Instant, *, all_of_them: bool = False) -> list[Decision]:
        """Ask the composites whose members said something else, members before those that join them."""
        if not self._composites:
            return []
        turned = {f"{name}.{rule}" for name, policy in self._policies.items() for rule in policy.take_turned()}
        decisions: list[Decision] = []
        for rule in self._composites:
            assert isinstance(rule.strategy, Composite)
            if not all_of_them and turned.isdisjoint(rule.strategy.members):
                continue
            policy = self._policies[rule.service]
            said = [self._said(member) for member in rule.strategy.members]
            for labels, code in together(said, rule.strategy.need).items():
                events = policy.combine(rule.name, labels, code, at)
                if policy.changed:
                    self._touched[rule.service] = None
                decisions += self._follow(events, at)
            turned |= {f"{rule.service}.{name}" for name in policy.take_turned()}
        return decisions

    def _said(self, member: str) -> dict[Labels, Code]:
        service, _, rule = member.partition(".")
        policy = self._policies.get(service)
        return {} if policy is None else policy.verdicts(rule)

    # Notices ----------------------------------------------------------------------------------------------------------

    def _take_wants(self) -> tuple[str, ...]:
        wants, self._wants = tuple(self._wants), {}
        return wants

    def _release(self, what: Observed, at: Instant) -> list[Decision]:
        """Tell what a dependency held back, at the first breached sample after the parent was over.

        What somebody acknowledged meanwhile is known, and told to nobody.
        """
        policy = self._policies[what.service]
        decisions: list[Decision] = []
        for incident in policy.incidents():
            group = self._held.get(incident.id)
            if group is None or incident.state is not State.OPEN or group.awaits or self._blocked(incident):
                continue
            if group.held is not None and group.held.reason is Withheld.FLAPPING:
                continue  # told when it is steady
            facts = self._facts(incident)
            if facts is not None and policy.breached_now(incident, what.check, at):
                told, notices = routing.release(group, facts, decided_at=at)
                self._keep(told)
                decisions += notices
        return decisions

    def _blocked(self, incident: Incident) -> Held | None:
        """What makes an incident unreachable, if anything does."""
        other = parents.blocking(incident, self._policies)
        return None if other is None else Held(Withheld.UNREACHABLE, by=other.id)

    def _incident(self, id: str) -> Incident | None:
        """The incident of that id, if it is not over."""
        service = self._carriers.get(id)
        if service is None:
            return None
        return next((each for each in self._policies[service].incidents() if each.id == id), None)

    def _facts(self, incident: Incident) -> Facts | None:
        for source in self._revisions(incident.service):
            rule = next((rule for rule in source.rules if rule.name == incident.rule), None)
            if rule is not None:
                return routing.facts_of(incident, rule, source)
        return None

    def _revisions(self, name: str) -> Iterator[Service]:
        """The service as it is, then as of the last revision: a rule just removed is named in its last notice."""
        yield self._policies[name].configured
        yield from (service for service in self._configuration.services if service.name == name)

    def _keep(self, group: Group) -> None:
        self._told[group.id] = group
        if group.held is None:
            self._held.pop(group.incident, None)
        else:
            self._held[group.incident] = group
        if group.ended:
            self._groups.pop(group.incident, None)
        else:
            self._groups[group.incident] = group

    def _shift(self, stamp: Stamp, delta: Duration) -> None:
        """A new epoch: every due instant and every counted one moves with the clock."""
        assert stamp.epoch == self._judged.epoch + 1, "epochs follow one another"
        self._agenda.shift(delta)
        self._touched = dict.fromkeys(self._policies)
        for policy in self._policies.values():
            policy.shift(delta, stamp.at)
        for group in list(self._groups.values()):
            if group.until is not None:
                self._keep(replace(group, until=group.until.plus(delta)))
        self._shifts = (*self._shifts, (stamp.epoch, delta))


def _rules(configuration: Configuration) -> dict[tuple[str, str], Rule]:
    return {(rule.service, rule.name): rule for service in configuration.services for rule in service.rules}

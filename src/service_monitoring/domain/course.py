"""The course: the chain from an input or a due timer to events and notices, in the one order there is.

It alone holds the order of inputs and timers and every hand-over from policy to incident and routing. Both drivers,
the live one and the rehearsal, step it; neither knows what follows what. It does not know what time it is, how an
input came, or where its decisions go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec import Struct

from service_monitoring.domain import routing
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import Configuration, Service
from service_monitoring.domain.events import Event, IncidentMoved
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    GapBegan,
    GapEnded,
    Input,
    Marked,
    Observed,
    Order,
    Retired,
    Settled,
    Stamp,
    Stepped,
)
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.notices import Facts, Held, Notice, Withheld
from service_monitoring.domain.policy import Key, MonitoringPolicy, refuse_twins
from service_monitoring.domain.recollections import Recollection
from service_monitoring.domain.routing import Group
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.windows import Reach
from service_monitoring.errors import Refused

Decision = Event | Notice


class Ruling(Struct, frozen=True):
    """What a step decided, in order, each with its stamp; `refusal` says why the input was not taken."""

    decisions: tuple[tuple[Stamp, Decision], ...]
    refusal: str = ""


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
    forgotten: tuple[Key, ...]
    incidents: tuple[Incident, ...]
    groups: tuple[Group, ...]


_ORDERS: Final[dict[type[Input], Order]] = {
    Acted: Order.PERSON,
    Retired: Order.PERSON,
    Configured: Order.CONFIGURATION,
    Stepped: Order.CONFIGURATION,
    Observed: Order.OBSERVATION,
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
        try:
            decided = self._decide(what, stamp.at)
        except Refused as refused:
            return Ruling(tuple(decisions), str(refused))
        if not decided and not decisions:
            return _QUIET
        return Ruling((*decisions, *((stamp, decision) for decision in decided)))

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
    ) -> Course:
        """The course as it was stored; `recall` what it had heard, then `rebook`."""
        course = cls()
        course._configuration, course._judged = configuration, progress.judged
        course._place = (progress.judged.epoch, progress.judged.at.ns, Order.PERSON)
        course._shifts, course._retired = progress.shifts, progress.retired
        for service in configuration.services:
            policy = course._policies[service.name] = MonitoringPolicy(service.name, course._agenda)
            policy.revive(service, [rule for name, rule in progress.retired if name == service.name])
        known = {incident.id: incident for incident in incidents}
        for hold in holds:
            if hold.service in course._policies:
                course._policies[hold.service].restore(hold, known.get(hold.incident))
        course._touched = dict.fromkeys(course._policies)
        course._groups = {group.incident: group for group in groups if not group.ended}
        course._held = {group.incident: group for group in course._groups.values() if group.held is not None}
        return course

    def recall(self, recollection: Recollection) -> None:
        """Remember what a check said before: windows fill, nothing is decided. A check's epochs come in their order."""
        shift = sum(delta for epoch, delta in self._shifts if epoch > recollection.epoch)
        self._policies[recollection.service].recall(recollection, shift)

    def rebook(self) -> None:
        """Book all timers, once everything is recalled."""
        for policy in self._policies.values():
            policy.rebook()

    # The chain --------------------------------------------------------------------------------------------------------

    def _fire(self, stamp: Stamp, order: Order) -> list[tuple[Stamp, Decision]]:
        decisions: list[tuple[Stamp, Decision]] = []
        now = stamp.at.ns
        while (entry := self._agenda.peek()) is not None and (entry[0] < now or (entry[0] == now and entry[1] < order)):
            due, what, key = entry
            policy = self._policies[key[0]]
            events = policy.fire(key, what, due)
            if policy.changed:
                self._touched[key[0]] = None
            if events:
                at = Stamp(stamp.epoch, Instant(due))
                decisions += [(at, decision) for decision in self._follow(events, at.at)]
        return decisions

    def _decide(self, what: Input, at: Instant) -> list[Decision]:
        match what:
            case Observed():
                return self._observe(what, at)
            case Acted():
                return self._follow(self._act(what, at), at)
            case Retired():
                return self._retire(what, at)
            case Configured():
                return self._configure(what.configuration, at)
            case Settled():
                owners = self._configuration.owners if what.delivery is Delivery.PARKED else ()
                return list(routing.tell_owners(owners, what, decided_at=at))
            case GapBegan() | GapEnded():
                self._touched = dict.fromkeys(self._policies)
                for policy in self._policies.values():
                    policy.blind(at) if isinstance(what, GapBegan) else policy.sight(at)
                return []
            case Stepped() | Marked():
                return []
            case _:
                assert_never(what)

    def _observe(self, what: Observed, at: Instant) -> list[Decision]:
        policy = self._policies.get(what.service)
        if policy is None:
            return []  # the service was removed while this run was under way
        events = policy.observe(what.check, what.observation, at)
        if policy.changed:
            self._touched[what.service] = None
        if not events and not self._held:
            return []
        return self._follow(events, at) + self._release(what, at)

    def _retire(self, what: Retired, at: Instant) -> list[Decision]:
        policy = self.policy(what.service)
        self._touched[what.service] = None
        decisions = self._follow(policy.retire(what.rule, what.reason, at), at)
        self._retired = (*self._retired, (what.service, what.rule))
        return decisions

    def _act(self, what: Acted, at: Instant) -> list[Event]:
        incident = next((known for known in self.incidents() if known.id == what.incident), None)
        if incident is None:
            raise Refused(f"no incident {what.incident} is open")
        policy = self._policies[incident.service]
        self._touched[incident.service] = None
        if what.act is Act.ACKNOWLEDGE:
            return policy.acknowledge(incident, what.by, at)
        return policy.resolve(incident, what.by, at)

    def _configure(self, configuration: Configuration, at: Instant) -> list[Decision]:
        for service in configuration.services:
            refuse_twins(service)
        retired = self._still_retired(configuration)
        events: list[Event] = []
        named = {service.name for service in configuration.services}
        for gone in [name for name in self._policies if name not in named]:
            events += self._policies[gone].configure(Service(gone), at)
        for service in configuration.services:
            if service.name not in self._policies:
                self._policies[service.name] = MonitoringPolicy(service.name, self._agenda)
            mine = [rule for name, rule in retired if name == service.name]
            events += self._policies[service.name].configure(service, at, mine)
        self._touched = dict.fromkeys(self._policies)
        # What closes is told in the words of the revision before.
        decisions = self._follow(events, at)
        self._configuration = configuration
        self._retired = retired
        return decisions

    def _still_retired(self, configuration: Configuration) -> tuple[tuple[str, str], ...]:
        """Rules that a person retired and that this revision names unchanged: retired is for ever."""
        before, after = _rules(self._configuration), _rules(configuration)
        return tuple(
            key
            for key in self._retired
            if key in before and key in after and before[key].revision == after[key].revision
        )

    def _follow(self, events: list[Event], at: Instant) -> list[Decision]:
        """Each event, then the notices that it causes."""
        decisions: list[Decision] = []
        for event in events:
            decisions.append(event)
            if isinstance(event, IncidentMoved):
                decisions += self._tell(event.incident, at)
        return decisions

    def _tell(self, incident: Incident, at: Instant) -> tuple[Notice, ...]:
        group = self._groups.get(incident.id)
        if incident.state is State.OPEN and group is None:
            facts = self._facts(incident)
            if facts is None:
                return ()
            routes = self._configuration.routes
            group, notices = routing.begin(incident, facts, routes, decided_at=at, held=self._blocked(incident))
        elif incident.state in FINAL and group is not None:
            facts = self._facts(incident) or Facts(incident=incident.id, state=incident.state)
            group, notices = routing.end(group, incident, facts, decided_at=at)
        else:
            return ()
        self._keep(group)
        return notices

    def _release(self, what: Observed, at: Instant) -> list[Decision]:
        """Tell what a dependency held back, at the first breached sample after the parent was over.

        What somebody acknowledged meanwhile is known, and told to nobody.
        """
        policy = self._policies[what.service]
        decisions: list[Decision] = []
        for incident in policy.incidents():
            group = self._held.get(incident.id)
            if group is None or incident.state is not State.OPEN or self._blocked(incident):
                continue
            facts = self._facts(incident)
            if facts is not None and policy.breached_now(incident, what.check, at):
                told, notices = routing.release(group, facts, decided_at=at)
                self._keep(told)
                decisions += notices
        return decisions

    def _blocked(self, incident: Incident) -> Held | None:
        """The incident of a parent that makes this one unreachable: open, or pending and so perhaps about to be."""
        for parent in self._policies[incident.service].rule(incident.rule).depends_on:
            service, _, rule = parent.partition(".")
            if service not in self._policies:
                continue
            for other in self._policies[service].incidents():
                concerned = other.rule == rule if rule else other.severity is Severity.CRITICAL
                if concerned and other.id != incident.id:
                    return Held(Withheld.UNREACHABLE, by=other.id)
        return None

    def _facts(self, incident: Incident) -> Facts | None:
        for source in (self._policies[incident.service].configured, self._service_before(incident.service)):
            rule = next((rule for rule in source.rules if rule.name == incident.rule), None)
            if rule is not None:
                return routing.facts_of(incident, rule, source)
        return None

    def _service_before(self, name: str) -> Service:
        """The service as of the last revision: a rule that was just removed is still named in its last notice."""
        return next((service for service in self._configuration.services if service.name == name), Service(name))

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
            policy.shift(delta)
        self._shifts = (*self._shifts, (stamp.epoch, delta))


def _rules(configuration: Configuration) -> dict[tuple[str, str], Rule]:
    return {(rule.service, rule.name): rule for service in configuration.services for rule in service.rules}

"""The course: the chain from an input or a due timer to events and notices, in the one order there is.

It alone holds the order of inputs and timers and every hand-over from policy to incident and routing. Both drivers,
the live one and the rehearsal, step it; neither knows what follows what. It does not know what time it is, how an
input came, or where its decisions go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import parents, routing
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.composites import Labels, composites_of, members_of, together
from service_monitoring.domain.configuration import Configuration, Service, judged_metrics, reach_of, refuse_twins
from service_monitoring.domain.dispatch import Dispatch, Told
from service_monitoring.domain.events import (
    Event,
    IncidentMoved,
    IncidentNoted,
    RuleMoved,
    SeriesFlapped,
    SilenceMove,
    SilenceMoved,
)
from service_monitoring.domain.groups import Member
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
    PushedSample,
    Requeued,
    Retired,
    Settled,
    Silenced,
    Stamp,
    Stepped,
    Taken,
    Unsilenced,
)
from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.notices import Facts, Held, Notice, Withheld
from service_monitoring.domain.parents import Wait
from service_monitoring.domain.policy import MonitoringPolicy, noted
from service_monitoring.domain.recollections import Recollection
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.samples import Outcome, Series
from service_monitoring.domain.silences import Silence, Silences, StoredSilence
from service_monitoring.domain.strategies import Composite
from service_monitoring.domain.stretches import Stretch
from service_monitoring.domain.tracks import PLAYED, HoldKey, Key
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
    jobs: tuple[StoredJob, ...] = ()
    told: Told = Told()
    silences: tuple[StoredSilence, ...] = ()


_ORDERS: Final[dict[type[Input], Order]] = {
    Acted: Order.PERSON,
    Retired: Order.PERSON,
    Silenced: Order.PERSON,
    Unsilenced: Order.PERSON,
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


_ENDS_A_COLUMN: Final = frozenset({Order.CONFIGURATION, Order.OBSERVATION, Order.GAP_START, Order.GAP_END})
"""Inputs before which nothing may be known ahead."""

_UNTOLD: Final = frozenset({State.PENDING, State.DROPPED})
"""What nobody hears of."""

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
        self._dispatch = Dispatch(self._agenda, self.silences)
        self._carriers: dict[str, str] = {}
        self._postponed: list[Key] = []
        self._wants: dict[str, None] = {}
        self._composites: tuple[Rule, ...] = ()
        self._touched: dict[str, None] = {}
        self._judged = Stamp(0, Instant(0))
        self._place = (0, 0, Order.PERSON)
        self._shifts: tuple[tuple[int, Duration], ...] = ()
        self._retired: tuple[tuple[str, str], ...] = ()
        self._in_gap = False
        self._silences = Silences()
        self._playing = False
        self._observing: tuple[str, str] | None = None
        self._attended: frozenset[tuple[str, str]] = frozenset()
        self._refills: list[tuple[str, str, Reach, Iterable[Recollection]]] = []

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

    def silences(self) -> tuple[Silence, ...]:
        """The silences that decisions ask for: those that hold or will, and some that have ended lately."""
        return self._silences.all()

    def withheld(self, notice: Notice, at: Instant) -> Held | None:
        """Why a notice that is owed is not to be sent any more."""
        return self._dispatch.withheld(notice, at)

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
        if self._playing and order in _ENDS_A_COLUMN:
            self.rest()
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

    def hear(self, stretches: Iterable[Stretch]) -> None:
        """What is to come is known: columns of samples of checks that are polled or pushed, after all that was heard.

        `step` goes through them as if each sample were an input of its own, stamped with its instant: those of one
        check at one instant are one run. Of what is handed over everything up to the next call must be stepped through.
        """
        if self._playing:
            self.rest()
        self._playing = True
        found: dict[str, list[Stretch]] = {}
        for stretch in stretches:
            found.setdefault(stretch.series.service, []).append(stretch)
        for name, mine in found.items():
            if name in self._policies:
                self._policies[name].hear(mine)

    def rest(self) -> None:
        """Nothing more is known ahead: of what was handed over only what rules look back at is held on to."""
        self._playing = False
        _, at, order = self._place
        for policy in self._policies.values():
            policy.rest(at if order > Order.OBSERVATION else at - 1)

    def take_changes(self) -> Changes | None:
        """What changed since the last call; None when nothing did but time."""
        touched = tuple(name for name in sorted(self._touched) if self._policies[name].changed)
        self._touched = {}
        silences = self._silences.take_changes()
        if not touched and not self._dispatch.changed and not silences:
            return None
        parts = [self._policies[name].take_changes() for name in touched]
        return Changes(
            progress=self.progress,
            touched=touched,
            holds=tuple(hold for part in parts for hold in part.holds),
            forgotten=tuple(key for part in parts for key in part.forgotten),
            incidents=tuple(incident for part in parts for incident in part.incidents),
            jobs=tuple(job for part in parts for job in part.jobs),
            told=self._dispatch.take_changes(),
            silences=silences,
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
        jobs: Iterable[StoredJob] = (),
        told: Told | None = None,
        silences: Iterable[StoredSilence] = (),
    ) -> Course:
        """The course as it was stored; `recall` what it had heard, then `rebook`."""
        course = cls()
        course._configuration, course._judged = configuration, progress.judged
        course._place = (progress.judged.epoch, progress.judged.at.ns, Order.PERSON)
        course._shifts, course._retired = progress.shifts, progress.retired
        course._silences = Silences(each.silence for each in silences if not each.over)
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
        course._in_gap = any(policy.in_gap for policy in course._policies.values())
        course._carriers = {incident.id: incident.service for incident in course.incidents()}
        course._touched = dict.fromkeys(course._policies)
        course._dispatch.revive(configuration, told or Told(), course._told_incidents())
        return course

    def recall(self, recollection: Recollection) -> None:
        """Remember what a check said before: windows fill, nothing is decided. A check's epochs come in their order."""
        self._policies[recollection.service].recall(recollection, self._shift_since(recollection.epoch))

    def recall_pushed(self, service: str, check: str, pushed: Iterable[Admitted]) -> None:
        """Remember all that was pushed to a check before; what is not judged yet waits again."""
        samples: list[tuple[int, PushedSample]] = []
        for admitted in pushed:
            what, shift = admitted.input, self._shift_since(admitted.stamp.epoch)
            assert isinstance(what, Pushed)
            samples += [(sample.at.ns + shift, sample) for sample in what.samples]
        self._policies[service].recall_pushed(check, samples, self._judged.at.ns)

    def refill(self, service: str, check: str, reach: Reach, history: Iterable[Recollection]) -> None:
        """Hand over all that is recorded of a check, as far back as `lacks` asked; nothing is decided.

        It is remembered when the revision is stepped, after what is due before that: whether a pushed sample was judged
        by then must not depend on who stepped the course before.
        """
        self._refills.append((service, check, reach, history))

    def rebook(self) -> None:
        """Book all timers, once everything is recalled."""
        for policy in self._policies.values():
            policy.rebook()
        self._dispatch.rebook(self._judged.at)
        for member in self._dispatch.blocked():
            self._wait_for_parents(member)

    def _shift_since(self, epoch: int) -> Duration:
        """By how much the wall clock was set since that epoch."""
        return Duration(sum(delta for number, delta in self._shifts if number > epoch))

    # The chain --------------------------------------------------------------------------------------------------------

    def _fire(self, stamp: Stamp, order: Order) -> list[tuple[Stamp, Decision]]:
        decisions: list[tuple[Stamp, Decision]] = []
        now = stamp.at.ns
        while (entry := self._agenda.pop_before(now, order)) is not None:
            due, what, key = entry
            at = Instant(due)
            found: Sequence[Decision]
            if len(key) == 2:
                found = self._dispatch.fire(key, due, in_gap=self._in_gap)
            elif len(key) == 4 and key[3] == _RECHECK:
                found = self._stop_waiting(key, at)
            else:
                found = self._played(key[0], key[2], at) if key[-1] == PLAYED else self._timed(key, what, at)
            if found:
                stamped = Stamp(stamp.epoch, at)
                decisions += [(stamped, decision) for decision in found]
        return decisions

    def _timed(self, key: Key, what: int, at: Instant) -> list[Decision]:
        """A timer of a policy."""
        policy = self._policies[key[0]]
        events = policy.fire(key, what, at)
        if policy.changed:
            self._touched[key[0]] = None
        decisions = self._conclude(events, at) if events or policy.turned else []
        if decisions or self._attended:
            self._attend(at)
        return decisions

    def _played(self, service: str, series: Series, at: Instant) -> list[Decision]:
        """A run of a check, as columns have it: all of its series that say anything new at that instant."""
        policy, check = self._policies[service], series.check
        self._observing = (service, check)
        events = policy.play(series, at)
        while (entry := self._agenda.peek()) is not None:
            due, order, key = entry
            if due != at.ns or order != Order.OBSERVATION or len(key) != 4:
                break
            if (key[0], key[2].check) != self._observing:
                break
            self._agenda.pop()
            events += policy.play(key[2], at)
        decisions = self._heard(service, check, events, at)
        if decisions or self._attended:
            self._attend(at)
        self._observing = None
        return decisions

    def _attend(self, at: Instant) -> None:
        """Which checks incidents wait for: their parents', and their own once a parent is over."""
        if not self._playing or not (self._attended or self._dispatch.holds_back()):
            return
        wanted: set[tuple[str, str]] = set()
        for member in self._dispatch.blocked():
            incident = self._incident(member.incident)
            wanted.update(_named(name) for name in member.awaits)
            if incident is not None and member.blocked is not None and member.blocked.reason is not Withheld.FLAPPING:
                wanted.add((incident.service, incident.series.check))
        before, self._attended = self._attended, frozenset(wanted)
        if before != self._attended:
            for name in sorted({service for service, _ in before ^ self._attended} & set(self._policies)):
                checks = frozenset(check for service, check in wanted if service == name)
                self._policies[name].attend(checks, at, self._observing)

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
            case Silenced() | Unsilenced():
                return self._follow([self._silence(what, at)], at)
            case Configured():
                return self._configure(what.configuration, at)
            case Settled():
                return self._settle(what, at)
            case GapBegan() | GapEnded():
                return self._blind(at) if isinstance(what, GapBegan) else self._sight(at)
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
        self._in_gap = True
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
        self._in_gap = False
        self._dispatch.sight(at, self._one_round())
        return self._conclude(events, at)

    def _one_round(self) -> Duration:
        """How long it takes until every check has run once more, or a minute where that is longer."""
        polled = [
            check.every
            for service in self._configuration.services
            for check in service.checks
            if check.expects is None and not check.allowance
        ]
        return Duration(min(MINUTE, max(polled, default=0)))

    def _observe(self, what: Observed, at: Instant) -> list[Decision]:
        policy = self._policies.get(what.service)
        if policy is None:
            return []  # the service was removed while this run was under way
        events = policy.observe(what.check, what.observation, at)
        return self._heard(what.service, what.check, events, at, known=what.observation.outcome is not Outcome.UNKNOWN)

    def _heard(
        self, service: str, check: str, events: list[Event], at: Instant, *, known: bool = True
    ) -> list[Decision]:
        """What follows from a run of a check; `known` says that it was not our own fault."""
        policy = self._policies[service]
        if policy.changed:
            self._touched[service] = None
        if not events and not self._dispatch.holds_back() and not policy.turned:
            return []
        if len(events) > 1:
            events.sort(key=_subject)
        decisions = self._conclude(events, at)
        if self._dispatch.holds_back():
            if known:
                decisions += self._rechecked(f"{service}.{check}", at)
            decisions += self._release(service, check, at)
        return decisions

    def _retire(self, what: Retired, at: Instant) -> list[Decision]:
        policy = self.policy(what.service)
        self._touched[what.service] = None
        decisions = self._follow(policy.retire(what.rule, what.reason, at), at)
        self._retired = (*self._retired, (what.service, what.rule))
        return decisions

    def _silence(self, what: Silenced | Unsilenced, at: Instant) -> Event:
        if isinstance(what, Silenced):
            return SilenceMoved(at, at, SilenceMove.MADE, self._silences.make(what.wanted, at))
        return SilenceMoved(at, at, SilenceMove.EXPIRED, self._silences.expire(what.silence, what.by, at))

    def _act(self, what: Acted, at: Instant) -> list[Event]:
        incident = self._incident(what.incident)
        if incident is None and what.act is Act.NOTE:
            return [noted(what, at)]
        if incident is None:
            raise Refused(f"no incident {what.incident} is open")
        self._touched[incident.service] = None
        return self._policies[incident.service].act(incident, what, at)

    def _configure(self, configuration: Configuration, at: Instant) -> list[Decision]:
        refills, self._refills = self._refills, []
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
            for name, check, reach, history in refills:
                if name == service.name:
                    shifted = [(each, self._shift_since(each.epoch)) for each in history]
                    self._policies[name].refill(check, reach, shifted)
            mine = [rule for name, rule in retired if name == service.name]
            joined = members.get(service.name, frozenset())
            events += self._policies[service.name].configure(service, at, mine, joined)
        self._touched = dict.fromkeys(self._policies)
        # What closes is told in the words of the revision before.
        decisions = self._follow(events, at)
        self._configuration = configuration
        self._retired = retired
        self._composites = composites
        decisions += self._dispatch.configure(configuration, at, self._told_incidents())
        for incident in self.incidents():
            if self._dispatch.member(incident.id) is None:
                decisions += self._tell(incident, at)
        decisions += self._combine(at, all_of_them=True)
        for subject in [subject for subject in self._dispatch.flaps() if not self._flapping(subject)]:
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
                case RuleMoved() | IncidentNoted() | SilenceMoved():
                    pass
                case _:
                    assert_never(event)
        return decisions

    def _tell(self, incident: Incident, at: Instant) -> list[Notice]:
        if incident.draft or incident.state in _UNTOLD:
            return []
        known = self._dispatch.member(incident.id)
        facts = self._facts(incident)
        if facts is None:
            if known is None:
                return []
            facts = replace(known.facts, state=str(incident.state), ended_at=incident.ended_at)
        if incident.state in FINAL:
            return self._dispatch.move(
                facts, at, blocked=self._flaps_by((incident.service, incident.rule, incident.series))
            )
        if known is not None:
            return self._dispatch.move(facts, at, blocked=known.blocked, wait=_wait_of(known))
        held, wait = self._reason_to_wait(incident, at)
        notices = self._dispatch.move(facts, at, blocked=held, wait=wait)
        if wait is not None and (member := self._dispatch.member(incident.id)) is not None:
            self._wants.update(dict.fromkeys(wait.checks))
            self._wait_for_parents(member)
        return notices

    def _told_incidents(self) -> Iterator[Facts]:
        """The incidents of which somebody is told, if a route says so."""
        for incident in self.incidents():
            if not incident.draft and incident.state is not State.PENDING:
                facts = self._facts(incident)
                if facts is not None:
                    yield facts

    def _settle(self, settled: Settled, at: Instant) -> list[Decision]:
        """A notice that was not delivered goes to the next contact of a person, or else the owners hear of it."""
        notices: list[Decision] = list(self._dispatch.settled(settled, at))
        return notices or list(routing.tell_owners(self._configuration.owners, settled, decided_at=at))

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
        return list(self._dispatch.flap(rule, policy.configured, event.series, at, percent=event.percent))

    def _steady(self, subject: tuple[str, str, Series], at: Instant) -> list[Decision]:
        """It flaps no more: who heard that it did hears how it is."""
        if subject not in self._dispatch.flaps():
            return []
        policy = self._policies[subject[0]]
        service = policy.configured
        rule = next((rule for rule in service.rules if rule.name == subject[1]), None)
        facts = None
        if rule is not None:
            mine = [each for each in policy.incidents() if (each.rule, each.series) == subject[1:]]
            state = str(mine[0].state) if mine else "well"
            facts = routing.facts_of_flapping(rule, service, subject[2], f"is steady again: {state}")
        return list(self._dispatch.steady(subject, facts, at))

    # Parents ----------------------------------------------------------------------------------------------------------

    def _reason_to_wait(self, incident: Incident, at: Instant) -> tuple[Held | None, Wait | None]:
        """Why nobody is told of an incident that has just opened, and which checks are asked again before."""
        blocked = parents.blocking(incident, self._policies)
        if blocked is not None and blocked.state is not State.PENDING:
            return Held(Withheld.UNREACHABLE, by=blocked.id), None
        held = self._flaps_by((incident.service, incident.rule, incident.series))
        if held is not None:
            return held, None
        wait = parents.to_be_asked(incident, self._policies, at, self._observing)
        if wait is not None:
            return Held(Withheld.RECHECKING, by=", ".join(wait.checks)), wait
        return self._blocked(incident), None

    def _wait_for_parents(self, member: Member) -> None:
        incident = self._incident(member.incident)
        if member.until is not None and incident is not None:
            key = (incident.service, incident.rule, incident.series, _RECHECK)
            self._agenda.book(key, member.until.ns, Order.RECHECK)

    def _rechecked(self, check: str, at: Instant) -> list[Decision]:
        """A check ran that incidents wait for: those that wait for no other are told, or held for the parent."""
        decisions: list[Decision] = []
        for member in list(self._dispatch.awaiting(check)):
            awaits = tuple(name for name in member.awaits if name != check)
            self._dispatch.await_only(member.incident, awaits)
            if not awaits:
                decisions += self._end_wait(member, at)
        return decisions

    def _stop_waiting(self, key: Key, at: Instant) -> list[Decision]:
        """Their whole budget has passed, and the parents did not say anything new."""
        self._agenda.cancel(key)
        policy = self._policies[key[0]]
        if policy.in_gap:
            self._postponed.append(key)
            return []
        found = [each for each in policy.incidents() if (each.rule, each.series) == key[1:3]]
        members = [member for each in found if (member := self._dispatch.member(each.id)) is not None]
        return [decision for member in members for decision in self._end_wait(member, at)]

    def _end_wait(self, member: Member, at: Instant) -> list[Decision]:
        incident = self._incident(member.incident)
        if incident is None or member.blocked is None or member.until is None:
            return []
        self._agenda.cancel((incident.service, incident.rule, incident.series, _RECHECK))
        blocked = self._blocked(incident)
        if blocked is not None and incident.state is State.OPEN:
            return list(self._dispatch.block(incident.id, blocked, at))
        return list(self._dispatch.free(incident.id, at))

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

    def _release(self, service: str, check: str, at: Instant) -> list[Decision]:
        """Tell what a dependency held back, at the first breached sample after the parent was over.

        What somebody acknowledged meanwhile is known, and told to nobody.
        """
        policy = self._policies[service]
        decisions: list[Decision] = []
        for member in list(self._dispatch.blocked(service)):
            if member.awaits or member.blocked is None:
                continue
            if member.blocked.reason is Withheld.FLAPPING:
                continue  # told when it is steady
            incident = self._incident(member.incident)
            if incident is None or incident.state is not State.OPEN or self._blocked(incident):
                continue
            if policy.breached_now(incident, check, at):
                decisions += self._dispatch.free(incident.id, at)
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

    def _shift(self, stamp: Stamp, delta: Duration) -> None:
        """A new epoch: every due instant and every counted one moves with the clock."""
        assert stamp.epoch == self._judged.epoch + 1, "epochs follow one another"
        self._agenda.shift(delta)
        self._touched = dict.fromkeys(self._policies)
        for policy in self._policies.values():
            policy.shift(delta, stamp.at)
        self._dispatch.shift(delta, stamp.at)
        self._shifts = (*self._shifts, (stamp.epoch, delta))


def _wait_of(member: Member) -> Wait | None:
    return None if member.until is None else Wait(member.awaits, member.until)


def _subject(event: Event) -> tuple[str, str]:
    """Rule and series: how a run's events are ordered, each subject's own staying as they are."""
    what = event.incident if isinstance(event, IncidentMoved) else event
    return ("", "") if isinstance(what, SilenceMoved) else (what.rule, str(getattr(what, "series", "")))


def _named(check: str) -> tuple[str, str]:
    """Service and check of `service.check`."""
    service, _, name = check.partition(".")
    return service, name


def _rules(configuration: Configuration) -> dict[tuple[str, str], Rule]:
    return {(rule.service, rule.name): rule for service in configuration.services for rule in service.rules}

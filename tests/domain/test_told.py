"""SEMANTICS, "Notices": whatever happens to a few services, everybody's last word about them is the truth in the end.

Hypothesis lives through evenings of breaks, silences, acknowledgements, work, reloads, gaps, restarts and failed
deliveries. A twin that is never restarted decides the same; a small model counts what each recipient was told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration, Inhibition, Person, QuietHours, Route
from service_monitoring.domain.course import Course
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.groups import Group, Member, after
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Settled,
    Silenced,
    Stamp,
    Stepped,
    Unsilenced,
)
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.domain.rotas import Handover, Layer, Rota
from service_monitoring.domain.rules import Flapping, Severity, Worse
from service_monitoring.domain.samples import Series
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.domain.silences import Silence, Wanted
from service_monitoring.domain.strategies import Threshold
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_grouping,
    a_rule,
    a_service,
    a_step,
    above,
    an_observation,
    equals,
    instant,
    span,
)
from service_monitoring.wire.codec import decode
from tests.domain.test_course import Shelf
from tests.drawing import drawn

Subject = tuple[str, str, Series | None]

QUIET = ActiveHours("UTC", spans=(Span(3, 6),))
WORK = Maintenance("work", (equals("service", "shop"),), Once(instant("+4m"), instant("+8m")))
PEOPLE = (
    Person("ada", ("pager", "mail"), QuietHours(QUIET, (Severity.CRITICAL,))),
    Person("bob", ("phone",)),
)
ROTA = Rota("team", "UTC", layers=(Layer(("ada", "bob"), span("1h"), Handover(7), starts=instant("-1d")),))
MUTE = Inhibition((equals("rule", "down"),), (equals("rule", "slow"),), ("service",))
NEVER_TOLD = frozenset({Page.OWNER, Page.FLAPPING, Page.STEADY})
RANK = {severity: rank for rank, severity in enumerate(Severity)}
PLACES = [("shop", "a"), ("shop", "b"), ("shop", "b"), ("shop", "c"), ("base", "a")]
VALUES = [0.0, 2.0, 2.0, 9.0]
WAITS = [1, 7, 20, 31, 60, 120]
SILENCED = [equals("service", "shop"), equals("rule", "slow"), equals("service", "base")]
OUTCOMES = [Delivery.DELIVERED, Delivery.PARKED, Delivery.WITHHELD]
CALLS = frozenset({Page.FIRST, Page.RELEASED, Page.RAISED, Page.REPEATED, Page.ESCALATED})


def the_routes(variant: int) -> tuple[Route, ...]:
    """Two routes of two steps each; variants swap them, change recipients, leave one out, and wait for nothing."""
    urgent = a_grouping(
        "routes[0]",
        equals("severity", "critical"),
        steps=[a_step("channel.ops"), a_step("person.ada", after="30s")],
        wait=span("5s"),
        interval=span("20s"),
        repeat=span("1m"),
        rounds=2,
        proceed=variant == 4,
    )
    usual = a_grouping(
        "routes[1]",
        steps=[a_step("oncall.team"), a_step("channel.log", after="30s")],
        wait=span("5s"),
        interval=span("20s"),
        repeat=span("1m"),
    )
    match variant:
        case 1:
            return replace(usual, path="routes[0]", matchers=(equals("severity", "warning"),)), replace(
                urgent, path="routes[1]"
            )
        case 2:
            return (replace(usual, path="routes[0]"),)
        case 3:
            return urgent, replace(usual, interval=span("0s"), group_by=("...",))
        case 5:
            return urgent, replace(usual, steps=(a_step("channel.desk"), *usual.steps[1:]))
        case _:
            return urgent, usual


def the_configuration(variant: int) -> Configuration:
    shop = a_service(
        a_rule("down", check="a", severity=Severity.CRITICAL),
        a_rule("slow", check="b", worse=[Worse(Severity.CRITICAL, above(5.0))]),
        a_rule("jumpy", check="c", flapping=Flapping()),
        checks=[a_check(name, stale_after="30d", forget_after="30d") for name in "abc"],
    )
    base = a_service(
        a_rule("lost", Threshold(above(1.0)), service="base", check="a", depends_on=["shop.down"]),
        name="base",
        checks=[a_check("a", service="base", stale_after="30d", forget_after="30d")],
    )
    return replace(
        a_configuration(shop, base, routes=the_routes(variant)),
        people=PEOPLE,
        rotas=(ROTA,),
        inhibitions=(MUTE,),
        maintenances=(WORK,),
    )


@dataclass
class Ears:
    """What every recipient of a group believes, told by nothing but the notices."""

    states: dict[str, Incident] = field(default_factory=dict)
    believed: dict[tuple[str, str], dict[Subject, tuple[str, int, Severity | None]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    sequences: Counter[str] = field(default_factory=Counter)
    owed: Counter[tuple[str, str, Stamp]] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)

    def hear(self, stamp: Stamp, decision: object, silences: tuple[Silence, ...]) -> None:
        if isinstance(decision, IncidentMoved):
            self.states[decision.incident.id] = decision.incident
        elif isinstance(decision, Notice):
            assert decision.key not in self.keys, "a key names one notice"
            self.keys.add(decision.key)
            if decision.held is None and decision.page not in {Page.OWNER, Page.STEADY}:
                self._is_not_silenced(decision, silences)
            if decision.page not in NEVER_TOLD:
                self._noticed(stamp, decision)

    def _is_not_silenced(self, notice: Notice, silences: tuple[Silence, ...]) -> None:
        for facts in (notice.facts, *notice.others):
            holding = [each.id for each in silences if each.holds(dict(facts.labels), notice.decided_at)]
            assert holding == [], "nothing is said of what is silenced"

    def _noticed(self, stamp: Stamp, notice: Notice) -> None:
        self.sequences[notice.group] += 1
        assert notice.sequence == self.sequences[notice.group], "without holes"
        if notice.held is not None:
            return
        place = (notice.group, notice.recipient, stamp)
        self.owed[place] += 1
        assert self.owed[place] == 1, "a flush says one thing to each"
        listed = {facts.incident: facts for facts in (notice.facts, *notice.others)}
        if notice.page in CALLS:
            assert any(self.states[id].state is State.OPEN for id in listed), "nobody is called for what is taken on"
        believed = self.believed[notice.group, notice.recipient]
        for id in sorted(notice.news, key=lambda id: self.states[id].state not in FINAL):
            incident = self.states[id]
            subject = (incident.service, incident.rule, incident.series)
            if incident.state in FINAL:
                assert subject in believed or _is_jumpy(subject), "only who was told of it is told of its end"
                believed.pop(subject, None)
                continue
            known = believed.get(subject)
            fresh = known is None or known[0] != id or known[2] != incident.severity
            assert fresh or _is_jumpy(subject), "nobody is told twice"
            believed[subject] = (id, notice.sequence, _severity(listed, id))

    def not_heard(self, settled: Settled) -> None:
        believed = self.believed[settled.group, settled.recipient]
        for subject in [each for each, known in believed.items() if known[1] == settled.sequence]:
            del believed[subject]


def _severity(listed: dict[str, Facts], id: str) -> Severity | None:
    return listed[id].severity if id in listed else None


def _is_jumpy(subject: Subject) -> bool:
    """What flaps is told in a way of its own: these are not in the count."""
    return subject[1] == "jumpy"


class Evening(RuleBasedStateMachine):
    """Some twenty minutes, in whole seconds, from midnight on."""

    def __init__(self) -> None:
        super().__init__()
        self.course, self.twin, self.shelf, self.ears = Course(), Course(), Shelf(), Ears()
        self.epoch, self.second, self.shift = 0, 0, 0
        self.values: dict[tuple[str, str], float] = {}
        self.unsettled: dict[str, Notice] = {}
        self.saw_a_gap = self.broken = False
        self.step(Configured(the_configuration(0)))

    # What happens -----------------------------------------------------------------------------------------------------

    @rule(
        where=some.sampled_from(PLACES),
        value=some.sampled_from(VALUES),
        later=some.integers(1, 9),
    )
    def samples(self, where: tuple[str, str], value: float, later: int) -> None:
        self.second += later
        self.observe(where, value)

    @rule(later=some.sampled_from(WAITS))
    def time(self, later: int) -> None:
        self.second += later
        self.step(Marked(MarkKind.ALIVE))

    @rule(times=some.integers(4, 14))
    def flapping(self, times: int) -> None:
        for number in range(times):
            self.second += 2
            self.observe(("shop", "c"), 2.0 * (number % 2))

    @rule(act=some.sampled_from([Act.ACKNOWLEDGE, Act.ACKNOWLEDGE, Act.SNOOZE, Act.RESOLVE]), which=some.integers(0, 3))
    def act(self, act: Act, which: int) -> None:
        self.second += 1
        known = [each for each in self.course.incidents() if each.state is State.OPEN]
        if known:
            lasting = act is Act.RESOLVE or (act is Act.ACKNOWLEDGE and which % 2)
            expires = None if lasting else Duration(45 * SECOND)
            self.step(Acted(known[which % len(known)].id, act, "ada", expires_after=expires))

    @rule(
        matcher=some.sampled_from(SILENCED),
        lasts=some.sampled_from([10, 40, 90]),
    )
    def silence(self, matcher: Matcher, lasts: int) -> None:
        self.second += 1
        self.step(Silenced(Wanted((matcher,), "ada", lasts=Duration(lasts * SECOND))))

    @rule(which=some.integers(0, 3))
    def unsilence(self, which: int) -> None:
        self.second += 1
        known = [each for each in self.course.silences() if each.ends > self.at()]
        if known:
            self.step(Unsilenced(known[which % len(known)].id, "ada"))

    @rule(variant=some.integers(0, 5))
    def reload(self, variant: int) -> None:
        self.second += 1
        self.step(Configured(the_configuration(variant)))

    @rule(lasts=some.sampled_from([3, 25, 100]))
    def gap(self, lasts: int) -> None:
        self.second += 1
        self.saw_a_gap = True
        self.step(GapBegan(GapCause.RESTART))
        self.second += lasts
        self.step(GapEnded())

    @rule(by=some.sampled_from([-130, 65, 3600]))
    def clock(self, by: int) -> None:
        self.second += 1
        delta = Duration(by * SECOND + SECOND // 2)
        self.epoch, self.shift = self.epoch + 1, self.shift + delta
        self.step(Stepped(delta))

    @rule()
    def restart(self) -> None:
        self.course = self.shelf.revive()
        assert self.course.take_changes() is None

    @precondition(lambda self: self.unsettled)
    @rule(which=some.integers(0, 5), delivery=some.sampled_from(OUTCOMES))
    def outcome(self, which: int, delivery: Delivery) -> None:
        self.second += 1
        notice = list(self.unsettled.values())[which % len(self.unsettled)]
        self.step(Marked(MarkKind.ALIVE))
        held = self.course.withheld(notice, self.at())
        if held is not None:
            delivery = Delivery.WITHHELD
        elif delivery is Delivery.WITHHELD:
            return
        del self.unsettled[notice.key]
        self.second += 1
        self.step(
            Settled(
                notice.key,
                delivery,
                notice.channel,
                notice.page,
                held=held,
                group=notice.group,
                sequence=notice.sequence,
                recipient=notice.recipient,
            )
        )

    # How it is checked ------------------------------------------------------------------------------------------------

    def observe(self, where: tuple[str, str], value: float) -> None:
        self.values[where] = value
        self.step(Observed(*where, an_observation({"value": value}), self.at()))

    def at(self) -> Instant:
        return START.plus(Duration(self.second * SECOND + self.shift))

    def step(self, what: Input) -> None:
        silences, self.broken = self.course.silences(), True
        admitted = Admitted(Stamp(self.epoch, self.at()), what)
        ruling = self.course.step(admitted)
        assert not ruling.refusal, ruling.refusal
        assert ruling.decisions == self.twin.step(admitted).decisions, "a restart changes nothing"
        self.twin.take_changes()
        for number, (stamp, decision) in enumerate(ruling.decisions):
            if isinstance(what, Settled) and stamp == admitted.stamp and self._is_first(ruling.decisions, number):
                self.settle(what)
            self.ears.hear(stamp, decision, silences)
            if isinstance(decision, Notice) and decision.held is None:
                self.unsettled[decision.key] = decision
        if isinstance(what, Settled) and not any(stamp == admitted.stamp for stamp, _ in ruling.decisions):
            self.settle(what)
        self.shelf.keep(self.course, admitted, ruling.taken)
        self.escalations()
        self.broken = False

    @staticmethod
    def _is_first(decisions: tuple[tuple[Stamp, object], ...], number: int) -> bool:
        return number == 0 or decisions[number - 1][0] != decisions[number][0]

    def settle(self, settled: Settled) -> None:
        """What was withheld was not heard; nor was what is said by another contact now."""
        by_another = (settled.recipient, settled.channel) == ("person.ada", "pager")
        if settled.delivery is Delivery.WITHHELD or (settled.delivery is Delivery.PARKED and by_another):
            self.ears.not_heard(settled)

    def groups(self) -> list[Group]:
        return [group for body in self.shelf.groups.values() if not (group := decode(Group, body)).ended]

    def members(self, group: Group) -> list[Member]:
        members = [decode(Member, body) for (_, id), body in self.shelf.members.items() if id == group.id]
        return [member for member in members if not member.gone]

    def escalations(self) -> None:
        for group in self.groups():
            numbers = [taken.number for taken in group.taken]
            assert numbers == sorted(set(numbers))
            if not self.saw_a_gap:
                assert numbers == list(range(len(numbers))), "no step is skipped"
            for taken in group.taken:
                assert group.started is not None
                assert taken.at.since(group.started) >= after(group.route, taken.number), "no step comes too early"

    def teardown(self) -> None:
        """All that holds notices ends, and two intervals pass."""
        if self.broken:
            return
        for silence in self.course.silences():
            if silence.ends > self.at().plus(Duration(SECOND)):
                self.second += 1
                self.step(Unsilenced(silence.id, "ada"))
        self.second += 1
        self.observe(("shop", "a"), 0.0)
        for where in [("shop", "c"), ("base", "a")]:
            self.second += 1
            self.observe(where, self.values.get(where, 0.0))
        while self.is_an_appointment():
            self.second += 10
            self.step(Marked(MarkKind.ALIVE))
        self.second += 130
        self.step(Marked(MarkKind.ALIVE))
        self.all_know_the_truth()

    def is_an_appointment(self) -> bool:
        minutes = [self.at().since(START) // MINUTE % (24 * 60), (self.at().since(START) // MINUTE + 3) % (24 * 60)]
        return any(minute < 12 for minute in minutes)

    def all_know_the_truth(self) -> None:
        alive = {incident.id: incident for incident in self.course.incidents() if incident.state is not State.PENDING}
        subjects = {(each.service, each.rule, each.series): each for each in alive.values()}
        for place, believed in self.ears.believed.items():
            for subject in believed:
                assert subject in subjects or _is_jumpy(subject), f"{place} still believes that {subject} is open"
        heard: set[str] = set()
        for group in self.groups():
            for member in self.members(group):
                if member.left or member.over or member.facts.state != State.OPEN:
                    continue
                for recipient in group.taken[0].recipients if group.taken and not group.taken[0].since else ():
                    known = self.ears.believed[group.id, recipient].get(_subject(member.facts))
                    assert known is not None or _is_jumpy(_subject(member.facts)), f"{recipient} was not told"
                    # What began anew within a maintenance is known under the severity of what ended in it.
                    told = None if known is None else known[2]
                    assert told is None or RANK[told] >= RANK[member.facts.severity], f"{recipient} was told {known}"
                heard.add(member.incident)
        for incident in alive.values():
            assert incident.state is State.ACKNOWLEDGED or incident.id in heard, f"nobody was told of {incident}"


def _subject(facts: Facts) -> Subject:
    return facts.service, facts.rule, facts.series


TestEvening = Evening.TestCase
TestEvening.settings = settings(max_examples=drawn(1), stateful_step_count=40, deadline=None)


def an_evening(random: Random) -> None:
    """As dense as none that Hypothesis comes upon by itself."""
    evening = Evening()
    happening: list[Callable[[], None]] = [
        *[lambda: evening.samples(random.choice(PLACES), random.choice(VALUES), random.randint(1, 9))] * 6,
        *[lambda: evening.time(random.choice(WAITS))] * 4,
        *[lambda: evening.outcome(random.randint(0, 5), random.choice(OUTCOMES)) if evening.unsettled else None] * 4,
        lambda: evening.act(random.choice([Act.ACKNOWLEDGE, Act.SNOOZE, Act.RESOLVE]), random.randint(0, 3)),
        lambda: evening.flapping(random.randint(4, 14)),
        lambda: evening.silence(random.choice(SILENCED), random.choice([10, 40, 90])),
        lambda: evening.unsilence(random.randint(0, 3)),
        lambda: evening.reload(random.randint(0, 5)),
        lambda: evening.gap(random.choice([3, 25, 100])),
        lambda: evening.clock(random.choice([-130, 65, 3600])),
        evening.restart,
    ]
    for _ in range(80):
        random.choice(happening)()
    evening.teardown()


@pytest.mark.parametrize("batch", range(4))
def test_after_an_evening_everybody_was_told_the_truth(batch: int) -> None:
    for seed in range(25 * batch, 25 * (batch + 1)):
        an_evening(Random(seed))

"""The course over random days: the same decisions in every process and after any restart, and never an unsafe one."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from msgspec.structs import replace

from service_monitoring.domain.configuration import Check, Configuration
from service_monitoring.domain.course import Course, Decision, Progress, order_of
from service_monitoring.domain.dispatch import Flap, Told
from service_monitoring.domain.events import IncidentMoved, IncidentNoted
from service_monitoring.domain.groups import Group, Member
from service_monitoring.domain.holds import StoredHold
from service_monitoring.domain.incidents import FINAL, MOVES, Incident, State
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
    Pinged,
    Pushed,
    PushedSample,
    Requeued,
    Retired,
    Settled,
    Signal,
    Silenced,
    Stamp,
    Stepped,
    Taken,
    Unsilenced,
)
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.jobs import StoredJob
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.recollections import recollect
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Outcome, Series
from service_monitoring.domain.silences import StoredSilence, Wanted
from service_monitoring.domain.strategies import Aggregate, Function
from service_monitoring.domain.tracks import HoldKey as Key
from service_monitoring.testing.builders import (
    START,
    a_configuration,
    a_course,
    a_push,
    a_rule,
    a_service,
    above,
    an_observation,
    instant,
)
from service_monitoring.wire.codec import decode, encode
from service_monitoring.wire.ledger import ledger
from tests.domain import days

SEEDS = 120
BATCHES = 4


a_day = cache(days.a_day)

EXAMPLES: list[Input] = [
    Acted("", Act.RESOLVE, "ada"),
    Retired("shop", "slow", "-", "ada"),
    Silenced(Wanted((Matcher("service", MatchOperator.EQUALS, "shop"),), "ada", lasts=Duration(1))),
    Unsilenced("", "ada"),
    Requeued("", "ada"),
    Configured(a_configuration()),
    Stepped(Duration(1)),
    Observed("shop", "health", an_observation(), START),
    Pinged("shop", "backup", Signal.SUCCESS),
    Pushed("shop", "orders", ()),
    Settled("", Delivery.DELIVERED, "ops", Page.FIRST),
    Marked(MarkKind.ALIVE),
    GapEnded(),
    GapBegan(GapCause.RESTART),
]


def batch(number: int) -> range:
    return range(number * SEEDS // BATCHES, (number + 1) * SEEDS // BATCHES)


# Determinism ----------------------------------------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_decisions_under_any_hash_seed(project: Path) -> None:
    """Sets and hashes order nothing that is decided."""
    digests = {
        subprocess.run(
            [sys.executable, "-m", "tests.domain.days", "0", "12"],
            cwd=project,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(project)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert len(digests) == 1


def test_a_day_decided_twice_is_the_same_day() -> None:
    for seed in range(20):
        day = a_day(seed)
        course = Course()
        assert [pair for admitted in day.inputs for pair in course.step(admitted).decisions] == day.decided


def test_decisions_come_in_the_order_of_their_stamps() -> None:
    for seed in range(60):
        stamps = [stamp for stamp, _ in a_day(seed).decided]
        assert stamps == sorted(stamps)


def test_every_kind_of_input_has_its_place_in_the_order() -> None:
    assert set(get_args(Input)) == {type(what) for what in EXAMPLES}
    assert sorted(order_of(what).name for what in EXAMPLES) == [
        "CONFIGURATION", "CONFIGURATION", "GAP_END", "GAP_START", "MARK", "OBSERVATION", "OBSERVATION",
        "OBSERVATION", "OUTCOME", "PERSON", "PERSON", "PERSON", "PERSON", "PERSON",
    ]  # fmt: skip


def test_an_input_out_of_order_is_a_defect_of_the_driver() -> None:
    course = a_course(a_rule(), at="+10s")
    with pytest.raises(AssertionError):
        course.step(Admitted(Stamp(0, START), Marked(MarkKind.ALIVE)))
    course.step(Admitted(Stamp(0, START.plus(Duration(20 * SECOND))), Marked(MarkKind.ALIVE)))
    with pytest.raises(AssertionError):
        course.step(Admitted(Stamp(0, START.plus(Duration(20 * SECOND))), Configured(a_configuration())))


def test_when_it_wants_to_be_asked_again_is_never_later_than_its_next_timer() -> None:
    """A driver that wakes at `due` and not a moment earlier decides what one that asks all the time decides."""
    for seed in range(30):
        day = a_day(seed)
        course = Course()
        decided: list[tuple[Stamp, Decision]] = []
        for admitted in day.inputs:
            # Nothing of an input of a later epoch is known before it comes.
            while admitted.stamp.epoch == course.progress.judged.epoch:
                due = course.due()
                if due is None or due.plus(Duration(1)) >= admitted.stamp.at:
                    break
                woken = Admitted(Stamp(admitted.stamp.epoch, due.plus(Duration(1))), Marked(MarkKind.ALIVE))
                decided += course.step(woken).decisions
                again = course.due()
                assert again is None or again > due
            decided += course.step(admitted).decisions
        assert decided == day.decided


# Restart --------------------------------------------------------------------------------------------------------------


@dataclass
class Shelf:
    """Keeps what a store keeps, as bytes, and gives back no more of the observations than the reach asks for."""

    configuration: bytes = b""
    progress: bytes = b""
    holds: dict[Key, bytes] = field(default_factory=dict)
    incidents: dict[str, bytes] = field(default_factory=dict)
    groups: dict[str, bytes] = field(default_factory=dict)
    members: dict[tuple[str, str], bytes] = field(default_factory=dict)
    flaps: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    silences: dict[str, bytes] = field(default_factory=dict)
    observed: list[Admitted] = field(default_factory=list)

    def keep(self, course: Course, admitted: Admitted, taken: Sequence[Taken] = ()) -> None:
        match admitted.input:
            case Observed():
                self.observed.append(admitted)
            case Pushed(service, check, samples):
                judged = (sample for sample, mark in zip(samples, taken, strict=True) if mark is Taken.JUDGED)
                self.observed.append(Admitted(admitted.stamp, Pushed(service, check, tuple(judged))))
            case _:
                pass
        if isinstance(admitted.input, Configured):
            self.configuration = encode(admitted.input.configuration)
        changes = course.take_changes()
        self.progress = encode(course.progress)
        if changes is None:
            return
        for key in changes.forgotten:
            self.holds.pop(key, None)
        for hold in changes.holds:
            self.holds[hold.service, hold.rule, hold.series] = encode(hold)
        for incident in changes.incidents:
            self.incidents[incident.id] = encode(incident)
        for group in changes.told.groups:
            self.groups[group.id] = encode(group)
        for member in changes.told.members:
            self.members[member.incident, member.group] = encode(member)
        for flap in changes.told.flaps:
            self.flaps[flap.id] = encode(flap)
        for job in changes.jobs:
            self.jobs[job.service, job.check] = encode(job)
        for silence in changes.silences:
            self.silences[silence.silence.id] = encode(silence)

    def revive(self) -> Course:
        incidents = [decode(Incident, body) for body in self.incidents.values()]
        course = Course.revive(
            configuration=decode(Configuration, self.configuration),
            progress=decode(Progress, self.progress),
            # A store gives them back in an order of its own.
            holds=[decode(StoredHold, body) for _, body in sorted(self.holds.items(), reverse=True)],
            incidents=[incident for incident in incidents if incident.state not in FINAL],
            told=Told(
                tuple(decode(Group, body) for _, body in sorted(self.groups.items())),
                tuple(decode(Member, body) for _, body in sorted(self.members.items())),
                tuple(decode(Flap, body) for _, body in sorted(self.flaps.items())),
            ),
            jobs=[decode(StoredJob, body) for body in self.jobs.values()],
            silences=[decode(StoredSilence, body) for body in self.silences.values()],
        )
        for service in course.configuration.services:
            for check in service.checks:
                known = self._within_reach(course, service.name, check)
                if check.allowance:
                    course.recall_pushed(service.name, check.name, known)
                else:
                    for recollection in recollect(known):
                        course.recall(recollection)
        course.rebook()
        return course

    def _within_reach(self, course: Course, service: str, check: Check) -> list[Admitted]:
        reach = course.reach(service, check.name)
        known = [
            admitted
            for admitted in self.observed
            if isinstance(admitted.input, Observed | Pushed)
            and (admitted.input.service, admitted.input.check) == (service, check.name)
        ]
        needed = len(known)
        counts: dict[Series, int] = defaultdict(int)
        for index in range(len(known) - 1, -1, -1):
            series = _series(known[index])
            young = course.progress.judged.at.ns - _now(course, known[index]) < reach.over + 2 * check.allowance
            few = reach.samples > 1 and any(counts[each] < reach.samples for each in series)
            if young or few or index == len(known) - 1:
                needed = index
            for each in series:
                counts[each] += 1
        return known[needed:]


def _now(course: Course, admitted: Admitted) -> int:
    shift = sum(delta for epoch, delta in course.progress.shifts if epoch > admitted.stamp.epoch)
    return admitted.stamp.at.ns + shift


def _series(admitted: Admitted) -> list[Series]:
    what = admitted.input
    if isinstance(what, Pushed):
        return [Series(what.service, what.check, each.metric, each.labels) for each in what.samples]
    assert isinstance(what, Observed)
    if what.observation.outcome is Outcome.UNKNOWN:
        return []
    measured = what.observation.measurements
    return [Series(what.service, what.check, each.metric, each.labels) for each in measured] + [
        Series(what.service, what.check, "up")
    ]


def test_a_sample_that_is_due_at_the_last_instant_before_a_restart_is_judged_after_it() -> None:
    configuration = a_configuration(a_service(a_rule("most", check="orders"), checks=[a_push("orders")]))
    course, shelf = Course(), Shelf()
    for at, what in (
        ("+0s", Configured(configuration)),
        ("+20s", Pushed("shop", "orders", (PushedSample(instant("+20s"), "value", 5.0),))),
        ("+30s", Marked(MarkKind.ALIVE)),  # its allowance is over now, and signs of life come before samples
    ):
        admitted = Admitted(Stamp(0, instant(at)), what)
        shelf.keep(course, admitted, course.step(admitted).taken)
    assert not course.incidents()
    course = shelf.revive()
    course.step(Admitted(Stamp(0, instant("+31s")), Marked(MarkKind.ALIVE)))
    assert [incident.state for incident in course.incidents()] == ["open"]


def test_samples_that_came_out_of_order_are_all_remembered_after_a_restart() -> None:
    most = Aggregate(above(2.0), function=Function.MAX, over=Duration(40 * SECOND))
    rule = a_rule("most", most, check="orders")
    course, shelf = Course(), Shelf()

    def tell(at: str, what: Input) -> list[Decision]:
        admitted = Admitted(Stamp(0, instant(at)), what)
        ruling = course.step(admitted)
        shelf.keep(course, admitted, ruling.taken)
        return [decision for _, decision in ruling.decisions]

    def push(at: str, measured: str, value: float) -> None:
        tell(at, Pushed("shop", "orders", (PushedSample(instant(measured), "value", value),)))

    tell("+0s", Configured(a_configuration(a_service(rule, checks=[a_push("orders")]))))
    push("+20s", "+22s", 1.0)
    push("+21s", "+17s", 5.0)  # within its allowance, but measured before what is known
    push("+45s", "+44s", 1.0)
    tell("+46s", Marked(MarkKind.ALIVE))
    (before,) = course.incidents()
    course = shelf.revive()
    tell("+55s", Marked(MarkKind.ALIVE))
    assert course.incidents()[0].evidence.value == 5.0
    assert course.incidents()[0].id == before.id


@pytest.mark.parametrize("number", range(BATCHES))
def test_after_a_restart_at_any_input_the_day_goes_on_as_if_nothing_had_happened(number: int) -> None:
    for seed in batch(number):
        day, random = a_day(seed), Random(seed)
        restarts = set(random.sample(range(len(day.inputs)), 5))
        course, shelf = Course(), Shelf()
        decided: list[tuple[Stamp, Decision]] = []
        for index, admitted in enumerate(day.inputs):
            ruling = course.step(admitted)
            decided += ruling.decisions
            shelf.keep(course, admitted, ruling.taken)
            if index in restarts:
                course = shelf.revive()
                assert course.take_changes() is None, "a restart changes nothing"
            # One by one, so that a failure shows the first decision that differs, and after which input.
            wanted = day.decided[: len(decided)]
            assert decided == wanted, f"seed {seed}, after input {index}, restarts {sorted(restarts)}"
        assert decided == day.decided, f"seed {seed}, restarts {sorted(restarts)}"


# Safety ---------------------------------------------------------------------------------------------------------------


class Watcher:
    """Sees every decision as it comes and asserts what must hold after each of them."""

    def __init__(self) -> None:
        self.states: dict[str, Incident] = {}
        self.current: dict[tuple[str, str, Series], str] = {}
        self.sequences: dict[str, int] = defaultdict(int)
        self.told: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.keys: set[str] = set()

    def see(self, decisions: Iterable[tuple[Stamp, Decision]]) -> None:
        for stamp, decision in decisions:
            assert decision.decided_at == stamp.at
            if isinstance(decision, IncidentMoved):
                self._moved(decision.incident)
            elif isinstance(decision, IncidentNoted) and decision.act is Act.ASSIGN:
                # Nothing else of the incident is another now: it is compared as a whole.
                before = self.states[decision.incident]
                self.states[decision.incident] = replace(before, assigned_to=decision.to)
            elif isinstance(decision, Notice):
                self._noticed(decision)

    def _moved(self, incident: Incident) -> None:
        before = self.states.get(incident.id)
        key = (incident.service, incident.rule, incident.series)
        if before is None:
            assert incident.state is State.PENDING
            assert incident.sequence == 1
            assert key not in self.current, "one episode at a time"
            self.current[key] = incident.id
        else:
            assert incident.sequence == before.sequence + 1
            assert any(MOVES[pair] is incident.state for pair in MOVES if pair[0] is before.state)
            levels = list(Severity)
            assert levels.index(incident.severity) >= levels.index(before.severity), "a severity never falls"
            assert (incident.breached_at, incident.previous) == (before.breached_at, before.previous)
        if incident.state in FINAL:
            del self.current[key]
        self.states[incident.id] = incident

    def _noticed(self, notice: Notice) -> None:
        assert notice.key not in self.keys, "a key names one notice"
        self.keys.add(notice.key)
        if notice.page in {Page.OWNER, Page.FLAPPING, Page.STEADY}:
            return
        assert notice.sequence == self.sequences[notice.group] + 1
        self.sequences[notice.group] = notice.sequence
        for incident in notice.news:
            known = self.told[notice.group, notice.recipient]
            if self.states[incident].state in FINAL:
                assert incident in known, "only who was told of it is told of its end"
                if notice.held is None:
                    known.remove(incident)
            elif notice.held is None and notice.page is not Page.RAISED:
                assert self.states[incident].state is State.OPEN
                assert incident not in known, "nobody is told twice that it opened"
                known.add(incident)


def test_one_episode_at_a_time_by_the_table_in_sequence_and_told_once() -> None:
    for seed in range(SEEDS):
        day = a_day(seed)
        watcher, course = Watcher(), Course()
        for admitted in day.inputs:
            watcher.see(course.step(admitted).decisions)
            alive = {incident.id for incident in course.incidents()}
            assert alive == set(watcher.current.values()), f"seed {seed}"
            assert all(watcher.states[incident.id] == incident for incident in course.incidents())


def test_the_days_are_worth_something() -> None:
    reached = {
        decision.incident.state
        for seed in range(60)
        for _, decision in a_day(seed).decided
        if isinstance(decision, IncidentMoved)
    }
    assert reached == set(State)


def test_the_ledger_of_a_day_does_not_depend_on_the_order_of_its_decisions() -> None:
    for seed in range(10):
        decided = [decision for _, decision in a_day(seed).decided]
        shuffled = Random(seed).sample(decided, len(decided))
        assert ledger(shuffled) == ledger(decided)

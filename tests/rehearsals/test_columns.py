"""Samples as columns, known ahead of time, decide what they decide one by one: the same bytes of ledger.

Two courses live through a drawn time: one is told each run and each push when it comes, the other is handed columns,
cut wherever it pleases. Both are told of the same people and gaps. Once under a configuration with a rule of each kind,
and under configurations that are drawn, too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as draw
from msgspec.structs import replace

from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.course import Course, Decision
from service_monitoring.domain.events import SeriesFlapped
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Pushed,
    PushedSample,
    Silenced,
    Stamp,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Series, samples_of
from service_monitoring.domain.silences import Wanted
from service_monitoring.domain.strategies import Absence
from service_monitoring.domain.stretches import Stretch
from service_monitoring.testing.builders import START, equals
from service_monitoring.wire.ledger import ledger
from tests.rehearsals.made_configurations import LABELS, ORDERS, POLLED, QUEUE, configurations, forgetful
from tests.rehearsals.test_days import EVERY, observation, the_configuration

ALIVE = Marked(MarkKind.ALIVE)

Place = tuple[str, str]
"""A service and a check."""
Labels = tuple[tuple[str, str], ...]


class Time(NamedTuple):
    """What happens, by second: runs of each check, what is pushed, cuts with the gap at each, people's acts."""

    runs: dict[Place, list[tuple[int, Observation]]]
    pushes: list[tuple[int, PushedTo]]
    cuts: list[tuple[int, int]]
    acts: dict[int, tuple[Act, int]]
    silences: dict[int, str]


class PushedTo(NamedTuple):
    """One sample that is pushed: to which check, as what, and its value."""

    check: str
    metric: str
    labels: Labels
    value: float


class Watched:
    """A course, and what it decided."""

    def __init__(self, configuration: Configuration) -> None:
        self.course = Course()
        self.decisions: list[Decision] = []
        self.tell(0, Configured(configuration))

    def tell(self, second: int, what: Input) -> None:
        self.admit(Admitted(Stamp(0, at(second)), what))

    def admit(self, admitted: Admitted) -> None:
        self.decisions += [decision for _, decision in self.course.step(admitted).decisions]

    def act(self, second: int, act: Act, which: int) -> None:
        self.tell(second, ALIVE)
        for incident in self.course.incidents()[which : which + 1]:
            expires = Duration(20 * SECOND) if act in {Act.ACKNOWLEDGE, Act.SNOOZE} else None
            acted = Acted(incident.id, act, "ada", "seen", expires_after=expires, to="bob")
            self.admit(Admitted(Stamp(0, Instant(at(second).ns + 1)), acted))

    def silence(self, second: int, service: str) -> None:
        self.tell(second, ALIVE)
        wanted = Wanted((equals("service", service),), "ada", lasts=Duration(40 * SECOND))
        self.admit(Admitted(Stamp(0, Instant(at(second).ns + 2)), Silenced(wanted)))


def at(second: int) -> Instant:
    return START.plus(Duration(second * SECOND))


def the_times(widest: int = 90) -> draw.SearchStrategy[Time]:
    """The same value for a while, as things are."""
    steps = draw.sampled_from([1, 1, 2, 5, 5, 5, 5, 13, 30, widest])
    values = draw.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 5.0, None])
    shapes = draw.sampled_from([(0,), (0,), (0, 1), (1, 2), (2,), ()])
    runs = draw.lists(draw.tuples(steps, values, shapes, draw.integers(1, 8)), min_size=1, max_size=12)
    cuts = draw.lists(draw.tuples(draw.integers(1, 400), draw.sampled_from([0, 0, 0, 3, 40])), max_size=6)
    acts = draw.dictionaries(
        draw.integers(1, 400), draw.tuples(draw.sampled_from(list(Act)), draw.integers(0, 2)), max_size=3
    )
    silences = draw.dictionaries(draw.integers(1, 400), draw.sampled_from(["shop", "desk", "jobs"]), max_size=1)
    polled = draw.fixed_dictionaries(dict.fromkeys(POLLED, runs))
    pushed = draw.fixed_dictionaries({(ORDERS, "orders"): runs, (QUEUE, "depth"): runs})
    return draw.builds(made, polled, pushed, cuts, acts, silences)


Drawn = list[tuple[int, float | None, tuple[int, ...], int]]
"""Seconds from one to the next, a value, the labels of those that have it, and how many."""


def made(
    polled: dict[Place, Drawn],
    pushed: dict[tuple[str, str], Drawn],
    cuts: list[tuple[int, int]],
    acts: dict[int, tuple[Act, int]],
    silences: dict[int, str],
) -> Time:
    apart: list[tuple[int, int]] = []
    for begin, length in sorted(cuts):
        if not apart or begin > sum(apart[-1]):
            apart.append((begin, length))

    def awake(second: int) -> bool:
        return not any(begin < second <= begin + length for begin, length in apart)

    def free(second: int) -> bool:
        return not any(begin <= second <= begin + length for begin, length in apart)

    def spread(drawn: Drawn) -> list[tuple[int, float | None, tuple[int, ...]]]:
        found, second = [], 0
        for step, value, shape, times in drawn:
            for _ in range(times):
                second += step
                if awake(second):
                    found.append((second, value, shape))
        return found

    pushes = [
        (second, PushedTo(*place, LABELS[kind], value + kind))
        for place, drawn in pushed.items()
        for second, value, shape in spread(drawn)
        for kind in shape
        if value is not None
    ]
    return Time(
        {place: [(second, seen(value, shape)) for second, value, shape in spread(d)] for place, d in polled.items()},
        pushes,
        apart,
        {second: act for second, act in acts.items() if free(second)},
        {second: name for second, name in silences.items() if free(second) and second not in acts},
    )


def seen(value: float | None, shape: tuple[int, ...] = (0,)) -> Observation:
    """Columns say nothing of why a run failed."""
    found = replace(observation(value), reason=None)
    if value is None:
        return found
    return replace(found, measurements=tuple(Measurement("value", value + kind / 2, LABELS[kind]) for kind in shape))


Happening = tuple[int, int, Place, Input | tuple[Act, int] | str]


def one_by_one(time: Time, configuration: Configuration, end: int) -> list[Decision]:
    watched = Watched(configuration)
    happening: list[Happening] = [
        (second, 1, place, Observed(*place, found, at(second)))
        for place, runs in time.runs.items()
        for second, found in runs
    ]
    for second, (check, metric, labels, value) in time.pushes:
        pushed = Pushed("jobs", check, (PushedSample(at(second), metric, value, labels),))
        happening.append((second, 1, ("jobs", check), pushed))
    for begin, length in time.cuts:
        if length:
            happening += [(begin, 2, ("", ""), GapBegan(GapCause.RESTART)), (begin + length, 0, ("", ""), GapEnded())]
    happening += [(second, 2, ("", ""), act) for second, act in time.acts.items()]
    happening += [(second, 2, ("~", ""), name) for second, name in time.silences.items()]
    for second, _, _, what in sorted(happening, key=lambda each: each[:3]):
        if isinstance(what, str):
            watched.silence(second, what)
        elif isinstance(what, tuple):
            watched.act(second, *what)
        else:
            watched.tell(second, what)
    watched.tell(end, ALIVE)
    return watched.decisions


def in_columns(time: Time, configuration: Configuration, end: int) -> list[Decision]:
    watched = Watched(configuration)
    begin = 0
    for cut, length in [*time.cuts, (end, 0)]:
        watched.course.hear(the_stretches(time, begin, cut))
        for second in sorted(second for second in {*time.acts, *time.silences} if begin < second <= cut):
            if second in time.acts:
                watched.act(second, *time.acts[second])
            if second in time.silences:
                watched.silence(second, time.silences[second])
        watched.tell(cut, ALIVE)
        if length:
            watched.tell(cut, GapBegan(GapCause.RESTART))
            watched.tell(cut + length, GapEnded())
        begin = cut + length
    return watched.decisions


def the_stretches(time: Time, begin: int, end: int) -> list[Stretch]:
    """Everything after `begin` up to and at `end`."""
    found: dict[Series, list[tuple[int, float]]] = defaultdict(list)
    for place, runs in time.runs.items():
        for second, observed in runs:
            for sample in samples_of(*place, observed, at(second)):
                found[sample.series].append((second, sample.value))
    for second, (check, metric, labels, value) in time.pushes:
        found[Series("jobs", check, metric, labels)].append((second, value))
    stretches = []
    for series, samples in found.items():
        mine = [(at(second).ns, value) for second, value in samples if begin < second <= end]
        if mine:
            instants, values = zip(*mine, strict=True)
            stretches.append(Stretch(series, np.array(instants, dtype=np.int64), np.array(values, dtype=np.float64)))
    return stretches


def the_end(time: Time) -> int:
    """Some time after all that happens: what follows from silence alone is done by then."""
    heard = [second for runs in time.runs.values() for second, _ in runs] + [second for second, _ in time.pushes]
    return 300 + max([0, *heard, *time.acts, *time.silences, *(sum(cut) for cut in time.cuts)])


def assert_same(time: Time, configuration: Configuration) -> None:
    end = the_end(time)
    alone = one_by_one(time, configuration, end)
    together = in_columns(time, configuration, end)
    assert ledger(together).decode().splitlines() == ledger(alone).decode().splitlines()
    assert together == alone


def test_an_absence_that_waits_for_any_series_knows_of_those_that_are_to_come() -> None:
    silent = Rule("desk", "silent", "page", "value", Absence(Duration(60 * SECOND)))
    page = Check("desk", "page", "http", EVERY, EVERY, EVERY)
    configuration = Configuration((Service("desk", checks=(page,), rules=(silent,)),))
    time = made({("desk", "page"): [(5, 1.0, (2,), 1), (2, 0.0, (0,), 1)]}, {}, [], {}, {})
    assert_same(time, configuration)


@given(the_times(), draw.integers(0, 3), draw.booleans())
def test_columns_decide_what_samples_decide_one_by_one(time: Time, revision: int, forgets: bool) -> None:
    configuration = the_configuration(revision)
    assert_same(time, forgetful(configuration) if forgets else configuration)


@given(the_times(), configurations())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_columns_decide_the_same_under_any_configuration(time: Time, configuration: Configuration) -> None:
    assert_same(time, configuration)


@pytest.mark.oracle
@pytest.mark.timeout(1200)
@given(the_times(), configurations())
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
def test_two_thousand_configurations_decide_the_same(time: Time, configuration: Configuration) -> None:
    assert_same(time, configuration)


def test_a_child_is_told_at_its_parents_next_run_although_that_says_nothing_new() -> None:
    calm: Drawn = [(5, 2.0, (0,), 40)]
    failing: Drawn = [(7, 2.0, (0,), 1), (5, 2.0, (0,), 20), (5, None, (), 10)]
    time = made(dict.fromkeys(POLLED, calm) | {("desk", "page"): failing}, {}, [], {}, {})
    assert_same(time, the_configuration())
    told = [each for each in in_columns(time, the_configuration(), 130) if isinstance(each, Notice) and not each.held]
    assert at(115) in {each.decided_at for each in told if each.facts.rule == "child"}


def test_a_series_that_flapped_is_steady_after_so_many_equal_verdicts() -> None:
    to_and_fro: Drawn = [(5, 2.0, (0,), 1), (5, 0.5, (0,), 1)]
    steady: Drawn = [(5, 2.0, (0,), 40)]
    time = made(dict.fromkeys(POLLED, to_and_fro * 12 + steady), {}, [], {}, {})
    assert_same(time, the_configuration())
    decisions = in_columns(time, the_configuration(), the_end(time))
    assert {each.flapping for each in decisions if isinstance(each, SeriesFlapped)} == {True, False}


def test_what_is_compared_is_not_empty() -> None:
    failing: Drawn = [(5, 2.0, (0,), 12), (5, None, (), 27), (5, 2.0, (0,), 160)]
    pushed: Drawn = [(5, 0.0, (0,), 180)]
    time = made(dict.fromkeys(POLLED, failing), {(ORDERS, "orders"): pushed}, [(300, 40)], {}, {})
    decisions = in_columns(time, the_configuration(), the_end(time))
    assert decisions == one_by_one(time, the_configuration(), the_end(time))
    assert len(decisions) > 30
    assert Outcome.FAILED is seen(None).outcome

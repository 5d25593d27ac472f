"""Samples as columns, known ahead of time, decide what they decide one by one: the same bytes of ledger.

Two courses live through a drawn time: one is told each run and each push when it comes, the other is handed columns,
cut wherever it pleases. Both are told of the same people and gaps.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as draw
from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Course, Decision
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
    Stamp,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.samples import Observation, Outcome, Series, samples_of
from service_monitoring.domain.stretches import Stretch
from service_monitoring.testing.builders import START
from service_monitoring.wire.ledger import ledger
from tests.rehearsals.test_days import observation, the_configuration

ALIVE = Marked(MarkKind.ALIVE)


class Time(NamedTuple):
    """What happens: runs by service as (second, value), pushes, cuts as (second, length of a gap), acts by second."""

    runs: dict[str, list[tuple[int, float | None]]]
    pushes: list[tuple[int, float]]
    cuts: list[tuple[int, int]]
    acts: dict[int, Act]


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

    def act(self, second: int, act: Act) -> None:
        self.tell(second, ALIVE)
        for incident in self.course.incidents()[:1]:
            expires = Duration(20 * SECOND) if act in {Act.ACKNOWLEDGE, Act.SNOOZE} else None
            acted = Acted(incident.id, act, "ada", "seen", expires_after=expires, to="bob")
            self.admit(Admitted(Stamp(0, Instant(at(second).ns + 1)), acted))


def at(second: int) -> Instant:
    return START.plus(Duration(second * SECOND))


def the_times(widest: int = 90) -> draw.SearchStrategy[Time]:
    steps = draw.sampled_from([1, 1, 2, 5, 5, 5, 5, 13, 30, widest])
    values = draw.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 5.0, None])
    cuts = draw.lists(draw.tuples(draw.integers(1, 400), draw.sampled_from([0, 0, 0, 3, 40])), max_size=6)
    # The same value for a while, as things are.
    runs = draw.lists(draw.tuples(steps, values, draw.integers(1, 8)), min_size=1, max_size=12)
    acts = draw.dictionaries(draw.integers(1, 400), draw.sampled_from(list(Act)), max_size=3)
    return draw.builds(made, runs, runs, runs, cuts, acts)


Drawn = list[tuple[int, float | None, int]]


def made(shop: Drawn, desk: Drawn, orders: Drawn, cuts: list[tuple[int, int]], acts: dict[int, Act]) -> Time:
    apart: list[tuple[int, int]] = []
    for begin, length in sorted(cuts):
        if not apart or begin > sum(apart[-1]):
            apart.append((begin, length))

    def spread(drawn: Drawn) -> list[tuple[int, float | None]]:
        found, second = [], 0
        for step, value, times in drawn:
            for _ in range(times):
                second += step
                if not any(begin < second <= begin + length for begin, length in apart):
                    found.append((second, value))
        return found

    pushes = [(second, value) for second, value in spread(orders) if value is not None]
    awake = {second: act for second, act in acts.items() if not any(a <= second <= a + b for a, b in apart)}
    return Time({"shop": spread(shop), "desk": spread(desk)}, pushes, apart, awake)


def seen(value: float | None) -> Observation:
    """Columns say nothing of why a run failed."""
    return replace(observation(value), reason=None)


def end_of(time: Time) -> int:
    """Late enough for everything that is due to come, but repeats."""
    seconds = [second for runs in (*time.runs.values(), time.pushes) for second, _ in runs]
    return max([*seconds, *time.acts, *(sum(cut) for cut in time.cuts)]) + 200


def one_by_one(time: Time, configuration: Configuration) -> list[Decision]:
    watched = Watched(configuration)
    happening: list[tuple[int, int, str, Input | Act]] = []
    for service, runs in time.runs.items():
        happening += [
            (second, 1, service, Observed(service, "page", seen(value), at(second))) for second, value in runs
        ]
    for second, value in time.pushes:
        pushed = Pushed("jobs", "orders", (PushedSample(at(second), "orders", value),))
        happening.append((second, 1, "jobs", pushed))
    for begin, length in time.cuts:
        if length:
            happening += [(begin, 2, "", GapBegan(GapCause.RESTART)), (begin + length, 0, "", GapEnded())]
    happening += [(second, 2, "", act) for second, act in time.acts.items()]
    for second, _, _, what in sorted(happening, key=lambda each: each[:3]):
        if isinstance(what, Act):
            watched.act(second, what)
        else:
            watched.tell(second, what)
    watched.tell(end_of(time), ALIVE)
    return watched.decisions


def in_columns(time: Time, configuration: Configuration) -> list[Decision]:
    watched = Watched(configuration)
    begin = 0
    for cut, length in [*time.cuts, (end_of(time), 0)]:
        watched.course.hear(the_stretches(time, begin, cut))
        for second, act in sorted(time.acts.items()):
            if begin < second <= cut:
                watched.act(second, act)
        watched.tell(cut, ALIVE)
        if length:
            watched.tell(cut, GapBegan(GapCause.RESTART))
            watched.tell(cut + length, GapEnded())
        begin = cut + length
    return watched.decisions


def the_stretches(time: Time, begin: int, end: int) -> list[Stretch]:
    """Everything after `begin` up to and at `end`."""
    found: dict[Series, list[tuple[int, float]]] = defaultdict(list)
    for service, runs in time.runs.items():
        for second, value in runs:
            for sample in samples_of(service, "page", seen(value), at(second)):
                found[sample.series].append((second, sample.value))
    for second, value in time.pushes:
        found[Series("jobs", "orders", "orders")].append((second, value))
    stretches = []
    for series, samples in found.items():
        mine = [(at(second).ns, value) for second, value in samples if begin < second <= end]
        if mine:
            instants, values = zip(*mine, strict=True)
            stretches.append(Stretch(series, np.array(instants, dtype=np.int64), np.array(values, dtype=np.float64)))
    return stretches


def forgetful(configuration: Configuration) -> Configuration:
    services = tuple(
        replace(
            service,
            checks=tuple(replace(check, forget_after=Duration(70 * SECOND)) for check in service.checks),
        )
        for service in configuration.services
    )
    return replace(configuration, services=services)


@given(the_times(), draw.integers(0, 3), draw.booleans())
def test_columns_decide_what_samples_decide_one_by_one(time: Time, revision: int, forgets: bool) -> None:
    configuration = the_configuration(revision)
    if forgets:
        configuration = forgetful(configuration)
    alone = one_by_one(time, configuration)
    together = in_columns(time, configuration)
    assert ledger(together).decode().splitlines() == ledger(alone).decode().splitlines()
    assert together == alone


def test_what_is_compared_is_not_empty() -> None:
    failing: Drawn = [(5, 2.0, 12), (5, None, 27), (5, 2.0, 160)]
    time = made(failing, failing, [(5, 0.0, 180)], [(300, 40)], {})
    decisions = in_columns(time, the_configuration())
    assert decisions == one_by_one(time, the_configuration())
    assert len(decisions) > 30
    assert Outcome.FAILED is seen(None).outcome

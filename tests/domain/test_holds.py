"""Observed time against an oracle that knows no due instants: it lives through every second and counts on its fingers.

Thousands of random scripts of samples, silent runs, unknown runs, gaps and people, in whole seconds, so that things
happen at one instant all the time. The course under test goes through policy, agenda and the cheap path of equal
verdicts; the oracle below shares no line with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

import pytest

from service_monitoring.domain.course import Course, order_of
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
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
    Stamp,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.rules import NoData, NoDataMode, Recovery, Rule
from service_monitoring.domain.samples import Outcome
from service_monitoring.domain.strategies import Absence, Threshold
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_rule,
    a_service,
    above,
    an_observation,
    below,
)

LASTS = 60


class Run(Enum):
    """What a run of the check brought."""

    LOW = 0
    MIDDLE = 1
    HIGH = 2
    NOTHING = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Script:
    """What happens in a minute. Gaps are (from, until), and nothing else happens in them or at their end."""

    holds_for: int
    recovers_for: int
    no_data: NoDataMode
    after: int
    stale_after: int
    absent_for: int | None
    runs: dict[int, Run]
    gaps: list[tuple[int, int]]
    resolved: set[int]


def a_script(seed: int, *, absence: bool) -> Script:
    """A random minute; mostly of one mind for a while, because otherwise no hold ever elapses."""
    random = Random(seed)
    gaps, at = [], 0
    while random.random() < 0.6:
        began = at + random.randint(1, 25)
        at = began + random.randint(1, 12)
        if at >= LASTS:
            break
        gaps.append((began, at))
    blind = {second for began, ended in gaps for second in range(began + 1, ended + 1)}
    runs: dict[int, Run] = {}
    mood = Run.LOW
    for second in range(1, LASTS):
        if random.random() < 0.2:
            mood = random.choice(list(Run))
        if second not in blind and random.random() < random.choice([0.2, 0.9]):
            runs[second] = mood
    return Script(
        holds_for=random.randint(0, 5),
        recovers_for=0 if absence else random.randint(0, 4),
        no_data=random.choice(list(NoDataMode)),
        after=random.randint(0, 5),
        stale_after=random.randint(2, 7),
        absent_for=random.randint(1, 9) if absence else None,
        runs=runs,
        gaps=gaps,
        resolved={second for second in range(1, LASTS) if second not in blind and random.random() < 0.04},
    )


# The oracle -----------------------------------------------------------------------------------------------------------


@dataclass
class Fingers:
    """Lives through a script second by second. Every duration here is a number of seconds that were lived through."""

    script: Script
    moved: list[tuple[int, str]] = field(default_factory=list)
    verdict: str = "unknown"
    why: str = "fresh"
    episode: str = "none"
    barred: bool = False
    held: int = 0
    well: int = 0
    missing: int = 0
    since_sample: int = 0
    since_gap: int = 0
    silence: int = 0
    sampled_at: int = 0

    def live(self) -> list[tuple[int, str]]:
        begins = {began for began, _ in self.script.gaps}
        ends = {ended for _, ended in self.script.gaps}
        blind = False
        for second in range(LASTS):
            if second in self.script.resolved and self.episode == "open":
                self._say(second, "resolved")
                self.barred = self.verdict not in {"low", "middle"}
            if second in self.script.runs:
                self._run(second, self.script.runs[second])
            if second in ends:
                blind = False
                self._see_again(second)
            while not blind:
                before = len(self.moved), self.verdict, self.why
                self._timers(second)
                if before == (len(self.moved), self.verdict, self.why):
                    break
            if second in begins:
                blind = True
            if not blind:
                self._grow_older()
        return self.moved

    def _say(self, second: int, what: str) -> None:
        self.moved.append((second, what))
        self.episode = what if what in {"pending", "open"} else "none"

    def _run(self, second: int, run: Run) -> None:
        if run is Run.NOTHING:
            return
        if run is Run.UNKNOWN:
            self.silence = 0
            if self.script.absent_for is not None:
                self.verdict = "unknown"
            else:
                self._lose(second)
            return
        self.sampled_at, self.since_sample, self.silence = second, 0, 0
        self.why = "sample"
        self._judge(second, "low" if self.script.absent_for is not None else run.name.lower())

    def _judge(self, second: int, verdict: str) -> None:
        self.verdict = verdict
        if verdict == "high":
            self.well = 0
            if self.episode == "none" and not self.barred:
                self.held = 0
                self._say(second, "pending")
                if self.script.holds_for == 0:
                    self._say(second, "open")
            return
        self.barred = False
        if self.episode == "pending":
            self._say(second, "dropped")
        elif verdict == "middle":
            self.well = 0
        elif self.episode == "open" and self.script.recovers_for == 0:
            self._say(second, "resolved")

    def _lose(self, second: int) -> None:
        """The verdict turns Unknown because nothing is heard."""
        if self.why in {"fresh", "presumed"}:
            return
        if self.why != "silent":
            self.missing = 0
            if self.script.no_data is NoDataMode.RESOLVE and self.episode != "none":
                self._say(second, "dropped" if self.episode == "pending" else "resolved")
        self.verdict, self.why = "unknown", "silent"

    def _see_again(self, second: int) -> None:
        self.since_gap = self.silence = 0
        if self.script.absent_for is not None:
            if self.verdict == "high":
                self.verdict = "unknown"
            return
        young = self.why == "sample" and second - self.sampled_at < self.script.stale_after
        if self.verdict != "unknown" and not young:
            self.verdict, self.why = "unknown", "gap"

    def _timers(self, second: int) -> None:
        script = self.script
        if self.episode == "pending" and self.verdict == "high" and self.held >= script.holds_for:
            self.well = 0
            self._say(second, "open")
        if self.episode == "open" and self.verdict == "low" and self.well >= script.recovers_for:
            self._say(second, "resolved")
        if script.absent_for is not None:
            if self.verdict != "high" and self.silence >= script.absent_for:
                self._judge(second, "high")
            return
        if self.why == "sample" and self.since_sample >= script.stale_after:
            self._lose(second)
        if self.why == "gap" and self.since_gap >= script.stale_after:
            self._lose(second)
        if self.why == "silent" and script.no_data is NoDataMode.BREACH_AFTER and self.missing >= script.after:
            self.why = "presumed"
            self._judge(second, "high")

    def _grow_older(self) -> None:
        self.since_sample += 1
        self.since_gap += 1
        self.silence += 1
        self.missing += self.why == "silent"
        self.held += self.episode == "pending" and self.verdict == "high"
        self.well += self.episode == "open" and self.verdict == "low"


# The course -----------------------------------------------------------------------------------------------------------


def the_rule(script: Script) -> Rule:
    return a_rule(
        strategy=Threshold(above(1.5)) if script.absent_for is None else Absence(_span(script.absent_for)),
        recovery=Recovery(below(0.5), _span(script.recovers_for)) if script.absent_for is None else Recovery(),
        on_no_data=NoData(script.no_data, _span(script.after)),
        holds_for=f"{script.holds_for}s",
    )


def _span(seconds: int) -> Duration:
    return Duration(seconds * SECOND)


def _at(second: int) -> Instant:
    return START.plus(_span(second))


def inputs(script: Script) -> list[tuple[int, Input]]:
    """The script as inputs in their order; people's acts are added on the way, they need an incident."""
    told: list[tuple[int, Input]] = [(LASTS, Marked(MarkKind.ALIVE))]
    for second, run in script.runs.items():
        values = {"value": float(run.value)} if run not in {Run.NOTHING, Run.UNKNOWN} else {}
        outcome = Outcome.UNKNOWN if run is Run.UNKNOWN else Outcome.OK
        told.append((second, Observed("shop", "health", an_observation(values, outcome=outcome), _at(second))))
    for began, ended in script.gaps:
        told += [(began, GapBegan(GapCause.RESTART)), (ended, GapEnded())]
    return sorted(told, key=lambda pair: (pair[0], order_of(pair[1])))


def decided(script: Script) -> list[tuple[int, str]]:
    """When the incident of the course moved where."""
    course = Course()
    moved: list[tuple[int, str]] = []

    def step(second: int, what: Input, earlier: Duration = Duration(0)) -> None:
        at = _at(second).plus(Duration(-earlier))
        for stamp, decision in course.step(Admitted(Stamp(0, at), what)).decisions:
            if isinstance(decision, IncidentMoved):
                assert decision.at == decision.decided_at == stamp.at == decision.incident.changed_at
                moved.append((stamp.at.since(START) // SECOND, str(decision.incident.state)))

    check = a_check(stale_after=f"{script.stale_after}s")
    step(0, Configured(a_configuration(a_service(the_rule(script), checks=[check]))))
    people = sorted(script.resolved)
    for second, what in inputs(script):
        while people and people[0] <= second:
            at = people.pop(0)
            # Whatever is due before the person comes happens first; what is due at that very instant does not.
            step(at, Marked(MarkKind.ALIVE), Duration(1))
            for incident in course.incidents():
                if incident.state is State.OPEN:
                    step(at, Acted(incident.id, Act.RESOLVE, "ada"))
        step(second, what)
    return moved


@pytest.mark.parametrize("batch", range(4))
@pytest.mark.parametrize("absence", [False, True], ids=["threshold", "absence"])
def test_every_turn_comes_at_the_second_at_which_a_count_on_fingers_comes_to_it(*, absence: bool, batch: int) -> None:
    for seed in range(batch * 300, (batch + 1) * 300):
        script = a_script(seed, absence=absence)
        assert decided(script) == Fingers(script).live(), f"seed {seed}: {script}"

"""Heartbeats against a count on fingers: an oracle that lives through a job's day five seconds by five seconds.

Random scripts of reports, gaps and silence on a coarse grid, so that things happen at one instant all the time. The
oracle keeps open slots in a dictionary and knows no due instants; what is under test is asked only when it wants to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.domain import heartbeats
from service_monitoring.domain.heartbeats import begun, blinded, due, failings, fired, reported, sighted
from service_monitoring.domain.inputs import Signal
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.schedules import Cron, Expectation, Failing, Period

MISSED, LATE, FAILED, OVERRAN = Failing.MISSED, Failing.LATE, Failing.FAILED, Failing.OVERRAN
NOON = Instant.parse("2026-01-05T12:00:00Z").ns
GRID = 5
TICKS = 180


@dataclass
class Begun:
    """A run as the oracle counts it: how long it may still be watched."""

    name: str
    left: int
    kept: bool
    overran: bool = False


@dataclass
class Fingers:
    """The rules in words, second by second; `every` seconds, by the clock (`cron`) or since the last report."""

    every: int
    cron: bool
    grace: int
    allowed: int
    anchor: int = 0
    open: dict[int, int] = field(default_factory=dict)
    early: set[int] = field(default_factory=set)
    not_before: int = 0
    spared: int = -1
    blind_since: int | None = None
    runs: list[Begun] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    missed: bool = False
    late: bool = False
    failed: bool = False

    def slot_begins(self, now: int) -> None:
        begins = now % self.every == 0 if self.cron else now == self.anchor + self.every
        if now > 0 and begins and now not in self.early:
            self.open[now] = max(now + self.grace, self.not_before)

    def heard(self, now: int) -> bool | None:
        """Settle what is open; whether the newest was in time, None where nothing was."""
        in_time: bool | None = None
        if self.blind_since is not None:
            self.spares(self.blind_since, now)
        if self.open:
            in_time = now <= self.open[max(self.open)]
        elif self.cron and (now + GRID) % self.every == 0 and now + GRID not in self.early:
            self.early.add(now + GRID)
            in_time = True
        elif not self.cron:
            in_time = True
        if in_time is not None:
            self.not_before = 0
        self.open.clear()
        self.anchor = now
        return in_time

    def reports(self, now: int, signal: Signal, run: str) -> None:
        begun = next((begun for begun in reversed(self.runs) if run in ("", begun.name)), None)
        if signal is Signal.LOG or run in self.known or (signal is Signal.START and run and begun):
            return
        if signal is Signal.START:
            in_time = self.heard(now)
            self.runs.append(Begun(run, self.allowed, kept=in_time is True))
            self.missed = False
            self.late |= in_time is False
            return
        if begun is not None:
            self.runs.remove(begun)
        self.known |= {begun.name if begun else run} - {""}
        if signal is Signal.FAIL:
            self.failed = True
            return
        in_time = self.heard(now)
        if begun is not None and begun.kept and not begun.overran:
            self.late = False
        elif in_time is False:
            self.late = True
        elif in_time and (begun is None or self.cron):
            self.late = False
        self.missed = self.failed = False
        self.known |= {other.name for other in self.runs if other.overran} - {""}
        self.runs = [other for other in self.runs if not other.overran]

    def spares(self, began: int, now: int) -> None:
        """What is open and was not decided before the gap has some more time."""
        if not any(deadline > began for deadline in self.open.values()):
            return
        if max(self.open) == self.spared:
            self.not_before = max(self.not_before + now - began, now + min(self.every, now - began))
        else:
            self.not_before = max(self.not_before, now + min(self.every, self.grace + now - began))
        self.spared = max(self.open)
        self.open = {slot: max(deadline, self.not_before) for slot, deadline in self.open.items()}

    def watched(self) -> None:
        for run in self.runs:
            run.left -= GRID

    def timers(self, now: int) -> None:
        for run in self.runs:
            run.overran |= run.left <= 0
        over = {slot for slot, deadline in self.open.items() if deadline <= now}
        if self.missed or not over:
            return
        if all(run.overran for run in self.runs):
            self.missed = True
            return
        for slot in over:
            del self.open[slot]
        if not self.cron:
            self.anchor = max(*over, now - self.grace)
            if self.anchor + self.every <= now:
                self.open[self.anchor + self.every] = max(self.anchor + self.every + self.grace, self.not_before)

    def failings(self) -> frozenset[Failing]:
        overran = any(run.overran for run in self.runs)
        flags = ((MISSED, self.missed), (LATE, self.late), (FAILED, self.failed), (OVERRAN, overran))
        return frozenset(failing for failing, stands in flags if stands)


@dataclass(frozen=True)
class Script:
    """What happens: reports and gaps by tick. A gap swallows the reports within it, but not those at its end."""

    cron: bool
    every: int
    grace: int
    max_runtime: int | None
    reports: dict[int, list[tuple[Signal, str]]]
    gaps: dict[int, int]

    @property
    def expectation(self) -> Expectation:
        schedule = Cron(f"*/{self.every // 60} * * * *", "UTC") if self.cron else Period(Duration(self.every * SECOND))
        allowed = None if self.max_runtime is None else Duration(self.max_runtime * SECOND)
        return Expectation(schedule, Duration(self.grace * SECOND), allowed)


def a_script(dice: Random) -> Script:
    cron = dice.random() < 0.7
    every = dice.choice((60, 120, 180))
    reports: dict[int, list[tuple[Signal, str]]] = {}
    for tick in range(1, TICKS):
        if dice.random() < 0.12:
            signals = (Signal.SUCCESS, Signal.SUCCESS, Signal.START, Signal.START, Signal.FAIL, Signal.LOG)
            names = ("", "", *(f"run-{tick // 20 + off}" for off in range(2)))
            reports[tick] = [(dice.choice(signals), dice.choice(names)) for _ in range(dice.choice((1, 1, 2)))]
    gaps: dict[int, int] = {}
    tick = 1
    while (tick := tick + dice.randint(1, 90)) < TICKS:
        gaps[tick] = tick + dice.choice((1, 2, 5, 20, 60))
        tick = gaps[tick]
    return Script(cron, every, dice.choice((0, 5, 20, 60, 150)), dice.choice((None, 20, 100, 200)), reports, gaps)


def agree(script: Script) -> None:
    """Live through a script twice, on fingers and by due instants, and compare after every tick."""
    expectation = script.expectation
    allowed = script.grace if script.max_runtime is None else script.max_runtime
    fingers = Fingers(script.every, script.cron, script.grace, allowed)
    job, began, ends = begun(NOON), None, -1
    for tick in range(1, TICKS):
        now = tick * GRID
        at = NOON + now * SECOND
        fingers.slot_begins(now)
        if began is None:
            fingers.watched()
        heard = script.reports.get(tick, []) if began is None or tick == ends else []
        for signal, run in heard:
            fingers.reports(now, signal, run)
            job = reported(job, expectation, signal, run, None, at)
        if tick == ends and began is not None:
            fingers.spares(began * GRID, now)
            job, began, fingers.blind_since = sighted(job, expectation, at), None, None
        if began is None:
            fingers.timers(now)
            while (wanted := due(job, expectation)) is not None and wanted <= at:
                assert wanted == at, "it asked for the past"
                job = fired(job, expectation, wanted)
            if tick in script.gaps:
                job, began, ends = blinded(job, at), tick, script.gaps[tick]
                fingers.blind_since = now
                assert due(job, expectation) is None
        assert failings(job) == fingers.failings(), now


@given(st.randoms())
def test_every_failing_stands_when_a_count_on_fingers_says_so(dice: Random) -> None:
    agree(a_script(dice))


def all_agree() -> None:
    for seed in range(1000):
        agree(a_script(Random(seed)))


def test_a_thousand_scripts_agree_with_the_count_on_fingers() -> None:
    all_agree()


def inclusive(deadline: Any) -> Any:
    return lambda *args: deadline(*args) + SECOND


def without_length(spared: Any) -> Any:
    return lambda *args, **_: spared(*args, length=0)


PLANTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a deadline is a moment later": ("_deadline", inclusive),
    "gaps are not made up for": ("_spared", lambda _: lambda job, *__, **___: job),
    "the length of a gap does not count": ("_spared", without_length),
    "a run has a moment more": ("_overruns", inclusive),
    "no clock is ahead": ("EARLY", lambda _: 0),
    "a run may end twice": ("ENDED", lambda _: -10_000),
    "the newest start is the oldest": (
        "_found",
        lambda _: lambda job, run: next((one for one in job.runs if not run or one.id == run), None),
    ),
    "every gap gives the whole grace again": (
        "_spared",
        lambda spared: lambda job, *args, **more: spared(replace(job, spared=0), *args, **more),
    ),
    "the newest slot is not looked at": (
        "_slot_until",
        lambda until: lambda schedule, at: until(schedule, at - MINUTE),
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_count_on_fingers_notices_that(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, make = PLANTS[name]
    monkeypatch.setattr(heartbeats, target, make(getattr(heartbeats, target)))
    with pytest.raises(AssertionError):
        all_agree()

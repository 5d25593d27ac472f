"""A scripted day, disturbed at each of its events: a suspend, a step of the clock or a restart changes no incident.

The world goes on while the monitor does not watch: polls of that time are lost and made up for by one round of checks,
jobs repeat a report that was not taken, and pushed samples come when they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Course
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import (
    Admitted,
    Configured,
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
    Signal,
    Stamp,
    Stepped,
)
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.rules import Severity, Worse
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.schedules import Failing
from service_monitoring.domain.strategies import Absence, Aggregate, Composite, Function, Heartbeat, LastOf, Threshold
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_heartbeat,
    a_push,
    a_rule,
    a_service,
    above,
    below,
    span,
)
from tests.domain.test_course import Shelf
from tests.drawing import THOROUGH

EVERY = Duration(10 * MINUTE)
RESTART, SUSPEND = Duration(20 * SECOND), EVERY


class Happening(NamedTuple):
    """What the world does at an instant (ns after `START`)."""

    at: int
    what: Input


def the_configuration() -> Configuration:
    rules = [
        a_rule("down", Threshold(below(1)), metric="up", severity=Severity.CRITICAL, holds_for="15m"),
        a_rule("slow", worse=[Worse(Severity.CRITICAL, above(3), span("20m"))]),
        a_rule("often", LastOf(3, 2, above(1))),
        a_rule("mean", Aggregate(above(1.5), function=Function.AVG, over=span("1h")), holds_for="10m"),
        a_rule("quiet", Absence(span("35m")), metric="pulse"),
        a_rule("few", check="orders", metric="orders", strategy=Threshold(below(1)), holds_for="15m"),
        a_rule("backup", Heartbeat(tuple(Failing)), check="backup", metric=""),
        a_rule("both", Composite(("shop.slow", "shop.few"), 1), check="", metric="", holds_for="12m"),
    ]
    checks = [
        a_check(every="10m", stale_after="25m"),
        a_push(stale_after="25m"),
        a_heartbeat(cron="0 * * * *", grace="10m", max_runtime="20m"),
    ]
    return a_configuration(a_service(*rules, checks=checks))


def the_day() -> Iterator[Happening]:
    """Ten minutes between polls: an outage, a slow hour, a missed job and one that fails, silence, few orders."""
    for slot in range(1, 24 * 6):
        at = slot * EVERY
        hour = at / HOUR
        down, slow = 3 <= hour < 5, 7 <= hour < 9
        measured = [] if down else [Measurement("value", 4.0 if slow else 0.5)]
        if not 12 <= hour < 14:
            measured.append(Measurement("pulse", 1.0))
        seen = Observation(
            Outcome.FAILED if down else Outcome.OK, Reason.CONNECT if down else None, "", tuple(measured)
        )
        yield Happening(at + 7 * SECOND, Observed("shop", "health", seen, START))
        yield Happening(at + 31 * SECOND, PUSH)
        if slot % 6 == 0 and hour != 16:
            yield Happening(at + 40 * SECOND, Pinged("shop", "backup", Signal.START, f"run{slot}"))
            failed = hour == 18
            end = Pinged("shop", "backup", Signal.FAIL if failed else Signal.SUCCESS, f"run{slot}")
            yield Happening(at + 160 * SECOND, end)


PUSH = Pushed("shop", "orders", ())
"""Stands for a push of that instant."""


class World:
    """The day as the monitor hears it, with one disturbance after the event of that number."""

    def __init__(self) -> None:
        self.course, self.shelf = Course(), Shelf()
        self.epoch, self.shift, self.now = 0, 0, 0
        self.opened: Counter[tuple[str, str]] = Counter()
        self.tell(0, Configured(the_configuration()))

    def tell(self, at: int, what: Input) -> None:
        self.now = max(at, self.now + 1)
        stamp = Stamp(self.epoch, START.plus(Duration(self.now + self.shift)))
        if isinstance(what, Pushed):
            orders = 0.0 if 20 <= at / HOUR < 22 else 5.0
            what = Pushed("shop", "orders", (PushedSample(stamp.at, "orders", orders),))
        admitted = Admitted(stamp, what)
        ruling = self.course.step(admitted)
        self.shelf.keep(self.course, admitted, ruling.taken)
        for _, decision in ruling.decisions:
            if isinstance(decision, IncidentMoved) and decision.incident.state is State.OPEN:
                name = (decision.incident.rule, str(decision.incident.severity))
                self.opened[name] += 1

    def disturb(self, how: str) -> int:
        """The disturbance begins now; until when nobody listens."""
        match how:
            case "restart" | "suspend":
                lasts = RESTART if how == "restart" else SUSPEND
                self.tell(self.now, GapBegan(GapCause.RESTART if how == "restart" else GapCause.SUSPEND))
                if how == "restart":
                    self.course = self.shelf.revive()
                self.tell(self.now + lasts, GapEnded())
            case "forward" | "back":
                delta = 20 * SECOND if how == "forward" else -20 * SECOND
                self.epoch, self.shift = self.epoch + 1, self.shift + delta
                self.tell(self.now, Stepped(Duration(delta)))
            case _:
                raise AssertionError(how)
        return self.now


def lived(how: str = "", after: int = -1) -> Counter[tuple[str, str]]:
    """What opened on that day."""
    world = World()
    deaf_until = 0
    lost: list[Happening] = []
    for number, happening in enumerate(sorted(the_day())):
        if happening.at <= deaf_until:
            lost.append(happening)
            continue
        _make_up(world, lost, deaf_until)
        world.tell(happening.at, happening.what)
        if number == after:
            deaf_until = world.disturb(how)
    _make_up(world, lost, deaf_until)
    world.tell(DAY, Marked(MarkKind.STOPPED))
    return world.opened


def _make_up(world: World, lost: list[Happening], heard_from: int) -> None:
    """One round of checks, and reports that their senders repeat; a sender of samples has only newer ones."""
    polls = [each for each in lost if isinstance(each.what, Observed)]
    for place, each in enumerate([*polls[-1:], *(each for each in lost if isinstance(each.what, Pinged))]):
        world.tell(heard_from + (place + 1) * SECOND, each.what)
    lost.clear()


@cache
def undisturbed() -> Counter[tuple[str, str]]:
    return lived()


def test_the_day_is_worth_disturbing() -> None:
    assert undisturbed() == {
        ("down", "critical"): 1,
        ("slow", "warning"): 1,
        ("slow", "critical"): 1,
        ("often", "warning"): 1,
        ("mean", "warning"): 1,
        ("quiet", "warning"): 1,
        ("few", "warning"): 1,
        ("backup", "warning"): 2,
        ("both", "warning"): 2,
    }


HOWS = ["restart", "suspend", "forward", "back"]


@pytest.mark.parametrize("how", HOWS)
def test_a_disturbance_at_any_event_opens_nothing_more_and_misses_nothing(how: str) -> None:
    # Each event is disturbed in one way; in `make laws`, in every one.
    begin, step = (0, 1) if THOROUGH else (HOWS.index(how), len(HOWS))
    for number in range(begin, len(list(the_day())), step):
        assert lived(how, number) == undisturbed(), f"{how} after event {number}"

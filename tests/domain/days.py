"""Random days in whole seconds: several rules and series of two services, people, gaps, steps of the clock, reloads.

Run as a program with seeds, prints a digest of what was decided, so that two processes can be compared.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration, Step
from service_monitoring.domain.course import Course, Decision, order_of
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
    Retired,
    Settled,
    Stamp,
    Stepped,
)
from service_monitoring.domain.instants import HOUR, SECOND, Duration, Instant
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Lifecycle, NoData, NoDataMode, Rule, Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.strategies import Absence, Aggregate, Change, Function, LastOf, Threshold
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_route,
    a_rule,
    a_service,
    above,
    below,
    no_data,
    recovering,
    span,
)

LONG = 80
"""Seconds in a day of these tests."""

MUTE = 3
"""The mood in which a run measures nothing: its series go silent for a long while, the check itself does not."""

SPAN = Duration(6 * SECOND)
ROUTES = (
    replace(
        a_route("routes[0]", Matcher("severity", MatchOperator.EQUALS, "critical"), wait="5s", interval="20s"),
        group_by=("service",),
        repeat=span("45s"),
        steps=(Step(("channel.ops", "channel.phone")), Step(("channel.boss", "channel.ops"), span("12s"))),
        rounds=2,
    ),
    a_route("routes[1]", Matcher("rule", MatchOperator.MATCHES, "s.*|mean"), channels=("log",)),
)


@dataclass(frozen=True)
class Day:
    """What came in, and what a course that nobody disturbed decided about it."""

    inputs: list[Admitted]
    decided: list[tuple[Stamp, Decision]]


def the_rules(random: Random) -> list[Rule]:
    """A few of the kinds of rules, on series that they share."""

    def some() -> str:
        return f"{random.randint(0, 4)}s"

    def silence() -> NoData:
        return no_data(random.choice(list(NoDataMode)), after=f"{random.choice([0, 1, 3, 20])}s")

    rules = [
        a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL, holds_for=some()),
        a_rule(
            "slow",
            Threshold(above(1.5)),
            holds_for=some(),
            recovery=recovering(below(0.5), holds_for=f"{random.randint(0, 9)}s"),
            on_no_data=silence(),
            depends_on=["shop.down"],
        ),
        a_rule("sustained", LastOf(3, 2, above(0.5)), holds_for=some(), on_no_data=silence()),
        a_rule("mean", Aggregate(above(0.8), function=Function.AVG, over=SPAN), holds_for=some()),
        a_rule(
            "spread",
            Aggregate(above(0.2), function=Function.RATE, over=SPAN),
            on_no_data=silence(),
            selects={"queue": "a"},
            metric="depth",
        ),
        a_rule("jumpy", Change(above(0.9), samples=3), recovery=recovering(holds_for=some()), metric="depth"),
        a_rule("silent", Absence(Duration(random.randint(1, 8) * SECOND)), metric="depth", depends_on=["shop.down"]),
        a_rule("drafted", Threshold(above(0.1)), state=Lifecycle.DRAFT),
    ]
    if random.random() < 0.3:
        rules = [rule for rule in rules if rule.name not in {"sustained", "jumpy"}]
    slow, *others = sorted(rules, key=lambda rule: rule.name != "slow")
    return [slow, *random.sample(others, random.randint(0, len(others)))]


def the_configuration(random: Random) -> Configuration:
    """Two services; the second one depends on the first."""
    checks = [a_check(every="2s", stale_after=f"{random.randint(2, 7)}s")]
    shop = a_service(*the_rules(random), checks=checks, labels={"team": "payments"})
    lost = a_rule(
        "lost", Threshold(above(1.5)), service="base", depends_on=["shop"], holds_for=f"{random.randint(0, 2)}s"
    )
    base = a_service(lost, name="base", checks=[a_check(service="base", every="2s", stale_after="5s")])
    return a_configuration(shop, base, routes=ROUTES)


def an_observation(random: Random, mood: int) -> Observation:
    """A run: of one mind with the last ones, or of none."""
    if random.random() < 0.1:
        return Observation(Outcome.UNKNOWN, Reason.OVERLOAD)
    outcome = Outcome.FAILED if mood == 2 and random.random() < 0.7 else Outcome.OK
    measured = []
    if random.random() < 0.8 and mood < MUTE:
        measured.append(Measurement("value", float(mood) if random.random() < 0.8 else 1.0))
    if random.random() < 0.6 and mood < MUTE:
        queue = random.choice(["a", "b"])
        measured.append(Measurement("depth", float(random.randint(0, 3)), (("queue", queue),)))
    reason = Reason.CONNECT if outcome is Outcome.FAILED else None
    return Observation(outcome, reason, f"mood {mood}" if reason else "", tuple(measured))


class Diary:
    """Writes a random day by living it: what people do depends on what was decided."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.course = Course()
        self.inputs: list[Admitted] = []
        self.decided: list[tuple[Stamp, Decision]] = []
        self.epoch = 0
        self.shift = 0
        self.parked: set[str] = set()
        self.mood = {"shop": 0, "base": 0}

    def write(self) -> Day:
        """A day of about `LONG` seconds."""
        self._step(0, Configured(the_configuration(self.random)))
        second = 0
        while second < LONG:
            second += self.random.choice([0, 1, 1, 1, 2, 3, 6])
            happening = self._happening(second)
            for what in sorted(happening, key=order_of):
                self._step(second, what)
            if self.random.random() < 0.05:
                self._step(second, GapBegan(self.random.choice(list(GapCause))))
                second += self.random.randint(1, 12)
                self._step(second, GapEnded())
                second += 1
            elif self.random.random() < 0.04:
                # Half a second off: no two incidents of one series can begin at the same instant of the wall clock.
                delta = Duration(self.random.choice([-1, 1]) * HOUR + SECOND // 2)
                second += 1
                self.epoch, self.shift = self.epoch + 1, self.shift + delta
                self._step(second, Stepped(delta))
        self._step(second + 1, Marked(MarkKind.STOPPED))
        return Day(self.inputs, self.decided)

    def _happening(self, second: int) -> list[Input]:
        random = self.random
        happening: list[Input] = []
        for service in ("base", "shop"):
            if random.random() < 0.15:
                self.mood[service] = random.choice([0, 0, 1, 2, 2, MUTE])
            if random.random() < 0.7:
                observation = an_observation(random, self.mood[service])
                happening.append(Observed(service, "health", observation, self._at(second)))
        known = self.course.incidents()
        if known and random.random() < 0.08:
            incident = random.choice(known)
            act = random.choice(list(Act))
            lasts = Duration(20 * SECOND) if act is Act.SNOOZE else None
            happening.append(Acted(incident.id, act, "ada", "seen", lasts, to="grace"))
        if random.random() < 0.02:
            rules = [rule.name for rule in self.course.policy("shop").configured.rules]
            happening.append(Retired("shop", random.choice(rules), "no longer needed", "ada"))
        owed = [decision for _, decision in self.decided if isinstance(decision, Notice) and decision.held is None]
        owed = [notice for notice in owed if notice.key not in self.parked]
        if owed and random.random() < 0.05:
            notice = random.choice(owed)
            self.parked.add(notice.key)
            happening.append(Settled(notice.key, Delivery.PARKED, notice.channel, notice.page, "410 Gone"))
        if random.random() < 0.2:
            happening.append(Marked(MarkKind.ALIVE))
        return happening

    def _step(self, second: int, what: Input) -> None:
        admitted = Admitted(Stamp(self.epoch, self._at(second)), what)
        if self.inputs and (admitted.stamp, order_of(what)) < (self.inputs[-1].stamp, order_of(self.inputs[-1].input)):
            return  # a second round at one instant: only what is still in order
        self.inputs.append(admitted)
        self.decided += self.course.step(admitted).decisions

    def _at(self, second: int) -> Instant:
        return START.plus(Duration(second * SECOND + self.shift))


def a_day(seed: int) -> Day:
    """The day of that seed, the same in every process."""
    return Diary(seed).write()


if __name__ == "__main__":
    first, last = int(sys.argv[1]), int(sys.argv[2])
    text = "".join(repr(a_day(seed)) for seed in range(first, last))
    print(hashlib.sha256(text.encode()).hexdigest())

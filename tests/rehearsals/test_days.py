"""A live run of admission, cycle and store in simulated time, recorded and stepped again: the same bytes of ledger.

Days are drawn: failures, silences, our own faults, people, outcomes of deliveries, clock steps, suspends, stalls,
reloads, restarts and crashes; incidents are grouped, escalated, repeated, muted and told to whoever is on call.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as draw

from service_monitoring.application import Monitor
from service_monitoring.domain.baselines import Deviation
from service_monitoring.domain.comparisons import Comparison, Operator
from service_monitoring.domain.configuration import (
    Check,
    Configuration,
    Inhibition,
    Person,
    QuietHours,
    Route,
    Service,
)
from service_monitoring.domain.course import Decision, order_of
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    Input,
    Observed,
    Pinged,
    Pushed,
    PushedSample,
    Requeued,
    Retired,
    Settled,
    Signal,
    Silenced,
    Unsilenced,
)
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rotas import Handover, Layer, Override, Rota, Swap
from service_monitoring.domain.rules import Lifecycle, NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.schedules import ActiveHours, Cron, Expectation, Failing, Period, Span
from service_monitoring.domain.silences import Wanted
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    Change,
    Composite,
    Function,
    Heartbeat,
    LastOf,
    Threshold,
)
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Commit
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.testing.builders import a_route, a_step, equals, instant
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.stores import MemoryStore
from service_monitoring.wire.ledger import ledger
from tests.rehearsals.loop import rehearse

EVERY = Duration(5 * SECOND)
ZERO = Duration(0)
WORSE = (Worse(Severity.CRITICAL, Comparison(Operator.BELOW, 0.5), Duration(7 * SECOND)),)
HALF = Duration(30 * MINUTE)
HOURS = ActiveHours("UTC", spans=(Span(1, 3), Span(5, 24 * 60)))
JOB = Expectation(Period(Duration(40 * SECOND)), Duration(10 * SECOND), Duration(15 * SECOND))


SHORT = Duration(4 * SECOND)
ROTA = Rota(
    "primary",
    "Europe/Berlin",
    (Layer(("ada", "bo"), Duration(HOUR), Handover(5), instant("+5m")),),
    overrides=(Override("bo", instant("+2m"), instant("+4m")),),
    swaps=(Swap("ada", "bo", instant("+20m"), instant("+40m")),),
)
QUIET = QuietHours(ActiveHours("UTC", spans=(Span(1, 2), Span(4, 30))), excepted=(Severity.CRITICAL,))
PEOPLE = (Person("ada", ("phone", "mail"), QUIET), Person("bo", ("hook", "mail", "desk")))
MAINTENANCES = (
    Maintenance("desk", (equals("service", "desk"),), Once(instant("+3m"), instant("+6m"))),
    Maintenance("jobs", (equals("service", "jobs"),), Cron("7,27,47 * * * *", "UTC"), Duration(3 * MINUTE)),
    Maintenance("late", (equals("rule", "at-once"),), Cron("3 * * * *", "UTC"), HALF, after_failure=HALF),
)
INHIBITIONS = (
    Inhibition((equals("rule", "down"),), (equals("rule", "awake"),), ("service",)),
    Inhibition((equals("rule", "slow-to-go"),), (equals("rule", "at-once"),), ("service",)),
)


def the_routes(revision: int) -> tuple[Route, ...]:
    """What is critical escalates in rounds, what is of the shop waits for others and is repeated, the rest is at once.

    Another revision has other waits, or a route less.
    """
    critical = Route(
        "critical",
        (equals("severity", "critical"),),
        group_by=("service",),
        wait=SHORT,
        interval=Duration((10 + revision % 3 * 10) * SECOND),
        repeat=Duration(45 * SECOND),
        steps=(a_step("channel.hook", "oncall.primary"), a_step("person.bo", after="6s")),
        rounds=2,
        proceed=revision % 2 == 1,
    )
    shop = Route(
        "shop",
        (equals("service", "shop"),),
        wait=Duration(revision % 4 * 3 * SECOND),
        interval=Duration(12 * SECOND),
        repeat=Duration(40 * SECOND),
        steps=(a_step("person.ada"), a_step("oncall.primary", after="8s", matchers=(equals("rule", "often"),))),
        muted=(ActiveHours("UTC", spans=(Span(5, 6),)),),
    )
    first = a_route("first", channels=("hook", "mail"))
    return (critical, *([] if revision % 5 == 4 else [shop]), first)


def the_configuration(revision: int = 0) -> Configuration:
    """Three services, each kind of rule, each modifier; the child depends on the parent.

    Another revision changes a limit, a window and a hold, and takes rules away or brings them.
    """
    drafted = Lifecycle.DRAFT if revision % 2 == 0 else Lifecycle.ACTIVE

    def below(metric: str, name: str, service: str = "shop", **more: Any) -> Rule:
        return Rule(service, name, "page", metric, Threshold(Comparison(Operator.BELOW, 1.0)), **more)

    above = Comparison(Operator.ABOVE, 2.0 + revision % 3 / 2)
    wide = Aggregate(above, function=Function.MAX, over=Duration((20 + revision % 3 * 10) * SECOND))
    deviation = Deviation(
        Comparison(Operator.OUTSIDE, -1.5, 1.5), baseline=Duration(40 * SECOND), stands_for=Duration(12 * SECOND)
    )
    rules = (
        below("up", "down", severity=Severity.CRITICAL, holds_for=Duration(10 * SECOND)),
        below("value", "at-once", no_data=NoData(NoDataMode.RESOLVE), worse=WORSE),
        below("value", "awake", active=HOURS, holds_for=Duration(6 * SECOND)),
        below("value", "drafted", holds_for=Duration(2 * SECOND), state=drafted),
        below(
            "value",
            "slow-to-go",
            holds_for=Duration(5 * SECOND),
            recovery=Recovery(above, Duration(10 * SECOND)),
            no_data=NoData(NoDataMode.BREACH_AFTER, Duration(20 * SECOND)),
        ),
        Rule("shop", "often", "page", "value", LastOf(3, 2, above)),
        Rule("shop", "mean", "page", "value", Aggregate(above, function=Function.AVG, over=Duration(15 * SECOND))),
        Rule("shop", "jump", "page", "value", Change(above, samples=3)),
        Rule("shop", "silent", "page", "value", Absence(Duration(25 * SECOND))),
        Rule("shop", "both", "", "", Composite(("shop.often", "desk.child"), 1), holds_for=Duration(3 * SECOND)),
        Rule("shop", "usual", "page", "value", deviation),
        *([] if revision % 2 == 0 else [Rule("shop", "late", "page", "value", wide)]),
    )
    jobs = (
        Rule("jobs", "missed", "backup", "", Heartbeat(tuple(Failing))),
        Rule("jobs", "few", "orders", "orders", Threshold(Comparison(Operator.BELOW, 1.0)), holds_for=EVERY),
        Rule("jobs", "quiet", "orders", "orders", Absence(Duration(30 * SECOND)), depends_on=("shop.down",)),
        Rule("jobs", "mean", "orders", "orders", wide, no_data=NoData(NoDataMode.RESOLVE)),
    )
    child = below("up", "child", "desk", depends_on=("shop.down",))
    services = tuple(
        Service(
            name,
            checks=(Check(name, "page", "http", EVERY, EVERY, Duration(12 * SECOND), forget_after=forgets),),
            rules=mine,
        )
        for name, mine, forgets in (("shop", rules, Duration(70 * SECOND)), ("desk", (child,), DAY))
    )
    checks = (
        Check("jobs", "backup", "heartbeat", ZERO, ZERO, ZERO, expects=JOB),
        Check(
            "jobs",
            "orders",
            "push",
            ZERO,
            ZERO,
            Duration(25 * SECOND),
            allowance=Duration(10 * SECOND),
            forget_after=ZERO,
        ),
    )
    services = (*services, Service("jobs", checks=checks, rules=jobs))
    return Configuration(
        services,
        routes=the_routes(revision),
        owners=("mail",),
        inhibitions=INHIBITIONS,
        people=PEOPLE,
        rotas=(ROTA,),
        maintenances=MAINTENANCES,
    )


def observation(value: float | None) -> Observation:
    """A value that was measured; None: the run failed; negative: our own fault."""
    if value is None:
        return Observation(Outcome.FAILED, Reason.CONNECT)
    if value < 0:
        return Observation(Outcome.UNKNOWN, Reason.OVERLOAD)
    return Observation(Outcome.OK, measurements=(Measurement("value", value),))


class MortalStore(MemoryStore):
    """Dies, when told to, between the sample file and the commit."""

    dying = False

    async def commit(self, commit: Commit) -> None:
        if self.dying:
            raise Unavailable("the program dies here")
        await super().commit(commit)


class Day:
    """One monitor in simulated time, driven event by event."""

    def __init__(self, configured: Callable[[int], Configuration]) -> None:
        self.configured = configured
        self.clock = SimulatedClock()
        self.store = MortalStore()
        self.owed: dict[str, Notice] = {}
        self.parked: dict[str, None] = {}
        self.refused = 0

    async def begin(self) -> None:
        """Start, or start again after a crash or a stop."""
        monitor = await Monitor.resume(self.store)
        self.cycle = Cycle(monitor, self.clock, capacity=64, owed=self.owe, troubled=lambda why: None)
        first = [] if monitor.course.configuration.services else [Configured(self.configured(0))]
        await self.cycle.start(*first)
        assert monitor.course.configuration.services, "the configuration was refused"
        self.loop = asyncio.get_running_loop().create_task(self.cycle.run(lambda: None))

    def owe(self, notices: Sequence[Notice]) -> None:
        """They are to be delivered."""
        self.owed |= {notice.key: notice for notice in notices}

    async def crash(self) -> None:
        """Nothing is said, nothing is kept that was not."""
        self.loop.cancel()
        await asyncio.gather(self.loop, return_exceptions=True)

    async def stop(self) -> None:
        """An orderly end."""
        await self.cycle.stop()
        await self.loop

    async def happen(self, event: tuple[str, Any]) -> None:
        """One event of the script."""
        match event:
            case ("poll", (service, value)):
                await self.cycle.submit(Observed(service, "page", observation(value), self.clock.now()))
            case ("wait", seconds):
                await self.clock.advance(Duration(seconds * SECOND))
            case ("spell", (service, value, count)):
                for _ in range(count):
                    await self.happen(("poll", (service, value)))
                    await self.happen(("wait", 5))
            case ("push", samples):
                now = self.clock.now()
                pushed = tuple(
                    PushedSample(now.plus(Duration(offset * SECOND)), "orders", value) for offset, value in samples
                )
                await self.cycle.submit(Pushed("jobs", "orders", pushed))
            case ("report", (signal, run)):
                await self.cycle.submit(Pinged("jobs", "backup", signal, run))
            case ("step", seconds):
                self.clock.step(Duration(seconds * SECOND))
                await self.clock.advance(Duration(SECOND))
            case ("suspend", seconds):
                self.clock.suspend(Duration(seconds * SECOND))
                await self.clock.advance(Duration(SECOND))
            case ("stall", seconds):
                self.clock.stall(Duration(seconds * SECOND))
            case ("die", (value, seconds)):
                self.store.dying = True
                for service in ("desk", "shop"):
                    await self.happen(("poll", (service, value)))
                await self.clock.advance(Duration(2 * SECOND))
                await self.crash()
                self.store.dying = False
                await self.clock.advance(Duration(seconds * SECOND))
                await self.begin()
            case ("crash" | "stop" as how, seconds):
                await (self.crash() if how == "crash" else self.stop())
                await self.clock.advance(Duration(seconds * SECOND))
                await self.begin()
            case _:
                await self.say(event)

    async def say(self, event: tuple[str, Any]) -> None:
        """One event of the script that people or channels bring about."""
        match event:
            case ("reload", revision):
                await self.ask(Configured(self.configured(revision)))
            case ("silence", (matcher, begins, lasts)):
                begin = self.clock.now().plus(Duration(begins * SECOND))
                wanted = Wanted((matcher,), "ada", begins=begin, lasts=Duration(lasts * SECOND))
                await self.ask(Silenced(wanted))
            case ("unsilence", place):
                if silences := self.cycle.course.silences():
                    await self.ask(Unsilenced(silences[place % len(silences)].id, "bo"))
            case ("settle", (place, delivery)):
                await self.settle(place, delivery)
            case ("requeue", place):
                if self.parked:
                    await self.ask(Requeued(list(self.parked)[place % len(self.parked)], "ada"))
            case ("retire", rule):
                await self.ask(Retired("shop", rule, "no longer needed", "ada"))
            case ("person", (act, place)):
                await self.act(act, place)
            case _:
                raise AssertionError(event)

    async def act(self, act: Act, place: int = 0) -> None:
        """Somebody acts on one of the incidents there are."""
        if incidents := self.cycle.course.incidents():
            incident = incidents[place % len(incidents)]
            expires = Duration(20 * SECOND) if act in {Act.ACKNOWLEDGE, Act.SNOOZE} else None
            await self.ask(Acted(incident.id, act, "ada", "seen", expires, to="bo" if act is Act.ASSIGN else ""))

    async def settle(self, place: int, delivery: Delivery) -> None:
        """What became of one of the notices that are owed."""
        if not self.owed:
            return
        notice = list(self.owed.values())[place % len(self.owed)]
        held = self.cycle.course.withheld(notice, self.clock.now()) if delivery is Delivery.WITHHELD else None
        if delivery is Delivery.WITHHELD and held is None:
            delivery = Delivery.DELIVERED
        if delivery is not Delivery.DELAYED:
            del self.owed[notice.key]
        if delivery is Delivery.PARKED:
            self.parked[notice.key] = None
        settled = Settled(
            notice.key,
            delivery,
            notice.channel,
            notice.page,
            held=held,
            group=notice.group,
            sequence=notice.sequence,
            recipient=notice.recipient,
        )
        await self.cycle.submit(settled)

    async def ask(self, what: Input) -> None:
        """Something that is answered, and may be refused."""
        asking = asyncio.ensure_future(self.cycle.ask(what))
        await self.clock.settle()
        try:
            await asking
        except Refused:
            self.refused += 1

    def recorded(self) -> list[Admitted]:
        """What a rehearsal reads: the inputs of the journal and the observations of the sample file, in order."""
        journal = [
            record for commit in self.store.commits for _, record in commit.records if isinstance(record, Admitted)
        ]
        observed = list(self.store._observations.values())  # what the sample file is in the real store
        return sorted(journal + observed, key=lambda admitted: (admitted.stamp, order_of(admitted.input)))

    def decided(self) -> list[Decision]:
        """What was committed, in the order in which it was."""
        return [
            record for commit in self.store.commits for _, record in commit.records if not isinstance(record, Admitted)
        ]


async def live(script: list[tuple[str, Any]], configured: Callable[[int], Configuration] = the_configuration) -> Day:
    """A day as scripted, ended in order."""
    day = Day(configured)
    await day.begin()
    for event in script:
        await day.happen(event)
        await day.clock.settle()
    await day.stop()
    return day


VALUES = draw.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 5.0, None, None, -1.0])
PUSHED = draw.sampled_from([0.0, 1.0, 3.0, 5.0])
PLACES = draw.integers(0, 4)
SHORT_TIMES = draw.sampled_from([5, 30, 120])
MATCHERS = draw.sampled_from([equals("service", "shop"), equals("severity", "critical"), equals("rule", "child")])
EVENTS = draw.one_of(
    draw.tuples(
        draw.just("spell"),
        draw.tuples(draw.sampled_from(["shop", "shop", "desk"]), VALUES, draw.sampled_from([4, 8, 16])),
    ),
    draw.tuples(draw.just("poll"), draw.tuples(draw.sampled_from(["shop", "shop", "desk"]), VALUES)),
    draw.tuples(draw.just("wait"), draw.sampled_from([1, 2, 4, 5, 5, 10, 13, 30])),
    draw.tuples(draw.just("wait"), draw.sampled_from([1, 5, 5, 5])),
    draw.tuples(draw.just("step"), draw.sampled_from([3600, -3600, 20])),
    draw.tuples(draw.just("suspend"), draw.sampled_from([7, 60, HOUR // SECOND])),
    draw.tuples(draw.just("stall"), draw.sampled_from([2, 8, 60])),
    draw.tuples(draw.just("person"), draw.tuples(draw.sampled_from(list(Act)), PLACES)),
    draw.tuples(draw.just("silence"), draw.tuples(MATCHERS, draw.sampled_from([0, 0, 20]), SHORT_TIMES)),
    draw.tuples(draw.just("unsilence"), PLACES),
    draw.tuples(draw.just("settle"), draw.tuples(PLACES, draw.sampled_from(list(Delivery)))),
    draw.tuples(draw.just("settle"), draw.tuples(PLACES, draw.sampled_from(list(Delivery)))),
    draw.tuples(draw.just("requeue"), PLACES),
    draw.tuples(draw.just("retire"), draw.sampled_from(["often", "mean", "late"])),
    draw.tuples(draw.just("push"), draw.lists(draw.tuples(draw.integers(-14, 12), PUSHED), min_size=1, max_size=4)),
    draw.tuples(draw.just("push"), draw.lists(draw.tuples(draw.integers(-9, 9), PUSHED), min_size=1, max_size=4)),
    draw.tuples(draw.just("report"), draw.tuples(draw.sampled_from(list(Signal)), draw.sampled_from(["", "1", "2"]))),
    draw.tuples(draw.just("reload"), draw.integers(1, 5)),
    draw.tuples(draw.just("die"), draw.tuples(VALUES, draw.sampled_from([1, 5, 60]))),
    draw.tuples(draw.sampled_from(["crash", "stop"]), draw.sampled_from([1, 3, 30, 600])),
)


# Recovered by what waited for the end of a gap in which an acknowledgement expired.
RECOVERED_IN_A_GAP = [
    ("wait", 1),
    ("wait", 30),
    ("person", (Act.ACKNOWLEDGE, 0)),
    ("push", [(0, 0.0)]),
    ("suspend", 60),
]

# After a restart a window holds what was pushed after something younger, too.
PUSHED_OUT_OF_ORDER = [
    ("reload", 5),
    ("push", [(2, 1.0)]),
    ("push", [(-3, 5.0)]),
    ("stop", 30),
    ("crash", 3),
    ("push", [(-1, 0.0), (-2, 1.0), (2, 0.0)]),
    ("suspend", 7),
]

# A rule that changes after a gap knows no more of what was said before it than the rule did that it was.
REVISED_AFTER_A_GAP = [
    ("push", [(1, 3.0)]),
    ("push", [(0, 0.0)]),
    ("wait", 1),
    ("suspend", 3600),
    ("die", (0.0, 1)),
    ("reload", 1),
]

# Timers that decided nothing fired before the clock was set, by signs of life that nobody recorded.
FLUSHED_BEFORE_A_STEP = [
    ("spell", ("shop", 0.5, 16)),
    ("spell", ("desk", None, 16)),
    ("spell", ("shop", 0.0, 16)),
    ("step", -3600),
]
TOLD_BETWEEN_STEPS = [
    ("spell", ("shop", 0.0, 4)),
    ("spell", ("desk", 0.0, 8)),
    ("step", -3600),
    ("spell", ("desk", None, 16)),
    ("wait", 7),
    ("wait", 60),
    ("step", 3600),
]

# What a series said before it was forgotten is not remembered after a restart either.
FORGOTTEN_BEFORE_A_RESTART = [
    ("poll", ("shop", 5.0)),
    ("wait", 5),
    ("poll", ("shop", 5.0)),
    ("wait", 5),
    ("poll", ("shop", 0.0)),
    *[("wait", 30)] * 4,
    ("poll", ("shop", 5.0)),
    ("wait", 5),
    ("stop", 3),
    ("poll", ("shop", 5.0)),
    ("wait", 5),
    ("poll", ("shop", 0.0)),
    ("wait", 5),
]


def assert_rehearsed(
    script: list[tuple[str, Any]], configured: Callable[[int], Configuration] = the_configuration
) -> None:
    day = asyncio.run(live(script, configured))
    assert day.store._progress is not None
    again = rehearse(day.recorded(), day.store._progress.judged)
    assert ledger(again) == ledger(day.decided())
    assert again == day.decided()


@given(draw.lists(EVENTS, min_size=5, max_size=60))
@example(RECOVERED_IN_A_GAP)
@example(PUSHED_OUT_OF_ORDER)
@example(REVISED_AFTER_A_GAP)
@example(FLUSHED_BEFORE_A_STEP)
@example(TOLD_BETWEEN_STEPS)
@example(FORGOTTEN_BEFORE_A_RESTART)
@settings(max_examples=100, deadline=None)
def test_a_recorded_day_stepped_again_gives_the_identical_ledger(script: list[tuple[str, Any]]) -> None:
    assert_rehearsed(script)


def test_the_last_samples_are_not_always_those_of_the_last_pushes() -> None:
    """However long ago it was, after a restart a window holds the samples of the latest instants."""

    def rarely(revision: int) -> Configuration:
        lately = Rule("jobs", "lately", "orders", "orders", LastOf(3, 2, Comparison(Operator.ABOVE, 2.0)))
        stale, allowed = Duration(5 * SECOND), Duration(10 * SECOND)
        check = Check("jobs", "orders", "push", ZERO, ZERO, stale, allowance=allowed, forget_after=DAY)
        return Configuration((Service("jobs", checks=(check,), rules=(lately,)),))

    out_of_order = [("push", [(9, 5.0)]), *[("push", [(offset, 0.0)]) for offset in (0, 1, 2)], ("wait", 600)]
    assert_rehearsed([*out_of_order, ("stop", 30), ("push", [(1, 5.0)]), ("wait", 30)], rarely)


@pytest.mark.oracle
@pytest.mark.timeout(1200)
@given(draw.lists(EVENTS, min_size=60, max_size=240))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_two_hundred_long_days_give_the_identical_ledger(script: list[tuple[str, Any]]) -> None:
    assert_rehearsed(script)

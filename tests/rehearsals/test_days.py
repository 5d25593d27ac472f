"""A live run of admission, cycle and store in simulated time, recorded and stepped again: the same bytes of ledger.

Days are drawn: failures, silences, our own faults, people, clock steps, suspends, stalls, restarts and crashes.
"""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as draw

from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Check, Configuration, Route, Service
from service_monitoring.domain.course import Decision, order_of
from service_monitoring.domain.inputs import Act, Acted, Admitted, Configured, Observed
from service_monitoring.domain.instants import HOUR, SECOND, Duration
from service_monitoring.domain.rules import NoData, NoDataMode, Recovery, Rule, Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    Change,
    Comparison,
    Function,
    LastOf,
    Operator,
    Threshold,
)
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Commit
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.stores import MemoryStore
from service_monitoring.wire.ledger import ledger
from tests.rehearsals.loop import rehearse

EVERY = Duration(5 * SECOND)


def the_configuration() -> Configuration:
    """Two services, each kind of rule, each modifier; the child depends on the parent."""

    def below(metric: str, name: str, service: str = "shop", **more: Any) -> Rule:
        return Rule(service, name, "page", metric, Threshold(Comparison(Operator.BELOW, 1.0)), **more)

    above = Comparison(Operator.ABOVE, 2.0)
    rules = (
        below("up", "down", severity=Severity.CRITICAL, holds_for=Duration(10 * SECOND)),
        below("value", "at-once", no_data=NoData(NoDataMode.RESOLVE)),
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
    )
    child = below("up", "child", "desk", depends_on=("shop.down",))
    services = tuple(
        Service(name, checks=(Check(name, "page", "http", EVERY, EVERY, Duration(12 * SECOND)),), rules=mine)
        for name, mine in (("shop", rules), ("desk", (child,)))
    )
    return Configuration(services, routes=(Route("first", recipients=("hook", "mail")),), owners=("mail",))


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

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.store = MortalStore()
        self.refused = 0

    async def begin(self) -> None:
        """Start, or start again after a crash or a stop."""
        monitor = await Monitor.resume(self.store)
        self.cycle = Cycle(monitor, self.clock, capacity=64, owed=lambda owed: None, troubled=lambda why: None)
        first = [] if monitor.course.configuration.services else [Configured(the_configuration())]
        await self.cycle.start(*first)
        self.loop = asyncio.get_running_loop().create_task(self.cycle.run(lambda: None))

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
            case ("step", seconds):
                self.clock.step(Duration(seconds * SECOND))
                await self.clock.advance(Duration(SECOND))
            case ("suspend", seconds):
                self.clock.suspend(Duration(seconds * SECOND))
                await self.clock.advance(Duration(SECOND))
            case ("stall", seconds):
                self.clock.stall(Duration(seconds * SECOND))
            case ("person", act):
                await self.act(act)
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
                raise AssertionError(event)

    async def act(self, act: Act) -> None:
        """Somebody acts on the first incident there is."""
        for incident in self.cycle.course.incidents()[:1]:
            asking = asyncio.ensure_future(self.cycle.ask(Acted(incident.id, act, by="ada")))
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


async def live(script: list[tuple[str, Any]]) -> Day:
    """A day as scripted, ended in order."""
    day = Day()
    await day.begin()
    for event in script:
        await day.happen(event)
        await day.clock.settle()
    await day.stop()
    return day


VALUES = draw.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 5.0, None, None, -1.0])
EVENTS = draw.one_of(
    draw.tuples(draw.just("poll"), draw.tuples(draw.sampled_from(["shop", "shop", "desk"]), VALUES)),
    draw.tuples(draw.just("wait"), draw.sampled_from([1, 2, 4, 5, 5, 10, 13, 30])),
    draw.tuples(draw.just("wait"), draw.sampled_from([1, 5, 5, 5])),
    draw.tuples(draw.just("step"), draw.sampled_from([3600, -3600, 20])),
    draw.tuples(draw.just("suspend"), draw.sampled_from([7, 60, HOUR // SECOND])),
    draw.tuples(draw.just("stall"), draw.sampled_from([2, 8, 60])),
    draw.tuples(draw.just("person"), draw.sampled_from(list(Act))),
    draw.tuples(draw.just("die"), draw.tuples(VALUES, draw.sampled_from([1, 5, 60]))),
    draw.tuples(draw.sampled_from(["crash", "stop"]), draw.sampled_from([1, 3, 30, 600])),
)


@given(draw.lists(EVENTS, min_size=5, max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_recorded_day_stepped_again_gives_the_identical_ledger(script: list[tuple[str, Any]]) -> None:
    day = asyncio.run(live(script))
    assert day.store._progress is not None
    again = rehearse(day.recorded(), day.store._progress.judged)
    assert ledger(again) == ledger(day.decided())
    assert again == day.decided()

"""Whether our own network is down: canaries, asked once for all, and what becomes of the failures of that time."""

from __future__ import annotations

import asyncio

from service_monitoring.application import Monitor
from service_monitoring.domain.inputs import Configured, Observed
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.strategies import Threshold
from service_monitoring.ports import Deadline
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.uplink import FRESH, Uplink
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, below
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.stores import MemoryStore

OK = Observation(Outcome.OK)
REFUSED = Observation(Outcome.FAILED, Reason.CONNECT, "no route to host")
STATUS = Observation(Outcome.FAILED, Reason.STATUS, "503")


class Target:
    """Answers as long as the network is there."""

    def __init__(self, network: Network, answer: Observation = OK) -> None:
        self.network = network
        self.answer = answer
        self.asked = 0

    async def probe(self, deadline: Deadline) -> Observation:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer if self.network.up else REFUSED


class Network:
    up = True


class Broken:
    async def probe(self, deadline: Deadline) -> Observation:
        raise LookupError("a defect")


def observed(observation: Observation) -> Observed:
    return Observed("shop", "health", observation, Instant(0))


async def test_a_failure_is_our_own_fault_when_no_canary_can_be_reached() -> None:
    clock, network, said = SimulatedClock(), Network(), list[str]()
    uplink = Uplink([Target(network), Target(network)], clock, troubled=said.append)
    assert await uplink.excused(observed(REFUSED)) == observed(REFUSED)
    network.up = False
    await clock.advance(FRESH)
    excused = (await uplink.excused(observed(REFUSED))).observation
    assert (excused.outcome, excused.reason) == (Outcome.UNKNOWN, Reason.SELF_OFFLINE)
    assert "no route to host" in excused.detail
    assert said == ["our own network is down: none of 2 canaries can be reached"]


async def test_one_canary_that_answers_is_enough_and_so_is_one_that_is_broken() -> None:
    clock, network = SimulatedClock(), Network()
    network.up = False
    for other in (Target(Network(), STATUS), Broken()):
        uplink = Uplink([Target(network), other], clock, troubled=lambda sentence: None)
        assert await uplink.excused(observed(REFUSED)) == observed(REFUSED)


async def test_who_answered_was_reached_whatever_the_canaries_say() -> None:
    clock, network = SimulatedClock(), Network()
    network.up = False
    canary = Target(network)
    uplink = Uplink([canary], clock, troubled=lambda sentence: None)
    assert await uplink.excused(observed(STATUS)) == observed(STATUS)
    assert await uplink.excused(observed(OK)) == observed(OK)
    assert canary.asked == 0


async def test_canaries_are_asked_once_for_all_who_want_to_know() -> None:
    clock, network = SimulatedClock(), Network()
    canary = Target(network)
    uplink = Uplink([canary], clock, troubled=lambda sentence: None)
    await asyncio.gather(*(uplink.excused(observed(REFUSED)) for _ in range(100)))
    await uplink.excused(observed(REFUSED))
    assert canary.asked == 1
    await clock.advance(FRESH)
    await uplink.excused(observed(REFUSED))
    assert canary.asked == 2


async def test_without_canaries_everything_is_as_it_seems() -> None:
    uplink = Uplink([], SimulatedClock(), troubled=lambda sentence: None)
    assert await uplink.excused(observed(REFUSED)) == observed(REFUSED)


async def test_an_outage_of_our_own_pages_nobody_for_any_service_and_is_over_within_an_interval() -> None:
    clock, network, said = SimulatedClock(), Network(), list[str]()
    names = [f"s{number}" for number in range(20)]
    down = Threshold(below(1))
    services = [
        a_service(
            a_rule("down", down, service=name, metric="up", severity=Severity.CRITICAL, holds_for="10s"),
            name=name,
            checks=[a_check(service=name, every="5s", stale_after="12s")],
        )
        for name in names
    ]
    configuration = a_configuration(*services)
    owed: list[str] = []
    store = MemoryStore()
    cycle = Cycle(
        await Monitor.resume(store),
        clock,
        capacity=100,
        owed=lambda notices: owed.extend(notice.key for notice in notices),
        troubled=lambda sentence: None,
    )
    uplink = Uplink([Target(network)], clock, troubled=said.append)

    async def submit(what: Observed) -> None:
        await cycle.submit(await uplink.excused(what))

    checks = [check for service in configuration.services for check in service.checks]
    targets = {check.id: Target(network) for check in checks}
    poller = Poller(checks, targets, clock, submit)
    await cycle.start(Configured(configuration))
    tasks = [
        asyncio.create_task(cycle.run(lambda: None)),
        asyncio.create_task(poller.run()),
        asyncio.create_task(uplink.watch(lambda: None)),
    ]
    await clock.advance(Duration(70 * SECOND))
    network.up = False
    await clock.advance(Duration(300 * SECOND))
    assert said == ["our own network is down: none of 1 canaries can be reached"]
    assert uplink.offline
    network.up = True
    await clock.advance(Duration(5 * SECOND))
    assert not uplink.offline
    assert said[1:] == [""]
    await clock.advance(Duration(60 * SECOND))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert owed == []
    assert list(cycle.course.incidents()) == []

"""The faults of far sides, end to end: outcomes are decided, owners hear by another way, slots are freed in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import median

import pytest

from bench.outbox import CHANNELS, far_sides, measured, steadily
from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.inputs import Configured, Observed
from service_monitoring.domain.instants import HOUR, MILLISECOND, MINUTE, SECOND, Duration
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.strategies import Threshold
from service_monitoring.ports import Accepted, Answer, Later, Rejected, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.deliver import Deliverer, Terms
from service_monitoring.runtime.lanes import Channel
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks.webhook import Kind, Options
from service_monitoring.testing.builders import a_route, a_rule, below
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.sink_laws import Behaviour, a_notice
from service_monitoring.testing.stores import MemoryStore
from tests.runtime.delivering import Bench, FarSide, hangs
from tests.runtime.delivering import a_notice as owed
from tests.sinks.servers import HttpServer


class House:
    """A cycle and a deliverer in simulated time: a page goes to `hook`, the owners have `hook` and `desk`."""

    def __init__(self, script: Callable[[int], Answer]) -> None:
        self.clock = SimulatedClock()
        self.store = MemoryStore()
        self.hook = FarSide(self.clock, script)
        self.desk = FarSide(self.clock)
        self.cycle: Cycle
        self.deliverer: Deliverer

    def owed(self, notices: Sequence[Notice]) -> None:
        self.deliverer.wake(notices)


@asynccontextmanager
async def house(script: Callable[[int], Answer]) -> AsyncIterator[House]:
    made = House(script)
    rule = a_rule("down", Threshold(below(1)), metric="up", severity=Severity.CRITICAL)
    check = Check("shop", "health", "http", Duration(5 * SECOND), SECOND, HOUR)
    configuration = Configuration(
        (Service("shop", checks=(check,), rules=(rule,)),),
        (a_route("all", channels=("hook",)),),
        owners=("hook", "desk"),
    )
    made.cycle = Cycle(
        await Monitor.resume(made.store),
        made.clock,
        capacity=64,
        owed=made.owed,
        troubled=lambda sentence: None,
    )
    made.deliverer = Deliverer(
        made.store,
        made.clock,
        {"hook": Channel(made.hook), "desk": Channel(made.desk)},
        finish=made.cycle.submit,
        dice=lambda: 0.5,
        troubled=lambda sentence: None,
    )
    await made.cycle.start(Configured(configuration))
    tasks = [asyncio.create_task(made.cycle.run(lambda: None)), asyncio.create_task(made.deliverer.run())]
    await made.clock.settle()
    try:
        yield made
    finally:
        for _ in range(2):
            for task in tasks:
                task.cancel()
            await made.clock.settle()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fail(made: House) -> None:
    down = Observation(Outcome.FAILED, Reason.CONNECT)
    await made.cycle.submit(Observed("shop", "health", down, made.clock.now()))


async def test_a_refused_page_is_tried_once_and_the_owners_hear_of_it_within_a_minute_by_another_way() -> None:
    async with house(lambda _: Rejected("404 Not Found")) as it:
        await fail(it)
        await it.clock.advance(MINUTE)
        assert (len(it.hook.sends), len(it.desk.sends)) == (1, 1)
        statistics = {lane.channel: lane.trouble for lane in it.deliverer.statistics()}
        assert statistics == {"hook": "404 Not Found", "desk": ""}
        await it.clock.advance(HOUR)
        assert (len(it.hook.sends), len(it.desk.sends)) == (1, 1)


async def test_a_page_that_is_five_minutes_late_is_told_to_the_owners_by_another_way() -> None:
    async with house(lambda _: Later("503")) as it:
        await it.clock.advance(Duration(2 * SECOND))
        await fail(it)
        opened = it.clock.tick().ns / 1e9
        await it.clock.advance(Duration(20 * MINUTE))
        (told,) = it.desk.ticks()
        assert told - opened == pytest.approx(300, abs=5)


@pytest.mark.parametrize("hanging", [False, True])
async def test_a_channel_that_hangs_does_not_double_the_delay_of_others(hanging: bool) -> None:
    """Five channels, five hundred notices each, twenty a second."""
    assert await slowest_of_healthy(hanging=hanging) <= 2 * max(await slowest_of_healthy(hanging=False), 0.05)


async def slowest_of_healthy(*, hanging: bool) -> float:
    bench = Bench()
    sides = {name: FarSide(bench.clock, takes=0.05) for name in "abcd"}
    sides["e"] = FarSide(bench.clock, hangs if hanging else lambda _: Accepted(), takes=0.05)
    decided: dict[str, float] = {}
    deliverer = bench.deliverer(None, sides)
    async with bench.running(deliverer):
        for number in range(500):
            notices = [owed(number, channel=name) for name in sides]
            decided.update((notice.key, bench.clock.tick().ns / 1e9) for notice in notices)
            await bench.commit(notices)
            deliverer.wake(notices)
            await bench.clock.advance(Duration(50 * MILLISECOND))
        await bench.clock.advance(SECOND)
    delays = sorted(tick.ns / 1e9 - decided[message.key] for name in "abcd" for tick, message in sides[name].sends)
    assert len(delays) == 2000
    return delays[len(delays) * 99 // 100] + 0.05


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_a_server_that_hangs_does_not_double_the_delay_at_the_other_four() -> None:
    """Row 50 with real sockets and a real store: five servers, 500 notices for each, 100 a second to each."""
    healthy: list[float] = []
    hanging: list[float] = []
    with far_sides() as ports:
        alone = dict(zip(CHANNELS, ports[:5], strict=True))
        beside = {**alone, "e": ports[5]}
        for _ in range(7):
            healthy.append(asyncio.run(measured(steadily, alone, 5)))
            hanging.append(asyncio.run(measured(steadily, beside, 4)))
    before, after = median(healthy), median(hanging)
    print(
        f"row 50: p99 of healthy channels {before * 1e3:.1f} ms, beside one that hangs {after * 1e3:.1f} ms (bar: 2x)"
    )
    assert after <= 2 * before, f"alone {healthy}, beside one that hangs {hanging}"


@pytest.mark.real_time("a server on this machine that never answers is given 300 ms")
async def test_a_server_that_never_answers_frees_its_slot_in_time() -> None:
    bench, kind = Bench(), Kind()
    clock = SystemClock()
    world = Surroundings(clock, AddressPolicy.allowing(["127.0.0.0/8"]))
    stuck, other = a_notice(1), a_notice(2)
    async with HttpServer().listening() as server:
        sink = kind.open_sink(
            Options.model_validate({"webhook": f"http://127.0.0.1:{server.port}/"}), surroundings=world
        )
        server.behaviour = Behaviour.HANG
        deliverer = Deliverer(
            bench.store,
            clock,
            {"ops": Channel(sink, concurrency=1)},
            finish=bench.finish,
            dice=lambda: 0.5,
            troubled=bench.troubles.append,
            terms=Terms(budget=Duration(300 * MILLISECOND)),
        )
        await bench.commit([stuck, other])
        running = asyncio.create_task(deliverer.run())
        while not server.hanging:
            await asyncio.sleep(0.002)
        began = clock.tick()
        server.behaviour = Behaviour.ACCEPT
        while not server.received:
            await asyncio.sleep(0.002)
        assert clock.tick().since(began) < 1500 * MILLISECOND
        assert server.received[0].key in {stuck.key, other.key}  # whichever waited for the slot
        await deliverer.stop()
        await running
        await kind.close()

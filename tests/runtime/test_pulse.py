"""The outward heartbeat: a server outside is called while all is well, and hears nothing once something is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from service_monitoring.domain.instants import MINUTE, SECOND, Duration, in_seconds
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.samples import Observation
from service_monitoring.ports import Accepted, Answer, Deadline, Message, Source, Surroundings, Tick
from service_monitoring.runtime.alarm import SETTLED, Alarm
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.pulse import AGAIN, Outside, Pulse, ailment
from service_monitoring.runtime.supervise import Beat, Loop, Supervisor
from service_monitoring.settings import AddressPolicy
from service_monitoring.sources.http import Kind
from service_monitoring.testing.clock import SimulatedClock

Run = Callable[[Beat], Awaitable[None]]

EVERY = MINUTE
GRACE = MINUTE
"""What a watcher outside usually allows for: one heartbeat more."""


class Watcher:
    """A server elsewhere: it answers with `status`, and alarms when nobody calls for a heartbeat and its grace."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.status = 200
        self.calls: list[Tick] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Watcher]:
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.calls.append(self.clock.tick())
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    @property
    def alarms_at(self) -> Tick:
        return self.calls[-1].plus(EVERY).plus(GRACE)


class Noticed:
    """A source that says when no call is under way: a real answer takes real time, which no simulated clock sees."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.idle = asyncio.Event()
        self.idle.set()

    async def probe(self, deadline: Deadline) -> Observation:
        self.idle.clear()
        try:
            # Its deadline is the machine's: the pulse's own is simulated.
            return await self._source.probe(deadline_after(SystemClock(), Duration(5 * SECOND)))
        finally:
            self.idle.set()


class Rig:
    """A pulse, called for by a real client, in simulated time."""

    def __init__(self, clock: SimulatedClock, watcher: Watcher, kind: Kind, *, allow: str = "127.0.0.0/8") -> None:
        self.clock = clock
        self.watcher = watcher
        self.ill = ""
        self.said: list[tuple[str, str]] = []
        self.kind = kind
        self.source = self.opened(f"http://127.0.0.1:{watcher.port}/ping/key", allow)
        self.pulse = Pulse(
            Outside(self.source, EVERY, lambda text: text.replace("key", "(secret)")),
            clock,
            ailing=lambda: self.ill,
            changed=lambda what, sentence: self.said.append((what, sentence)),
        )
        self.beats = 0
        self.running: asyncio.Task[None]

    def opened(self, url: str, allow: str) -> Noticed:
        world = Surroundings(SystemClock(), AddressPolicy.allowing([allow]))
        return Noticed(self.kind.open_source(Kind.options(http=url), surroundings=world))

    def beat(self) -> None:
        self.beats += 1

    def start(self) -> None:
        self.running = asyncio.create_task(self.pulse.run(self.beat))

    async def die(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.clock.advance(SECOND)
            await self.source.idle.wait()
            await self.clock.settle()

    def called(self) -> list[float]:
        return [in_seconds(Duration(tick.ns)) for tick in self.watcher.calls]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    clock, kind = SimulatedClock(), Kind()
    async with Watcher(clock).listening() as watcher:
        rig = Rig(clock, watcher, kind)
        rig.start()
        yield rig
        await rig.die()
    await kind.close()


async def test_while_all_is_well_it_is_called_once_a_minute(rig: Rig) -> None:
    await rig.passes(185)
    assert rig.called() == pytest.approx([0, 60, 120, 180], abs=1)
    assert rig.said == []
    stands = rig.pulse.statistics()
    assert stands is not None
    assert (stands.calls, stands.withheld, stands.failing) == (4, "", "")
    assert rig.beats >= 185


@pytest.mark.parametrize("lived", [1, 30, 59, 61])
async def test_after_a_death_somebody_outside_is_alarmed_within_two_heartbeats(rig: Rig, lived: int) -> None:
    await rig.passes(lived)
    await rig.die()
    died = rig.clock.tick()
    await rig.passes(180)
    assert rig.watcher.alarms_at.since(died) <= 2 * EVERY


async def test_it_is_withheld_while_something_is_wrong_and_goes_on_at_once_when_that_is_over(rig: Rig) -> None:
    await rig.passes(5)
    rig.ill = "nothing can be stored: the disk is full"
    await rig.passes(300)
    assert len(rig.watcher.calls) == 1
    rig.ill = "nothing can be stored: the disk is full, still"
    await rig.passes(10)
    assert rig.said == [("withheld", "nothing can be stored: the disk is full")]
    rig.ill = ""
    await rig.passes(2)
    assert len(rig.watcher.calls) == 2
    assert rig.said[1:] == [("withheld", "")]


async def test_trouble_between_two_calls_that_is_over_by_then_withholds_nothing(rig: Rig) -> None:
    await rig.passes(5)
    rig.ill = "the poll loop failed"
    await rig.passes(20)
    rig.ill = ""
    await rig.passes(60)
    assert rig.called() == pytest.approx([0, 60], abs=1)


async def test_a_far_side_that_fails_is_told_once_asked_again_soon_and_disturbs_nothing(rig: Rig) -> None:
    rig.watcher.status = 503
    await rig.passes(45)
    assert rig.called() == pytest.approx([0, 10, 20, 30, 40], abs=2)
    [(what, sentence)] = rig.said
    assert what == "failing"
    assert "503" in sentence
    assert "key" not in sentence
    assert not rig.running.done()
    rig.watcher.status = 200
    await rig.passes(int(in_seconds(AGAIN)) + 1)
    assert rig.said[1:] == [("failing", "")]


async def test_an_address_that_nobody_may_connect_to_is_not_called() -> None:
    clock, kind = SimulatedClock(), Kind()
    async with Watcher(clock).listening() as watcher:
        rig = Rig(clock, watcher, kind, allow="192.0.2.0/24")
        rig.start()
        await rig.passes(61)
        await rig.die()
        assert watcher.calls == []
        assert "network.allow" in rig.said[0][1]
    await kind.close()


async def test_one_that_never_answers_is_given_up_and_the_loop_lives(rig: Rig) -> None:
    class Silent:
        async def probe(self, deadline: Deadline) -> Observation:
            await asyncio.Event().wait()
            raise AssertionError

    rig.pulse.replace(Outside(Silent(), EVERY))
    before = rig.beats
    await rig.passes(61)
    assert rig.beats > before + 3
    assert ("failing", "no answer within 10 s") in rig.said


async def test_another_one_is_called_at_once_after_a_reload(rig: Rig) -> None:
    await rig.passes(5)
    async with Watcher(rig.clock).listening() as other:
        rig.source = rig.opened(f"http://127.0.0.1:{other.port}/", "127.0.0.0/8")
        rig.pulse.replace(Outside(rig.source, EVERY))
        await rig.passes(3)
        assert (len(rig.watcher.calls), len(other.calls)) == (1, 1)
        rig.pulse.replace(None)
        await rig.passes(100)
        assert len(other.calls) == 1
        assert rig.pulse.statistics() is None


# With its supervisor and the alarm -----------------------------------------------------------------------------------


class Owner:
    """A sink that keeps what it is sent, and when."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.got: list[tuple[Tick, Notice]] = []
        self._notices: dict[str, Notice] = {}

    def render(self, notice: Notice) -> Message:
        self._notices[notice.key] = notice
        return Message(key=notice.key, thread=notice.thread, subject="", body=notice.facts.summary)

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        self.got.append((self.clock.tick(), self._notices[message.key]))
        return Accepted()


async def waits_for_ever(beat: Beat) -> None:
    await asyncio.Event().wait()


async def fails(beat: Beat) -> None:
    raise RuntimeError("out of order")


@pytest.mark.parametrize(("broken", "says"), [(waits_for_ever, "no sign of life"), (fails, "out of order")])
async def test_a_loop_that_breaks_stops_the_heartbeat_and_its_owner_hears_within_a_minute_once(
    rig: Rig, broken: Run, says: str
) -> None:
    await rig.passes(1)
    await rig.die()
    rig.watcher.calls.clear()
    owner = Owner(rig.clock)
    alarm = Alarm({"owner": owner}, ["owner"], rig.clock)

    def troubled(name: str, sentence: str) -> None:
        if sentence:
            alarm.trouble(name, sentence)
        else:
            alarm.over(name)

    supervisor = Supervisor(rig.clock, troubled=troubled)
    pulse = Pulse(
        Outside(rig.source, EVERY),
        rig.clock,
        ailing=lambda: ailment(supervisor.statistics()),
        changed=lambda what, sentence: None,
    )
    breaking = asyncio.Event()

    async def work(beat: Beat) -> None:
        while not breaking.is_set():
            beat()
            await rig.clock.wait_until(rig.clock.tick().plus(SECOND))
        await broken(beat)

    running = asyncio.create_task(
        supervisor.run([Loop("work", work), Loop("alarm", alarm.run), Loop("heartbeat", pulse.run)])
    )
    await rig.passes(65)
    assert len(rig.watcher.calls) == 2
    breaking.set()
    broke = rig.clock.tick()
    await rig.passes(400)
    assert len(rig.watcher.calls) == 2, "no call that is due while the loop is broken"
    assert rig.watcher.alarms_at.since(broke) <= 2 * EVERY
    [(at, notice)] = owner.got
    assert at.since(broke) < MINUTE
    assert says in notice.facts.summary
    assert notice.page is Page.OWNER

    breaking.clear()
    await rig.passes(120)
    (_, _), (_, over) = owner.got
    assert over.facts.summary.startswith("this is over after ")
    assert (over.page, over.thread, over.key == notice.key) == (Page.RECOVERED, notice.thread, False)
    assert len(rig.watcher.calls) > 2
    supervisor.stop()
    await rig.passes(int(in_seconds(SETTLED)))
    await running

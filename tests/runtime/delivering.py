"""What the tests of delivery share: notices, a far side that does as told in simulated time, a running deliverer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service_monitoring.domain.course import Progress
from service_monitoring.domain.inputs import Admitted, Delivery, Input, Settled, Stamp
from service_monitoring.domain.instants import Instant, seconds
from service_monitoring.domain.notices import Facts, Held, Notice, Page, notice_key, thread_key
from service_monitoring.ports import Accepted, Answer, Commit, Deadline, Message, Settlement, Tick
from service_monitoring.runtime.deliver import Deliverer, Terms
from service_monitoring.runtime.lanes import Channel
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.stores import MemoryStore

Script = Callable[[int], Answer | float]


def a_notice(
    number: int = 1, *, channel: str = "ops", group: str = "", page: Page = Page.FIRST, sequence: int = 1
) -> Notice:
    """The notice of a group of its own, unless a group is given."""
    group = group or f"group {number}"
    return Notice(
        key=notice_key(group, f"channel.{channel}", channel, page, sequence),
        thread=thread_key(group, f"channel.{channel}", channel),
        group=group,
        sequence=sequence,
        recipient=f"channel.{channel}",
        channel=channel,
        page=page,
        decided_at=Instant.parse("2026-01-04T23:00:00Z").plus(seconds(number / 1000)),
        facts=Facts(incident=f"incident {number}", service="shop", rule="down", summary="{{ service }} is down"),
    )


def settled(notice: Notice, delivery: Delivery, detail: str = "", held: Held | None = None) -> Settled:
    """The outcome of a notice."""
    return Settled(
        notice.key,
        delivery,
        notice.channel,
        notice.page,
        detail,
        held,
        group=notice.group,
        sequence=notice.sequence,
        recipient=notice.recipient,
    )


class Hangs(Exception):
    """Raised by a script for a far side that never answers."""


@dataclass(eq=False)
class FarSide:
    """A sink whose far side answers as `script` says for the n-th send (from 1), after `takes` seconds."""

    clock: SimulatedClock
    script: Callable[[int], Answer] = lambda _: Accepted()
    takes: float = 0.0
    sends: list[tuple[Tick, Message]] = field(default_factory=list)
    cancelled: int = 0
    at_once: int = 0
    most_at_once: int = 0
    version: str = "rendered"

    def render(self, notice: Notice) -> Message:
        return Message(notice.key, notice.thread, notice.facts.service, f"{self.version} {notice.facts.incident}")

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        self.sends.append((self.clock.tick(), message))
        number = len(self.sends)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.takes:
                await self.clock.wait_until(self.clock.tick().plus(seconds(self.takes)))
            try:
                return self.script(number)
            except Hangs:
                await asyncio.Event().wait()
                raise AssertionError("unreachable") from None
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    def ticks(self) -> list[float]:
        """When it was sent to, in seconds."""
        return [tick.ns / 1e9 for tick, _ in self.sends]

    def keys(self) -> list[str]:
        """What it was sent, in order."""
        return [message.key for _, message in self.sends]


def hangs(_: int) -> Answer:
    """A script: the far side takes everything and never says a word."""
    raise Hangs


@dataclass(eq=False)
class Bench:
    """A clock, a store, far sides by channel, and what became of every notice."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    outcomes: list[Settled] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    spread: float = 0.5
    dice: Callable[[], float] | None = None

    async def commit(
        self,
        notices: Iterable[Notice] = (),
        settlements: Iterable[Settlement] = (),
        inputs: Iterable[Input] = (),
    ) -> None:
        stamp = Stamp(0, self.clock.now())
        await self.store.commit(
            Commit(
                Progress(stamp),
                records=tuple((stamp, Admitted(stamp, each)) for each in inputs),
                notices=tuple(notices),
                settlements=tuple(settlements),
            )
        )

    async def finish(self, settled: Settled, settlement: Settlement | None) -> None:
        """What the composition root does with an outcome: admit it, and commit it with what it decides."""
        await self.commit(settlements=[settlement] if settlement else [], inputs=[settled])
        self.outcomes.append(settled)

    def deliverer(
        self,
        terms: Terms | None = None,
        sides: Mapping[str, FarSide] | None = None,
        withheld: Callable[[Notice], Held | None] = lambda notice: None,
        **sinks: FarSide | Channel,
    ) -> Deliverer:
        given = {**(sides or {}), **sinks}
        channels = {name: sink if isinstance(sink, Channel) else Channel(sink) for name, sink in given.items()}
        return Deliverer(
            self.store,
            self.clock,
            channels,
            finish=self.finish,
            dice=self.dice or (lambda: self.spread),
            troubled=self.troubles.append,
            terms=terms or Terms(),
            withheld=withheld,
        )

    @asynccontextmanager
    async def running(self, deliverer: Deliverer) -> AsyncIterator[None]:
        task = asyncio.create_task(deliverer.run())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await self.clock.settle()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def delivered(self) -> dict[str, list[str]]:
        """The final outcomes by key."""
        found: dict[str, list[str]] = defaultdict(list)
        for settled in self.outcomes:
            if settled.delivery is Delivery.DELAYED:
                continue
            found[settled.notice].append(str(settled.delivery))
        return dict(found)

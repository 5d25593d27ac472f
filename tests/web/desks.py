"""A desk over a real store, told what happens at offsets from `START`: no clock, no loop, nothing that waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service_monitoring.application import Monitor
from service_monitoring.bootstrap import StoreDesk
from service_monitoring.domain.configuration import Configuration
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
    Stepped,
)
from service_monitoring.domain.instants import NANOSECOND, Instant
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.errors import Refused
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.builders import an_observation, instant, span
from service_monitoring.testing.clock import SimulatedClock
from tests.data_folders import with_tables


class Told:
    """What stands behind the desk. Offsets count on the wall clock; a step of it is an input like any other."""

    def __init__(self, store: SqliteStore, monitor: Monitor) -> None:
        self.store = store
        self.monitor = monitor
        self.epoch = 0
        self.desk = StoreDesk(store, course=lambda: self.monitor.course, ask=self.tell_now)

    async def tell(self, at: str, *what: Input) -> None:
        for each in what:
            await self._admit(instant(at), each)

    async def configure(self, at: str, configuration: Configuration) -> None:
        await self.tell(at, Configured(configuration))

    async def see(self, at: str, value: float | None = None, *, check: str = "health", service: str = "shop") -> None:
        """A run that was ok, and measured this."""
        await self.run(at, an_observation({} if value is None else {"value": value}), check=check, service=service)

    async def fail(self, at: str, *, check: str = "health", service: str = "shop") -> None:
        await self.run(at, Observation(Outcome.FAILED, Reason.CONNECT, "refused"), check=check, service=service)

    async def unknown(self, at: str, *, check: str = "health", service: str = "shop") -> None:
        await self.run(at, Observation(Outcome.UNKNOWN, Reason.OVERLOAD), check=check, service=service)

    async def run(self, at: str, observation: Observation, *, check: str, service: str) -> None:
        await self.tell(at, Observed(service, check, observation, instant(at)))

    async def run_every(
        self, every: str, first: str, last: str, *, check: str = "health", failed: bool = False
    ) -> None:
        """Runs one after the other, `last` included."""
        at, until = instant(first), instant(last)
        outcome = Observation(Outcome.FAILED, Reason.CONNECT) if failed else Observation(Outcome.OK)
        batch = []
        while at <= until:
            batch.append(Admitted(Stamp(self.epoch, at), Observed("shop", check, outcome, at)))
            at = at.plus(span(every))
        await self.monitor.keep(self.monitor.judge(batch))

    async def gap(self, began: str, ended: str) -> None:
        await self.tell(began, GapBegan(GapCause.RESTART))
        await self.tell(ended, GapEnded())

    async def step(self, to: str, by: str) -> None:
        """The wall clock is set, and says `to` from now on."""
        self.epoch += 1
        await self.tell(to, Stepped(span(by)))

    async def alive(self, at: str) -> None:
        await self.tell(at, Marked(MarkKind.ALIVE))

    async def the_id(self, rule: str = "slow") -> str:
        (found,) = [each.id for each in self.monitor.course.incidents() if each.rule == rule]
        return found

    async def acknowledge(self, at: str, rule: str = "slow", *, lasts: str = "") -> None:
        lasting = span(lasts) if lasts else None
        await self.tell(at, Acted(await self.the_id(rule), Act.ACKNOWLEDGE, "ada", expires_after=lasting))

    async def tell_now(self, what: Input) -> None:
        """Right after everything that was told before."""
        await self._admit(self.monitor.course.progress.judged.at.plus(NANOSECOND), what)

    async def _admit(self, at: Instant, what: Input) -> None:
        if isinstance(what, Configured):
            await self.monitor.prepare(what)
        judged = self.monitor.judge([Admitted(Stamp(self.epoch, at), what)])
        await self.monitor.keep(judged)
        for ruling in judged.rulings:
            if ruling.refusal:
                raise Refused(ruling.refusal)


@asynccontextmanager
async def told(folder: Path, configuration: Configuration) -> AsyncIterator[Told]:
    """Configured at `START`."""
    async with await SqliteStore.open(with_tables(folder), SimulatedClock()) as store:
        told = Told(store, await Monitor.resume(store))
        await told.configure("+0s", configuration)
        yield told

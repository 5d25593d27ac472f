"""A day of the real program in simulated time: its supervisor with its loops, over the real store.

Left out are the loops that look at the real machine: the watchdog and its thread, files that change, sockets for people
and commands. What they would bring in is brought in directly. Knows the program; does not know what is decided.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service_monitoring import bootstrap
from service_monitoring.application import Monitor
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.bootstrap.program import Program
from service_monitoring.bootstrap.wiring import close_kinds, kinds_of, new_key
from service_monitoring.domain.inputs import Act, Acted, Input, Pinged, Pushed, PushedSample, Signal, Silenced
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import MonitoringError
from service_monitoring.runtime.pulse import Outside
from service_monitoring.runtime.supervise import Loop
from service_monitoring.storage.sqlite import Tuning
from service_monitoring.testing.builders import equals
from service_monitoring.testing.clock import SimulatedClock
from tests.rehearsals.leaping import HoldingStore, Work
from tests.rehearsals.staging import Source

OF_THE_MACHINE = frozenset({"tallies", "watchdog", "reload", "api"})


class Staged(Program):
    """The program without the loops that look at the real machine."""

    def _loops(self) -> list[Loop]:
        return [loop for loop in super()._loops() if loop.name not in OF_THE_MACHINE]


class _Unsynced(sqlite3.Connection):
    """A connection that syncs nothing: what power losses do is no matter here."""

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        return super().execute("PRAGMA synchronous=OFF" if sql.startswith("PRAGMA synchronous") else sql, *arguments)


def _unsynced(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=_Unsynced)


class Day:
    """One data folder and the programs that use it, one after the other."""

    def __init__(self, file: Path, clock: SimulatedClock, work: Work) -> None:
        self.file = file
        self.clock = clock
        self.work = work
        self.refused = 0

    @asynccontextmanager
    async def program(self) -> AsyncIterator[Staged]:
        """A run of the program, which is ended in order unless `crash` came before."""
        with self.work.goes_on():
            settings = bootstrap.load(self.file)
            HoldingStore.work = self.work
            store = await HoldingStore.open(settings.store.path, self.clock, tuning=Tuning(connect=_unsynced))
            keyring = await Keyring(store, self.clock, new_key).load()
            monitor = await Monitor.resume(store, expected=settings.configuration)
            self.running = program = Staged(settings, self.clock, store, monitor, keyring)
            program._pulse.replace(Outside(Source("outside", self.clock), MINUTE))
        self.task = asyncio.create_task(program.run())
        try:
            yield program
            if not self.task.done():
                program.stop()
            await asyncio.gather(self.task, return_exceptions=True)
            if not self.task.cancelled():
                self.task.result()
        finally:
            self.task.cancel()
            with self.work.goes_on():
                await asyncio.gather(self.task, return_exceptions=True)
                await program.close()
                await close_kinds(kinds_of(settings))
                await store.close()
            gc.unfreeze()

    async def wait(self, length: int) -> None:
        """Let time pass."""
        await self.clock.wait_until(self.clock.tick().plus(Duration(length)))

    async def crash(self) -> None:
        """All tasks of the program are dropped where they are."""
        mine = asyncio.current_task()
        for task in asyncio.all_tasks():
            if task is not mine:
                task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def tell(self, what: Input) -> None:
        """An input as a face would bring it in; what is refused is counted."""
        try:
            await self.running._cycle.ask(what)
        except MonitoringError:
            self.refused += 1

    async def act(self, act: Act, lasts: int = 30 * MINUTE, *, which: int = 0) -> None:
        """Ada does something about one of the incidents there are."""
        found = self.running._cycle.course.incidents()
        if found:
            incident = found[which % len(found)]
            await self.tell(Acted(incident.id, act, "ada", "seen", expires_after=Duration(lasts), to="bo"))

    async def silence(self, lasts: int, **labels: str) -> None:
        """Ada wants to hear nothing of what has these labels."""
        matchers = tuple(equals(label, value) for label, value in labels.items())
        await self.tell(Silenced(Wanted(matchers, "ada", lasts=Duration(lasts))))

    async def report(self, signal: Signal, run: str = "") -> None:
        """The job of the night says how it stands."""
        await self.tell(Pinged("jobs", "backup", signal, run))

    async def push(self, *values: float) -> None:
        """Samples of the last seconds, the oldest first."""
        now = self.clock.now()
        samples = tuple(
            PushedSample(now.plus(Duration(-(len(values) - at) * 3 * SECOND)), "orders", value)
            for at, value in enumerate(values)
        )
        await self.tell(Pushed("jobs", "orders", samples))

    async def reload(self, old: str, new: str) -> None:
        """The file says something else, and is read again."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))
        await self.running._reloader.reload()

"""The live program: store, cycle, poller, deliverer and API, put together and run under one supervisor.

Knows concrete classes and the order of starting and stopping. Does not know rules, probes or channels.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import SystemRandom  # noqa: TID251 - the one place that throws dice: for the spread of retries
from typing import Any, Final

from msgspec import to_builtins

import service_monitoring
from service_monitoring.application import Monitor
from service_monitoring.bootstrap.desk import StoreDesk
from service_monitoring.bootstrap.intake import StoreIntake
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.bootstrap.logs import log
from service_monitoring.bootstrap.wiring import (
    new_key,
    open_canaries,
    open_sinks,
    open_sources,
    sink_kinds,
    socket_path,
    source_kinds,
)
from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Configured, Input, Observed
from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration, in_seconds
from service_monitoring.domain.samples import Observation
from service_monitoring.errors import Conflict, NotFound, Unavailable, Unusable
from service_monitoring.ports import Clock, Sink
from service_monitoring.runtime.alarm import Alarm
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle, ask_once
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.housekeeping import keep_house
from service_monitoring.runtime.lanes import Channel
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.supervise import JobState, Loop, Supervisor
from service_monitoring.runtime.uplink import Uplink
from service_monitoring.runtime.watchdog import Watchdog
from service_monitoring.settings import Settings
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.web.door import Door
from service_monitoring.web.opening import open_api, open_door

_INBOX: Final = 10_000
_LAST_RUNS: Final = Duration(1500 * MILLISECOND)
_LAST_WORDS: Final = Duration(300 * MILLISECOND)
"""With what loops may take to let go, a program whose disk failed still ends within a second."""
_REMEMBERED: Final = MINUTE
"""How long after the event loop was blocked somebody who looks now and then still sees it."""


class Program:
    """Everything that one machine runs. `run` goes on until a signal or `stop`, and leaves the mark of its end."""

    def __init__(
        self, settings: Settings, clock: Clock, store: SqliteStore, monitor: Monitor, keyring: Keyring
    ) -> None:
        self.store = store
        self._settings = settings
        self._clock = clock
        self._troubles: dict[str, str] = {}
        self._cycle = Cycle(
            monitor,
            clock,
            capacity=_INBOX,
            owed=self._owed,
            troubled=self._store_troubled,
            wanted=self._hasten,
        )
        sinks: dict[str, Sink] = open_sinks(settings, clock)
        self._alarm = Alarm(sinks, settings.configuration.owners, clock)
        self._deliverer = Deliverer(
            store,
            clock,
            {name: Channel(sink) for name, sink in sinks.items()},
            finish=self._cycle.submit,
            dice=SystemRandom().random,
            troubled=lambda sentence: log().warning("delivery", problem=sentence),
        )
        self._uplink = Uplink(open_canaries(settings, clock), clock, troubled=self._uplink_troubled)
        self._poller = Poller(checks_of(settings), open_sources(settings, clock), clock, self._observed, capacity=1000)
        self._watchdog = Watchdog(clock, self._blocked)
        self._supervisor = Supervisor(clock, troubled=self._troubled)
        self.desk = StoreDesk(
            store, course=lambda: self._cycle.course, ask=self._cycle.ask, vitals=self._vitals, keyring=keyring
        )
        self.intake = StoreIntake(keyring, clock, course=lambda: self._cycle.course, ask=self._cycle.ask)
        self._door: Door | None = None

    async def run(self) -> None:
        """Start, watch, and end in order. Returns when everything has ended, which takes less than ten seconds.

        `Unavailable` when the address that the file names is taken: then nothing has begun. `Unusable` within a second
        when the disk fails: nothing is kept or acknowledged after that.
        """
        loops = self._loops()
        try:
            await self._run(loops)
        finally:
            if self._door is not None:
                self._door.close()

    async def _run(self, loops: list[Loop]) -> None:
        await self._cycle.start(*self._news())
        # A writer gives the interpreter away at each statement, and gets it back after this at the latest: with the
        # default of 5 ms, a loop that is busy makes one commit wait for fifty.
        sys.setswitchinterval(0.0005)
        # What is there now stays: the collector need not walk through it, neither now nor while somebody waits for a
        # probe.
        gc.freeze()
        gc.enable()
        self.store.when_broken(self._supervisor.fail)
        try:
            await self._supervisor.run(loops)
        except Unusable as failure:
            await self._alarm.last_words(
                f"the monitor has stopped: {failure}", deadline_after(self._clock, _LAST_WORDS)
            )
            raise

    def stop(self) -> None:
        """Begin the end of `run`."""
        self._supervisor.stop()

    def _news(self) -> list[Input]:
        """The configuration, when it is another than the one that was in force."""
        mine = self._settings.configuration
        return [] if self._cycle.course.configuration == mine else [Configured(mine)]

    def _loops(self) -> list[Loop]:
        """In the order in which they end: what lets work in first, what keeps its outcome last."""
        keep = self._settings.store
        web = self._settings.web
        doors: list[Loop] = []
        if web is not None:
            door = self._door = Door(web.host, web.port, named=web.place).open()
            log().info("listening", address=door.address)
            doors = [Loop("door", lambda beat: open_door(door, self.desk, self.intake, beat=beat))]
        return [
            Loop(
                "poll",
                self._poller.run,
                stop=lambda: self._poller.stop(deadline_after(self._clock, _LAST_RUNS)),
            ),
            *doors,
            Loop(
                "api",
                lambda beat: open_api(
                    self.desk,
                    self.intake,
                    version=service_monitoring.__version__,
                    path=socket_path(self._settings),
                    beat=beat,
                ),
            ),
            Loop("deliver", self._deliverer.run, stop=self._deliverer.stop),
            Loop("cycle", self._cycle.run, stop=self._cycle.stop),
            Loop("alarm", self._alarm.run),
            Loop(
                "housekeeping",
                lambda beat: keep_house(
                    self._clock,
                    lambda facts, samples: self.store.prune(facts=facts, samples=samples),
                    facts=keep.facts_keep,
                    samples=keep.history_keep,
                    beat=beat,
                ),
            ),
            Loop("watchdog", self._watchdog.run),
            Loop("uplink", self._uplink.watch),
        ]

    async def _observed(self, observed: Observed) -> None:
        """An observation on its way in: what our own network is to blame for is not the service's fault."""
        await self._cycle.submit(await self._uplink.excused(observed))

    def _uplink_troubled(self, sentence: str) -> None:
        self._troubled("uplink", sentence)

    def _hasten(self, checks: Sequence[str]) -> None:
        self._poller.hasten(checks)

    def _owed(self, notices: Any) -> None:
        self._deliverer.wake(notices)

    def _troubled(self, loop: str, sentence: str) -> None:
        """A loop failed or is silent; the owners hear of it once per trouble, by a way that needs no store."""
        if not sentence:
            self._troubles.pop(loop, None)
            log().info("loop recovered", loop=loop)
            return
        log().error("loop in trouble", loop=loop, problem=sentence)
        if loop not in self._troubles:
            self._alarm.ring(sentence)
        self._troubles[loop] = sentence

    def _store_troubled(self, sentence: str) -> None:
        self._troubled("store", f"nothing can be stored: {sentence}" if sentence else "")

    def _blocked(self, lag: Duration, stack: str) -> None:
        log().error("event loop blocked", seconds=round(lag / SECOND, 3), stack=stack)

    def _not_ready(self) -> tuple[str, ...]:
        """Why nobody should rely on the program now, a sentence each."""
        reasons = list(self._troubles.values())
        if blocked := self._watchdog.blockage(within=_REMEMBERED):
            reasons.append(f"the event loop was blocked for {in_seconds(blocked):.1f} s within the last minute")
        if self._supervisor.ending:
            reasons.append("the program is stopping")
        elif any(each.state is JobState.WAITING for each in self._supervisor.statistics().values()):
            reasons.append("the program is starting")
        return tuple(reasons)

    def _vitals(self) -> dict[str, Any]:
        return {
            "trouble": self._not_ready(),
            "loops": {name: to_builtins(each) for name, each in self._supervisor.statistics().items()},
            "queues": {
                "inbox": to_builtins(self._cycle.statistics()),
                **{lane.channel: to_builtins(lane) for lane in self._deliverer.statistics()},
            },
            "polling": to_builtins(self._poller.statistics()) | {"longest_lag": self._watchdog.longest / SECOND},
            "listens": "" if self._door is None else self._door.address,
        }


@asynccontextmanager
async def opened(settings: Settings, clock: Clock) -> AsyncIterator[Program]:
    """A program on its data folder, which nobody else may have open; everything is let go of at the end."""
    async with await SqliteStore.open(settings.store.path, clock) as store:
        for copy in store.migration_backups:
            log().info("backup made before migration", file=str(copy))
        try:
            keyring = await Keyring(store, clock, new_key).load()
            monitor = await Monitor.resume(store, expected=settings.configuration)
            yield Program(settings, clock, store, monitor, keyring)
        finally:
            await _close_kinds(settings)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[StoreDesk]:
    """A desk over a store that no program has open. Reads change nothing; an act is a short run of its own."""
    clock = SystemClock()
    async with await SqliteStore.open(settings.store.path, clock) as store:
        monitor = await Monitor.resume(store)

        async def ask(what: Input) -> None:
            nonlocal monitor
            try:
                await ask_once(monitor, clock, what)
            except (Conflict, Unavailable):
                monitor = await monitor.again()  # what was decided and not kept is void
                raise

        keyring = await Keyring(store, clock, new_key).load()
        yield StoreDesk(
            store,
            course=lambda: monitor.course,
            ask=ask,
            keyring=keyring,
            configured=settings.configuration,
        )


async def probe_once(settings: Settings, name: str) -> Observation:
    """Run one check once, with its retries; nothing is stored. `NotFound` when there is no such check."""
    clock = SystemClock()
    check = next((each for each in checks_of(settings) if each.id == name), None)
    if check is None:
        known = ", ".join(each.id for each in checks_of(settings)) or "none"
        raise NotFound(f"there is no polled check {name}; there are: {known}")

    async def nobody(what: object) -> None:
        raise AssertionError("a single run is not submitted")

    try:
        poller = Poller([check], open_sources(settings, clock), clock, nobody)
        return await poller.run_once(name)
    finally:
        await _close_kinds(settings)


def checks_of(settings: Settings) -> list[Check]:
    """The checks that are polled; those that report by themselves have no source."""
    polled = {check.id for check in settings.checks}
    return [check for service in settings.configuration.services for check in service.checks if check.id in polled]


async def _close_kinds(settings: Settings) -> None:
    for name in {check.kind for check in settings.checks}:
        await source_kinds()[name].close()
    for name in {channel.kind for channel in settings.channels.values()}:
        await sink_kinds()[name].close()

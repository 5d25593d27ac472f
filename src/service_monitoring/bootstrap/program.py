"""The live program: store, cycle, poller, deliverer and API, put together and run under one supervisor.

Knows concrete classes and the order of starting and stopping. Does not know rules, probes or channels.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import SystemRandom  # noqa: TID251 - the one place that throws dice: for the spread of retries
from typing import Any, Final

from msgspec import to_builtins

import service_monitoring
from service_monitoring.application import Monitor
from service_monitoring.bootstrap.access import StoreAccess
from service_monitoring.bootstrap.answers import StoreAnswers
from service_monitoring.bootstrap.board import StoreBoard
from service_monitoring.bootstrap.days import StoreDays
from service_monitoring.bootstrap.desk import StoreDesk
from service_monitoring.bootstrap.intake import StoreIntake
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.bootstrap.links import StoreLinks, signer_of
from service_monitoring.bootstrap.loading import load
from service_monitoring.bootstrap.logs import announce, log
from service_monitoring.bootstrap.machine import socket_in
from service_monitoring.bootstrap.metering import Parts, ProgramMeter
from service_monitoring.bootstrap.rehearsal_jobs import RehearsalJobs
from service_monitoring.bootstrap.reload import Reloader, Users, channels
from service_monitoring.bootstrap.rota_desk import ConfiguredRotas
from service_monitoring.bootstrap.service_desk import StoreServiceDesk
from service_monitoring.bootstrap.status import StatusPages, StoreStatus
from service_monitoring.bootstrap.targets import Targets
from service_monitoring.bootstrap.wiring import (
    checks_of,
    close_kinds,
    encryption_of,
    kinds_of,
    new_key,
    new_secret,
    open_canaries,
    open_sources,
    open_tracing,
    opening,
    provider_of,
)
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Configured, Input, Observed
from service_monitoring.domain.instants import MILLISECOND, MINUTE, SECOND, Duration, in_seconds
from service_monitoring.domain.samples import Observation, Outcome
from service_monitoring.errors import Conflict, NotFound, Unavailable, Unusable
from service_monitoring.ports import Clock, Tracing, no_links
from service_monitoring.runtime.alarm import Alarm
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle, ask_once
from service_monitoring.runtime.deadlines import deadline_after
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.housekeeping import keep_house, keep_tallies
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.pulse import STALE, Pulse, ailment
from service_monitoring.runtime.reload import Reloads
from service_monitoring.runtime.supervise import JobState, Loop, Supervisor
from service_monitoring.runtime.uplink import Uplink
from service_monitoring.runtime.watchdog import Watchdog
from service_monitoring.settings import Settings
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.faces import Faces
from service_monitoring.views.measures import RequestCounts
from service_monitoring.web.door import Door
from service_monitoring.web.opening import open_api, open_door
from service_monitoring.wire.configuration import revision
from service_monitoring.wire.links import Signer

_INBOX: Final = 10_000
_LAST_RUNS: Final = Duration(1500 * MILLISECOND)
_LAST_WORDS: Final = Duration(300 * MILLISECOND)
"""With what loops may take to let go, a program whose disk failed still ends within a second."""
_REMEMBERED: Final = MINUTE
"""How long after the event loop was blocked somebody who looks now and then still sees it."""


class Program:
    """Everything that one machine runs. `run` goes on until a signal or `stop`, and leaves the mark of its end."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        store: SqliteStore,
        monitor: Monitor,
        keyring: Keyring,
        *,
        signer: Signer | None = None,
        access: StoreAccess | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`signer` writes the links of notices, where there are any. `access` says who is let in.

        `tracing` is where spans go, if anywhere.
        """
        self.store = store
        self._clock = clock
        self._troubles: dict[str, str] = {}
        self._outcomes = {outcome.value: 0 for outcome in Outcome}
        self._requests = RequestCounts()
        self._board = StoreBoard(store, clock, course=lambda: self._cycle.course, trouble=self._not_ready)
        self._cycle = Cycle(
            monitor,
            clock,
            capacity=_INBOX,
            owed=self._owed,
            troubled=self._store_troubled,
            wanted=self._hasten,
            follower=self._board,
            tracing=tracing,
        )
        onward = tracing.onward if tracing is not None and settings.telemetry.propagate else None
        fitted = opening(settings, clock, links=no_links if signer is None else signer.links, onward=onward)
        self._alarm = Alarm(
            fitted.sinks,
            settings.configuration.owners,
            clock,
            missed=lambda sentence: log().warning("owner not told", problem=sentence),
        )
        self._pulse = Pulse(fitted.heartbeat, clock, ailing=self._ailing, changed=self._pulse_changed)
        self._deliverer = Deliverer(
            store,
            clock,
            channels(fitted),
            finish=self._cycle.submit,
            dice=SystemRandom().random,
            troubled=lambda sentence: log().warning("delivery", problem=sentence),
            withheld=lambda notice: self._cycle.course.withheld(notice, clock.now()),
            tracing=tracing,
        )
        self._uplink = Uplink(open_canaries(settings, clock), clock, troubled=self._uplink_troubled)
        self._poller = Poller(
            checks_of(settings), fitted.sources, clock, self._observed, capacity=1000, tracing=tracing
        )
        self._watchdog = Watchdog(clock, self._blocked)
        self._supervisor = Supervisor(clock, troubled=self._troubled, hung_up=self._hung_up)
        self._reloader = Reloader(
            fitted,
            clock,
            load=lambda: load(settings.file),
            decided=lambda: self._cycle.course.configuration,
            ask=self._cycle.ask,
            users=Users(self._poller, self._deliverer, self._alarm, self._pulse),
            troubled=self._trouble,
            ending=lambda: self._supervisor.ending,
        )
        self._reloads = Reloads(
            clock, stamp=self._reloader.stamp, differs=self._reloader.differs, reload=self._reloader.reload
        )
        self.desk = StoreDesk(
            store,
            course=lambda: self._cycle.course,
            ask=self._cycle.ask,
            vitals=self._vitals,
            keyring=keyring,
            reload=self._reloads.ask,
            clock=clock,
        )
        self.intake = StoreIntake(keyring, clock, course=lambda: self._cycle.course, ask=self._cycle.ask)
        days = StoreDays(store, course=lambda: self._cycle.course)
        self._rehearsals = RehearsalJobs(lambda: self._reloader.settings, clock, new_key, environment=os.environ)
        outside = provider_of(
            settings,
            clock,
            lambda: self._reloader.settings.network,
            lambda sentence: log().warning("not let in by the identity provider", problem=sentence),
        )
        self._outside = outside
        self._faces = Faces(
            version=service_monitoring.__version__,
            desk=self.desk,
            intake=self.intake,
            links=None if signer is None else StoreLinks(signer, self.desk, clock),
            access=access,
            provider=None if outside is None else outside[0],
            board=self._board,
            live=self._board.feed,
            service=StoreServiceDesk(
                store, course=lambda: self._cycle.course, clock=clock, target=Targets(lambda: self._reloader.settings)
            ),
            rotas=ConfiguredRotas(lambda: self._cycle.course.configuration, clock),
            days=days,
            rehearsals=self._rehearsals,
            meter=ProgramMeter(self._parts(), clock),
            requests=self._requests,
            tracing=tracing,
            status=StoreStatus(store, days, clock, course=lambda: self._cycle.course, pages=self._public),
            answers=StoreAnswers(store, clock),
        )
        self._access = access
        self._door: Door | None = None
        self._named: tuple[Configuration, str] | None = None

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
        self._board.begin()
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

    @property
    def faces(self) -> Faces:
        """What the web room is handed."""
        return self._faces

    def stop(self) -> None:
        """Begin the end of `run`."""
        self._supervisor.stop()

    async def close(self) -> None:
        """Let go of what sources and sinks share."""
        await self._reloader.close()
        if self._outside is not None:
            await self._outside[1].close()

    def _news(self) -> list[Input]:
        """The configuration, when it is another than the one that was in force."""
        mine = self._reloader.settings.configuration
        return [] if self._cycle.course.configuration == mine else [Configured(mine)]

    def _loops(self) -> list[Loop]:
        """In the order in which they end: what lets work in first, what keeps its outcome last."""
        return [
            Loop("reload", self._reloads.run, stop=self._reloads.stop),
            Loop(
                "poll",
                self._poller.run,
                stop=lambda: self._poller.stop(deadline_after(self._clock, _LAST_RUNS)),
            ),
            *self._doors(),
            Loop("feed", self._board.feed.run, stop=self._board.feed.stop),
            Loop(
                "api",
                lambda beat: open_api(self._faces, path=socket_in(self._reloader.settings.store.path), beat=beat),
            ),
            Loop("rehearsals", self._rehearsals.run, stop=self._rehearsals.stop),
            Loop("deliver", self._deliverer.run, stop=self._deliverer.stop),
            Loop("cycle", self._cycle.run, stop=self._cycle.stop),
            Loop("alarm", self._alarm.run),
            Loop(
                "housekeeping",
                lambda beat: keep_house(
                    self._clock,
                    lambda facts, samples: self.store.prune(facts=facts, samples=samples),
                    facts=lambda: self._reloader.settings.store.facts_keep,
                    samples=lambda: self._reloader.settings.store.history_keep,
                    beat=beat,
                ),
            ),
            Loop("tallies", lambda beat: keep_tallies(self._clock, self.store.tallies.further, beat=beat)),
            Loop("watchdog", self._watchdog.run),
            Loop("uplink", self._uplink.watch),
            Loop("heartbeat", self._pulse.run),
        ]

    def _doors(self) -> list[Loop]:
        """The TCP address, where there is one; `InvalidSettings` where its certificate cannot be used."""
        web = self._reloader.settings.web
        if web is None:
            return []
        encryption = encryption_of(web, self._certificate_troubled)
        door = self._door = Door(web.host, web.port, named=web.place).open()
        log().info("listening", address=door.address)
        if web.authentication == "accounts":
            self._offer_setup(web.url or f"{'https' if encryption else 'http'}://{door.address}")
        csrf = new_secret()
        return [
            Loop("door", lambda beat: open_door(door, self._faces, web, csrf=csrf, beat=beat, encryption=encryption))
        ]

    def _certificate_troubled(self, sentence: str) -> None:
        if sentence:
            log().warning("certificate not renewed", problem=sentence)
        else:
            log().info("certificate renewed")
        self._trouble("certificate", sentence)

    def _public(self) -> StatusPages:
        settings = self._reloader.settings
        return StatusPages(settings.status_pages, settings.public_work, settings.web.url if settings.web else "")

    def _offer_setup(self, url: str) -> None:
        """Where nobody can sign in yet, say with what the first account is made. It is said here, and nowhere kept."""
        if self._access is not None and (token := self._access.begin_setup()):
            announce(f"no account yet: open {url}/setup within 30 minutes with this token: {token}")

    async def _observed(self, observed: Observed) -> None:
        """An observation on its way in: what our own network is to blame for is not the service's fault."""
        excused = await self._uplink.excused(observed)
        self._outcomes[excused.observation.outcome.value] += 1
        await self._cycle.submit(excused)

    def _uplink_troubled(self, sentence: str) -> None:
        self._troubled("uplink", sentence)

    def _hasten(self, checks: Sequence[str]) -> None:
        self._poller.hasten(checks)

    def _owed(self, notices: Any) -> None:
        self._deliverer.wake(notices)

    def _hung_up(self) -> None:
        """SIGHUP came."""
        if self._supervisor.ending:
            log().warning("configuration not reloaded", problem="the program is stopping")
        else:
            self._reloads.ask_soon()

    def _troubled(self, loop: str, sentence: str) -> None:
        """A loop failed or is silent."""
        if sentence:
            log().error("loop in trouble", loop=loop, problem=sentence)
        else:
            log().info("loop recovered", loop=loop)
        self._trouble(loop, sentence)

    def _trouble(self, kind: str, sentence: str) -> None:
        """Something is in trouble, or no more; the owners hear of either once, by a way that needs no store."""
        if sentence:
            self._troubles[kind] = sentence
            self._alarm.trouble(kind, sentence)
        elif self._troubles.pop(kind, None) is not None:
            self._alarm.over(kind)

    def _store_troubled(self, sentence: str) -> None:
        self._troubled("store", f"nothing can be stored: {sentence}" if sentence else "")

    def _blocked(self, lag: Duration, stack: str) -> None:
        log().error("event loop blocked", seconds=round(lag / SECOND, 3), stack=stack)

    def _pulse_changed(self, what: str, sentence: str) -> None:
        """Nobody is told: where the far side is down, it tells somebody itself; a trouble of ours is told anyway."""
        if sentence:
            log().warning(f"heartbeat {what}", problem=sentence)
        else:
            log().info("heartbeat goes on")

    def _ailing(self) -> str:
        """Why nobody outside should believe that the monitor does its work, or nothing."""
        if self._supervisor.ending:
            return "the program is stopping"
        if reason := self._troubles.get("store", "") or ailment(self._supervisor.statistics()):
            return reason
        lag = self._clock.now().since(self._cycle.course.progress.judged.at)
        return f"judging lags by {in_seconds(lag):.0f} s" if lag > STALE else ""

    def _revision(self) -> str:
        """What the configuration in force goes by: worked out once a revision, which takes a while for a large one."""
        configuration = self._cycle.course.configuration
        if self._named is None or self._named[0] is not configuration:
            self._named = configuration, revision(configuration)
        return self._named[1]

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

    def _parts(self) -> Parts:
        return Parts(
            self.store,
            self._cycle,
            self._poller,
            self._deliverer,
            self._supervisor,
            self._watchdog,
            self._uplink,
            self._outcomes,
            self._requests,
            listeners=lambda: self._board.feed.statistics().listeners,
            troubles=lambda: len(self._not_ready()),
        )

    def _vitals(self) -> dict[str, Any]:
        judging = self._clock.now().since(self._cycle.course.progress.judged.at)
        return {
            "trouble": self._not_ready(),
            "loops": {name: to_builtins(each) for name, each in self._supervisor.statistics().items()},
            "queues": {
                "inbox": to_builtins(self._cycle.statistics()),
                **{lane.channel: to_builtins(lane) for lane in self._deliverer.statistics()},
            },
            "polling": to_builtins(self._poller.statistics()) | {"longest_lag": self._watchdog.longest / SECOND},
            "listens": "" if self._door is None else self._door.address,
            "heartbeat": to_builtins(self._pulse.statistics()) or {},
            "feed": to_builtins(self._board.feed.statistics()),
            "listeners": self._board.feed.statistics().listeners,
            "lag_seconds": {
                "event_loop": in_seconds(self._watchdog.lag),
                "longest": in_seconds(self._watchdog.longest),
                "judging": in_seconds(judging),
            },
            "uplink": {"canaries": self._uplink.canaries, "offline": self._uplink.offline},
            "configuration": {"file": str(self._reloader.settings.file), "revision": self._revision()},
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
            access = await StoreAccess(store, clock, new_secret).load()
            program = Program(
                settings,
                clock,
                store,
                monitor,
                keyring,
                signer=signer_of(settings),
                access=access,
                tracing=open_tracing(settings),
            )
            try:
                yield program
            finally:
                await program.close()
        finally:
            await close_kinds(kinds_of(settings))


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
            clock=clock,
        )


@asynccontextmanager
async def open_access(settings: Settings) -> AsyncIterator[StoreAccess]:
    """A desk of access over a store that no program has open."""
    clock = SystemClock()
    async with await SqliteStore.open(settings.store.path, clock) as store:
        yield await StoreAccess(store, clock, new_secret).load()


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
        await close_kinds(kinds_of(settings))

"""Polling: starts each check's runs at its slots, gives them their time, and hands on what they observed.

Owns the poller's agenda, its tasks and the judgement which lateness is our own. Does not know what a source does, what
an observation means, or who takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Final, Protocol

from msgspec import Struct

from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.cadence import TOLERATED, Cadence
from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Observed
from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, in_seconds
from service_monitoring.domain.samples import Attempt, Observation, Outcome, Reason
from service_monitoring.errors import Conflict, NotFound
from service_monitoring.ports import Clock, Deadline, Source, Tick, Tracing
from service_monitoring.runtime.deadlines import within
from service_monitoring.runtime.lateness import Lateness, LatenessStatistics

OVERRUN: Final = Duration(500 * MILLISECOND)
"""How far beyond its deadline a source may end before it is cut off."""

_TURN: Final = Duration(2 * MILLISECOND)
_PATIENCE: Final = SECOND
"""The longest nap: how soon a changed set of checks is seen, and how often the loop says that it lives."""
_ALERT: Final = Duration(50 * MILLISECOND)
"""The longest nap while runs are outstanding: how finely our own lateness is measured."""
_PUNCTUAL: Final = Duration(20 * MILLISECOND)
"""Lateness up to this is how loops are; beyond it, we stalled."""

_SLOT: Final = 0
_END: Final = 1


class Prompt(Protocol):
    """A source that answers from what it knows, without waiting: it is asked in the poller's own turn, without a task.

    Laws: those of `Source`, and it returns within microseconds. It is asked once a run: again, it would say the same.
    """

    def probe_now(self) -> Observation:
        """One run."""
        ...


class PollStatistics(Struct, frozen=True):
    """Counts since the poller was made. Every slot is one of: started, skipped, shed.

    `skipped` slots found the last run still going, or passed while we were late; `shed` found no capacity. Of the runs
    started, those not outstanding ended as done, `cancelled` (their check was removed or changed) or `interrupted` (by
    shutdown). `overran` and `excused` count attempts: those cut off after their deadline, and timeouts of our making.
    """

    checks: int
    outstanding: int
    peak: int
    started: int
    skipped: int
    shed: int
    done: int
    cancelled: int
    interrupted: int
    overran: int
    excused: int
    lateness: LatenessStatistics


class _Cut(Enum):
    OVERRAN = "ended more than half a second after its deadline and was cut off"
    SHUTDOWN = "cut off: the program is stopping"
    REMOVED = "cut off: its check was removed or changed"


class _Line(Cadence):
    """A check on the poller's line of ticks: its slots, its source, and its run, if one is going on.

    It is its cadence, and keeps copies of its names, as each hop costs a miss of the cache, fifty thousand times over.
    """

    __slots__ = ("check", "name", "prompt", "run", "service", "short", "source")

    def __init__(self, check: Check, source: Source | Prompt, *, origin: int) -> None:
        cadence = Cadence.of(check.id, check.every, origin=origin)
        super().__init__(cadence.every, cadence.phase)
        self.name = check.id
        self.check = check
        self.service = check.service
        self.short = check.name
        self.source = source
        # Asking a protocol whether it is met takes twenty times as long, twenty thousand times at a start.
        self.prompt: Callable[[], Observation] | None = getattr(source, "probe_now", None)
        self.run: _Run | None = None

    def __lt__(self, other: _Line) -> bool:
        return self.name < other.name


class _Run:
    """One run that is going on; in the agenda it stands for its `limit`, the tick at which it must be cut off.

    `stalled` is how long the loop had stalled in all when the attempt began.
    """

    __slots__ = ("cancels", "cut", "ended", "limit", "name", "stalled", "task")

    def __init__(self, name: str) -> None:
        self.name = name
        self.cut: _Cut | None = None
        self.cancels = 0
        self.limit = 0
        self.stalled = 0
        self.task: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] | None = None

    def __lt__(self, other: _Run) -> bool:
        return self.name < other.name

    def stop(self, cut: _Cut) -> None:
        """Cut it off, for this reason; one that no task has taken up yet never begins."""
        self.cut = cut
        if self.task is not None:
            self.cancels += 1
            self.task.cancel()

    def was_cut(self) -> bool:
        """Whether the attempt that just ended was cut off by us; its task then goes on as if never cancelled.

        What a source raised or returned when it was cut off does not matter. A cancellation that is not ours stays.
        """
        for _ in range(self.cancels):
            if self.task is not None:
                self.task.uncancel()
        cut, self.cancels = self.cancels > 0, 0
        return cut


class _Stalls:
    """How long our own loop was late, in all: what no target can be blamed for."""

    __slots__ = ("_total", "_wanted")

    def __init__(self) -> None:
        self._total = 0
        self._wanted: int | None = None

    def nap(self, until: int) -> None:
        """The loop wants to be awake at `until`."""
        self._wanted = until

    def woke(self, now: int) -> None:
        """The loop is awake."""
        self._total = self.until(now)
        self._wanted = None

    def until(self, now: int) -> int:
        """The total up to `now`, a stall included that the loop itself has not noticed yet."""
        late = 0 if self._wanted is None else now - self._wanted
        return self._total + (late if late > _PUNCTUAL else 0)


class Poller:
    """Runs checks at their slots, with bounded concurrency, in the task group of its own `run`.

    One loop; nothing here blocks. At most one run of a check is outstanding; `submit` holding back is the backpressure,
    as a run counts against the capacity until its observation is submitted. Slots lie on the wall clock as it was when
    the poller was made, and are counted on monotonic time from there: a step of the wall clock moves none. `run` may be
    called again after it failed. Cancelled, it takes its runs with it and submits nothing more.
    """

    def __init__(
        self,
        checks: Iterable[Check],
        sources: Mapping[str, Source | Prompt],
        clock: Clock,
        submit: Callable[[Observed], Awaitable[object]],
        *,
        capacity: int = 1000,
        tracing: Tracing | None = None,
    ) -> None:
        """With `tracing`, each run is a span."""
        self._tracing = tracing
        self._observing = self._observe if tracing is None else self._traced
        self._clock = clock
        self._submit = submit
        self._capacity = capacity
        self._origin = clock.now().ns - clock.tick().ns
        self._lines = {check.id: _Line(check, sources[check.id], origin=self._origin) for check in checks}
        self._agenda: Agenda[_Line | _Run] = Agenda()
        self._running: dict[_Line, _Run] = {}
        self._spare: list[asyncio.Future[tuple[_Line, _Run]]] = []
        self._ticking: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = self._held_back = False
        self._stalls = _Stalls()
        self._lateness = Lateness()
        self._peak = self._started = self._skipped = self._shed = 0
        self._cancelled = self._interrupted = self._overran = self._excused = 0

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Poll until `stop`; calls `beat` once a second or more often. Raises what `submit` raises."""
        self._book(self._clock.tick().ns)
        self._held_back = False
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._ticking = tasks.create_task(self._tick(tasks, beat), name="poll")
        finally:
            self._tasks = None
            self._spare.clear()
            for line, run in list(self._running.items()):
                self._ended(line, run, _Cut.SHUTDOWN)  # their tasks were cancelled before they began

    async def stop(self, deadline: Deadline) -> None:
        """Start no further run; runs that go on past the deadline end as `unknown(shutdown)`. Then `run` returns."""
        self._stopping = True
        try:
            async with within(self._clock, deadline):
                await self._idle.wait()
        except TimeoutError:
            await self._cut(list(self._running.values()), _Cut.SHUTDOWN)
        for place in self._spare:
            place.cancel()
        if self._ticking is not None:
            self._ticking.cancel()

    async def replace(self, checks: Iterable[Check], sources: Mapping[str, Source | Prompt]) -> None:
        """Poll these checks from now on. What did not change goes on undisturbed.

        Runs of removed or changed checks are cut off and yield nothing; when this returns, their sources are no longer
        in use.
        """
        wanted = {check.id: check for check in checks}
        gone: list[_Run] = []
        for name, line in list(self._lines.items()):
            if wanted.get(name) == line.check and sources[name] is line.source:
                del wanted[name]
                continue
            del self._lines[name]
            self._agenda.cancel(line)
            if line.run is not None:
                gone.append(line.run)
        for name, check in wanted.items():
            self._lines[name] = _Line(check, sources[name], origin=self._origin)
        # The loop naps for a second at most and sees them in time.
        self._book(self._clock.tick().ns + _PATIENCE)
        await self._cut(gone, _Cut.REMOVED)

    def hasten(self, checks: Iterable[str]) -> None:
        """Run these checks at once, beside their slots: a decision waits for them.

        One that is running goes on; where there is no room for another run the decision waits for the slot.
        """
        now = self._clock.tick().ns
        for name in checks:
            line = self._lines.get(name)
            if line is None or line.run is not None or self._stopping or self._tasks is None:
                continue
            if line.prompt is not None:
                self._agenda.book(line, now, _SLOT)
            elif len(self._running) < self._capacity:
                self._start(line, now, self._tasks)

    async def run_once(self, check: str) -> Observation:
        """Run a check now, beside its slots, and return what it observed; nothing is submitted.

        `NotFound` for an unknown check, `Conflict` while a run of it is outstanding.
        """
        line = self._lines.get(check)
        if line is None:
            raise NotFound(f"there is no check {check}")
        if line.run is not None:
            raise Conflict(f"{check} is running just now: ask again")
        if line.prompt is not None:
            return _answered(line.prompt)
        line.run = run = _Run(check)
        try:
            return await self._observe(line.check, _Bounded(line.source, self._clock), run)
        finally:
            if line.run is run:
                line.run = None

    def statistics(self) -> PollStatistics:
        """What became of all slots so far."""
        return PollStatistics(
            checks=len(self._lines),
            outstanding=len(self._running),
            peak=self._peak,
            started=self._started,
            skipped=self._skipped,
            shed=self._shed,
            done=self._started - len(self._running) - self._cancelled - self._interrupted,
            cancelled=self._cancelled,
            interrupted=self._interrupted,
            overran=self._overran,
            excused=self._excused,
            lateness=self._lateness.statistics(),
        )

    @property
    def lateness(self) -> Lateness:
        """How late runs began since the poller was made, or measured afresh."""
        return self._lateness

    def measure_afresh(self) -> None:
        """Forget the lateness measured so far; the counts stay."""
        self._lateness = Lateness()

    def _book(self, start: int) -> None:
        for line in self._lines.values():
            if line not in self._agenda:
                self._agenda.book(line, line.first(start), _SLOT)

    async def _tick(self, tasks: asyncio.TaskGroup, beat: Callable[[], None]) -> None:
        waiting = tasks.create_task(self._show_held_back(beat), name="poll held back")
        try:
            await self._tick_on(tasks, beat)
        finally:
            waiting.cancel()

    async def _show_held_back(self, beat: Callable[[], None]) -> None:
        """Give the sign of life while `submit` holds the loop back, however long: that is no loop that is stuck."""
        while True:
            await self._clock.wait_until(self._clock.tick().plus(_PATIENCE))
            if self._held_back:
                beat()

    async def _tick_on(self, tasks: asyncio.TaskGroup, beat: Callable[[], None]) -> None:
        now = self._clock.tick().ns
        while True:
            beat()
            first = self._agenda.peek()
            nap = now + (_ALERT if self._running else _PATIENCE)
            wake = max(now + _TURN, nap if first is None else min(first[0], nap))
            self._stalls.nap(wake)
            await self._clock.wait_until(Tick(wake))
            now = self._clock.tick().ns
            self._stalls.woke(now)
            await self._dispatch(now, tasks)

    async def _dispatch(self, now: int, tasks: asyncio.TaskGroup) -> None:
        """Everything due at `now`, at once: the next wake is a millisecond away at least."""
        started = self._clock.now()
        book, submit, late = self._agenda.book, self._submit, self._lateness.record  # looked up once
        for due, _, what in self._agenda.pop_due(now):
            if isinstance(what, _Run):
                self._end(what, now)
                continue
            if now - due > TOLERATED and (given_up := what.too_late(due, now)):
                self._skipped += given_up
                book(what, what.first(now), _SLOT)
                continue
            book(what, what.next_slot(now), _SLOT)
            if self._stopping or what.run is not None:
                self._skipped += 1
            elif what.prompt is not None:
                self._started += 1
                late(now - due)
                self._held_back = True
                await submit(Observed(what.service, what.short, _answered(what.prompt), started))
                self._held_back = False
            elif len(self._running) >= self._capacity:
                self._shed += 1
                self._held_back = True
                await submit(Observed(what.service, what.short, self._overloaded(), started))
                self._held_back = False
            else:
                self._start(what, due, tasks)

    def _start(self, line: _Line, due: int, tasks: asyncio.TaskGroup) -> None:
        line.run = run = _Run(line.name)
        self._running[line] = run
        self._idle.clear()
        self._peak = max(self._peak, len(self._running))
        self._started += 1
        self._lateness.record(self._clock.tick().ns - due)
        while self._spare:
            place = self._spare.pop()
            if not place.done():
                place.set_result((line, run))
                return
        tasks.create_task(self._work((line, run)))

    async def _work(self, job: tuple[_Line, _Run]) -> None:
        """One run after the other, in one task: to make a task and to end it costs more than all the rest of a run."""
        while True:
            line, run = job
            end: _Cut | None = _Cut.SHUTDOWN
            try:
                await self._run(line, run)
                end = run.cut
            finally:
                self._ended(line, run, end if run.cut is not _Cut.REMOVED else run.cut)
            if self._stopping:
                return
            place = asyncio.get_running_loop().create_future()
            self._spare.append(place)
            job = await place

    def _ended(self, line: _Line, run: _Run, end: _Cut | None) -> None:
        self._running.pop(line, None)
        self._agenda.cancel(run)
        run.task = None
        if line.run is run:
            line.run = None
        if not self._running:
            self._idle.set()
        if end is _Cut.REMOVED:
            self._cancelled += 1
        elif end is _Cut.SHUTDOWN:
            self._interrupted += 1
        if run.ended is not None and not run.ended.done():
            run.ended.set_result(None)

    async def _run(self, line: _Line, run: _Run) -> None:
        run.task = asyncio.current_task()
        started = self._clock.now()
        if run.cut is None:
            observation = await self._observing(line.check, line.source, run)
        else:
            observation = self._cut_off(run.cut)
        if run.cut is not _Cut.REMOVED:
            await self._submit(Observed(line.service, line.short, observation, started))

    async def _traced(self, check: Check, source: Source | Prompt, run: _Run) -> Observation:
        assert self._tracing is not None
        named = {"service_monitoring.service": check.service, "service_monitoring.check": check.name}
        with self._tracing.span("check", named) as span:
            observation = await self._observe(check, source, run)
            span.set_attribute("service_monitoring.outcome", observation.outcome.value)
            if observation.reason is not None:
                span.set_attribute("service_monitoring.reason", observation.reason.value)
            return observation

    async def _observe(self, check: Check, source: Source | Prompt, run: _Run) -> Observation:
        """Try up to `retries` times more, each time with the whole timeout; the last attempt decides."""
        attempts: list[Attempt] = []
        while True:
            began = self._clock.tick()
            last = await self._attempt(check, source, run, began)
            lasted = self._clock.tick().since(began)
            attempts.append(Attempt(last.outcome, last.reason, last.detail, lasted))
            final = last.outcome is Outcome.OK or len(attempts) > check.retries
            if final or run.cut in (_Cut.SHUTDOWN, _Cut.REMOVED):
                return Observation(last.outcome, last.reason, last.detail, last.measurements, tuple(attempts))
            run.cut = None

    async def _attempt(self, check: Check, source: Source | Prompt, run: _Run, began: Tick) -> Observation:
        deadline = Deadline(began.plus(check.timeout))
        run.limit = deadline.tick.ns + OVERRUN
        run.stalled = self._stalls.until(began.ns)
        if run.task is not None:
            self._agenda.book(run, run.limit, _END)
        try:
            observation = await source.probe(deadline)  # type: ignore[union-attr] # prompt ones never come here
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling() > run.cancels:
                raise
            observation = _internal_error(error)
        except Exception as error:  # noqa: BLE001 - whatever a source raises is our own fault and judges no service
            observation = _internal_error(error)
        finally:
            self._agenda.cancel(run)
        if run.was_cut() and run.cut is not None:
            return self._cut_off(run.cut)
        if observation.reason is Reason.TIMEOUT:
            ours = self._stalls.until(self._clock.tick().ns) - run.stalled
            if 2 * ours >= check.timeout:
                self._excused += 1
                detail = f"timed out, but we stalled for {in_seconds(Duration(ours)):.3f} s"
                return Observation(Outcome.UNKNOWN, Reason.OVERLOAD, detail)
        return observation

    def _cut_off(self, cut: _Cut) -> Observation:
        if cut is _Cut.OVERRAN:
            self._overran += 1
            return Observation(Outcome.UNKNOWN, Reason.INTERNAL_ERROR, cut.value)
        return Observation(Outcome.UNKNOWN, Reason.SHUTDOWN, cut.value)

    def _end(self, run: _Run, now: int) -> None:
        """A run is half a second past its deadline: cut it off, and again if it does not let itself be cut off.

        While we stalled it had no chance to end: by so much its limit is later.
        """
        limit = run.limit + self._stalls.until(now) - run.stalled
        if now < limit:
            self._agenda.book(run, limit, _END)
        else:
            self._agenda.book(run, now + OVERRUN, _END)
            run.stop(_Cut.OVERRAN)

    async def _cut(self, runs: list[_Run], cut: _Cut) -> None:
        """Cut runs off and wait until they ended, half a second at most: a faulty source may not let go."""
        loop = asyncio.get_running_loop()
        ends = []
        for run in runs:
            run.ended = loop.create_future()
            ends.append(run.ended)
            run.stop(cut)
        with suppress(TimeoutError):
            async with within(self._clock, Deadline(self._clock.tick().plus(OVERRUN))):
                await asyncio.gather(*ends)

    def _overloaded(self) -> Observation:
        return Observation(
            Outcome.UNKNOWN, Reason.OVERLOAD, f"{self._capacity} runs are outstanding: this one was shed"
        )


class _Bounded:
    """A source whose overrun is cut off by a wait of its own, for a run that the poller's loop does not watch over."""

    def __init__(self, source: Source | Prompt, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt; `TimeoutError` when it overran."""
        async with within(self._clock, Deadline(deadline.tick.plus(OVERRUN))):
            return await self._source.probe(deadline)  # type: ignore[union-attr] # prompt ones never come here


def _answered(probe: Callable[[], Observation]) -> Observation:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 - as for every source
        return _internal_error(error)


def _internal_error(error: BaseException) -> Observation:
    return Observation(Outcome.UNKNOWN, Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

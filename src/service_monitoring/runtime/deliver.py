"""Delivery: from a committed notice to its settlement in the outbox.

Owns the tasks that send, their slots, deadlines and backoff. Does not know what a notice says, how a channel works, or
what follows from an outcome. The outbox in the store is the truth: what is in memory is lost in a crash without harm,
because the sweep finds it again, and a notice whose lease died with the program is sent again with the same key.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.notices import ENDS, Held, Notice
from service_monitoring.errors import Unavailable
from service_monitoring.ports import (
    Accepted,
    Answer,
    Clock,
    Deadline,
    Due,
    Lease,
    Message,
    Rejected,
    Settlement,
    Sink,
    Store,
    Tick,
    Tracing,
    Uncertain,
)
from service_monitoring.runtime.attempts import BUDGET, LATENESS, attempt, builtin, message_of
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.lanes import AHEAD, CAPACITY, Channel, Job, JobState, Lane, LaneStatistics
from service_monitoring.runtime.retry import LONGEST_ASKED, PATIENCE, RetryAt, after

_PAGE: Final = 1000
_AGAIN: Final = Duration(SECOND)
_ONCE_MORE: Final = Duration(MINUTE)
"""How often it is asked whether what holds the end of something is over."""

Finish = Callable[[Settled, Settlement | None], Awaitable[None]]
"""Admits an outcome, so that its settlement is committed with the decisions that follow from it.

There is no settlement where nothing has ended: that a notice is delayed.
"""

Withhold = Callable[[Notice], Held | None]
"""Whether, by what is committed now, nobody is to hear of a notice any more, and why. Never waits."""

Work = Coroutine[Any, Any, None]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Terms(Struct, frozen=True):
    """The times of delivery, and how many notices of a channel are held in memory."""

    budget: Duration = BUDGET
    lateness: Duration = LATENESS
    sweep: Duration = Duration(5 * SECOND)
    grace: Duration = Duration(5 * SECOND)
    capacity: int = CAPACITY
    late_after: Duration = Duration(5 * MINUTE)
    """How long after it was decided a notice may be on its way before that is admitted."""
    patience: Duration = PATIENCE
    """How old a notice must be to be given up, however often it was tried."""


class Deliverer:
    """Sends what the outbox owes, each channel in a lane of its own, so that one that hangs delays no other.

    Belongs to one loop. `run` ends after `stop`, or when cancelled: either way it takes nothing more, lets sends and
    settlements under way end within the grace, and cuts off the rest; what was cut off stays leased, for the next start
    of the program to send again. A second cancellation ends it at once. A store that cannot be written is tried again
    each second, and the outcome is kept meanwhile. `run` may be called again after it broke down.
    """

    def __init__(  # noqa: PLR0913 - by name, and most have a default
        self,
        store: Store,
        clock: Clock,
        channels: Mapping[str, Channel],
        *,
        finish: Finish,
        dice: Callable[[], float],
        troubled: Callable[[str], None],
        terms: Terms = Terms(),  # noqa: B008 - a frozen value
        withheld: Withhold = lambda notice: None,
        tracing: Tracing | None = None,
    ) -> None:
        """`dice` throws numbers in [0, 1); `troubled` hears of what went wrong, in a sentence.

        `withheld` is asked before a notice is leased, and again when the next thing that happens is its send: what
        was committed before that is heeded. With `tracing`, each attempt is a span.
        """
        self._tracing = tracing
        self._attempting = self._attempted if tracing is None else self._traced
        self._store = store
        self._clock = clock
        self._finish = finish
        self._dice = dice
        self._troubled = troubled
        self._terms = terms
        self._withheld = withheld
        self._lanes = {name: Lane(name, channel, terms.capacity) for name, channel in channels.items()}
        self._claims = _Together(self._claim)
        self._settlements = _Together(self._settle)
        self._tasks: asyncio.TaskGroup | None = None
        self._idle: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._replaced = asyncio.Event()
        self._under_way: Counter[int] = Counter()
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    def wake(self, notices: Iterable[Notice]) -> None:
        """Take up notices that were just committed. Never blocks; what finds no room comes with a sweep."""
        for notice in notices:
            if notice.held is None:
                self._take_up(self._lane(notice.channel), Job(notice, late_from=self._late_from(notice)))

    def replace(self, channels: Mapping[str, Channel]) -> None:
        """Send through these from now on; attempts under way end as they began. Never blocks.

        What is owed to a channel that is no more is parked at once, so that somebody hears of it: also what waits for
        its next attempt, or for the time that the far side asked for.
        """
        for name in self._lanes.keys() - channels.keys():
            lane = self._lanes[name]
            lane.channel = Channel(_Nowhere(name), concurrency=1)
            lane.open_now()
        for name, channel in channels.items():
            if name in self._lanes:
                self._lanes[name].channel = channel
            else:
                self._lanes[name] = Lane(name, channel, self._terms.capacity)
            self._staff(self._lanes[name])
        replaced, self._replaced = self._replaced, asyncio.Event()
        replaced.set()

    def uses(self, sink: Sink) -> bool:
        """Whether something is sent through it, or will be."""
        lanes = (lane.channel.sink for lane in self._lanes.values())
        return self._under_way[id(sink)] > 0 or any(sink is each for each in lanes)

    def statistics(self) -> tuple[LaneStatistics, ...]:
        """Each channel by name: what it holds, and how every attempt ended."""
        return tuple(self._lanes[name].statistics() for name in sorted(self._lanes))

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Deliver until stopped or cancelled; calls `beat` with each sweep."""
        self._stop.clear()
        self._ended.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for lane in tuple(self._lanes.values()):
                    self._start(lane)
                self._spawn(self._sweep(beat), self._idle)
                try:
                    await self._stop.wait()
                finally:
                    self._stop.set()
                    await self._wind_down()
        finally:
            self._tasks = None
            self._ended.set()

    async def stop(self) -> None:
        """Take nothing more; returns when `run` has ended, which the grace bounds."""
        self._stop.set()
        if self._tasks is not None:
            await self._ended.wait()

    # Taking up

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name, Channel(_Nowhere(name), concurrency=1), self._terms.capacity)
            self._staff(lane)
        return lane

    def _take_up(self, lane: Lane, job: Job, *, due: Tick | None = None) -> None:
        ready = lane.add(job)
        if ready is not None:
            self._ready(lane, ready, due=due)

    def _ready(self, lane: Lane, job: Job, *, due: Tick | None = None) -> None:
        if due is None or due <= self._clock.tick():
            self._let_go(lane, job)
        else:
            self._spawn(self._later(lane, job, due), self._idle)

    def _let_go(self, lane: Lane, job: Job) -> None:
        if job.attempt == 0 or isinstance(lane.channel.sink, _Nowhere):
            lane.queue.offer(job.notice.key)
        else:
            lane.retries.append(job)
            self._pay(lane)

    def _pay(self, lane: Lane) -> None:
        """Let retries go as far as the channel's budget reaches, and the others when it does."""
        turn = lane.pay(self._clock.tick())
        if turn is not None and not lane.saving:
            lane.saving = True
            self._spawn(self._save(lane, turn), self._idle)

    async def _save(self, lane: Lane, turn: Tick) -> None:
        await self._until(turn)
        lane.saving = False
        self._pay(lane)

    async def _later(self, lane: Lane, job: Job, due: Tick) -> None:
        lane.waiting += 1
        try:
            while self._clock.tick() < due and not isinstance(lane.channel.sink, _Nowhere):
                await self._until(due)
        finally:
            lane.waiting -= 1
        self._let_go(lane, job)

    async def _until(self, due: Tick) -> None:
        """Wait, but not longer than until channels are replaced: the one that is waited for may be gone."""
        with suppress(TimeoutError):
            async with within(self._clock, Deadline(due)):
                await self._replaced.wait()

    def _drop(self, lane: Lane, job: Job) -> None:
        following = lane.drop(job)
        if following is not None:
            self._ready(lane, following)

    async def _sweep(self, beat: Callable[[], None]) -> None:
        """The safety net: finds what no wake-up told of, and after a start everything that is still owed."""
        while True:
            beat()
            try:
                await self._look()
            except Exception as trouble:  # noqa: BLE001 - the next sweep may do better, and nobody else looks
                self._troubled(f"the outbox cannot be read: {trouble}")
            self._report_late()
            await self._clock.wait_until(self._clock.tick().plus(self._terms.sweep))

    async def _look(self) -> None:
        found = await self._store.due(_PAGE)
        self._found(found)
        if len(found) < _PAGE:
            return
        # The page is full, perhaps with what is owed to a channel that hangs: each other one gets a page of its own.
        for lane in tuple(self._lanes.values()):
            if lane.has_room():
                self._found(await self._store.due(lane.capacity, channel=lane.name))

    def _found(self, found: Sequence[Due]) -> None:
        # The longest due first, but within a thread as decided: a page that waits to be tried again still comes first.
        rank: dict[str, int] = {}
        for due in found:
            rank.setdefault(due.notice.thread, len(rank))
        for due in sorted(found, key=lambda due: (rank[due.notice.thread], due.notice.sequence)):
            lane = self._lane(due.notice.channel)
            if lane.has_room():
                # A first attempt waits for nothing, also when the clock was set back since its notice was decided.
                wait = min(due.due_at.since(self._clock.now()), LONGEST_ASKED) if due.attempt else 0
                tick = self._clock.tick().plus(Duration(wait))
                self._take_up(lane, self._again(due), due=tick)

    def _again(self, due: Due) -> Job:
        late_from = None if due.reported else self._late_from(due.notice)
        return Job(due.notice, due.message, attempt=due.attempt, late_from=late_from, uncertain=due.uncertain)

    # What does not arrive

    def _late_from(self, notice: Notice) -> Tick:
        left = self._terms.late_after - self._clock.now().since(notice.decided_at)
        return self._clock.tick().plus(Duration(left))

    def _report_late(self) -> None:
        """Of whatever is nearer to being late now than at the next look."""
        soon = self._clock.tick().plus(Duration(self._terms.sweep // 2))
        for lane in self._lanes.values():
            for job in lane.tracked.values():
                if job.late_from is not None and job.late_from <= soon:
                    self._spawn_busy(self._reported(job, job.late_from))
                    job.late_from = None

    async def _reported(self, job: Job, late_from: Tick) -> None:
        try:
            await self._finish(_as_settled(job, Delivery.DELAYED, job.said or "no attempt has ended"), None)
        except asyncio.CancelledError:
            job.late_from = late_from
            raise
        except Exception as trouble:  # noqa: BLE001 - the next look reports it again
            job.late_from = late_from
            self._troubled(f"that a notice to {job.notice.channel} is late cannot be stored: {trouble}")

    # Sending

    def _staff(self, lane: Lane) -> None:
        if self._tasks is None:
            return
        if not lane.leasing:
            lane.leasing = True
            self._spawn(self._lease(lane), self._idle)
        while lane.workers < lane.channel.concurrency:
            lane.workers += 1
            self._spawn(self._work(lane), self._idle)

    async def _lease(self, lane: Lane) -> None:
        """Lease what waits, many at once, somewhat ahead of the slots."""
        while True:
            await lane.leased.room()
            keys = await lane.queue.take_many(AHEAD - len(lane.leased))
            jobs = [lane.tracked[key] for key in keys if key in lane.tracked]
            with self._uninterrupted():
                await self._leased(lane, jobs)

    async def _leased(self, lane: Lane, jobs: list[Job]) -> None:
        held = {job.notice.key: self._held(job.notice) for job in jobs}
        wanted = [(job, job.message or message_of(lane.channel.sink, job.notice)) for job in jobs]
        try:
            await self._claims.submit(wanted, self._spawn_busy)
        except Exception as trouble:  # noqa: BLE001 - the sweep finds them again
            self._troubled(f"notices to {lane.name} cannot be leased: {trouble}")
        for job in jobs:
            if job.lease is None:
                self._drop(lane, job)  # settled, somebody else's, or not to be had
            elif self._stop.is_set():
                self._give_back(lane, job, job.lease)
            elif (reason := held[job.notice.key]) is not None:
                lane.jobs[JobState.WITHHELD] += 1
                job.begun = True
                self._spawn_busy(self._settled(lane, job, job.lease, reason))
            else:
                lane.leased.offer(job.notice.key)

    def _held(self, notice: Notice) -> Held | None:
        try:
            return self._withheld(notice)
        except Exception as trouble:  # noqa: BLE001 - better told than lost
            self._troubled(f"whether a notice is to be withheld cannot be said: {type(trouble).__name__}: {trouble}")
            return None

    def _give_back(self, lane: Lane, job: Job, lease: Lease) -> None:
        if job.begun:
            return
        lane.jobs[JobState.CANCELLED] += 1
        job.begun = True
        self._spawn_busy(self._returned(lane, job, lease))

    async def _returned(self, lane: Lane, job: Job, lease: Lease) -> None:
        now = self._clock.now()
        settlement = Settlement(
            job.notice.key, lease.token, "waiting", "the program stopped before it was sent", now, now
        )
        await self._stored(lane, lambda: self._settlements.submit(settlement, self._spawn_busy))
        job.lease, job.begun = None, False

    async def _work(self, lane: Lane) -> None:
        """One slot of a channel: one notice after the other."""
        try:
            while lane.workers <= lane.channel.concurrency and not self._stop.is_set():
                job = lane.tracked.get(await lane.leased.take())
                if job is not None and job.lease is not None:
                    await self._attempt(lane, job, job.lease)
        finally:
            lane.workers -= 1

    async def _attempt(self, lane: Lane, job: Job, lease: Lease) -> None:
        while (turn := lane.turn(now := self._clock.tick())) > now:
            await self._until(turn)
        job.message, job.begun = lease.message, True
        with self._uninterrupted():
            lane.sending += 1
            sink = lane.channel.sink
            self._under_way[id(sink)] += 1
            try:
                answer = await self._send(lane, sink, job, lease)
            except asyncio.CancelledError:
                lane.jobs[JobState.INTERRUPTED] += 1
                raise
            finally:
                lane.sending -= 1
                self._under_way[id(sink)] -= 1
        if not isinstance(answer, Held):
            lane.heard(answer, self._clock.tick(), lease.attempt)
        # A task of its own: the slot is free for the next, and whoever cancels the slot does not lose the outcome.
        self._spawn_busy(self._settled(lane, job, lease, answer))
        if not self._stop.is_set():
            self._pay(lane)

    async def _send(self, lane: Lane, sink: Sink, job: Job, lease: Lease) -> Answer | Held:
        # Nobody else has a turn between this question and the first line of the sink.
        if (held := self._held(job.notice)) is not None:
            lane.jobs[JobState.WITHHELD] += 1
            return held
        answer, state = await self._attempting(lane.name, sink, lease)
        lane.jobs[state] += 1
        return answer

    async def _attempted(self, channel: str, sink: Sink, lease: Lease) -> tuple[Answer, JobState]:
        terms = self._terms
        return await attempt(sink, lease.message, self._clock, budget=terms.budget, lateness=terms.lateness)

    async def _traced(self, channel: str, sink: Sink, lease: Lease) -> tuple[Answer, JobState]:
        assert self._tracing is not None
        named: dict[str, str | int] = {
            "service_monitoring.channel": channel,
            "service_monitoring.attempt": lease.attempt,
            "service_monitoring.notice": lease.key,
        }
        with self._tracing.span("delivery", named) as span:
            answer, state = await self._attempted(channel, sink, lease)
            span.set_attribute("service_monitoring.answer", type(answer).__name__.lower())
            return answer, state

    # Settling

    async def _settled(self, lane: Lane, job: Job, lease: Lease, answer: Answer | Held) -> None:
        lane.settling += 1
        try:
            due = await self._outcome(lane, job, lease, answer)
        finally:
            lane.settling -= 1
        job.lease, job.begun = None, False
        if due is None:
            self._drop(lane, job)
        elif not self._stop.is_set():
            self._ready(lane, job, due=due)

    async def _outcome(self, lane: Lane, job: Job, lease: Lease, answer: Answer | Held) -> Tick | None:
        """Settle one attempt in the store; the tick of the next one, if there will be one."""
        now, tick = self._clock.now(), self._clock.tick()
        job.attempt = lease.attempt
        if isinstance(answer, Held) and job.notice.page in ENDS:
            return await self._postponed(lane, job, lease, answer)
        if isinstance(answer, Held):
            await self._finished(lane, job, lease, Delivery.WITHHELD, f"{answer.reason} by {answer.by}", answer)
            return None
        if isinstance(answer, Accepted):
            await self._finished(lane, job, lease, Delivery.DELIVERED, answer.detail)
            return None
        job.said = answer.detail
        job.uncertain = job.uncertain or isinstance(answer, Uncertain)
        age = now.since(job.notice.decided_at)
        decided = after(lease.attempt, answer, tick, self._dice(), age=age, patience=self._terms.patience)
        if not isinstance(decided, RetryAt):
            await self._finished(lane, job, lease, Delivery.PARKED, decided.why)
            return None
        status = "uncertain" if isinstance(answer, Uncertain) else "waiting"
        retry_at = now.plus(decided.due.since(tick))
        settlement = Settlement(job.notice.key, lease.token, status, answer.detail, now, retry_at)
        await self._stored(lane, lambda: self._settlements.submit(settlement, self._spawn_busy))
        return decided.due

    async def _postponed(self, lane: Lane, job: Job, lease: Lease, held: Held) -> Tick:
        """The end of something waits until nothing holds it: who believes it open must hear of it."""
        job.late_from = None
        now, due = self._clock.now(), self._clock.tick().plus(_ONCE_MORE)
        said = f"{held.reason} by {held.by}"
        settlement = Settlement(job.notice.key, lease.token, "waiting", said, now, now.plus(_ONCE_MORE))
        await self._stored(lane, lambda: self._settlements.submit(settlement, self._spawn_busy))
        return due

    async def _finished(
        self, lane: Lane, job: Job, lease: Lease, delivery: Delivery, detail: str, held: Held | None = None
    ) -> None:
        """Admit the end of a notice with its settlement."""
        job.late_from = None
        settled = _as_settled(job, delivery, detail, held)
        settlement = Settlement(job.notice.key, lease.token, delivery.value, detail, self._clock.now())
        await self._stored(lane, lambda: self._finish(settled, settlement))

    async def _stored(self, lane: Lane, store: Callable[[], Awaitable[None]]) -> None:
        """Insist: what the far side said is known here alone."""
        while True:
            try:
                return await store()
            except Exception as trouble:  # noqa: BLE001 - nothing that fails here makes the outcome untrue
                self._troubled(f"an outcome of {lane.name} cannot be stored: {trouble}")
                await self._clock.wait_until(self._clock.tick().plus(_AGAIN))

    async def _claim(self, wanted: list[list[tuple[Job, Message]]]) -> list[None]:
        jobs = {message.key: (job, message) for each in wanted for job, message in each}
        for lease in await self._store.claim([message for _, message in jobs.values()]):
            jobs[lease.key][0].lease = lease  # kept with the job, should whoever asked be cancelled just now
        return [None] * len(wanted)

    async def _settle(self, settlements: list[Settlement]) -> list[None]:
        await self._store.settle(settlements)
        return [None] * len(settlements)

    # Tasks

    def _spawn(self, work: Work, among: set[asyncio.Task[None]]) -> None:
        if self._tasks is None:
            work.close()
            raise Unavailable("the deliverer does not run")
        try:
            task = self._tasks.create_task(work)
        except RuntimeError as error:  # the group is breaking down: what is under way is settled when it runs again
            work.close()
            raise Unavailable(str(error)) from None
        among.add(task)
        task.add_done_callback(self._idle.discard)
        task.add_done_callback(self._busy.discard)

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Inside, the task is not cancelled when the deliverer is to stop, but only at the end of the grace."""
        task = asyncio.current_task()
        assert task is not None
        self._idle.discard(task)
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)
            self._idle.add(task)

    def _spawn_busy(self, work: Work) -> None:
        self._spawn(work, self._busy)

    def _start(self, lane: Lane) -> None:
        """Put a lane to work. What was under way when an earlier run broke down may have been sent."""
        known = lane.restart()
        self._staff(lane)
        for job in known:
            lease = job.lease
            if lease is None:
                self._take_up(lane, job)
            else:
                job.begun = True
                lane.add(job)
                self._spawn_busy(self._settled(lane, job, lease, Uncertain("interrupted")))

    async def _wind_down(self) -> None:
        for task in tuple(self._idle):
            task.cancel()
        for lane in self._lanes.values():
            for job in tuple(lane.tracked.values()):
                if job.lease is not None:
                    with suppress(Unavailable):
                        self._give_back(lane, job, job.lease)
        try:
            async with within(self._clock, deadline_after(self._clock, self._terms.grace)):
                while self._busy:
                    await asyncio.wait(tuple(self._busy), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            for task in (*self._busy, *self._idle):
                task.cancel()


class _Together(Generic[Item, Result]):
    """Makes one call at a time for all who ask meanwhile: a store commits many as fast as one."""

    def __init__(self, call: Callable[[list[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._call = call
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._calling = False

    async def submit(self, item: Item, spawn: Callable[[Work], None]) -> Result:
        """What the call says of `item`, or what it raises. Cancelled, the call is made all the same."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._calling:
            self._calling = True
            spawn(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_PAGE], self._waiting[_PAGE:]
                try:
                    results = await self._call([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), result in zip(batch, results, strict=True):
                        if not future.done():
                            future.set_result(result)
        finally:
            self._calling = False


class _Nowhere:
    """The sink of a channel that is not configured: everything is parked, so that somebody hears of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def render(self, notice: Notice) -> Message:
        return builtin(notice, degraded="")

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        return Rejected(f"there is no channel {self._name}")


def _as_settled(job: Job, delivery: Delivery, detail: str, held: Held | None = None) -> Settled:
    notice = job.notice
    uncertain = job.uncertain and delivery is not Delivery.DELIVERED
    return Settled(
        notice.key,
        delivery,
        notice.channel,
        notice.page,
        detail,
        held,
        uncertain,
        notice.group,
        notice.sequence,
        notice.recipient,
    )

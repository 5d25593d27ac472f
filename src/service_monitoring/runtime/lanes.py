"""Lanes: the notices of one channel that this program is busy with, in the order in which they may be sent.

Synchronous decisions over a bounded queue: what is taken up, what goes next, and when the channel may be asked again.
Knows threads, capacity and pace. Does not know stores, leases or how anything is sent (`deliver`), and never waits.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Notice
from service_monitoring.ports import Accepted, Answer, Later, Lease, Message, Rejected, Sink, Tick, Uncertain
from service_monitoring.runtime.queue import Queue, WhenFull
from service_monitoring.runtime.retry import LONGEST_ASKED, RetryBudget

CAPACITY: Final = 1000
"""Notices of one channel that are held in memory; the others wait in the store."""

AHEAD: Final = 32
"""Notices of one channel that may be leased before a slot is free: many leases cost the store as much as one."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A sink and how hard it may be driven: sends at once, and sends a second where `rate` is given."""

    sink: Sink
    concurrency: int = 4
    rate: float | None = None


class JobState(StrEnum):
    """How an attempt ended for this program, whatever the far side said. `WITHHELD`: it was not sent after all."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    WITHHELD = "withheld"


class LaneStatistics(Struct, frozen=True):
    """One channel. `overflowed` counts notices left in the store because the lane was full; they come with a sweep.

    `jobs` counts attempts by how they ended (`JobState`), `answers` by what the far side said. `trouble` is what it
    said last when it did not take what it was sent; nothing where it did.
    """

    channel: str
    queued: int
    waiting: int
    sending: int
    settling: int
    overflowed: int
    jobs: dict[str, int]
    answers: dict[str, int]
    trouble: str = ""


@dataclass(eq=False, slots=True)
class Job:
    """One notice on its way. `lease`: the right to send it, while held; `begun`: from its send to its settling.

    `late_from` is when it must be said that it does not arrive; None once that was said, or there is nothing to say.
    `said` is what the far side said last, `uncertain` that an attempt ended without an answer.
    """

    notice: Notice
    message: Message | None = None
    lease: Lease | None = None
    begun: bool = False
    attempt: int = 0
    late_from: Tick | None = None
    said: str = ""
    uncertain: bool = False


@dataclass(eq=False, slots=True)
class Lane:
    """The jobs of one channel. Belongs to one loop.

    Of one thread only the oldest job is under way; the next follows when it is settled for good: a recovery never
    overtakes its page.
    """

    name: str
    channel: Channel
    capacity: int = CAPACITY
    sending: int = 0
    settling: int = 0
    waiting: int = 0
    workers: int = 0
    leasing: bool = False
    saving: bool = False
    overflowed: int = 0
    trouble: str = ""
    jobs: Counter[JobState] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    tracked: dict[str, Job] = field(default_factory=dict)
    queue: Queue[str] = field(init=False)
    leased: Queue[str] = field(init=False)
    budget: RetryBudget = field(default_factory=RetryBudget)
    retries: deque[Job] = field(default_factory=deque)
    _threads: dict[str, list[Job]] = field(default_factory=dict)
    _open_from: Tick = field(default_factory=lambda: Tick(0))
    _paced_from: Tick = field(default_factory=lambda: Tick(0))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> list[Job]:
        """Forget everything that was under way; what that was, each thread in its order."""
        self.workers, self.leasing, self.saving = 0, False, False
        self.retries.clear()
        # It never refuses: there are at most `capacity` jobs, and each of them is in it once.
        self.queue = Queue(f"outbox {self.name}", capacity=self.capacity, when_full=WhenFull.REFUSE)
        self.leased = Queue(f"leased {self.name}", capacity=AHEAD, when_full=WhenFull.REFUSE)
        known = [job for line in self._threads.values() for job in line]
        self._threads.clear()
        self.tracked.clear()
        return known

    def add(self, job: Job) -> Job | None:
        """Take a notice up; the job that may go now because of it, if one may."""
        key, thread = job.notice.key, job.notice.thread
        if key in self.tracked:
            return None
        if len(self.tracked) >= self.capacity:
            self.overflowed += 1
            return None
        self.tracked[key] = job
        line = self._threads.get(thread)
        if line is None:
            self._threads[thread] = [job]
            return job
        # The first of the line is under way already, so that one of an earlier sequence comes right after it.
        insort(line, job, lo=1, key=lambda waiting: waiting.notice.sequence)
        return None

    def drop(self, job: Job) -> Job | None:
        """The end of a job; the next one of its thread, which may go now."""
        if self.tracked.pop(job.notice.key, None) is None:
            return None
        line = self._threads[job.notice.thread]
        line.remove(job)
        if line:
            return line[0]
        del self._threads[job.notice.thread]
        return None

    def has_room(self) -> bool:
        """Whether a notice from the store would be taken up."""
        return len(self.tracked) < self.capacity

    def heard(self, answer: Answer, now: Tick, attempt: int) -> None:
        """Count an answer. A wish to be left alone holds for the channel, not for the one notice alone."""
        self.answers[_NAMES[type(answer)]] += 1
        self.budget.begun(attempt)
        self.trouble = "" if isinstance(answer, Accepted) else answer.detail or _NAMES[type(answer)]
        if isinstance(answer, Accepted):
            self.budget.accepted(attempt)
        if isinstance(answer, Later) and answer.after is not None:
            self._open_from = max(self._open_from, now.plus(min(answer.after, LONGEST_ASKED)), key=lambda tick: tick.ns)

    def pay(self, now: Tick) -> Tick | None:
        """Let retries that are due go to the queue, as far as the budget reaches; when it does again, if it must."""
        while self.retries:
            turn = self.budget.turn(now)
            if turn > now:
                return turn
            self.queue.offer(self.retries.popleft().notice.key)
        return None

    def open_now(self) -> None:
        """Forget what the far side wished: it is not asked any more."""
        self._open_from = self._paced_from = Tick(0)
        while self.retries:
            self.queue.offer(self.retries.popleft().notice.key)

    def turn(self, now: Tick) -> Tick:
        """When the next send may begin; asked at that tick, the turn is taken."""
        due = max(self._open_from, self._paced_from, now, key=lambda tick: tick.ns)
        if due == now and self.channel.rate is not None:
            self._paced_from = now.plus(Duration(int(SECOND / self.channel.rate)))
        return due

    def statistics(self) -> LaneStatistics:
        """What it holds and what came of it so far."""
        return LaneStatistics(
            channel=self.name,
            queued=len(self.queue) + len(self.leased),
            waiting=self.waiting + len(self.retries),
            sending=self.sending,
            settling=self.settling,
            overflowed=self.overflowed,
            jobs={state: self.jobs[state] for state in JobState},
            answers={name: self.answers[name] for name in _NAMES.values()},
            trouble=self.trouble,
        )


_NAMES: Final[dict[type[Answer], str]] = {
    Accepted: "accepted",
    Later: "later",
    Rejected: "rejected",
    Uncertain: "uncertain",
}

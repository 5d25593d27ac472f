"""The cycle: takes what was admitted, lets it be decided, keeps it, and only then tells anybody.

Owns the inbox, the one writer's turn and the waiting for due timers. Does not know what is decided, which input follows
which timer, or how anything is stored or sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from service_monitoring.application import MARK_EVERY, Monitor, Round
from service_monitoring.domain.course import Course, Ruling
from service_monitoring.domain.inputs import Admitted, Configured, Input, Marked, MarkKind, Stamp
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Clock, Deadline, Enclosed, Settlement, Tick, Tracing
from service_monitoring.runtime.admission import LOOK_EVERY, Admission
from service_monitoring.runtime.deadlines import within
from service_monitoring.runtime.queue import Offer, Queue, QueueStatistics, WhenFull

_AGAIN: Final = Duration(SECOND)
"""How long after a store that could not be written it is tried again."""

_BATCH: Final = 2048


class Command(Struct, frozen=True):
    """An input on its way to a decision, after what the clocks said; `ticket` is what its sender waits for, or 0.

    What is beside the input is stored in its transaction and decides nothing: the end of a lease, or what a job sent.
    """

    admitted: tuple[Admitted, ...]
    beside: Settlement | Enclosed | None = None
    ticket: int = 0


class Follower(Protocol):
    """Shows what was decided. Neither call blocks, nor fails."""

    def begin(self) -> None:
        """Decisions go on from the store: what was shown and not kept is void."""
        ...

    def kept(self, judged: Round) -> None:
        """A round is kept. Whoever asked for something in it hears of that afterwards."""
        ...


class Cycle:
    """Admission, inbox and the loop that decides and commits, for one machine.

    Belongs to one asyncio loop. `submit` and `ask` wait while the inbox is full: that is the backpressure. A round that
    the store cannot take now is held and tried again each second, and nothing further is decided meanwhile; a
    `Conflict` ends the loop, and the next `run` begins from the store. Cancelled, `run` leaves what was kept whole;
    what was decided and not kept is decided again from the samples at the next start.
    """

    def __init__(
        self,
        monitor: Monitor,
        clock: Clock,
        *,
        capacity: int,
        owed: Callable[[Sequence[Notice]], None],
        troubled: Callable[[str], None],
        wanted: Callable[[Sequence[str]], None] = lambda checks: None,
        follower: Follower | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`owed` hears of notices once committed; `troubled` of a store that cannot be written, `""` once it can.

        `wanted` hears of checks, as `service.check`, that decisions wait for: they should run at once. `follower` shows
        what was decided. With `tracing`, each round is a span, with one for judging and one for keeping in it.
        """
        self._tracing = tracing
        self._deciding = self._decide_part if tracing is None else self._traced_part
        self._judging = self._judge if tracing is None else self._traced_judge
        self._keeping = self._keep if tracing is None else self._traced_keep
        self._monitor = monitor
        self._clock = clock
        self._owed = owed
        self._troubled = troubled
        self._wanted = wanted
        self._follower = follower
        self._inbox: Queue[Command] = Queue("inbox", capacity=capacity, when_full=WhenFull.WAIT)
        self._admission = Admission(clock, last=monitor.course.progress.judged)
        self._tickets: dict[int, asyncio.Future[Ruling]] = {}
        self._issued = 0
        self._alive = clock.tick()
        self._void = False
        self._beat: Callable[[], None] = lambda: None

    @property
    def course(self) -> Course:
        """For questions."""
        return self._monitor.course

    @property
    def gaps(self) -> int:
        """Times in which nobody watched that were found since the program began."""
        return self._admission.gaps

    def statistics(self) -> QueueStatistics:
        """Of the inbox."""
        return self._inbox.statistics()

    async def start(self, *first: Input) -> None:
        """Decide what a start brings, and then `first`, before anything else is admitted."""
        batch = self._admission.start()
        for what in first:
            batch += self._admission.admit(what)
        await self._decide([Command(tuple(batch))])

    async def submit(self, what: Input, settlement: Settlement | None = None) -> None:
        """Admit an input; returns when it is in the inbox, which may wait for room. `Unavailable` once it is closed."""
        await self._admit(what, settlement, ticket=0)

    async def ask(self, what: Input, enclosed: Enclosed | None = None) -> Ruling:
        """Admit an input and wait until what it decided is kept; `Refused` with its sentence when it is not taken.

        `enclosed` came with a report and is kept in the same transaction.
        """
        self._issued += 1
        ticket = self._issued
        answer = self._tickets[ticket] = asyncio.get_running_loop().create_future()
        try:
            await self._admit(what, enclosed, ticket=ticket)
            ruling: Ruling = await answer
        finally:
            self._tickets.pop(ticket, None)
        if ruling.refusal:
            raise Refused(ruling.refusal)
        return ruling

    async def run(self, beat: Callable[[], None]) -> None:
        """Decide what comes, and what is due, until `stop`; then what is still in, and the mark of an orderly end.

        Called again after it failed, it goes on from the store: what was decided and not kept is void.
        """
        if self._void:
            self._monitor = await self._monitor.again()
            self._void = False
            if self._follower is not None:
                self._follower.begin()
        self._beat = beat
        while True:
            beat()
            commands = await self._next()
            if commands is None:
                await self._decide([self._marked(MarkKind.STOPPED)])
                return
            await self._decide(commands)

    async def stop(self) -> None:
        """Take nothing more; `run` decides what is in, and ends."""
        self._inbox.close()

    async def _admit(self, what: Input, beside: Settlement | Enclosed | None, *, ticket: int) -> None:
        # Stamp and place go together, or a producer that waited for room would come in with a stamp of the past.
        await self._inbox.room()
        command = Command(tuple(self._admission.admit(what)), beside, ticket)
        if self._inbox.offer(command) is Offer.REFUSED:
            raise Unavailable("the program is stopping: nothing more is taken")

    async def _next(self) -> list[Command] | None:
        """What is in the inbox; when nothing comes, or now and then, the sign of life that fires what is due."""
        commands = self._inbox.take_now(_BATCH)
        try:
            if not commands:
                async with within(self._clock, Deadline(self._wake())):
                    commands = await self._inbox.take_many(_BATCH)
        except TimeoutError:
            commands = self._inbox.take_now(_BATCH)  # what came in at the very end of the wait
        except Unavailable:
            return None
        # What is still in the inbox was stamped before: a sign of life must not overtake it.
        if not commands or (not len(self._inbox) and self._clock.tick().since(self._alive) >= MARK_EVERY):
            commands.append(self._marked(MarkKind.ALIVE))
        return commands

    def _marked(self, mark: MarkKind) -> Command:
        self._alive = self._clock.tick()
        return Command(tuple(self._admission.admit(Marked(mark))))

    def _wake(self) -> Tick:
        """When to look again: at what is due next, and at the clocks in any case."""
        now = self._clock.tick()
        due = self._monitor.course.due()
        if due is None:
            return now.plus(LOOK_EVERY)
        return now.plus(Duration(max(0, min(LOOK_EVERY, due.since(self._clock.now())))))

    async def _decide(self, commands: list[Command]) -> None:
        """Decide them in order. Before a revision, what came earlier is kept: it is part of what that looks back at."""
        begin, revision = 0, None
        for place, command in enumerate(commands):
            what = command.admitted[-1].input
            if isinstance(what, Configured):
                if place > begin:
                    await self._deciding(commands[begin:place], revision)
                begin, revision = place, what
        await self._deciding(commands[begin:], revision)

    async def _decide_part(self, commands: list[Command], revision: Configured | None) -> None:
        settlements = [command.beside for command in commands if isinstance(command.beside, Settlement)]
        enclosed = {
            command.admitted[-1].stamp: command.beside for command in commands if isinstance(command.beside, Enclosed)
        }
        batch = [admitted for command in commands for admitted in command.admitted]
        try:
            if revision is not None:
                await self._monitor.prepare(revision)
            judged = self._judging(batch, settlements, enclosed)
            await self._keeping(judged)
        except BaseException:
            self._void = True
            for command in commands:
                self._answer(command, None)
            raise
        if self._follower is not None:
            self._follower.kept(judged)
        if judged.owed:
            self._owed(judged.owed)
        if judged.wants:
            self._wanted(judged.wants)
        rulings = iter(judged.rulings)
        for command in commands:
            *_, ruling = (next(rulings) for _ in command.admitted)
            self._answer(command, ruling)

    def _judge(self, batch: list[Admitted], settlements: list[Settlement], enclosed: dict[Stamp, Enclosed]) -> Round:
        return self._monitor.judge(batch, settlements, enclosed)

    async def _traced_part(self, commands: list[Command], revision: Configured | None) -> None:
        assert self._tracing is not None
        with self._tracing.span("round", {"service_monitoring.inputs": len(commands)}):
            await self._decide_part(commands, revision)

    def _traced_judge(
        self, batch: list[Admitted], settlements: list[Settlement], enclosed: dict[Stamp, Enclosed]
    ) -> Round:
        assert self._tracing is not None
        with self._tracing.span("judge", {}):
            return self._judge(batch, settlements, enclosed)

    async def _traced_keep(self, judged: Round) -> None:
        assert self._tracing is not None
        with self._tracing.span("keep", {"service_monitoring.notices": len(judged.owed)}):
            await self._keep(judged)

    def _answer(self, command: Command, ruling: Ruling | None) -> None:
        waiting = self._tickets.get(command.ticket)
        if waiting is None or waiting.done():
            return
        if ruling is None:
            waiting.set_exception(Unavailable("what was asked could not be kept: ask again"))
        else:
            waiting.set_result(ruling)

    async def _keep(self, judged: Round) -> None:
        troubled = False
        while True:
            try:
                await self._monitor.keep(judged)
                break
            except Unavailable as trouble:
                troubled = True
                self._troubled(str(trouble))
                # A disk may be full for hours. Whoever took that for a loop that is stuck would lose the round.
                self._beat()
                await self._clock.wait_until(self._clock.tick().plus(_AGAIN))
        if troubled:
            self._troubled("")


async def ask_once(monitor: Monitor, clock: Clock, what: Input) -> Ruling:
    """A run of the program that admits one input: for a command, while no program has the store open.

    `Refused` and `Unavailable` as from `ask`; a store that cannot be written is not waited for.
    """

    def refuse(sentence: str) -> None:
        raise Unavailable(sentence)

    cycle = Cycle(monitor, clock, capacity=1, owed=lambda owed: None, troubled=refuse)
    await cycle.start()
    running = asyncio.create_task(cycle.run(lambda: None), name="cycle")
    try:
        return await cycle.ask(what)
    finally:
        await cycle.stop()
        await running

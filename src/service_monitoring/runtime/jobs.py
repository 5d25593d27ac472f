"""Jobs: long work in processes of its own, one at a time, while a few wait; each can be ended at any moment.

Owns the processes and the line of those that wait. Does not know what a job does: its process says how far it has come
in lines of its standard output, and is given nothing but a command, a folder and an end.

A process leads a session and a group of its own. One thread starts it, reads it and reaps it: the number of a process
that nobody has reaped belongs to nobody else, so that whoever ends it meets no stranger. Its standard input stays open
while this program lives, and its end tells it to go.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar

from msgspec import Struct

from service_monitoring.domain.instants import HOUR, SECOND, Duration
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Clock
from service_monitoring.runtime.deadlines import deadline_after, within

LONGEST: Final = HOUR
"""How long one job may run."""
_BEAT: Final = Duration(10 * SECOND)
_LET_GO: Final = Duration(2 * SECOND)
"""How long whoever cancels waits for the kernel to end a process."""
_MOST_SAID: Final = 4_000
"""Characters of a complaint that are kept."""
_LINE: Final = 64 * 1024


_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class Work(Struct, frozen=True):
    """One job: its command, and the folder of its own that it works in."""

    key: str
    command: tuple[str, ...]
    folder: Path


class Listener(Protocol):
    """Who hears of jobs. Called on the loop."""

    def began(self, key: str) -> None:
        """It runs."""
        ...

    def said(self, key: str, line: bytes) -> None:
        """Its process said a line. Not every line need be heard: of several at once the last one is."""
        ...

    async def ended(self, key: str, code: int | None, complaint: str) -> None:
        """It ended with this exit code; None where it was cancelled, interrupted or took too long.

        `complaint` is the end of what it said on standard error, or why it was ended.
        """
        ...


class Jobs:
    """Runs jobs in the order in which they came. Belongs to one loop.

    At most `most` wait. `run` may be called again after it failed. Cancelled, or after `stop`, no process and no child
    of one is left, and those that wait are told that they are interrupted.
    """

    def __init__(self, clock: Clock, listener: Listener, *, most: int, environment: Mapping[str, str]) -> None:
        self._clock = clock
        self._listener = listener
        self._most = most
        self._environment = dict(environment)
        self._waiting: deque[Work] = deque()
        self._came = asyncio.Event()
        self._running: _Process | None = None
        self._stopping = False

    def submit(self, work: Work) -> None:
        """Let it wait for its turn; `Refused` where enough wait, `Unavailable` after `stop`."""
        self.refuse_more()
        self._waiting.append(work)
        self._came.set()

    def refuse_more(self) -> None:
        """`Refused` where no other job is taken now."""
        if self._stopping:
            raise Unavailable("the program is stopping: nothing begins any more")
        if len(self._waiting) >= self._most:
            raise Refused(f"{self._most} wait already: cancel one of them, or ask again when one has ended")

    def place(self, key: str) -> int:
        """How many wait before it."""
        return next((place for place, work in enumerate(self._waiting) if work.key == key), 0)

    async def cancel(self, key: str) -> None:
        """End one that waits or runs; it has ended when this returns. Nothing where there is none of that key."""
        for work in tuple(self._waiting):
            if work.key == key:
                self._waiting.remove(work)
                await self._listener.ended(key, None, "")
                return
        process = self._running
        if process is not None and process.work.key == key:
            process.kill("")
            with suppress(TimeoutError):
                async with within(self._clock, deadline_after(self._clock, _LET_GO)):
                    await process.over.wait()

    async def run(self, beat: Callable[[], None]) -> None:
        """Run what comes, until cancelled or stopped."""
        while not self._stopping:
            beat()
            if self._waiting:
                await self._attended(self._waiting.popleft(), beat)
                continue
            self._came.clear()
            with suppress(TimeoutError):
                async with within(self._clock, deadline_after(self._clock, _BEAT)):
                    await self._came.wait()

    async def stop(self) -> None:
        """End the one that runs and those that wait, and take no other."""
        self._stopping = True
        self._came.set()
        waiting, process = tuple(self._waiting), self._running
        self._waiting.clear()
        for work in waiting:
            await self._listener.ended(work.key, None, INTERRUPTED)
        if process is not None:
            process.kill(INTERRUPTED)
            await process.over.wait()

    async def _attended(self, work: Work, beat: Callable[[], None]) -> None:
        """One job, with a sign of life now and then. Cancelled, its process is ended."""
        loop = asyncio.get_running_loop()
        process = self._running = _Process(
            work, lambda line: loop.call_soon_threadsafe(self._listener.said, work.key, line)
        )
        self._listener.began(work.key)
        beating = asyncio.create_task(self._beat(beat), name="beat of a job")
        code: int | None = None
        complaint = INTERRUPTED
        with ThreadPoolExecutor(1, "job") as thread:
            running = loop.run_in_executor(thread, process.run, self._environment)
            try:
                async with within(self._clock, deadline_after(self._clock, Duration(LONGEST))):
                    code, complaint = await asyncio.shield(running)
            except TimeoutError:
                process.kill(f"it ran for more than {LONGEST // HOUR} h, which is the most that is given")
                code, complaint = await running
            except OSError as error:
                code, complaint = 1, f"its process could not be started ({error.strerror})"
            finally:
                process.kill(INTERRUPTED)
                beating.cancel()
                await asyncio.wait({running})
                self._running = None
                try:
                    await self._listener.ended(work.key, code, complaint)
                finally:
                    process.over.set()

    async def _beat(self, beat: Callable[[], None]) -> None:
        while True:
            await self._clock.wait_until(self._clock.tick().plus(_BEAT))
            beat()


INTERRUPTED: Final = "the program was stopped"
"""The complaint about a job that the end of the program ended."""


class _Process:
    """One process, from its start to its end. `run` belongs to one thread; any other may `kill`."""

    def __init__(self, work: Work, heard: Callable[[bytes], object]) -> None:
        self.work = work
        self.over = asyncio.Event()
        self._heard = heard
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: str | None = None
        """Why it was ended from outside, if it was."""
        self._reaped = False

    def run(self, environment: Mapping[str, str]) -> tuple[int | None, str]:
        """Start it, hear it, and reap it: its exit code and its complaint. Blocks until it has ended."""
        errors = self.work.folder / "errors"
        with errors.open("wb") as complaints, self._turn:
            if self._ended is not None:
                return None, self._ended
            process = self._process = subprocess.Popen(  # noqa: S603 - a command of ours, without a shell
                self.work.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=dict(environment),
                start_new_session=True,
            )
        with process:
            assert process.stdout is not None, "it is a pipe"
            while line := process.stdout.readline(_LINE):
                with suppress(RuntimeError):  # the loop may be gone
                    self._heard(line)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self._turn:
                # Whatever it left behind in its group ends before its number is given up.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                self._reaped = True
                code = process.wait()
        if self._ended is not None:
            return None, self._ended
        return code, errors.read_bytes()[-_MOST_SAID:].decode(errors="replace")

    def kill(self, why: str) -> None:
        """End it with everything that it started; nothing where it has ended. Does not wait."""
        with self._turn:
            if self._reaped or self._ended is not None:
                return
            self._ended = why
            if self._process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)


class OneAtATime:
    """Calls that block, in threads, one after the other. Belongs to one loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def do(self, call: Callable[_Given, _Made], *given: _Given.args, **named: _Given.kwargs) -> _Made:
        """What the call gives, or raises. Cancelled, it goes on in its thread, and the next one begins."""
        async with self._turn:
            return await asyncio.to_thread(call, *given, **named)


def signal_name(code: int) -> str:
    """What the signal is called that ended a process with this negative exit code."""
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def command_of(interpreter: str, module: str, *arguments: str) -> Sequence[str]:
    """A module of ours as a program; the folder in which it is started is none of those that modules are taken from."""
    return (interpreter, "-P", "-m", module, *arguments)

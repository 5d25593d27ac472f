"""Processes: one command with its whole family, started without a shell and not outlived by anything that it started.

Knows sessions, signals, pipes and limits of Linux. Does not know what the output means.

A process leads a session and a process group of its own. At the end the group is signalled while its leader, dead or
alive, still holds the number, so that no stranger can have it: a descriptor of the process tells of its exit without
reaping it. asyncio's own subprocesses reap first, and keep transports that outlive a cancellation.

Starting one blocks until the program is loaded; bounded threads do that, and they cannot gain privileges, so that
neither can what they start.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

import psutil

KEPT: Final = 64 * 1024
"""Bytes kept of each of the two outputs."""

FLOOD: Final = 16 * KEPT
"""Bytes after which a process is ended: what is printed beyond `KEPT` is thrown away, but not for ever."""

GRACE: Final = 0.15
"""Seconds between the polite signal and the other one, and again until the kernel has carried that out."""

INHERITED: Final = ("PATH", "LANG", "LC_ALL")
"""All that a program gets of our own environment, which may hold secrets of others."""

THREADS: Final = 4
"""That start processes: a program on a dead network disk holds one of them."""

_PR_SET_NO_NEW_PRIVS: Final = 38
_DESCRIPTORS: Final = 1024

Privileges = Literal["refuse", "allow"]


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. `seconds` of processor time are the most it gets, also when this program is gone.

    It reads `given` from its standard input, all of which is there from the beginning.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path | None
    seconds: int
    given: bytes = b""


def clean_environment(*more: Mapping[str, str]) -> dict[str, str]:
    """What is inherited, and more; a later one wins."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment = {"PATH": os.defpath, **inherited}
    for each in more:
        environment |= each
    return environment


def signal_name(code: int) -> str:
    """What the signal is called that a negative exit code stands for; those for real time have numbers only."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class StartingThreads:
    """Threads that start processes, at most `THREADS`. What cannot be started raises its `OSError`."""

    def __init__(self, privileges: Privileges) -> None:
        forbid = _gain_no_privileges if privileges == "refuse" else None
        self._threads = ThreadPoolExecutor(THREADS, "starting-processes", initializer=forbid)

    async def started(self, command: Command) -> Process:
        """A running process, which the caller ends. Cancelled, it leaves none: a start under way is waited out."""
        starting = self._threads.submit(_start, command)
        waiting = asyncio.wrap_future(starting)
        try:
            return Process(*await asyncio.shield(waiting))
        except asyncio.CancelledError:
            if not starting.cancel():
                await _ended_at_once(starting)
            raise

    async def family(self, process: psutil.Process) -> list[psutil.Process]:
        """Every living descendant of `process`, whatever session it went to. Reads the whole process table."""
        return await asyncio.wrap_future(self._threads.submit(_descendants, process))

    def close(self) -> None:
        """Let the threads end; never blocks."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Starters:
    """The starting threads of one kind, made when first asked for: a thread that gave up privileges stays without."""

    def __init__(self) -> None:
        self._threads: dict[Privileges, StartingThreads] = {}

    def threads(self, privileges: Privileges) -> StartingThreads:
        """Those that start programs with such privileges."""
        known = self._threads.get(privileges)
        if known is None:
            known = self._threads[privileges] = StartingThreads(privileges)
        return known

    def close(self) -> None:
        """Let the threads end. Programs that still run are for their callers to end, before this."""
        for threads in self._threads.values():
            threads.close()
        self._threads.clear()


def _gain_no_privileges() -> None:
    """For this thread and all that it starts, no program gains privileges by its file's owner or capabilities."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _start(command: Command) -> tuple[subprocess.Popen[bytes], int]:
    with _readable(command.given) as given:
        process = subprocess.Popen(  # noqa: S603 - to run what the operator's file says is what this is for; no shell
            command.arguments,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(command.environment),
            cwd=command.directory,
            start_new_session=True,
        )
    try:
        # A moment late, but without code of ours between fork and exec, which threads make unsafe.
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (command.seconds, command.seconds + 1))
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            lower = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lower, hard))
        return process, os.pidfd_open(process.pid)
    except BaseException:
        _kill(process)
        raise


@contextmanager
def _readable(content: bytes) -> Iterator[int]:
    """A descriptor to read `content` from: a file in memory, so that nobody waits for a program that does not read."""
    if not content:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("given"), "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


async def _ended_at_once(starting: Future[tuple[subprocess.Popen[bytes], int]]) -> None:
    """Wait for the start, through further cancellations, and kill what was started."""
    waiting = asyncio.wrap_future(starting)
    while not waiting.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([waiting])
    if waiting.exception() is None:
        process, descriptor = waiting.result()
        os.close(descriptor)
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that has run for no more than a moment, with its group, and reap it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with process:
        process.kill()


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


class Process:
    """A running process and what it prints. Belongs to one loop; never blocks; `end` leaves nothing of it."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._flooded: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(descriptor, _settle, self._exited)
        self._outputs = [_Output(stream, self._flooded) for stream in (process.stdout, process.stderr) if stream]

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None before `end` has seen the exit."""
        return self._process.returncode

    @property
    def output(self) -> str:
        """What it printed first, and complained about if it printed nothing."""
        texts = (bytes(each.kept).decode(errors="replace") for each in self._outputs)
        return next((text for text in texts if text.strip()), "")

    @property
    def flooded(self) -> bool:
        """Whether it printed more than anybody wants to throw away."""
        return self._flooded.done()

    async def finished(self) -> None:
        """Wait until it has exited or flooded us, whatever it left running."""
        await asyncio.wait([self._exited, self._flooded], return_when=asyncio.FIRST_COMPLETED)
        for each in self._outputs:
            each.drain()

    async def end(self, threads: StartingThreads) -> None:
        """End it and all that it started, within three times `GRACE`, politely first where it is still running.

        Cancelled, it goes on without being polite. A process that the kernel cannot kill now is reaped when it can.
        """
        family: Sequence[psutil.Process] = ()
        try:
            if not self._exited.done():
                with suppress(psutil.Error, TimeoutError):
                    async with asyncio.timeout(GRACE / 2):
                        family = await threads.family(psutil.Process(self._process.pid))
                self._signal(signal.SIGTERM)
                await asyncio.wait([self._exited], timeout=GRACE)
        finally:
            self._signal(signal.SIGKILL)
            for each in family:
                with suppress(psutil.Error):
                    each.kill()
            for output in self._outputs:
                output.close()
            try:
                await asyncio.wait([self._exited], timeout=GRACE)
            finally:
                self._reap()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        if self._process.poll() is None:
            self._loop.add_reader(self._descriptor, self._reap)
        else:
            os.close(self._descriptor)


class _Output:
    """One of the two outputs: the first `KEPT` bytes, the rest counted."""

    def __init__(self, stream: IO[bytes], flooded: asyncio.Future[None]) -> None:
        self.kept = bytearray()
        self._read = 0
        self._stream = stream
        self._flooded = flooded
        self._loop = asyncio.get_running_loop()
        os.set_blocking(stream.fileno(), False)
        self._loop.add_reader(stream.fileno(), self._take)

    def drain(self) -> None:
        """Take what is there already."""
        while not self._stream.closed and not self._flooded.done() and self._take():
            pass

    def close(self) -> None:
        """Stop reading: whoever still prints is told by SIGPIPE."""
        if not self._stream.closed:
            self._loop.remove_reader(self._stream.fileno())
            self._stream.close()

    def _take(self) -> bool:
        """Read once; whether there was something to read."""
        try:
            chunk = os.read(self._stream.fileno(), KEPT)
        except BlockingIOError:
            return False
        if not chunk:
            self.close()
            return False
        self._read += len(chunk)
        self.kept += chunk[: KEPT - len(self.kept)]
        if self._read > FLOOD:
            _settle(self._flooded)
        return True


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

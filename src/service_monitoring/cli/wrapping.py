"""Wrapping a job: it runs as if nobody watched, and a monitor hears when it began and how it ended.

Owns the child process, its output and the signals meant for it. Whatever becomes of the reports, the job runs, its
output passes through as it comes, and its exit code is ours.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from types import FrameType
from typing import IO, Final

from service_monitoring.cli.reporting import MOST_BYTES, Target, send
from service_monitoring.errors import MonitoringError

_BLOCK: Final = 64 * 1024
_LOOK_EVERY: Final = 0.2
"""Seconds after which it is asked whether the job has ended although something it left behind holds its output."""
_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FROM_TERMINALS: Final = (signal.SIGINT, signal.SIGQUIT)
"""A terminal sends these to the job itself; they are forwarded where there is none."""

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""The codes of a shell."""


class _Tail:
    """The last bytes of what went through."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: deque[bytes] = deque()
        self._size = 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        while self._size - len(self._parts[0]) >= self._most:
            self._size -= len(self._parts.popleft())

    def content(self) -> bytes:
        return b"".join(self._parts)[-self._most :]


def wrap(command: Sequence[str], to: Target, *, run: str, timeout: float) -> int:
    """Run a command, reporting its beginning and its end; its exit code, or 128 and the signal that ended it."""
    beginning = Thread(target=_report, args=(to, "start", run, b"", timeout, 2), daemon=True)
    with _Signals() as signals:
        try:
            process = subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - that is what it is for
        except OSError as error:
            sentence = f"{command[0]} cannot be run ({error.strerror})"
            _say(sentence)
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            _report(to, str(code), run, sentence.encode(), timeout, 4)
            return code
        signals.process = process
        signals.forward_early()
        beginning.start()
        tail = _Tail(MOST_BYTES)
        _pass_through(process, tail)
        returned = process.wait()
    code = returned if returned >= 0 else 128 - returned
    # The end must not overtake the beginning.
    beginning.join()
    _report(to, str(code), run, tail.content(), timeout, 4)
    return code


class _Signals:
    """Hands signals on to the job, also those that came before it was there."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Signals:
        ours = [*_FORWARDED, *(() if sys.stdin is not None and sys.stdin.isatty() else _FROM_TERMINALS)]
        for number in ours:
            # What the caller ignores (as nohup does) stays ignored, for the job as well.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._forward)
        if sys.stdin is not None and sys.stdin.isatty():
            for number in _FROM_TERMINALS:
                self._before[number] = signal.signal(number, self._leave_alone)
        return self

    def __exit__(self, *ended: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]  # as it was given to us

    def forward_early(self) -> None:
        for number in self._early:
            self._forward(number, None)
        self._early.clear()

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if self.process is None:
            self._early.append(number)
        else:
            self.process.send_signal(number)

    def _leave_alone(self, number: int, frame: FrameType | None) -> None:
        """The job has it from the terminal; how it ends is what we report."""


def _pass_through(process: subprocess.Popen[bytes], tail: _Tail) -> None:
    """Copy output as it comes, until it ends, or the job does: what it left running may keep it open for ever."""
    with _selecting(process) as selector:
        while selector.get_map():
            ready = selector.select(_LOOK_EVERY)
            if not ready and process.poll() is not None:
                return
            for key, _ in ready:
                stream: IO[bytes] = key.data[0]
                part = os.read(key.fd, _BLOCK)
                if not part or not _copied(part, key.data[1]):
                    selector.unregister(stream)
                    # Who writes where nobody reads hears of it, as it would without us.
                    stream.close()
                if part:
                    tail.add(part)


@contextmanager
def _selecting(process: subprocess.Popen[bytes]) -> Iterator[selectors.BaseSelector]:
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, (process.stdout, 1))
        selector.register(process.stderr, selectors.EVENT_READ, (process.stderr, 2))
        try:
            yield selector
        finally:
            process.stdout.close()
            process.stderr.close()


def _copied(part: bytes, descriptor: int) -> bool:
    """Whether somebody still takes it."""
    while part:
        try:
            part = part[os.write(descriptor, part) :]
        except OSError:
            return False
    return True


def _report(to: Target, word: str, run: str, body: bytes, timeout: float, attempts: int) -> None:
    try:
        send(to, word, run=run, body=body, timeout=timeout, attempts=attempts)
    except MonitoringError as error:
        _say(f"not reported: {error}")


def _say(sentence: str) -> None:
    with suppress(OSError):
        os.write(2, f"service-monitoring: {sentence}\n".encode())

"""Rehearses a recording in an interpreter of its own and prints the digest of the ledger: `python -m ... FILE [LEAK]`.

With a second argument the rehearsal runs under seal: reaching a socket, a thread, a process, a clock or dice is a
`Leak`. `none` plants nothing, another name has each decision reach for that. Imports no test library, so that a plain
installation can run it.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import whenever
from msgspec import Struct

from service_monitoring.domain.course import Course, Ruling
from service_monitoring.domain.inputs import Admitted, Stamp
from service_monitoring.rehearsal.driving import replay
from service_monitoring.wire.codec import decode
from service_monitoring.wire.ledger import digest


class Recording(Struct, frozen=True):
    """What came in, and how far the program had come."""

    inputs: tuple[Admitted, ...]
    until: Stamp


class Leak(BaseException):
    """Something was reached that a rehearsal must not reach. No `except Exception` takes it for a failure."""


LEAKS: Final[dict[str, Callable[[], object]]] = {
    "time.time": time.time,
    "time.monotonic_ns": time.monotonic_ns,
    "datetime.now": lambda: dt.datetime.now(dt.UTC),
    "Instant.now": whenever.Instant.now,
    "random": random.random,
    "urandom": lambda: os.urandom(8),
    "socket.__new__": socket.socket,
    "start_new_thread": lambda: threading.Thread(target=int).start(),
    "subprocess.Popen": lambda: subprocess.run(["true"], check=False),
    "os.fork": os.fork,
}
_EVENTS: Final = (
    "_thread.", "ctypes.", "ensurepip.", "ftplib.", "http.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn",
    "os.startfile", "os.system", "pty.", "signal.", "smtplib.", "socket.", "sqlite3.", "subprocess.", "time.",
    "urllib.",
)  # fmt: skip
_READS: Final = frozenset({"now", "now_in_system_tz", "today", "today_in_system_tz", "utcnow"})
_REACHES: Final = frozenset({"start_joinable_thread", "start_new_thread", "urandom"})


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_EVENTS) and _sealed:
        raise Leak(event)


def _called(frame: Any, event: str, called: Any) -> None:
    """Looks at each call of what is written in C: no audit event tells of clocks, nor before 3.12 of threads."""
    if event != "c_call":
        return
    owner = type(called.__self__) if not isinstance(getattr(called, "__self__", None), type) else called.__self__
    rolls = owner.__module__ == "random" or issubclass(owner, random.Random | np.random.Generator)
    if called.__module__ == "time" or called.__name__ in _READS | _REACHES or rolls:
        raise Leak(f"{called.__module__ or owner.__name__}.{called.__name__}")


_sealed: list[str] = []


def seal() -> None:
    """From here on, for as long as this interpreter lives, nothing outside can be reached by Python code."""
    sys.addaudithook(_heard)
    _sealed.append("sealed")
    sys.setprofile(_called)


def unseal() -> None:
    """The rehearsal is over."""
    sys.setprofile(None)
    _sealed.clear()


def plant(leak: Callable[[], object]) -> None:
    """Let each decision reach for something."""
    whole = Course.step

    def step(course: Course, admitted: Admitted) -> Ruling:
        leak()
        return whole(course, admitted)

    setattr(Course, "step", step)  # noqa: B010 - assigned to, a method is a mistake for those who check types


def main(file: str, leak: str = "") -> None:
    """Rehearse; the digest goes to standard output."""
    recording = decode(Recording, Path(file).read_bytes())
    if leak in LEAKS:
        plant(LEAKS[leak])
    if leak:
        seal()
    decisions = [decision for _, decision in replay(recording.inputs, recording.until)]
    unseal()
    print(digest(decisions))


if __name__ == "__main__":
    main(*sys.argv[1:])

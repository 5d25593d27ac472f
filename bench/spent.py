"""What a program costs, with all that it starts and the servers that work for it: wall, CPU, peak memory.

CPU comes from the kernel's own accounts. Memory is looked at a hundred times a second: what is resident of the whole
tree at one instant, pages that processes share counted in each; a single process' own high water mark is never missed.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

_LOOK_EVERY: Final = 0.01
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Spent(NamedTuple):
    """Seconds on the wall, seconds of CPU, bytes of memory at the peak."""

    wall: float
    cpu: float
    peak: int


class _Watch(threading.Thread):
    """Looks at the memory of trees of processes until told that it is over."""

    def __init__(self, *roots: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.over = threading.Event()
        self._roots = roots

    def run(self) -> None:
        while not self.over.wait(_LOOK_EVERY):
            self.peak = max(self.peak, sum(map(_resident, self._roots)))


def _resident(process: int) -> int:
    """Bytes of a process and of all that it started; none of one that has just ended."""
    folder = Path("/proc", str(process))
    try:
        size = int((folder / "statm").read_text().split()[1]) * _PAGE
        started = [each for task in (folder / "task").iterdir() for each in (task / "children").read_text().split()]
    except (OSError, IndexError):
        return 0
    return size + sum(_resident(int(each)) for each in started)


def run(command: Sequence[str], *, servers: Sequence[int] = (), environment: Mapping[str, str] | None = None) -> Spent:
    """Run a program to its end; `servers` are processes whose CPU and memory meanwhile are counted as its own.

    A program that fails is a `CalledProcessError` with what it said.
    """
    busy = [psutil.Process(each) for each in servers]
    before = sum(_cpu(each) for each in busy)
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=None if environment is None else {**os.environ, **environment},
    ) as program:
        watch = _Watch(program.pid, *servers)
        watch.start()
        assert program.stderr is not None
        said = program.stderr.read()
        _, status, used = os.wait4(program.pid, 0)
        wall = time.perf_counter() - began
        program.returncode = os.waitstatus_to_exitcode(status)
    watch.over.set()
    watch.join()
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, list(command), stderr=said.decode(errors="replace"))
    cpu = used.ru_utime + used.ru_stime + sum(_cpu(each) for each in busy) - before
    return Spent(wall, cpu, max(watch.peak, used.ru_maxrss * 1024))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system

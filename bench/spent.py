"""What a program costs, with all that it starts and the servers that work for it: wall, CPU, peak memory.

CPU comes from the kernel's own accounts. Memory is looked at a hundred times a second: what is resident of the whole
tree at one instant, pages that processes share counted in each; a single process' own high water mark is not missed.
The kernel's `ru_maxrss` is no use: before it became the program, a child was as large as its parent.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

_LOOK_EVERY: Final = 0.01


class Spent(NamedTuple):
    """Seconds on the wall, seconds of CPU, bytes of memory at the peak."""

    wall: float
    cpu: float
    peak: int


class _Watch(threading.Thread):
    """Looks at the memory of a program's tree and of servers until told that it is over."""

    def __init__(self, program: int, servers: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.over = threading.Event()
        self._program = program
        self._servers = servers

    def run(self) -> None:
        while not self.over.wait(_LOOK_EVERY):
            mine = [_memory(each) for each in _tree(self._program)]
            beside = sum(_memory(each)[0] for each in self._servers)
            together = sum(now for now, _ in mine)
            self.peak = max(self.peak, beside + max([together, *(highest for _, highest in mine)]))


def _tree(process: int) -> Iterator[int]:
    """A process and all that it started."""
    yield process
    try:
        tasks = list(Path("/proc", str(process), "task").iterdir())
        started = [each for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return  # it has just ended
    for each in started:
        yield from _tree(int(each))


def _memory(process: int) -> tuple[int, int]:
    """Bytes that are resident now, and at most so far; none of a process that has just ended."""
    try:
        lines = Path("/proc", str(process), "status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS:", "VmHWM:")))
    now, highest = (int(sizes.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest


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
        watch = _Watch(program.pid, servers)
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
    return Spent(wall, cpu, watch.peak)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system

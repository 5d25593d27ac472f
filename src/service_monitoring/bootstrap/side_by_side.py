"""Rehearsals side by side: each in a process of its own, which is told what to do and ends with this one.

Knows processes and how they are begun, heard and ended in order. Does not know what a rehearsal does (`rehearsing`).
The libraries of processes take a while to be imported, and one rehearsal alone needs none of them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any, Final

from service_monitoring.bootstrap.rehearsing import Done, Heard, Task, ended, run
from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Unavailable

_INTERRUPT: Final = frozenset({signal.SIGINT})

_LOOKS: Final = 0.2
"""Seconds between two looks at what processes say."""

_said: list[Queue[tuple[int, int, int]]] = []
"""Of a process that rehearses: where it says how far it has come."""


def _begin(said: Queue[tuple[int, int, int]]) -> None:
    """A process that rehearses has nothing to put in order: it ends at once when it is told to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
    _said.append(said)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Killed, the parent puts nothing in order, and nobody takes what is made here any more."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_there(task: Task) -> Done:
    return run(task, lambda number, at, samples: _said[-1].put((number, at.ns, samples)))


def in_processes(tasks: Sequence[Task], workers: int, heard: Heard) -> list[Any]:
    """What each task made, in their order, in at most `workers` processes. `Unavailable` where one died. Blocks."""
    # Forked, a process would have the parent's threads and locks half-way; spawned, it begins with nothing.
    context = get_context("spawn")
    said: Queue[tuple[int, int, int]] = context.Queue()
    before = set(active_children())
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(said,))
    try:
        with _uninterrupted():
            waiting = {pool.submit(_run_there, task): task for task in tasks}
        found = _gathered(waiting, said, heard)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise Unavailable(
            "a process that rehearsed died, perhaps for want of memory: rehearse a shorter range, or with fewer --jobs"
        ) from error
    finally:
        # Nothing is left to do where all went well; otherwise nobody waits for what is being done.
        pool.shutdown(wait=False, cancel_futures=True)
        children = set(active_children()) - before
        for child in children:
            child.terminate()
        for child in children:
            child.join()
        said.close()
        said.cancel_join_thread()
    return found


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """An interrupt waits, here and in the processes that begin meanwhile: half begun, they would complain of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _gathered(waiting: Mapping[Future[Done], Task], said: Queue[tuple[int, int, int]], heard: Heard) -> list[Any]:
    """All results; the first failure ends the others."""
    left = set(waiting)
    while left:
        complete, left = wait(left, _LOOKS, FIRST_COMPLETED)
        running = {waiting[each].number for each in (*complete, *left)}
        with suppress(Empty):
            while True:
                number, at, samples = said.get_nowait()
                if number in running:
                    heard(number, Instant(at), samples)
        for each in complete:
            ended(waiting[each], each.result(), heard)
    return [each.result().made for each in waiting]

"""Jobs: one process at a time, and nothing left of any."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.jobs import INTERRUPTED, Jobs, OneAtATime, Work


class Heard:
    """What was heard of jobs."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.lines: list[str] = []
        self.over: dict[str, tuple[int | None, str]] = {}
        self.changed = asyncio.Event()

    def began(self, key: str) -> None:
        self.begun.append(key)

    def said(self, key: str, line: bytes) -> None:
        self.lines.append(line.decode().strip())
        self.changed.set()

    async def ended(self, key: str, code: int | None, complaint: str) -> None:
        self.over[key] = (code, complaint)
        self.changed.set()

    async def until(self, count: int, of: str = "over") -> None:
        while len(getattr(self, of)) < count:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def running(heard: Heard) -> AsyncIterator[Jobs]:
    jobs = Jobs(SystemClock(), heard, most=2, environment={"PATH": os.defpath})
    task = asyncio.create_task(jobs.run(lambda: None))
    yield jobs
    await jobs.stop()
    await task


def work(key: str, folder: Path, script: str) -> Work:
    return Work(key, ("/bin/sh", "-c", script), folder)


async def test_they_run_in_their_order_and_their_lines_and_codes_are_heard(tmp_path: Path) -> None:
    heard = Heard()
    async with running(heard) as jobs:
        jobs.submit(work("a", tmp_path, "echo one; echo two"))
        jobs.submit(work("b", tmp_path, "echo sorry >&2; exit 3"))
        await heard.until(2)
    assert heard.begun == ["a", "b"] and heard.lines == ["one", "two"]
    assert heard.over == {"a": (0, ""), "b": (3, "sorry\n")}


async def test_what_a_job_started_ends_with_it(tmp_path: Path) -> None:
    heard = Heard()
    async with running(heard) as jobs:
        jobs.submit(work("a", tmp_path, "sleep 600 & echo $!; wait"))
        await heard.until(1, of="lines")
        child = psutil.Process(int(heard.lines[0]))
        await jobs.cancel("a")
        assert heard.over == {"a": (None, "")}
        with suppress(psutil.NoSuchProcess):
            child.wait(5)  # init reaps it
    assert not child.is_running()


async def test_a_command_that_is_not_there_is_a_failure_and_the_next_one_runs(tmp_path: Path) -> None:
    heard = Heard()
    async with running(heard) as jobs:
        jobs.submit(Work("a", (str(tmp_path / "nothing"),), tmp_path))
        jobs.submit(work("b", tmp_path, "true"))
        await heard.until(2)
    assert heard.over["a"][0] == 1 and "could not be started (No such file" in heard.over["a"][1]
    assert heard.over["b"] == (0, "")


async def test_cancelling_the_loop_ends_the_process_and_the_loop_may_run_again(tmp_path: Path) -> None:
    heard = Heard()
    jobs = Jobs(SystemClock(), heard, most=2, environment={"PATH": os.defpath})
    task = asyncio.create_task(jobs.run(lambda: None))
    jobs.submit(work("a", tmp_path, "echo $$; sleep 600"))
    await heard.until(1, of="lines")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert heard.over == {"a": (None, INTERRUPTED)} and not psutil.pid_exists(int(heard.lines[0]))
    task = asyncio.create_task(jobs.run(lambda: None))
    jobs.submit(work("b", tmp_path, "true"))
    await heard.until(2)
    await jobs.stop()
    await task
    assert heard.over["b"] == (0, "")


async def test_calls_that_block_are_done_one_after_the_other() -> None:
    one, now, most = OneAtATime(), 0, 0

    def call(number: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        os.sched_yield()
        now -= 1
        return number

    assert await asyncio.gather(*(one.do(call, number) for number in range(20))) == list(range(20))
    assert most == 1


@pytest.mark.parametrize("given", ["a", "nobody"])
async def test_cancelling_what_is_not_there_changes_nothing(given: str) -> None:
    jobs = Jobs(SystemClock(), Heard(), most=2, environment={})
    await jobs.cancel(given)
    assert jobs.place(given) == 0

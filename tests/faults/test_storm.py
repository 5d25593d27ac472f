"""A storm (row 53): 5,000 checks fail within ten seconds; it is told in digests, and none of it is lost.

The program is the real one, its targets are a port on which nobody listens. What it stored is read from its own files
while it runs, what it told from what the sink wrote down.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.notices import Notice
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.folder import FACTS
from service_monitoring.storage.sqlite import SqliteStore
from tests.faults.reckoning import reckon
from tests.faults.world import World, a_world, kill, stop, wait_for

CHECKS, TEAMS = 10, 5


class Size(NamedTuple):
    """How many services there are, in how many seconds their checks fail, and how long a group waits."""

    services: int
    within: int
    wait: int
    interval: int

    @property
    def incidents(self) -> int:
        return self.services * CHECKS


SMALL = Size(services=50, within=3, wait=1, interval=4)
WHOLE = Size(services=500, within=10, wait=5, interval=30)

HEAD = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
channels: {hook: {webhook: $sink}}
routes: [{notify: [channel.hook], group_by: [team], group_wait: $wait, group_interval: $interval}]
self: {notify: [channel.hook]}
services:
"""

drilled = pytest.mark.parametrize(
    "size",
    [
        pytest.param(SMALL, id="500 checks"),
        pytest.param(WHOLE, id="5,000 checks", marks=[pytest.mark.drill, pytest.mark.timeout(400)]),
    ],
)


def the_file(size: Size, port: int) -> str:
    """Services of five teams, ten checks and ten rules each."""
    lines = [HEAD.replace("$wait", f"{size.wait}s").replace("$interval", f"{size.interval}s")]
    for number in range(size.services):
        lines += [f"  service{number}:", f"    labels: {{team: team{number % TEAMS}}}", "    checks:"]
        lines += [
            f"      c{check}: {{tcp: '127.0.0.1:{port}', every: {size.within}s, timeout: 1s}}"
            for check in range(CHECKS)
        ]
        lines += ["    rules:"]
        lines += [f"      r{check}: {{when: {{check: c{check}, metric: up, below: 1}}}}" for check in range(CHECKS)]
    return "\n".join(lines)


@contextmanager
def nobody_listens() -> Iterator[int]:
    """A port that stays taken and refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        yield world


class Watched:
    """What the files of a running program say: how many incidents there are, and when the last of them failed."""

    def __init__(self, world: World) -> None:
        self._path = world.data / FACTS

    def incidents(self) -> int:
        return int(self._ask("SELECT count(*) FROM incidents WHERE opened_at IS NOT NULL"))

    def are_at_least(self, many: int) -> bool:
        return self.incidents() >= many

    def first(self) -> float:
        return self._ask("SELECT min(breached_at) FROM incidents") / 1e9

    def last(self) -> float:
        return self._ask("SELECT max(breached_at) FROM incidents") / 1e9

    def _ask(self, question: str) -> int:
        if not self._path.exists():
            return 0
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as facts:
            try:
                (answer,) = facts.execute(question).fetchone()
            except sqlite3.OperationalError:
                return 0  # the program has not made its tables yet
        return int(answer or 0)


def everything_is_told(world: World, size: Size) -> bool:
    """Each digest says how many incidents of its group are open: the newest of all groups together name every one."""
    newest: dict[str, int] = {}
    for message in world.accepted:
        team = message.body["group"].get("team", "")
        newest[team] = max(newest.get(team, 0), message.body["open"])
    return sum(newest.values()) == size.incidents


def started(world: World, size: Size, port: int) -> tuple[Path, subprocess.Popen[bytes]]:
    config = world.configure(the_file(size, port))
    return config, world.start(config)


def decided(world: World) -> tuple[set[str], list[Notice]]:
    """The ids of all incidents that opened, and the notices that are owed, of the program that has ended."""

    async def read() -> tuple[set[str], list[Notice]]:
        async with await SqliteStore.open(world.data, SystemClock()) as store:
            decisions = [decision async for decision in store.decisions()]
        moves = [each.incident for each in decisions if isinstance(each, IncidentMoved)]
        notices = [each for each in decisions if isinstance(each, Notice) and each.held is None]
        return {move.id for move in moves if move.state is State.OPEN}, notices

    return asyncio.run(read())


def digests_by_group(notices: list[Notice]) -> dict[str, list[Notice]]:
    found: dict[str, list[Notice]] = defaultdict(list)
    for notice in notices:
        found[notice.group].append(notice)
    return found


@drilled
def test_checks_that_fail_together_are_stored_at_once_and_told_in_one_digest_a_group_and_interval(
    world: World, size: Size
) -> None:
    with nobody_listens() as port:
        _, process = started(world, size, port)
        watched = Watched(world)
        try:
            wait_for(lambda: bool(world.accepted), "the first page")
            paged = time.time()
            wait_for(lambda: watched.incidents() == size.incidents, "every incident in the store")
            stored = time.time()
            wait_for(lambda: everything_is_told(world, size), "digests about every incident", 90)
            assert not world.trouble()
        finally:
            assert stop(process) == 0
    first, last = watched.first(), watched.last()
    opened, notices = decided(world)
    print(
        f"row 53: {size.incidents} checks failed within {last - first:.1f} s, "
        f"all stored {stored - last:.1f} s after the last (bar 10), "
        f"first page {paged - first:.1f} s after the first (bar 30), {len(notices)} digests"
    )
    assert len(opened) == size.incidents
    assert last - first < size.within + 3
    assert stored - last < 10
    assert paged - first < 30
    groups = digests_by_group(notices)
    assert len(groups) == TEAMS
    for digests in groups.values():
        apart = [later.decided_at.since(earlier.decided_at) / 1e9 for earlier, later in pairwise(digests)]
        assert all(seconds >= size.interval for seconds in apart), "one digest a group and interval"
        told = [id for digest in digests for id in digest.news]
        assert len(told) == len(set(told)), "nobody hears of an incident twice"
    assert {id for notice in notices for id in notice.news} == opened
    print(f"row 53: {reckon(world, repeats=0)}")


@drilled
def test_a_program_killed_in_a_storm_opens_every_incident_once_and_loses_no_digest(world: World, size: Size) -> None:
    with nobody_listens() as port:
        config, process = started(world, size, port)
        watched = Watched(world)
        try:
            for many in (size.incidents // 5, size.incidents * 3 // 5):
                wait_for(partial(watched.are_at_least, many), f"{many} incidents")
                kill(process)
                process = world.start(config)
            wait_for(lambda: bool(world.received), "a digest")
            kill(process)
            process = world.start(config)
            wait_for(world.answers, "a program that can be ended in order")
            wait_for(lambda: everything_is_told(world, size), "digests about every incident", 180)
        finally:
            assert stop(process) == 0
    opened, notices = decided(world)
    assert len(opened) == size.incidents
    assert {id for notice in notices for id in notice.news} == opened
    for digests in digests_by_group(notices).values():
        told = [id for digest in digests for id in digest.news]
        assert len(told) == len(set(told)), "nobody hears of an incident twice"
    print(f"row 53, killed three times: {reckon(world, repeats=3 * TEAMS)}")

"""A storm: 5,000 incidents open within ten seconds, through the course into the embedded store, until all are told.

    python -m bench.storm [--incidents 5000] [--profile]

Ten checks of each of 500 services fail, spread over ten simulated seconds and judged in batches as the inbox gives
them; routes group by team, five of them or one for all. Everything is decided and committed with `synchronous=FULL`
as fast as it goes; nobody is sent to. Anchor of the same run: a row for each incident, as long as ours is in its own
table, put into a bare SQLite file in as many synced transactions. Bytes are those that the kernel was given to write.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sqlite3
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Check, Configuration, Route, Service, Step
from service_monitoring.domain.inputs import Admitted, Configured, Input, Marked, MarkKind, Observed, Stamp
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.domain.strategies import Comparison, Operator, Threshold
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.files import connect, prepare_writer
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.builders import START

CHECKS: Final = 10
TEAMS: Final = 5
BATCHES: Final = 20
OVER: Final = Duration(10 * SECOND)
WAIT: Final = Duration(5 * SECOND)
RUNS: Final = 3
BAR: Final = 10.0
"""Seconds within which every incident must be stored."""


class Storm(Struct, frozen=True):
    """What one run took, in seconds: until all incidents were stored, and for the flush of all groups."""

    stored: float
    digests: float
    cpu: float
    written: int
    told: int
    notices: int


def the_configuration(incidents: int, teams: int) -> Configuration:
    """So many checks with a rule each, grouped by as many teams."""
    limit = Threshold(Comparison(Operator.BELOW, 1.0))
    services = []
    for number in range(incidents // CHECKS):
        name = f"service{number}"
        checks = tuple(
            Check(name, f"check{check}", "http", Duration(30 * SECOND), SECOND, Duration(90 * SECOND))
            for check in range(CHECKS)
        )
        rules = tuple(Rule(name, f"down{check.name}", check.name, "up", limit) for check in checks)
        services.append(Service(name, (("team", f"team{number % teams}"),), checks=checks, rules=rules))
    steps = (Step(("channel.ops",)),)
    route = Route("routes[0]", group_by=("team",), wait=WAIT, interval=Duration(30 * SECOND), steps=steps)
    return Configuration(tuple(services), (route,))


def a_round(configuration: Configuration, since: Instant, observation: Observation) -> list[Admitted]:
    """A run of every check within ten seconds, all ending alike."""
    checks = [check for service in configuration.services for check in service.checks]
    # Neighbours in the file fail far apart, as phases spread them.
    checks = [check for place in range(CHECKS) for check in checks[place::CHECKS]]
    batch = []
    for number, check in enumerate(checks):
        at = since.plus(Duration(number * OVER // len(checks)))
        batch.append(Admitted(Stamp(0, at), Observed(check.service, check.name, observation, at)))
    return batch


async def run(incidents: int, teams: int, profile: cProfile.Profile | None) -> Storm:
    """One storm into a folder of its own, on the disk of this checkout."""
    configuration = the_configuration(incidents, teams)
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".storm-") as folder:
        async with await SqliteStore.open(Path(folder), SystemClock()) as store:
            monitor = await Monitor.resume(store)
            await step(monitor, START, Configured(configuration))
            for part in parts(a_round(configuration, START.plus(SECOND), Observation(Outcome.OK))):
                await keep(monitor, part)
            began = START.plus(MINUTE)
            storm = parts(a_round(configuration, began, Observation(Outcome.FAILED, Reason.CONNECT)))
            written, cpu, since = bytes_written(), time.process_time(), time.perf_counter()
            if profile is not None:
                profile.enable()
            notices: list[Notice] = []
            for part in storm:
                notices += await keep(monitor, part)
            stored = time.perf_counter()
            # Whoever fell into the first flush is told then, the others an interval later.
            for seconds in (20, 60):
                notices += await step(monitor, began.plus(Duration(seconds * SECOND)), Marked(MarkKind.ALIVE))
            ended = time.perf_counter()
            if profile is not None:
                profile.disable()
            used = time.process_time() - cpu
            kept = len(await store.incidents(limit=2 * incidents))
            assert kept == incidents, f"{kept} of {incidents} incidents are stored"
    told = {id for notice in notices for id in notice.news}
    return Storm(stored - since, ended - stored, used, bytes_written() - written, len(told), len(notices))


async def step(monitor: Monitor, at: Instant, what: Input) -> list[Notice]:
    """One input, decided and kept; what is owed since."""
    return await keep(monitor, [Admitted(Stamp(0, at), what)])


async def keep(monitor: Monitor, batch: list[Admitted]) -> list[Notice]:
    """Decide and keep a batch; what is owed since."""
    judged = monitor.judge(batch)
    await monitor.keep(judged)
    return list(judged.owed)


def parts(batch: list[Admitted]) -> list[list[Admitted]]:
    """As the inbox gives them: what came while the part before was kept."""
    size = max(1, len(batch) // BATCHES)
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def bytes_written() -> int:
    """What this process gave the kernel to write so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar:")).partition(":")[2])


def bare_rows(incidents: int) -> tuple[float, int]:
    """Seconds and bytes for as many rows of five columns in as many transactions, without anything else."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".storm-") as folder:
        connection = connect(Path(folder) / "anchor.db")
        prepare_writer(connection, synchronous="FULL")
        connection.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, service TEXT, rule TEXT, state TEXT, body BLOB)")
        rows = [
            (f"{number:032x}", "service", "rule", "open", sqlite3.Binary(b"x" * 500)) for number in range(incidents)
        ]
        written, since = bytes_written(), time.perf_counter()
        size = incidents // BATCHES
        for start in range(0, incidents, size):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", rows[start : start + size])
            connection.execute("COMMIT")
        took = time.perf_counter() - since
        written = bytes_written() - written
        connection.close()
    return took, written


def main() -> None:
    """Run it, print medians with their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=5_000)
    parser.add_argument("--profile", action="store_true", help="where the time of one storm goes, by function")
    arguments = parser.parse_args()
    incidents = arguments.incidents
    if arguments.profile:
        profile = cProfile.Profile()
        asyncio.run(run(incidents, TEAMS, profile))
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)
        return
    bare = [bare_rows(incidents) for _ in range(RUNS)]
    anchor, anchor_bytes = median(took for took, _ in bare), bare[0][1]
    print(f"{incidents:,} incidents in {BATCHES} commits; bare rows {incidents / anchor:,.0f}/s")
    print(f"{'':14}{'incidents/s':>12}{'stored s':>10}{'digests s':>11}{'CPU ms each':>13}{'KiB each':>10}", end="")
    print(f"{'notices':>9}{'x bare time':>13}{'x bare bytes':>14}")
    slowest = 0.0
    for teams in (TEAMS, 1):
        storms = [asyncio.run(run(incidents, teams, None)) for _ in range(RUNS)]
        assert all(storm.told == incidents for storm in storms), "an incident is in no digest"
        stored, digests = median(each.stored for each in storms), median(each.digests for each in storms)
        cpu, written = median(each.cpu for each in storms), storms[0].written
        slowest = max(slowest, stored)
        print(
            f"{f'{teams} group(s)':14}{incidents / stored:12,.0f}{stored:10.2f}{digests:11.2f}"
            f"{cpu / incidents * 1000:13.3f}{written / incidents / 1024:10.1f}{storms[0].notices:9}"
            f"{stored / anchor:13.1f}{written / anchor_bytes:14.1f}"
        )
    print(f"bar {BAR:.0f} s until all are stored: {'held' if slowest < BAR else 'MISSED'}")


if __name__ == "__main__":
    main()

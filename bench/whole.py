"""The whole path on one core: due, probe with phases, expectation, samples, three rules each, commit.

    python -m bench.whole [--seconds 6]

A real program (poller, http source, cycle, embedded store with `synchronous=FULL`) in this process on core 0; the
target on core 1. Checks are due once a second each; their number is raised until the program no longer keeps up. The
anchor is what blackbox_exporter does flat out on the same core, before and after, where it is installed: a probe alone,
without rules and without a commit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path

from bench.poller import blackbox_flat_out, blackbox_program
from bench.target import Target, serving
from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.inputs import Configured
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.strategies import Aggregate, Comparison, Function, LastOf, Operator, Threshold
from service_monitoring.ports import Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.poll import Poller
from service_monitoring.settings.network import AddressPolicy
from service_monitoring.sources.http import Kind
from service_monitoring.storage.sqlite import SqliteStore


def the_configuration(checks: int) -> Configuration:
    """So many services with a check and three rules each: a threshold with `for`, the last three, an average."""
    slow = Comparison(Operator.ABOVE, 5.0)
    return Configuration(
        tuple(
            Service(
                f"s{number}",
                checks=(
                    Check(
                        f"s{number}", "page", "http", SECOND, Duration(SECOND), Duration(3 * SECOND)
                    ),
                ),
                rules=(
                    Rule(f"s{number}", "down", "page", "up", Threshold(Comparison(Operator.BELOW, 1.0)),
                         holds_for=Duration(5 * SECOND)),
                    Rule(f"s{number}", "often", "page", "duration_seconds", LastOf(3, 3, slow)),
                    Rule(f"s{number}", "mean", "page", "duration_seconds",
                         Aggregate(slow, function=Function.AVG, over=Duration(60 * SECOND))),
                ),
            )
            for number in range(checks)
        )
    )  # fmt: skip


async def run(target: Target, checks: int, seconds: float) -> tuple[float, float, float]:
    """Checks done a second, CPU milliseconds a check, and the share of slots that were not kept."""
    clock = SystemClock()
    configuration = the_configuration(checks)
    every = [check for service in configuration.services for check in service.checks]
    kind = Kind()
    options = kind.options.model_validate({"http": target.urls()[0], "expect": {"status": 200}})
    world = Surroundings(clock=clock, network=AddressPolicy.allowing(["127.0.0.0/8"]))
    with tempfile.TemporaryDirectory() as folder:
        async with await SqliteStore.open(Path(folder), clock) as store:
            cycle = Cycle(
                await Monitor.resume(store), clock, capacity=20_000, owed=lambda owed: None, troubled=lambda why: None
            )
            await cycle.start(Configured(configuration))
            sources = {check.id: kind.open_source(options, surroundings=world) for check in every}
            poller = Poller(every, sources, clock, cycle.submit, capacity=4000)
            tasks = [asyncio.create_task(poller.run()), asyncio.create_task(cycle.run(lambda: None))]
            await asyncio.sleep(2)  # the first round settles
            before, began, used = poller.statistics(), time.monotonic(), _cpu()
            await asyncio.sleep(seconds)
            after, lasted, cpu = poller.statistics(), time.monotonic() - began, _cpu() - used
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await kind.close()
    done = after.done - before.done
    missed = after.skipped + after.shed - before.skipped - before.shed
    return done / lasted, 1000 * cpu / max(done, 1), missed / max(done + missed, 1)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Raise the load step by step, then print what was kept up with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {0})
    print(f"{'checks due/s':>14} {'done/s':>9} {'CPU ms/check':>14} {'not kept':>9}")
    most = 0.0
    program = blackbox_program()
    with serving(core=1) as target:
        anchors = [blackbox_flat_out(program, target, 3).probes] if program else []
        for checks in (1000, 2000, 3000, 4000, 6000):
            rate, cpu, missed = asyncio.run(run(target, checks, arguments.seconds))
            print(f"{checks:>14} {rate:>9.0f} {cpu:>14.3f} {missed:>9.1%}", flush=True)
            most = max(most, rate)
            if missed > 0.2:
                break
        anchors += [blackbox_flat_out(program, target, 3).probes] if program else []
    if anchors:
        anchor = sum(anchors) / len(anchors)
        print(f"blackbox_exporter's probes alone: {anchor:,.0f}/s; ours, whole: {most / anchor:.2f} times that")
    else:
        print("blackbox_exporter: skipped (apt-get install prometheus-blackbox-exporter wrk)")
    print("must 1.3 times that (3,000/s on the reference machine), should 2.6 times")


if __name__ == "__main__":
    main()

"""A crowd: 10,000 services with 20,000 checks and 500 open incidents, made by the program's own parts.

    python -m bench.crowd FOLDER [--services 10000] [--incidents 500] [--target http://127.0.0.1:9]

Writes FOLDER/monitoring.yaml, and FOLDER/data as a program leaves it that decided two runs of every check up to now: of
the services that fail, some are down (critical) and some slow (warning), and somebody took on a tenth of the incidents.
Others use `crowd`, or `write_crowd` and `fill` one after the other; `fails` tells a target which ones fail.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Final

from service_monitoring import bootstrap
from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Configuration, Service
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Act, Acted, Admitted, Configured, Marked, MarkKind, Observed, Stamp
from service_monitoring.domain.instants import DAY, MILLISECOND, MINUTE, Duration, Instant
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.sqlite import SqliteStore

_HEAD: Final = """\
network: {{allow: [127.0.0.0/8]}}
store: {{path: ./data}}
defaults:
  http: {{every: 1m, timeout: 10s}}
channels:
  here: {{console: true}}
self: {{notify: [channel.here]}}
routes:
  - notify: [channel.here]
    group_by: [team]
services:
"""

_SERVICE: Final = """\
  service-{number:05}:
    description: "Takes orders of region {region} for team {team}"
    labels: {{team: team-{team}, tier: "{tier}", region: region-{region}}}
    checks:
      page: {{http: "{target}/{number}", expect: {{status: 200}}}}
      health: {{http: "{target}/{number}/health"}}
    rules:
      down:
        when: {{check: health, metric: up, below: 1}}
        severity: critical
        summary: "{{{{ service }}}} is down: {{{{ reason }}}}"
      slow:
        when: {{check: page, metric: duration_seconds, above: 500ms}}
        severity: warning
        summary: "{{{{ service }}}} answers slowly"
"""


def write_crowd(file: Path, services: int = 10_000, *, target: str = "http://127.0.0.1:9", more: str = "") -> None:
    """A configuration of so many services, with two checks and two rules each; `more` is what else it says."""
    text = [_HEAD.format()]
    text += [
        _SERVICE.format(number=number, team=number % 40, tier=number % 3, region=number % 7, target=target)
        for number in range(services)
    ]
    file.write_text("".join([*text, more]))


def _observation(check: str, place: int, *, failing: bool) -> Observation:
    if failing and check == "health":
        return Observation(Outcome.FAILED, Reason.CONNECT, "nobody listens on 127.0.0.1:9")
    lasted = (0.020 + place % 97 / 4000) * (30 if failing else 1)
    measured = (Measurement("duration_seconds", lasted), Measurement("status_code", 200.0))
    return Observation(Outcome.OK, measurements=measured)


def fails(number: int, services: int, incidents: int) -> str:
    """The check of a service that fails, if any: spread over all services, every other one slow and not down."""
    place, between = divmod(number, max(1, services // max(1, incidents)))
    return "" if between or place >= incidents else ("health", "page")[place % 2]


def _failing(configuration: Configuration, incidents: int) -> set[str]:
    services = configuration.services
    found = {each.name: fails(number, len(services), incidents) for number, each in enumerate(services)}
    return {f"{name}.{check}" for name, check in found.items() if check}


async def _remember(monitor: Monitor, service: Service, since: Instant, until: Instant) -> None:
    """Decide and keep a run a minute of each check of one service: what charts and days show."""
    batch: list[Admitted] = []
    for place, at in enumerate(range(since.ns, until.ns, MINUTE)):
        stamp = Stamp(0, Instant(at))
        failing = place % 3_000 < 40
        for check in service.checks:
            observation = _observation(check.name, place, failing=failing)
            batch.append(Admitted(stamp, Observed(service.name, check.name, observation, stamp.at)))
        batch.append(Admitted(stamp, Marked(MarkKind.ALIVE)))
        if len(batch) >= 3_000:
            await monitor.keep(monitor.judge(batch))
            batch = []
    if batch:
        await monitor.keep(monitor.judge(batch))


async def fill(folder: Path, configuration: Configuration, *, incidents: int = 500, days: int = 0) -> None:
    """Decide and keep two runs of every check, up to now, of which so many open an incident.

    Before that, the first service was watched for so many days, and failed now and then.
    """
    clock = SystemClock()
    checks = [check for service in configuration.services for check in service.checks]
    began = clock.now().ns - MINUTE
    async with await SqliteStore.open(folder, clock) as store:
        monitor = await Monitor.resume(store, expected=configuration)
        first = Instant(began - days * DAY - 1)
        await monitor.keep(monitor.judge([Admitted(Stamp(0, first), Configured(configuration))]))
        await _remember(monitor, configuration.services[0], first.plus(Duration(1)), Instant(began))
        between = MINUTE // 2 // len(checks)
        failing = _failing(configuration, incidents)
        for run in range(2):
            for start in range(0, len(checks), 2_000):
                batch = []
                for place, check in enumerate(checks[start : start + 2_000], start):
                    at = Instant(began + run * MINUTE // 2 + place * between)
                    observation = _observation(check.name, place, failing=run == 1 and check.id in failing)
                    batch.append(Admitted(Stamp(0, at), Observed(check.service, check.name, observation, at)))
                batch.append(Admitted(batch[-1].stamp, Marked(MarkKind.ALIVE)))
                await monitor.keep(monitor.judge(batch))
        at = Instant(began + MINUTE)
        open_now = [each for each in monitor.course.incidents() if each.state is State.OPEN]
        acts = [
            Admitted(Stamp(0, at.plus(Duration(n * MILLISECOND))), Acted(each.id, Act.ACKNOWLEDGE, "alice"))
            for n, each in enumerate(open_now[::10])
        ]
        await monitor.keep(monitor.judge([*acts, Admitted(Stamp(0, clock.now()), Marked(MarkKind.STOPPED))]))


async def crowd(folder: Path, *, services: int = 10_000, incidents: int = 500) -> Configuration:
    """Both of them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_crowd(folder / "monitoring.yaml", services)
    configuration = bootstrap.load(folder / "monitoring.yaml").configuration
    await fill(folder / "data", configuration, incidents=incidents)
    return configuration


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--incidents", type=int, default=500)
    given = parser.parse_args()
    began = time.monotonic()
    asyncio.run(crowd(given.folder, services=given.services, incidents=given.incidents))
    print(f"{given.services:,} services made in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()

"""From the start of the process to its first check: 10,000 services, 20,000 checks, 30 minutes of history.

    python -m bench.start [--services 10000] [--minutes 30] [--rounds 3] [--folder KEPT]

A configuration is written, and its history is decided and kept by the program's own parts, a run a minute and check,
until now. Then the real program starts on a copy of it, as after a crash: no orderly end, so a gap and a restart. The
first check is seen from outside, as the first connection that the target accepts, which is a thread of this process.
`--folder` keeps what was made for another run: windows reach back from where history ends, so it may be old.

Anchors of the same run: an interpreter that imports asyncio and ends, and PyYAML's C parser composing the same file to
bare nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from service_monitoring import bootstrap
from service_monitoring.application import Monitor
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Admitted, Configured, Marked, MarkKind, Observed, Stamp
from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.domain.samples import Attempt, Measurement, Observation, Outcome
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.sqlite import SqliteStore

PROGRAM: Final = (sys.executable, "-m", "service_monitoring")
PATIENCE: Final = 120.0

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
services:
"""

_SERVICE: Final = """\
  service-{number}:
    labels: {{team: team-{team}, tier: "{tier}"}}
    checks:
      page: {{http: "http://127.0.0.1:{port}/{number}", expect: {{status: 200}}}}
      health: {{http: "http://127.0.0.1:{port}/{number}/health", retries: 1, timeout: 5s}}
    rules:
      down:
        when: {{check: health, metric: up, below: 1}}
        for: 2m
        severity: critical
        summary: "{{{{ service }}}} is down: {{{{ reason }}}}"
      failing:
        when: {{check: page, metric: up, last: 3, need: all, below: 1}}
      slow:
        when: {{check: page, metric: duration_seconds, aggregate: avg, over: 5m, above: 500ms}}
        for: 5m
        recover: {{below: 300ms}}
"""


def write_configuration(file: Path, services: int, port: int) -> None:
    """A file as people generate them: two checks and three rules a service, some keys shared, most written out."""
    text = [_HEAD.format()]
    text += [_SERVICE.format(number=number, team=number % 40, tier=number % 3, port=port) for number in range(services)]
    file.write_text("".join(text))


def _observation(number: int, minute: int) -> Observation:
    """What a check of a service that is well says: five phases and the answer's size, never twice the same."""
    lasted = 0.020 + (number * 7 + minute * 13) % 97 / 4000
    return Observation(
        Outcome.OK,
        measurements=(
            Measurement("dns_seconds", 0.0001),
            Measurement("connect_seconds", lasted / 10),
            Measurement("first_byte_seconds", lasted * 0.7),
            Measurement("duration_seconds", lasted),
            Measurement("status_code", 200.0),
            Measurement("body_bytes", 70.0 + number % 9),
        ),
        attempts=(Attempt(Outcome.OK, None, "", Duration(int(lasted * 1e9))),),
    )


async def make_history(folder: Path, configuration: Configuration, minutes: int) -> int:
    """Decide and keep a run a minute of every check, up to now, second by second; the number of runs."""
    clock = SystemClock()
    checks = [check for service in configuration.services for check in service.checks]
    began = clock.now().ns - minutes * MINUTE
    async with await SqliteStore.open(folder, clock) as store:
        monitor = await Monitor.resume(store)
        first = Admitted(Stamp(0, Instant(began - 1)), Configured(configuration))
        await monitor.keep(monitor.judge([first]))
        between = MINUTE // len(checks)
        for minute in range(minutes):
            for start in range(0, len(checks), 1000):
                batch = []
                for place, check in enumerate(checks[start : start + 1000], start):
                    at = Instant(began + minute * MINUTE + place * between)
                    what = Observed(check.service, check.name, _observation(place, minute), at.plus(Duration(-20)))
                    batch.append(Admitted(Stamp(0, at), what))
                # The sign of life that says how far everything is decided.
                batch.append(Admitted(batch[-1].stamp, Marked(MarkKind.ALIVE)))
                await monitor.keep(monitor.judge(batch))
    return minutes * len(checks)


@dataclass(slots=True)
class Seen:
    """What the target saw: the monotonic seconds of its first connection, once there was one."""

    port: int
    arrived: threading.Event = field(default_factory=threading.Event)
    first: float = 0.0


@contextmanager
def target(port: int) -> Iterator[Seen]:
    """Accepts connections in a thread and closes them at once: only that they come is of interest."""
    with socket.create_server(("127.0.0.1", port), backlog=1024) as server:
        server.settimeout(0.2)
        seen, ended = Seen(server.getsockname()[1]), threading.Event()

        def accept() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                if not seen.arrived.is_set():
                    seen.first = time.monotonic()
                    seen.arrived.set()
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def timed(command: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds until a command has ended well, and of CPU."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_check(folder: Path, port: int) -> tuple[float, float, float, float]:
    """Seconds from the process's start to the first connection, and of CPU; memory (MiB) then and at its peak."""
    # A start decides that there was a gap: each of them is to find the same.
    shutil.rmtree(folder / "data", ignore_errors=True)
    shutil.copytree(folder / "made", folder / "data")
    with target(port) as seen, (folder / "run.log").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen([*PROGRAM, "run", "--config", "monitoring.yaml"], cwd=folder, stdout=log, stderr=log)
        try:
            if not seen.arrived.wait(PATIENCE):
                raise RuntimeError(f"no check within {PATIENCE:g} s: {(folder / 'run.log').read_text()[-500:]}")
            running = psutil.Process(process.pid)
            cpu, memory = sum(running.cpu_times()[:2]), running.memory_info().rss / 2**20
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return seen.first - began, cpu, memory, peak


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path, services: int, minutes: int) -> int:
    """Make configuration and history, unless a run before left them; the target's port."""
    kept = folder / "port"
    if kept.exists():
        return int(kept.read_text())
    port = free_port()
    write_configuration(folder / "monitoring.yaml", services, port)
    began = time.monotonic()
    settings = bootstrap.load(folder / "monitoring.yaml")
    runs = asyncio.run(make_history(folder / "made", settings.configuration, minutes))
    print(f"made a history of {runs:,} runs in {time.monotonic() - began:.0f} s", flush=True)
    kept.write_text(str(port))
    return port


def measure(folder: Path, port: int, rounds: int) -> None:
    """Alternate what is measured, and print medians."""
    compose = (
        "import gc, sys; gc.disable(); from yaml.cyaml import CParser; from yaml.resolver import BaseResolver\n"
        "import yaml\nclass C(CParser, BaseResolver):\n"
        "    def __init__(self, stream): CParser.__init__(self, stream); BaseResolver.__init__(self)\n"
        "C(open('monitoring.yaml', 'rb')).get_single_node()"
    )
    commands = {
        "import asyncio": (sys.executable, "-c", "import asyncio"),
        "compose": (sys.executable, "-c", compose),
        "--help": (*PROGRAM, "--help"),
        "validate": (*PROGRAM, "validate"),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in (*commands, "first check")}
    memories, peaks = [], []
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(timed(command, folder))
        took, cpu, memory, peak = first_check(folder, port)
        seconds["first check"].append((took, cpu))
        memories.append(memory)
        peaks.append(peak)
    walls = {name: median(wall for wall, _ in each) for name, each in seconds.items()}
    cpus = {name: median(cpu for _, cpu in each) for name, each in seconds.items()}
    bars = {
        "import asyncio": "anchor: an interpreter that imports asyncio",
        "compose": "anchor: PyYAML's C parser, nodes of the same file",
        "--help": f"must 0.30 s; CPU {cpus['--help'] / cpus['import asyncio']:.1f} x import asyncio",
        "validate": f"CPU {cpus['validate'] / cpus['compose']:.1f} x compose",
        "first check": f"must 5 s, should 2 s; CPU {cpus['first check'] / cpus['compose']:.1f} x compose",
    }
    print(f"{'':>16} {'wall':>10} {'CPU':>10}")
    for name, wall in walls.items():
        print(f"{name:>16} {wall:>8.2f} s {cpus[name]:>8.2f} s   {bars[name]}")
    print(f"{'RSS then':>16} {median(memories):>6.0f} MiB   must 350 MB, should 200 MB; peak {median(peaks):.0f} MiB")


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="start-") as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        folder.mkdir(exist_ok=True)
        port = prepare(folder, arguments.services, arguments.minutes)
        print(f"{arguments.services:,} services, {2 * arguments.services:,} checks, {3 * arguments.services:,} rules")
        measure(folder, port, arguments.rounds)


if __name__ == "__main__":
    main()

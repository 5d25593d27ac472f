"""A rehearsal asked of the running program, over what it has just recorded; and what its end leaves of another."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from service_monitoring.cli.client import ask
from tests.data_folders import with_tables
from tests.faults.world import a_world, stop, wait_for

FILE = """\
store: {path: $data}
network: {allow: [127.0.0.0/8]}
services:
  shop:
    checks:
      health: {http: $target, every: 200ms, timeout: 150ms}
    rules:
      odd: {when: {check: health, metric: status_code, above: 600}}
channels:
  hook: {webhook: $sink}
routes:
  - {notify: [channel.hook], group_by: ["..."], group_wait: 0s, group_interval: 0s}
self: {notify: [channel.hook]}
"""


@pytest.mark.timeout(120)
def test_the_running_program_rehearses_what_it_recorded_and_its_end_leaves_nothing_of_it(tmp_path: Path) -> None:
    wanted = {"by": "ada", "changes": [{"key": "shop.odd.above", "value": "100"}]}
    with a_world(tmp_path) as world:
        with_tables(world.data)
        process = world.start(world.configure(FILE))

        def start() -> str:
            row: dict[str, Any] = ask(world.data / "control.sock", "POST", "/api/v1/rehearsals", body=wanted)
            return str(row["id"])

        def child() -> psutil.Process:
            wait_for(lambda: bool(psutil.Process(process.pid).children()), "the process")
            found = psutil.Process(process.pid).children()[0]
            found.send_signal(signal.SIGSTOP)
            return found

        try:
            wait_for(lambda: world.settled() and world.polls > 4, "the program", 60)
            id = start()
            wait_for(lambda: world.ask(f"/api/v1/rehearsals/{id}")["job"]["state"] == "done", "the rehearsal", 60)
            report = world.ask(f"/api/v1/rehearsals/{id}/report")
            assert report["headline"] and report["limits"]
            assert world.received == []  # nobody was told
            start()
            rehearsing = child()
            assert stop(process) == 0
            assert not rehearsing.is_running() and not (world.data / "rehearsals").exists()
        finally:
            process.kill()
            process.wait()

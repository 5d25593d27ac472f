"""A real program lives through a kill, a step of its clock, a reload and people; its recording rehearses to the byte.

Everything is real but the machine's wall clock, which libfaketime sets for this program alone.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from service_monitoring.cli import client
from service_monitoring.domain.events import IncidentMoved, IncidentNoted
from service_monitoring.domain.inputs import Acted, Configured, GapBegan, Observed, Settled, Silenced, Stepped
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import Refused
from service_monitoring.storage.history.own import History
from service_monitoring.wire.ledger import ledger
from tests.faults.test_runtime_clock import LIBRARY
from tests.faults.world import PROGRAM, World, a_world, kill, stop, wait_for
from tests.rehearsals.loop import rehearse

CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
services:
  shop:
    labels: {team: payments}
    checks:
      health: {http: $target, every: 200ms, timeout: 150ms}
    rules:
      down: {when: {check: health, metric: up, below: 1}, for: 300ms, severity: critical}
      often: {when: {check: health, metric: up, last: 3, need: all, below: 1}, severity: warning}
      mean: {when: {check: health, metric: duration_seconds, aggregate: avg, over: 2s, above: 0.2}, severity: warning}
      worst: {when: {check: health, metric: status_code, above: 500}, for: 1s, severity: warning}
channels:
  hook: {webhook: $sink}
people:
  ada: {timezone: Europe/Berlin, contact: [channel.hook]}
oncall:
  primary: {layers: [{people: [ada], rotate: daily}]}
routes:
  - match: {severity: critical}
    group_by: [service]
    group_wait: 200ms
    group_interval: 1s
    repeat_interval: 3s
    escalate: [{after: 0s, notify: [channel.hook]}, {after: 2s, notify: [oncall.primary]}]
  - {notify: [channel.hook], group_by: ["..."], group_wait: 0s, group_interval: 0s}
inhibit:
  - {when: {rule: down}, mutes: {rule: worst}, same: [service]}
self: {notify: [channel.hook]}
"""


class Life:
    """A program in its world, whose target fails and recovers by dice while time is spent."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.wish = world.folder / "faketime"
        self.wish.write_text("+0")
        self.config = world.configure(CONFIGURATION)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self.world.polls = 0
        process = self.world.start(
            self.config,
            LD_PRELOAD=str(LIBRARY),
            DONT_FAKE_MONOTONIC="1",
            FAKETIME_NO_CACHE="1",
            FAKETIME_TIMESTAMP_FILE=str(self.wish),
        )
        wait_for(lambda: self.world.polls > 0 and self.world.answers(), "a first poll")
        return process

    def spend(self, seconds: float) -> None:
        """Live on for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.world.target_status = self.dice.choice([200, 200, 503, 503, 503])
            self.world.sink_status = self.dice.choice([202, 202, 202, 503])
            time.sleep(self.dice.uniform(0.2, 2.0))
            if self.dice.random() < 0.3:
                self.take_on()

    def take_on(self) -> None:
        """Somebody acknowledges what is open, for a second; by then it may be over."""
        for row in self.world.ask("/api/v1/incidents?state=open")[:1]:
            with suppress(Refused):
                self.tell(f"/api/v1/incidents/{row['id']}/acknowledge", {"by": "ada", "expires_after": "1s"})

    def tell(self, route: str, body: object) -> None:
        client.ask(self.world.data / "control.sock", "POST", route, body=body)

    def die_and_live_on(self) -> None:
        kill(self.process)
        self.process = self.start()

    def set_the_clock(self, delta: str) -> None:
        self.wish.write_text(delta)

    def reload(self, old: str, new: str) -> None:
        assert old in CONFIGURATION
        self.world.configure(CONFIGURATION.replace(old, new))
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        self.world.target_status, self.world.sink_status = 200, 202
        wait_for(self.world.settled, "the end of every notice", 120)
        assert stop(self.process) == 0


@contextmanager
def busy_cores() -> Iterator[None]:
    """A process for each core that does nothing but work."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def live(world: World, seconds: float, seed: int) -> None:
    """A kill, a step of the clock, a silence and a reload, with as much time between them."""
    life = Life(world, seed)
    try:
        life.spend(seconds / 5)
        life.die_and_live_on()
        life.spend(seconds / 5)
        life.set_the_clock("+1h")
        life.spend(seconds / 5)
        life.tell("/api/v1/silences", {"matchers": ["rule=often"], "by": "ada", "comment": "known", "lasts": "3s"})
        life.spend(seconds / 5)
        life.reload("above: 500}, for: 1s", "above: 400}, for: 200ms")
        life.spend(seconds / 5)
        life.end()
    finally:
        life.process.kill()
        life.process.wait()


def rehearsed(folder: Path, *arguments: str) -> bytes:
    """The ledger that the real command writes."""
    file = folder / "ledger.jsonl"
    command = [str(PROGRAM), "rehearse", *arguments, "--ledger", str(file), "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return file.read_bytes()


def reckon(folder: Path) -> str:
    """Rehearse the recording, and compare; a line of figures."""
    with History(folder) as history:
        inputs, decided = list(history.inputs()), list(history.decisions())
    again = rehearse(inputs, inputs[-1].stamp)
    assert ledger(again) == ledger(decided)
    assert again == decided
    assert rehearsed(folder.parent, "--history", str(folder)) == ledger(decided)
    came = Counter(type(each.input) for each in inputs)
    assert came[Configured] == 2 and came[Stepped] == 1 and came[Silenced] == 1 and came[GapBegan] >= 1
    assert came[Acted] and came[Settled]
    moves = sum(isinstance(each, IncidentMoved | IncidentNoted) for each in decided)
    notices = [each for each in decided if isinstance(each, Notice)]
    held = sum(notice.held is not None for notice in notices)
    assert moves and notices and held
    lines = ledger(decided).count(b"\n")
    figures = (
        f"{came[Observed]} polls, {len(inputs)} inputs, {moves} moves, {len(notices)} notices, {held} of them held"
    )
    return f"{figures}, {lines} lines of ledger, all equal"


@pytest.mark.drill
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: Debian's package faketime")
@pytest.mark.timeout(240)
def test_a_short_run_with_a_kill_a_clock_step_and_a_reload_rehearses_to_the_byte(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        live(world, 20, seed=3)
        print(f"20 s: {reckon(world.data)}")


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: Debian's package faketime")
@pytest.mark.timeout(240)
def test_the_command_rehearses_a_killed_program_to_the_byte_with_and_without_its_configuration(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        life = Life(world, seed=5)
        try:
            life.spend(2)
            life.die_and_live_on()
            life.spend(1)
            life.set_the_clock("-1h")
            life.spend(2)
            # Nothing is said any more: how far it had come is in the store alone.
            kill(life.process)
        finally:
            life.process.kill()
            life.process.wait()
        with History(world.data) as history:
            decided = ledger(history.decisions())
            came = Counter(type(each.input) for each in history.inputs())
        assert came[GapBegan] and came[Stepped] and len(decided.splitlines()) > 5
        assert rehearsed(tmp_path, "--history", str(world.data)) == decided
        assert rehearsed(tmp_path, str(life.config), "--history", str(world.data)) == decided


@pytest.mark.drill
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: Debian's package faketime")
@pytest.mark.timeout(1800)
def test_ten_minutes_on_busy_cores_rehearse_to_the_byte(tmp_path: Path) -> None:
    with a_world(tmp_path) as world, busy_cores():
        live(world, 600, seed=4)
        print(f"10 minutes: {reckon(world.data)}")

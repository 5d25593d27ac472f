"""The real program with a plugin that blocks its event loop (row 9): seen, shown, and no service is judged by it."""

import json
import os
import re
import textwrap
from pathlib import Path

import pytest

from service_monitoring.domain.instants import SECOND
from tests.faults.world import World, a_world, kill, stop, wait_for

PLUGIN = """
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from service_monitoring.domain.samples import Observation, Outcome


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    sleeper: Path


class Kind:
    name = "sleeper"
    options = Options

    def open_source(self, options, *, surroundings):
        return Sleeper(options.sleeper)

    async def close(self):
        pass


class Sleeper:
    def __init__(self, wish):
        self._wish = wish

    async def probe(self, deadline):
        if self._wish.exists():
            seconds = float(self._wish.read_text())
            self._wish.unlink()
            began = time.monotonic_ns()
            time.sleep(seconds)  # blocks the loop
            self._wish.with_suffix(".slept").write_text(str(time.monotonic_ns() - began))
        return Observation(Outcome.OK)
"""

CHECKS = 12
CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
services:
  sleepy:
    checks:
      sleeper: {sleeper: $wish, every: 500ms, timeout: 400ms}
  shop:
    checks:
$checks
    rules:
$rules
channels:
  hook: {webhook: $sink}
routes:
  - {notify: [channel.hook], group_by: ["..."], group_wait: 0s, group_interval: 0s}
"""


def install(folder: Path) -> None:
    """The plugin as a package that is installed, to be found by its entry point."""
    about = folder / "sleeper-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "sleeper.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeper\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[service_monitoring.sources]\nsleeper = sleeper:Kind\n")


def configuration(wish: Path) -> str:
    checks = [f"c{number}: {{http: $target, every: 500ms, timeout: 450ms}}" for number in range(CHECKS)]
    rules = [f"down{number}: {{when: {{check: c{number}, metric: up, below: 1}}}}" for number in range(CHECKS)]
    return (
        CONFIGURATION.replace("$wish", str(wish))
        .replace("$checks", textwrap.indent("\n".join(checks), "      "))
        .replace("$rules", textwrap.indent("\n".join(rules), "      "))
    )


def sleep_through(world: World, wish: Path, seconds: float) -> str:
    """What was seen of one blockage."""
    assert world.get("/readyz") == (200, "ready\n")
    aside = wish.with_suffix(".aside")
    aside.write_text(str(seconds))
    aside.rename(wish)
    wait_for(lambda: not wish.exists(), "the plugin to block the loop")
    with pytest.raises(TimeoutError):
        world.get("/healthz", patience=seconds / 2)
    slept = wish.with_suffix(".slept")
    wait_for(slept.exists, "the end of the blockage")
    polls = world.polls
    wait_for(lambda: world.polls > polls + 5 * CHECKS, "polls")
    assert world.get("/healthz") == (200, "ok\n")
    status, body = world.get("/readyz")
    said = json.loads(body)
    assert (status, said["title"]) == (503, "not ready")
    truth = int(slept.read_text()) / SECOND
    [reason] = said["reasons"]
    shown = re.fullmatch(r"the event loop was blocked for (\d\.\d) s within the last minute", reason)
    assert shown is not None
    assert abs(float(shown[1]) - truth) < 0.15
    measured = world.ask("/api/v1/status")["polling"]["longest_lag"]
    assert abs(measured - truth) < 0.1
    assert world.ask("/api/v1/incidents") == []
    assert "time.sleep(seconds)  # blocks the loop" in world.log.read_text()
    return f"blocked for {truth:.3f} s, measured {measured:.3f} s; {CHECKS} checks at 500 ms, 0 incidents"


def test_a_blocked_loop_is_not_ready_and_opens_no_incident(tmp_path: Path) -> None:
    install(tmp_path / "installed")
    wish = tmp_path / "wish"
    with a_world(tmp_path) as world:
        paths = os.pathsep.join(filter(None, [str(tmp_path / "installed"), os.environ.get("PYTHONPATH")]))
        process = world.start(world.configure(configuration(wish)), PYTHONPATH=paths)
        try:
            wait_for(lambda: world.polls > 2 * CHECKS and world.answers(), "polls, and an open door")
            print(sleep_through(world, wish, 2.0))
            assert stop(process) == 0
        except BaseException:
            kill(process)
            raise

"""A configuration that changes while the program runs: by signal, by saving the file, by asking for it."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service_monitoring.cli import client
from tests.data_folders import with_tables
from tests.faults.world import PROGRAM, World, a_world, stop, wait_for

HEAD = """\
store: {path: $data}
network: {allow: [127.0.0.0/8]}
channels:
  hook: {webhook: $sink}
routes:
  - {notify: [channel.hook], group_by: ["..."], group_wait: 0s, group_interval: 0s}
self: {notify: [channel.hook]}
"""
SHOP = """\
services:
  shop:
    checks:
      health: {http: $target, every: 200ms, timeout: 150ms}
    rules:
      slow: {when: {check: health, metric: status_code, above: %s}}
%s"""
TEA = """\
  tea:
    checks:
      pot: {http: $target, every: 200ms, timeout: 150ms}
"""
DOWN = """\
      down: {when: {check: health, metric: up, below: 1}, severity: critical}
"""


class Journey:
    """A program, and the file that it reads."""

    def __init__(self, world: World, process: subprocess.Popen[bytes]) -> None:
        self.world = world
        self.process = process

    def write(self, text: str) -> None:
        self.world.configure(HEAD + text)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.world.ask("/api/v1/status")
        return answer

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments, "--config", "monitoring.yaml"],
            cwd=self.world.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def wait_for_rules(self, count: int, services: int) -> None:
        wait_for(lambda: (self.status()["rules"], self.status()["services"]) == (count, services), "the rules", 30)

    def incidents(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.world.ask("/api/v1/incidents")
        return rows

    def states(self) -> dict[str, str]:
        return {row["rule"]: row["state"] for row in reversed(self.incidents())}

    def log(self) -> list[dict[str, Any]]:
        lines = self.world.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        with_tables(world.data)
        yield world


@pytest.fixture
def journey(world: World) -> Iterator[Journey]:
    world.configure(HEAD + SHOP % (600, TEA))
    process = world.start(world.folder / "monitoring.yaml")
    try:
        wait_for(lambda: world.settled() and world.polls > 4, "the program", 60)
        yield Journey(world, process)
        assert stop(process) == 0
        assert "Traceback" not in world.log.read_text()
    finally:
        process.kill()
        process.wait()


def told(world: World) -> list[tuple[str, str]]:
    return [(message.body["page"], message.body["rule"]) for message in world.accepted]


def owners_heard(world: World) -> list[str]:
    return [message.body["summary"] for message in world.accepted if message.body["state"] == "trouble"]


@pytest.mark.timeout(180)
def test_a_day_of_changes_by_signal_and_by_saving_the_file(journey: Journey) -> None:
    world = journey.world
    # A rule more, by signal: the file was written a moment ago, and nobody need wait until it is found.
    journey.write(SHOP % (600, DOWN + TEA))
    journey.process.send_signal(signal.SIGHUP)
    journey.wait_for_rules(2, 2)

    # A limit that what is measured breaches, by saving the file; one that it breaches still; one that it does not.
    journey.write(SHOP % (100, DOWN + TEA))
    wait_for(lambda: journey.states().get("slow") == "open", "the incident", 30)
    (before,) = journey.incidents()
    journey.write(SHOP % (150, DOWN + TEA))
    wait_for(lambda: len(journey.logged("configuration reloaded")) == 3, "the third reload", 30)
    (row,) = journey.incidents()
    assert (row["id"], row["state"]) == (before["id"], "open")
    journey.write(SHOP % (700, DOWN + TEA))
    wait_for(lambda: journey.states().get("slow") == "closed", "the end of the incident", 30)
    detail = world.ask(f"/api/v1/incidents/{row['id']}")
    assert detail["transitions"][-1]["cause"] == "superseded"
    wait_for(lambda: len(told(world)) == 2, "the notices")
    assert [rule for _, rule in told(world)] == ["slow", "slow"]

    # A service less.
    journey.write(SHOP % (700, DOWN))
    journey.wait_for_rules(2, 1)
    wait_for(lambda: journey.status()["polling"]["checks"] == 1, "the end of what was checked", 30)


@pytest.mark.timeout(180)
def test_a_broken_file_changes_nothing_and_is_told_until_it_is_mended(journey: Journey) -> None:
    world = journey.world
    journey.write(SHOP % (600, "") + "      broken: {when: {check: nothing}}\n")
    wait_for(lambda: world.trouble() != [], "the trouble", 30)
    (trouble,) = world.trouble()
    assert "the configuration is refused" in trouble
    assert "monitoring.yaml:" in trouble
    status = journey.command("status", "--check")
    assert status.returncode == 1
    assert "configuration is refused" in " ".join(status.stdout.split())
    refused = journey.command("reload")
    assert refused.returncode == 1
    assert "services.shop.rules.broken" in refused.stderr
    assert "nothing has changed" in refused.stderr
    answer = json.loads(journey.command("reload", "--json").stdout)
    assert not answer["valid"]
    assert set(answer["complaints"][0]) == {"file", "line", "column", "path", "problem", "remedy"}
    assert (journey.status()["rules"], journey.status()["services"]) == (1, 2)
    # People go on working while the file is broken.
    assert journey.command("incidents", "list").returncode == 0

    # Broken in another way: still the same trouble, which the owners heard of once.
    journey.write("services: [\n")
    seen = len(journey.logged("configuration refused"))
    wait_for(lambda: len(journey.logged("configuration refused")) > seen, "the other complaint", 30)
    journey.write(SHOP % (600, DOWN + TEA))
    wait_for(lambda: world.trouble() == [], "the end of the trouble", 30)
    journey.wait_for_rules(2, 2)
    assert len(owners_heard(world)) == 1
    done = journey.command("reload")
    assert done.returncode == 0
    assert done.stdout.endswith("monitoring.yaml: nothing changed\n")


@pytest.mark.timeout(180)
def test_what_only_a_start_can_change_is_named_and_the_rest_takes_effect(journey: Journey) -> None:
    text = (HEAD + SHOP % (600, DOWN)).replace("$data}", "$data, facts: {keep: 30d}}")
    journey.world.configure(text + "\nweb: {listen: 127.0.0.1:0}\n")
    answer = client.ask(journey.world.data / "control.sock", "POST", "/api/v1/reload")
    assert answer["changed"] == ["rules", "checks", "retention"]
    assert (journey.status()["rules"], journey.status()["services"]) == (2, 1)
    done = journey.command("reload")
    assert done.returncode == 0
    assert "a restart is needed: web.listen: 127.0.0.1:0" in done.stderr
    assert journey.status()["listens"] == ""


def many(count: int, limit: int) -> str:
    lines = [
        f"  s{number}:\n    checks:\n      health: {{http: $target, every: 10s, timeout: 5s}}\n    rules:\n"
        f"      slow: {{when: {{check: health, metric: status_code, above: {limit if number % 2 else 600}}}}}"
        for number in range(count)
    ]
    return "\n".join(["services:", *lines]) + "\n"


@pytest.mark.timeout(300)
def test_a_file_of_a_thousand_services_reloads_while_polling_without_a_gap(world: World) -> None:
    world.configure(HEAD + many(1000, 600))
    process = world.start(world.folder / "monitoring.yaml")
    journey = Journey(world, process)
    try:
        wait_for(lambda: world.polls > 500, "polls", 120)
        before = journey.status()["polling"]
        journey.write(many(1000, 700))
        wait_for(lambda: len(journey.logged("configuration reloaded")) == 1, "the reload", 60)
        polls = world.polls
        wait_for(lambda: world.polls > polls + 1200, "more than a round of polls", 60)
        after = journey.status()
        assert after["polling"]["longest_lag"] < 5
        assert (after["polling"]["cancelled"], after["polling"]["shed"]) == (0, before["shed"])
        assert after["polling"]["skipped"] == before["skipped"]
        assert stop(process) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in world.log.read_text()

"""A person's first hour at the command line: a file, a program, an incident, and the end of the program."""

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service_monitoring.cli import client
from tests.faults.world import PROGRAM, World, wait_for

LONGEST_END = 10
"""Seconds from the signal to the end."""


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        world = World(Path(folder))
        yield world
        world.close()


def ask(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], cwd=world.folder, capture_output=True, text=True, timeout=60, check=False
    )


def answered(world: World, *arguments: str) -> Any:
    done = ask(world, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def over_the_socket(world: World) -> Any:
    return client.ask(world.folder / "data" / "control.sock", "GET", "/api/v1/incidents")


@contextmanager
def started(world: World) -> Iterator[subprocess.Popen[bytes]]:
    process = world.start(world.folder / "monitoring.yaml")
    try:
        wait_for((world.folder / "data" / "control.sock").exists, "the program", 60)
        yield process
    finally:
        process.kill()
        process.wait()


def ended_within(process: subprocess.Popen[bytes], act: Callable[[], None]) -> int:
    begun = time.monotonic()
    act()
    code = process.wait(timeout=LONGEST_END)
    assert time.monotonic() - begun < LONGEST_END
    return code


def first_file(world: World) -> None:
    """What `init` writes, made impatient: a test does not wait for a minute."""
    done = ask(world, "init", f"http://127.0.0.1:{world.target.server_address[1]}/health")
    assert done.returncode == 0, done.stderr
    file = world.folder / "monitoring.yaml"
    text = file.read_text()
    hasty = (
        text.replace("every: 30s", "every: 1s")
        .replace("timeout: 10s", "timeout: 400ms")
        .replace("for: 1m ", "for: 1s ")
        .replace("  - notify: [channel.log] ", "  - {notify: [channel.log], group_wait: 0s, group_interval: 0s} ")
    )
    assert hasty.count("1s") > text.count("1s")
    file.write_text(f"{hasty}\nweb: {{listen: none}}\n")
    done = ask(world, "validate")
    assert done.returncode == 0, done.stderr
    assert "1 service, 1 check, 2 rules, 1 channel" in done.stdout


@pytest.mark.timeout(300)
def test_from_a_url_to_an_incident_that_is_over_and_a_program_that_ended(world: World) -> None:
    first_file(world)
    with started(world) as process:
        assert ask(world, "status", "--check").returncode == 0
        world.target_status = 503
        wait_for(lambda: [row["state"] for row in over_the_socket(world)] == ["open"], "an incident", 60)
        (row,) = answered(world, "incidents", "list")
        assert (row["rule"], row["severity"], row["acknowledged_at"]) == ("down", "critical", None)

        done = ask(world, "incidents", "ack", row["id"][:7], "--by", "ada", "--comment", "on it")
        assert (done.returncode, done.stdout) == (0, f"Acknowledged {row['id']} ({row['service']}.down) by ada\n")
        detail = answered(world, "incidents", "show", row["id"])
        assert [each["state"] for each in detail["transitions"]] == ["pending", "open", "acknowledged"]
        assert [(each["channel"], each["page"]) for each in detail["notices"]] == [("log", "first")]

        assert ask(world, "incidents", "resolve", row["id"], "--by", "ada").returncode == 0
        world.target_status = 200
        (row,) = over_the_socket(world)
        assert row["state"] == "resolved"

        done = ask(world, "doctor")
        assert done.returncode == 0, done.stdout
        assert ended_within(process, process.terminate) == 0
    assert not (world.folder / "data" / "control.sock").exists()
    # Nobody runs any more: the same question is answered from the store.
    assert answered(world, "incidents", "list") == [row]
    assert "Traceback" not in world.log.read_text()


@pytest.mark.timeout(200)
def test_a_second_run_on_the_same_folder_is_refused_naming_the_process(world: World) -> None:
    first_file(world)
    with started(world) as process:
        second = ask(world, "run")
        assert second.returncode == 4
        assert f"in use by the process {process.pid}" in second.stderr
        assert over_the_socket(world) == [], "the first one goes on"


@pytest.mark.timeout(200)
def test_ctrl_c_twice_ends_the_program_at_once_and_in_order(world: World) -> None:
    first_file(world)
    with started(world) as process:

        def press_twice() -> None:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)

        assert ended_within(process, press_twice) in {0, 130}
    assert not (world.folder / "data" / "control.sock").exists()
    assert "Traceback" not in world.log.read_text()
    with started(world) as process:
        assert over_the_socket(world) == []
        assert ended_within(process, lambda: process.send_signal(signal.SIGINT)) in {0, 130}

"""Jobs report and programs push to the real monitor: under keys, through restarts, and after it was killed."""

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service_monitoring.domain.inputs import Pinged, Pushed
from service_monitoring.storage.history.own import History
from tests.data_folders import with_tables
from tests.faults.world import PROGRAM, World, a_world, kill, stop, wait_for

CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
web: {listen: "127.0.0.1:0"}
services:
  shop:
    checks:
      page: {http: $target, every: 1s, timeout: 500ms}
      backup: {heartbeat: {period: 1h, grace: 5m}}
      orders: {push: {}}
    rules:
      down: {when: {check: page, metric: up, below: 1}}
      few: {when: {check: orders, metric: orders_per_minute, below: 1}}
channels: {log: {console: true}}
routes: [{notify: [channel.log], group_by: ["..."], group_wait: 0s, group_interval: 0s}]
self: {notify: [channel.log]}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        with_tables(world.data)
        world.configure(CONFIGURATION)
        yield world


def asked(world: World, *arguments: str) -> Any:
    config = str(world.folder / "monitoring.yaml")
    done = subprocess.run(
        [PROGRAM, *arguments, "--config", config, "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def start(world: World) -> tuple[subprocess.Popen[bytes], str]:
    process = world.start(world.folder / "monitoring.yaml")
    wait_for((world.folder / "data" / "control.sock").exists, "the program")
    return process, asked(world, "status")["listens"]


def post(address: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.timeout(200)
def test_what_was_acknowledged_outlives_a_program_that_is_killed(world: World) -> None:
    pinging = asked(world, "keys", "create", "shop.backup")["key"]
    pushing = asked(world, "keys", "create", "shop.orders")["key"]
    process, address = start(world)
    try:
        assert post(address, f"/ping/{pinging}/start?rid=one")[0] == 200
        assert post(address, f"/ping/{pinging}/3?rid=one", b"no space left")[0] == 200
        body = json.dumps({"samples": [{"metric": "orders_per_minute", "value": 7}]}).encode()
        status, said = post(address, "/api/v1/samples", body, Authorization=f"Bearer {pushing}")
        assert (status, json.loads(said)) == (200, {"results": [{"status": "judged", "detail": ""}]})
        assert post(address, "/api/v1/reload")[0] == 401
    finally:
        kill(process)
    (world.folder / "data" / "control.sock").unlink()
    process, address = start(world)
    try:
        rows = asked(world, "pings", "shop.backup")
        assert [(row["signal"], row["exit_code"], row["body"]) for row in rows] == [
            ("fail", 3, "no space left"),
            ("start", None, ""),
        ]
        rotated = asked(world, "keys", "rotate", "shop.backup")["key"]
        assert post(address, f"/ping/{pinging}")[0] == 404
        assert post(address, f"/ping/{rotated}")[0] == 200
        config = str(world.folder / "monitoring.yaml")
        done = subprocess.run([PROGRAM, "ping", rotated, "--server", f"http://{address}"], timeout=60, check=False)
        assert done.returncode == 0, config
    finally:
        assert stop(process) == 0
    with History(world.folder / "data") as history:
        inputs = [admitted.input for admitted in history.inputs()]
    assert len([each for each in inputs if isinstance(each, Pinged)]) == 4
    assert [sample.value for each in inputs if isinstance(each, Pushed) for sample in each.samples] == [7.0]
    log = world.log.read_text()
    assert "Traceback" not in log
    assert not [key for key in (pinging, pushing, rotated) if key in log]


@pytest.mark.timeout(200)
def test_a_wrapped_job_survives_the_monitor_that_is_killed_while_it_runs(world: World, tmp_path: Path) -> None:
    key = asked(world, "keys", "create", "shop.backup")["key"]
    process, address = start(world)
    go_on = tmp_path / "go"
    script = f"echo began; while [ ! -e {go_on} ]; do sleep 0.05; done; echo ended; exit 6"
    job = subprocess.Popen(
        [PROGRAM, "wrap", "--key", key, "--server", f"http://{address}", "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(lambda: len(asked(world, "pings", "shop.backup")) == 1, "the start of the job")
    finally:
        kill(process)
    go_on.touch()
    out, err = job.communicate(timeout=60)
    assert (job.returncode, out) == (6, b"began\nended\n")
    assert b"not reported" in err and key.encode() not in err


@pytest.mark.timeout(200)
def test_a_program_whose_address_is_taken_says_where_and_does_not_begin(world: World) -> None:
    process, address = start(world)
    try:
        other = world.folder / "other"
        other.mkdir()
        config = other / "monitoring.yaml"
        config.write_text(
            (world.folder / "monitoring.yaml")
            .read_text()
            .replace("127.0.0.1:0", address)
            .replace(f"{world.folder}/data", str(other / "data"))
        )
        done = subprocess.run(
            [PROGRAM, "run", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 4
        assert f"{config}:4:7 web.listen: {address} cannot be listened on (another program listens" in done.stderr
        assert "Traceback" not in done.stderr
        public = config.read_text().replace(address, "0.0.0.0:8080")
        config.write_text(public)
        done = subprocess.run(
            [PROGRAM, "run", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 5
        assert f'{config}:4:15 web.listen: passwords would travel unencrypted to "0.0.0.0:8080"' in done.stderr
    finally:
        assert stop(process) == 0

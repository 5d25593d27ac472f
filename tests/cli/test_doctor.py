"""The doctor: what it finds on healthy and on broken machines, folders, files and programs."""

import asyncio
import fcntl
import json
import os
import resource
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service_monitoring.cli.doctor import folder as folders
from service_monitoring.cli.doctor import machine, program
from service_monitoring.cli.doctor.findings import Level
from service_monitoring.domain.instants import Instant
from service_monitoring.ports import Tick
from service_monitoring.web import serve
from tests.cli.conftest import FILE, Command, happen, inhabit, running

pytestmark = pytest.mark.real_time("uvicorn looks around ten times a second")

NOW = Instant.parse("2026-11-24T00:00:00Z")


def examined(command: Command, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    said = command("doctor", "--json", *arguments)
    found: list[dict[str, str]] = json.loads(said.out)
    return said.code, found


def wrongs(found: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(each["topic"], each["what"]) for each in found if each["level"] == "wrong"]


# Everything together --------------------------------------------------------------------------------------------


def test_a_sound_installation_has_nothing_wrong(configured: Path, command: Command) -> None:
    code, found = examined(command)
    assert (code, wrongs(found)) == (0, [])
    assert not (configured / "data").exists()
    topics = {each["topic"] for each in found}
    assert {"python", "libcurl", "file descriptors", "clock", "ntp", "suspend", "time zones"} <= topics
    assert {"configuration", "data folder", "disk", "file system", "program"} <= topics


def test_whatever_is_not_fine_says_why_it_matters_and_what_to_do(configured: Path, command: Command) -> None:
    asyncio.run(inhabit(configured, happen))
    (configured / "data").chmod(0o755)
    code, found = examined(command)
    assert (code, wrongs(found)) == (1, [("data folder", "data is open to others")])
    assert all(each["why"] and each["remedy"] for each in found if each["level"] != "fine")
    said = command("doctor")
    assert said.code == 1 and max(map(len, said.out.splitlines())) <= 80
    assert "why it matters: " in said.out and "what to do: chmod 700" in said.out
    assert said.out.splitlines()[-1].startswith("1 wrong, ")


def test_looking_changes_nothing(configured: Path, command: Command) -> None:
    asyncio.run(inhabit(configured, happen))
    before = {path.name: path.read_bytes() for path in (configured / "data").iterdir()}
    assert examined(command)[0] == 0
    assert {path.name: path.read_bytes() for path in (configured / "data").iterdir()} == before


# The machine ----------------------------------------------------------------------------------------------------


def test_an_old_python_is_wrong() -> None:
    assert machine.python((3, 10, 2)).level is Level.WRONG
    assert machine.python((3, 11, 0)).level is Level.FINE


def test_a_libcurl_that_blocks_on_name_servers_is_wrong() -> None:
    everything = sum(machine._FEATURES.values())
    assert machine.curl_build("8.0", everything, frozenset({"http", "https"})).level is Level.FINE
    lame = machine.curl_build("8.0", everything & ~machine._FEATURES["AsynchDNS"], frozenset({"http", "https"}))
    assert lame.level is Level.WRONG and "AsynchDNS" in lame.what
    assert machine.curl_build("8.0", everything, frozenset({"http"})).level is Level.WRONG
    assert machine.libcurl().level is Level.FINE


def test_descriptors_must_suffice_for_all_checks_at_once() -> None:
    assert machine.descriptors((1024, 1024), 400).level is Level.FINE
    assert machine.CONNECTIONS == serve.MOST_CONNECTIONS
    crowded = machine.descriptors((1024, 524288), 400, machine.CONNECTIONS)
    assert (crowded.level, crowded.remedy) == (Level.DOUBTFUL, "start it after: ulimit -n 2928")
    few = machine.descriptors((1024, 524288), 5000)
    assert few.level is Level.WRONG and "10128" in few.what and "ulimit -n 10128" in few.remedy
    assert "LimitNOFILE" in machine.descriptors((1024, 1024), 5000).remedy
    assert machine.descriptors((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 10**6).level is Level.FINE


def test_a_clock_before_the_program_was_written_is_wrong() -> None:
    assert machine.wall_clock(Instant.parse("1970-01-01T00:01:00Z")).level is Level.WRONG
    assert machine.wall_clock(NOW).level is Level.FINE


def test_a_clock_that_nobody_keeps_right_is_doubtful() -> None:
    assert machine.synchronised(5).level is Level.DOUBTFUL
    assert machine.synchronised(None).level is Level.DOUBTFUL
    assert machine.synchronised(0).level is Level.FINE


def test_a_system_without_boot_time_is_doubtful() -> None:
    assert machine.boot_clock("darwin", Tick(0), Tick(0)).level is Level.DOUBTFUL
    assert "7 s" in machine.boot_clock("linux", Tick(0), Tick(7 * 10**9)).what


def test_old_time_zone_data_is_doubtful() -> None:
    assert machine.zones("2026.6", NOW).level is Level.FINE
    assert machine.zones("2024.1", NOW).level is Level.DOUBTFUL
    assert machine.zones("weekly", NOW).level is Level.DOUBTFUL
    assert machine.zones(None, NOW).level is Level.WRONG


# The folder -----------------------------------------------------------------------------------------------------


def test_a_folder_of_somebody_else_is_wrong(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert folders.access(tmp_path, tmp_path.stat(), os.geteuid()).level is Level.FINE
    theirs = folders.access(tmp_path, tmp_path.stat(), os.geteuid() + 1)
    assert theirs.level is Level.WRONG and "chown" in theirs.remedy


def test_a_file_where_the_folder_should_be_is_wrong(configured: Path, command: Command) -> None:
    (configured / "data").write_text("")
    code, found = examined(command)
    assert code == 1 and ("data folder", "data is not a folder") in wrongs(found)


def test_little_room_is_doubtful_and_less_is_wrong() -> None:
    assert folders.free(2 * 1024**3, None).level is Level.FINE
    assert folders.free(500 * 1024**2, None).level is Level.DOUBTFUL
    assert folders.free(10 * 1024**2, None).level is Level.WRONG
    assert folders.free(2 * 1024**3, 3).level is Level.WRONG


@pytest.mark.parametrize(("kind", "level"), [("ext4", "fine"), ("tmpfs", "doubtful"), ("nfs4", "wrong"), ("", "fine")])
def test_a_file_system_must_keep_what_it_is_given(tmp_path: Path, kind: str, level: str) -> None:
    assert folders.file_system(tmp_path, kind).level == level


def test_the_file_system_is_that_of_the_innermost_mount() -> None:
    assert folders._type_of(Path("/proc/self")) == "proc"


def test_a_damaged_file_is_wrong(configured: Path, command: Command) -> None:
    asyncio.run(inhabit(configured, happen))
    with (configured / "data" / "facts.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    code, found = examined(command)
    assert code == 1 and [topic for topic, _ in wrongs(found)] == ["facts.db"]


def test_a_file_of_a_newer_version_is_wrong(configured: Path, command: Command) -> None:
    asyncio.run(inhabit(configured, happen))
    with sqlite3.connect(configured / "data" / "samples.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    code, found = examined(command)
    assert code == 1 and "newer version" in dict(wrongs(found))["samples.db"]


# The file -------------------------------------------------------------------------------------------------------


def test_every_complaint_is_a_finding(configured: Path, command: Command) -> None:
    (configured / "monitoring.yaml").write_text(
        FILE.replace("severity: critical", "severity: bad").replace("1s", "1 x")
    )
    code, found = examined(command)
    assert code == 1 and len(wrongs(found)) >= 3
    assert all(topic == "configuration" and "monitoring.yaml:" in what for topic, what in wrongs(found))


def test_a_variable_that_is_not_set_is_wrong(
    configured: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = '  hook: {webhook: "http://127.0.0.1:1/", headers: {Authorization: {env: OPS_TOKEN}}}\n'
    (configured / "monitoring.yaml").write_text(FILE.replace("channels:\n", "channels:\n" + channel))
    monkeypatch.delenv("OPS_TOKEN", raising=False)
    code, found = examined(command)
    assert code == 1 and "OPS_TOKEN" in wrongs(found)[0][1]
    monkeypatch.setenv("OPS_TOKEN", "a-token")
    assert examined(command)[0] == 0


def test_a_secret_that_others_can_read_is_wrong_and_not_shown(configured: Path, command: Command) -> None:
    channel = '  hook: {webhook: "http://127.0.0.1:1/", headers: {Authorization: hunter2-hunter2}}\n'
    file = configured / "monitoring.yaml"
    file.write_text(FILE.replace("channels:\n", "channels:\n" + channel))
    file.chmod(0o644)
    code, found = examined(command)
    assert code == 1 and [topic for topic, _ in wrongs(found)] == ["secrets"]
    assert "hunter2" not in json.dumps(found)
    file.chmod(0o600)
    assert examined(command)[0] == 0


def test_without_a_file_it_says_how_to_get_one(folder: Path, command: Command) -> None:
    code, found = examined(command)
    assert code == 1 and wrongs(found) == [("configuration", "there is no monitoring.yaml")]


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def with_a_hook(folder: Path, port: int) -> None:
    channel = f'  hook: {{webhook: "http://127.0.0.1:{port}/hook"}}\n'
    (folder / "monitoring.yaml").write_text(FILE.replace("channels:\n", "channels:\n" + channel))


def test_channels_are_connected_to_only_when_asked(configured: Path, command: Command, listener: int) -> None:
    with_a_hook(configured, 1)
    code, found = examined(command)
    assert code == 0 and "channel hook" not in {each["topic"] for each in found}
    code, found = examined(command, "--reach")
    assert code == 1 and [topic for topic, _ in wrongs(found)] == ["channel hook"]
    with_a_hook(configured, listener)
    assert examined(command, "--reach")[0] == 0


# The program ----------------------------------------------------------------------------------------------------


def test_a_program_that_runs_and_answers_is_fine(configured: Path, command: Command) -> None:
    with running(configured):
        code, found = examined(command)
    assert code == 0, wrongs(found)
    (said,) = (each["what"] for each in found if each["topic"] == "program")
    assert said == f"the process {os.getpid()} runs and answers"


def test_a_program_that_holds_the_folder_and_does_not_answer_is_wrong(configured: Path, command: Command) -> None:
    asyncio.run(inhabit(configured, happen))
    with (configured / "data" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, found = examined(command)
    assert code == 1 and [topic for topic, _ in wrongs(found)] == ["program"]


def test_a_socket_left_by_a_program_that_died_is_named(configured: Path, command: Command) -> None:
    (configured / "data").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(configured / "data" / "control.sock"))
    code, found = examined(command)
    assert code == 0
    assert any("was left by a program that died" in each["what"] for each in found)


def test_a_path_too_long_for_a_socket_is_wrong(configured: Path, command: Command) -> None:
    (configured / "monitoring.yaml").write_text(FILE.replace("path: data", f"path: {'x' * 120}"))
    code, found = examined(command)
    assert code == 1 and [topic for topic, _ in wrongs(found)] == ["socket"]


@pytest.mark.parametrize(
    ("judged", "trouble", "said"),
    [
        ("2026-11-23T23:59:58Z", [], None),
        ("2026-11-23T23:58:00Z", [], "judged last 2 min ago"),
        ("2026-11-24T01:00:00Z", [], "1 h ahead"),
        ("2026-11-23T23:59:58Z", ["the disk is full"], "the disk is full"),
    ],
)
def test_a_program_that_is_not_well_is_wrong(judged: str, trouble: list[str], said: str | None) -> None:
    answer: dict[str, Any] = {"judged_until": judged, "trouble": trouble}
    (finding,) = program.well(answer, "42", NOW)
    if said is None:
        assert finding.level is Level.FINE
    else:
        assert finding.level is Level.WRONG and said in finding.what

"""The plugin for pytest, in sessions of somebody else: opted into by a file's name, and otherwise as if it were not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFIGURATION = """\
services:
  shop:
    checks: {health: {http: "http://127.0.0.1/", every: 10s}}
    rules: {down: {when: {check: health, metric: up, below: 1}}}
channels: {log: {console: true}}
routes: [{group_wait: 0s, notify: [channel.log]}]
"""
TESTS = """\
configuration: monitoring.yaml
tests:
  - name: it is told
    samples: {shop.health.up: 0}
    expect: [{at: 0m, pages: [{to: channel.log}]}]
  - name: it is not told
    samples: {shop.health.up: 0}
    expect: [{at: 0m, pages: []}]
"""
LOADED = """\
import sys
def pytest_unconfigure():
    print("loaded:", sorted(name for name in sys.modules if name.partition(".")[0] == "service_monitoring"))
"""


def session(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_each_test_of_a_file_is_an_item_and_a_failure_is_its_lines(tmp_path: Path) -> None:
    (tmp_path / "monitoring.yaml").write_text(CONFIGURATION)
    (tmp_path / "shop.rehearsal.yaml").write_text(TESTS)
    said = session(tmp_path, "-v")
    assert said.returncode == pytest.ExitCode.TESTS_FAILED
    assert "shop.rehearsal.yaml::it is told PASSED" in said.stdout
    assert "shop.rehearsal.yaml::it is not told FAILED" in said.stdout
    assert "shop.rehearsal.yaml:8:23: at 0s, pages: unexpected shop.down to channel.log first, at 0s" in said.stdout
    assert "Traceback" not in said.stdout
    assert session(tmp_path, "shop.rehearsal.yaml::it is told").returncode == pytest.ExitCode.OK


def test_a_file_that_is_not_understood_is_an_error_with_every_complaint(tmp_path: Path) -> None:
    (tmp_path / "monitoring.yaml").write_text(CONFIGURATION)
    (tmp_path / "shop.rehearsal.yaml").write_text(TESTS.replace("it is told", "[]").replace("0m", "soon"))
    said = session(tmp_path)
    assert said.returncode == pytest.ExitCode.INTERRUPTED
    assert "shop.rehearsal.yaml:3:11 tests[0].name: a text is expected here; put it in quotes" in said.stdout
    assert 'shop.rehearsal.yaml:5:19 tests[0].expect[0].at: "soon" is not a duration' in said.stdout
    assert "Traceback" not in said.stdout


def test_a_session_without_such_files_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(LOADED)
    (tmp_path / "monitoring.yaml").write_text(CONFIGURATION)
    (tmp_path / "test_other.py").write_text("def test_it():\n    pass\n")
    said = session(tmp_path, "-s")
    assert said.returncode == pytest.ExitCode.OK
    names = ["service_monitoring", "service_monitoring.testing", "service_monitoring.testing.rehearsals"]
    assert f"loaded: {names}" in said.stdout

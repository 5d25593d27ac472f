"""`test`: what it prints for people, for programs and for JUnit, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import FILE, Command

PASSES = """\
configuration: ../monitoring.yaml
tests:
  - name: it is told
    samples: {shop.health.up: 0}
    expect: [{at: 1m, pages: [{to: channel.log, about: shop.down}]}]
"""
FAILS = PASSES.replace("it is told", r'"it is \e told"').replace("shop.down}", "shop.empty}")


@pytest.fixture
def tests(configured: Path) -> Path:
    folder = configured / "tests"
    folder.mkdir()
    (folder / "passes.rehearsal.yaml").write_text(PASSES)
    return folder


def test_a_folder_is_searched_for_files_called_so(tests: Path, command: Command) -> None:
    (tests / "other.yaml").write_text("no: test")
    said = command("test", "tests")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "passed  tests/passes.rehearsal.yaml: it is told (1m simulated)",
        "1 test, 0 failed",
    ]
    assert not (tests.parent / "data").exists()


def test_a_failure_is_told_in_full_and_the_exit_code_is_1(tests: Path, command: Command) -> None:
    (tests / "fails.rehearsal.yaml").write_text(FAILS)
    said = command("test", "tests")
    assert said.code == 1
    assert said.out.splitlines()[:3] == [
        "failed  tests/fails.rehearsal.yaml: it is \\x1b told (1m simulated)",
        "  tests/fails.rehearsal.yaml:5:31: at 1m, pages: missing shop.empty to channel.log",
        "      shop.empty has opened no incident",
    ]
    assert said.out.splitlines()[-2:] == [
        "passed  tests/passes.rehearsal.yaml: it is told (1m simulated)",
        "2 tests, 1 failed",
    ]


def test_a_file_that_is_not_understood_ends_with_2_and_the_others_are_tried(tests: Path, command: Command) -> None:
    (tests / "broken.rehearsal.yaml").write_text(PASSES.replace("expect", "expects"))
    said = command("test", "tests")
    assert said.code == 2
    assert "tests/broken.rehearsal.yaml:5:5 tests[0].expects: nothing of this name is known here" in said.err
    assert said.out.splitlines()[-1] == "1 test, 0 failed; 1 file not understood"


@pytest.mark.parametrize("name", ["nothing.yaml", "data"])
def test_where_there_is_no_file_it_is_refused(tests: Path, command: Command, name: str) -> None:
    (tests.parent / "data").mkdir()
    said = command("test", name)
    assert said.code == 5
    assert name in said.err


def test_programs_read_json_and_junit(tests: Path, command: Command) -> None:
    (tests / "fails.rehearsal.yaml").write_text(FAILS)
    (tests / "broken.rehearsal.yaml").write_text(PASSES.replace("expect", "expects"))
    said = command("test", "tests", "--json", "--junit", "out.xml")
    assert said.code == 2
    answer = json.loads(said.out)
    assert [(each["file"], each["line"], each["passed"]) for each in answer["tests"]] == [
        ("tests/fails.rehearsal.yaml", 3, False),
        ("tests/passes.rehearsal.yaml", 3, True),
    ]
    assert answer["tests"][1]["simulated_seconds"] == 60
    [missing, unexpected] = answer["tests"][0]["shortfalls"]
    assert list(missing) == ["line", "column", "at_seconds", "what", "missing", "unexpected", "why"]
    assert (missing["line"], missing["what"], missing["missing"]) == (5, "pages", "shop.empty to channel.log")
    assert unexpected["unexpected"].startswith("shop.down to channel.log first")
    assert [each["path"] for each in answer["complaints"]] == ["tests[0]", "tests[0].expects"]
    root = ET.parse("out.xml").getroot()  # our own file
    assert [(suite.get("tests"), suite.get("failures"), suite.get("errors")) for suite in root] == [
        ("1", "1", "0"),
        ("1", "0", "0"),
        ("1", "0", "1"),
    ]
    [failure] = root.iter("failure")
    assert failure.text is not None and "missing shop.empty to channel.log" in failure.text


def test_the_configuration_is_read_without_its_secrets(tests: Path, command: Command) -> None:
    (tests.parent / "monitoring.yaml").write_text(
        FILE.replace("log: {console: true}", "log: {console: true}\n  hook: {webhook: {env: NOBODY_SETS_THIS}}")
    )
    assert command("test", "tests").code == 0
    assert command("validate").code == 1

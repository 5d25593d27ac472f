"""The same history gives the same ledger in every interpreter, whatever its hashes are salted with.

`OTHER_PYTHONS` may name further interpreters, divided by colons, that have the locked requirements installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.rehearsals.recording import write_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file of a recording, and the digest of what was decided."""
    file = tmp_path_factory.mktemp("recorded") / "recording.json"
    return file, write_recording(file)


def rehearsed(file: Path, project: Path, *, salt: int, python: str = sys.executable) -> str:
    """The digest of the ledger, found by an interpreter of its own."""
    return said_by("tests.rehearsals.alone", str(file), project=project, salt=salt, python=python)


def said_by(module: str, argument: str, *, project: Path, salt: int, python: str = sys.executable) -> str:
    environment = os.environ | {"PYTHONHASHSEED": str(salt), "PYTHONPATH": str(project / "src")}
    command = [python, "-m", module, argument]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def assert_equal_in(runs: int, recording: tuple[Path, str], project: Path) -> None:
    file, decided = recording
    salts = [0, *(SystemRandom().randrange(2**32) for _ in range(runs - 1))]
    digests = {salt: rehearsed(file, project, salt=salt) for salt in salts}
    assert set(digests.values()) == {decided}, digests


def test_one_recording_gives_one_ledger_in_interpreters_salted_differently(
    recording: tuple[Path, str], project: Path
) -> None:
    assert_equal_in(5, recording, project)


@pytest.mark.oracle
@pytest.mark.timeout(300)
def test_one_recording_gives_one_ledger_in_twenty_interpreters(recording: tuple[Path, str], project: Path) -> None:
    assert_equal_in(20, recording, project)


def test_one_recording_gives_one_ledger_in_every_version_at_hand(recording: tuple[Path, str], project: Path) -> None:
    file, decided = recording
    pythons = [sys.executable, *filter(None, os.environ.get("OTHER_PYTHONS", "").split(os.pathsep))]
    digests = {python: rehearsed(file, project, salt=1, python=python) for python in pythons}
    print(digests)
    assert set(digests.values()) == {decided}, digests


# Samples of others ----------------------------------------------------------------------------------------------------


def assert_one_ledger(runs: int, project: Path) -> None:
    """Each interpreter with a salt of its own, and each cuts the history elsewhere."""
    dice = SystemRandom()
    cuts = [0, 3_600, 601, *(dice.randrange(300, 10_000) for _ in range(runs - 3))]
    found = {
        (cut, salt): said_by("tests.rehearsals.alone_samples", str(cut), project=project, salt=salt)
        for cut, salt in ((cut, dice.randrange(2**32)) for cut in cuts)
    }
    assert len(set(found.values())) == 1, found
    _, number = found.popitem()[1].split()
    assert int(number) > 500


def test_made_samples_give_one_ledger_however_interpreters_are_salted_and_wherever_they_are_cut(project: Path) -> None:
    assert_one_ledger(4, project)


@pytest.mark.oracle
@pytest.mark.timeout(600)
def test_made_samples_give_one_ledger_in_twenty_interpreters(project: Path) -> None:
    assert_one_ledger(20, project)

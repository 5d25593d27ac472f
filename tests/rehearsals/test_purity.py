"""A rehearsal reaches no socket, thread, process, clock or dice: tried in an interpreter that lets nobody reach them.

Who imports what is asked in `tests/architecture`; here it is run, and each leak is planted once.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rehearsals.alone import LEAKS
from tests.rehearsals.recording import write_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file of a recording, and the digest of what was decided."""
    file = tmp_path_factory.mktemp("recorded") / "recording.json"
    return file, write_recording(file)


def under_seal(file: Path, leak: str, project: Path) -> subprocess.CompletedProcess[str]:
    return sealed("tests.rehearsals.alone", str(file), leak, project=project)


def sealed(*arguments: str, project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=50, check=False)


def test_a_rehearsal_reaches_no_socket_thread_process_clock_or_dice(recording: tuple[Path, str], project: Path) -> None:
    file, decided = recording
    done = under_seal(file, "none", project)
    assert (done.returncode, done.stdout.strip()) == (0, decided), done.stderr


@pytest.mark.parametrize("leak", LEAKS)
def test_a_decision_that_reaches_for_something_is_caught(leak: str, recording: tuple[Path, str], project: Path) -> None:
    done = under_seal(recording[0], leak, project)
    assert done.returncode != 0 and done.stderr, done.stdout
    *_, said = done.stderr.splitlines()
    assert "Leak: " in said and leak.rpartition(".")[2] in said, done.stderr


def test_playing_samples_of_others_reaches_no_socket_thread_process_clock_or_dice(project: Path) -> None:
    """The reader of files has threads and is no part of a rehearsal: here the samples are in memory."""
    plain = sealed("tests.rehearsals.alone_samples", "3600", project=project)
    done = sealed("tests.rehearsals.alone_samples", "3600", "none", project=project)
    assert (done.returncode, done.stdout) == (0, plain.stdout), done.stderr
    caught = sealed("tests.rehearsals.alone_samples", "3600", "time.time", project=project)
    assert caught.returncode != 0 and "Leak: time.time" in caught.stderr

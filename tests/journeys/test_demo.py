"""The main job as a newcomer sees it, on the real clock and real sockets, and that the core alone decided it."""

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.wire.ledger import ledger
from tests.faults.reckoning import decisions_live_and_rehearsed
from tests.faults.world import PROGRAM


def test_the_demonstration_happens_and_its_recording_rehearses_to_the_byte(tmp_path: Path) -> None:
    told = subprocess.run(
        [PROGRAM, "demo", "--once", "--data", tmp_path], capture_output=True, text=True, timeout=180, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.rstrip().endswith("Every step happened.")
    assert told.stderr == ""
    decided, again = decisions_live_and_rehearsed(tmp_path / "data")
    opened = {d.incident.rule for d in decided if isinstance(d, IncidentMoved) and d.incident.state is State.OPEN}
    assert opened == {"down", "slow", "backlog", "database_down"}
    assert ledger(again) == ledger(decided)


@pytest.mark.timeout(120)
def test_while_the_story_runs_people_may_look_at_it(tmp_path: Path) -> None:
    told = subprocess.Popen(
        [PROGRAM, "demo", "--data", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert told.stdout is not None and told.stderr is not None
    with told.stdout, told.stderr:
        try:
            shop, look = told.stdout.readline(), told.stdout.readline()
            found = re.fullmatch(r"Look at it meanwhile: (http://127\.0\.0\.1:\d+)/, and as the public: (\S+)\n", look)
            assert shop.startswith("The shop listens on 127.0.0.1:") and found is not None, look
            assert told.stdout.readline() == "\n"
            while "poll" not in told.stdout.readline():  # by then it listens
                assert told.poll() is None
            for url, word in ((f"{found[1]}/services", "shop"), (found[2], "The shop")):
                with urllib.request.urlopen(url, timeout=60) as answer:
                    assert answer.status == 200 and word in answer.read().decode()
            told.send_signal(signal.SIGINT)
            assert told.wait(timeout=30) == 0
            assert told.stdout.read().rstrip().endswith("Ended before the story was over.")
            assert "Traceback" not in (said := told.stderr.read()) and "Warning" not in said
        finally:
            told.kill()
            told.wait()

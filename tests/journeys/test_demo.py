"""The main job as a newcomer sees it, on the real clock and real sockets, and that the core alone decided it."""

import subprocess
from pathlib import Path

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

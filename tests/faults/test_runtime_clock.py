"""The machine's wall clock set by an hour under a real process: seen as a step, and no run more or fewer for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service_monitoring.domain.instants import HOUR, MILLISECOND, SECOND

LIBRARY = next(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: Debian's package faketime")
@pytest.mark.parametrize(("step", "delta"), [("+1h", HOUR), ("-1h", -HOUR)])
def test_a_real_step_of_the_wall_clock_by_an_hour_is_seen_and_moves_no_run(
    step: str, delta: int, tmp_path: Path, project: Path
) -> None:
    wish = tmp_path / "faketime"
    wish.write_text("+0")
    environment = os.environ | {
        "LD_PRELOAD": str(LIBRARY),
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_TIMESTAMP_FILE": str(wish),
    }
    command = [sys.executable, "-m", "tests.faults.stepping", step]
    run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["kinds"] == ["Stepped"]
    assert abs(seen["moved"] - delta) < 30 * SECOND
    # As many slots as intervals passed on the monotonic clock: what a busy machine was late for is skipped and counted.
    intervals = round((seen["ticks"][-1] - seen["ticks"][0]) / (100 * MILLISECOND)) + 1
    assert intervals >= 8
    assert abs(len(seen["ticks"]) + seen["skipped"] - intervals) <= 2

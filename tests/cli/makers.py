"""What processes make of a rehearsal, in a module that costs them next to nothing to import."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from service_monitoring.rehearsal.rehearsed import Rehearsed


def dies(rehearsed: Rehearsed) -> None:
    """What want of memory does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def number_of_decisions(rehearsed: Rehearsed) -> int:
    return len(rehearsed.decisions)


def waits_for_ever(rehearsed: Rehearsed) -> None:
    """A rehearsal that takes longer than anybody waits; says in a folder that it began."""
    Path(os.environ["BEGUN"], str(os.getpid())).touch()
    threading.Event().wait()

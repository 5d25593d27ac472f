"""The machine that a command runs on: its clock, and where a program listens on it for its owner.

Knows no more, so that a command which asks a running program starts at once.
"""

from __future__ import annotations

from pathlib import Path

from service_monitoring.runtime.clock import SystemClock
from service_monitoring.ticks import Clock


def the_clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


def socket_in(folder: Path) -> Path:
    """Where the program that has this data folder open listens for its owner."""
    return folder / "control.sock"

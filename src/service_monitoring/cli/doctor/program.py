"""The running program: whether one has the folder open, answers its owner, and still judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from service_monitoring.cli import client, show
from service_monitoring.cli.doctor import folder as folders
from service_monitoring.cli.doctor.findings import Finding, fine, wrong
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import MonitoringError
from service_monitoring.ports import Clock

LONGEST_PATH: Final = 104
"""Bytes that a path of a Unix socket may have everywhere."""
SILENT: Final = Duration(MINUTE)
"""How long after its last decision or sign of life a program is not well: it leaves one every five seconds."""
_PATIENCE: Final = 5.0


def look(folder: Path, socket: Path, clock: Clock) -> list[Finding]:
    """Everything about the program that should be running."""
    found: list[Finding] = []
    if len(bytes(socket)) > LONGEST_PATH:
        why = "the commands speak to the program through it"
        found.append(wrong("socket", f"the path {socket} is too long", why, "name a shorter folder at store.path"))
    holder = folders.holder(folder)
    if holder is None:
        if socket.exists():
            found.append(fine("socket", f"{socket} was left by a program that died; the next start replaces it"))
        return [*found, fine("program", "none is running: service-monitoring run starts it")]
    try:
        answer = client.ask(socket, "GET", "/api/v1/status", patience=_PATIENCE)
    except MonitoringError as error:
        why = "commands cannot reach it, and it may be hanging"
        remedy = f"when it is not just starting or stopping, end the process {holder} and start it again"
        return [*found, wrong("program", f"the process {holder} has the folder open, but {error}", why, remedy)]
    return [*found, *well(answer, holder, clock.now())]


def well(answer: dict[str, Any], holder: str, now: Instant) -> list[Finding]:
    """What the program's own status says, seen at `now`."""
    found = [
        wrong("program", str(trouble), "the program itself says so", "see its log and service-monitoring status")
        for trouble in answer["trouble"]
    ]
    judged = Instant.parse(answer["judged_until"])
    apart = now.since(judged)
    if apart > SILENT:
        what = f"the process {holder} answers, but judged last {show.roughly(apart)} ago"
        why = "nothing that has happened since was seen"
        found.append(wrong("program", what, why, "see its log; start it again"))
    elif apart < -5 * SECOND:
        what = f"it judged {show.roughly(Duration(-apart))} ahead of this clock"
        why = "the clock of this machine went back"
        found.append(wrong("program", what, why, "synchronise the clock: timedatectl set-ntp on"))
    return found or [fine("program", f"the process {holder} runs and answers")]

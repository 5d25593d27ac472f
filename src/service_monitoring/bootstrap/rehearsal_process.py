"""The process of one rehearsal that somebody asked for in a browser: from a request in a folder to results beside it.

Knows the request, the results, and how to take less of the machine than whoever polls. Reads a history, writes into its
own folder, and reaches nothing else. It says how far it has come in lines of standard output, and ends when its
standard input does: then nobody is left who would take what it makes.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from service_monitoring.bootstrap import rehearsing
from service_monitoring.bootstrap.machine import the_clock
from service_monitoring.bootstrap.ranges import Range
from service_monitoring.bootstrap.rehearsal_requests import LEDGERS, PAGE, REFUSED, REPORT, REQUEST, Heard, Request
from service_monitoring.bootstrap.rehearsing import Past, Variant
from service_monitoring.domain.instants import MILLISECOND, Duration, Instant
from service_monitoring.errors import MonitoringError, Refused
from service_monitoring.rehearsal.difference import difference_of
from service_monitoring.rehearsal.figures import figures_of
from service_monitoring.rehearsal.page import html_of
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.report import report_of
from service_monitoring.rehearsal.viewing import view_of
from service_monitoring.views.rehearsals import MOST_SAMPLES
from service_monitoring.wire.codec import decode, encode
from service_monitoring.wire.ledger import ledger

MOST_MEMORY: Final = 2 * 1024**3
"""Bytes of memory; of a small machine a half."""

_POLITE: Final = 10
_FIRST_TO_GO: Final = "900"
"""Where memory runs out, this one is ended and not the monitor."""
_SAY_EVERY: Final = Duration(200 * MILLISECOND)


def main(folder: Path) -> int:
    """Rehearse what the folder asks for; the exit code."""
    _step_back(folder)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        _rehearse(folder)
    except MonitoringError as error:
        sys.stderr.write(str(error))
        return REFUSED
    return 0


def _rehearse(folder: Path) -> None:
    request = decode(Request, (folder / REQUEST).read_bytes())
    span = Range(request.since, request.until)
    sides = [request.before] if request.after is None else [request.before, request.after]
    variants = [Variant(side, rehearsing.whole, request.assumption) for side in sides]
    made = rehearsing.rehearse(Past(request.data), span, variants, jobs=1, heard=_Told(span, len(sides)).hear)
    _write(folder, request, made)


def _write(folder: Path, request: Request, made: list[Rehearsed]) -> None:
    before, after = made[0], made[1] if len(made) > 1 else None
    difference = None
    if after is not None:
        difference = difference_of(before, after, names=(request.title, "the changed file"))
    figures = figures_of(before)
    view = view_of(figures, None if after is None else figures_of(after), difference)
    page = html_of(report_of(figures, difference=difference), title=request.title)
    (folder / PAGE).write_text(page, encoding="utf-8")
    (folder / LEDGERS["before"]).write_bytes(ledger(before.decisions))
    if after is not None:
        (folder / LEDGERS["after"]).write_bytes(ledger(after.decisions))
    (folder / REPORT).write_bytes(encode(view))


class _Told:
    """Says how far a rehearsal has come, a few times a second; refuses one that takes more than it may."""

    def __init__(self, span: Range, sides: int) -> None:
        self._span = span
        self._sides = sides
        self._clock = the_clock()
        self._said = self._clock.tick()
        self._most = min(MOST_MEMORY, psutil.virtual_memory().total // 2)

    def hear(self, number: int, at: Instant, samples: int) -> None:
        """One word of progress."""
        if samples > MOST_SAMPLES:
            raise Refused(f"there are more than {MOST_SAMPLES:,} samples in this range: rehearse a shorter one")
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > self._most:
            most = f"{self._most / 1024**3:.1f} GiB"
            raise Refused(
                f"this needs more than the {most} of memory that a rehearsal may take: rehearse a shorter range"
            )
        now = self._clock.tick()
        if now.since(self._said) < _SAY_EVERY and at < self._span.until:
            return
        self._said = now
        length = max(1, self._span.until.since(self._span.since))
        share = (number + min(1.0, max(0.0, at.since(self._span.since) / length))) / self._sides
        sys.stdout.buffer.write(encode(Heard(round(share, 4), at, samples)) + b"\n")
        sys.stdout.buffer.flush()


def _step_back(folder: Path) -> None:
    """Take less of the machine than anybody else, and put temporary files where they are removed with the rest."""
    tempfile.tempdir = str(folder)
    os.nice(_POLITE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")


def _end_with_the_parent() -> None:
    # Not through `sys.stdin`, whose lock would be held for ever.
    with suppress(OSError):
        os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""`run`: the program on a person's own file, until Ctrl-C or SIGTERM.

Knows the terminal's side of it. Does not know what runs.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path

from service_monitoring import bootstrap
from service_monitoring.bootstrap.logs import configure_logs
from service_monitoring.cli import USUAL
from service_monitoring.settings import Redactor, Settings


def run(config: Path, level: str) -> None:
    """Blocks until the program has ended in order."""
    # A start makes millions of values and hardly a cycle among them; looking for some would take half as long again.
    # The program lets the collector go on once everything is there.
    gc.disable()
    gc.set_threshold(*USUAL)
    # By default it would kill. Whoever asks for a reload before the program listens loses nothing: a file that was
    # changed since it was read is found by its content.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = bootstrap.load(config)
    configure_logs(level, Redactor(settings.secrets))
    for remark in (*settings.not_yet, *settings.warnings):
        sys.stderr.write(f"{remark}\n")
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    async with bootstrap.opened(settings, bootstrap.the_clock()) as program:
        await program.run()

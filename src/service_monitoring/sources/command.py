"""The kind `command`: a program that is run and judged by its exit code, as plugins of Nagios are.

Knows what exit codes and output mean; how a process is started and ended with all that it started is `processes`.

    0           ok
    1, 2        failed(exit_code): a plugin's warning and critical; rules tell them apart by the metric `exit_code`
    3           failed(exit_code): the plugin could not tell. `unknown` would be no samples at all, and a check that is
                asked wrongly would be silent for ever; whoever runs Icinga is told of it too
    others      failed(exit_code); a signal counts as 128 and its number, as in a shell
    not started unknown(internal_error): a program that is missing here says nothing about the service
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from service_monitoring.domain.samples import Observation, Reason
from service_monitoring.errors import Refused
from service_monitoring.ports import Deadline, Surroundings
from service_monitoring.processes import Command, Privileges, Starters, StartingThreads, clean_environment, signal_name
from service_monitoring.settings import Secret
from service_monitoring.settings.programs import Arguments, VariableName
from service_monitoring.sources import perfdata
from service_monitoring.sources.phases import Failed, Phases, observed

OWN: Final = frozenset({"up", "duration_seconds", "exit_code"})
"""Metrics that this kind measures itself."""

SPARE: Final = 2
"""Seconds of processor time beyond the deadline."""

_MEANINGS: Final = {1: "warning", 2: "critical", 3: "the plugin could not tell"}


class Options(BaseModel):
    """Keys of a check of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Arguments = Field(description="the program and its arguments, as a list; no shell is involved")
    directory: Path | None = Field(None, description="where it runs; where this program runs otherwise")
    environment: dict[VariableName, str] = Field({}, description="variables it gets besides PATH, LANG and LC_ALL")
    secret_environment: dict[VariableName, Secret] = Field({}, description="more of them, which nothing ever shows")
    new_privileges: Privileges = Field("refuse", description="allow: programs like sudo may change who runs")


class CommandSource:
    """Runs a program. For one loop, one attempt at a time; nothing that it started outlives an attempt."""

    def __init__(self, options: Options, *, surroundings: Surroundings, threads: StartingThreads) -> None:
        self._options = options
        secrets = {name: secret.reveal() for name, secret in options.secret_environment.items()}
        self._environment = clean_environment(options.environment, secrets)
        self._surroundings = surroundings
        self._threads = threads

    async def probe(self, deadline: Deadline) -> Observation:
        """One attempt, under the laws of `ports.Source`."""
        return await observed(self._surroundings.clock, deadline, self._attempt)

    async def _attempt(self, phases: Phases) -> str:
        program = self._options.command[0]
        phases.doing = f"starting {program}"
        seconds = math.ceil(phases.remaining) + SPARE
        started = Command(self._options.command, self._environment, self._options.directory, seconds)
        process = await self._threads.started(started)
        phases.doing = f"waiting for {program}"
        try:
            await process.finished()
        finally:
            await process.end(self._threads)
        if process.flooded:
            raise Failed(Reason.TOO_LARGE, f"{program} prints without end; it was stopped")
        if process.code is None:
            raise RuntimeError(f"{program} has exited and left no exit code")
        phases.complete()
        code = process.code if process.code >= 0 else 128 - process.code
        phases.measure("exit_code", code)
        said, data = perfdata.split(process.output)
        phases.add(perfdata.measurements(data, taken=OWN))
        if code != 0:
            raise Failed(Reason.EXIT_CODE, _why(process.code, said))
        return said


def _why(code: int, said: str) -> str:
    if code < 0:
        how = f"it was killed by {signal_name(code)}"
    else:
        how = f"exit code {code}" + (f" ({_MEANINGS[code]})" if code in _MEANINGS else "")
    return f"{how}: {said}" if said else how


class Kind:
    """Checks by commands. Its sources share the threads that start them."""

    name = "command"
    options: type[Any] = Options

    def __init__(self) -> None:
        self._starters = Starters()

    def open_source(self, options: Options, *, surroundings: Surroundings) -> CommandSource:
        """A source for one check; never blocks. Starts nothing yet. `Refused` on systems other than Linux."""
        if not sys.platform.startswith("linux"):
            raise Refused("command: only Linux can end a command with all that it started; run this check there")
        threads = self._starters.threads(options.new_privileges)
        return CommandSource(options, surroundings=surroundings, threads=threads)

    async def close(self) -> None:
        """Let the threads end. Attempts that are still going on are for their callers to cancel, before this."""
        self._starters.close()

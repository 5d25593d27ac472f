"""The kind `command`: a program of one's own that is run for each notice.

It reads the object of `content` as JSON from its standard input, and gets the variables of `VARIABLES`. Knows what exit
codes mean for a notice; how a process is started and ended with all that it started is `processes`.

    0            accepted
    75           later: EX_TEMPFAIL of sysexits.h, as programs that deliver mail say it
    others       rejected
    a signal     uncertain, like one that is ended at the deadline or prints without end: it may have told somebody
    not started  rejected where the program is missing or no program; later where this machine has no room for it

What it prints is told with a refusal and is otherwise thrown away.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from service_monitoring.domain.instants import in_seconds
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import Refused
from service_monitoring.ports import (
    Accepted,
    Answer,
    Deadline,
    Later,
    Message,
    Rejected,
    Surroundings,
    Uncertain,
)
from service_monitoring.processes import (
    Command,
    Privileges,
    Process,
    Starters,
    StartingThreads,
    clean_environment,
    signal_name,
)
from service_monitoring.settings import Redactor, Secret
from service_monitoring.settings.programs import Arguments, VariableName
from service_monitoring.sinks.content import content
from service_monitoring.sinks.posting import canonical
from service_monitoring.views.digests import foremost, worst
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import article

VARIABLES: Final = ("NOTICE_KEY", "NOTICE_THREAD", "NOTICE_SUBJECT", "NOTICE_PAGE", "NOTICE_SEVERITY")
"""What a program is told in its environment; all else is in the object."""

SPARE: Final = 2
"""Seconds of processor time beyond the deadline."""

_LONGEST_SUBJECT: Final = 1000
_NEVER: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.E2BIG}
)


class Options(BaseModel):
    """Keys of a channel of this kind: those of a check of the same name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Arguments = Field(description="the program and its arguments, as a list; no shell is involved")
    directory: Path | None = Field(None, description="where it runs; where this program runs otherwise")
    environment: dict[VariableName, str] = Field({}, description="variables it gets besides PATH, LANG and LC_ALL")
    secret_environment: dict[VariableName, Secret] = Field({}, description="more of them, which nothing ever shows")
    new_privileges: Privileges = Field("refuse", description="allow: programs like sudo may change who runs")


class Kind:
    """Channels by commands. Its sinks share the threads that start them. Belongs to one loop."""

    name = "command"
    options: type[Any] = Options

    def __init__(self) -> None:
        self._starters = Starters()

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> CommandSink:
        """A sink that runs one program; starts nothing yet. `Refused` on systems other than Linux."""
        if not sys.platform.startswith("linux"):
            raise Refused("command: only Linux can end a command with all that it started; use another channel")
        threads = self._starters.threads(options.new_privileges)
        return CommandSink(options, threads, surroundings)

    async def close(self) -> None:
        """Let the threads end. Sends that are still going on are for their callers to cancel, before this."""
        self._starters.close()


class CommandSink:
    """A `ports.Sink` that runs a program for each notice. Several may run at once; nothing outlives a send."""

    def __init__(self, options: Options, threads: StartingThreads, surroundings: Surroundings) -> None:
        self._options = options
        self._threads = threads
        self._clock = surroundings.clock
        self._template = surroundings.template
        self._links = surroundings.links
        secrets = options.secret_environment
        revealed = {name: secret.reveal() for name, secret in secrets.items()}
        self._environment = clean_environment(options.environment, revealed)
        self._redact = Redactor(secrets.values())

    def render(self, notice: Notice) -> Message:
        """The object as canonical JSON, and the variables that it takes a parser to find there."""
        words = article(notice, self._template)
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=words.headline,
            body=canonical(content(foremost(notice), words, self._links(notice, notice.channel))),
            content_type="application/json",
            headers=(("NOTICE_PAGE", notice.page.value), ("NOTICE_SEVERITY", worst(notice).value)),
            degraded=words.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """Run the program once; its exit code is the answer."""
        program = self._options.command[0]
        remaining = in_seconds(deadline.remaining(self._clock.tick()))
        started = Command(
            self._options.command,
            {**self._environment, **_variables(message)},
            self._options.directory,
            math.ceil(remaining) + SPARE,
            message.body.encode("utf-8", "replace"),
        )
        try:
            async with asyncio.timeout(remaining):
                return self._answered(await self._run(started), program)
        except TimeoutError:
            # Also where it was only being started: it may have come further than anybody saw.
            return Uncertain(self._told(f"{program} was ended: it took longer than {remaining:.3g} s"))
        except OSError as error:
            said = self._told(f"{program} cannot be started: {error.strerror or error}")
            return Rejected(said) if error.errno in _NEVER else Later(said)

    async def _run(self, command: Command) -> Process:
        process = await self._threads.started(command)
        try:
            await process.finished()
        finally:
            await process.end(self._threads)
        return process

    def _answered(self, process: Process, program: str) -> Answer:
        code, said = process.code, process.output
        if process.flooded:
            return Uncertain(self._told(f"{program} prints without end; it was stopped"))
        if code is None or code < 0:
            how = "it left no exit code" if code is None else f"it was killed by {signal_name(code)}"
            return Uncertain(self._told(f"{how}: {said}"))
        if code == 0:
            return Accepted(self._told(f"exit code 0: {said}"))
        told = self._told(f"exit code {code}: {said}")
        return Later(told) if code == os.EX_TEMPFAIL else Rejected(told)

    def _told(self, text: str) -> str:
        return one_line(self._redact(text).strip()).rstrip(": ")[:300]


def _variables(message: Message) -> dict[str, str]:
    """One line each: no zero byte can be in a variable, and no line break should be where a script prints it."""
    given = {
        "NOTICE_KEY": message.key,
        "NOTICE_THREAD": message.thread,
        "NOTICE_SUBJECT": message.subject[:_LONGEST_SUBJECT],
        **dict(message.headers),
    }
    return {name: one_line(value) for name, value in given.items()}

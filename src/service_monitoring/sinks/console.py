"""The kind `console`: a notice as one line of text on standard output.

Knows lines and where they go. A terminal that nobody reads (a full pipe, output held with Ctrl-S) must not stop the
program, so a line is written only where it will be taken at once.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from service_monitoring.domain.notices import Notice
from service_monitoring.ports import (
    NO_TEMPLATE,
    Accepted,
    Answer,
    Deadline,
    Later,
    Message,
    Rejected,
    Surroundings,
    Template,
)
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import article

LONGEST_LINE: Final = 2048
"""Bytes of a line: what a pipe that is ready takes whole without blocking is at least 4096 (PIPE_BUF)."""

Writer = Callable[[str], None]
"""Takes a line with its end, without blocking; `BlockingIOError` where it cannot now, `OSError` where it never will."""


class Options(BaseModel):
    """Keys of a channel of this kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    console: Literal[True] = Field(description="true: notices are printed on standard output")


class Kind:
    """Opens sinks that write with `write`, standard output unless told otherwise."""

    name = "console"
    options = Options

    def __init__(self, write: Writer | None = None) -> None:
        self._write = write or to_standard_output

    def open_sink(self, options: Options, *, surroundings: Surroundings) -> Console:
        """A sink that prints."""
        return Console(self._write, surroundings.template)

    async def close(self) -> None:
        """There is nothing to let go of."""


class Console:
    """A `ports.Sink` that writes one line a notice. Never waits, so it cannot be cancelled half-way."""

    def __init__(self, write: Writer, template: Template = NO_TEMPLATE) -> None:
        self._write = write
        self._template = template

    def render(self, notice: Notice) -> Message:
        """When it was decided, what it is, and its runbook, or the text of the channel's template in place of that.

        Nothing in it can move a terminal's cursor.
        """
        said = article(notice, self._template)
        more = said.text if said.complete else said.runbook
        line = f"{str(notice.decided_at)[:19]}Z {said.headline}" + (f" - {more}" if more else "")
        return Message(
            key=notice.key,
            thread=notice.thread,
            subject=said.headline,
            body=_cut(one_line(line)),
            degraded=said.degraded,
        )

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        """Print it: later where nobody reads just now, never where the output is closed."""
        try:
            self._write(f"{_cut(one_line(message.body))}\n")
        except BlockingIOError:
            return Later("the output takes nothing: nobody reads it")
        except (OSError, ValueError) as error:
            return Rejected(f"the output is closed ({error})")
        return Accepted()


def to_standard_output(line: str) -> None:
    """Write one line to file descriptor 1 if it will be taken whole at once; `BlockingIOError` if not."""
    ready = select.poll()
    ready.register(1, select.POLLOUT)
    if not ready.poll(0):
        raise BlockingIOError("standard output takes nothing just now")
    os.write(1, line.encode("utf-8", "replace"))


def _cut(line: str) -> str:
    content = line.encode("utf-8", "replace")
    return line if len(content) <= LONGEST_LINE else content[: LONGEST_LINE - 4].decode(errors="ignore") + " ..."

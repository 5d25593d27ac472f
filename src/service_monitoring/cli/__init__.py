"""The command line: what a person types, and exit codes. Importing it loads nothing that a `--help` does not need.

Exit codes: 0 done; 1 the answer is bad (complaints, faults found, a failed check or demonstration); 2 usage;
3 the data folder cannot be used; 4 not now (no program answers, nothing can be stored); 5 refused or not found;
130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DONE, BAD_ANSWER, USAGE, UNUSABLE, UNAVAILABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Form(Enum):
    """For whom an answer is written."""

    HUMAN = "human"
    JSON = "json"


def main() -> None:
    """Run the command of `sys.argv`; never returns."""
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output()), sys.stdout.encoding, errors="replace", line_buffering=sys.stdout.isatty()
    )
    code: object = _run()
    try:
        sys.stdout.flush()
    except _EnoughError:
        pass
    except OSError as error:
        code = _say(error, UNAVAILABLE)
    sys.exit(code if isinstance(code, int) else DONE if code is None else BAD_ANSWER)


def _run() -> object:
    """The exit code of the command; whatever it raises on purpose is one sentence on stderr."""
    from service_monitoring.cli.app import app
    from service_monitoring.errors import MonitoringError, Unavailable, Unusable

    try:
        app()
    except SystemExit as end:
        return end.code
    except Unusable as error:
        return _say(error, UNUSABLE)
    except Unavailable as error:
        return _say(error, UNAVAILABLE)
    except MonitoringError as error:
        return _say(error, REFUSED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


class _EnoughError(SystemExit):
    """Whoever read our output has seen enough: no fault, and whatever the command had begun is left in order."""


class _Output(io.FileIO):
    """Standard output. Libraries turn a broken pipe into exit code 1, each in its own way; none sees it here."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)

    def write(self, content: ReadableBuffer, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
            raise _EnoughError(DONE) from None


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"service-monitoring: {error}\n")
    return code

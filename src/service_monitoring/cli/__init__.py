"""The command line: what a person types, and exit codes. Importing it loads nothing that a `--help` does not need.

Exit codes: 0 done; 1 the answer is bad (complaints, faults found, a failed check or demonstration); 2 usage;
3 the data folder cannot be used; 4 not now (no program answers, nothing can be stored); 5 refused or not found;
130 interrupted.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DONE, BAD_ANSWER, USAGE, UNUSABLE, UNAVAILABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

USUAL: Final = gc.get_threshold()
"""How eagerly garbage is collected where a program stays for long."""
_SELDOM: Final = 50_000


class Form(Enum):
    """For whom an answer is written."""

    HUMAN = "human"
    JSON = "json"


class More(Enum):
    """Whether a list has what is usually left out: incidents of drafts, silences that have ended."""

    LEFT_OUT = "left out"
    SHOWN = "shown"


class Typed(Enum):
    """Where a password comes from."""

    TERMINAL = "terminal"
    INPUT = "input"


def main() -> None:
    """Run the command of `sys.argv`; never returns."""
    # What a command makes stays until its end, and hardly a cycle is among it: to look for some as often as usual takes
    # a tenth of its time.
    gc.set_threshold(_SELDOM, *USUAL[1:])
    # NumPy's linear algebra, which nothing here uses, would start a thread for each core before the first command.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output()), sys.stdout.encoding, errors="replace", line_buffering=sys.stdout.isatty()
    )
    code: object = _run()
    try:
        sys.stdout.flush()
    except _EnoughError as enough:
        code = code or enough.code
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
    """Nothing more can be printed. What the command had begun is left in order."""


class _Output(io.FileIO):
    """Standard output. A reader that has seen enough is no fault: libraries turn that into 1, each in its own way."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)

    def write(self, content: ReadableBuffer, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            # What is still in the buffer goes nowhere, or the interpreter would complain of it at its end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
            if error.errno == errno.EPIPE:
                raise _EnoughError(DONE) from None
            raise _EnoughError(_say(error, UNAVAILABLE)) from None


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"service-monitoring: {error}\n")
    return code

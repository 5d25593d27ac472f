"""Logs: one line an event on standard error, with every secret of the configuration struck out by value.

Knows structlog, and loads it with the first line: a start has nothing to say, and would wait half a second for it. Does
not know what is logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from service_monitoring.settings import Redactor

_waiting: Final[list[Callable[[], None]]] = []
"""What the first line has to do before."""
_redact: Final[list[Redactor]] = []
"""The one in force."""


def configure_logs(level: str, redact: Redactor) -> None:
    """Log from `level` on: for people on a terminal, as JSON elsewhere; line ends in values are escaped."""
    number = logging.getLevelNamesMapping()[level.upper()]
    strike_out(redact)
    _waiting[:] = [lambda: _configure(number)]


def strike_out(redact: Redactor) -> None:
    """Strike these secrets out of every line from now on, in place of those before."""
    _redact[:] = [redact]


def log() -> Any:
    """The logger of this program. The first call imports structlog: it blocks."""
    import structlog  # noqa: PLC0415 - as the module says

    while _waiting:
        _waiting.pop()()
    return structlog.get_logger("service_monitoring")


def announce(sentence: str) -> None:
    """Say what a person has to read now. Blocks.

    On a terminal it stands alone in plain words: lines of the log run on, and this one has to be found again. Elsewhere
    it is a warning like others, as whoever reads those reads events and nothing between them.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"\n{sentence[:1].upper()}{sentence[1:]}\n\n")
        sys.stderr.flush()
    else:
        log().warning(sentence)


def _configure(level: int) -> None:
    import structlog  # noqa: PLC0415 - as the module says

    def struck(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        [redact] = _redact
        return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}

    terminal = sys.stderr.isatty()
    render = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            struck,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )

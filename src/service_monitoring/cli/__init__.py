"""The command line: what a person types, and exit codes. Importing it loads nothing that a `--help` does not need.

Exit codes: 0 done; 1 the answer is bad (complaints, faults found, a failed check or demonstration); 2 usage;
3 the data folder cannot be used; 4 not now (no program answers, nothing can be stored); 5 refused or not found.
"""

from __future__ import annotations

import sys

BAD_ANSWER, USAGE, UNUSABLE, UNAVAILABLE, REFUSED, INTERRUPTED = 1, 2, 3, 4, 5, 130


def main() -> None:
    """Run the command of `sys.argv`; never returns."""
    from service_monitoring.cli.app import app  # noqa: PLC0415 - the import is the work
    from service_monitoring.errors import MonitoringError, Unavailable, Unusable  # noqa: PLC0415

    try:
        app()
    except Unusable as error:
        _say(error, UNUSABLE)
    except Unavailable as error:
        _say(error, UNAVAILABLE)
    except MonitoringError as error:
        _say(error, REFUSED)
    except BrokenPipeError:
        # Whoever read our output has enough of it; that is no fault.
        sys.stderr.close()
        sys.exit(0)


def _say(error: Exception, code: int) -> None:
    print(f"service-monitoring: {error}", file=sys.stderr)
    sys.exit(code)

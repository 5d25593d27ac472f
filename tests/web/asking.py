"""Asks an API for all that its description allows and for what it does not, as Schemathesis makes it up.

A program: `asking.py URL TOKEN FOLDER EXAMPLES [PHASE...]` prints what was wrong, and its exit code is 1 then.
"""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

KNOWN = {"path.service": "shop", "path.rule": "many", "path.rota": "first", "query.service": "shop"}
"""What there is: of names that are made up, there is nothing."""


def asked(url: str, token: str, folder: Path, examples: int, phases: list[str]) -> Iterator[str]:
    """Ask everything; what was wrong, a text each."""
    config = SchemathesisConfig.from_dict(
        {
            "headers": {"Authorization": f"Bearer {token}"},
            "generation": {"max-examples": examples, "deterministic": True, "database": "none", "no-shrink": True},
            "phases": {phase: {"enabled": phase in phases} for phase in ("coverage", "stateful")},
            "parameters": KNOWN,
            # What a length of time or a matcher looks like is said in words there: not each text is one.
            "checks": {"positive_data_acceptance": {"enabled": False}},
            "continue-on-failure": True,
            "request-timeout": 30.0,
        }
    )
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)

    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        # Backups are written where it is asked for: here, in this folder alone.
        if case.path == "/api/v1/backup" and isinstance(case.body, dict) and isinstance(case.body.get("file"), str):
            name = case.body["file"].encode(errors="replace").hex()[:40]
            case.body = {**case.body, "file": str(folder / f"{name}.tar")}

    for event in from_schema(schema.exclude(path="/api/v1/events")).execute():  # that one has no end
        yield from _wrong(event)


def _wrong(event: Any) -> Iterator[str]:
    if isinstance(event, events.ScenarioFinished):
        for check in chain.from_iterable(event.recorder.checks.values()):
            if (found := check.failure_info) is not None:
                said = f"{found.failure.title}: {found.failure.message}"
                yield f"{event.recorder.label}: {said}\n{found.code_sample}"
    elif isinstance(event, events.NonFatalError):
        yield f"{event.label}: {event.value}"
    elif isinstance(event, events.FatalError):
        yield str(event.exception)


if __name__ == "__main__":
    url, token, folder, examples, *phases = sys.argv[1:]
    wrong = list(asked(url, token, Path(folder), int(examples), phases))
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))

"""Requests of rehearsals: what the program and the process of one say to each other, and in which files.

Knows shapes and names alone.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import Instant
from service_monitoring.rehearsal.assumed import Assumption

REQUEST: Final = "request.json"
REPORT: Final = "report.json"
PAGE: Final = "page.html"
LEDGERS: Final = {"before": "before.jsonl", "after": "after.jsonl"}
RESULTS: Final = (REPORT, PAGE, *LEDGERS.values())
REFUSED: Final = 3
"""The exit code when the complaint is a sentence for whoever asked."""


class Request(Struct, frozen=True):
    """All that the process needs to know. Without `after` one side is rehearsed."""

    data: str
    title: str
    since: Instant
    until: Instant
    before: Configuration
    after: Configuration | None = None
    assumption: Assumption | None = None


class Heard(Struct, frozen=True):
    """How far it has come: the share of all, the simulated instant, and the samples of this side."""

    share: float
    at: Instant
    samples: int

"""The report: everything that is said of a rehearsal, as one document for programs.

Knows the parts and their order. Does not know how people see them (`page`).
"""

from __future__ import annotations

from msgspec import Struct

from service_monitoring.rehearsal.difference import Difference
from service_monitoring.rehearsal.disturbed import Disturbed
from service_monitoring.rehearsal.figures import Figures
from service_monitoring.rehearsal.judging import Judgement
from service_monitoring.rehearsal.sweep import Sweep
from service_monitoring.wire.codec import encode


class Report(Struct, frozen=True):
    """A rehearsal, and what was asked for besides; None is what was not."""

    rehearsal: Figures
    difference: Difference | None = None
    sweep: Sweep | None = None
    judgement: Judgement | None = None
    disturbed: Disturbed | None = None


def report_of(
    rehearsal: Figures,
    *,
    difference: Difference | None = None,
    sweep: Sweep | None = None,
    judgement: Judgement | None = None,
    disturbed: Disturbed | None = None,
) -> Report:
    """The parts of one report."""
    return Report(rehearsal, difference, sweep, judgement, disturbed)


def as_json(report: Report) -> bytes:
    """The document: instants as RFC 3339 in UTC, lengths of time in seconds. Equal rehearsals, equal bytes."""
    return encode(report)

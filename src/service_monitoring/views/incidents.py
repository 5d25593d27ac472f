"""An incident in a list, as faces show it, and what lists are narrowed to: shapes alone, for whoever lists them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.rules import Severity


class IncidentRow(Struct, frozen=True):
    """One incident in a list. Instants are RFC 3339; `resolved_at` is the end, however it came.

    `acknowledged_until` is when an acknowledgement in force expires, None where it does not; `acknowledged_by` is whose
    it is, or was.
    """

    id: str
    service: str
    rule: str
    series: str
    severity: str
    state: str
    opened_at: str | None
    acknowledged_at: str | None
    resolved_at: str | None
    summary: str
    acknowledged_until: str | None
    draft: bool
    assigned_to: str
    acknowledged_by: str = ""


class Narrow(Struct, frozen=True):
    """Which incidents a list is narrowed to; what is empty narrows nothing.

    `text` is part of the service, the rule, the series or the id, whatever its case. An incident counts by the first
    breach that it began with: from `since` to before `until`. `open_at` leaves those that were open at that instant.
    """

    rule: str = ""
    severities: tuple[Severity, ...] = ()
    text: str = ""
    since: Instant | None = None
    until: Instant | None = None
    open_at: Instant | None = None


EVERY: Final = Narrow()
"""Narrowed to nothing."""

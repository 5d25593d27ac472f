"""An incident in a list, as faces show it: the shape alone, for the desk and for whatever else lists incidents."""

from __future__ import annotations

from msgspec import Struct


class IncidentRow(Struct, frozen=True):
    """One incident in a list. Instants are RFC 3339; `resolved_at` is the end, however it came.

    `acknowledged_until` is when an acknowledgement in force expires, None where it does not.
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

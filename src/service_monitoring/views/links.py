"""Links in notices: what whoever holds one may look at and do.

Knows the shapes in which such questions are answered. Does not know HTTP, nor how a link is told from a forged one.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from service_monitoring.views.incidents import IncidentRow


class Offer(Struct, frozen=True):
    """One act on one incident, as it is now; `refusal` says why the act is not possible any more, or nothing."""

    act: str
    incident: IncidentRow
    refusal: str = ""


class LinkDesk(Protocol):
    """What a link opens.

    Both are `NotFound` for what is no link of ours, `Expired` for one that is too old, `TooMuch` when too many came.
    """

    async def look(self, token: str) -> Offer:
        """What the link offers; nothing changes, however often it is asked."""
        ...

    async def use(self, token: str, by: str) -> IncidentRow:
        """Do it, as somebody who may have said a name; the incident as it is then.

        `Refused` with a sentence where it is not possible any more, `Unavailable` when it cannot be stored now.
        """
        ...

"""The board of services: how each is now, the shapes in which that is asked and answered, and the port behind them.

Knows values ready for JSON. Does not know where they come from: a projection of what was committed (`projection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.uptime import Condition
from service_monitoring.errors import Refused
from service_monitoring.views.incidents import IncidentRow

MOST_ROWS: Final = 200
"""Rows of one page."""
MOST_MATCHERS: Final = 8
"""Matchers that are asked for at once."""

WORST_FIRST: Final = (
    Condition.DOWN,
    Condition.DEGRADED,
    Condition.UNKNOWN,
    Condition.MAINTENANCE,
    Condition.UP,
)


class Sort(StrEnum):
    """In which order services are listed; within a condition by name."""

    CONDITION = "condition"
    NAME = "name"


class Wanted(Struct, frozen=True):
    """Which services are asked for: `text` in name, labels or description, in one of `conditions`, with these labels.

    `after` is `further` of the page before; `Refused` where it is of none.
    """

    text: str = ""
    conditions: tuple[Condition, ...] = ()
    matchers: tuple[Matcher, ...] = ()
    sort: Sort = Sort.CONDITION
    after: str = ""
    limit: int = 100


class CheckRow(Struct, frozen=True):
    """A check with its newest observation: `at` is when it was heard, None where it never was.

    `outcome` is `ok`, `failed` or `unknown`, that of a job its last signal. `current` says whether it still counts.
    """

    check: str
    kind: str
    outcome: str
    reason: str
    duration_seconds: float | None
    at: str | None
    current: bool


class OpenRow(Struct, frozen=True):
    """An incident of a service that is open or acknowledged."""

    id: str
    rule: str
    series: str
    severity: str
    state: str
    opened_at: str | None


class ServiceRow(Struct, frozen=True):
    """One service as it is now. `since` is when what it is so by began: the first incident, the silence, the window.

    That of a service that is up is the end of its last incident, None where none is known. `maintenance` names planned
    work that is going on. `unacknowledged` counts incidents that nobody has taken on.
    """

    service: str
    description: str
    labels: dict[str, str]
    condition: str
    since: str | None
    maintenance: str
    unacknowledged: int
    incidents: tuple[OpenRow, ...]
    checks: tuple[CheckRow, ...]


class ServicePage(Struct, frozen=True):
    """A page of services. `matched` counts all pages; `further` asks for the next one, and is empty on the last.

    Each service that does not change while it is paged through is on one page exactly.
    """

    services: tuple[ServiceRow, ...]
    matched: int
    further: str


class OnCallRow(Struct, frozen=True):
    """Who is on call by a rota now; None where nobody is. `until` is when that changes, as far as it is foreseen."""

    rota: str
    person: str | None
    until: str | None


class WorkRow(Struct, frozen=True):
    """Planned work that is going on, and how many services are in it as a whole."""

    name: str
    until: str | None
    services: int
    comment: str


class Overview(Struct, frozen=True):
    """What somebody who comes in wants to see first.

    `conditions` counts services. `needed` are incidents that nobody has taken on, the most severe first, then the
    oldest, some of `unacknowledged`; `acknowledged` counts those that somebody has. `parked` counts notices that
    reached nobody; `trouble` is what the monitor says of itself; `lately` are incidents that ended last.
    """

    at: str
    services: int
    checks: int
    conditions: dict[str, int]
    unacknowledged: dict[str, int]
    acknowledged: int
    needed: tuple[IncidentRow, ...]
    parked: int
    trouble: tuple[str, ...]
    oncall: tuple[OnCallRow, ...]
    work: tuple[WorkRow, ...]
    lately: tuple[IncidentRow, ...]


class BoardDesk(Protocol):
    """How services are now.

    Shows what was committed, at most two seconds late, and never what was not. What changes by time alone (an
    observation grows too old, planned work begins) is right to a second.
    """

    async def services(self, wanted: Wanted) -> ServicePage:
        """A page of them."""
        ...

    async def service(self, name: str) -> ServiceRow:
        """One of them; `NotFound`."""
        ...

    async def labels(self) -> Mapping[str, int]:
        """The names of labels that services have, with how many have each, the most frequent first; some of many."""
        ...

    async def overview(self) -> Overview:
        """What is to be seen first."""
        ...


def place_of(condition: Condition, name: str, sort: Sort) -> str:
    """What asks for the page after this service."""
    return name if sort is Sort.NAME else f"{condition}:{name}"


def place(after: str, sort: Sort) -> tuple[Condition, str]:
    """The condition and the name after which a page begins; `Refused` where that is no place."""
    if sort is Sort.NAME or not after:
        return WORST_FIRST[0], after
    condition, colon, name = after.partition(":")
    if not colon or condition not in frozenset(Condition):
        raise Refused("after: this is no place in a list; take `further` of the page before")
    return Condition(condition), name

"""Status pages: what anybody may see of services, made of public data alone.

Knows the shapes that are shown. There is no field in them for a rule, a value, a reason, a host, a person or a text
that somebody wrote into an incident: what is not here cannot be shown by mistake.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from service_monitoring.domain.uptime import Condition
from service_monitoring.views.days import DayRow


class PublicState(StrEnum):
    """How a service is, in the words of status pages."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded"
    OUTAGE = "outage"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


STATES: Final = {
    Condition.UP: PublicState.OPERATIONAL,
    Condition.DEGRADED: PublicState.DEGRADED,
    Condition.DOWN: PublicState.OUTAGE,
    Condition.MAINTENANCE: PublicState.MAINTENANCE,
    Condition.UNKNOWN: PublicState.UNKNOWN,
}


class ServiceStatus(Struct, frozen=True):
    """A service under its public name. `uptime` is a share of 0 to 1, None where nothing is known of those days."""

    name: str
    slug: str
    state: PublicState
    uptime: float | None
    days: tuple[DayRow, ...]


class GroupStatus(Struct, frozen=True):
    """Services that stand together; `name` is empty for those without a group."""

    name: str
    services: tuple[ServiceStatus, ...]


class PublicIncident(Struct, frozen=True):
    """A service did not work, or not well, without a pause: however many rules said so, it is one. `id` is of no other.

    `state` is the worst that it was. Instants are RFC 3339 to the second; `ended_at` is None while it goes on.
    """

    id: str
    service: str
    slug: str
    state: PublicState
    summary: str
    began_at: str
    ended_at: str | None


class PublicWork(Struct, frozen=True):
    """Planned work on services of the page."""

    name: str
    services: tuple[str, ...]
    begins_at: str
    ends_at: str
    now: bool


class StatusView(Struct, frozen=True):
    """A page as it is at an instant: `complete` is false while the days of a program that just started are counted."""

    page: str
    title: str
    description: str
    url: str
    at: str
    state: PublicState
    headline: str
    history_days: int
    complete: bool
    groups: tuple[GroupStatus, ...]
    open: tuple[PublicIncident, ...]
    work: tuple[PublicWork, ...]
    past: tuple[PublicIncident, ...]


class HistoryView(Struct, frozen=True):
    """The incidents of one month (`2026-01`, UTC), the latest first; the months beside it, where there are any."""

    page: str
    title: str
    month: str
    earlier: str | None
    later: str | None
    incidents: tuple[PublicIncident, ...]


class StatusDesk(Protocol):
    """What anybody may ask. Answers are kept for some seconds, and the same object is given meanwhile."""

    async def page(self, name: str) -> StatusView:
        """A page; `NotFound`, in the same words for whatever is not a page."""
        ...

    async def history(self, name: str, month: str) -> HistoryView:
        """Its incidents of a month, of the current one where `month` is empty; `NotFound`."""
        ...


def uptime_share(days: tuple[DayRow, ...]) -> float | None:
    """The share of the time that is known, planned work left out, in which a service worked, well or not so well."""
    worked = sum(day.up + day.degraded for day in days)
    whole = worked + sum(day.down for day in days)
    return worked / whole if whole > 0 else None


def percent(share: float) -> str:
    """A share as text, rounded down: what was down for a second was not up all the time."""
    if share >= 1:
        return "100 %"
    return f"{int(share * 100_000) / 1000:.3f}".rstrip("0").rstrip(".") + " %"


def sentence(name: str, state: PublicState, *, over: bool) -> str:
    """What is wrong with a service, or was, for those who use it."""
    if state is PublicState.OUTAGE:
        return f"{name} {'was not working' if over else 'is not working'}"
    return f"{name} {'was degraded' if over else 'is degraded'}"


def overall(states: list[PublicState]) -> tuple[PublicState, str]:
    """How all is together, and the headline that says so."""
    whole, out = len(states), states.count(PublicState.OUTAGE)
    if out:
        words = "All services are not working" if out == whole else _some(out, whole, "not working")
        return PublicState.OUTAGE, words
    if slow := states.count(PublicState.DEGRADED):
        return PublicState.DEGRADED, _some(slow, whole, "degraded")
    if unseen := states.count(PublicState.UNKNOWN):
        words = "The state of all services is unknown" if unseen == whole else "The state of some services is unknown"
        return PublicState.UNKNOWN, words
    if PublicState.MAINTENANCE in states:
        return PublicState.MAINTENANCE, "Planned work is under way"
    return PublicState.OPERATIONAL, "All services are operational"


def _some(number: int, whole: int, how: str) -> str:
    return f"{number} of {whole} services {'is' if number == 1 else 'are'} {how}"

"""Planned work as faces show it: each maintenance of the configuration with the windows that are near.

Knows the shapes of answers and when windows are. Does not know where the configuration comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import DAY, Duration, Instant, in_seconds
from service_monitoring.domain.maintenance import Maintenance, Window, length_of, window_at, windows
from service_monitoring.domain.matchers import all_hold, matcher_text

AHEAD: Final = Duration(370 * DAY)
"""How far windows are looked for: what comes once a year is found."""

MOST_AHEAD: Final = 3
"""Windows of each that are named."""


class Occurrence(Struct, frozen=True):
    """One window, from `begins` to before `ends`."""

    begins: str
    ends: str


class MaintenanceRow(Struct, frozen=True):
    """One maintenance: its windows are `seconds` long; `current` is the one that it is in, `ahead` are the next.

    Of a flexible one these are the windows in which it may begin, for `lasts_after_failure` seconds from the first
    failure. `incidents` counts those that are open and that it matches, while a window is on.
    """

    name: str
    matchers: tuple[str, ...]
    comment: str
    seconds: float
    lasts_after_failure: float | None
    current: Occurrence | None
    ahead: tuple[Occurrence, ...]
    incidents: int


def maintenance_row(maintenance: Maintenance, at: Instant, labels: Iterable[Mapping[str, str]]) -> MaintenanceRow:
    """A maintenance as it is at an instant; `labels` are those of the incidents that are open."""
    current = window_at(maintenance, at)
    coming = (each for each in windows(maintenance, at, at.plus(AHEAD)) if each[0] > at)
    after = maintenance.after_failure
    return MaintenanceRow(
        name=maintenance.name,
        matchers=tuple(matcher_text(each) for each in maintenance.matchers),
        comment=maintenance.comment,
        seconds=in_seconds(length_of(maintenance)),
        lasts_after_failure=None if after is None else in_seconds(after),
        current=None if current is None else _occurrence(current),
        ahead=tuple(_occurrence(each) for _, each in zip(range(MOST_AHEAD), coming, strict=False)),
        incidents=0 if current is None else sum(all_hold(maintenance.matchers, each) for each in labels),
    )


def _occurrence(window: Window) -> Occurrence:
    return Occurrence(str(window[0]), str(window[1]))

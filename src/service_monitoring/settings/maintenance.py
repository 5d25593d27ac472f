"""Maintenance: planned work as people write it, as the domain asks for it.

Knows which keys go together, and turns each into a value with every moment in its zone. Does not know when anything is.
"""

from __future__ import annotations

from typing import Final

from service_monitoring.domain import calendar
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.maintenance import Maintenance, Once, When
from service_monitoring.domain.schedules import Cron, Monthly, Weekly
from service_monitoring.errors import Refused
from service_monitoring.settings.calendars import moment_of_day, weekday
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.problems import shown
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, MaintenanceShape

_SORTS: Final = ("once", "weekly", "monthly", "cron", "rrule")


def read_maintenances(shape: FileShape, reading: Reading) -> tuple[Maintenance, ...]:
    """All planned work, in the order of the file."""
    found: list[Maintenance] = []
    names: dict[str, int] = {}
    for index, given in enumerate(shape.maintenance):
        path: KeyPath = ("maintenance", index)
        if names.setdefault(given.name, index) != index:
            reading.complain((*path, "name"), f"the name {given.name} stands here twice", "choose another")
        made = _maintenance(given, shape.timezone, path, reading)
        if made is not None:
            found.append(made)
    return tuple(found)


def _maintenance(shape: MaintenanceShape, timezone: str, path: KeyPath, reading: Reading) -> Maintenance | None:
    """One of them, or None after complaining."""
    said = reading.said
    sorts = [sort for sort in _SORTS if getattr(shape, sort) is not None]
    if len(sorts) != 1:
        problem = f"{' and '.join(sorts)} do not go together" if sorts else "nothing says when it is"
        reading.complain(path, problem, f"write one of {', '.join(_SORTS)}")
    else:
        _check_lengths(shape, path, reading)
        if shape.starts is not None and shape.rrule is None:
            reading.complain((*path, "starts"), f"{sorts[0]} counts from no beginning", "remove it")
    if reading.said != said:
        return None
    when = _when(shape, shape.timezone or timezone, path, reading)
    if when is None:
        return None
    lasts = shape.lasts or Duration(0)
    window = (shape.within or Duration(0)) if shape.flexible else lasts
    return Maintenance(
        name=shape.name,
        matchers=shape.match,
        when=when,
        lasts=Duration(0) if isinstance(when, Once) else window,
        comment=shape.comment,
        after_failure=lasts if shape.flexible else None,
    )


def _check_lengths(shape: MaintenanceShape, path: KeyPath, reading: Reading) -> None:
    """How long it lasts, and how long its window is."""
    if shape.lasts is None:
        if shape.once is None or shape.flexible:
            reading.complain(path, "lasts is missing", "add lasts: 1h")
    elif shape.lasts <= 0:
        reading.complain((*path, "lasts"), "it would be over at once", "write lasts: 1h")
    elif shape.once is not None and not shape.flexible:
        remedy = "remove lasts, or write flexible: true"
        reading.complain((*path, "lasts"), "from and until say how long it is", remedy)
    if shape.within is None:
        if shape.flexible and shape.once is None:
            reading.complain(path, "nothing says within which time it may begin", "add within: 4h")
    elif not shape.flexible:
        reading.complain((*path, "within"), "its beginning is known", "remove within, or write flexible: true")
    elif shape.once is not None:
        reading.complain((*path, "within"), "from and until say when it may begin", "remove within")
    elif shape.within <= 0:
        reading.complain((*path, "within"), "it could never begin", "write within: 4h")


def _when(shape: MaintenanceShape, zone: str, path: KeyPath, reading: Reading) -> When | None:
    """When it is, or None after complaining."""
    if shape.once is not None:
        once = Once(
            calendar.local_instant(shape.once.begins, zone),
            calendar.local_instant(shape.once.ends, zone),
        )
        if once.ends <= once.begins:
            reading.complain((*path, "once", "until"), "this is not after its beginning", "write a later moment")
        return once
    if shape.weekly is not None:
        day, clock = shape.weekly.split(maxsplit=1)
        return Weekly(zone, weekday(day), moment_of_day(clock))
    if shape.monthly is not None:
        day, clock = shape.monthly.split(maxsplit=1)
        return Monthly(zone, 0 if day == "last" else int(day), moment_of_day(clock))
    if shape.cron is not None:
        return Cron(shape.cron, zone)
    assert shape.rrule is not None
    try:
        return calendar.recurrence(shape.rrule, shape.starts, zone)
    except Refused as refused:
        remedy = "write FREQ=WEEKLY;BYDAY=SU;BYHOUR=3, and starts: 2026-01-04 where it counts"
        reading.complain((*path, "rrule"), f"{shown(shape.rrule)} is of no use here: {refused}", remedy)
        return None

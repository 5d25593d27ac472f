"""Maintenance: planned work, announced in the configuration, during which nobody is told.

Knows when a maintenance is, and for which labels, as half-open windows of UTC. Does not know zones (`calendar`), what
is held back because of one (`routing`), nor which incidents there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from service_monitoring.domain import calendar
from service_monitoring.domain.instants import NANOSECOND, Duration, Instant
from service_monitoring.domain.matchers import Matcher, all_hold
from service_monitoring.domain.schedules import Cron, Monthly, Recurrence, Weekly

Window = tuple[Instant, Instant]
"""From an instant to before another."""


class Once(Struct, frozen=True, tag="once"):
    """From one instant to before another."""

    begins: Instant
    ends: Instant


When = Once | Weekly | Monthly | Recurrence | Cron


class Maintenance(Struct, frozen=True):
    """Planned work on whatever all `matchers` hold for; on everything, where there are none.

    What recurs has windows that begin when local time reaches the moment that is meant, and end `lasts` of real time
    later. A flexible one, with `after_failure`, does not fill its window: it begins at the first failure within it, and
    lasts so long from there, be that within the window or beyond.
    """

    name: str
    matchers: tuple[Matcher, ...]
    when: When
    lasts: Duration = Duration(0)
    comment: str = ""
    after_failure: Duration | None = None


def length_of(maintenance: Maintenance) -> Duration:
    """How long one window is."""
    when = maintenance.when
    return when.ends.since(when.begins) if isinstance(when, Once) else maintenance.lasts


def windows(maintenance: Maintenance, since: Instant, until: Instant) -> Iterator[Window]:
    """The windows that overlap [since, until), whole, in the order of their beginnings; they may overlap each other.

    Of a flexible one these are the windows in which it may begin.
    """
    when = maintenance.when
    if until <= since:
        return
    if isinstance(when, Once):
        if when.begins < until and when.ends > since:
            yield when.begins, when.ends
        return
    begin = calendar.next_begin(when, since.plus(Duration(-maintenance.lasts)))
    while begin is not None and begin < until:
        yield begin, begin.plus(maintenance.lasts)
        begin = calendar.next_begin(when, begin)


def window_at(maintenance: Maintenance, at: Instant) -> Window | None:
    """The window that `at` is in, of several the one that begins last."""
    when = maintenance.when
    if isinstance(when, Once):
        return (when.begins, when.ends) if when.begins <= at < when.ends else None
    # All windows of one are of the same length: the one that began last ends last.
    begin = calendar.last_begin(when, at)
    return (begin, begin.plus(maintenance.lasts)) if begin is not None and at.since(begin) < maintenance.lasts else None


def flexible_window(maintenance: Maintenance, window: Window, failed_at: Instant) -> Window | None:
    """What becomes of a window of a flexible maintenance when the first failure in it, or before and still on, is then.

    What had failed before counts from the window's beginning. None where it failed after the window's end.
    """
    if maintenance.after_failure is None:
        return window
    begins = max(window[0], failed_at)
    return (begins, begins.plus(maintenance.after_failure)) if begins < window[1] else None


def in_maintenance(
    maintenances: Iterable[Maintenance], labels: Mapping[str, str], at: Instant, *, failed_at: Instant | None = None
) -> Maintenance | None:
    """The first maintenance of the configuration that these labels are in at an instant.

    A flexible one needs to be told since when it fails (`failed_at`), without a pause up to `at`; without that it does
    not hold.
    """
    for maintenance in maintenances:
        if all_hold(maintenance.matchers, labels) and _holds(maintenance, at, failed_at):
            return maintenance
    return None


def covers(maintenance: Maintenance, own: Mapping[str, str]) -> bool:
    """Whether it is about a whole service, of which these are the labels: no matcher asks for a label of another."""
    known = all(matcher.label in own for matcher in maintenance.matchers)
    return known and all_hold(maintenance.matchers, own)


def maintained(
    maintenance: Maintenance, since: Instant, until: Instant, failures: Iterable[Window]
) -> Iterator[Window]:
    """When it held in [since, until): `failures` are the stretches in which what it is about failed.

    A flexible one holds once in each of its windows, from the first failure on.
    """
    if maintenance.after_failure is None:
        yield from windows(maintenance, since, until)
        return
    failed = sorted(failures)
    for window in windows(maintenance, since.plus(Duration(-maintenance.after_failure)), until):
        first = next((each for each in failed if each[1] > window[0]), None)
        held = None if first is None else flexible_window(maintenance, window, first[0])
        if held is not None and held[0] < until and held[1] > since:
            yield held


def _holds(maintenance: Maintenance, at: Instant, failed_at: Instant | None) -> bool:
    if maintenance.after_failure is None:
        return window_at(maintenance, at) is not None
    if failed_at is None:
        return False
    back = at.plus(Duration(-maintenance.after_failure))
    # It may outlast its window: every window is asked that may reach as far as `at`.
    held = (flexible_window(maintenance, each, failed_at) for each in windows(maintenance, back, at.plus(NANOSECOND)))
    return any(each is not None and each[0] <= at < each[1] for each in held)

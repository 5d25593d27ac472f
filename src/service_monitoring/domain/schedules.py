"""Schedules as values: when a job is expected to report, what begins again and again, at which hours a rule is awake.

Knows what people wrote. What a schedule means at an instant, zones and DST included, is asked of `calendar`.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from service_monitoring.domain.instants import Duration


class Cron(Struct, frozen=True, tag="cron"):
    """Five fields of cron by Debian's rules, in a zone."""

    expression: str
    zone: str


class Period(Struct, frozen=True, tag="period"):
    """Once in every so much time, counted from the report before."""

    every: Duration


Schedule = Cron | Period


class Weekly(Struct, frozen=True, tag="weekly"):
    """Once a week, on a day (0 is Monday) and at a minute after midnight, local time."""

    zone: str
    weekday: int
    minute: int


class Monthly(Struct, frozen=True, tag="monthly"):
    """Once a month, at a minute after midnight of a day; 0 is the last. A month that lacks the day is left out."""

    zone: str
    day: int
    minute: int


class Recurrence(Struct, frozen=True, tag="recurrence"):
    """A rule of RFC 5545 that is counted from `starts`, seconds of local time since 1970-01-01T00:00."""

    zone: str
    rule: str
    starts: int


Recurring = Cron | Weekly | Monthly | Recurrence
"""What begins again and again at moments of local time."""


class Failing(StrEnum):
    """What may be wrong with a job that reports: a rule counts some of them."""

    MISSED = "missed"
    LATE = "late"
    FAILED = "failed"
    OVERRAN = "overran"


class Expectation(Struct, frozen=True):
    """A job is expected by its schedule, `grace` late at most; where it is given, a run lasts `max_runtime` at most."""

    schedule: Schedule
    grace: Duration
    max_runtime: Duration | None = None


class Span(Struct, frozen=True):
    """Hours of a day as minutes after midnight, local time; `until` before `since` goes over midnight."""

    since: int
    until: int


class ActiveHours(Struct, frozen=True):
    """Days of the week (0 is Monday) and hours of waking, in a zone. A span over midnight belongs to its first day."""

    zone: str
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    spans: tuple[Span, ...] = (Span(0, 24 * 60),)

"""Uptime: which part of a range of time a service was up, down, degraded, in maintenance, or nobody knows.

Knows stretches of time and which of them goes before which. Integers of nanoseconds throughout: the parts add up to the
range exactly. Does not know where stretches come from, nor what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.rules import Severity
from service_monitoring.errors import Refused

FOR_EVER: Final = 2**63 - 1
"""The end (ns) of what has none yet."""


class Condition(StrEnum):
    """How a service was. `UNKNOWN` and `MAINTENANCE` are shown, and never counted as up."""

    UP = "up"
    DOWN = "down"
    DEGRADED = "degraded"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


class Span(NamedTuple):
    """From `began` to before `ended`, in nanoseconds. One that ends before it begins is none."""

    began: int
    ended: int


class Spell(Struct, frozen=True):
    """For a while an incident was open with one severity."""

    severity: Severity
    span: Span


class Known(Struct, frozen=True):
    """What is known of one service: when incidents were open, nobody watched, and no check had a current observation.

    `maintenance` is when somebody had said that it would be worked on. Stretches may overlap, and reach beyond what is
    asked for.
    """

    spells: tuple[Spell, ...] = ()
    unwatched: tuple[Span, ...] = ()
    unheard: tuple[Span, ...] = ()
    maintenance: tuple[Span, ...] = ()


class Uptime(Struct, frozen=True):
    """How long a service was in each condition."""

    up: Duration = Duration(0)
    down: Duration = Duration(0)
    degraded: Duration = Duration(0)
    maintenance: Duration = Duration(0)
    unknown: Duration = Duration(0)

    @property
    def whole(self) -> Duration:
        """All of it."""
        return Duration(self.up + self.down + self.degraded + self.maintenance + self.unknown)


# What goes before what. That nobody watched goes before what was last known, also before an incident that was open on
# both sides of the gap; but a service whose checks fell silent while an incident was open is as down as it was.
_ORDER: Final = (
    Condition.MAINTENANCE,
    Condition.UNKNOWN,
    Condition.DOWN,
    Condition.UNKNOWN,
    Condition.DEGRADED,
)


def uptime(began: Instant, ended: Instant, known: Known) -> Uptime:
    """The length of each condition in [began, ended), which add up to it; `Refused` when that is no stretch of time."""
    if ended <= began:
        raise Refused(f"from {began} to {ended} is no stretch of time")
    lengths = dict.fromkeys(Condition, 0)
    for span, condition in timeline(began, ended, known):
        lengths[condition] += span.ended - span.began
    return Uptime(**{str(condition): Duration(length) for condition, length in lengths.items()})


def timeline(began: Instant, ended: Instant, known: Known) -> Iterator[tuple[Span, Condition]]:
    """The conditions of [began, ended) one after the other, without holes; no two neighbours are the same."""
    edges: list[tuple[int, int, int]] = []
    for layer, spans in enumerate(_layers(known)):
        for span in spans:
            first, last = max(span.began, began.ns), min(span.ended, ended.ns)
            if first < last:
                edges += ((first, layer, 1), (last, layer, -1))
    edges.sort()
    depth = [0] * len(_ORDER)
    since, condition = began.ns, Condition.UP
    for place, (at, layer, change) in enumerate(edges):
        depth[layer] += change
        if place + 1 < len(edges) and edges[place + 1][0] == at:
            continue
        now = next((_ORDER[each] for each, deep in enumerate(depth) if deep), Condition.UP)
        if now is not condition:
            if since < at:
                yield Span(since, at), condition
            since, condition = at, now
    if since < ended.ns:
        yield Span(since, ended.ns), condition


def _layers(known: Known) -> tuple[Iterable[Span], ...]:
    return (
        known.maintenance,
        known.unwatched,
        (spell.span for spell in known.spells if spell.severity is Severity.CRITICAL),
        known.unheard,
        (spell.span for spell in known.spells if spell.severity is Severity.WARNING),
    )


def spells_of(incident: Incident, moves: Sequence[tuple[Instant, Severity]]) -> Iterator[Spell]:
    """How long an incident was open with which severity. `moves` are its transitions, as far as they are still known.

    What is not told in them is taken as it is now. A draft counts for nothing, and so does what never opened.
    """
    if incident.draft or incident.opened_at is None:
        return
    ended = FOR_EVER if incident.ended_at is None else incident.ended_at.ns
    began, severity = incident.opened_at.ns, incident.severity
    before = [each for at, each in moves if at.ns <= began]
    rises = [(at.ns, each) for at, each in moves if began < at.ns < ended]
    if before:
        severity = before[-1]
    elif rises:
        severity = rises[0][1]
    for at, risen in rises:
        if risen is not severity:
            yield Spell(severity, Span(began, at))
            began, severity = at, risen
    yield Spell(severity, Span(began, ended))


def common(each: Sequence[Iterable[Span]]) -> tuple[Span, ...]:
    """When all of them are so at once: a service is unheard while none of its checks is heard.

    The spans of one do not overlap.
    """
    edges = sorted(
        (at, change)
        for spans in each
        for span in spans
        if span.began < span.ended
        for at, change in ((span.began, 1), (span.ended, -1))
    )
    found: list[Span] = []
    depth, since = 0, 0
    for at, change in edges:
        if depth == len(each) and since < at:
            if found and found[-1].ended == since:
                found[-1] = Span(found[-1].began, at)
            else:
                found.append(Span(since, at))
        depth += change
        since = at
    return tuple(found)

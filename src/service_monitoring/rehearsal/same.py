"""Sameness: which incidents of several rehearsals are one and the same trouble.

Knows episodes and when they were. Does not know what is made of it (`difference`, `sweep`). An incident's id follows
from its first breached sample, so that another threshold gives the same trouble another id: incidents of one rule on
one series are the same where they overlap in time, directly or through others that do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby

from msgspec import Struct

from service_monitoring.domain.instants import Instant


class Seen(Struct, frozen=True):
    """An incident as far as others are compared with it: from its first breached sample to before `ended`.

    `rule` is as `service.rule`; `labels` are those that it is routed by; of a draft nobody is told.
    """

    id: str
    rule: str
    series: str
    breached_at: Instant
    opened_at: Instant
    ended: Instant
    labels: dict[str, str]
    draft: bool = False
    in_warm_up: bool = False


class Trouble(Struct, frozen=True):
    """Incidents that are the same: for each rehearsal those that it has, in order."""

    rule: str
    series: str
    began: Instant
    ended: Instant
    seen: tuple[tuple[Seen, ...], ...]


def troubles(rehearsals: Sequence[Iterable[Seen]]) -> list[Trouble]:
    """What the incidents of several rehearsals come to, in the order of time; each incident is in exactly one."""
    every = [(each, number) for number, seen in enumerate(rehearsals) for each in seen]
    every.sort(key=lambda one: (one[0].rule, one[0].series, one[0].breached_at, one[0].ended, one[1]))
    found = [
        _trouble(together, len(rehearsals))
        for _, same in groupby(every, key=lambda one: (one[0].rule, one[0].series))
        for together in _overlapping(same)
    ]
    return sorted(found, key=lambda trouble: (trouble.began, trouble.rule, trouble.series))


class Timeline:
    """Incidents of one rule on one series, asked again and again which of them were at the same time as another."""

    def __init__(self, incidents: Iterable[Seen]) -> None:
        self._incidents = sorted(incidents, key=lambda each: each.breached_at)
        # The latest end so far never goes back, so that it can be searched, whatever overlaps what.
        self._ended = list(accumulate((each.ended for each in self._incidents), max))

    def beside(self, one: Seen) -> list[Seen]:
        """Those that overlap with one in time, in order; one that has its id does in any case."""
        found = []
        for each in self._incidents[bisect_left(self._ended, one.breached_at) :]:
            if each.breached_at > one.ended:
                break
            if each.id == one.id or (one.breached_at < each.ended and each.breached_at < one.ended):
                found.append(each)
        return found


def _overlapping(same: Iterable[tuple[Seen, int]]) -> Iterator[list[tuple[Seen, int]]]:
    together: list[tuple[Seen, int]] = []
    ended: Instant | None = None
    for each, number in same:
        if ended is not None and each.breached_at >= ended:
            yield together
            together, ended = [], None
        together.append((each, number))
        ended = each.ended if ended is None else max(ended, each.ended)
    if together:
        yield together


def _trouble(together: Sequence[tuple[Seen, int]], count: int) -> Trouble:
    first = together[0][0]
    return Trouble(
        rule=first.rule,
        series=first.series,
        began=first.breached_at,
        ended=max(each.ended for each, _ in together),
        seen=tuple(tuple(each for each, of in together if of == number) for number in range(count)),
    )

"""Row groups: which of them are read for which portion, so that each is read once and few are held at a time.

Knows their instants and sizes. Does not know what is in them, or how they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, TypeVar

from service_monitoring.storage.history.columns import Span


class Group(NamedTuple):
    """A row group: `rows` rows of file number `file`, from its row `first` on, at instants [low, high]."""

    file: int
    number: int
    first: int
    rows: int
    low: int
    high: int


class Extent(NamedTuple):
    """The instants [low, high] of the rows of file number `file`."""

    file: int
    rows: int
    low: int
    high: int


class Step(NamedTuple):
    """A portion that ends at `until`, once these groups are read beside what was left of earlier ones."""

    until: int
    groups: tuple[Group, ...]


Any = TypeVar("Any", Group, Extent)


def apart(each: Iterable[Any], least: int) -> Iterator[list[Any]]:
    """Bundles in time order, of at least `least` rows but for the last, that share no instant with one another."""
    bundle: list[Any] = []
    rows, high = 0, 0
    for one in sorted(each, key=lambda one: (one.low, one.file)):
        if bundle and one.low > high and rows + one.rows > least:
            yield bundle
            bundle, rows = [], 0
        high = max(high, one.high) if bundle else one.high
        bundle.append(one)
        rows += one.rows
    if bundle:
        yield bundle


def plan(groups: Sequence[Group], span: Span, *, aim: int, most: int) -> list[Step] | None:
    """Portions of about `aim` rows; None where more than `most` would have to be held at a time.

    A group that reaches beyond the end of a portion is kept for the next one.
    """
    steps: list[Step] = []
    fresh: list[Group] = []
    reaching: list[tuple[int, int]] = []  # of what is read by then, what reaches further: its end, and its rows
    rows = left = 0
    for group in sorted(groups, key=lambda group: (group.low, group.file, group.number)):
        while reaching and reaching[0][0] < group.low:
            left -= heappop(reaching)[1]
        if fresh and rows + group.rows > aim and left <= rows // 2 and group.low > span.since:
            steps.append(Step(group.low, tuple(fresh)))
            fresh, rows = [], left
        fresh.append(group)
        heappush(reaching, (group.high, group.rows))
        rows += group.rows
        left += group.rows
        if rows > most:
            return None
    if fresh:
        steps.append(Step(span.until, tuple(fresh)))
    return steps

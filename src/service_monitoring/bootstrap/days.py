"""Days of this installation: how services were on each of the last days, worked out from the store and kept.

A day that is over is worked out once, while the program runs: what is forgotten later does not change it, but after a
start a day whose samples are gone is unknown, as `uptime` has it. It is worked out anew when the checks or labels of
its service change, or planned work that touches it does. Reads no clock: it is as late as everything is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Final

from msgspec import Struct, field

from service_monitoring.bootstrap.figures import known_of
from service_monitoring.domain.configuration import Configuration, Service
from service_monitoring.domain.course import Course, Progress
from service_monitoring.domain.instants import DAY, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, covers, windows
from service_monitoring.domain.uptime import Condition, Known, timeline
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.runtime.reload import aside
from service_monitoring.runtime.turns import Turns
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.days import DayRow

MOST_DAYS: Final = 400
MOST_ROWS: Final = 200_000
"""Days of services that are kept: a few dozen megabytes at most."""
SETTLED: Final = Duration(5 * MINUTE)
"""A day is over so long after its end: a run that was under way then has been told by now."""
FRESH: Final = MINUTE
_PIECE: Final = 15
"""Days that are read at once: a read may take five seconds, and must leave room for others."""


class _Kept(Struct):
    """What is kept of one service: days by their number since 1970, and those that are not over as they were `at`."""

    days: dict[int, DayRow] = field(default_factory=dict)
    ahead: tuple[DayRow, ...] = ()
    at: int | None = None


class StoreDays:
    """`views.days.Days` over a store. Belongs to its loop; services are read one after the other, in reader threads.

    Cancelled, what was worked out so far is kept.
    """

    def __init__(self, store: SqliteStore, *, course: Callable[[], Course], most: int = MOST_ROWS) -> None:
        """`course` gives the course as it stands; at most so many rows are kept."""
        self._store = store
        self._course = course
        self._most = most
        self._configuration = Configuration()
        self._epoch, self._seen = 0, 0
        self._services: dict[str, Service] = {}
        self._kept: dict[str, _Kept] = {}
        self._one_at_a_time = Turns()

    async def days(self, services: Sequence[str], count: int) -> Mapping[str, tuple[DayRow, ...]]:
        """The last days of each, oldest first."""
        if not 0 < count <= MOST_DAYS:
            raise Refused(f"days are shown for 1 to {MOST_DAYS} days")
        found: dict[str, tuple[DayRow, ...]] = {}
        for name in dict.fromkeys(services):
            rows = await self._of(name, count)
            if rows:
                found[name] = rows
        return found

    async def _of(self, name: str, count: int) -> tuple[DayRow, ...]:
        rows = self._ready(name, count)
        if rows is None:
            # Who waits here for another's walk finds it done.
            async with self._one_at_a_time:
                while (rows := self._ready(name, count)) is None:
                    await self._walk(name, count)
                    self._bound(name)
        return rows

    def _ready(self, name: str, count: int) -> tuple[DayRow, ...] | None:
        """What is kept, where that is all that is asked for; nothing of a service that there is not."""
        self._follow()
        if name not in self._services:
            return ()
        kept, judged = self._kept.get(name), self._judged
        if kept is None or kept.at is None or not 0 <= judged - kept.at < FRESH:
            return None
        over, today = _over(judged), judged // DAY
        rows = [kept.days.get(day) for day in range(today - count + 1, over)]
        if None in rows or len(kept.ahead) != today - over + 1 or over != _over(kept.at):
            return None
        return (*(row for row in rows if row is not None), *kept.ahead)[-count:]

    async def _walk(self, name: str, count: int) -> None:
        """Work out what is missing. What was read while the configuration changed is not kept."""
        service, judged, revision = self._services[name], self._judged, self._configuration
        kept = self._kept.setdefault(name, _Kept())
        over, today = _over(judged), judged // DAY
        for day in [each for each in kept.days if each <= today - MOST_DAYS]:
            del kept.days[day]
        missing = [day for day in range(today - count + 1, over) if day not in kept.days]
        for first, after in _pieces(missing):
            rows = await self._read(service, first, after, Instant(after * DAY))
            if self._follow() is not revision:
                return
            kept.days.update(zip(range(first, after), rows, strict=True))
        rows = await self._read(service, over, today + 1, Instant(judged))
        if self._follow() is revision:
            kept.ahead, kept.at = tuple(rows), judged

    async def _read(self, service: Service, first: int, after: int, until: Instant) -> list[DayRow]:
        """The days from `first` to before `after`, as far as `until`; halves of them, where all at once take long."""
        began = Instant(first * DAY)
        if until <= began:
            return [_row(first, {}, 0)]
        if until.ns <= (after - 1) * DAY:
            return [*await self._read(service, first, after - 1, until), _row(after - 1, {}, 0)]
        try:
            known = await known_of(self._store, self._course(), service, began, until)
        except Unavailable:
            if after - first < 2:
                raise
            middle = (first + after) // 2
            left = await self._read(service, first, middle, Instant(middle * DAY))
            return left + await self._read(service, middle, after, until)
        return await aside(lambda: list(cut(began, until, known)))

    def _follow(self) -> Configuration:
        """Forget what another configuration says otherwise, and what the clock passes again; what is followed now."""
        course = self._course()
        now, epoch = course.configuration, course.progress.judged.epoch
        if epoch != self._epoch:
            self._set_back(course.progress)
        self._epoch, self._seen = epoch, course.progress.judged.at.ns
        if now is self._configuration:
            return now
        before, self._configuration = self._configuration, now
        self._services = {each.name: each for each in now.services}
        known = {each.name: each for each in before.services}
        for name in list(self._kept):
            was, service = known[name], self._services.get(name)
            if service is None or (was.checks, was.labels) != (service.checks, service.labels):
                del self._kept[name]
        differing = [each for each in before.maintenances if each not in now.maintenances]
        differing += [each for each in now.maintenances if each not in before.maintenances]
        for maintenance in differing:
            self._forget(maintenance)
        return now

    def _forget(self, maintenance: Maintenance) -> None:
        """Forget the days that planned work touches which is no more, or is new."""
        touches = lru_cache(None)(lambda day: _touches(maintenance, day))
        for name, kept in self._kept.items():
            if covers(maintenance, {**dict(self._services[name].labels), "service": name}):
                kept.at = None
                for day in [each for each in kept.days if touches(each)]:
                    del kept.days[day]

    def _set_back(self, progress: Progress) -> None:
        """Forget the days that come twice where the clock was set back since this was looked at last."""
        back = sum(max(0, -delta) for epoch, delta in progress.shifts if epoch > self._epoch)
        first = (self._seen - back) // DAY
        for kept in self._kept.values():
            kept.at = None
            for day in [each for each in kept.days if each >= first]:
                del kept.days[day]

    def _bound(self, name: str) -> None:
        """Let go of the services that were worked out longest ago, where there are too many rows."""
        self._kept[name] = self._kept.pop(name, _Kept())
        rows = sum(len(each.days) for each in self._kept.values())
        for other in list(self._kept):
            if rows <= self._most or other == name:
                return
            rows -= len(self._kept.pop(other).days)

    @property
    def _judged(self) -> int:
        return self._course().progress.judged.at.ns


def cut(began: Instant, until: Instant, known: Known) -> Iterator[DayRow]:
    """The days from the one that begins at `began` to the one that has come as far as `until`."""
    day, lengths = began.ns // DAY, dict.fromkeys(Condition, 0)
    for span, condition in timeline(began, until, known):
        since = span.began
        while since < span.ended:
            ends = min(span.ended, (day + 1) * DAY)
            lengths[condition] += ends - since
            since = ends
            if ends == (day + 1) * DAY or ends == until.ns:
                yield _row(day, lengths, ends - max(began.ns, day * DAY))
                day, lengths = day + 1, dict.fromkeys(Condition, 0)


def _row(day: int, lengths: Mapping[Condition, int], whole: int) -> DayRow:
    """A day of which nothing has passed yet is unknown."""
    shares = {str(condition): _share(length, whole) for condition, length in lengths.items()}
    none = dict.fromkeys(map(str, Condition), 0.0) | {"unknown": 1.0}
    return DayRow(_text(day), **(shares if whole else none))


def _share(length: int, whole: int) -> float:
    """Nearly all shares are all or nothing: one number stands for each."""
    if length in (0, whole):
        return 1.0 if length else 0.0
    return length / whole


@lru_cache(MOST_DAYS * 2)
def _text(day: int) -> str:
    return f"{datetime.fromtimestamp(day * DAY // SECOND, UTC):%Y-%m-%d}"


def _over(judged: int) -> int:
    """The first day that is not over."""
    return (judged - SETTLED) // DAY


def _pieces(days: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Days in a row, from one to before another, not many at once."""
    for _, run in groupby(enumerate(days), lambda each: each[1] - each[0]):
        row = [day for _, day in run]
        for place in range(0, len(row), _PIECE):
            part = row[place : place + _PIECE]
            yield part[0], part[-1] + 1


def _touches(maintenance: Maintenance, day: int) -> bool:
    """Whether planned work was on that day, or may have been after a failure."""
    more = maintenance.after_failure or Duration(0)
    return next(windows(maintenance, Instant(day * DAY - more), Instant((day + 1) * DAY)), None) is not None

"""Lines: what charts and tables of one service are read from: observations, series, and values by stretches of time.

Each read is bounded, in range and in number, and made by readers: nobody who writes ever waits for one. Long ranges
come from `tallies`, short ones and the newest samples from `samples.db`. Instants are those of the clock as it was set
when something was measured. Knows no rule.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Service
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Admitted, Stamp, Taken
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.maintenance import Maintenance
from service_monitoring.domain.uptime import Span
from service_monitoring.storage import recorded, watching
from service_monitoring.storage.readers import Readers
from service_monitoring.storage.samples import Metric, Recording
from service_monitoring.storage.tallies import MEASURED, PUSHED, WIDTH, Reached, Tallies, Tally
from service_monitoring.wire.codec import decode

MOST_RUNS: Final = 40_000
"""Runs of a check that one read looks at; in them a sample costs a microsecond each."""

_PUSHES: Final = "pushes INDEXED BY pushes_check"
_RUNS: Final = "observations INDEXED BY observations_check"


class Run(Struct, frozen=True):
    """Which series in [first, last) ns, by stretches of `width` ns. `late` is how long after it a push may come.

    `pushed` is whether its samples come by themselves.
    """

    check: int
    series: int
    pushed: bool
    within: tuple[int, int]
    width: int
    late: int = 0


class Read(Struct, frozen=True):
    """What was read, oldest first. `width` may be wider than was asked for; before `since` not everything was read."""

    tallies: Sequence[Tally]
    width: int
    since: int | None = None


class Around(Struct, frozen=True):
    """What else was in a range: incidents, the latest first, when nobody watched, and when planned work held."""

    incidents: tuple[Incident, ...]
    unwatched: tuple[Span, ...]
    maintained: tuple[Span, ...]


class _Cut(Enum):
    """What becomes of a range that holds more than one read looks at."""

    REFUSED = "nothing of it is read"
    TAKEN = "the newest of it is read"


class Lines:
    """Reads of one data folder. Belongs to its loop; never blocks it."""

    def __init__(self, facts: Readers, samples: Readers, tallies: Tallies, recording: Recording) -> None:
        self._facts = facts
        self._samples = samples
        self._tallies = tallies
        self._recording = recording
        self._names = recording.names

    def series(self, service: str, check: str) -> dict[Metric, int]:
        """The series that a check ever had, with their numbers."""
        number = self._names.check_ids.get((service, check))
        return {} if number is None else dict(self._names.series_ids.get(number, {}))

    def number(self, service: str, check: str) -> int:
        """The number of a check; 0 for one that never said anything."""
        return self._names.check_ids.get((service, check), 0)

    async def newest(self, service: str, checks: Iterable[str]) -> dict[str, Admitted]:
        """The newest run of each of these checks that has one."""
        names = self._names
        wanted = {check: names.check_ids[service, check] for check in checks if (service, check) in names.check_ids}

        def read(connection: sqlite3.Connection) -> dict[str, Admitted]:
            found = {check: recorded.runs(connection, names, number, limit=1) for check, number in wanted.items()}
            return {check: runs[0] for check, runs in found.items() if runs}

        return await self._samples.read(read)

    async def pushed_at(self, service: str, checks: Iterable[str]) -> dict[str, Instant]:
        """When something came last to each of these checks that are pushed to."""
        names = self._names
        wanted = {check: names.check_ids[service, check] for check in checks if (service, check) in names.check_ids}

        def read(connection: sqlite3.Connection) -> dict[str, Instant]:
            found: dict[str, Instant] = {}
            for check, number in wanted.items():
                row = connection.execute(
                    f"SELECT at FROM {_PUSHES} WHERE judged > 0 AND check_id = ? ORDER BY epoch DESC, at DESC LIMIT 1",
                    (number,),
                ).fetchone()
                if row is not None:
                    found[check] = Instant(row[0])
            return found

        return await self._samples.read(read)

    async def runs(self, service: str, check: str, *, before: Stamp | None, limit: int) -> list[Admitted]:
        """Runs of a check before a stamp, the newest first."""
        names, number = self._names, self._names.check_ids.get((service, check))
        if number is None:
            return []
        return await self._samples.read(lambda one: recorded.runs(one, names, number, limit=limit, before=before))

    async def line(self, run: Run) -> Read:
        """The values of one series. From samples where they are few, from tallies and the newest samples elsewhere."""
        epochs = sorted(self._recording.latest)
        fresh, since = await self._samples.read(lambda one: _samples(one, run, epochs, Reached(), _Cut.REFUSED))
        if since is None:
            return Read(fresh, run.width)
        width = -(-max(run.width, WIDTH) // WIDTH) * WIDTH
        within = (run.within[0] // width * width, -(-run.within[1] // width) * width)
        wide = Run(run.check, run.series, run.pushed, within, width, run.late)
        reached, tallied = await self._tallies.read(PUSHED if run.pushed else MEASURED, run.series, within, width)
        fresh, since = await self._samples.read(lambda one: _samples(one, wide, epochs, reached, _Cut.TAKEN))
        return Read(joined((*tallied, *fresh)), width, since)

    async def around(
        self, service: Service, within: Span, maintenances: Sequence[Maintenance], *, limit: int
    ) -> Around:
        """Incidents of a service that touch a range, at most so many, and what is hatched in its charts."""
        return await self._facts.read(lambda one: _around(one, service, within, maintenances, limit))


def joined(tallies: Iterable[Tally]) -> list[Tally]:
    """Tallies of equal places as one, in order."""
    found: dict[int, Tally] = {}
    for each in tallies:
        other = found.get(each.place)
        found[each.place] = (
            each
            if other is None
            else Tally(
                each.place,
                other.number + each.number,
                min(other.least, each.least),
                other.total + each.total,
                max(other.greatest, each.greatest),
                min(other.first, each.first),
                max(other.last, each.last),
            )
        )
    return [found[place] for place in sorted(found)]


def _samples(
    connection: sqlite3.Connection, run: Run, epochs: Sequence[int], reached: Reached, cut: _Cut
) -> tuple[list[Tally], int | None]:
    """What samples say of a line beyond what is tallied; and since when, where there is more than is looked at."""
    parts, since = _parts(connection, run, epochs, reached)
    if since is not None and cut is _Cut.REFUSED:
        return [], since
    table, runs, kept, at = (
        ("pushed", _PUSHES, f"r.judged > 0 AND s.mark = '{Taken.JUDGED}'", "s.measured_at")
        if run.pushed
        else ("samples", _RUNS, "1", "s.at")
    )
    alias, index = runs.split(" ", 1)
    found: list[Tally] = []
    for epoch, first, last in parts:
        rows = connection.execute(
            f"SELECT {at} / {run.width} * {run.width} AS place, count(*), min(s.value), total(s.value), max(s.value), "
            f"min({at}), max({at}) FROM {alias} r {index} CROSS JOIN {table} s ON s.epoch = +r.epoch AND s.at = +r.at "
            f"WHERE {kept} AND r.check_id = ? AND r.epoch = ? AND r.at >= ? AND r.at <= ? AND s.series_id = ? "
            f"AND {at} >= ? AND {at} < ? GROUP BY place ORDER BY place",
            (run.check, epoch, first, last, run.series, *run.within),
        ).fetchall()
        found += [Tally(*row) for row in rows]
    return joined(found), since


def _parts(
    connection: sqlite3.Connection, run: Run, epochs: Sequence[int], reached: Reached
) -> tuple[list[tuple[int, int, int]], int | None]:
    """Epochs, each with the first and last instant that is looked at, both included, from the newest back."""
    parts: list[tuple[int, int, int]] = []
    left = MOST_RUNS
    for epoch in reversed(epochs):
        first, last = run.within[0], run.within[1] - 1 + run.late
        if epoch < reached.epoch:
            break
        if epoch == reached.epoch:
            first = max(first, reached.at + 1)
        if first > last:
            continue
        table, kept = (_PUSHES, "judged > 0") if run.pushed else (_RUNS, "1")
        place = (run.check, epoch, first, last)
        within = f"FROM {table} WHERE {kept} AND check_id = ? AND epoch = ? AND at >= ? AND at <= ?"
        count = connection.execute(f"SELECT count(*) FROM (SELECT 1 {within} LIMIT ?)", (*place, left + 1)).fetchone()[
            0
        ]
        if count > left:
            row = connection.execute(f"SELECT at {within} ORDER BY at DESC LIMIT 1 OFFSET ?", (*place, left)).fetchone()
            return [*parts, (epoch, row[0] + 1, last)], row[0] + 1
        left -= count
        parts.append((epoch, first, last))
    return parts, None


def _around(
    connection: sqlite3.Connection, service: Service, within: Span, maintenances: Sequence[Maintenance], limit: int
) -> Around:
    eras = watching.eras(connection)
    rows = connection.execute(
        "SELECT body FROM incidents INDEXED BY incidents_service WHERE service = ? AND breached_at < ? "
        "AND opened_at IS NOT NULL AND (ended_at IS NULL OR ended_at > ?) ORDER BY breached_at DESC LIMIT ?",
        (service.name, within.ended, within.began, limit),
    ).fetchall()
    unwatched = _cut(watching.unwatched(connection, eras, within), within)
    maintained = watching.maintained_spans(connection, service, maintenances, eras, within)
    return Around(tuple(decode(Incident, body) for (body,) in rows), tuple(unwatched), tuple(_cut(maintained, within)))


def _cut(spans: Iterable[Span], within: Span) -> Iterator[Span]:
    for span in spans:
        began, ended = max(span.began, within.began), min(span.ended, within.ended)
        if began < ended:
            yield Span(began, ended)

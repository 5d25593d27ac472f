"""The samples of a data folder as columns, for rehearsing a long past of our own under another configuration.

Knows the tables of `samples.db`: what runs of checks measured, at their stamps, and what was pushed and judged, at its
own instants. Nothing else of the past is told: for people's acts, revisions and marks there is `own`. Reads page by
page and takes no lock; the program that owns the folder may be running. Blocks; for one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from service_monitoring.domain.inputs import Taken
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion
from service_monitoring.errors import NotFound
from service_monitoring.ports import Flaw
from service_monitoring.storage.failures import translated
from service_monitoring.storage.files import connect_reader, look
from service_monitoring.storage.folder import SAMPLES
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.aside import Aside
from service_monitoring.storage.history.columns import EARLIEST, LATEST, PORTION, Flaws, Place, Rows, Span
from service_monitoring.storage.migrate import refuse_newer
from service_monitoring.storage.samples import epochs
from service_monitoring.wire.codec import decode

_PAGE: Final = 50_000
_MEASURED: Final = (
    "SELECT at, ordinal, series_id, at, value FROM samples "
    "WHERE epoch = ? AND (at, ordinal) > (?, ?) AND at < ? ORDER BY at, ordinal LIMIT ?"
)
_PUSHED: Final = (
    "SELECT at, ordinal, series_id, measured_at, value FROM pushed "
    f"WHERE epoch = ? AND (at, ordinal) > (?, ?) AND at < ? AND mark = '{Taken.JUDGED}' ORDER BY at, ordinal LIMIT ?"
)


class OwnSamples:
    """Samples of a data folder, under the laws of `ports.SampleHistory`. Where epochs overlap, the first stands."""

    def __init__(self, folder: Path, *, aside: Path | None = None, aim: int = PORTION) -> None:
        self._path = folder / SAMPLES
        version = look(self._path)
        if version is None:
            raise NotFound(f"{folder} holds no history: there is no {SAMPLES}")
        refuse_newer(self._path, version)
        self._room, self._aim = aside, aim
        self._series: dict[int, Series] = {}
        self._flaws = Flaws()
        self._ordered: tuple[Span, Aside] | None = None
        try:
            self._connection = connect_reader(self._path)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def extent(self) -> tuple[Instant, Instant] | None:
        """The instants of the first and of the last sample."""
        bounds: list[int | None] = []
        try:
            for epoch in epochs(self._connection, "observations"):
                query = "SELECT min(at), max(at) FROM samples WHERE epoch = ?"
                bounds += self._connection.execute(query, (epoch,)).fetchone()
            query = "SELECT min(measured_at), max(measured_at) FROM pushed WHERE mark = ?"
            bounds += self._connection.execute(query, (Taken.JUDGED.value,)).fetchone()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        known = [at for at in bounds if at is not None]
        return (Instant(min(known)), Instant(max(known))) if known else None

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        """All samples in [since, until), in time order."""
        self._flaws = Flaws()
        span = Span(since.ns, until.ns)
        yield from self._aside(span).portions(span, self._flaws)

    def flaws(self) -> tuple[Flaw, ...]:
        """What could not be taken, since `portions` was last called. There are no lines."""
        return self._flaws.all()

    def close(self) -> None:
        """Let go of the file, and remove what was put in order aside."""
        self._connection.close()
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget(self) -> None:
        if self._ordered is not None:
            self._ordered[1].close()
            self._ordered = None

    def _aside(self, span: Span) -> Aside:
        """The samples within a span by time: two sorts of them, and epochs, may lie side by side."""
        if self._ordered is not None and self._ordered[0].since <= span.since and span.until <= self._ordered[0].until:
            return self._ordered[1]
        self._forget()
        known = self.extent()
        low, high = (known[0].ns, known[1].ns) if known else (0, 0)
        within = Span(max(span.since, low), max(min(span.until, high + 1), max(span.since, low) + 1))
        try:
            count = self._connection.execute("SELECT count(*) FROM samples").fetchone()[0]
            aside = Aside(self._room, within, count * (within.until - within.since) // (high + 1 - low), aim=self._aim)
            self._pour(aside, span)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        self._ordered = span, aside
        return aside

    def _pour(self, aside: Aside, span: Span) -> None:
        try:
            for epoch in epochs(self._connection, "observations"):
                self._pour_epoch(aside, _MEASURED, epoch, span)
            # What was pushed has the instant at which it was measured; when it came may be any time after.
            for epoch in epochs(self._connection, "pushes"):
                self._pour_epoch(aside, _PUSHED, epoch, Span(EARLIEST, LATEST))
        except BaseException:
            aside.close()
            raise

    def _pour_epoch(self, aside: Aside, query: str, epoch: int, span: Span) -> None:
        place = (span.since, -1)
        while page := self._connection.execute(query, (epoch, *place, span.until, _PAGE)).fetchall():
            aside.add(self._rows(page))
            place = page[-1][:2]

    def _rows(self, page: list[Any]) -> Rows:
        _, _, series, instants, values = zip(*page, strict=True)
        numbers, dense = np.unique(np.array(series, dtype=np.int64), return_inverse=True)
        starts, codes = columns.runs(dense)
        names = [self._named(number) for number in numbers.tolist()]
        place = Place(str(self._path), (0,), np.zeros(len(page), dtype=np.int64))
        return Rows(np.array(instants, dtype=np.int64), np.array(values), starts, codes, names, place)

    def _named(self, number: int) -> Series:
        if number not in self._series:
            query = (
                "SELECT s.id, c.service, c.name, s.metric, s.labels FROM series s JOIN checks c ON c.id = s.check_id "
                "WHERE s.id > ?"
            )
            for found, service, check, metric, labels in self._connection.execute(
                query, (max(self._series, default=0),)
            ).fetchall():
                self._series[found] = Series(service, check, metric, decode(tuple[tuple[str, str], ...], labels))
        return self._series[number]

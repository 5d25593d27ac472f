"""The recorded past of a data folder, for rehearsals and for comparing ledgers: inputs and decisions, in order.

Reads page by page, so that nothing is pinned in the write-ahead log while a reader takes its time. Takes no lock: the
program that owns the folder may be running.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from service_monitoring.domain.course import order_of
from service_monitoring.domain.events import Event
from service_monitoring.domain.inputs import Admitted, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import NotFound
from service_monitoring.storage import reading, recorded
from service_monitoring.storage.failures import translated
from service_monitoring.storage.files import connect_reader, look
from service_monitoring.storage.folder import FACTS, SAMPLES
from service_monitoring.storage.migrate import refuse_newer
from service_monitoring.storage.samples import Names

_PAGE: Final = 2_000
_INPUTS: Final = "journal WHERE place IS NOT NULL"


class History:
    """A data folder opened for reading. Blocks; use it from one thread at a time, and close it."""

    def __init__(self, folder: Path) -> None:
        for name in (FACTS, SAMPLES):
            path = folder / name
            version = look(path)
            if version is None:
                raise NotFound(f"{folder} holds no history: there is no {name}")
            refuse_newer(path, version)
        self._folder = folder
        try:
            self._facts, self._samples = connect_reader(folder / FACTS), connect_reader(folder / SAMPLES)
        except sqlite3.Error as error:
            raise translated(error, folder) from error

    @cached_property
    def _names(self) -> Names:
        """Of checks and series. There may be hundreds of thousands: who asks for the range alone needs none."""
        try:
            return Names(self._samples)
        except sqlite3.Error as error:
            raise translated(error, self._folder) from error

    def extent(self) -> tuple[Stamp, Stamp] | None:
        """The stamp of the first input, and how far decisions had come; None where nothing came in."""
        first = [row for connection, table in self._tables() for row in _outermost(connection, table, "ASC")]
        last = [row for connection, table in self._tables() for row in _outermost(connection, table, "DESC")]
        if not first:
            return None
        last += self._facts.execute("SELECT epoch, at FROM progress").fetchall()
        (begin, begins), (end, ends) = min(first), max(last)
        return Stamp(begin, Instant(begins)), Stamp(end, Instant(ends))

    def span(self) -> tuple[Instant, Instant] | None:
        """The earliest and the latest instant that the clock showed; where it was set back, not those of `extent`."""
        extent = self.extent()
        if extent is None:
            return None
        instants = [extent[0].at.ns, extent[1].at.ns]
        for epoch in range(extent[0].epoch, extent[1].epoch + 1):
            for connection, table in self._tables():
                instants += [
                    row[1] for order in ("ASC", "DESC") for row in _outermost(connection, table, order, epoch=epoch)
                ]
        return Instant(min(instants)), Instant(max(instants))

    def inputs(self) -> Iterator[Admitted]:
        """Everything that came in, people's acts and marks with what was measured, in (epoch, instant, order)."""
        merged = heapq.merge(self._journalled(), self._measured(), key=lambda entry: entry[0])
        return (admitted for _, admitted in merged)

    def decisions(self) -> Iterator[Event | Notice]:
        """Every event and notice, in the order in which they were committed: what `wire.ledger.ledger` takes."""
        position = 0
        while page := reading.journal(self._facts, after=position, limit=_PAGE):
            for each in page:
                if isinstance(each.record, Event | Notice):
                    yield each.record
            position = page[-1].position

    def close(self) -> None:
        """Let go of the files."""
        self._facts.close()
        self._samples.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tables(self) -> tuple[tuple[sqlite3.Connection, str], ...]:
        """Where inputs are."""
        return (
            (self._facts, _INPUTS),
            (self._samples, "observations WHERE true"),
            (self._samples, "pushes WHERE true"),
        )

    def _journalled(self) -> Iterator[tuple[reading.Place, Admitted]]:
        place: reading.Place = (-1, 0, 0, 0)
        while page := reading.inputs(self._facts, place, _PAGE):
            yield from page
            place = page[-1][0]

    def _measured(self) -> Iterator[tuple[reading.Place, Admitted]]:
        stamp = Stamp(-1, Instant(0))
        while page := recorded.after(self._samples, self._names, stamp, _PAGE):
            for admitted in page:
                yield (admitted.stamp.epoch, admitted.stamp.at.ns, int(order_of(admitted.input)), 0), admitted
            stamp = page[-1].stamp


def _outermost(
    connection: sqlite3.Connection, table: str, order: str, *, epoch: int | None = None
) -> list[tuple[int, int]]:
    """The first stamp of a table or the last; of one epoch where that is given."""
    within = "" if epoch is None else f" AND epoch = {epoch}"
    ordered = f"ORDER BY epoch {order}, at {order} LIMIT 1"
    return connection.execute(f"SELECT epoch, at FROM {table}{within} {ordered}").fetchall()

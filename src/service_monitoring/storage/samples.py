"""Observations and pushes as rows of `samples.db`: how they are written.

Owns the numbers of checks and series, which are kept in memory in both directions. Rows are added in the order of
stamps, so that a batch touches few pages. Knows no thread, no transaction and no rule; `recorded` reads them back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

from service_monitoring.domain.inputs import Admitted, Observed, Pushed, Stamp, Taken
from service_monitoring.domain.samples import Outcome, Reason
from service_monitoring.errors import MonitoringError, Refused
from service_monitoring.ports import NO_MARKS
from service_monitoring.storage.operations import Operation, in_savepoint
from service_monitoring.storage.rows import Insert, tuples
from service_monitoring.wire.codec import decode, encode

Labels: TypeAlias = tuple[tuple[str, str], ...]
Metric: TypeAlias = tuple[str, Labels]

_CHECKS: Final = Insert("checks", ("id", "service", "name"))
_SERIES: Final = Insert("series", ("id", "check_id", "metric", "labels"))
_OBSERVATIONS: Final = Insert(
    "observations", ("epoch", "at", "check_id", "outcome", "reason", "detail", "started", "attempts")
)
_SAMPLES: Final = Insert("samples", ("epoch", "at", "ordinal", "series_id", "value"))
_PUSHES: Final = Insert("pushes", ("epoch", "at", "check_id", "judged"))
_PUSHED: Final = Insert("pushed", ("epoch", "at", "ordinal", "series_id", "measured_at", "value", "mark"))

UP: Final[Metric] = ("up", ())
# Without statistics SQLite takes the table's own order instead, and reads all checks for the observations of one.
OF_CHECK: Final = "observations o INDEXED BY observations_check"
_OUTCOMES: Final = {outcome: outcome.value for outcome in Outcome}
_REASONS: Final[dict[Reason | None, str]] = {None: "", **{reason: reason.value for reason in Reason}}
NO_ATTEMPTS: Final = b"[]"
_NOT_KEPT: Final = frozenset({Taken.FUTURE, Taken.UNKNOWN})
REASON: Final[dict[str, Reason | None]] = {text: reason for reason, text in _REASONS.items()}


class Names:
    """Numbers of checks and series, and what they stand for. Read from any thread, changed by one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.check_ids: dict[tuple[str, str], int] = {}
        self.checks: dict[int, tuple[str, str]] = {}
        self.series_ids: dict[int, dict[Metric, int]] = {}
        self.metrics: dict[int, Metric] = {}
        self._shared: dict[Metric, Metric] = {}
        self.last_check = self.last_series = 0
        self.learn(connection)

    def learn(self, connection: sqlite3.Connection) -> None:
        """Read what another program added since."""
        for number, service, name in connection.execute(
            "SELECT id, service, name FROM checks WHERE id > ?", (self.last_check,)
        ).fetchall():
            self.add_check(number, (service, name))
        labels: dict[str, Labels] = {}
        for number, check, metric, text in connection.execute(
            "SELECT id, check_id, metric, labels FROM series WHERE id > ?", (self.last_series,)
        ).fetchall():
            if text not in labels:
                labels[text] = decode(tuple[tuple[str, str], ...], text)
            self.add_series(number, check, (metric, labels[text]))

    def add_check(self, number: int, name: tuple[str, str]) -> None:
        """A check goes by `number` from now on."""
        self.check_ids[name], self.checks[number] = number, name
        self.series_ids.setdefault(number, {})
        self.last_check = max(self.last_check, number)

    def add_series(self, number: int, check: int, metric: Metric) -> None:
        """A series goes by `number` from now on. Equal metrics of many checks share one value."""
        metric = self._shared.setdefault(metric, metric)
        self.series_ids.setdefault(check, {})[metric], self.metrics[number] = number, metric
        self.last_series = max(self.last_series, number)

    def forget(self, checks: Sequence[int], series: Sequence[tuple[int, int]]) -> None:
        """Take numbers back that were not written after all; `series` are (number, check)."""
        for number, check in series:
            del self.series_ids[check][self.metrics.pop(number)]
        for number in checks:
            del self.check_ids[self.checks.pop(number)]
            del self.series_ids[number]


class Record:
    """Observations and pushes to be appended, with the marks of what was pushed."""

    __slots__ = ("_batch", "marks", "observations")

    def __init__(
        self, observations: Sequence[Admitted], batch: Recording, marks: Mapping[Stamp, Sequence[Taken]] = NO_MARKS
    ) -> None:
        self.observations = observations
        self.marks = marks
        self._batch = batch

    def run(self, connection: sqlite3.Connection) -> None:
        """Write them alone."""
        refusal = self._batch.write(connection, [self])[0]
        if refusal is not None:
            raise refusal


class Recording:
    """The batch of `samples.db`. Used by the writer's thread alone, `names` and `latest` excepted."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.names = Names(connection)
        self.latest: dict[int, int] = {}
        """The last instant (ns) of each epoch."""
        self._newest = (-1, 0)
        self._new_checks: list[int] = []
        self._new_series: list[tuple[int, int]] = []
        self._check_rows: list[Any] = []
        self._series_rows: list[Any] = []
        self._reached: dict[int, int] = {}
        self._synced = False
        for table in ("observations", "pushes"):
            for epoch in epochs(connection, table):
                row = connection.execute(f"SELECT max(at) FROM {table} WHERE epoch = ?", (epoch,)).fetchone()
                self.latest[epoch] = max(row[0], self.latest.get(epoch, row[0]))
                self._newest = max(self._newest, (epoch, row[0]))

    def prepare(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> None:
        """Sync what was pushed: its sender is told that we have it. What we observed ourselves becomes a gap."""
        synced = any(
            isinstance(each, Record) and any(isinstance(admitted.input, Pushed) for admitted in each.observations)
            for each in operations
        )
        if synced is not self._synced:
            connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._synced = synced

    def run(self, connection: sqlite3.Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Write operations in their order, neighbouring records together."""
        answers: list[Any] = []
        for together, group in groupby(operations, lambda one: isinstance(one, Record)):
            if together:
                answers += self.write(connection, [one for one in group if isinstance(one, Record)])
            else:
                answers += [in_savepoint(connection, one) for one in group]
        return answers

    def done(self) -> None:
        """What was written holds."""
        self.latest.update(self._reached)
        if self._reached:
            newest = max(self._reached)
            self._newest = max(self._newest, (newest, self._reached[newest]))
        self._clear()

    def undone(self) -> None:
        """Nothing was written."""
        self.names.forget(self._new_checks, self._new_series)
        self._clear()

    def _clear(self) -> None:
        for each in (self._new_checks, self._new_series, self._check_rows, self._series_rows):
            each.clear()
        self._reached.clear()

    def write(self, connection: sqlite3.Connection, records: Sequence[Record]) -> list[MonitoringError | None]:
        """Append what is not there yet; a record of anything that was not measured is left out and `Refused`."""
        known = self._known(connection, records)
        answers: list[MonitoringError | None] = []
        all_rows = _Rows()
        for record in records:
            try:
                rows = self._rows(record, known)
            except Refused as refusal:
                answers.append(refusal)
                continue
            all_rows.extend(rows)
            answers.append(None)
        _CHECKS.run(connection, self._check_rows)
        _SERIES.run(connection, self._series_rows)
        self._check_rows.clear()
        self._series_rows.clear()
        _OBSERVATIONS.run(connection, all_rows.observations)
        _SAMPLES.run(connection, all_rows.samples)
        _PUSHES.run(connection, all_rows.pushes)
        _PUSHED.run(connection, all_rows.pushed)
        return answers

    def _known(self, connection: sqlite3.Connection, records: Sequence[Record]) -> set[tuple[int, int]] | None:
        """Stamps that are in the file already; None when all are new and rise, as they do but after a failure."""
        last = max(self._newest, max(self._reached.items(), default=(-1, 0)))
        stamps: list[tuple[int, int]] = []
        rising = True
        for record in records:
            for admitted in record.observations:
                stamp = (admitted.stamp.epoch, admitted.stamp.at.ns)
                rising = rising and stamp > last
                last = stamp
                stamps.append(stamp)
        if rising:
            return None
        known: set[tuple[int, int]] = set()
        for start in range(0, len(stamps), 500):
            part = stamps[start : start + 500]
            numbers = [number for stamp in part for number in stamp]
            for table in ("observations", "pushes"):
                known.update(
                    connection.execute(
                        f"WITH wanted(epoch, at) AS (VALUES {tuples(len(part), 2)}) SELECT t.epoch, t.at "
                        f"FROM wanted CROSS JOIN {table} t ON t.epoch = wanted.epoch AND t.at = wanted.at",
                        numbers,
                    ).fetchall()
                )
        return known

    def _rows(self, record: Record, known: set[tuple[int, int]] | None) -> _Rows:
        rows = _Rows()
        reached: dict[int, int] = {}
        for admitted in record.observations:
            what = admitted.input
            if not isinstance(what, Observed | Pushed):
                raise Refused(f"only what was measured is recorded, not {type(what).__name__}")
            epoch, at = admitted.stamp.epoch, admitted.stamp.at.ns
            if known is not None:
                if (epoch, at) in known:
                    continue
                known.add((epoch, at))
            if isinstance(what, Observed):
                self._observed(rows, epoch, at, what)
            elif not self._pushed(rows, epoch, at, what, record.marks.get(admitted.stamp, ())):
                continue
            reached[epoch] = max(at, reached.get(epoch, at))
        for epoch, at in reached.items():
            self._reached[epoch] = max(at, self._reached.get(epoch, self.latest.get(epoch, at)))
        return rows

    def _observed(self, rows: _Rows, epoch: int, at: int, what: Observed) -> None:
        check = self.names.check_ids.get((what.service, what.check)) or self._new_check(what)
        observation = what.observation
        rows.observations += (
            *(epoch, at, check, _OUTCOMES[observation.outcome], _REASONS[observation.reason], observation.detail),
            *(what.started.ns, encode(observation.attempts) if observation.attempts else NO_ATTEMPTS),
        )
        samples = rows.samples
        ids = self.names.series_ids[check]
        if observation.outcome is not Outcome.UNKNOWN:
            up = 1.0 if observation.outcome is Outcome.OK else 0.0
            samples += (epoch, at, 0, ids.get(UP) or self._new_metric(check, UP), up)
        for ordinal, measured in enumerate(observation.measurements, 1):
            metric = (measured.metric, measured.labels)
            samples += (epoch, at, ordinal, ids.get(metric) or self._new_metric(check, metric), measured.value)

    def _pushed(self, rows: _Rows, epoch: int, at: int, what: Pushed, marks: Sequence[Taken]) -> bool:
        """The rows of a push; whether there is anything of it to be kept."""
        marks = marks or [Taken.JUDGED] * len(what.samples)
        kept = [
            (ordinal, sample, mark)
            for ordinal, (sample, mark) in enumerate(zip(what.samples, marks, strict=True))
            if mark not in _NOT_KEPT
        ]
        if not kept:
            return False
        check = self.names.check_ids.get((what.service, what.check)) or self._new_check(what)
        ids = self.names.series_ids[check]
        rows.pushes += (epoch, at, check, sum(mark is Taken.JUDGED for _, _, mark in kept))
        for ordinal, sample, mark in kept:
            metric = (sample.metric, sample.labels)
            series = ids.get(metric) or self._new_metric(check, metric)
            rows.pushed += (epoch, at, ordinal, series, sample.at.ns, sample.value, mark.value)
        return True

    def _new_check(self, what: Observed | Pushed) -> int:
        number = self.names.last_check + 1
        self.names.add_check(number, (what.service, what.check))
        self._new_checks.append(number)
        self._check_rows += (number, what.service, what.check)
        return number

    def _new_metric(self, check: int, metric: Metric) -> int:
        number = self.names.last_series + 1
        self.names.add_series(number, check, metric)
        self._new_series.append((number, check))
        self._series_rows += (number, check, metric[0], encode(metric[1]).decode())
        return number


class _Rows:
    """Rows of each table, flat."""

    __slots__ = ("observations", "pushed", "pushes", "samples")

    def __init__(self) -> None:
        self.observations: list[Any] = []
        self.samples: list[Any] = []
        self.pushes: list[Any] = []
        self.pushed: list[Any] = []

    def extend(self, other: _Rows) -> None:
        self.observations += other.observations
        self.samples += other.samples
        self.pushes += other.pushes
        self.pushed += other.pushed


def epochs(connection: sqlite3.Connection, table: str) -> list[int]:
    """The epochs that `observations` or `pushes` have, ascending: one seek each."""
    found: list[int] = []
    row = connection.execute(f"SELECT min(epoch) FROM {table}").fetchone()
    while row[0] is not None:
        found.append(row[0])
        row = connection.execute(f"SELECT min(epoch) FROM {table} WHERE epoch > ?", (row[0],)).fetchone()
    return found

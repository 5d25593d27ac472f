"""Observations as rows of `samples.db`, and back again exactly as they were recorded.

Owns the numbers of checks and series, which are kept in memory in both directions. Rows are added in the order of
stamps, so that a batch touches few pages. Knows no thread, no transaction and no rule.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

from service_monitoring.domain.inputs import Admitted, Observed, Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Attempt, Measurement, Observation, Outcome, Reason
from service_monitoring.errors import MonitoringError, Refused
from service_monitoring.storage.rows import Insert, tuples
from service_monitoring.storage.writer import Operation, in_savepoint
from service_monitoring.wire.codec import decode, encode

Labels: TypeAlias = tuple[tuple[str, str], ...]
Metric: TypeAlias = tuple[str, Labels]

_CHECKS: Final = Insert("checks", ("id", "service", "name"))
_SERIES: Final = Insert("series", ("id", "check_id", "metric", "labels"))
_OBSERVATIONS: Final = Insert(
    "observations", ("epoch", "at", "check_id", "outcome", "reason", "detail", "started", "attempts")
)
_SAMPLES: Final = Insert("samples", ("epoch", "at", "ordinal", "series_id", "value"))

UP: Final[Metric] = ("up", ())
_OUTCOMES: Final = {outcome: outcome.value for outcome in Outcome}
_OUTCOME: Final = {outcome.value: outcome for outcome in Outcome}
_REASONS: Final[dict[Reason | None, str]] = {None: "", **{reason: reason.value for reason in Reason}}
REASON: Final[dict[str, Reason | None]] = {text: reason for reason, text in _REASONS.items()}
_NO_ATTEMPTS: Final = b"[]"


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


class Record:
    """Observations to be appended."""

    __slots__ = ("_batch", "observations")

    def __init__(self, observations: Sequence[Admitted], batch: Recording) -> None:
        self.observations = observations
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
        for epoch in epochs(connection):
            row = connection.execute("SELECT max(at) FROM observations WHERE epoch = ?", (epoch,)).fetchone()
            self.latest[epoch] = row[0]
            self._newest = (epoch, row[0])

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
        """Append what is not there yet; a record of anything but observations is left out and `Refused`."""
        known = self._known(connection, records)
        answers: list[MonitoringError | None] = []
        observations: list[Any] = []
        samples: list[Any] = []
        for record in records:
            try:
                some, more = self._rows(record.observations, known)
            except Refused as refusal:
                answers.append(refusal)
                continue
            observations += some
            samples += more
            answers.append(None)
        _CHECKS.run(connection, self._check_rows)
        _SERIES.run(connection, self._series_rows)
        self._check_rows.clear()
        self._series_rows.clear()
        _OBSERVATIONS.run(connection, observations)
        _SAMPLES.run(connection, samples)
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
            known.update(
                connection.execute(
                    f"SELECT epoch, at FROM observations WHERE (epoch, at) IN (VALUES {tuples(len(part), 2)})",
                    [number for stamp in part for number in stamp],
                ).fetchall()
            )
        return known

    def _rows(self, given: Sequence[Admitted], known: set[tuple[int, int]] | None) -> tuple[list[Any], list[Any]]:
        observations: list[Any] = []
        samples: list[Any] = []
        reached: dict[int, int] = {}
        for admitted in given:
            what = admitted.input
            if not isinstance(what, Observed):
                raise Refused(f"only observations are recorded, not {type(what).__name__}")
            epoch, at = admitted.stamp.epoch, admitted.stamp.at.ns
            if known is not None:
                if (epoch, at) in known:
                    continue
                known.add((epoch, at))
            check = self.names.check_ids.get((what.service, what.check)) or self._new_check(what)
            observation = what.observation
            observations += (
                *(epoch, at, check, _OUTCOMES[observation.outcome], _REASONS[observation.reason], observation.detail),
                *(what.started.ns, encode(observation.attempts) if observation.attempts else _NO_ATTEMPTS),
            )
            self._measured(samples, epoch, at, check, what)
            reached[epoch] = max(at, reached.get(epoch, at))
        for epoch, at in reached.items():
            self._reached[epoch] = max(at, self._reached.get(epoch, self.latest.get(epoch, at)))
        return observations, samples

    def _measured(self, samples: list[Any], epoch: int, at: int, check: int, what: Observed) -> None:
        observation = what.observation
        ids = self.names.series_ids[check]
        if observation.outcome is not Outcome.UNKNOWN:
            up = 1.0 if observation.outcome is Outcome.OK else 0.0
            samples += (epoch, at, 0, ids[UP], up)
        for ordinal, measured in enumerate(observation.measurements, 1):
            metric = (measured.metric, measured.labels)
            samples += (epoch, at, ordinal, ids.get(metric) or self._new_metric(check, metric), measured.value)

    def _new_check(self, what: Observed) -> int:
        number = self.names.last_check + 1
        self.names.add_check(number, (what.service, what.check))
        self._new_checks.append(number)
        self._check_rows += (number, what.service, what.check)
        self._new_metric(number, UP)
        return number

    def _new_metric(self, check: int, metric: Metric) -> int:
        number = self.names.last_series + 1
        self.names.add_series(number, check, metric)
        self._new_series.append((number, check))
        self._series_rows += (number, check, metric[0], encode(metric[1]).decode())
        return number


def epochs(connection: sqlite3.Connection) -> list[int]:
    """The epochs that have observations, ascending: one seek each."""
    found: list[int] = []
    row = connection.execute("SELECT min(epoch) FROM observations").fetchone()
    while row[0] is not None:
        found.append(row[0])
        row = connection.execute("SELECT min(epoch) FROM observations WHERE epoch > ?", (row[0],)).fetchone()
    return found


# Without statistics SQLite takes the table's own order instead, and reads all checks for the observations of one.
OF_CHECK: Final = "observations o INDEXED BY observations_check"
_COLUMNS: Final = "o.epoch, o.at, o.check_id, o.outcome, o.reason, o.detail, o.started, o.attempts"


def after(connection: sqlite3.Connection, names: Names, stamp: Stamp, limit: int) -> list[Admitted]:
    """The first `limit` observations after `stamp`, of all checks, in order."""
    given = (stamp.epoch, stamp.at.ns)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM observations o WHERE (epoch, at) > (?, ?) ORDER BY epoch, at LIMIT ?", (*given, limit)
    ).fetchall()
    if not rows:
        return []
    samples = connection.execute(
        "SELECT epoch, at, ordinal, series_id, value FROM samples "
        "WHERE (epoch, at) > (?, ?) AND (epoch, at) <= (?, ?) ORDER BY epoch, at, ordinal",
        (*given, *rows[-1][:2]),
    ).fetchall()
    return list(_rebuilt(connection, names, rows, samples))


def newest(connection: sqlite3.Connection, names: Names) -> list[Admitted]:
    """The newest observation of each check, by the names of the checks."""
    found: list[Admitted] = []
    for _, number in sorted(names.check_ids.items()):
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM {OF_CHECK} WHERE o.check_id = ? ORDER BY o.epoch DESC, o.at DESC LIMIT 1",
            (number,),
        ).fetchall()
        samples = connection.execute(
            "SELECT epoch, at, ordinal, series_id, value FROM samples WHERE epoch = ? AND at = ? ORDER BY ordinal",
            rows[0][:2] if rows else (-1, 0),
        ).fetchall()
        found += _rebuilt(connection, names, rows, samples)
    return found


def _rebuilt(connection: sqlite3.Connection, names: Names, rows: list[Any], samples: list[Any]) -> Iterator[Admitted]:
    """Observations with their measurements, as they were recorded; both lists in the order of stamps."""
    place, count = 0, len(samples)
    for epoch, at, check, outcome, reason, detail, started, attempts in rows:
        measured: list[Measurement] = []
        while place < count and samples[place][0] == epoch and samples[place][1] == at:
            _, _, ordinal, series, value = samples[place]
            place += 1
            if ordinal:
                if series not in names.metrics:
                    names.learn(connection)
                metric, labels = names.metrics[series]
                measured.append(Measurement(metric, value, labels))
        if check not in names.checks:
            names.learn(connection)
        tries = () if attempts == _NO_ATTEMPTS else decode(tuple[Attempt, ...], attempts)
        observation = Observation(_OUTCOME[outcome], REASON[reason], detail, tuple(measured), tries)
        yield Admitted(Stamp(epoch, Instant(at)), Observed(*names.checks[check], observation, Instant(started)))

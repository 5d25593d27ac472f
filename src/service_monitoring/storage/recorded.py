"""What `samples.db` holds, read back exactly as it was recorded: by stamp, by check, newest first.

Reads only, each a function of a connection. Knows the tables that `samples` writes; knows no rule and no thread.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from service_monitoring.domain.inputs import Admitted, Observed, Pushed, PushedSample, Stamp, Taken
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Attempt, Measurement, Observation, Outcome, Reason
from service_monitoring.storage.samples import NO_ATTEMPTS, Names
from service_monitoring.wire.codec import decode

_OUTCOME: Final = {outcome.value: outcome for outcome in Outcome}
_REASON: Final[dict[str, Reason | None]] = {"": None, **{reason.value: reason for reason in Reason}}

# Without statistics SQLite takes the table's own order instead, and reads all checks for the observations of one.
_OF_CHECK: Final = "observations o INDEXED BY observations_check"
_OF_PUSHED_CHECK: Final = "pushes p INDEXED BY pushes_check"
_OBSERVED_TABLE: Final = "observations INDEXED BY observations_check"
_PUSHED_TABLE: Final = "pushes INDEXED BY pushes_check"
_COUNTS: Final = {_OBSERVED_TABLE: "", _PUSHED_TABLE: "judged > 0 AND"}
_PUSHED: Final = "s.epoch, s.at, s.series_id, s.measured_at, s.value"
_COLUMNS: Final = "o.epoch, o.at, o.check_id, o.outcome, o.reason, o.detail, o.started, o.attempts"


def after(connection: sqlite3.Connection, names: Names, stamp: Stamp, limit: int) -> list[Admitted]:
    """The first `limit` observations and pushes after `stamp`, of all checks, in order."""
    observed = _observed_after(connection, names, stamp, limit)
    pushed = _pushed_after(connection, names, stamp, limit)
    if not pushed:
        return observed
    return list(islice(heapq.merge(observed, pushed, key=_stamp), limit))


def _stamp(admitted: Admitted) -> Stamp:
    return admitted.stamp


def _observed_after(connection: sqlite3.Connection, names: Names, stamp: Stamp, limit: int) -> list[Admitted]:
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


def _pushed_after(connection: sqlite3.Connection, names: Names, stamp: Stamp, limit: int) -> list[Admitted]:
    given = (stamp.epoch, stamp.at.ns)
    rows = connection.execute(
        "SELECT epoch, at, check_id FROM pushes WHERE (epoch, at) > (?, ?) ORDER BY epoch, at LIMIT ?", (*given, limit)
    ).fetchall()
    if not rows:
        return []
    samples = connection.execute(
        f"SELECT {_PUSHED} FROM pushed s WHERE (epoch, at) > (?, ?) AND (epoch, at) <= (?, ?) "
        "ORDER BY epoch, at, ordinal",
        (*given, *rows[-1][:2]),
    ).fetchall()
    return list(_pushes(connection, names, rows, samples))


def tail(
    connection: sqlite3.Connection,
    names: Names,
    latest: dict[int, int],
    check: tuple[str, str],
    *,
    until: Stamp,
    since: Instant,
    least: int,
) -> list[Admitted]:
    """A check's observations and pushes up to `until`, oldest first: after `since`, and at least the last `least`.

    Of pushes only the samples that were judged, and only pushes that have one.
    """
    number = names.check_ids.get(check)
    if number is None:
        return []
    observed = _stretches(connection, names, latest, number, _OBSERVED_TABLE, until=until, since=since, least=least)
    pushed = _stretches(connection, names, latest, number, _PUSHED_TABLE, until=until, since=since, least=least)
    if not observed or not pushed:
        return observed or pushed
    # The check was of another kind before.
    both = list(heapq.merge(observed, pushed, key=_stamp))
    return [each for place, each in enumerate(both) if each.stamp.at > since or place >= len(both) - least]


def _stretches(
    connection: sqlite3.Connection,
    names: Names,
    latest: dict[int, int],
    number: int,
    table: str,
    *,
    until: Stamp,
    since: Instant,
    least: int,
) -> list[Admitted]:
    bound = _nth_newest(connection, table, number, until, least)
    stretch = _stretch if table == _OBSERVED_TABLE else _pushed_stretch
    found: list[Admitted] = []
    for epoch in sorted(latest):
        if epoch > until.epoch or (latest[epoch] <= since.ns and epoch < bound[0]):
            continue
        lowest = since.ns + 1
        if epoch >= bound[0]:
            lowest = min(lowest, bound[1] if epoch == bound[0] else -(2**63))
        highest = until.at.ns if epoch == until.epoch else 2**63 - 1
        found += stretch(connection, names, (number, epoch, lowest, highest))
    return found


def _nth_newest(connection: sqlite3.Connection, table: str, check: int, until: Stamp, count: int) -> tuple[int, int]:
    """The stamp of the `count`th newest row; after all when none is wanted, before all when there are fewer."""
    if count <= 0:
        return (2**63 - 1, 0)
    row = connection.execute(
        f"SELECT epoch, at FROM {table} WHERE {_COUNTS[table]} check_id = ? AND (epoch, at) <= (?, ?) "
        "ORDER BY epoch DESC, at DESC LIMIT 1 OFFSET ?",
        (check, until.epoch, until.at.ns, count - 1),
    ).fetchone()
    return (-1, 0) if row is None else (row[0], row[1])


def _stretch(connection: sqlite3.Connection, names: Names, within: tuple[int, int, int, int]) -> Iterator[Admitted]:
    where = "WHERE o.check_id = ? AND o.epoch = ? AND o.at BETWEEN ? AND ?"
    rows = connection.execute(f"SELECT {_COLUMNS} FROM {_OF_CHECK} {where} ORDER BY o.at", within).fetchall()
    # The plus keeps the stretch's bounds from being taken for the samples', which would read those of all checks.
    samples = connection.execute(
        "SELECT s.epoch, s.at, s.ordinal, s.series_id, s.value "
        f"FROM {_OF_CHECK} CROSS JOIN samples s "
        f"ON s.epoch = +o.epoch AND s.at = +o.at {where} ORDER BY o.at, s.ordinal",
        within,
    ).fetchall()
    return _rebuilt(connection, names, rows, samples)


def _pushed_stretch(
    connection: sqlite3.Connection, names: Names, within: tuple[int, int, int, int]
) -> Iterator[Admitted]:
    where = "WHERE p.judged > 0 AND p.check_id = ? AND p.epoch = ? AND p.at BETWEEN ? AND ?"
    rows = connection.execute(
        f"SELECT p.epoch, p.at, p.check_id FROM {_OF_PUSHED_CHECK} {where} ORDER BY p.at", within
    ).fetchall()
    samples = connection.execute(
        f"SELECT {_PUSHED} FROM {_OF_PUSHED_CHECK} CROSS JOIN pushed s "
        f"ON s.epoch = +p.epoch AND s.at = +p.at {where} AND s.mark = '{Taken.JUDGED}' ORDER BY p.at, s.ordinal",
        within,
    ).fetchall()
    return _pushes(connection, names, rows, samples)


def newest(connection: sqlite3.Connection, names: Names) -> list[Admitted]:
    """The newest observation of each check, by the names of the checks."""
    found: list[Admitted] = []
    for _, number in sorted(names.check_ids.items()):
        stamp = _nth_newest(connection, _OBSERVED_TABLE, number, Stamp(2**63 - 1, Instant(0)), 1)
        if stamp[0] >= 0:
            found += _stretch(connection, names, (number, stamp[0], stamp[1], stamp[1]))
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
        tries = () if attempts == NO_ATTEMPTS else decode(tuple[Attempt, ...], attempts)
        observation = Observation(_OUTCOME[outcome], _REASON[reason], detail, tuple(measured), tries)
        yield Admitted(Stamp(epoch, Instant(at)), Observed(*names.checks[check], observation, Instant(started)))


def _pushes(connection: sqlite3.Connection, names: Names, rows: list[Any], samples: list[Any]) -> Iterator[Admitted]:
    """Pushes with their samples; both lists in the order of stamps."""
    place, count = 0, len(samples)
    for epoch, at, check in rows:
        pushed: list[PushedSample] = []
        while place < count and samples[place][0] == epoch and samples[place][1] == at:
            _, _, series, measured_at, value = samples[place]
            place += 1
            if series not in names.metrics:
                names.learn(connection)
            metric, labels = names.metrics[series]
            pushed.append(PushedSample(Instant(measured_at), metric, value, labels))
        if check not in names.checks:
            names.learn(connection)
        yield Admitted(Stamp(epoch, Instant(at)), Pushed(*names.checks[check], tuple(pushed)))

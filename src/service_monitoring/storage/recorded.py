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
from service_monitoring.domain.samples import Attempt, Measurement, Observation, Outcome
from service_monitoring.storage.samples import NO_ATTEMPTS, OF_CHECK, REASON, Names
from service_monitoring.wire.codec import decode

_OUTCOME: Final = {outcome.value: outcome for outcome in Outcome}

_OF_PUSHED_CHECK: Final = "pushes p INDEXED BY pushes_check"
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


def pushed(
    connection: sqlite3.Connection,
    names: Names,
    latest: dict[int, int],
    check: tuple[str, str],
    *,
    until: Stamp,
    since: Instant,
    least: int,
) -> list[Admitted]:
    """What was pushed to a check up to `until`, oldest first: after `since`, and at least the last `least`.

    Only the samples that were judged, and only pushes that have one.
    """
    number = names.check_ids.get(check)
    if number is None:
        return []
    bound = _nth_newest(connection, number, until, least)
    found: list[Admitted] = []
    for epoch in sorted(latest):
        if epoch > until.epoch or (latest[epoch] <= since.ns and epoch < bound[0]):
            continue
        lowest = since.ns + 1
        if epoch >= bound[0]:
            lowest = min(lowest, bound[1] if epoch == bound[0] else -(2**63))
        highest = until.at.ns if epoch == until.epoch else 2**63 - 1
        found += _pushed_stretch(connection, names, (number, epoch, lowest, highest))
    return found


def _nth_newest(connection: sqlite3.Connection, check: int, until: Stamp, count: int) -> tuple[int, int]:
    """The stamp of the `count`th newest push; after all when none is wanted, before all when there are fewer."""
    if count <= 0:
        return (2**63 - 1, 0)
    row = connection.execute(
        "SELECT epoch, at FROM pushes INDEXED BY pushes_check WHERE judged > 0 AND check_id = ? "
        "AND (epoch, at) <= (?, ?) ORDER BY epoch DESC, at DESC LIMIT 1 OFFSET ?",
        (check, until.epoch, until.at.ns, count - 1),
    ).fetchone()
    return (-1, 0) if row is None else (row[0], row[1])


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
        found += runs(connection, names, number, limit=1)
    return found


def runs(
    connection: sqlite3.Connection, names: Names, check: int, *, limit: int, before: Stamp | None = None
) -> list[Admitted]:
    """The newest observations of a check, before a stamp if one is given, the newest first."""
    earlier = ""
    given: tuple[int, ...] = (check, limit)
    if before is not None:
        earlier, given = "AND (o.epoch, o.at) < (?, ?)", (check, before.epoch, before.at.ns, limit)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {OF_CHECK} WHERE o.check_id = ? {earlier} ORDER BY o.epoch DESC, o.at DESC LIMIT ?",
        given,
    ).fetchall()
    samples = [
        sample
        for row in rows
        for sample in connection.execute(
            "SELECT epoch, at, ordinal, series_id, value FROM samples WHERE epoch = ? AND at = ? ORDER BY ordinal",
            row[:2],
        ).fetchall()
    ]
    return list(_rebuilt(connection, names, rows, samples))


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
        observation = Observation(_OUTCOME[outcome], REASON[reason], detail, tuple(measured), tries)
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

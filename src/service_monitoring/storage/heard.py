"""What each check said last, as a board shows it: an index seek a check, so that a start need not wait for it.

Reads only, each a function of a connection. Knows tables; does not know what is made of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.inputs import Stamp
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Outcome
from service_monitoring.storage.samples import Names
from service_monitoring.views.projection import Heard

_DURATION: Final = ("duration_seconds", ())


def last_heard(connection: sqlite3.Connection, names: Names, checks: Sequence[Check]) -> list[Heard]:
    """The newest run of each of these checks, or the newest push of which something was judged; jobs have neither."""
    polled = [(each.service, each.name) for each in checks if each.expects is None and not each.allowance]
    pushed = [(each.service, each.name) for each in checks if each.allowance]
    return [*_observed(connection, names, polled), *_pushed(connection, names, pushed)]


def last_reported(connection: sqlite3.Connection, checks: Sequence[tuple[str, str]]) -> list[Heard]:
    """The newest report to each of these jobs."""
    return list(_reported(connection, checks))


def _observed(connection: sqlite3.Connection, names: Names, checks: Sequence[tuple[str, str]]) -> Iterator[Heard]:
    for check in checks:
        number = names.check_ids.get(check)
        row = connection.execute(
            "SELECT epoch, at, outcome, reason FROM observations INDEXED BY observations_check WHERE check_id = ? "
            "ORDER BY epoch DESC, at DESC LIMIT 1",
            (number,),
        ).fetchone()
        if row is None or number is None:
            continue
        epoch, at, outcome, reason = row
        series = names.series_ids[number].get(_DURATION)
        took = connection.execute(
            "SELECT value FROM samples WHERE epoch = ? AND at = ? AND series_id = ?", (epoch, at, series)
        ).fetchone()
        duration = None if took is None else float(took[0])
        yield Heard(*check, Stamp(epoch, Instant(at)), outcome, reason or "", duration)


def _pushed(connection: sqlite3.Connection, names: Names, checks: Sequence[tuple[str, str]]) -> Iterator[Heard]:
    for check in checks:
        row = connection.execute(
            "SELECT epoch, at FROM pushes INDEXED BY pushes_check WHERE judged > 0 AND check_id = ? "
            "ORDER BY epoch DESC, at DESC LIMIT 1",
            (names.check_ids.get(check),),
        ).fetchone()
        if row is not None:
            yield Heard(*check, Stamp(row[0], Instant(row[1])), Outcome.OK)


def _reported(connection: sqlite3.Connection, checks: Sequence[tuple[str, str]]) -> Iterator[Heard]:
    for check in checks:
        row = connection.execute(
            "SELECT epoch, at, signal FROM pings WHERE service = ? AND check_name = ? ORDER BY position DESC LIMIT 1",
            check,
        ).fetchone()
        if row is not None:
            yield Heard(*check, Stamp(row[0], Instant(row[1])), row[2])

"""What the files know of ranges of time: when nobody watched, when a check was not heard, which of its runs failed.

Reads only, each a function of a connection, and each bounded by its range: a month of one check is a walk along one
index. Instants are those of the wall clock as it was; where it was set, an era ends and another begins. Knows no rule.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from service_monitoring.domain.configuration import Check, Service
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Order, Stepped, Taken
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, covers, length_of, maintained
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Outcome, Series
from service_monitoring.domain.uptime import FOR_EVER, Span, Spell, common, spells_of
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.storage.rows import marks
from service_monitoring.storage.samples import UP, Names
from service_monitoring.wire.codec import decode

_INPUTS: Final = "journal INDEXED BY journal_inputs WHERE place IS NOT NULL"
_GAP: Final = f"({int(Order.GAP_END)}, {int(Order.GAP_START)})"
_PIECE: Final = 500

# Each run with the next one; of `unknown` runs and before pauses alone. `lead` walks the index once.
_PAUSES: Final = (
    "WITH near AS (SELECT at, lead(at) OVER (ORDER BY at) AS next FROM {table} "
    "WHERE {kept} AND check_id = ? AND epoch = ? AND at >= ? AND at < ?) "
    "SELECT at, next, at IN ({unmeasured}) FROM near "
    "WHERE next - at > ? OR next IS NULL OR at IN ({unmeasured}) ORDER BY at"
)
_UNMEASURED: Final = (
    "SELECT at FROM observations INDEXED BY observations_not_ok WHERE outcome <> 'ok' "
    f"AND check_id = ? AND epoch = ? AND at >= ? AND at < ? AND outcome = '{Outcome.UNKNOWN}'"
)


class Era(Struct, frozen=True):
    """A stretch in which the wall clock was not set: from `began` to before `ended`, by itself.

    Its first instant was `delta` earlier by the clock of the era before.
    """

    epoch: int
    began: int
    ended: int
    delta: Duration


class Heard(Struct, frozen=True):
    """A check by its number, and how long an observation of it is current; `pushed` ones come by themselves."""

    check: int
    stale_after: Duration
    pushed: bool = False


class Watched(Struct, frozen=True):
    """What `facts.db` knows of a service in a range, and the eras; `reported` is when each of its jobs first did."""

    eras: list[Era]
    unwatched: list[Span]
    spells: list[Spell]
    reported: list[int]


class Stretch(Struct, frozen=True):
    """Which samples are asked for: in (after, until] of one epoch (ns), and by how much the clock was set since."""

    epoch: int
    after: int
    until: int
    shift: Duration


def watched(connection: sqlite3.Connection, service: Service, within: Span) -> Watched:
    """What is known of a service but for what its checks observed."""
    known = eras(connection)
    jobs = [_reported_since(connection, check) for check in service.checks if check.expects is not None]
    return Watched(known, list(unwatched(connection, known, within)), spells(connection, service.name, within), jobs)


def unheard(
    connection: sqlite3.Connection, names: Names, service: Service, seen: Watched, within: Span
) -> tuple[Span, ...]:
    """When no check of a service had a current observation.

    A job's silence is what is expected of it: jobs count where there is nothing else, from their first report on.
    """
    never: list[list[Span]] = []
    for check in service.checks:
        if check.expects is None:
            number = names.check_ids.get((service.name, check.name))
            heard = None if number is None else Heard(number, check.stale_after, pushed=bool(check.allowance))
            never.append([within] if heard is None else list(silences(connection, heard, seen.eras, within)))
    return common(never or [[Span(within.began, at)] for at in seen.reported])


def eras(connection: sqlite3.Connection) -> list[Era]:
    """All eras that the journal knows, a seek each."""
    begun: list[tuple[int, int, Duration]] = []
    query = f"SELECT epoch, at, kind, body FROM {_INPUTS} AND epoch > ? ORDER BY epoch, at, place LIMIT 1"
    row = connection.execute(query, (-1,)).fetchone()
    while row is not None:
        epoch, at, kind, body = row
        begun.append((epoch, at, decode(Stepped, body).delta if kind == "stepped" else Duration(0)))
        row = connection.execute(query, (epoch,)).fetchone()
    ends = (*(at - delta for _, at, delta in begun[1:]), FOR_EVER)
    return [Era(epoch, at, end, delta) for (epoch, at, delta), end in zip(begun, ends, strict=False)]


def unwatched(connection: sqlite3.Connection, known: Sequence[Era], within: Span) -> Iterator[Span]:
    """When nobody watched: before everything, in gaps, and where the clock was set.

    Set forward, it left out instants that nobody saw; set back, it passed them twice, and which of the two is asked
    for cannot be known.
    """
    yield Span(-FOR_EVER, known[0].began if known else FOR_EVER)
    for era in known:
        yield Span(min(era.began, era.began - era.delta), max(era.began, era.began - era.delta))
        first, last = max(within.began, era.began), min(within.ended, era.ended)
        if first < last:
            yield from _gaps(connection, era.epoch, first, last)


def _gaps(connection: sqlite3.Connection, epoch: int, first: int, last: int) -> Iterator[Span]:
    """Nothing comes in within a gap: one that began before is what came in last before."""
    before = connection.execute(
        f"SELECT at, place FROM {_INPUTS} AND epoch = ? AND at < ? ORDER BY epoch DESC, at DESC, place DESC LIMIT 1",
        (epoch, first),
    ).fetchone()
    since = before[0] if before is not None and before[1] == Order.GAP_START else None
    rows = connection.execute(
        f"SELECT at, place FROM {_INPUTS} AND epoch = ? AND at >= ? AND at < ? AND place IN {_GAP} ORDER BY at, place",
        (epoch, first, last),
    ).fetchall()
    for at, place in rows:
        if place == Order.GAP_START:
            since = at
        elif since is not None:
            yield Span(since, at)
            since = None
    if since is not None:
        yield Span(since, last)


def spells(connection: sqlite3.Connection, service: str, within: Span) -> list[Spell]:
    """When incidents of a service were open, with the severity that they had then; drafts excepted."""
    rows = connection.execute(
        "SELECT body FROM incidents INDEXED BY incidents_service WHERE service = ? AND breached_at < ? "
        "AND opened_at IS NOT NULL AND opened_at < ? AND (ended_at IS NULL OR ended_at > ?)",
        (service, within.ended, within.ended, within.began),
    ).fetchall()
    found = [decode(Incident, body) for (body,) in rows]
    moves: dict[str, list[tuple[Instant, Severity]]] = {incident.id: [] for incident in found}
    for start in range(0, len(found), _PIECE):
        part = [incident.id for incident in found[start : start + _PIECE]]
        for (body,) in connection.execute(
            f"SELECT body FROM journal WHERE subject IN ({marks(len(part))}) AND subject <> '' "
            "AND kind = 'incident_moved' ORDER BY position",
            part,
        ).fetchall():
            event = decode(IncidentMoved, body)
            moves[event.incident.id].append((event.at, event.incident.severity))
    return [spell for incident in found for spell in spells_of(incident, moves[incident.id])]


def maintained_spans(
    connection: sqlite3.Connection,
    service: Service,
    maintenances: Sequence[Maintenance],
    known: Sequence[Era],
    within: Span,
) -> tuple[Span, ...]:
    """When a whole service was in maintenance. Before the first start nothing was announced.

    A flexible one begins at the first incident of the service.
    """
    own = {**dict(service.labels), "service": service.name}
    first = max(within.began, known[0].began) if known else within.ended
    found: list[Span] = []
    for maintenance in maintenances:
        if not covers(maintenance, own) or first >= within.ended:
            continue
        failures: list[tuple[Instant, Instant]] = []
        if maintenance.after_failure is not None:
            # Its window may have begun before the range, and a failure in it be over by then.
            longest = maintenance.after_failure + length_of(maintenance)
            failed = spells(connection, service.name, Span(first - longest, within.ended))
            failures = [(Instant(each.span.began), Instant(each.span.ended)) for each in failed]
        held = maintained(maintenance, Instant(first), Instant(within.ended), failures)
        found += [Span(begins.ns, ends.ns) for begins, ends in held]
    return tuple(found)


def _reported_since(connection: sqlite3.Connection, check: Check) -> int:
    """The instant of the oldest report of a job that is still kept."""
    row = connection.execute(
        "SELECT at FROM pings WHERE service = ? AND check_name = ? ORDER BY position LIMIT 1",
        (check.service, check.name),
    ).fetchone()
    return FOR_EVER if row is None else int(row[0])


def silences(connection: sqlite3.Connection, heard: Heard, known: Sequence[Era], within: Span) -> Iterator[Span]:
    """When a check had no current observation: none yet, none for too long, or the last one was `unknown`.

    What was pushed counts from when it came.
    """
    # Outside of all eras nobody watched, which goes before this.
    for place, era in enumerate(known):
        first, last = max(within.began, era.began), min(within.ended, era.ended)
        if first < last:
            yield from _silences(connection, heard, known[: place + 1], Span(first, last))


def _silences(connection: sqlite3.Connection, heard: Heard, known: Sequence[Era], within: Span) -> Iterator[Span]:
    epoch = known[-1].epoch
    table, kept = _table(heard)
    current = _current_until(connection, heard, known, within.began)
    first = connection.execute(
        f"SELECT at FROM {table} WHERE {kept} AND check_id = ? AND epoch = ? AND at >= ? AND at < ? "
        "ORDER BY at LIMIT 1",
        (heard.check, epoch, *within),
    ).fetchone()
    begins = within.ended if first is None else first[0]
    yield Span(max(current, within.began), begins)
    unmeasured = "SELECT NULL WHERE ? + ? + ? + ? IS NULL" if heard.pushed else _UNMEASURED
    place = (heard.check, epoch, begins, within.ended)
    rows = connection.execute(
        _PAUSES.format(table=table, kept=kept, unmeasured=unmeasured),
        (*place, *place, heard.stale_after, *place),
    ).fetchall()
    for at, then, unknown in rows:
        yield Span(at if unknown else at + heard.stale_after, within.ended if then is None else then)


def _current_until(connection: sqlite3.Connection, heard: Heard, known: Sequence[Era], at: int) -> int:
    """Until when the last observation before `at` is current; of eras before, moved by how the clock was set since."""
    table, kept = _table(heard)
    outcome = f"'{Outcome.OK}'" if heard.pushed else "outcome"
    moved = 0
    for era in reversed(known):
        row = connection.execute(
            f"SELECT at, {outcome} FROM {table} WHERE {kept} AND check_id = ? AND epoch = ? AND at < ? "
            "ORDER BY epoch DESC, at DESC LIMIT 1",
            (heard.check, era.epoch, at),
        ).fetchone()
        if row is not None:
            return -FOR_EVER if row[1] == Outcome.UNKNOWN else int(row[0]) + moved + heard.stale_after
        moved += era.delta
        at = FOR_EVER
    return -FOR_EVER


def columns(
    connection: sqlite3.Connection, names: Names, rule: Rule, wanted: Sequence[Stretch], *, pushed: bool
) -> dict[Series, tuple[InstantColumn, FloatColumn]]:
    """The judged samples of every series of a rule, in order, by the clock as it is set now."""
    check = names.check_ids.get((rule.service, rule.check))
    found: dict[Series, tuple[InstantColumn, FloatColumn]] = {}
    for (metric, labels), number in list(names.series_ids.get(check or 0, {}).items()):
        series = Series(rule.service, rule.check, metric, labels)
        if check is not None and rule.matches(series):
            if (metric, labels) == UP and not pushed:
                parts = [_ups(connection, check, each) for each in wanted]
            else:
                parts = [_samples(connection, check, number, each, pushed=pushed) for each in wanted]
            found[series] = (np.concatenate([at for at, _ in parts]), np.concatenate([value for _, value in parts]))
    return found


def _ups(connection: sqlite3.Connection, check: int, wanted: Stretch) -> tuple[InstantColumn, FloatColumn]:
    """Of the runs themselves, which an index has: a month of samples is spread over as many pages as there are runs."""
    place = (check, wanted.epoch, wanted.after, wanted.until)
    ran = connection.execute(
        "SELECT at FROM observations INDEXED BY observations_check "
        "WHERE check_id = ? AND epoch = ? AND at > ? AND at <= ? ORDER BY at",
        place,
    ).fetchall()
    not_ok = connection.execute(
        "SELECT at, outcome FROM observations INDEXED BY observations_not_ok WHERE outcome <> 'ok' "
        "AND check_id = ? AND epoch = ? AND at > ? AND at <= ? ORDER BY at",
        place,
    ).fetchall()
    instants = np.array([at for (at,) in ran], dtype=np.int64)
    values = np.ones(len(instants), dtype=np.float64)
    places = np.searchsorted(instants, np.array([at for at, _ in not_ok], dtype=np.int64))
    values[places] = [0.0 if outcome == Outcome.FAILED else np.nan for _, outcome in not_ok]
    measured = ~np.isnan(values)
    return instants[measured] + wanted.shift, values[measured]


def _samples(
    connection: sqlite3.Connection, check: int, series: int, wanted: Stretch, *, pushed: bool
) -> tuple[InstantColumn, FloatColumn]:
    runs, kept = _table(Heard(check, Duration(0), pushed=pushed))
    measured, at, mark = (
        ("pushed", "measured_at", f"AND s.mark = '{Taken.JUDGED}'") if pushed else ("samples", "at", "")
    )
    alias, index = runs.split(" ", 1)
    rows = connection.execute(
        f"SELECT s.{at}, s.value FROM {alias} r {index} CROSS JOIN {measured} s ON s.epoch = +r.epoch AND s.at = +r.at "
        f"WHERE {kept} AND r.check_id = ? AND r.epoch = ? AND r.at > ? AND r.at <= ? AND s.series_id = ? {mark} "
        f"ORDER BY s.{at}, r.at",
        (check, wanted.epoch, wanted.after, wanted.until, series),
    ).fetchall()
    # A series has one value at an instant: the first stands.
    instants, first = np.unique(np.array([row[0] for row in rows], dtype=np.int64), return_index=True)
    return instants + wanted.shift, np.array([row[1] for row in rows], dtype=np.float64)[first]


def _table(heard: Heard) -> tuple[str, str]:
    """Where a check is heard of, and which of its rows count."""
    if heard.pushed:
        return "pushes INDEXED BY pushes_check", "judged > 0"
    return "observations INDEXED BY observations_check", "1"

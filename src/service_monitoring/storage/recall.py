"""What checks said before a start, read back for hundreds of checks at once.

A start asks for every check, so each statement asks for all checks of a question: one at a time costs more in calls
than in reading. And it is columns that are asked for: six in seven samples are of metrics that no rule judges, of which
the newest is enough, so the others are never fetched. Knows rows, no rule and no thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec import Struct

from service_monitoring.domain.inputs import Stamp
from service_monitoring.domain.recollections import Column, Recollection
from service_monitoring.ports import Asked, Recalled
from service_monitoring.storage.rows import marks, tuples
from service_monitoring.storage.samples import OF_CHECK, REASON, UP, Names

Row = tuple[int, int, int, float]
"""The place of a stretch among those asked for, then series, instant and value of a sample."""

_FIRST: Final = -(2**63)
_LAST: Final = 2**63 - 1
_BEFORE: Final = (-1, 0)
_AFTER: Final = (_LAST, 0)
_PARAMETERS: Final = 20_000
"""The most in one statement."""

_BOUNDS: Final = (
    "WITH wanted (place, check_id) AS (VALUES {values}) SELECT place, ("
    "SELECT epoch || ' ' || at FROM observations o INDEXED BY observations_check "
    "WHERE o.check_id = wanted.check_id AND (epoch, at) <= ({epoch}, {at}) "
    "ORDER BY epoch DESC, at DESC LIMIT 1 OFFSET {others}) FROM wanted"
)
# The plus keeps the stretch's bounds from being taken for the samples', which would read those of all checks.
_SAMPLES: Final = (
    "WITH wanted (place, check_id, epoch, low, high) AS (VALUES {values}) "
    "SELECT wanted.place, s.series_id, s.at, s.value "
    f"FROM wanted CROSS JOIN {OF_CHECK} "
    "ON o.check_id = wanted.check_id AND o.epoch = wanted.epoch AND o.at BETWEEN wanted.low AND wanted.high "
    "CROSS JOIN samples s ON s.epoch = +o.epoch AND s.at = +o.at "
    "WHERE s.series_id IN ({series}) ORDER BY wanted.place, s.series_id, s.at, s.ordinal"
)
_NEWEST: Final = (
    "WITH wanted (place, epoch, at) AS (VALUES {values}) "
    "SELECT wanted.place, s.series_id, s.at, s.value "
    "FROM wanted CROSS JOIN samples s ON s.epoch = wanted.epoch AND s.at = wanted.at "
    "ORDER BY wanted.place, s.series_id, s.ordinal"
)
_SAID: Final = (
    "WITH wanted (place, epoch, at) AS (VALUES {values}) SELECT wanted.place, o.reason, o.detail "
    "FROM wanted CROSS JOIN observations o ON o.epoch = wanted.epoch AND o.at = wanted.at"
)


class _Stretch(Struct):
    """The runs of one check within one epoch. `columns` are by the number of their series; `newest` is the last run."""

    asked: Asked
    check: int
    epoch: int
    low: int
    high: int
    newest: int = 0
    said: tuple[str, str] = ("", "")
    columns: dict[int, tuple[list[int], list[float]]] = msgspec.field(default_factory=dict)

    def take(self, series: int, rows: Iterable[Row]) -> None:
        """The samples of a series, in order."""
        instants: list[int] = []
        values: list[float] = []
        for _, _, at, value in rows:
            instants.append(at)
            values.append(value)
        self.columns[series] = (instants, values)

    def settle(self, up: int) -> None:
        """Every run that was not unknown has an `up`; what another one measured says nothing."""
        runs = self.columns[up][0] if up in self.columns else []
        self.newest = runs[-1] if runs else 0
        known = set(runs)
        for series, (instants, values) in list(self.columns.items()):
            if instants == runs:
                continue
            pairs = [pair for pair in zip(instants, values, strict=True) if pair[0] in known]
            if pairs:
                self.columns[series] = ([at for at, _ in pairs], [value for _, value in pairs])
            else:
                del self.columns[series]


def answers(
    connection: sqlite3.Connection, names: Names, latest: dict[int, int], asked: Sequence[Asked], *, until: Stamp
) -> list[Recalled]:
    """What checks said up to `until`, an answer to each question; `latest` is the last instant of each epoch."""
    checks = [names.check_ids.get((one.service, one.check), 0) for one in asked]
    bounds = _bounds(connection, checks, asked, until)
    places: list[int] = []
    stretches: list[_Stretch] = []
    for place, check in enumerate(checks):
        for epoch, low, high in _within(asked[place], bounds[place], latest, until) if check else ():
            places.append(place)
            stretches.append(_Stretch(asked[place], check, epoch, low, high))
    _read(connection, names, stretches, _judged)
    telling = [stretch for stretch in stretches if stretch.columns]
    _read_newest(connection, telling)
    # Nearly always the newest run has a sample of every series; what it lacks is looked for in the older ones.
    _read(connection, names, telling, _lacking)
    found: list[list[Recollection]] = [[] for _ in asked]
    for place, stretch in zip(places, stretches, strict=True):
        if stretch.columns:
            found[place].append(_recollection(names, stretch))
    return [Recalled(tuple(each), bounds[place] == _BEFORE) for place, each in enumerate(found)]


def _bounds(
    connection: sqlite3.Connection, checks: Sequence[int], asked: Sequence[Asked], until: Stamp
) -> list[tuple[int, int]]:
    """The stamp of the `least` newest run; after all where none is wanted, before all where there are fewer."""
    found = [_BEFORE if one.least > 0 else _AFTER for one in asked]
    # How many rows to pass over is the one thing that a statement cannot read from a row of another table.
    for least in sorted({one.least for one in asked if one.least > 0}):
        wanted = [(place, check) for place, check in enumerate(checks) if asked[place].least == least]
        how = _BOUNDS.format(values="{values}", epoch=until.epoch, at=until.at.ns, others=least - 1)
        for place, text in _rows(connection, how, wanted):
            if text is not None:
                epoch, at = text.split()
                found[place] = (int(epoch), int(at))
    return found


def _within(
    asked: Asked, bound: tuple[int, int], latest: dict[int, int], until: Stamp
) -> Iterator[tuple[int, int, int]]:
    """The epochs that a question reaches into, each with its first and last instant."""
    for epoch in sorted(latest):
        if epoch > until.epoch or (latest[epoch] <= asked.since.ns and epoch < bound[0]):
            continue
        low = asked.since.ns + 1
        if epoch >= bound[0]:
            low = min(low, bound[1] if epoch == bound[0] else _FIRST)
        yield epoch, low, until.at.ns if epoch == until.epoch else _LAST


def _judged(names: Names, stretch: _Stretch) -> list[int]:
    metrics = stretch.asked.metrics
    # A copy: another thread may learn of a new series meanwhile.
    known = list(names.series_ids[stretch.check].items())
    return [number for metric, number in known if metric == UP or metric[0] in metrics]


def _lacking(names: Names, stretch: _Stretch) -> list[int]:
    columns, known = stretch.columns, names.series_ids[stretch.check]
    if len(columns) == len(known):
        return []
    return [number for number in list(known.values()) if number not in columns]


def _read(
    connection: sqlite3.Connection,
    names: Names,
    stretches: Sequence[_Stretch],
    series_of: Callable[[Names, _Stretch], list[int]],
) -> None:
    """All samples of some series of each stretch, as many stretches in a statement as it has parameters for."""
    wanted: list[tuple[int, int, int, int, int]] = []
    series: list[int] = []

    def read() -> None:
        statement = _SAMPLES.format(values=tuples(len(wanted), 5), series=marks(len(series)))
        rows = connection.execute(statement, [*chain.from_iterable(wanted), *series]).fetchall()
        for (place, number), some in groupby(rows, itemgetter(0, 1)):
            stretches[place].take(number, some)

    changed: list[_Stretch] = []
    for place, stretch in enumerate(stretches):
        numbers = series_of(names, stretch)
        if numbers:
            changed.append(stretch)
        for start in range(0, len(numbers), _PARAMETERS):
            part = numbers[start : start + _PARAMETERS]
            if len(wanted) * 5 + len(series) + len(part) > _PARAMETERS + 5:
                read()
                wanted, series = [], []
            wanted.append((place, stretch.check, stretch.epoch, stretch.low, stretch.high))
            series += part
    if wanted:
        read()
    for stretch in changed:
        stretch.settle(names.series_ids[stretch.check].get(UP, 0))


def _read_newest(connection: sqlite3.Connection, stretches: Sequence[_Stretch]) -> None:
    """The newest sample of the series that nobody judges, and what the newest run said."""
    wanted = [(place, stretch.epoch, stretch.newest) for place, stretch in enumerate(stretches)]
    for place, reason, detail in _rows(connection, _SAID, wanted):
        stretches[place].said = (reason, detail)
    for (place, series), rows in groupby(_rows(connection, _NEWEST, wanted), itemgetter(0, 1)):
        if series not in stretches[place].columns:
            stretches[place].take(series, rows)


def _rows(connection: sqlite3.Connection, statement: str, wanted: Sequence[tuple[int, ...]]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(wanted), _PARAMETERS // 3):
        part = wanted[start : start + _PARAMETERS // 3]
        whole = statement.format(values=tuples(len(part), len(part[0])))
        found += connection.execute(whole, list(chain.from_iterable(part))).fetchall()
    return found


def _recollection(names: Names, stretch: _Stretch) -> Recollection:
    reason, detail = stretch.said
    return Recollection(
        service=stretch.asked.service,
        check=stretch.asked.check,
        epoch=stretch.epoch,
        reason=REASON[reason],
        detail=detail,
        columns=tuple(
            Column(*names.metrics[series], instants, values) for series, (instants, values) in stretch.columns.items()
        ),
    )

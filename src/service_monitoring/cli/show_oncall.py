"""What commands print of rotas: plain words and columns that fit 80 characters.

Knows the shapes that `oncall` makes. Does not know who is on call, nor what time it is: `now` is an argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service_monitoring.cli.ical import Entry
from service_monitoring.cli.show import line, moment, warn
from service_monitoring.cli.tables import lines, word
from service_monitoring.domain.calendar import local_text
from service_monitoring.domain.instants import Instant

MOST_SHOWN: Final = 10
"""Of gaps and the like; `--json` has all of them."""

_WHAT: Final = {"total": "in all", "nights": "in nights", "weekends": "on weekends"}


def standing(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """Who is on call, one line a rota."""
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in rows:
        until = f"until {moment(row['until'], now)}" if row["until"] else "until somebody changes the file"
        table.add_row(word(row["rota"], "bold"), _person(row["people"][0] if row["people"] else None), Text(until))
    lines(table)


def upcoming(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """Shifts and gaps, one line each."""
    for rota, shifts in groupby(rows, key=lambda row: row["rota"]):
        table = Table.grid(padding=(0, 2))
        for row in shifts:
            override = ", override" if row["person"] is not None and row["layer"] is None else ""
            table.add_row(
                Text(f"  {_local(row['from'], now)}"),
                Text(_local(row["until"], now)),
                Text.assemble(_person(row["person"]), override),
            )
        lines(word(rota, "bold"), table)


def lint(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """What is doubtful, and what everybody carries."""
    for row in rows:
        lines(Text.assemble(word(row["rota"], "bold"), f", from now until {_local(row['until'], now)}"))
        _some(f"nobody {_span(gap, now)}" for gap in row["gaps"])
        _some(
            f"overrides of {each['person']} and {each['hidden']} {_span(each, now)}: {each['person']} is on call"
            for each in row["overlaps"]
        )
        _some(
            f"{each['person']} follows themselves in layers[{each['layer']}]{_first(each, now)}"
            for each in row["twice"]
        )
        _some(_burden(each) for each in row["unfair"])
        if row["loads"]:
            table = Table.grid(padding=(0, 2))
            table.add_row("  PERSON", "HOURS", "NIGHTS", "WEEKENDS")
            for load in row["loads"]:
                parts = (load[f"{part}_seconds"] for part in ("total", "night", "weekend"))
                table.add_row(Text.assemble("  ", word(load["person"])), *map(_hours, parts))
            lines(table)


def overrides(entries: Iterable[Entry], zone: str) -> int:
    """Events as overrides in YAML; how many are none is returned, and each of these said beside them."""
    kept, left_out = [], 0
    for entry in entries:
        begin, end = ("" if at is None else local_text(at, zone) for at in (entry.begin, entry.end))
        if entry.person:
            # JSON is YAML, whatever a name looks like.
            person, since, until = (json.dumps(text) for text in (entry.person, begin, end))
            kept.append(f"  - {{person: {person}, from: {since}, until: {until}}}")
            continue
        left_out += 1
        title = json.dumps(entry.title, ensure_ascii=False)
        if entry.problem:
            warn(f"left out: {title}: {entry.problem}")
        else:
            warn(f"left out: {title} from {begin} until {end} names none of the people of the file, or several")
    line("overrides:" if kept else "overrides: []")
    for each in kept:
        line(each)
    return left_out


def local(at: Instant) -> str:
    """An instant in the zone of this machine, with its offset."""
    return _local(str(at), at)


def _local(text: str, now: Instant) -> str:
    return moment(text, now).partition(",")[0]


def _span(row: Mapping[str, Any], now: Instant) -> str:
    return f"from {_local(row['from'], now)} until {_local(row['until'], now)}"


def _first(row: Mapping[str, Any], now: Instant) -> str:
    return f", first from {_local(row['from'], now)}" if row["from"] else ""


def _burden(row: Mapping[str, Any]) -> str:
    return (
        f"{row['person']} has {_hours(row['seconds'])} {_WHAT[row['what']]}, the mean is {_hours(row['mean_seconds'])}"
    )


def _some(sentences: Iterable[str]) -> None:
    found = list(sentences)
    for sentence in found[:MOST_SHOWN]:
        lines(Padding(word(sentence), (0, 0, 0, 2)))
    if len(found) > MOST_SHOWN:
        line(f"  and {len(found) - MOST_SHOWN} more, which --json has")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h"


def _person(name: str | None) -> Text:
    return word("nobody", "bold red") if name is None else word(name)

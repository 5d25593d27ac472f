"""What a command prints of a rehearsal: what it comes to on one screen, the rest being in the page and the document.

Knows the shape that `rehearsal.report` has as JSON. Does not know how it was made, nor what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service_monitoring.cli.show import amount
from service_monitoring.cli.tables import lines, word
from service_monitoring.domain.instants import DAY, HOUR, Instant, seconds
from service_monitoring.views.because import length_text
from service_monitoring.views.on_record import names
from service_monitoring.views.texts import one_line

MOST_ROWS: Final = 8
"""Rows of a table; the page and the JSON document have more."""
MOST_POINTS: Final = 24
"""Points of a sweep: a curve with holes is none."""


def rehearsed(answer: Mapping[str, Any], title: str = "") -> None:
    """The report, each part that was asked for."""
    figures = answer["rehearsal"]
    _head(figures, title)
    _rules(figures)
    _people(figures)
    _held(figures)
    if answer["difference"]:
        names = answer["difference"]["names"]
        _difference(answer["difference"], f"Difference: {names[0]} to {names[1]}")
    if answer["sweep"]:
        _sweep(answer["sweep"])
    if answer["judgement"]:
        _judgement(answer["judgement"])
    if answer["disturbed"]:
        _disturbed(answer["disturbed"], known=figures["limits"])
    _limits(figures)


def _head(figures: Mapping[str, Any], title: str) -> None:
    whose = f" of {title}" if title else ""
    lines(Text.assemble(Text("Rehearsal", "bold"), word(whose, "bold")))
    span = Instant.parse(figures["until"]).since(Instant.parse(figures["since"]))
    over = f"{_utc(figures['since'])} to {_utc(figures['until'])} UTC, {length_text(span)}"
    _indented(f"{over}, {amount(figures['samples'], 'sample')}")
    held = sum(row["count"] for row in figures["held"])
    pages = f"{amount(figures['pages'], 'page')} ({figures['at_night']} at night)"
    opened = f"{amount(figures['opened'], 'incident')} ({figures['still_open']} still open)"
    delay = figures["breach_to_page"]
    _indented(f"{pages}, {opened}, {held} held back")
    if delay["count"]:
        _indented(f"from breach to page: {_length(delay['median'])}, 9 in 10 within {_length(delay['p90'])}")
    if figures["in_warm_up"] or figures["opened_in_warm_up"]:
        warm = f"{amount(figures['in_warm_up'], 'page')} and {amount(figures['opened_in_warm_up'], 'incident')}"
        _indented(f"in the warm-up until {_utc(figures['warm'])}, and not counted: {warm}")


def _rules(figures: Mapping[str, Any]) -> None:
    rows = [row for row in figures["rules"] if row["incidents"] or row["pages"] or row["held"]]
    table = _columns("RULE", "INCIDENTS", "PAGES", "NIGHT", "HELD", "TO PAGE")
    for row in rows[:MOST_ROWS]:
        name = word(row["rule"] + (" (draft)" if row["draft"] else ""), "")
        counts = (str(row[each]) for each in ("incidents", "pages", "at_night", "held"))
        table.add_row(name, *counts, _length(row["breach_to_page"]["median"]))
    _part("By rule", table, rows, "no incidents")


def _people(figures: Mapping[str, Any]) -> None:
    table = _columns("WHO", "PAGES", "NIGHT", "REPEATED", "IN QUIET", "HELD", left=("ZONE",))
    for row in figures["recipients"][:MOST_ROWS]:
        counts = (str(row[each]) for each in ("pages", "at_night", "repeated", "in_quiet_hours", "held"))
        table.add_row(word(names((row["recipient"],)), ""), *counts, word(row["zone"], ""))
    _part("By who was paged", table, figures["recipients"], "nobody")


def _held(figures: Mapping[str, Any]) -> None:
    if not figures["held"]:
        return
    table = _columns("", left=("",), header="")
    for row in figures["held"][:MOST_ROWS]:
        table.add_row(Text(str(row["count"]), justify="right"), word(row["because"], ""))
    _part("Held back", table, figures["held"], "")


def _difference(difference: Mapping[str, Any], title: str) -> None:
    before, after = difference["before"], difference["after"]
    gained, lost, moved = (len(difference[each]) for each in ("gained", "lost", "moved"))
    lines(Text(), word(title, "bold"))
    pages = f"{before['pages']} -> {after['pages']} pages, {before['at_night']} -> {after['at_night']} at night"
    _indented(f"{pages}, {before['incidents']} -> {after['incidents']} incidents")
    _indented(f"{gained} gained, {lost} lost, {moved} at another time, {difference['same']} as before")
    for each in difference["renamed"]:
        _indented(f"{each['before']} is now called {each['after']}")
    for what in ("removed", "added"):
        if difference[what]:
            _indented(f"{what}: {', '.join(difference[what])}")
    rows = [row for row in difference["recipients"] if row["gained"] or row["lost"] or row["earlier"] or row["later"]]
    table = _columns("WHO", "BEFORE", "AFTER", "GAINED", "LOST", "EARLIER", "LATER")
    for row in rows[:MOST_ROWS]:
        counts = (str(row[each]) for each in ("before", "after", "gained", "lost", "earlier", "later"))
        table.add_row(word(names((row["name"],)), ""), *counts)
    if rows:
        lines(Padding(table, (0, 0, 0, 2)))
        _more(rows)


def _sweep(sweep: Mapping[str, Any]) -> None:
    points = sweep["points"]
    judged = any(point["pages_for_nothing"] is not None for point in points)
    table = _columns(
        " / ".join(sweep["parameters"]),
        "PAGES",
        "NIGHT",
        "MISSED",
        "DELAY",
        "9 IN 10",
        *(("NOTHING",) if judged else ()),
    )
    for point in points[:MOST_POINTS]:
        mark = (
            ("* " if point["on_front"] else "  ") + " / ".join(point["values"]) + (" (now)" if point["current"] else "")
        )
        style = "bold" if point["on_front"] else ""
        counts = [str(point[each]) for each in ("pages", "at_night", "missed")]
        delays = [_length(point["delay"][each]) for each in ("median", "p90")]
        nothing = [str(point["pages_for_nothing"])] if judged else []
        table.add_row(word(mark, style), *counts, *delays, *nothing)
    _part("Sweep", table, points, "no points", most=MOST_POINTS)
    _indented(f"* no other is better in pages, delay and missed; from {sweep['measured_from']}")


def _judgement(judgement: Mapping[str, Any]) -> None:
    lines(Text(), Text("What really went wrong", "bold"))
    after = f", in the median after {_length(judgement['time_to_catch']['median'])}" if judgement["caught"] else ""
    _indented(f"{judgement['caught']} of {judgement['true']} caught{after}")
    nothing = f"{judgement['for_nothing']} of {amount(judgement['pages'], 'page')} about incidents for nothing"
    _indented(f"{nothing}, {judgement['for_nothing_at_night']} of them at night")
    missed = [each["id"] for each in judgement["incidents"] if not each["caught"]]
    if missed:
        _indented(f"missed: {', '.join(missed[:MOST_ROWS])}")
        _more(missed)
    table = _columns("RULE", "CAUGHT", "MISSED", "AFTER", "PAGES", "NOTHING")
    rows = [row for row in judgement["rules"] if row["caught"] or row["missed"] or row["pages"]]
    for row in rows[:MOST_ROWS]:
        counts = [str(row["caught"]), str(row["missed"]), _length(row["time_to_catch"]["median"])]
        table.add_row(word(row["name"], ""), *counts, str(row["pages"]), str(row["for_nothing"]))
    if rows:
        lines(Padding(table, (0, 0, 0, 2)))
        _more(rows)


def _disturbed(disturbed: Mapping[str, Any], *, known: Sequence[str]) -> None:
    _difference(disturbed["difference"], f"Disturbed: {', '.join(disturbed['injected'])}")
    counts = disturbed["lines"]
    gone = f"{counts['only_before']} of {amount(counts['before'], 'line')} of the ledger gone"
    _indented(f"{gone}, {counts['only_after']} of {counts['after']} new")
    for each in disturbed["limits"]:
        if each not in known:
            lines(Padding(word(f"- {each}", ""), (0, 0, 0, 2)))


def _limits(figures: Mapping[str, Any]) -> None:
    said = [*figures["limits"], *_flaws(figures["flaws"])]
    if figures["unmatched"]:
        said.append(f"{amount(len(figures['unmatched']), 'act')} of people met no incident and did nothing")
    if said:
        lines(Text(), Text("Limits", "bold"))
        for each in said[:MOST_ROWS]:
            lines(Padding(word(f"- {each}", ""), (0, 0, 0, 2)))
        _more(said)


def _flaws(flaws: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for flaw in flaws:
        place = f"{flaw['where']}:{flaw['line']}" if flaw["line"] else flaw["where"]
        yield f"{place}: {flaw['why']} ({amount(flaw['count'], 'row')} not taken)"


def _part(title: str, table: Table, rows: Sequence[object], nothing: str, *, most: int = MOST_ROWS) -> None:
    lines(Text(), Text(title, "bold"))
    lines(Padding(table if rows else Text(nothing), (0, 0, 0, 2)))
    _more(rows, most)


def _more(rows: Sequence[object], most: int = MOST_ROWS) -> None:
    if len(rows) > most:
        _indented(f"and {len(rows) - most} more (all are in the JSON)")


def _indented(text: str) -> None:
    lines(Padding(word(text, ""), (0, 0, 0, 2)))


def _columns(first: str, *counted: str, left: Sequence[str] = (), header: str = "bold") -> Table:
    """A name, then numbers, then words; the name folds, so that numbers never do."""
    table = Table(box=None, pad_edge=False, show_header=header != "", header_style="")
    table.add_column(one_line(first), overflow="fold")
    for title in counted:
        table.add_column(title, justify="right", no_wrap=True)
    for title in left:
        table.add_column(title, overflow="fold")
    return table


def _length(value: float | None) -> str:
    """Seconds as `10m30s`; from a day on, whole hours."""
    if value is None:
        return "-"
    whole = seconds(round(value))
    return length_text(seconds(round(value / 3600) * 3600) if whole >= DAY + HOUR else whole)


def _utc(text: str) -> str:
    return text[:16].replace("T", " ")

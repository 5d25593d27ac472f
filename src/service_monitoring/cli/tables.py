"""What commands print for people: plain words and columns that fit 80 characters, colour only on a terminal.

Knows the shapes that faces show, as they come from JSON. Does not know where they come from, nor what time it is: `now`
is an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service_monitoring.cli.show import SHORT, amount, counts, line, moment, seconds
from service_monitoring.domain.instants import Instant
from service_monitoring.views.texts import one_line

_BAR: Final = 30
_STYLES: Final = {
    "critical": "bold red",
    "warning": "yellow",
    "open": "red",
    "acknowledged": "yellow",
    "resolved": "green",
    "ok": "green",
    "failed": "bold red",
    "unknown": "yellow",
    "parked": "bold red",
    "withheld": "yellow",
    "delivered": "green",
    "wrong": "bold red",
    "doubtful": "yellow",
    "fine": "green",
}


def lines(*what: RenderableType) -> None:
    """Print for people; texts from outside go through `word` first."""
    console = Console(highlight=False, markup=False, emoji=False)
    with console.capture() as printed:
        for each in what:
            console.print(each)
    # Columns are padded to their width; nobody wants that in a file.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))


def word(text: str, style: str | None = None) -> Text:
    """A text that cannot steer the terminal, in the colour that its meaning has."""
    return Text(one_line(text), _STYLES.get(text, "") if style is None else style)


def incidents(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """A list of incidents, three lines each."""
    if not rows:
        line("No incidents.")
        return
    head = Table.grid(padding=(0, 2))
    for _ in range(3):
        head.add_column(no_wrap=True)
    head.add_column(overflow="fold")
    head.add_row("ID", "STATE", "SEVERITY", "RULE")
    widths = (SHORT, len("acknowledged"), len("critical"))
    for column, width in zip(head.columns, widths, strict=False):
        column.min_width = width
    lines(head)
    for row in rows:
        one = Table.grid(padding=(0, 2))
        for width in widths:
            one.add_column(no_wrap=True, min_width=width)
        one.add_column(overflow="fold")
        one.add_row(word(row["id"][:SHORT]), word(row["state"]), word(row["severity"]), word(_place(row)))
        lines(one, *(Padding(each, (0, 0, 0, SHORT + 2)) for each in _more(row, now)))


def _more(row: Mapping[str, Any], now: Instant) -> Iterable[Text]:
    if row["draft"]:
        yield Text("of a draft: nobody is told")
    yield Text(_since(row, now))
    if row["assigned_to"]:
        yield word(f"assigned to {row['assigned_to']}")
    if row["acknowledged_until"]:
        yield Text(f"acknowledged until {moment(row['acknowledged_until'], now)}")
    if row["summary"]:
        yield word(row["summary"])


def _place(row: Mapping[str, Any]) -> str:
    """`shop.slow`, with the labels of the series where it has any: one rule judges many."""
    _, brace, labels = row["series"].partition("{")
    return f"{row['service']}.{row['rule']}{brace}{labels}"


def _since(row: Mapping[str, Any], now: Instant) -> str:
    if row["resolved_at"]:
        return f"ended {moment(row['resolved_at'], now)}"
    if row["opened_at"]:
        return f"open since {moment(row['opened_at'], now)}"
    return "not open yet"


def incident(detail: Mapping[str, Any], now: Instant) -> None:
    """One incident with its transitions and notices."""
    row = detail["incident"]
    facts: list[tuple[str | Text, RenderableType]] = [
        ("rule", word(f"{row['service']}.{row['rule']}")),
        ("state", Text.assemble(word(row["state"]), ", ", word(row["severity"]), ", of a draft" * row["draft"])),
        ("summary", word(row["summary"] or "-")),
        ("series", word(row["series"])),
        ("breached", Text(moment(detail["breached_at"], now))),
        ("opened", Text(moment(row["opened_at"], now))),
        ("acknowledged", Text(moment(row["acknowledged_at"], now))),
        *([("until", Text(moment(row["acknowledged_until"], now)))] if row["acknowledged_until"] else []),
        *([("assigned to", word(row["assigned_to"]))] if row["assigned_to"] else []),
        ("ended", Text(moment(row["resolved_at"], now))),
        ("before it", word(detail["previous"] or "-")),
    ]
    lines(Text.assemble("Incident ", word(row["id"], "bold")), facts_table(facts))
    lines(Text(), Text("What happened", "bold"))
    for each in detail["transitions"]:
        said = ", ".join(one_line(part) for part in _why(each) if part)
        lines(
            facts_table(
                [(f"{each['sequence'] or ''}", word(each["what"])), ("", Text(moment(each["at"], now))), ("", said)]
            )
        )
    lines(Text(), Text("Who was told", "bold"))
    if not detail["notices"]:
        lines(Text("  nobody"))
    for each in detail["notices"]:
        lines(facts_table([(one_line(each["channel"]), _told(each)), ("", Text(moment(each["decided_at"], now)))]))


def _why(transition: Mapping[str, Any]) -> Iterable[str]:
    yield f"by {transition['by']}" if transition["by"] else f"by {transition['cause']}"
    if transition["value"] is not None:
        yield f"value {transition['value']:g}"
    yield transition["reason"] or ""
    yield transition["detail"]
    yield transition["comment"]


def _told(telling: Mapping[str, Any]) -> Text:
    said = [word(telling["page"]), Text(": "), word(telling["state"])]
    if telling["held"]:
        said.append(word(f" ({telling['held']})"))
    if telling["attempts"]:
        said.append(Text(f", {amount(telling['attempts'], 'attempt')}"))
    if telling["detail"]:
        said.append(word(f", {telling['detail']}"))
    return Text.assemble(*said)


def status(answer: Mapping[str, Any], now: Instant) -> None:
    """How the program itself is."""
    how = Text("running", "green") if answer["running"] else Text("not running", "yellow")
    watched = ", ".join(amount(answer[f"{what}s"], what) for what in ("service", "check", "rule"))
    facts: list[tuple[str | Text, RenderableType]] = [
        ("watches", Text(watched)),
        ("incidents", Text(counts(answer["incidents"]))),
        ("notices", Text(counts(answer["outbox"]))),
        ("judged", Text(f"until {moment(answer['judged_until'], now)}" if answer["judged_until"] else "nothing yet")),
        ("listens", word(answer.get("listens", ""))),
        ("on disk", Text(counts({f"KiB of {name}": -(-size // 1024) for name, size in answer["sizes"].items()}))),
        ("loops", word(", ".join(f"{name} {_loop(loop)}" for name, loop in answer["loops"].items()))),
        ("queues", word(", ".join(f"{name} {_queue(queue)}" for name, queue in answer["queues"].items()))),
        ("heartbeat", word(_heartbeat(answer.get("heartbeat") or {}))),
        ("in trouble", word("; ".join(_failing(answer["queues"])), "bold red")),
        ("runs", Text(_counted(answer["polling"], ("done", "outstanding", "skipped", "shed", "overran")))),
    ]
    facts = [(name, what) for name, what in facts if str(what)]
    lines(Text.assemble("service-monitoring ", answer["version"], ", ", how), facts_table(facts))
    for trouble in answer["trouble"]:
        lines(facts_table([("trouble", word(trouble, "bold red"))]))


def _loop(loop: Mapping[str, Any]) -> str:
    restarts = loop.get("restarts", 0)
    said = [amount(restarts, "restart")] if restarts else []
    if loop.get("last_error"):
        said.append(str(loop["last_error"]))
    return str(loop.get("state", "")) + (f" ({', '.join(said)})" if said else "")


def _heartbeat(pulse: Mapping[str, Any]) -> str:
    """How the outward heartbeat stands; nothing where nobody is called."""
    if not pulse:
        return ""
    silent = pulse.get("silent_seconds")
    said = "not called yet" if silent is None else f"called {silent:.0f} s ago"
    if pulse.get("withheld"):
        said += f", withheld: {pulse['withheld']}"
    return said + (f", failing: {pulse['failing']}" if pulse.get("failing") else "")


def _queue(queue: Mapping[str, Any]) -> str:
    """What is in the inbox, or in the lane of a channel."""
    if "capacity" in queue:
        return f"{queue['length']} of {queue['capacity']}"
    return _counted(queue, ("queued", "waiting", "sending"))


def _failing(queues: Mapping[str, Any]) -> Iterable[str]:
    """Channels that did not take what they were sent last."""
    return (f"{name}: {queue['trouble']}" for name, queue in queues.items() if queue.get("trouble"))


def _counted(numbers: Mapping[str, Any], names: Iterable[str]) -> str:
    return counts(
        {name: numbers[name] for name in names if name in numbers}, "empty" if "queued" in numbers else "none"
    )


def facts_table(facts: Iterable[tuple[str | Text, RenderableType]]) -> Table:
    """Names and what is to be said of them, in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=12)
    table.add_column(overflow="fold")
    for name, what in facts:
        table.add_row(Text.assemble("  ", name), what)
    return table


def bars(parts: Sequence[tuple[str, float]], longest: float) -> Table:
    """Measured times, each with a bar as long as its share of `longest`."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=12)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    for name, value in parts:
        share = round(_BAR * min(1.0, value / longest)) if longest > 0 else 0
        table.add_row(f"  {one_line(name)}", seconds(value), "#" * share)
    return table


def outbox(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """Notices with what became of them, the latest first."""
    if not rows:
        line("No notices.")
    for row in rows:
        what = f"{row['page']} to {row['channel']}"
        lines(Text.assemble(word(row["key"][:16], "bold"), " ", word(row["state"]), " ", word(what)))
        said: list[tuple[str | Text, RenderableType]] = [("about", word(row["summary"]))]
        said.append(("since", Text(moment(row["since"], now))))
        if row["attempts"]:
            said.append(("tried", Text(amount(row["attempts"], "time"))))
        if row["detail"]:
            said.append(("last", word(row["detail"])))
        if row["next_at"] and row["attempts"]:
            said.append(("next", Text(moment(row["next_at"], now))))
        lines(facts_table(said))


def keys(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """Keys, by check."""
    if not rows:
        line("No keys.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("ID", "CHECK", "FOR", "MADE"):
        table.add_column(title)
    for row in rows:
        made = Text(moment(row["made_at"], now))
        if row["expires_at"]:
            made.append(f"\nopens until {moment(row['expires_at'], now)}")
        table.add_row(word(row["id"]), word(row["check"], "bold"), word(row["purpose"]), made)
    lines(table)


def pings(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """Reports of a job with what it sent along, the newest first."""
    if not rows:
        line("No reports.")
    for row in rows:
        code = "" if row["exit_code"] is None else f" {row['exit_code']}"
        run = f", run {row['run']}" if row["run"] else ""
        lines(Text.assemble(word(row["signal"] + code, "bold"), f" {moment(row['at'], now)}", word(run, "")))
        for each in row["body"].splitlines():
            lines(Padding(word(each, ""), (0, 0, 0, 2)))
        if row["cut"]:
            lines(Padding(Text("(cut)"), (0, 0, 0, 2)))

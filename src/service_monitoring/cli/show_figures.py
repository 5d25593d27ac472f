"""What commands print of rules, availability and budgets: plain words and columns that fit 80 characters.

Knows the shapes that faces show, as they come from JSON. Does not know where they come from, nor what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service_monitoring.cli.show import counts, line, moment
from service_monitoring.cli.tables import facts_table, lines, word
from service_monitoring.domain.instants import Instant, seconds
from service_monitoring.settings.lengths import duration_text
from service_monitoring.views.rules import WHY

_VERDICTS: Final = {"breached": "bold red", "healthy": "green", "unknown": "yellow"}
_CONDITIONS: Final = {"up": "green", "down": "bold red", "degraded": "yellow", "maintenance": "", "unknown": "yellow"}


def rules(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rules, with what they say on how many series."""
    if not rows:
        line("No rules.")
        return
    table = _columns("RULE", "STATE", "SEVERITY", "SAYS")
    for row in rows:
        says = counts(row["verdicts"], "nothing yet")
        table.add_row(
            word(f"{row['service']}.{row['rule']}", "bold"), word(row["state"]), word(row["severity"]), Text(says)
        )
    lines(table)


def rule(detail: Mapping[str, Any], now: Instant) -> None:
    """A rule with every series that it judges."""
    row = detail["rule"]
    subject = ".".join(part for part in (row["service"], row["check"], row["metric"]) if part)
    facts: list[tuple[str | Text, RenderableType]] = [
        ("state", Text.assemble(word(row["state"]), ", ", word(row["severity"]))),
        ("condition", word(f"{row['kind']} of {subject}")),
        ("judged", Text(f"until {moment(detail['judged_until'], now)}")),
    ]
    lines(Text.assemble("Rule ", word(f"{row['service']}.{row['rule']}", "bold")), facts_table(facts))
    if not detail["series"]:
        lines(Text(), Text("  it judges no series yet"))
    for each in detail["series"]:
        lines(Text(), word(each["series"], "bold"), facts_table(_stands(each, now)))


def _stands(each: Mapping[str, Any], now: Instant) -> Iterable[tuple[str | Text, RenderableType]]:
    since = f", since {moment(each['since'], now)}" if each["since"] else ""
    yield "says", Text.assemble(Text(each["verdict"], _VERDICTS[each["verdict"]]), since)
    for why in each["why"]:
        yield "because", Text(WHY.get(why, why))
    said = [f"{each['value']:g}"] if each["value"] is not None else []
    said += [part for part in (each["reason"], each["detail"]) if part]
    if said:
        yield "evidence", word(", ".join(said))
    if each["heard_at"]:
        yield "heard", Text(moment(each["heard_at"], now))
    for count in each["counts"]:
        accrued, needed = (duration_text(seconds(count[f"{name}_seconds"])) for name in ("accrued", "needed"))
        yield count["what"].replace("_", " "), Text(f"{accrued} of {needed}")
    if each["due_at"]:
        yield "next", word(f"{each['due_for']} {moment(each['due_at'], now)}, if no sample comes before", "")
    if each["incident"]:
        held = f", nobody is told: {each['held']}" if each["held"] else ""
        yield "incident", Text.assemble(word(each["incident"]), " ", word(each["incident_state"]), word(held, ""))


def uptime(rows: Sequence[Mapping[str, Any]]) -> None:
    """How services were in a range, in per cent."""
    if not rows:
        line("Nothing is known of any service yet.")
        return
    said = {(row["from"], row["to"]) for row in rows}
    first, last = min(said)[0], max(said, key=lambda each: each[1])[1]
    lines(Text(f"from {first[:19]}Z to {last[:19]}Z, in per cent"), Text())
    table = _columns("SERVICE", *(name.upper() for name in _CONDITIONS), right=len(_CONDITIONS))
    for row in rows:
        table.add_row(
            word(row["service"], "bold"), *(_per_cent(row[name], style) for name, style in _CONDITIONS.items())
        )
    lines(table)


def _per_cent(part: Mapping[str, Any], style: str) -> Text:
    """Three digits, rounded away from what would hide that there was something, or that it was not all."""
    share = part["share"] * 100
    rounded = round(share, 3)
    if part["seconds"] and rounded == 0:
        return Text("<0.001", style)
    if rounded == 100 and share < 100:
        rounded = 99.999
    return Text(f"{rounded:.3f}", style if part["seconds"] else "dim")


def budgets(rows: Sequence[Mapping[str, Any]]) -> None:
    """What is left of error budgets, and how fast they are spent."""
    if not rows:
        line("No error budgets.")
        return
    for place, row in enumerate(rows):
        left = row["remaining"]
        spent = "nothing was measured" if left is None else f"{left * 100:.1f} % left"
        if left is not None and row["observed"] < 0.5:
            spent += ", of the little that was observed"
        style = "yellow" if left is None else "bold red" if left <= 0 else "green"
        window = duration_text(seconds(row["window_seconds"]))
        ratio = "-" if row["error_ratio"] is None else f"{row['error_ratio'] * 100:.4g} %"
        rates = ", ".join(map(_rate, row["burn_rates"]))
        facts: list[tuple[str | Text, RenderableType]] = [
            ("series", word(row["series"], "")),
            ("objective", Text(f"{row['objective'] * 100:.10g} % over {window}")),
            ("errors", Text(f"{ratio}, {row['failed']} of {row['samples']} samples")),
            ("burn rate", Text(rates)),
            ("observed", Text(f"{row['observed'] * 100:.1f} % of the window")),
        ]
        head = Text.assemble(word(f"{row['service']}.{row['rule']}", "bold"), ": ", Text(spent, style))
        lines(*([Text()] if place else []), head, facts_table(facts))


def _rate(rate: Mapping[str, Any]) -> str:
    burn = "unknown" if rate["burn"] is None else f"{rate['burn']:.3g}"
    return f"{burn} over {duration_text(seconds(rate['over_seconds']))}"


def _columns(*titles: str, right: int = 0) -> Table:
    """A table whose last columns are `right`-aligned numbers."""
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, overflow="fold", justify="right" if place >= len(titles) - right else "left")
    return table

"""What commands print of accounts, tokens and the audit trail.

Knows the shapes as they come from JSON. Does not know where they come from, nor what time it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service_monitoring.cli.show import line, moment
from service_monitoring.cli.tables import lines, word
from service_monitoring.domain.instants import Instant


def accounts(rows: Sequence[Mapping[str, Any]]) -> None:
    """Accounts, by name."""
    if not rows:
        line("No accounts.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "ROLE", "LET IN"):
        table.add_column(title)
    for row in rows:
        how = "no" if row["disabled"] else "by an identity provider" if row["outside"] else "by password"
        how += " and code" if row["second"] and not row["disabled"] else ""
        table.add_row(word(row["name"], "bold"), word(row["role"]), how)
    lines(table)


def tokens(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """Tokens, by account and name: two lines each."""
    if not rows:
        line("No tokens.")
    for row in rows:
        head = Text.assemble(word(row["handle"]), "  ", word(row["account"], "bold"), "  ", word(row["name"]))
        used = moment(row["used_at"], now) if row["used_at"] else "never"
        lines(
            head,
            Padding(Text(f"{', '.join(row['scopes'])}; used {used}"), (0, 0, 0, 2)),
            Padding(Text(f"opens until {moment(row['expires_at'], now)}"), (0, 0, 0, 2)),
        )


def audit(rows: Sequence[Mapping[str, Any]], now: Instant) -> None:
    """The audit trail, the latest first: two lines an entry."""
    if not rows:
        line("Nothing was done.")
    for row in rows:
        who = row["by"] or ("the owner of the socket" if row["via"] == "socket" else "nobody who was let in")
        said = " ".join(part for part in (row["what"], row["subject"]) if part)
        more = f", {row['detail']}" if row["detail"] else ""
        lines(
            Text.assemble(f"{row['position']}  ", word(who, "bold"), "  ", word(said)),
            Padding(Text.assemble(word(row["outcome"]), word(more, ""), f"; {moment(row['at'], now)}"), (0, 0, 0, 2)),
        )

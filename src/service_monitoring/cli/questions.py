"""Questions on the command line: how rules stand, how available services were, what is left of their budgets.

Knows the desk's questions and their routes. Does not know how an answer is found, nor how it looks (`show_figures`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from service_monitoring import bootstrap
from service_monitoring.cli import Form, show, show_figures
from service_monitoring.cli.commands import EmptyError, ask, load, rule_named
from service_monitoring.errors import NotFound


def list_rules(service: str | None, config: Path, form: Form) -> None:
    """All rules, or those of one service."""
    rows: list[dict[str, Any]]
    try:
        rows = ask(load(config), "GET", "/api/v1/rules", lambda desk: desk.rules())
    except EmptyError:
        rows = []
    rows = [row for row in rows if service in {None, row["service"]}]
    if form is Form.JSON:
        show.as_json(rows)
    else:
        show_figures.rules(rows)


def show_rule(name: str, config: Path, form: Form) -> None:
    """How one rule stands."""
    service, rule = rule_named(name)
    route = f"/api/v1/rules/{quote(service, safe='')}/{quote(rule, safe='')}"
    try:
        detail = ask(load(config), "GET", route, lambda desk: desk.rule(service, rule))
    except EmptyError:
        raise NotFound(f"no program has run with {config} yet: no rule stands anywhere") from None
    if form is Form.JSON:
        show.as_json(detail)
    else:
        show_figures.rule(detail, bootstrap.the_clock().now())

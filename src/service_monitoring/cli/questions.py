"""Questions on the command line: how rules stand, how available services were, who was told of an incident and why.

Knows the desk's questions and their routes. Does not know how an answer is found, nor how it looks (`show_*`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from sys import maxsize
from typing import Any, NamedTuple
from urllib.parse import quote

from service_monitoring import bootstrap
from service_monitoring.cli import Form, show, show_explained, show_figures
from service_monitoring.cli.asking import EmptyError, ask, identified, load, rule_named
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.errors import NotFound, Refused
from service_monitoring.settings import Settings
from service_monitoring.settings.lengths import duration


def list_rules(service: str | None, config: Path, form: Form) -> None:
    """All rules, or those of one service."""
    rows: list[dict[str, Any]]
    try:
        query = {} if service is None else {"service": service}
        rows = ask(config, "GET", "/api/v1/rules", lambda desk: desk.rules(service=service), query=query, most=maxsize)
    except EmptyError:
        rows = []
    if form is Form.JSON:
        show.as_json(rows)
    else:
        show_figures.rules(rows)


def show_rule(name: str, config: Path, form: Form) -> None:
    """How one rule stands."""
    service, rule = rule_named(name)
    route = f"/api/v1/rules/{quote(service, safe='')}/{quote(rule, safe='')}"
    try:
        detail = ask(config, "GET", route, lambda desk: desk.rule(service, rule))
    except EmptyError:
        raise NotFound(f"no program has run with {config} yet: no rule stands anywhere") from None
    if form is Form.JSON:
        show.as_json(detail)
    else:
        show_figures.rule(detail, bootstrap.the_clock().now())


def explain(id: str, at: str, person: str, config: Path, form: Form) -> None:
    """Who was told of an incident by an instant, who was not, and why."""
    whole = identified(config, id)
    when = Instant.parse(at) if at else bootstrap.the_clock().now()
    query = {"at": str(when)} | ({"person": person} if person else {})
    route = f"/api/v1/incidents/{quote(whole, safe='')}/explain"
    answer = ask(config, "GET", route, lambda desk: desk.explain(whole, when, person), query=query)
    if form is Form.JSON:
        show.as_json(answer)
    else:
        show_explained.explained(answer, when)


class Asked(NamedTuple):
    """A range as it was typed; what was not is empty."""

    began: str
    ended: str
    over: str


def uptime(service: str, asked: Asked, config: Path, form: Form) -> None:
    """How services were in a range, all that the file names or one of them."""
    settings = load(config)
    began, ended = _range(asked)
    query = {name: str(at) for name, at in (("from", began), ("to", ended)) if at is not None}
    # A program that runs knows how far it came; where none runs, nobody knows anything since the last one.
    until = bootstrap.the_clock().now() if ended is None else ended
    rows = _of_services(
        settings,
        service,
        lambda name: ask(
            config, "GET", _route(name, "uptime"), lambda desk: desk.uptime(name, began, until), query=query
        ),
    )
    if form is Form.JSON:
        show.as_json(rows)
    else:
        show_figures.uptime(rows)


def budgets(service: str, config: Path, form: Form) -> None:
    """What is left of the error budgets of services, of all that the file names or of one."""
    settings = load(config)
    found = _of_services(
        settings, service, lambda name: ask(config, "GET", _route(name, "budgets"), lambda desk: desk.budgets(name))
    )
    rows = [row for rows in found for row in rows]
    if form is Form.JSON:
        show.as_json(rows)
    else:
        show_figures.budgets(rows)


def _range(asked: Asked) -> tuple[Instant | None, Instant | None]:
    """Begin and end, as far as they are said."""
    ended = Instant.parse(asked.ended) if asked.ended else None
    if asked.began:
        return Instant.parse(asked.began), ended
    if not asked.over:
        return None, ended
    length = duration(asked.over)
    if length <= 0:
        raise Refused(f"a range of {asked.over} is none: write --over 7d")
    return (bootstrap.the_clock().now() if ended is None else ended).plus(Duration(-length)), ended


def _of_services(settings: Settings, service: str, one: Callable[[str], Any]) -> list[Any]:
    """The answer for each service. One that the file names and no program knows yet is left out, unless it is asked."""
    found: list[Any] = []
    for name in [service] if service else [each.name for each in settings.configuration.services]:
        try:
            found.append(one(name))
        except EmptyError:
            if service:
                raise NotFound("no program has run with this file yet: nothing is known of any service") from None
        except NotFound:
            if service:
                raise
    return found


def _route(service: str, what: str) -> str:
    return f"/api/v1/services/{quote(service, safe='')}/{what}"

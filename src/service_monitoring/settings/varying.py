"""Varying: which numbers of a file may be tried otherwise, what they are now, and what to write to have them so.

Knows rules and routes as they are written, and the names by which a sweep calls their values (`overriding`). Does not
know what a value means, nor who tries it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from service_monitoring.settings.complaints import KeyPath, path_text
from service_monitoring.settings.gather import Gathered
from service_monitoring.settings.overriding import KEY, Variation, located
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.rule_shapes import operand

_WORDS: Final = frozenset({"labels", "match", "summary", "runbook", "severity", "state", "depends_on", "notify"})
"""Parts of a rule or route in which a number is a name."""
_PLAIN: Final = re.compile(r"[-+]?[A-Za-z0-9_.]{1,60}", re.ASCII)
_OF_A_ROUTE: Final = ("group_wait", "group_interval", "repeat_interval")


class Variable(Struct, frozen=True):
    """One number that may be another: `key` as a sweep writes it; `value` is empty where the file is silent."""

    key: str
    name: str
    value: str


class RuleVariables(Struct, frozen=True):
    """The numbers of one rule."""

    rule: str
    draft: bool
    values: tuple[Variable, ...]


class ToWrite(Struct, frozen=True):
    """What of a file is to be another: where it stands, its path, what is there, and what is to be."""

    place: str
    path: str
    before: str
    after: str


def variables_of(gathered: Gathered, service: str) -> tuple[RuleVariables, ...]:
    """The rules of a service with their numbers; none where there is no such service."""
    rules = _mapping(_mapping(_mapping(gathered.data.get("services")).get(service)).get("rules"))
    return tuple(
        RuleVariables(str(name), rule.get("state") == "draft", tuple(_of_rule(f"{service}.{name}", rule)))
        for name, rule in rules.items()
        if isinstance(rule, dict)
    )


def variables_of_routes(gathered: Gathered) -> tuple[Variable, ...]:
    """The waits of the routes, in the order of the file."""
    routes = gathered.data.get("routes")
    found: list[Variable] = []
    for number, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, dict):
            missing = dict.fromkeys(name for name in _OF_A_ROUTE if name not in route)
            found += _named(f"routes[{number}]", (*_numbers(route), *((name, "") for name in missing)))
    return tuple(found)


def services_of(gathered: Gathered) -> tuple[str, ...]:
    """The names of the services that have a rule, in the order of the file."""
    services = _mapping(gathered.data.get("services"))
    return tuple(str(name) for name, service in services.items() if _mapping(_mapping(service).get("rules")))


def to_write(gathered: Gathered, variations: Sequence[Variation]) -> tuple[ToWrite, ...]:
    """What is to be changed in the files so that they say it; `InvalidSettings` where there is nothing of that name."""
    found = []
    for each in variations:
        path = located(gathered, each)
        before = _at(gathered.data, path)
        said = "" if before is None else _text(before)
        found.append(ToWrite(str(gathered.place_of_key(path)), path_text(path), said, each.text))
    return tuple(found)


def yaml_of(gathered: Gathered, variations: Sequence[Variation], more: Mapping[KeyPath, str] | None = None) -> str:
    """The lines to write, with what is around them; `more` are other values by their paths."""
    values = {located(gathered, each): each.given for each in variations} | dict(more or {})
    tree: dict[str | int, Any] = {}
    for path, value in values.items():
        holder = tree
        for step in path[:-1]:
            holder = holder.setdefault(step, {})
        holder[path[-1]] = _scalar(value)
    return "\n".join(_lines(tree)) + "\n" if tree else ""


def _of_rule(above: str, rule: Mapping[str, Any]) -> Iterator[Variable]:
    condition = _mapping(rule.get("when"))
    own = {name: value for name, value in rule.items() if name != "when"}
    missing = () if "for" in rule else (("for", ""),)
    # What a rule itself has goes by its name before what its condition has (`overriding`).
    inner = {name: value for name, value in condition.items() if name not in rule}
    yield from _named(above, (*_numbers(inner), *_numbers(own), *missing))


def _named(above: str, found: Sequence[tuple[str, str]]) -> Iterator[Variable]:
    for name, value in found:
        key = f"{above}.{name}"
        if KEY.fullmatch(key) is not None:
            yield Variable(key, name, value)


def _numbers(holder: Any, above: str = "") -> Iterator[tuple[str, str]]:
    """The numbers, lengths of time and sizes of a mapping or list, as `recover.below` and `0.5`."""
    steps = enumerate(holder) if isinstance(holder, list) else _mapping(holder).items()
    for step, value in steps:
        if not above and step in _WORDS:
            continue
        name = f"{above}[{step}]" if isinstance(step, int) else f"{above}.{step}" if above else str(step)
        if isinstance(value, dict | list):
            yield from _numbers(value, name)
        elif _is_number(value):
            yield name, _text(value)


def _is_number(value: object) -> bool:
    try:
        operand(value)
    except InvalidValue:
        return False
    return True


def _at(data: Any, path: KeyPath) -> Any:
    for step in path:
        there = isinstance(data, dict) and step in data
        there = there or (isinstance(data, list) and isinstance(step, int) and step < len(data))
        if not there:
            return None
        data = data[step]
    return data


def _text(value: object) -> str:
    return value[:60] if isinstance(value, str) else f"{value}"


def _scalar(value: object) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _lines(tree: Mapping[str | int, Any], indent: str = "") -> Iterator[str]:
    for step, inner in tree.items():
        name = "-" if isinstance(step, int) else f"{_scalar(step)}:"
        if isinstance(step, int):
            yield f"{indent}# entry {step + 1}"
        if not isinstance(inner, dict):
            yield f"{indent}{name} {inner}"
        elif isinstance(step, int):
            first, *rest = _lines(inner, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}{name}"
            yield from _lines(inner, indent + "  ")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

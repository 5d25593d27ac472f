"""Composites: which rules join which, in which order they are asked, and what members say together.

Knows rules by name and verdicts by the labels of their series. Does not know how a member came to its verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.strategies import Composite
from service_monitoring.domain.verdicts import Code
from service_monitoring.errors import Refused

Labels = tuple[tuple[str, str], ...]


def together(said: Sequence[Mapping[Labels, Code]], need: int) -> dict[Labels, Code]:
    """Kleene's logic over what each member says, for each set of labels that they join on.

    Breached where at least `need` are, Unknown where those that are Unknown could make it so. A member without labels
    joins all; one that has nothing to say to some labels is Unknown there.
    """
    joined = {labels for each in said for labels in each if labels} or {()}
    codes: dict[Labels, Code] = {}
    for labels in sorted(joined):
        mine = [each.get(labels, each.get((), Code.UNKNOWN)) for each in said]
        breached, unknown = mine.count(Code.BREACHED), mine.count(Code.UNKNOWN)
        if breached >= need:
            codes[labels] = Code.BREACHED
        else:
            codes[labels] = Code.UNKNOWN if breached + unknown >= need else Code.RECOVERED
    return codes


def members_of(configuration: Configuration) -> dict[str, frozenset[str]]:
    """The rules of each service that composites join."""
    joined: dict[str, set[str]] = {}
    for service in configuration.services:
        for rule in service.rules:
            if isinstance(rule.strategy, Composite):
                for member in rule.strategy.members:
                    owner, _, name = member.partition(".")
                    joined.setdefault(owner, set()).add(name)
    return {service: frozenset(names) for service, names in joined.items()}


def composites_of(configuration: Configuration) -> tuple[Rule, ...]:
    """All composite rules, each after the ones that it joins; `Refused` where they go round in circles."""
    waiting = {
        rule.id: rule
        for service in configuration.services
        for rule in service.rules
        if isinstance(rule.strategy, Composite)
    }
    ordered: list[Rule] = []
    while waiting:
        ready = [
            name
            for name, rule in sorted(waiting.items())
            if isinstance(rule.strategy, Composite) and waiting.keys().isdisjoint(rule.strategy.members)
        ]
        if not ready:
            raise Refused(f"rules {', '.join(sorted(waiting))} join each other in a circle")
        ordered += [waiting.pop(name) for name in ready]
    return tuple(ordered)

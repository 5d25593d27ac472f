"""Dependencies: which rules hold back which others.

Knows the names that rules refer to, that a circle of them can never be decided, and what a service stands for: any of
its critical rules. Does not know what is open.
"""

from __future__ import annotations

from collections.abc import Iterator

from service_monitoring.domain.rules import Rule
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.conditions import members_of
from service_monitoring.settings.problems import shown
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.rule_shapes import RuleShape
from service_monitoring.settings.shapes import ServiceShape
from service_monitoring.settings.validation import suggestion

_Node = tuple[str, str]
"""Service and rule; a service as a whole has no rule."""


class Dependencies:
    """Collects what every rule depends on, then checks all of it at once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._shapes: dict[_Node, RuleShape] = {}
        self._judged: set[_Node] = set()
        self._edges: dict[_Node, list[tuple[_Node, KeyPath]]] = {}
        self._names = {service: reading.rules_of(service) for service in reading.names("services")}

    def add(self, service: str, shape: ServiceShape, judged: list[Rule]) -> None:
        """Take in the rules of one service, those included that are not judged."""
        self._judged.update((service, rule.name) for rule in judged)
        for name, rule in shape.rules.items():
            self._shapes[service, name] = rule
            if rule.severity == "critical" or "critical" in rule.worse:
                self._edges.setdefault((service, ""), []).append(((service, name), ()))

    def resolved(self) -> dict[str, tuple[str, ...]]:
        """What each judged rule depends on, by the rule's id; only what is judged itself can hold anything back."""
        kept: dict[str, tuple[str, ...]] = {}
        for node, shape in self._shapes.items():
            parents = self._parents(node, shape)
            self._check_members(node, shape)
            if parents and node in self._judged:
                kept[".".join(node)] = tuple(parents)
        self._refuse_circles()
        return kept

    def _parents(self, node: _Node, shape: RuleShape) -> list[str]:
        parents: list[str] = []
        for index, name in enumerate(shape.depends_on):
            path: KeyPath = ("services", node[0], "rules", node[1], "depends_on", index)
            target = self._target(name, path, node[0])
            if target is None:
                continue
            self._edges.setdefault(node, []).append((target, path))
            if target[1] and target not in self._judged:
                if target in self._shapes and node in self._judged:
                    what = f"{name} is not judged yet"
                    self._reading.postpone(path, what, "nothing is held back because of it")
            elif name not in parents:
                parents.append(name)
        return parents

    def _target(self, name: str, path: KeyPath, own: str) -> _Node | None:
        service, dot, rule = name.partition(".")
        if dot and rule in self._names.get(service, ()):
            return service, rule
        if not dot and service in self._names:
            return service, ""
        if name in self._names.get(own, ()):
            remedy = f"write {own}.{name}"
        elif dot and service in self._names:
            remedy = suggestion(rule, self._names[service], prefix=f"{service}.")
        else:
            remedy = suggestion(service, self._names)
        self._reading.complain(path, f"there is no {'rule' if dot else 'service'} {shown(name)}", remedy)
        return None

    def _check_members(self, node: _Node, shape: RuleShape) -> None:
        """The rules that a composite names: of its own service, or written as service.rule."""
        service = node[0]
        for inner, name in members_of(shape.when):
            path: KeyPath = ("services", *node[:1], "rules", node[1], *inner)
            target = (service, name) if name in self._names[service] else self._target(name, path, service)
            if target is not None and not target[1]:
                self._reading.complain(path, f"{shown(name)} is a service, not a rule", "write service.rule")
            elif target is not None:
                self._edges.setdefault(node, []).append((target, path))

    def _refuse_circles(self) -> None:
        """Depth first without recursion, for a chain may be as long as the file."""
        done: set[_Node] = set()
        for start in self._edges:
            if start in done:
                continue
            trail: dict[_Node, None] = {start: None}
            pending: list[Iterator[tuple[_Node, KeyPath]]] = [iter(self._edges[start])]
            while pending:
                following = next(pending[-1], None)
                if following is None:
                    pending.pop()
                    done.add(trail.popitem()[0])
                    continue
                node, _ = following
                if node in trail:
                    self._circle([*trail][[*trail].index(node) :])
                elif node not in done:
                    trail[node] = None
                    pending.append(iter(self._edges.get(node, ())))

    def _circle(self, nodes: list[_Node]) -> None:
        """Told once, at the first of its rules: who comes first must not depend on where the search began."""
        first = nodes.index(min(node for node in nodes if node[1]))
        around = [*nodes[first:], *nodes[: first + 1]]
        path = next(where for target, where in self._edges[around[0]] if target == around[1])
        names = [".".join(part for part in node if part) for node in around]
        named = names if len(names) <= 8 else [*names[:7], "...", names[-1]]
        self._reading.complain(path, f"this is a circle: {' -> '.join(named)}", "remove one of its steps")

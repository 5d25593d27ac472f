"""Unheard: what a history cannot say, and the rules that would take its silence for that of a service.

What was not recorded is not what did not happen: rules that wait for it are left out, and that is said. Knows rules and
checks by name, and gaps. Does not know what a history has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Admitted, GapBegan, GapEnded
from service_monitoring.domain.instants import SECOND, Instant, seconds
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.strategies import Absence, Heartbeat
from service_monitoring.views.because import length_text

Checks = Set[tuple[str, str]]
"""Checks by service and name."""

_MOST_NAMED: Final = 5
"""How many checks a limit names."""


def waiting_for_reports(configuration: Configuration) -> frozenset[str]:
    """Rules on heartbeats."""
    return _rules(configuration, lambda rule: isinstance(rule.strategy, Heartbeat))


def waiting_for(configuration: Configuration, checks: Checks) -> frozenset[str]:
    """Rules that open an incident when nothing comes from these checks."""

    def waits(rule: Rule) -> bool:
        return isinstance(rule.strategy, Heartbeat | Absence) and (rule.service, rule.check) in checks

    return _rules(configuration, waits)


def without(configuration: Configuration, rules: Set[str]) -> Configuration:
    """The revision in which these rules are retired: what joins them or depends on them hears nothing of them."""
    if not rules:
        return configuration
    services = (
        replace(
            service,
            rules=tuple(replace(rule, state=Lifecycle.RETIRED) if rule.id in rules else rule for rule in service.rules),
        )
        for service in configuration.services
    )
    return replace(configuration, services=tuple(services))


def _rules(configuration: Configuration, wanted: Callable[[Rule], bool]) -> frozenset[str]:
    return frozenset(rule.id for service in configuration.services for rule in service.rules if wanted(rule))


class Unobserved:
    """How much of a range nobody watched, by the gaps that were found."""

    def __init__(self, since: Instant, until: Instant) -> None:
        self._since, self._until = since.ns, until.ns
        self._began: int | None = None
        self._lost = 0

    def hear(self, admitted: Admitted) -> None:
        """One input; a gap goes on until one ends it."""
        at = min(max(admitted.stamp.at.ns, self._since), self._until)
        if isinstance(admitted.input, GapBegan):
            self._began = at if self._began is None else self._began
        elif isinstance(admitted.input, GapEnded) and self._began is not None:
            self._lost += max(0, at - self._began)
            self._began = None

    def limits(self) -> Iterator[str]:
        """What a reader must know of it."""
        if self._lost:
            share = self._lost / (self._until - self._since)
            yield (
                f"for {length_text(seconds(round(self._lost / SECOND)))} of the range ({share:.1%}) nobody watched: "
                "what happened meanwhile is not known"
            )


def left_out(rules: Iterable[str]) -> str:
    """That rules were left out, as a limit."""
    return (
        "rules that wait for what this history does not have were left out, or its silence would page: "
        f"{named(sorted(rules))}"
    )


def named(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")

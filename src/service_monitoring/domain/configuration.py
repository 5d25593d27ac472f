"""What decisions need to know of the configuration: one revision of it, as a value without secrets.

Knows services, checks' names and cadence, rules, routes, people and planned work. Does not know how to reach anything:
targets, credentials and channels' addresses stay in the settings. A revision is journalled whole, so that a recorded
day can be rehearsed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.maintenance import Maintenance
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.rotas import Rota
from service_monitoring.domain.rules import Lifecycle, LifecycleMove, Rule, Severity, moved
from service_monitoring.domain.schedules import ActiveHours, Expectation
from service_monitoring.domain.windows import Reach
from service_monitoring.errors import Refused

ALLOWANCE: Final = Duration(10 * SECOND)
"""How late a pushed sample may come and still be judged."""


class Check(Struct, frozen=True):
    """What is polled, or reports by itself, as far as decisions care.

    `stale_after` is when its verdicts turn Unknown without samples; a series that is silent for `forget_after` of
    observed time is forgotten. `allowance` is given for pushed samples alone, `expects` for heartbeats alone: neither
    is polled, and their `every` and `timeout` mean nothing.
    """

    service: str
    name: str
    kind: str
    every: Duration
    timeout: Duration
    stale_after: Duration
    retries: int = 0
    allowance: Duration = Duration(0)
    expects: Expectation | None = None
    forget_after: Duration = DAY

    @property
    def id(self) -> str:
        """`service.check`, as people write it."""
        return f"{self.service}.{self.name}"


class Service(Struct, frozen=True):
    """One service with its checks and rules, each in the order of the file."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    description: str = ""
    checks: tuple[Check, ...] = ()
    rules: tuple[Rule, ...] = ()


class Step(Struct, frozen=True):
    """Who is told so long after the first notice: `channel.NAME`, `person.NAME` or `oncall.NAME`.

    A step with matchers is taken only while an incident that they match is open.
    """

    recipients: tuple[str, ...]
    after: Duration = Duration(0)
    matchers: tuple[Matcher, ...] = ()


class Route(Struct, frozen=True):
    """Which incidents are told together, to whom and when; `path` is its place in the file, and its name.

    The first route whose matchers all hold is taken, and the next ones with `proceed`; narrower `routes` come before
    it. Incidents that agree in the labels of `group_by` share notices; `EVERY_LABEL` keeps each by itself. The first
    notice comes `wait` after the first incident, others at multiples of `interval` after it, or at once where that is
    zero; what has not changed is told again after `repeat`. `rounds` of `steps` are taken. A notice writes out at most
    `listed` incidents. In `muted` hours and outside of `active` ones nothing is told.
    """

    path: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] = ()
    wait: Duration = Duration(30 * SECOND)
    interval: Duration = Duration(5 * MINUTE)
    repeat: Duration = Duration(4 * HOUR)
    steps: tuple[Step, ...] = ()
    rounds: int = 1
    proceed: bool = False
    resolved: bool = True
    listed: int = 20
    muted: tuple[ActiveHours, ...] = ()
    active: tuple[ActiveHours, ...] = ()
    routes: tuple[Route, ...] = ()


EVERY_LABEL: Final = "..."
"""Grouping by it groups nothing: each incident has its own labels."""


class Inhibition(Struct, frozen=True):
    """While an incident that `when` matches is open, those that `mutes` matches are not told.

    Both must agree in the labels `same`; an incident never mutes itself.
    """

    when: tuple[Matcher, ...]
    mutes: tuple[Matcher, ...]
    same: tuple[str, ...] = ()


class QuietHours(Struct, frozen=True):
    """When a person is left alone, unless an incident has one of the severities `excepted`."""

    hours: ActiveHours
    excepted: tuple[Severity, ...] = ()


class Person(Struct, frozen=True):
    """Somebody who is told, through the channels `contacts`: the next one where one fails."""

    name: str
    contacts: tuple[str, ...] = ()
    quiet: QuietHours | None = None


class Configuration(Struct, frozen=True):
    """One revision. `owners` are the channels of `self`: who hears what concerns the monitor itself."""

    services: tuple[Service, ...] = ()
    routes: tuple[Route, ...] = ()
    owners: tuple[str, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    people: tuple[Person, ...] = ()
    rotas: tuple[Rota, ...] = ()
    maintenances: tuple[Maintenance, ...] = ()


def reach_of(service: Service, check: str) -> Reach:
    """The history that a service's rules on `check` look back at."""
    reach = Reach(samples=1)
    for rule in service.rules:
        if rule.check == check:
            reach = reach.joined(rule.strategy.reach)
    stale_after = next((each.stale_after + 2 * each.allowance for each in service.checks if each.name == check), 0)
    return Reach(reach.samples, Duration(reach.over + 2 * stale_after))


def judged_metrics(rules: Iterable[Rule]) -> dict[str, frozenset[str]]:
    """The metrics of each check that rules judge."""
    judged: dict[str, frozenset[str]] = {}
    for rule in rules:
        if rule.check and rule.metric:
            judged[rule.check] = judged.get(rule.check, frozenset()) | {rule.metric}
    return judged


def with_drafts_active(configuration: Configuration) -> Configuration:
    """The revision in which every draft is active; `Refused` where one then says the same as another rule."""
    services = []
    for service in configuration.services:
        rules = tuple(
            replace(rule, state=moved(rule.id, rule.state, LifecycleMove.ACTIVATE))
            if rule.state is Lifecycle.DRAFT
            else rule
            for rule in service.rules
        )
        services.append(replace(service, rules=rules))
        refuse_twins(services[-1])
    return replace(configuration, services=tuple(services))


def refuse_twins(service: Service) -> None:
    """Two active rules of one policy must not say the same; `Refused` names both."""
    known: dict[tuple[object, ...], str] = {}
    for rule in service.rules:
        if rule.state is not Lifecycle.ACTIVE:
            continue
        twin = known.setdefault(rule.signature, rule.name)
        if twin != rule.name:
            raise Refused(f"rules {service.name}.{twin} and {service.name}.{rule.name} are the same rule twice")

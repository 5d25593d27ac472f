"""Parents: what an incident depends on, whether that explains it, and who is asked to find out.

Knows policies as far as they answer. Decides nothing and changes nothing: the course does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.policy import MonitoringPolicy
from service_monitoring.domain.rules import Lifecycle, Severity

PATIENCE: Final = Duration(30 * SECOND)
"""How long an incident waits for its parents to be asked again, at most."""

Policies = Mapping[str, MonitoringPolicy]


class Wait(Struct, frozen=True):
    """Checks, as `service.check` and in order, that are asked again, and until when their answers are waited for."""

    checks: tuple[str, ...]
    until: Instant


def blocking(incident: Incident, policies: Policies) -> Incident | None:
    """The incident of a parent that makes this one unreachable: open, or else pending and so perhaps about to be.

    A service as a parent is any critical incident of it; those of drafts explain nothing.
    """
    pending: Incident | None = None
    for service, rule in _parents_of(incident, policies):
        for other in policies[service].incidents():
            concerned = other.rule == rule if rule else other.severity is Severity.CRITICAL
            if not concerned or other.id == incident.id or other.draft:
                continue
            if other.state is not State.PENDING:
                return other
            pending = pending or other
    return pending


def to_be_asked(
    incident: Incident, policies: Policies, at: Instant, observing: tuple[str, str] | None = None
) -> Wait | None:
    """The parents' checks whose next run tells more, and their whole retry budget; None where nobody can be asked.

    What ran at this very instant need not run again; heartbeats and pushed samples come when they come. Of checks after
    `observing` (service, check) the run of this instant is still to come.
    """
    asked: dict[str, Check] = {}
    for service, rule in _parents_of(incident, policies):
        policy = policies[service]
        named = {
            each.check
            for each in policy.configured.rules
            if each.state is Lifecycle.ACTIVE and (each.name == rule if rule else each.severity is Severity.CRITICAL)
        }
        for check in policy.configured.checks:
            polled = check.expects is None and not check.allowance
            if not polled or check.name not in named:
                continue
            until = at.ns if observing is None or (service, check.name) <= observing else at.ns - 1
            if policy.heard_at(check.name, until) < at.ns:
                asked[check.id] = check
    if not asked:
        return None
    budget = max(check.timeout * (check.retries + 1) for check in asked.values())
    return Wait(tuple(sorted(asked)), at.plus(Duration(min(PATIENCE, budget))))


def _parents_of(incident: Incident, policies: Policies) -> Iterator[tuple[str, str]]:
    """Service and rule of each parent that there is; a service as a whole has no rule."""
    for parent in policies[incident.service].rule(incident.rule).depends_on:
        service, _, rule = parent.partition(".")
        if service in policies:
            yield service, rule

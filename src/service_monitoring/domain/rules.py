"""Rules: one condition on one kind of series, its modifiers and its lifecycle table.

Knows what a rule says and which moves of its lifecycle are allowed. Does not judge (`strategies`), hold or count time
(`holds`), or own any state (`policy`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Duration
from service_monitoring.domain.matchers import Matcher, all_hold
from service_monitoring.domain.samples import Series
from service_monitoring.domain.schedules import ActiveHours
from service_monitoring.domain.strategies import AnyStrategy, Comparison
from service_monitoring.errors import Refused


class Severity(StrEnum):
    """How bad an incident is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Lifecycle(StrEnum):
    """The states of a rule: a draft never pages, a retired one never returns."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


class LifecycleMove(StrEnum):
    """What may be asked of a rule."""

    ACTIVATE = "activate"
    RETIRE = "retire"


MOVES: Final[dict[tuple[Lifecycle, LifecycleMove], Lifecycle]] = {
    (Lifecycle.DRAFT, LifecycleMove.ACTIVATE): Lifecycle.ACTIVE,
    (Lifecycle.DRAFT, LifecycleMove.RETIRE): Lifecycle.RETIRED,
    (Lifecycle.ACTIVE, LifecycleMove.RETIRE): Lifecycle.RETIRED,
}
"""The whole lifecycle of a rule; a missing pair is refused."""


def moved(rule: str, state: Lifecycle, move: LifecycleMove) -> Lifecycle:
    """The state after `move`; `Refused` with a sentence where the table has no such pair."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise Refused(f"rule {rule} is {state}: it cannot {move}") from None


class NoDataMode(StrEnum):
    """What a rule does from the instant its verdict turns Unknown."""

    KEEP = "keep"
    RESOLVE = "resolve"
    BREACH_AFTER = "breach_after"


class NoData(Struct, frozen=True):
    """`after` is given with BREACH_AFTER alone."""

    mode: NoDataMode = NoDataMode.KEEP
    after: Duration = Duration(0)


class Recovery(Struct, frozen=True):
    """Hysteresis and keep-firing of an open incident; without `comparison` a Healthy verdict recovers."""

    comparison: Comparison | None = None
    holds_for: Duration = Duration(0)


class Worse(Struct, frozen=True):
    """A stronger comparison of the same value: where it holds for so long, the incident is as bad as `severity`."""

    severity: Severity
    comparison: Comparison
    holds_for: Duration = Duration(0)


class Flapping(Struct, frozen=True):
    """Percent of weighted changes among the last verdicts above which a series flaps, and at which it stops."""

    above: float = 30.0
    stops_at: float = 25.0


class Rule(Struct, frozen=True):
    """One condition with its modifiers. `selects` are matchers on the labels of the series that it judges.

    `depends_on` names rules as `service.rule` or services as `service`. `summary` and `runbook` are templates' source
    texts: this room never renders them. `worse` rises in severity; outside `active` hours nothing opens or accrues;
    without `flapping` changes are not counted. A composite has no check and no metric.
    """

    service: str
    name: str
    check: str
    metric: str
    strategy: AnyStrategy
    severity: Severity = Severity.WARNING
    holds_for: Duration = Duration(0)
    recovery: Recovery = Recovery()
    no_data: NoData = NoData()
    worse: tuple[Worse, ...] = ()
    active: ActiveHours | None = None
    flapping: Flapping | None = Flapping()
    selects: tuple[Matcher, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[str, ...] = ()
    summary: str = ""
    runbook: str = ""
    state: Lifecycle = Lifecycle.ACTIVE

    @property
    def id(self) -> str:
        """`service.rule`, as people write it."""
        return f"{self.service}.{self.name}"

    @property
    def signature(self) -> tuple[object, ...]:
        """What makes two active rules of one policy the same rule twice."""
        return (self.check, self.metric, self.selects, self.strategy, self.holds_for)

    @property
    def revision(self) -> tuple[object, ...]:
        """What makes a changed rule a new revision: wording, labels, severity and dependencies do not."""
        return (*self.signature, self.recovery, self.no_data, self.worse, self.active, self.flapping)

    def matches(self, series: Series) -> bool:
        """Whether this rule judges `series` (of its own service)."""
        if series.check != self.check or series.metric != self.metric:
            return False
        return all_hold(self.selects, dict(series.labels))

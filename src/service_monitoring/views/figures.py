"""Figures as faces show them: how available a service was, and what is left of its error budgets.

Knows the values that are shown, as text and numbers ready for JSON. Does not know where they come from.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.budgets import Budget
from service_monitoring.domain.instants import DAY, Duration, Instant, in_seconds
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.spending import Spending
from service_monitoring.domain.uptime import Uptime

LATELY: Final = Duration(30 * DAY)
"""The range of an uptime that nobody named."""


class Part(Struct, frozen=True):
    """How long, and which share of the range that is, 0 to 1."""

    seconds: float
    share: float


class UptimeRow(Struct, frozen=True, rename={"began": "from", "ended": "to"}):
    """How a service was in [from, to). The five parts are the whole; unknown and maintenance are not up."""

    service: str
    began: str
    ended: str
    up: Part
    down: Part
    degraded: Part
    maintenance: Part
    unknown: Part


class RateRow(Struct, frozen=True):
    """How many times as fast as allowed a budget was spent over a window; null where it was observed less than half."""

    over_seconds: float
    burn: float | None


class BudgetRow(Struct, frozen=True):
    """What is left of a rule's error budget for one series, over (at - window, at].

    `objective`, `error_ratio` and `observed` are shares, 0 to 1; `remaining` is the share of the allowed errors that is
    not used, below 0 when there were more. Both are of the part of the window that was observed.
    """

    service: str
    rule: str
    series: str
    at: str
    objective: float
    window_seconds: float
    samples: int
    failed: int
    error_ratio: float | None
    remaining: float | None
    observed: float
    burn_rates: tuple[RateRow, ...]


def uptime_row(service: str, began: Instant, ended: Instant, uptime: Uptime) -> UptimeRow:
    """An uptime as faces show it."""
    whole = uptime.whole

    def part(length: Duration) -> Part:
        return Part(in_seconds(length), length / whole)

    return UptimeRow(
        service=service,
        began=str(began),
        ended=str(ended),
        up=part(uptime.up),
        down=part(uptime.down),
        degraded=part(uptime.degraded),
        maintenance=part(uptime.maintenance),
        unknown=part(uptime.unknown),
    )


def budget_row(rule: Rule, budget: Budget, series: str, at: Instant, spending: Spending) -> BudgetRow:
    """What is left of a budget as faces show it."""
    return BudgetRow(
        service=rule.service,
        rule=rule.name,
        series=series,
        at=str(at),
        objective=budget.objective,
        window_seconds=in_seconds(budget.window),
        samples=spending.samples,
        failed=spending.failed,
        error_ratio=spending.error_ratio,
        remaining=spending.remaining,
        observed=spending.observed,
        burn_rates=tuple(RateRow(in_seconds(rate.over), rate.burn) for rate in spending.rates),
    )

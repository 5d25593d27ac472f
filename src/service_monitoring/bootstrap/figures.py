"""Figures of this installation: uptime and budgets, put together from the store and from how far it is decided.

Knows the store and the pure functions that count. Does not decide anything, and reads no clock.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from service_monitoring.domain.budgets import Budget
from service_monitoring.domain.configuration import Service
from service_monitoring.domain.course import Course, Progress
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.samples import Series
from service_monitoring.domain.spending import reach, spending
from service_monitoring.domain.uptime import FOR_EVER, Known, Span, uptime
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.figures import LATELY, BudgetRow, UptimeRow, budget_row, uptime_row


async def uptime_of(
    store: SqliteStore, course: Course, service: Service, began: Instant | None, ended: Instant | None
) -> UptimeRow:
    """How a service was, to where everything is decided where no end is named; nobody knows what comes after that."""
    judged = course.progress.judged.at
    ended = judged if ended is None else ended
    began = ended.plus(Duration(-LATELY)) if began is None else began
    # A range may begin before the first instant that can be written down.
    began = max(began, Instant(-FOR_EVER))
    known = await known_of(store, course, service, began, ended)
    return uptime_row(service.name, began, ended, uptime(began, ended, known))


async def known_of(store: SqliteStore, course: Course, service: Service, began: Instant, ended: Instant) -> Known:
    """What is known of a service in a range; of what comes after where everything is decided, nothing."""
    judged = course.progress.judged.at
    known = await store.known(service, began, ended, maintenances=course.configuration.maintenances)
    # What is announced for later has not been yet.
    planned = tuple(Span(span.began, min(span.ended, judged.ns)) for span in known.maintenance)
    return replace(known, unwatched=(*known.unwatched, Span(judged.ns, FOR_EVER)), maintenance=planned)


async def budgets_of(store: SqliteStore, course: Course, service: Service) -> list[BudgetRow]:
    """What is left of each budget of a service, to where everything is decided."""
    policy = course.policy(service.name)
    rows: list[BudgetRow] = []
    for rule in service.rules:
        if isinstance(rule.strategy, Budget) and policy.lifecycle(rule.name) is not Lifecycle.RETIRED:
            rows += await _spent(store, course.progress, service, rule, rule.strategy)
    return rows


async def _spent(
    store: SqliteStore, progress: Progress, service: Service, rule: Rule, budget: Budget
) -> list[BudgetRow]:
    judged = progress.judged
    epochs = {0, judged.epoch, *(number for number, _ in progress.shifts)}
    shifts = {
        epoch: Duration(sum(delta for number, delta in progress.shifts if number > epoch)) for epoch in sorted(epochs)
    }
    check = next((each for each in service.checks if each.name == rule.check), None)
    found = await store.columns(
        rule,
        since=judged.at.plus(Duration(-reach(budget))),
        until=judged,
        shifts=shifts,
        pushed=check is not None and bool(check.allowance),
    )
    if not found:
        nothing = Series(rule.service, rule.check, rule.metric)
        found = {nothing: (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))}
    # Counting a month of samples takes some milliseconds: no thread is worth that.
    return [
        budget_row(rule, budget, str(series), judged.at, spending(budget, *found[series], judged.at))
        for series in sorted(found)
    ]

"""Every kind of rule and the columns that it judges, for Hypothesis: few different values, at whole seconds.

Equal values, ties at the edges of windows and counters that restart are where the bugs are.
"""

from __future__ import annotations

from hypothesis import strategies as some

from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    Budget,
    Burn,
    Change,
    Comparison,
    Deviation,
    Direction,
    Forecast,
    Function,
    Judging,
    LastOf,
    Operator,
    Threshold,
)

OVER = Duration(10 * SECOND)

STANDS_FOR = Duration(4 * SECOND)

VALUES = some.sampled_from([-2.0, 0.0, 0.1, 0.2, 0.3, 1.0, 1.5, 2.0, 3.0, 1e9, 1e-9, 1e16])
STEPS = some.integers(1, 6)
COLUMNS = some.lists(some.tuples(STEPS, VALUES), min_size=1, max_size=30)


def seconds(number: int) -> Duration:
    """So many seconds."""
    return Duration(number * SECOND)


LIMITS = some.sampled_from([-1.0, 0.0, 0.2, 1.0, 2.0, 1e9])
COMPARISONS = some.one_of(
    some.builds(
        Comparison, some.sampled_from([Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST]), LIMITS
    ),
    some.builds(Comparison, some.sampled_from([Operator.OUTSIDE, Operator.INSIDE]), some.just(0.1), some.just(1.5)),
)
RECOVERIES = some.none() | COMPARISONS
WINDOWED: some.SearchStrategy[Threshold | Aggregate | Change] = some.one_of(
    some.builds(Threshold, COMPARISONS),
    some.builds(
        Aggregate,
        COMPARISONS,
        function=some.sampled_from([function for function in Function if function is not Function.PERCENTILE]),
        over=some.just(OVER),
    ),
    some.builds(
        Aggregate,
        COMPARISONS,
        function=some.just(Function.PERCENTILE),
        over=some.just(OVER),
        percentile=some.sampled_from([0.0, 50.0, 95.0, 99.9, 100.0]),
    ),
    some.builds(Change, COMPARISONS, samples=some.integers(2, 9)),
    some.builds(Change, COMPARISONS, over=some.just(OVER)),
)
DEVIATIONS = some.builds(
    Deviation,
    COMPARISONS,
    baseline=some.sampled_from([10, 25, 60]).map(seconds),
    season=some.none() | some.sampled_from([12, 20]).map(seconds),
    stands_for=some.sampled_from([1, 4, 9]).map(seconds),
)
FORECASTS = some.builds(
    Forecast,
    level=LIMITS,
    within=some.sampled_from([0, 3, 20]).map(seconds),
    fit=some.just(OVER),
    stands_for=some.just(STANDS_FOR),
    direction=some.sampled_from(Direction),
)
BUDGETS = some.builds(
    Budget,
    objective=some.sampled_from([0.5, 0.9, 0.99]),
    window=some.just(HOUR),
    burns=some.lists(
        some.builds(
            Burn,
            some.sampled_from([1.0, 2.5, 14.4]),
            some.sampled_from([10, 30]).map(seconds),
            some.sampled_from([2, 5]).map(seconds),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
    stands_for=some.just(STANDS_FOR),
)
STRATEGIES: some.SearchStrategy[Judging] = some.one_of(
    WINDOWED,
    some.integers(1, 5).flatmap(lambda n: some.builds(LastOf, some.just(n), some.integers(1, n), COMPARISONS)),
    some.builds(Absence, some.just(Duration(MINUTE))),
    DEVIATIONS,
    FORECASTS,
    BUDGETS,
)

Column = list[tuple[int, float]]


def columns(steps: Column) -> tuple[list[int], list[float]]:
    """Instants in nanoseconds and values."""
    at, instants, values = 0, [], []
    for step, value in steps:
        at += step * SECOND
        instants.append(at)
        values.append(value)
    return instants, values

"""Long columns: what is computed quickly decides nothing that exact windows would decide otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.sliding import FEW, PIECE, astride, extremes, pieces, sums, undecided
from service_monitoring.domain.strategies import Aggregate, Comparison, Function, Judging, LastOf, Operator, code_of
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import starts
from service_monitoring.testing.builders import above, below
from tests.domain.kinds import COMPARISONS, OVER, RECOVERIES, STEPS, STRATEGIES, VALUES, Column, columns

LONG = some.lists(
    some.tuples(some.lists(some.tuples(STEPS, VALUES), min_size=1, max_size=6), some.integers(1, 60)),
    min_size=1,
    max_size=4,
).map(lambda patterns: [step for pattern, times in patterns for step in pattern * times])
WORSE = some.lists(COMPARISONS, max_size=2).map(tuple)


@given(STRATEGIES, LONG, RECOVERIES, WORSE)
@settings(deadline=None)
def test_a_long_column_has_the_codes_of_its_windows_taken_singly(
    strategy: Judging, steps: Column, recovery: Comparison | None, worse: tuple[Comparison, ...]
) -> None:
    instants, values = (np.array(column) for column in columns(steps))
    whole = strategy.codes(instants, values, 0, recovery, worse)
    reach = strategy.reach
    for index in range(len(values)):
        seen = int(np.searchsorted(instants, instants[index] - reach.over, side="right"))
        old = max(0, min(seen, index + 1 - reach.samples))
        piece = instants[old : index + 1], values[old : index + 1], index - old
        assert strategy.codes(*piece, recovery, worse).tolist() == [whole[index]]


@given(LONG, some.integers(1, 200), some.integers(0, 40))
def test_windows_begin_where_a_search_finds_them(steps: Column, over: int, first: int) -> None:
    instants = np.array(columns(steps)[0])
    first = min(first, len(instants) - 1)
    expected = np.searchsorted(instants, instants[first:] - over * SECOND, side="right")
    assert starts(instants, Duration(over * SECOND), first).tolist() == expected.tolist()


@pytest.mark.parametrize("jitter", [0, 1, 20, 400])
def test_windows_of_a_steady_series_begin_where_a_search_finds_them(jitter: int) -> None:
    noise = np.arange(5_000) * 7919 % (jitter + 1) * SECOND // 20
    instants = np.sort(np.arange(5_000, dtype=np.int64) * 15 * SECOND + noise)
    for first in (0, 1, 19, 20, 21, 4_000):
        expected = np.searchsorted(instants, instants[first:] - 5 * MINUTE, side="right")
        assert np.array_equal(starts(instants, Duration(5 * MINUTE), first), expected)


# Values beside each other by sixteen orders of magnitude, sums that cancel, and steps of a tenth that no float is.
HARD = some.lists(
    some.sampled_from([0.1, 0.2, 0.3, -0.1, 1e16, -1e16, 1.0, 3.0, 1e-9, 1e300, -1e300, 1.7e308]),
    min_size=FEW,
    max_size=3 * FEW,
)
SUMS = [Function.AVG, Function.SUM, Function.INCREASE, Function.RATE]


@given(some.sampled_from(SUMS), HARD, some.sampled_from(list("<>=")), some.data())
@settings(deadline=None)
def test_a_sum_exactly_at_the_limit_is_decided_as_if_it_were_added_up_alone(
    function: Function, values: list[float], how: str, data: some.DataObject
) -> None:
    column, instants = np.array(values), np.arange(len(values)) * SECOND
    free = Aggregate(above(0.0), function=function, over=OVER)
    measured = free.measured(instants, column, 0)
    limit = float(data.draw(some.sampled_from([value for value in measured.tolist() if not math.isnan(value)])))
    limit = {"<": math.nextafter(limit, -math.inf), ">": math.nextafter(limit, math.inf), "=": limit}[how]
    comparison = above(limit if math.isfinite(limit) else 0.0)
    codes = Aggregate(comparison, function=function, over=OVER).codes(instants, column, 0, below(-limit), (above(9.0),))
    expected = code_of(measured, comparison, below(-limit), (above(9.0),))
    expected[np.isnan(measured)] = Code.UNKNOWN
    assert codes.tolist() == expected.tolist()


@given(HARD)
def test_a_running_sum_is_never_further_off_than_its_bound(values: list[float]) -> None:
    column = np.array(values)
    opens = np.maximum(0, np.arange(len(values)) - 9)
    found = sums(column, opens, np.arange(1, len(values) + 1))
    for index, open_ in enumerate(opens.tolist()):
        try:
            exact = math.fsum(values[open_ : index + 1])
        except OverflowError:
            assert found.error[index] == math.inf
            continue
        assert abs(found.values[index] - exact) <= found.error[index]


@given(some.lists(some.integers(-1000, 1000), min_size=FEW, max_size=200), some.sampled_from([1.0, 0.125, 2.0**40]))
@example([0] * FEW, 1.0)
def test_sums_of_integers_are_exact_in_any_order(counts: list[int], unit: float) -> None:
    values = np.array(counts) * unit
    found = sums(values, np.zeros(len(values), dtype=np.int64), np.arange(1, len(values) + 1))
    assert found.error.tolist() == [0.0] * len(values)
    assert found.values.tolist() == np.cumsum(values).tolist()
    assert undecided(found, (0.0, float(values[0]))).tolist() == []


@given(some.lists(VALUES, min_size=1, max_size=80), some.sampled_from([np.minimum, np.maximum]), some.data())
def test_extremes_are_those_of_each_window(values: list[float], of: np.ufunc, data: some.DataObject) -> None:
    column = np.array(values)
    windows = data.draw(some.lists(some.tuples(*[some.integers(0, len(values) - 1)] * 2), min_size=1))
    opens = np.array([min(pair) for pair in windows])
    ends = np.array([max(pair) + 1 for pair in windows])
    expected = [float(of.reduce(column[a:b])) for a, b in zip(opens, ends, strict=True)]
    assert extremes(column, opens, ends, of).tolist() == expected


@pytest.mark.parametrize("function", [Function.AVG, Function.SUM, Function.MIN, Function.MAX, Function.COUNT])
def test_pieces_of_a_long_column_are_joined_without_a_seam(function: Function) -> None:
    count = 3 * PIECE + 7
    numbers = np.arange(count)
    instants = numbers * 15 * SECOND + numbers % 3 * SECOND
    instants[count // 2 :] += 10 * MINUTE
    values = (numbers * 7919 % 1000) / 1000
    limit = {Function.COUNT: 19.0, Function.SUM: 10.0, Function.MIN: 0.02, Function.MAX: 0.98}.get(function, 0.5)
    strategy = Aggregate(above(limit), function=function, over=Duration(5 * MINUTE))
    codes = strategy.codes(instants, values, 5, None)
    bounds = [begin for _, begin, _ in pieces(instants, strategy.over, 5)]
    assert len(bounds) > 2
    for bound in [*bounds, count // 2]:
        for index in range(max(5, bound - 25), min(count, bound + 25)):
            old = max(0, index - 40)
            alone = strategy.codes(instants[old : index + 1], values[old : index + 1], index - old, None)
            assert alone.tolist() == [codes[index - 5]]


def test_history_longer_than_a_piece_makes_longer_pieces() -> None:
    instants = np.arange(200_000, dtype=np.int64) * SECOND
    cut = list(pieces(instants, Duration(50_000 * SECOND), 60_000))
    assert cut[0] == (10_001, 60_000, 60_000 + 2 * 49_999)
    assert [begin for _, begin, _ in cut[1:]] == [end for _, _, end in cut[:-1]]
    assert cut[-1][2] == 200_000


def test_the_last_of_a_long_column_are_counted_as_one_by_one() -> None:
    values = np.arange(10_000) * 7919 % 100 / 100
    codes = LastOf(5, 3, above(0.5)).codes(np.arange(10_000) * SECOND, values, 0, None)
    expected = [int(sum(values[index - 4 : index + 1] > 0.5) >= 3) * 2 for index in range(4, 10_000)]
    assert codes[4:].tolist() == expected


CALM = some.lists(
    some.tuples(
        some.sampled_from([0.1, 0.3, 0.3, 0.7, 1 - 2**-53, 1.0, 1 + 2**-52, 3.0, -1.0, 1e17]), some.integers(1, 300)
    ),
    min_size=1,
    max_size=6,
)
"""Values that stay for long, some of them as close to a limit as can be, and one that dwarfs them."""


@given(
    CALM,
    some.sampled_from([Function.AVG, Function.MIN, Function.MAX, Function.PERCENTILE]),
    some.sampled_from(
        [above(1.0), below(1.0), Comparison(Operator.OUTSIDE, 0.3, 1.0), Comparison(Operator.INSIDE, 0, 1)]
    ),
    RECOVERIES,
    WORSE,
    some.integers(1, 40),
    some.integers(0, 70),
)
def test_windows_on_one_side_of_a_limit_are_judged_as_those_that_are_looked_at(
    calm: list[tuple[float, int]],
    function: Function,
    comparison: Comparison,
    recovery: Comparison | None,
    worse: tuple[Comparison, ...],
    over: int,
    first: int,
) -> None:
    values = np.repeat([value for value, _ in calm], [count for _, count in calm])
    # Not quite steady: every seventh sample is missing.
    instants = np.delete(np.arange(2 * len(values), dtype=np.int64), slice(None, None, 7))[: len(values)] * SECOND
    percentile = 95.0 if function is Function.PERCENTILE else None
    strategy = Aggregate(comparison, function=function, over=Duration(over * SECOND), percentile=percentile)
    first = min(first, len(values) - 1)
    expected = [
        strategy.codes(instants[: end + 1], values[: end + 1], end, recovery, worse)[0]
        for end in range(first, len(values))
    ]
    assert strategy.codes(instants, values, first, recovery, worse).tolist() == expected


def test_few_windows_of_a_calm_series_are_looked_at() -> None:
    values = np.full(10_000, 0.3)
    values[5_000] = 2.0
    instants = np.arange(10_000, dtype=np.int64) * SECOND
    assert astride(instants, values, Duration(MINUTE), 100, (1.0,)) == [(5_000, 5_061 - 1)]
    assert astride(instants, np.full(10_000, 1.0), Duration(MINUTE), 100, (1.0,)) is None

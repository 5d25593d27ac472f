"""Every kind of rule: the same codes however its column is cut, and a naive oracle for every number it compares."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as some

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.samples import Measurement
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    Budget,
    Burn,
    Change,
    Comparison,
    Direction,
    Forecast,
    Function,
    Judging,
    LastOf,
    Operator,
    Threshold,
    code_of,
)
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import CodeColumn, Reach, Window
from service_monitoring.errors import Refused
from service_monitoring.testing.builders import above, below
from tests.domain.kinds import (
    COLUMNS,
    COMPARISONS,
    OVER,
    RECOVERIES,
    STEPS,
    STRATEGIES,
    VALUES,
    WINDOWED,
    Column,
    columns,
)

B, R, W, U = Code.BREACHED, Code.RECOVERED, Code.BETWEEN, Code.UNKNOWN
WORSE = some.lists(COMPARISONS, max_size=2).map(tuple)


def at_once(
    strategy: Judging, steps: Column, recovery: Comparison | None, worse: tuple[Comparison, ...] = ()
) -> list[int]:
    instants, values = columns(steps)
    return _listed(strategy.codes(np.array(instants), np.array(values), 0, recovery, worse))


def _listed(codes: CodeColumn) -> list[int]:
    assert codes.dtype == np.int8
    return [int(code) for code in codes]


# However a column is cut ----------------------------------------------------------------------------------------------


@given(STRATEGIES, COLUMNS, RECOVERIES, WORSE, some.data())
@example(Change(above(0.2), samples=8), [(1, 0.1)] * 5, None, (), None)
def test_no_result_depends_on_chunks(
    strategy: Judging,
    steps: Column,
    recovery: Comparison | None,
    worse: tuple[Comparison, ...],
    data: some.DataObject | None,
) -> None:
    instants, values = columns(steps)
    cuts = sorted(data.draw(some.sets(some.integers(1, len(steps))))) if data is not None else [1, 3]
    reach = strategy.reach
    chunked: list[int] = []
    for begin, end in pairwise([0, *(cut for cut in cuts if cut < len(steps)), len(steps)]):
        # History: as many samples as it reaches, and everything as long ago as it reaches; not one more.
        old = min(
            begin - min(begin, reach.samples - 1),
            next(i for i in range(begin + 1) if _seen(instants, i, begin, reach.over)),
        )
        piece = slice(old, end)
        codes = strategy.codes(np.array(instants[piece]), np.array(values[piece]), begin - old, recovery, worse)
        chunked += _listed(codes)
    assert chunked == at_once(strategy, steps, recovery, worse)


def _seen(instants: list[int], index: int, begin: int, over: int) -> bool:
    return index == begin or instants[index] > instants[begin] - over


@given(STRATEGIES, COLUMNS, RECOVERIES, WORSE)
def test_the_newest_window_judged_live_gives_the_codes_of_the_whole_column(
    strategy: Judging, steps: Column, recovery: Comparison | None, worse: tuple[Comparison, ...]
) -> None:
    window = Window(strategy.reach)
    live: list[int] = []
    for at, value in zip(*columns(steps), strict=True):
        window.append(at, value)
        live += _listed(strategy.codes(window.instants, window.values, len(window) - 1, recovery, worse))
    assert live == at_once(strategy, steps, recovery, worse)


@given(COLUMNS, some.integers(-9, 9))
def test_a_window_shifted_with_the_clock_judges_as_before(steps: Column, shift: int) -> None:
    strategy = Aggregate(above(1.0), function=Function.RATE, over=OVER)
    window = Window(strategy.reach)
    delta = 0
    live: list[int] = []
    for number, (at, value) in enumerate(zip(*columns(steps), strict=True)):
        if number == len(steps) // 2:
            delta = shift * SECOND
            window.shift(Duration(delta))
        window.append(at + delta, value)
        live += _listed(strategy.codes(window.instants, window.values, len(window) - 1, None))
    assert live == at_once(strategy, steps, None)


@given(some.integers(1, 5), some.lists(some.tuples(some.integers(0, 6), VALUES), max_size=40), some.integers(0, 40))
def test_a_window_that_is_extended_is_as_if_each_sample_were_appended(samples: int, steps: Column, cut: int) -> None:
    appended, extended = Window(Reach(samples, OVER)), Window(Reach(samples, OVER))
    instants, values = columns(steps)
    for place, (at, value) in enumerate(zip(instants, values, strict=True)):
        if appended.newest < at:
            appended.append(at, value)
            if place < cut:
                extended.append(at, value)
    # What it has already, and a second sample of one instant, change nothing.
    extended.extend(instants, values)
    assert extended.instants.tolist() == appended.instants.tolist()
    assert extended.values.tolist() == appended.values.tolist()
    assert extended.newest == appended.newest


def test_a_window_keeps_little_more_than_its_reach() -> None:
    window = Window(Aggregate(above(1.0), function=Function.AVG, over=OVER).reach)
    for second in range(10_000):
        window.append(second * SECOND, float(second))
    assert len(window) == 10
    assert window._instants.size <= 64


# Naive oracles --------------------------------------------------------------------------------------------------------


def naive(strategy: Judging, instants: list[int], values: list[float], index: int) -> float | None:
    """What is compared at one sample, by the sentence in the documentation and nothing else. None is Unknown."""
    match strategy:
        case Threshold():
            return values[index]
        case Change(samples=int(samples)):
            return values[index] - values[index - samples + 1] if index + 1 >= samples else None
        case Change():
            window = _window(instants, values, index)
            return window[-1] - window[0] if len(window) > 1 else None
        case Aggregate():
            return _aggregate(strategy, _window(instants, values, index), _instants(instants, index))
        case _:
            raise AssertionError(strategy)


def _instants(instants: list[int], index: int) -> list[int]:
    return [at for at in instants[: index + 1] if instants[index] - OVER < at]


def _window(instants: list[int], values: list[float], index: int) -> list[float]:
    return values[index + 1 - len(_instants(instants, index)) : index + 1]


def _increase(window: list[float]) -> float:
    return math.fsum(later - earlier if later >= earlier else later for earlier, later in pairwise(window))


def _aggregate(strategy: Aggregate, window: list[float], instants: list[int]) -> float | None:
    match strategy.function:
        case Function.AVG:
            return float(sum(map(Fraction, window)) / len(window))
        case Function.MIN:
            return min(window)
        case Function.MAX:
            return max(window)
        case Function.SUM:
            return float(sum(map(Fraction, window)))
        case Function.COUNT:
            return float(len(window))
        case Function.STDDEV:
            return float(statistics.pstdev(map(Fraction, window)))
        case Function.PERCENTILE:
            ordered = [Fraction(value) for value in sorted(window)]
            place = Fraction(strategy.percentile or 0) / 100 * (len(window) - 1)
            below = math.floor(place)
            higher = ordered[min(below + 1, len(ordered) - 1)]
            return float(ordered[below] + (higher - ordered[below]) * (place - below))
        case Function.DELTA:
            return window[-1] - window[0] if len(window) > 1 else None
        case Function.INCREASE:
            return _increase(window) if len(window) > 1 else None
        case Function.RATE:
            span = (instants[-1] - instants[0]) / SECOND
            return _increase(window) / span if len(window) > 1 else None


@given(WINDOWED, COLUMNS)
def test_what_is_compared_is_what_the_documentation_says(strategy: Judging, steps: Column) -> None:
    instants, values = columns(steps)
    measured = strategy.measured(np.array(instants), np.array(values), 0)
    expected = [naive(strategy, instants, values, index) for index in range(len(values))]
    rounded = isinstance(strategy, Aggregate) and strategy.function in {
        Function.STDDEV,
        Function.PERCENTILE,
        Function.AVG,
    }
    for got, wanted in zip(measured.tolist(), expected, strict=True):
        if wanted is None:
            assert math.isnan(got)
        elif rounded:
            # Two roundings against one: a few units in the last place of the largest value in the window.
            assert got == pytest.approx(wanted, rel=1e-12, abs=1e-12 * max(map(abs, values)))
        else:
            assert got == wanted


@given(
    some.integers(1, 6).flatmap(lambda n: some.tuples(some.just(n), some.integers(1, n))),
    COMPARISONS,
    RECOVERIES,
    COLUMNS,
)
def test_last_n_is_unknown_until_n_samples_are_there_and_then_counts_them(
    sizes: tuple[int, int], comparison: Comparison, recovery: Comparison | None, steps: Column
) -> None:
    count, need = sizes
    _, values = columns(steps)
    expected = []
    for index in range(len(values)):
        last = values[index + 1 - count : index + 1] if index + 1 >= count else None
        if last is None:
            expected.append(U)
        elif sum(map(bool, map(comparison.holds, last))) >= need:
            expected.append(B)
        elif recovery is None or sum(map(bool, map(recovery.holds, last))) >= need:
            expected.append(R)
        else:
            expected.append(W)
    assert at_once(LastOf(count, need, comparison), steps, recovery) == expected


@pytest.mark.parametrize(
    ("need", "codes"),
    [(1, [U, U, B, B, B, B]), (2, [U, U, R, B, B, R]), (3, [U, U, R, R, R, R])],
    ids=["any", "two of three", "all"],
)
def test_any_all_and_k_of_the_last_n(need: int, codes: list[Code]) -> None:
    steps = [(1, value) for value in (0.0, 0.0, 2.0, 2.0, 0.0, 0.0)]
    assert at_once(LastOf(3, need, above(1.0)), steps, None) == codes


@given(COLUMNS)
def test_every_sample_is_a_recovery_of_an_absence(steps: Column) -> None:
    assert at_once(Absence(Duration(MINUTE)), steps, None) == [R] * len(steps)


# Windows, edges and extremes ------------------------------------------------------------------------------------------


def test_a_window_is_open_at_its_old_end_and_closed_at_the_new_one() -> None:
    counting = Aggregate(above(0.0), function=Function.COUNT, over=OVER)
    instants = np.array([0, 5, 10, 20], dtype=np.int64) * SECOND
    assert counting.measured(instants, np.zeros(4), 0).tolist() == [1, 2, 2, 1]


@pytest.mark.parametrize("function", [Function.RATE, Function.INCREASE, Function.DELTA])
def test_rate_increase_and_delta_are_unknown_below_two_samples(function: Function) -> None:
    assert at_once(Aggregate(above(-9.0), function=function, over=OVER), [(1, 5.0), (30, 6.0)], None) == [U, U]


def test_a_drop_counts_the_new_value_because_the_counter_restarted() -> None:
    increase = Aggregate(above(0.0), function=Function.INCREASE, over=Duration(MINUTE))
    instants = np.arange(4) * SECOND
    assert increase.measured(instants, np.array([10.0, 14.0, 3.0, 5.0]), 3).tolist() == [4 + 3 + 2]


def test_rate_is_the_increase_over_the_time_from_first_to_last_sample_without_extrapolation() -> None:
    rate = Aggregate(above(0.0), function=Function.RATE, over=Duration(MINUTE))
    instants = np.array([0, 10, 30], dtype=np.int64) * SECOND
    assert rate.measured(instants, np.array([0.0, 5.0, 15.0]), 2).tolist() == [0.5]


def test_a_mean_of_many_small_differences_is_exact_after_a_large_value_left_the_window() -> None:
    average = Aggregate(above(0.0), function=Function.AVG, over=Duration(3 * SECOND))
    values = np.array([1e16, 0.1, 0.1, 0.1, 0.1])
    assert average.measured(np.arange(5) * SECOND, values, 4).tolist() == [math.fsum([0.1] * 3) / 3]


LARGE = some.floats(allow_nan=False, allow_infinity=False)


@given(STRATEGIES, some.lists(some.tuples(STEPS, LARGE), min_size=1, max_size=8))
@example(Aggregate(above(0.0), function=Function.AVG, over=OVER), [(1, 1.7e308), (1, 1.7e308)])
@example(Aggregate(above(0.0), function=Function.SUM, over=OVER), [(1, 1.7e308), (1, 1.7e308)])
@example(Aggregate(above(0.0), function=Function.STDDEV, over=OVER), [(1, 1.7e308), (1, -1.7e308)])
@example(Aggregate(above(0.0), function=Function.DELTA, over=OVER), [(1, 1.7e308), (1, -1.7e308)])
@example(Aggregate(above(0.0), function=Function.INCREASE, over=OVER), [(1, -1.7e308), (1, 1.7e308), (1, 1.7e308)])
@example(Aggregate(above(0.0), function=Function.PERCENTILE, over=OVER, percentile=50.0), [(1, 1.7e308), (1, -1.7e308)])
@example(Change(above(0.0), samples=2), [(1, 1.7e308), (1, -1.7e308)])
def test_no_finite_values_give_an_infinite_number_or_an_error(strategy: Judging, steps: Column) -> None:
    instants, values = columns(steps)
    assert not np.isinf(strategy.measured(np.array(instants), np.array(values), 0)).any()


@given(
    some.sampled_from([1e-300, 1e-200, 1.0, 1e149, 1e151, 1e200, 1e300]),
    some.lists(some.integers(-5, 5), min_size=1, max_size=6),
)
def test_the_deviation_scales_with_its_values(unit: float, counts: list[int]) -> None:
    assume(unit > 1e-100)  # squares of smaller ones vanish, and so they do in the formula
    strategy = Aggregate(above(0.0), function=Function.STDDEV, over=Duration(MINUTE))
    instants = np.arange(len(counts)) * SECOND
    (deviation,) = strategy.measured(instants, np.array(counts) * unit, len(counts) - 1)
    assert deviation == pytest.approx(statistics.pstdev(counts) * unit, rel=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_or_infinity_is_refused_by_name_and_never_enters(value: float) -> None:
    with pytest.raises(Refused, match="queue_depth is"):
        Measurement("queue_depth", value)


# Comparisons and hysteresis -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comparison", "holding"),
    [
        (Comparison(Operator.ABOVE, 1.0), [2.0]),
        (Comparison(Operator.AT_LEAST, 1.0), [1.0, 2.0]),
        (Comparison(Operator.BELOW, 1.0), [0.0]),
        (Comparison(Operator.AT_MOST, 1.0), [0.0, 1.0]),
        (Comparison(Operator.OUTSIDE, 0.0, 1.0), [2.0]),
        (Comparison(Operator.INSIDE, 0.0, 1.0), [0.0, 1.0]),
    ],
)
def test_a_comparison_says_the_same_of_a_float_and_of_a_column(comparison: Comparison, holding: list[float]) -> None:
    values = [0.0, 1.0, 2.0]
    assert [value for value in values if comparison.holds(value)] == holding
    assert comparison.holds(np.array(values)).tolist() == [value in holding for value in values]


def test_between_the_two_limits_nothing_is_breached_and_nothing_recovered() -> None:
    assert [code_of(value, above(0.8), below(0.5)) for value in (0.9, 0.8, 0.5, 0.4)] == [B, W, W, R]


def test_without_a_recovery_limit_what_is_not_breached_has_recovered() -> None:
    assert [code_of(value, above(0.8), None) for value in (0.9, 0.8)] == [B, R]


@given(COMPARISONS, RECOVERIES, VALUES)
def test_breached_wins_where_both_comparisons_hold(
    comparison: Comparison, recovery: Comparison | None, value: float
) -> None:
    (column,) = code_of(np.array([value]), comparison, recovery)
    assert column == code_of(value, comparison, recovery)
    assert (column == B) == bool(comparison.holds(value))


@given(COMPARISONS, RECOVERIES, WORSE, VALUES)
def test_a_stronger_comparison_lifts_a_breach_and_nothing_else(
    comparison: Comparison, recovery: Comparison | None, worse: tuple[Comparison, ...], value: float
) -> None:
    (column,) = code_of(np.array([value]), comparison, recovery, worse)
    plain = code_of(value, comparison, recovery)
    held = [level for level, stronger in zip((Code.WORSE, Code.WORST), worse, strict=False) if stronger.holds(value)]
    assert column == code_of(value, comparison, recovery, worse) == (max(held, default=B) if plain == B else plain)


def test_the_last_samples_are_worse_when_as_many_of_them_hold_the_stronger_comparison() -> None:
    steps = [(1, value) for value in (2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 0.0)]
    codes = at_once(LastOf(3, 2, above(1.0)), steps, None, (above(3.0), above(5.0)))
    assert codes == [U, U, B, Code.WORSE, Code.WORSE, Code.WORST, Code.WORST]


@given(some.sampled_from(["absence", "forecast", "budget"]), COLUMNS)
def test_what_compares_no_value_of_its_own_is_never_worse(kind: str, steps: Column) -> None:
    strategies: dict[str, Judging] = {
        "absence": Absence(Duration(MINUTE)),
        "forecast": Forecast(level=0.2, within=OVER, fit=OVER, stands_for=OVER, direction=Direction.UP),
        "budget": Budget(objective=0.5, window=OVER, burns=(Burn(1.0, OVER, OVER),), stands_for=OVER),
    }
    assert at_once(strategies[kind], steps, None, (above(-9e9),)) == at_once(strategies[kind], steps, None)

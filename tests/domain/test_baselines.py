"""Deviation and forecast against what their sentences say, counted in fractions, and in closed form at the edges."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from service_monitoring.domain.baselines import line, score
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.strategies import Comparison, Deviation, Direction, Forecast, Operator
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import LARGEST, FloatColumn
from service_monitoring.testing.builders import above, below
from tests.domain.kinds import COLUMNS, DEVIATIONS, FORECASTS, OVER, STANDS_FOR, Column, columns

B, R, W, U = Code.BREACHED, Code.RECOVERED, Code.BETWEEN, Code.UNKNOWN
FOUR = Comparison(Operator.OUTSIDE, -4.0, 4.0)


def observed(instants: list[int], within: tuple[int, int], stands_for: int, *, until: int) -> int:
    """How much of a window was observed: instants at a time, by the sentence."""
    seen = [at for at in instants if within[0] < at <= within[1] and at < until]
    return sum(min(after - at, stands_for) for at, after in pairwise([*seen, within[1]]))


# Deviation ------------------------------------------------------------------------------------------------------------


def past_of(strategy: Deviation, instants: list[int], index: int) -> list[tuple[int, int]]:
    """The stretches (from, to] of the baseline."""
    now = instants[index]
    if strategy.season is None:
        return [(now - strategy.baseline, now)]
    near = strategy.season // 48
    middles = [now - k * strategy.season for k in range(1, max(1, strategy.baseline // strategy.season) + 1)]
    return [(middle - near, middle + near) for middle in middles]


def naive_score(strategy: Deviation, instants: list[int], values: list[float], index: int) -> float | None:
    stretches = past_of(strategy, instants, index)
    now = instants[index]
    seen = sum(observed(instants, stretch, strategy.stands_for, until=now) for stretch in stretches)
    if seen * 2 < sum(end - begin for begin, end in stretches):
        return None
    past = [
        Fraction(value)
        for at, value in zip(instants, values, strict=True)
        if at < now and any(begin < at <= end for begin, end in stretches)
    ]
    middle = statistics.median(past)
    distances = [abs(value - middle) for value in past]
    spread = Fraction("1.4826") * statistics.median(distances)
    spread = spread or Fraction("1.2533") * sum(distances) / len(past)
    distance = Fraction(values[index]) - middle
    if spread == 0:
        return math.copysign(LARGEST, distance) if distance else 0.0
    return float(distance / spread)


@given(DEVIATIONS, COLUMNS)
def test_a_score_is_the_distance_from_the_median_in_robust_sigmas(strategy: Deviation, steps: Column) -> None:
    instants, values = columns(steps)
    scores = strategy.measured(np.array(instants), np.array(values), 0)
    for index, got in enumerate(scores.tolist()):
        wanted = naive_score(strategy, instants, values, index)
        if wanted is None:
            assert math.isnan(got)
        else:
            # Values of 1e16 beside 0.1: their difference is rounded, and the median between two of them.
            assert got == pytest.approx(wanted, rel=1e-9, abs=1e-9) or max(map(abs, values)) > 1e15


@given(some.lists(some.integers(-9, 9), min_size=1, max_size=40), some.integers(-30, 30))
def test_the_score_agrees_with_fractions_however_many_are_equal(past: list[int], value: int) -> None:
    middle = statistics.median(past)
    distances = [abs(each - middle) for each in past]
    spread = 1.4826 * statistics.median(distances) or 1.2533 * statistics.fmean(distances)
    expected = (value - middle) / spread if spread else math.copysign(LARGEST, value - middle) * (value != middle)
    assert score(float(value), sorted(map(float, past))) == pytest.approx(expected, rel=1e-12)


def test_most_values_equal_leave_the_mean_absolute_deviation_as_the_measure() -> None:
    assert score(3.0, [0.0, 1.0, 1.0, 1.0, 5.0]) == pytest.approx(2.0 / (1.2533 * 1.0))


def test_where_all_were_equal_another_value_is_infinitely_far_and_the_same_is_not() -> None:
    assert [score(value, [1.0] * 5) for value in (0.9, 1.0, 1.1)] == [-LARGEST, 0.0, LARGEST]


def test_a_sample_is_not_part_of_its_own_baseline() -> None:
    strategy = Deviation(FOUR, baseline=Duration(4 * SECOND), stands_for=Duration(SECOND))
    instants = np.arange(5) * SECOND
    # (0 s, 4 s) holds the samples at 1, 2 and 3 s, whose median is 2 and whose MAD is 1.
    (measured,) = strategy.measured(instants, np.array([9.0, 1.0, 2.0, 3.0, 8.0]), 4)
    assert measured == pytest.approx((8.0 - 2.0) / 1.4826)


def test_a_baseline_that_was_observed_less_than_half_is_unknown() -> None:
    strategy = Deviation(FOUR, baseline=Duration(10 * SECOND), stands_for=Duration(SECOND))
    instants = np.array([0, 1, 2, 3, 4, 5], dtype=np.int64) * SECOND
    # At t = 5 s five samples of one second each have been there: exactly half.
    assert strategy.codes(instants, np.zeros(6), 0, None).tolist() == [U, U, U, U, U, R]
    silent = np.array([0, 1, 2, 3, 4, 9], dtype=np.int64) * SECOND
    assert strategy.codes(silent, np.zeros(6), 5, None).tolist() == [R]
    sparse = np.array([0, 1, 2, 3, 4, 10], dtype=np.int64) * SECOND
    assert strategy.codes(sparse, np.zeros(6), 5, None).tolist() == [U]


def test_the_night_is_held_against_nights() -> None:
    every = 10 * MINUTE
    instants = np.arange(0, 8 * DAY, every)
    hours = instants // HOUR % 24
    values: FloatColumn = np.where(hours < 6, 10.0, 100.0) + (instants // every % 3).astype(np.float64)
    values[-12] = 100.0  # at 22:10 usual
    night = int(np.flatnonzero((instants >= 7 * DAY) & (hours == 3))[0])
    values[night] = 100.0  # at 3:00 by no means
    trailing = Deviation(FOUR, baseline=Duration(7 * DAY), stands_for=Duration(2 * every))
    seasonal = Deviation(FOUR, baseline=Duration(7 * DAY), season=DAY, stands_for=Duration(2 * every))
    assert trailing.codes(instants, values, 0, None)[night] == R
    last_day = seasonal.codes(instants, values, int(np.flatnonzero(instants >= 7 * DAY)[0]), None)
    assert np.flatnonzero(last_day == B).tolist() == [night - (len(values) - len(last_day))]


def test_recovery_and_levels_compare_the_score() -> None:
    strategy = Deviation(above(2.0), baseline=Duration(4 * SECOND), stands_for=Duration(SECOND))
    instants = np.arange(5) * SECOND
    codes = []
    for value in (2.0, 4.0, 6.0, 9.0, 99.0):
        column = np.array([0.0, 1.0, 2.0, 3.0, value])
        codes += strategy.codes(instants, column, 4, below(1.0), (above(4.0), above(9.0))).tolist()
    assert codes == [R, W, B, Code.WORSE, Code.WORST]


# Forecast -------------------------------------------------------------------------------------------------------------


def naive_line(instants: list[int], values: list[float], within: int) -> tuple[Fraction, Fraction]:
    """The line's value `within` after the last sample and its slope, in fractions."""
    xs, ys = [Fraction(at - instants[-1]) for at in instants], [Fraction(value) for value in values]
    nothing = Fraction(0)
    middle, height = sum(xs, nothing) / len(xs), sum(ys, nothing) / len(ys)
    products = [(x - middle) * (y - height) for x, y in zip(xs, ys, strict=True)]
    slope = sum(products, nothing) / sum([(x - middle) ** 2 for x in xs], nothing)
    return height + slope * (within - middle), slope


@given(FORECASTS, COLUMNS)
def test_a_forecast_is_the_least_squares_line_at_t_plus_within(strategy: Forecast, steps: Column) -> None:
    instants, values = columns(steps)
    got = strategy.measured(np.array(instants), np.array(values), 0)
    codes = strategy.codes(np.array(instants), np.array(values), 0, None)
    for index, now in enumerate(instants):
        window = [at for at in instants[: index + 1] if at > now - strategy.fit]
        seen = observed(instants, (now - strategy.fit, now), strategy.stands_for, until=now + 1)
        if len(window) < 2 or seen * 2 < strategy.fit:
            assert math.isnan(got[index]) and codes[index] == U
            continue
        here = values[index + 1 - len(window) : index + 1]
        ahead, slope = naive_line(window, here, strategy.within)
        scale = max(map(abs, here))
        assert got[index] == pytest.approx(float(ahead), rel=1e-12, abs=1e-12 * scale)
        up, down = ahead > strategy.level, ahead < strategy.level
        breached = {
            Direction.UP: up,
            Direction.DOWN: down,
            Direction.ANY: up if slope > 0 else down and slope < 0,
        }[strategy.direction]
        near = abs(ahead - Fraction(strategy.level)) <= Fraction(1e-12 * scale) or abs(slope) * SECOND < 1e-12 * scale
        assert near or (codes[index] == B) == breached


def forecast(direction: Direction, level: float = 100.0) -> Forecast:
    return Forecast(
        level=level, within=Duration(10 * MINUTE), fit=Duration(10 * MINUTE), stands_for=MINUTE, direction=direction
    )


def ramp(begin: float, per_minute: float) -> tuple[list[int], list[float]]:
    return [minute * MINUTE for minute in range(31)], [begin + per_minute * minute for minute in range(31)]


@pytest.mark.parametrize("direction", [Direction.UP, Direction.ANY])
def test_a_rising_line_is_breached_from_within_before_it_crosses(direction: Direction) -> None:
    instants, values = ramp(75.0, 1.0)  # crosses 100 after 25 minutes
    codes = forecast(direction).codes(np.array(instants), np.array(values), 0, None).tolist()
    # Half of the window is observed after five minutes; at 15 it is reached at t + within exactly, which is not before.
    assert codes == [U] * 5 + [R] * 11 + [B] * 15


@pytest.mark.parametrize("direction", [Direction.DOWN, Direction.ANY])
def test_a_falling_line_is_breached_from_within_before_it_crosses(direction: Direction) -> None:
    instants, values = ramp(125.0, -1.0)
    codes = forecast(direction).codes(np.array(instants), np.array(values), 0, None).tolist()
    assert codes == [U] * 5 + [R] * 11 + [B] * 15


@pytest.mark.parametrize(
    ("per_minute", "codes"),
    [
        (1.0, {"up": B, "down": R, "any": B}),
        (0.0, {"up": B, "down": R, "any": R}),
        (-1.0, {"up": B, "down": R, "any": R}),
    ],
    ids=["away", "level", "slowly back"],
)
def test_what_is_beyond_already_is_breached_in_its_direction_of_travel(
    per_minute: float, codes: dict[str, Code]
) -> None:
    instants, values = ramp(150.0, per_minute)
    for direction, code in codes.items():
        assert forecast(Direction(direction)).codes(np.array(instants), np.array(values), 30, None).tolist() == [code]


def test_what_is_beyond_and_back_in_time_is_healthy() -> None:
    instants, values = ramp(135.0, -1.0)
    assert forecast(Direction.UP).codes(np.array(instants), np.array(values), 30, None).tolist() == [R]


@given(some.sampled_from([0.1, 1e16, -3.3, 1e-300]), some.integers(2, 50))
def test_equal_values_give_a_level_line_exactly(value: float, count: int) -> None:
    assert line(np.arange(count) * 7, np.full(count, value), Duration(1000)) == (value, 0.0)


def test_nanoseconds_since_the_epoch_cost_no_digit() -> None:
    instants = np.arange(600) * SECOND + 1_900_000_000 * SECOND
    ahead, slope = line(instants, 1e6 + np.arange(600, dtype=np.float64) * 0.125, OVER)
    assert (ahead, slope * SECOND) == pytest.approx((1e6 + 609 * 0.125, 0.125), rel=1e-15)


def test_fewer_than_two_samples_or_less_than_half_of_the_window_give_no_line() -> None:
    strategy = Forecast(level=1.0, within=OVER, fit=OVER, stands_for=STANDS_FOR)
    instants = np.array([0, 4, 5, 30, 39], dtype=np.int64) * SECOND
    # At 4 s four of ten seconds are observed, at 5 s five; 30 s is alone; by 39 s the sample at 30 s stood for four.
    assert strategy.codes(instants, np.zeros(5), 0, None).tolist() == [U, U, R, U, U]


def test_a_recovery_compares_where_the_line_will_be() -> None:
    instants, values = ramp(75.0, 1.0)
    codes = forecast(Direction.UP).codes(np.array(instants), np.array(values), 13, below(98.5)).tolist()
    assert codes == [R, W, W, *[B] * 15]


@given(COLUMNS)
@example([(1, 1e16), (1, 0.1), (1, -2.0)])
def test_a_line_depends_on_no_instant_but_on_distances(steps: Column) -> None:
    instants, values = columns(steps)
    strategy = Forecast(level=0.5, within=OVER, fit=OVER, stands_for=STANDS_FOR)
    here = strategy.measured(np.array(instants), np.array(values), 0)
    there = strategy.measured(np.array(instants) + 10**18, np.array(values), 0)
    assert np.array_equal(here, there, equal_nan=True)

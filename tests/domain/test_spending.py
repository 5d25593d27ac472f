"""What is left of a budget, against a count on fingers and against the rule that judges the same samples."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.budgets import Budget, Burn
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, Duration, Instant
from service_monitoring.domain.spending import RATES, Spending, reach, spending

BEGUN = 100 * DAY


def a_budget(*, objective: float = 0.9, window: Duration = DAY, stands_for: Duration = HOUR) -> Budget:
    return Budget(objective=objective, window=window, burns=(Burn(1.0, HOUR, HOUR),), stands_for=stands_for)


def spent(budget: Budget, samples: list[tuple[int, float]], at: int) -> Spending:
    """Samples as (minutes, up), asked at a minute."""
    instants = np.array([BEGUN + minute * MINUTE for minute, _ in samples], dtype=np.int64)
    values = np.array([value for _, value in samples], dtype=np.float64)
    return spending(budget, instants, values, Instant(BEGUN + at * MINUTE))


UPS = some.lists(some.tuples(some.integers(0, 400), some.sampled_from([0.0, 1.0, 1.0])), unique_by=lambda each: each[0])


@given(UPS.map(sorted), some.integers(0, 500), some.sampled_from([0.9, 0.5, 0.999]), some.sampled_from([10, 60, 300]))
def test_what_is_spent_is_what_a_count_on_fingers_says(
    samples: list[tuple[int, float]], at: int, objective: float, minutes: int
) -> None:
    budget = a_budget(objective=objective, window=Duration(minutes * MINUTE), stands_for=Duration(5 * MINUTE))
    found = spent(budget, samples, at)
    within = [(minute, value) for minute, value in samples if at - minutes < minute <= at]
    assert (found.samples, found.failed) == (len(within), sum(not value for _, value in within))
    stood = sum(any(0 <= tenth - minute < 5 for minute, _ in within) for tenth in range(at - minutes, at))
    assert found.observed == pytest.approx(stood / minutes)
    if not within:
        assert (found.error_ratio, found.remaining) == (None, None)
        return
    ratio = Fraction(found.failed, found.samples)
    assert found.error_ratio == float(ratio)
    assert found.remaining == float(1 - ratio / (1 - Fraction(str(objective))))


@given(UPS.filter(bool).map(sorted))
def test_at_a_sample_the_rate_is_the_one_that_the_rule_judges_by(samples: list[tuple[int, float]]) -> None:
    budget = a_budget(stands_for=Duration(5 * MINUTE))
    instants = np.array([BEGUN + minute * MINUTE for minute, _ in samples], dtype=np.int64)
    values = np.array([value for _, value in samples])
    measured = float(budget.measured(instants, values, len(values) - 1)[0])
    (hour, *_) = spent(budget, samples, samples[-1][0]).rates
    assert hour.over == HOUR
    assert np.isnan(measured) if hour.burn is None else hour.burn == pytest.approx(measured, rel=1e-12)


def test_a_budget_that_is_overspent_is_below_nothing() -> None:
    samples = [(minute, 0.0 if minute < 30 else 1.0) for minute in range(100)]
    found = spent(a_budget(objective=0.9, window=Duration(100 * MINUTE)), samples, 99)
    assert found.error_ratio == 0.3
    assert found.remaining == pytest.approx(-2.0)


def test_without_a_sample_nothing_is_said() -> None:
    found = spent(a_budget(), [], 100)
    assert found == Spending(0, 0, None, None, 0.0, found.rates)
    assert [rate.burn for rate in found.rates] == [None, None, None]


def test_a_rate_over_a_window_observed_less_than_half_is_not_said() -> None:
    samples = [(minute, 1.0) for minute in range(0, 240, 10)]
    found = spent(a_budget(stands_for=Duration(10 * MINUTE)), samples, 240)
    assert [rate.burn for rate in found.rates] == [0.0, 0.0, None]
    assert found.observed == pytest.approx(240 / 1440)


def test_it_looks_back_as_far_as_its_window_and_every_rate() -> None:
    assert reach(a_budget(window=HOUR)) == max(RATES) == 3 * DAY
    assert reach(a_budget(window=Duration(30 * DAY))) == 30 * DAY

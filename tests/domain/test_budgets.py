"""Error budgets against a count in fractions, and against the closed forms of how fast they detect and let go."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.strategies import FAST, SLOW, Budget, Burn
from service_monitoring.domain.verdicts import Code
from service_monitoring.testing.builders import below
from tests.domain.kinds import BUDGETS, STEPS, columns

B, R, W, U = Code.BREACHED, Code.RECOVERED, Code.BETWEEN, Code.UNKNOWN
UPS = some.lists(some.tuples(STEPS, some.sampled_from([0.0, 1.0, 1.0])), min_size=1, max_size=40)


def naive(strategy: Budget, instants: list[int], values: list[float], index: int) -> tuple[Code, float | None]:
    """Code and burn rate at a sample, by the sentence."""
    allowed = 1 - Fraction(str(strategy.objective))
    now = instants[index]

    def ratio(length: int) -> Fraction:
        window = [value for at, value in zip(instants, values, strict=True) if now - length < at <= now]
        return Fraction(window.count(0.0), len(window))

    rates, breached, silent = [], [], False
    for burn in strategy.burns:
        seen = [at for at in instants if now - burn.long < at <= now]
        stood = sum(min(after - at, strategy.stands_for) for at, after in pairwise(seen))
        if stood * 2 < burn.long:
            silent = True
            continue
        rates.append(ratio(burn.long) / allowed)
        if min(ratio(burn.long), ratio(burn.short)) > Fraction(str(burn.rate)) * allowed:
            breached.append(rates[-1])
    if breached:
        return B, float(breached[0])
    return (U, None) if silent else (R, float(max(rates)))


@given(BUDGETS, UPS)
def test_a_budget_burns_where_both_windows_of_a_burn_say_so(strategy: Budget, steps: list[tuple[int, float]]) -> None:
    instants, values = columns(steps)
    codes = strategy.codes(np.array(instants), np.array(values), 0, None)
    rates = strategy.measured(np.array(instants), np.array(values), 0)
    for index in range(len(instants)):
        code, rate = naive(strategy, instants, values, index)
        assert codes[index] == code
        assert math.isnan(rates[index]) if rate is None else rates[index] == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(("objective", "failed"), [(0.9, 1), (0.999 - 1e-16, 0), (99.9 / 100, 0), (0.7, 3)])
def test_a_ratio_of_exactly_the_limit_is_not_above_it(objective: float, failed: int) -> None:
    budget = Budget(objective=objective, window=DAY, burns=(Burn(1.0, HOUR, HOUR),), stands_for=HOUR)
    count = 10 if objective <= 0.9 else 1000
    failed = failed or 1
    instants = np.arange(count) * (HOUR // count) + 1
    values = np.ones(count)
    values[:failed] = 0.0
    assert budget.codes(instants, values, count - 1, None).tolist() == [R]
    values[failed] = 0.0
    assert budget.codes(instants, values, count - 1, None).tolist() == [B]


def test_fractions_too_fine_for_64_bits_are_compared_all_the_same() -> None:
    burns = (Burn(1.000000001, HOUR, HOUR),)
    budget = Budget(objective=0.123456789, window=DAY, burns=burns, stands_for=HOUR)
    instants = np.arange(1000) * (HOUR // 1000) + 1
    values = np.ones(1000)
    values[:877] = 0.0  # 0.877 against 0.876543211...
    assert budget.codes(instants, values, 999, None).tolist() == [B]
    values[876] = 1.0
    assert budget.codes(instants, values, 999, None).tolist() == [R]


EVERY = 30 * SECOND


def outage(budget: Budget, error_ratio: float, lasts: Duration) -> tuple[float, float]:
    """How long after an outage began its first breach came, and how long after its end the last, in seconds.

    Failures are spread as evenly as a ratio allows; four days of health come before and two after.
    """
    before, during, after = 4 * DAY // EVERY, lasts // EVERY, 2 * DAY // EVERY
    instants = np.arange(before + during + after) * EVERY
    values = np.ones(len(instants))
    failed = np.floor((np.arange(during) + 1) * error_ratio) > np.floor(np.arange(during) * error_ratio)
    values[before : before + during][failed] = 0.0
    breached = np.flatnonzero(budget.codes(instants, values, 0, None) == B)
    return (int(breached[0]) - before) * EVERY / SECOND, (int(breached[-1]) + 1 - before - during) * EVERY / SECOND


@pytest.mark.parametrize("error_ratio", [1.0, 0.5, 0.1, 0.06])
@pytest.mark.parametrize(
    ("burn", "objective"), [(FAST[0], 0.999), (FAST[1], 0.999), (SLOW[0], 0.99), (Burn(10.0, HOUR, HOUR), 0.995)]
)
def test_detection_takes_long_window_times_burn_times_allowance_over_error_ratio(
    burn: Burn, objective: float, error_ratio: float
) -> None:
    limit = burn.rate * (1 - objective)
    budget = Budget(objective=objective, window=Duration(30 * DAY), burns=(burn,), stands_for=Duration(2 * EVERY))
    lasts = Duration(burn.long)
    detected, _ = outage(budget, error_ratio, lasts)
    expected = burn.long / SECOND * limit / error_ratio
    # One failed sample more or less, and failures come every 1 / error_ratio samples.
    assert abs(detected - expected) <= EVERY / SECOND / error_ratio


@pytest.mark.parametrize("error_ratio", [1.0, 0.5])
@pytest.mark.parametrize(("burn", "objective"), [(FAST[0], 0.999), (FAST[1], 0.999), (SLOW[0], 0.99)])
def test_reset_takes_the_short_window_less_what_of_it_may_still_fail(
    burn: Burn, objective: float, error_ratio: float
) -> None:
    limit = burn.rate * (1 - objective)
    budget = Budget(objective=objective, window=Duration(30 * DAY), burns=(burn,), stands_for=Duration(2 * EVERY))
    _, reset = outage(budget, error_ratio, Duration(burn.long))
    # The short window is at its limit when only burn x (1 - objective) / error ratio of it lies in the outage.
    expected = burn.short / SECOND * (1 - limit / error_ratio)
    assert abs(reset - expected) <= EVERY / SECOND / error_ratio


def test_the_short_window_lets_go_long_before_the_long_one_would() -> None:
    both = Budget(objective=0.999, window=DAY, burns=FAST, stands_for=Duration(2 * EVERY))
    assert outage(both, 1.0, Duration(5 * MINUTE))[1] < 30 * 60


def test_a_long_window_observed_less_than_half_cannot_say_unless_another_burn_is_breached() -> None:
    burns = (Burn(2.0, Duration(10 * SECOND), Duration(2 * SECOND)), Burn(1.0, MINUTE, MINUTE))
    budget = Budget(objective=0.9, window=HOUR, burns=burns, stands_for=Duration(SECOND))
    instants = np.arange(40) * SECOND
    values = np.ones(40)
    values[8:12] = 0.0
    codes = budget.codes(instants, values, 0, None)
    # 4 of 10 failed at 11 s; the minute is half observed from 30 s on, when its share of 4 failed is still above 0.1.
    assert codes.tolist() == [U] * 10 + [B] * 3 + [U] * 17 + [B] * 9 + [R]


def test_what_is_shown_is_the_rate_of_the_burn_that_is_breached_else_the_largest() -> None:
    burns = (Burn(20.0, Duration(20 * SECOND), Duration(20 * SECOND)), Burn(2.0, Duration(40 * SECOND), SECOND))
    budget = Budget(objective=0.9, window=HOUR, burns=burns, stands_for=Duration(SECOND))
    values = np.ones(80)
    values[70:80] = 0.0
    instants = np.arange(80) * SECOND
    assert budget.measured(instants, values, 79).tolist() == pytest.approx([10 / 40 / 0.1])
    values[79] = 1.0
    assert budget.measured(instants, values, 79).tolist() == pytest.approx([9 / 20 / 0.1])


def test_a_recovery_compares_the_burn_rate() -> None:
    budget = Budget(
        objective=0.9, window=HOUR, burns=(Burn(2.0, Duration(10 * SECOND), SECOND),), stands_for=Duration(SECOND)
    )
    values = np.ones(30)
    values[12:16] = 0.0
    codes = budget.codes(np.arange(30) * SECOND, values, 12, below(0.5))
    assert codes.tolist() == [W, W, B, B, *[W] * 9, *[R] * 5]

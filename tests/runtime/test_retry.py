"""Retrying is a decision without clock and dice: here it is asked about every attempt, answer and throw."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration
from service_monitoring.ports import Later, Rejected, Tick, Uncertain
from service_monitoring.runtime.retry import (
    BASE,
    LEAST_ATTEMPTS,
    LONGEST,
    LONGEST_ASKED,
    PATIENCE,
    Park,
    RetryAt,
    RetryBudget,
    after,
    waits,
)

NOW = Tick(1_000 * SECOND)
YOUNG = Duration(HOUR)
attempts = st.integers(1, 600)
spreads = st.floats(0, 1, exclude_max=True)
wishes = st.none() | st.integers(0, 7200).map(lambda number: Duration(number * SECOND))
unfinished = st.builds(Later, st.just("busy"), wishes) | st.builds(Uncertain, st.just("reset"))


def wait(attempt: int, answer: Later | Uncertain, spread: float) -> Duration:
    decided = after(attempt, answer, NOW, spread, age=YOUNG)
    assert isinstance(decided, RetryAt)
    return decided.due.since(NOW)


def test_waits_double_up_to_five_minutes_and_are_drawn_from_the_upper_half_of_that() -> None:
    drawn = [tuple(end // SECOND for end in waits(attempt)) for attempt in range(1, 12)]
    assert drawn == [*((1, 2**number) for number in range(1, 9)), (150, 300), (150, 300), (150, 300)]
    assert waits(10_000) == (LONGEST // 2, LONGEST)


@given(attempts, spreads)
def test_the_wait_is_drawn_from_its_whole_range(attempt: int, spread: float) -> None:
    low, high = waits(attempt)
    assert BASE <= low <= wait(attempt, Later("busy"), spread) <= high <= LONGEST
    assert wait(attempt, Later("busy"), 0.0) == low
    assert wait(attempt, Later("busy"), 0.5) == (low + high) // 2


@given(st.lists(spreads, min_size=20, max_size=20), st.lists(unfinished, min_size=20, max_size=20))
def test_no_throw_and_no_wish_makes_more_than_twenty_attempts_in_half_an_hour(
    throws: list[float], answers: list[Later | Uncertain]
) -> None:
    waited = sum(wait(number, answers[number - 1], throws[number - 1]) for number in range(1, 21))
    assert waited > 30 * MINUTE


@given(attempts, wishes, spreads)
def test_a_wish_of_the_far_side_is_a_minimum_of_at_most_fifteen_minutes(
    attempt: int, wish: Duration | None, spread: float
) -> None:
    waited = wait(attempt, Later("busy", wish), spread)
    assert waited >= min(wish or 0, LONGEST_ASKED)
    assert waited <= max(min(wish or 0, LONGEST_ASKED), waits(attempt)[1])


@given(attempts, st.integers(0, 900), spreads)
def test_a_wish_that_is_as_long_as_we_would_wait_is_met_to_the_second(
    attempt: int, seconds: int, spread: float
) -> None:
    wish = Duration(seconds * SECOND)
    if wish >= waits(attempt)[0]:
        assert wait(attempt, Later("busy", wish), spread) == wish


def test_a_first_wish_is_met_within_five_seconds() -> None:
    for seconds in range(120):
        assert wait(1, Later("busy", Duration(seconds * SECOND)), 0.999999) <= (seconds + 5) * SECOND


@given(st.integers(1, 100), spreads)
def test_a_rejection_parks_at_once(attempt: int, spread: float) -> None:
    assert after(attempt, Rejected("410 Gone"), NOW, spread, age=YOUNG) == Park("410 Gone")


@given(unfinished, attempts, spreads, st.integers(0, 48).map(lambda hours: Duration(hours * HOUR)))
def test_it_is_given_up_when_it_is_old_and_was_tried_often_and_not_before(
    answer: Later | Uncertain, attempt: int, spread: float, age: Duration
) -> None:
    decided = after(attempt, answer, NOW, spread, age=age)
    assert isinstance(decided, Park) == (attempt >= LEAST_ATTEMPTS and age >= PATIENCE)
    if isinstance(decided, Park):
        assert str(attempt) in decided.why
        assert answer.detail in decided.why


@given(attempts, unfinished, spreads)
def test_the_decision_is_a_function_of_its_arguments(attempt: int, answer: Later | Uncertain, spread: float) -> None:
    assert wait(attempt, answer, spread) == wait(attempt, answer, spread)
    later = Tick(NOW.ns + MINUTE)
    decided = after(attempt, answer, later, spread, age=YOUNG)
    assert isinstance(decided, RetryAt)
    assert decided.due.since(later) == wait(attempt, answer, spread)


def test_an_uncertain_answer_is_tried_again_as_any_other() -> None:
    assert wait(3, Uncertain("reset"), 0.5) == wait(3, Later("busy"), 0.5) == Duration(4 * SECOND + SECOND // 2)


@pytest.mark.parametrize(
    "call",
    [lambda: after(0, Later(""), NOW, 0.5, age=YOUNG), lambda: after(1, Later(""), NOW, 1.0, age=YOUNG)],
)
def test_what_cannot_be_asked_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        call()


def spent(budget: RetryBudget, until: Duration, every: Duration) -> int:
    """How many retries begin until then, asked for all the time."""
    return sum(budget.turn(tick) == tick for tick in map(Tick, range(0, until, every)))


def test_ten_retries_a_minute_are_always_there() -> None:
    assert spent(RetryBudget(), MINUTE, SECOND) == 10 + 9
    assert spent(RetryBudget(), Duration(30 * MINUTE), SECOND) == 10 + 299


def test_a_budget_that_is_spent_says_when_it_is_not_and_keeps_its_word() -> None:
    budget = RetryBudget()
    assert [budget.turn(NOW) for _ in range(10)] == [NOW] * 10
    turn = budget.turn(NOW)
    assert turn == NOW.plus(Duration(6 * SECOND))
    assert budget.turn(Tick(turn.ns - 1)) == turn
    assert budget.turn(turn) == turn


@given(st.integers(0, 500))
def test_first_attempts_earn_a_tenth_of_themselves(number: int) -> None:
    budget = RetryBudget()
    for _ in range(number):
        budget.begun(1)
        budget.begun(2)
    left = 0
    while budget.turn(NOW) == NOW:
        left += 1
    assert left == 10 + number // 10


def test_retries_that_are_accepted_cost_nothing() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        assert budget.turn(NOW) == NOW
        budget.begun(2)
        budget.accepted(2)

"""Retrying is a decision without clock and dice: here it is asked about every attempt, answer and throw."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.ports import Later, Rejected, Tick, Uncertain
from service_monitoring.runtime.retry import LONGEST, LONGEST_ASKED, MOST_ATTEMPTS, Park, RetryAt, after, ceiling

NOW = Tick(1_000 * SECOND)
attempts = st.integers(1, MOST_ATTEMPTS - 1)
spreads = st.floats(0, 1, exclude_max=True)
wishes = st.none() | st.integers(0, 7200).map(lambda number: Duration(number * SECOND))
unfinished = st.builds(Later, st.just("busy"), wishes) | st.builds(Uncertain, st.just("reset"))


def wait(attempt: int, answer: Later | Uncertain, spread: float) -> Duration:
    decided = after(attempt, answer, NOW, spread)
    assert isinstance(decided, RetryAt)
    return decided.due.since(NOW)


def test_the_ceiling_doubles_from_one_second_to_five_minutes() -> None:
    assert [ceiling(attempt) // SECOND for attempt in range(1, 12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert ceiling(10_000) == LONGEST


@given(attempts, spreads)
def test_the_wait_is_drawn_from_the_whole_ceiling(attempt: int, spread: float) -> None:
    assert 0 <= wait(attempt, Later("busy"), spread) <= ceiling(attempt)
    assert wait(attempt, Later("busy"), 0.0) == 0
    assert wait(attempt, Later("busy"), 0.5) == ceiling(attempt) // 2


@given(attempts, wishes, spreads)
def test_a_wish_of_the_far_side_is_a_minimum_of_at_most_fifteen_minutes(
    attempt: int, wish: Duration | None, spread: float
) -> None:
    waited = wait(attempt, Later("busy", wish), spread)
    assert waited >= min(wish or 0, LONGEST_ASKED)
    assert waited <= max(min(wish or 0, LONGEST_ASKED), ceiling(attempt))


def test_a_first_wish_is_met_within_five_seconds() -> None:
    for seconds in range(120):
        assert wait(1, Later("busy", Duration(seconds * SECOND)), 0.999999) <= (seconds + 5) * SECOND


@given(st.integers(1, 100), spreads)
def test_a_rejection_parks_at_once(attempt: int, spread: float) -> None:
    assert after(attempt, Rejected("410 Gone"), NOW, spread) == Park("410 Gone")


@given(unfinished, st.integers(MOST_ATTEMPTS, 1_000), spreads)
def test_the_twentieth_attempt_is_the_last(answer: Later | Uncertain, attempt: int, spread: float) -> None:
    decided = after(attempt, answer, NOW, spread)
    assert isinstance(decided, Park)
    assert str(attempt) in decided.why
    assert answer.detail in decided.why


@given(attempts, unfinished, spreads)
def test_the_decision_is_a_function_of_its_arguments(attempt: int, answer: Later | Uncertain, spread: float) -> None:
    assert after(attempt, answer, NOW, spread) == after(attempt, answer, NOW, spread)
    later = Tick(NOW.ns + MINUTE)
    decided = after(attempt, answer, later, spread)
    assert isinstance(decided, RetryAt)
    assert decided.due.since(later) == wait(attempt, answer, spread)


def test_an_uncertain_answer_is_tried_again_as_any_other() -> None:
    assert wait(3, Uncertain("reset"), 0.25) == wait(3, Later("busy"), 0.25) == SECOND


@pytest.mark.parametrize("call", [lambda: after(0, Later(""), NOW, 0.5), lambda: after(1, Later(""), NOW, 1.0)])
def test_what_cannot_be_asked_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(AssertionError):
        call()

"""Limits: a rate in the long run, a burst at once, and nobody who pays for another."""

from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.ports import Tick
from service_monitoring.runtime.limits import Denied, Granted, Limit, Limits, take

ONE_A_SECOND = Limit(SECOND, burst=3)


def at(seconds: float) -> Tick:
    return Tick(round(seconds * SECOND))


def test_a_burst_is_let_in_and_then_one_at_a_time() -> None:
    limits = Limits(sender=ONE_A_SECOND)
    assert [limits.known("a", at(10)) for _ in range(4)] == [None, None, None, SECOND]
    assert limits.known("a", at(10.5)) == SECOND // 2
    assert limits.known("a", at(11)) is None
    assert limits.known("a", at(11)) == SECOND
    assert [limits.known("a", at(60)) for _ in range(4)] == [None, None, None, SECOND]
    assert limits.denied == 4


def test_a_flood_of_one_sender_takes_nothing_from_another() -> None:
    limits = Limits(sender=ONE_A_SECOND, in_all=Limit(SECOND, burst=5))
    for _ in range(1_000):
        limits.known("loud", at(1))
    assert limits.known("quiet", at(1)) is None


def test_all_together_have_a_limit_and_who_meets_it_keeps_his_own() -> None:
    limits = Limits(sender=ONE_A_SECOND, in_all=Limit(SECOND, burst=2))
    assert [limits.known(name, at(1)) for name in "abc"] == [None, None, SECOND]
    assert [limits.known("c", at(60)) for _ in range(2)] == [None, None]


def test_who_guesses_keys_is_sent_away_and_harms_nobody() -> None:
    limits = Limits(strangers=ONE_A_SECOND)
    assert [limits.stranger(at(1)) is None for _ in range(100_000)].count(True) == 3
    assert limits.known("a", at(1)) is None


def test_who_is_gone_is_forgotten() -> None:
    limits = Limits(sender=Limit(SECOND, burst=1))
    assert limits.known("a", at(1)) is None
    limits.forget("a")
    assert limits.known("a", at(1)) is None


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_it_lets_in_what_a_bucket_of_tokens_would(pauses: list[int], every: int, burst: int) -> None:
    limit = Limit(Duration(every * SECOND), burst=burst)
    state: Tick | None = None
    tokens, now, before = burst * every, 0, 0
    for pause in pauses:
        now += pause
        tokens, before = min(burst * every, tokens + now - before), now
        answer = take(limit, state, at(now))
        assert isinstance(answer, Granted) is (tokens >= every)
        if isinstance(answer, Granted):
            tokens -= every
            state = answer.full_at
        else:
            assert isinstance(answer, Denied)
            assert answer.after == (every - tokens) * SECOND

"""Matchers: one is asked of thousands of values at once, and says of each what it says of it alone."""

import sys

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as some

from service_monitoring.domain.matchers import Matcher, MatchOperator, Values

VALUES = some.lists(some.text("ab \n\r\0-\u00e9\u2028\U0001f600", max_size=4), max_size=12)
ATOMS = some.one_of(
    some.sampled_from(
        ["a", "b", "", "-", "\u00e9", "^", "$", r"\b", r"\B", r"\A", r"\z", r"\C", r"\\C", r"\Qa\E", r"\Qa."]
    ),
    some.sampled_from([".", r"\n", "\n", r"\s", r"\S", r"\W", r"\PL", r"\v", r"\x0a", r"\012", "[[:space:]]"]),
    some.sampled_from(["[^a]", r"[^\n]", r"[\x00-\x20]", "[[:^alpha:]]", "(?s:.)", "(?-m:^a$)", "(?P<name>a)"]),
    some.sampled_from(["(?s)", "(?m)", "(?i)", "(?U)", "(?-m)", "(?m-s)"]),
)
PATTERNS = some.recursive(
    ATOMS,
    lambda inner: some.one_of(
        some.lists(inner, min_size=2, max_size=4).map("".join),
        some.lists(inner, min_size=2, max_size=3).map("|".join),
        some.tuples(inner, some.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}"])).map(
            lambda made: f"(?:{made[0]}){made[1]}"
        ),
        inner.map(lambda made: f"({made})"),
    ),
    max_leaves=6,
)


def is_one(pattern: str) -> bool:
    """Whether RE2 takes it: a configuration or a request with another one is refused."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return False
    return True


def by_themselves(matcher: Matcher, values: list[str]) -> set[str]:
    return {value for value in values if matcher.holds({"label": value})}


@given(PATTERNS.filter(is_one), VALUES)
@example(r"\Aa", ["", "a"])
@example(r"a\z", ["a", "b"])
@example(r"a\C*", ["a", "b"])
@example(r"(?-m)^a", ["", "a"])
@example(r"a[^b]*", ["a", "c"])
@example(r"\Qa", ["a"])
@example("^a|b$", ["a", "a\n", "b", "\nb", "a\nb"])
@example("a|", ["", "a", "b"])
def test_a_pattern_fits_of_many_values_those_that_it_fits_by_themselves(pattern: str, values: list[str]) -> None:
    for operator in MatchOperator:
        matcher = Matcher("label", operator, pattern)
        found = matcher.among(Values(values))
        assert set(found) == by_themselves(matcher, values), operator
        assert len(found) == len(set(found))
        fits = re2.fullmatch(pattern, "a") is not None
        assert (Matcher("label", MatchOperator.MATCHES, pattern).holds({"label": "a"})) == fits


def test_ten_thousand_values_are_asked_in_a_few_calls() -> None:
    values = Values(f"service-{number:05}" for number in range(10_000))
    calls = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        found = Matcher("service", MatchOperator.MATCHES, "service-0[0-4].*|.*77").among(values)
    finally:
        sys.setprofile(before)
    assert found == [value for value in values.distinct if value < "service-05" or value.endswith("77")]
    assert calls < 2_000


def test_a_pattern_that_needs_much_memory_fits_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    large = Matcher("label", MatchOperator.MATCHES, r"\pL*[-\pL\pN]{1,200}")
    assert large.holds({"label": "service-1"})
    assert large.among(Values(["service-1", "a b", "service-2\n"])) == ["service-1"]
    assert capfd.readouterr() == ("", "")

"""Instants: integers of nanoseconds that people read as RFC 3339 and that never mix with ticks."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service_monitoring.domain.instants import DAY, HOUR, SECOND, Duration, Instant, in_seconds, seconds
from service_monitoring.errors import Refused
from service_monitoring.ports import Tick

NANOSECONDS = some.integers(-(2**63), 2**63 - 1)


@given(NANOSECONDS)
def test_an_instant_reads_back_as_it_was_written(ns: int) -> None:
    assert Instant.parse(str(Instant(ns))) == Instant(ns)


@given(some.integers(-(2**50), 2**52), some.integers(-23 * 60, 23 * 60))
def test_an_offset_is_subtracted(microseconds: int, minutes: int) -> None:
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    hours, rest = divmod(abs(minutes), 60)
    text = f"{local:%Y-%m-%dT%H:%M:%S.%f}{'+' if minutes >= 0 else '-'}{hours:02}:{rest:02}"
    assert Instant.parse(text).ns == microseconds * 1000 - minutes * 60 * SECOND


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.5Z", SECOND // 2),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2024-02-29T00:00:00Z", 19_782 * DAY),
        ("2038-01-19T03:14:08Z", 2**31 * SECOND),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
        ("1677-09-21T00:12:43.145224192Z", -(2**63)),
    ],
)
def test_the_corners_of_rfc_3339(text: str, ns: int) -> None:
    assert Instant.parse(text).ns == ns


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T00:00:00",  # naive
        "2026-01-05",
        "2026-01-05T00:00Z",
        "2026-01-05T00:00:00.Z",
        "2026-01-05T00:00:00.1234567890Z",
        "2026-01-05T00:00:60Z",
        "2026-01-05T24:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-01-05T00:00:00+0100",
        "2026-01-05T00:00:00+01:60",
        "2026-01-05T00:00:00+24:00",
        "2026-01-05T00:00:00Z\n",
        " 2026-01-05T00:00:00Z",
        "٢٠٢٦-01-05T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2262-04-11T23:47:16.854775808Z",
        "9999-12-31T23:59:59-23:59",
        "",
    ],
)
def test_what_is_no_instant_is_refused_with_the_text_in_the_sentence(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Instant.parse(text)
    assert str(refused.value).startswith(repr(text))


ORDERINGS: list[Callable[[Any, Any], Any]] = [operator.lt, operator.le, operator.gt, operator.ge, operator.sub]


@pytest.mark.parametrize("compare", ORDERINGS)
def test_an_instant_and_a_tick_neither_compare_nor_subtract(compare: Callable[[Any, Any], Any]) -> None:
    for one, other in ((Instant(1), Tick(1)), (Tick(1), Instant(1)), (Instant(1), 1)):
        with pytest.raises(TypeError):
            compare(one, other)


def test_an_instant_never_equals_a_tick_or_a_number() -> None:
    equals: Callable[[object, object], bool] = operator.eq
    assert not equals(Instant(1), Tick(1))
    assert not equals(Instant(1), 1)


@given(NANOSECONDS, NANOSECONDS)
def test_instants_are_ordered_as_their_nanoseconds(one: int, other: int) -> None:
    first, second = Instant(one), Instant(other)
    assert (first < second, first <= second, first == second) == (one < other, one <= other, one == other)
    assert (first > second, first >= second) == (one > other, one >= other)
    assert first != second or hash(first) == hash(second)


@given(some.integers(-(2**62), 2**62), some.integers(-(2**62), 2**62))
def test_since_undoes_plus(ns: int, duration: int) -> None:
    assert Instant(ns).plus(Duration(duration)).since(Instant(ns)) == duration


def test_an_instant_never_changes() -> None:
    instant = Instant(1)
    with pytest.raises(AttributeError, match="never changes"):
        instant.ns = 2
    with pytest.raises(AttributeError, match="never changes"):
        del instant.ns


def test_an_instant_survives_copies_and_pickles() -> None:
    assert copy.deepcopy(Instant(5)) == copy.copy(Instant(5)) == pickle.loads(pickle.dumps(Instant(5))) == Instant(5)
    assert repr(Instant(5)) == "Instant(5)"


def test_seconds_are_rounded_to_the_nanosecond_and_back() -> None:
    assert seconds(0.1) == 100_000_000
    assert seconds(-1.5) == -1_500_000_000
    assert in_seconds(Duration(HOUR + SECOND // 4)) == 3600.25

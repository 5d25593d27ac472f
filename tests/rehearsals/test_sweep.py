"""What each value of a parameter costs, and how late it is."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.errors import Refused
from service_monitoring.rehearsal.figures import figures_of
from service_monitoring.rehearsal.judging import TrueIncident
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.sweep import Point, Sweep, front_of, summary_of, sweep_of
from service_monitoring.testing.builders import instant
from service_monitoring.wire.codec import decode, encode
from tests.rehearsals.made_rehearsals import rehearsals
from tests.rehearsals.made_weeks import a_team, a_week

ABOVE = ("0.1", "0.5", "1.2", "3.0")


@lru_cache(maxsize=1)
def two_days() -> tuple[tuple[tuple[str], Rehearsed], ...]:
    slow = (("+20h", "40m", 2.0), ("+26h", "3h", 4.0))
    return tuple(((each,), a_week(a_team(float(each)), slow=slow, errors=(), days=2, warm="+0s")) for each in ABOVE)


def swept(truth: list[TrueIncident] | None = None) -> Sweep:
    return sweep_of(["shop.slow.above"], two_days(), truth, current=("1.2",))


def point(sweep: Sweep, value: str) -> Point:
    return next(each for each in sweep.points if each.values == (value,))


def test_a_higher_threshold_pages_less_detects_later_and_misses_more() -> None:
    sweep = swept()
    low, middle, high = (point(sweep, value) for value in ("0.5", "1.2", "3.0"))
    assert low.pages > high.pages
    assert (low.missed, middle.missed, high.missed) == (0, 0, 1)
    assert low.delay.median is not None
    assert middle.delay.median is not None
    assert low.delay.median < middle.delay.median


def test_one_that_is_always_open_detects_each_trouble_when_it_begins() -> None:
    sweep = swept()
    assert point(sweep, "0.1").missed == 0
    assert [each.delays[0] for each in sweep.detected] == [0.0, 0.0]
    assert max(delay or 0 for each in sweep.detected for delay in each.delays) < 3_600


def test_the_value_in_force_is_marked() -> None:
    assert [each.values for each in swept().points if each.current] == [("1.2",)]


def test_with_a_truth_delay_is_counted_from_its_start_and_what_is_for_nothing_is_known() -> None:
    truth = [TrueIncident("night", instant("+25h55m"), instant("+30h"), {"service": "shop"})]
    sweep = swept(truth)
    low, high = point(sweep, "0.5"), point(sweep, "3.0")
    evening = figures_of(two_days()[1][1])
    first = next(each for each in evening.incidents if each.rule == "shop.slow")
    assert (low.missed, high.missed) == (0, 0)
    assert low.delay.median == 20 * 60
    assert low.pages_for_nothing == len([page for page in evening.every_page if page.incidents == (first.id,)])
    assert high.pages_for_nothing == 0


def test_points_in_short_and_in_full_give_the_same_curve() -> None:
    short = [(values, summary_of(made)) for values, made in two_days()]
    assert sweep_of(["shop.slow.above"], short) == sweep_of(["shop.slow.above"], two_days())
    assert decode(type(short[0][1]), encode(short[0][1])) == short[0][1]


def test_points_of_other_ranges_or_without_a_value_are_refused() -> None:
    (values, made), *_ = two_days()
    with pytest.raises(Refused, match="one range"):
        sweep_of(["a"], [(values, made), (("2",), replace(made, until=instant("+40h")))])
    with pytest.raises(Refused, match="one for each"):
        sweep_of(["a", "b"], [(values, made)])


@given(st.lists(rehearsals(), min_size=1, max_size=4))
def test_no_point_of_the_front_is_beaten_and_every_other_is(made: list[Rehearsed]) -> None:
    sweep = sweep_of(["x"], [((str(number),), each) for number, each in enumerate(made)])

    def cost(one: Point) -> tuple[float, float, float]:
        return one.pages, float("inf") if one.delay.median is None else one.delay.median, one.missed

    def beats(one: Point, other: Point) -> bool:
        pairs = list(zip(cost(one), cost(other), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    assert front_of(sweep)
    for each in sweep.points:
        assert each.on_front != any(beats(other, each) for other in sweep.points)


@given(rehearsals())
def test_points_that_decide_the_same_miss_nothing_and_are_all_on_the_front(rehearsed: Rehearsed) -> None:
    sweep = sweep_of(["x"], [(("1",), rehearsed), (("2",), rehearsed)])
    assert all(each.missed == 0 and each.on_front for each in sweep.points)
    assert sweep.detected == ()


def test_two_parameters_are_a_pair_of_values() -> None:
    made = two_days()[0][1]
    sweep = sweep_of(["above", "for"], [(("1", "5m"), made)], current=("1", "5m"))
    assert sweep.points[0].current

"""What is doubtful about a rota: gaps, people named in vain, and who carries more than others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.coverage import Gap, Overlap, Twice, Unfair, examined
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, Duration, Instant
from service_monitoring.domain.oncall import who
from service_monitoring.domain.rotas import DAILY, WEEKLY, Handover, Layer, Override, Rota
from service_monitoring.domain.schedules import ActiveHours, Span
from tests.domain import walking
from tests.domain.test_oncall import a_rota, berlin
from tests.domain.watching_rotas import NOBODY, planned, walked

BERLIN = "Europe/Berlin"
BEGIN = berlin("2026-01-05T09:00+01:00")
YEAR = Duration(364 * DAY)


def weekly(*people: str) -> Layer:
    return Layer(people, WEEKLY, Handover(9 * 60, 0), BEGIN)


def test_nothing_is_doubtful_about_turns_of_a_week_of_which_everybody_has_as_many() -> None:
    found = examined(Rota("primary", BERLIN, (weekly("ann", "bob"),)), BEGIN, BEGIN.plus(YEAR))
    assert (found.gaps, found.overlaps, found.twice, found.unfair) == ((), (), (), ())
    assert [load.person for load in found.loads] == ["ann", "bob"]
    assert sum(load.total for load in found.loads) == YEAR
    assert sum(load.weekends for load in found.loads) == 52 * 48 * HOUR
    assert sum(load.nights for load in found.loads) == 364 * 8 * HOUR


def test_a_gap_is_from_the_end_of_hours_to_their_next_beginning_and_at_the_edges_too() -> None:
    days = Layer(("ann",), restrictions=(ActiveHours(BERLIN, (0, 1, 2, 3, 4), (Span(9 * 60, 17 * 60),)),))
    since, until = berlin("2026-03-27T08:00+01:00"), berlin("2026-03-30T20:00+02:00")
    assert examined(Rota("primary", BERLIN, (days,)), since, until).gaps == (
        Gap(since, berlin("2026-03-27T09:00+01:00")),
        Gap(berlin("2026-03-27T17:00+01:00"), berlin("2026-03-30T09:00+02:00")),
        Gap(berlin("2026-03-30T17:00+02:00"), until),
    )


def test_a_layer_that_begins_in_the_range_leaves_a_gap_before() -> None:
    since = BEGIN.plus(Duration(-WEEKLY))
    found = examined(Rota("primary", BERLIN, (weekly("ann"),)), since, BEGIN.plus(DAY))
    assert found.gaps == (Gap(since, BEGIN),)
    assert examined(Rota("primary", BERLIN), since, BEGIN).gaps == (Gap(since, BEGIN),)


def test_two_overrides_at_once_are_told_with_whom_is_on_call() -> None:
    overrides = (
        Override("cay", BEGIN.plus(HOUR), BEGIN.plus(DAY)),
        Override("dan", BEGIN, BEGIN.plus(Duration(2 * HOUR))),
        Override("eve", BEGIN.plus(DAY), BEGIN.plus(Duration(2 * DAY))),
    )
    rota = Rota("primary", BERLIN, (weekly("ann", "bob"),), overrides)
    [overlap] = examined(rota, BEGIN, BEGIN.plus(WEEKLY)).overlaps
    assert overlap == Overlap("dan", "cay", BEGIN.plus(HOUR), BEGIN.plus(Duration(2 * HOUR)))
    assert who(rota, overlap.begin) == (overlap.person,)
    assert examined(rota, BEGIN.plus(Duration(3 * HOUR)), BEGIN.plus(WEEKLY)).overlaps == ()


def test_a_person_who_follows_themselves_is_told_with_the_first_such_turns() -> None:
    rota = Rota("primary", BERLIN, (weekly("ann", "bob", "bob", "cay"),))
    [twice] = examined(rota, BEGIN, BEGIN.plus(YEAR)).twice
    assert twice == Twice("bob", 0, BEGIN.plus(WEEKLY), BEGIN.plus(Duration(3 * WEEKLY)))
    later = examined(rota, BEGIN.plus(Duration(WEEKLY + 1)), BEGIN.plus(YEAR)).twice
    assert later[0].begin == berlin("2026-02-09T09:00+01:00")
    around = Rota("primary", BERLIN, (weekly("ann", "bob", "ann"),))
    assert examined(around, BEGIN, BEGIN.plus(DAY)).twice == (Twice("ann", 0, None, None),)
    assert examined(Rota("primary", BERLIN, (weekly("ann", "ann"),)), BEGIN, BEGIN.plus(YEAR)).twice[0].person == "ann"


def test_who_has_all_weekends_of_a_daily_turn_carries_more_than_is_fair() -> None:
    seven = Layer(
        ("ann", "bob", "cay", "dan", "eve", "fay", "gil"), DAILY, Handover(0), berlin("2026-01-05T00:00+01:00")
    )
    found = examined(Rota("primary", BERLIN, (seven,)), BEGIN, BEGIN.plus(YEAR))
    assert {(each.person, each.what) for each in found.unfair} == {("fay", "weekends"), ("gil", "weekends")}
    assert all(each.carried > 3 * each.mean for each in found.unfair)


def test_one_turn_more_than_another_is_not_unfair() -> None:
    rota = Rota("primary", BERLIN, (weekly("ann", "bob", "cay"),))
    assert examined(rota, BEGIN, BEGIN.plus(Duration(4 * WEEKLY))).unfair == ()


def test_who_stands_in_for_weeks_carries_more_and_one_of_no_layer_is_not_compared() -> None:
    away = (Override("bob", BEGIN, BEGIN.plus(Duration(100 * DAY))), Override("eve", BEGIN, BEGIN.plus(Duration(DAY))))
    found = examined(Rota("primary", BERLIN, (weekly("ann", "bob", "cay"),), away), BEGIN, BEGIN.plus(YEAR))
    assert {each.person for each in found.unfair} <= {"bob", "ann", "cay"}
    [eve] = [load for load in found.loads if load.person == "eve"]
    assert eve.total == DAY
    assert all(isinstance(each, Unfair) for each in found.unfair)


@given(seed=st.integers(0, 10_000), first=st.integers(walking.BEGINS, walking.ENDS - 60 * walking.DAY))
def test_gaps_and_loads_make_up_the_range(seed: int, first: int) -> None:
    last = first + 30 * walking.DAY
    found = examined(a_rota(planned(seed)), Instant(first * MINUTE), Instant(last * MINUTE))
    away = sum(gap.end.since(gap.begin) for gap in found.gaps)
    assert sum(load.total for load in found.loads) + away == (last - first) * MINUTE
    assert away == int((walked(planned(seed), first, last) == NOBODY).sum()) * MINUTE
    assert all(0 <= part <= load.total for load in found.loads for part in (load.nights, load.weekends))

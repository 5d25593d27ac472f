"""Who gains and who loses which pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import replace

from service_monitoring.errors import Refused
from service_monitoring.rehearsal.difference import difference_of
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.testing.builders import instant
from tests.rehearsals.made_rehearsals import rehearsals
from tests.rehearsals.made_weeks import a_team, a_week

ONE_NIGHT = (("+20h", "40m", 2.0), ("+26h", "3h", 4.0))


def a_day(above: float = 1.0, holds_for: str = "10m", name: str = "slow") -> Rehearsed:
    configuration = a_team(above, holds_for=holds_for)
    shop, *others = configuration.services
    slow, *rest = shop.rules
    services = (replace(shop, rules=(replace(slow, name=name), *rest)), *others)
    return a_week(replace(configuration, services=services), slow=ONE_NIGHT, errors=(), days=2)


def test_a_page_that_comes_later_is_moved_and_not_lost() -> None:
    difference = difference_of(a_day(), a_day(above=1.2))
    moved = [move for move in difference.moved if move.page == "first"]
    assert moved
    assert all(move.by_seconds > 0 and move.after > move.before for move in moved)
    assert not [page for page in difference.gained if page.kind == "first"]


def test_an_incident_keeps_its_identity_when_its_threshold_and_so_its_id_changes() -> None:
    difference = difference_of(a_day(), a_day(above=1.2))
    shorter = [each for each in difference.incidents if each.rule == "shop.slow"]
    assert {each.what for each in shorter} == {"shorter"}
    assert all(each.before != each.after for each in shorter)


def test_pages_that_nobody_gets_any_more_are_named_with_who_lost_them() -> None:
    difference = difference_of(a_day(), a_day(above=3.0), names=("now", "calmer"))
    assert {page.recipient for page in difference.lost} >= {"person.ada", "channel.ops"}
    assert {each.what for each in difference.incidents if each.rule == "shop.slow"} == {"lost", "shorter"}
    assert difference.names == ("now", "calmer")


def test_a_renamed_rule_is_named_and_its_pages_stay_the_same() -> None:
    difference = difference_of(a_day(), a_day(name="sleepy"))
    assert [(each.before, each.after) for each in difference.renamed] == [("shop.slow", "shop.sleepy")]
    assert not (difference.gained or difference.lost or difference.moved or difference.added or difference.removed)


def test_rules_that_are_gone_or_new_are_named() -> None:
    difference = difference_of(a_day(), a_day(name="sleepy", holds_for="20m"))
    assert (difference.removed, difference.added) == (("shop.slow",), ("shop.sleepy",))


def test_only_rehearsals_of_one_range_are_compared() -> None:
    day = a_day()
    with pytest.raises(Refused, match="rehearse the same range twice"):
        difference_of(day, replace(day, until=instant("+40h")))


@given(rehearsals())
def test_a_rehearsal_does_not_differ_from_itself(rehearsed: Rehearsed) -> None:
    difference = difference_of(rehearsed, rehearsed)
    assert difference.is_empty
    assert difference.same == difference.before.pages == difference.after.pages


@given(rehearsals(), rehearsals())
def test_what_one_way_gains_the_other_way_loses(one: Rehearsed, other: Rehearsed) -> None:
    there, back = difference_of(one, other), difference_of(other, one)
    assert there.gained == back.lost
    assert there.lost == back.gained
    assert [(m.before, m.after, m.recipient) for m in there.moved] == [
        (m.after, m.before, m.recipient) for m in back.moved
    ]
    mirrored = {"gained": "lost", "lost": "gained", "longer": "shorter", "shorter": "longer"}
    assert [mirrored[each.what] for each in there.incidents] == [each.what for each in back.incidents]


@given(rehearsals(), rehearsals())
def test_everybody_has_after_what_they_had_before_with_gains_and_without_losses(
    one: Rehearsed, other: Rehearsed
) -> None:
    difference = difference_of(one, other)
    for row in (*difference.recipients, *difference.rules):
        assert row.after == row.before + row.gained - row.lost
    for rows in (difference.recipients, difference.rules):
        assert sum(row.before for row in rows) == difference.before.pages
        assert sum(row.after for row in rows) == difference.after.pages
    assert difference.before.pages == difference.same + len(difference.moved) + len(difference.lost)

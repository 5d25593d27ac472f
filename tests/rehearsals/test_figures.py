"""What a rehearsal comes to: a week made by hand, and laws over any."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given

from service_monitoring.domain.instants import Instant
from service_monitoring.rehearsal.figures import Figures, delay_of, figures_of, percentile, week_of, zone_of
from service_monitoring.rehearsal.rehearsed import Rehearsed
from tests.rehearsals.made_rehearsals import rehearsals
from tests.rehearsals.made_weeks import ZONE, a_team, a_week


@lru_cache(maxsize=1)
def the_week() -> Rehearsed:
    return a_week()


@pytest.fixture
def figures() -> Figures:
    return figures_of(the_week())


def test_whoever_is_on_call_is_paged_and_bo_where_nobody_takes_it_on(figures: Figures) -> None:
    slow = next(each for each in figures.incidents if each.rule == "shop.slow")
    first = [(each.recipient, each.page) for each in slow.told if each.page in {"first", "escalated"}]
    assert first == [("person.ada", "first"), ("channel.ops", "first")]
    assert any(page.page == "escalated" and page.recipient == "person.bo" for page in figures.every_page)


def test_an_incident_names_what_it_opened_on_and_how_long_the_first_page_took(figures: Figures) -> None:
    slow = next(each for each in figures.incidents if each.rule == "shop.slow")
    assert slow.evidence.startswith("the value was 1.")
    assert slow.paged_at is not None
    assert slow.paged_after_seconds == 630
    assert slow.labels["team"] == "web"
    assert figures.breach_to_page.longest == 630


def test_incidents_of_drafts_are_counted_apart_and_page_nobody(figures: Figures) -> None:
    drafts = [each for each in figures.incidents if each.draft]
    assert len(drafts) == figures.of_drafts == 5
    assert not any(each.told for each in drafts)
    assert next(row for row in figures.rules if row.rule == "shop.sluggish").draft


def test_what_was_held_is_named_with_who_or_what_held_it(figures: Figures) -> None:
    said = {row.because: row for row in figures.held}
    assert "pay.errors is flapping, which is told once" in said
    assert any(because.startswith("silence ") and "of ada holds for" in because for because in said)
    assert said["ada has quiet hours"].recipients == ("person.ada",)


def test_quiet_hours_let_through_what_is_excepted_and_hold_the_rest(figures: Figures) -> None:
    ada = next(each for each in figures.recipients if each.recipient == "person.ada")
    assert ada.in_quiet_hours
    assert ada.held_in_quiet_hours
    assert all(
        page.in_quiet_hours
        for page in figures.every_held
        if page.held == "quiet_hours" and page.recipient == "person.ada"
    )


def test_pages_of_the_warm_up_are_counted_apart() -> None:
    cold = a_week(slow=(("+6h", "40m", 2.0), ("+30h", "40m", 2.0)), errors=(), days=2)
    figures = figures_of(cold)
    assert figures.in_warm_up == figures.pages - figures_of(_warm(cold)).pages + 2 * figures.in_warm_up
    assert figures.opened_in_warm_up == 2
    assert figures.opened == 1
    assert sum(row.pages for row in figures.rules) == figures.pages


def _warm(rehearsed: Rehearsed) -> Rehearsed:
    return Rehearsed(
        since=rehearsed.since,
        until=rehearsed.until,
        warm=rehearsed.since,
        configuration=rehearsed.configuration,
        decisions=rehearsed.decisions,
        samples=rehearsed.samples,
    )


def test_nights_and_weeks_are_those_of_the_person() -> None:
    assert zone_of("person.ada", a_team()) == ZONE
    assert zone_of("channel.ops", a_team()) == ZONE
    assert zone_of("person.ada", a_team(people=(), rotas=())) == "UTC"
    late_on_sunday = Instant.parse("2026-01-11T23:30:00Z")
    assert week_of(late_on_sunday, "UTC") == "2026-W02"
    assert week_of(late_on_sunday, ZONE) == "2026-W03"
    assert week_of(Instant.parse("2027-01-01T12:00:00Z"), "UTC") == "2026-W53"


def test_a_percentile_is_a_value_that_was_there() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile(range(1, 101), 90) == 90
    assert delay_of([4.0]).p90 == 4.0


@given(rehearsals())
def test_figures_add_up(rehearsed: Rehearsed) -> None:
    figures = figures_of(rehearsed)
    told = [page for page in figures.every_page if not page.in_warm_up]
    assert figures.pages == len(told) == sum(each.pages for each in figures.recipients)
    assert figures.pages == sum(row.pages for row in figures.rules)
    assert (
        figures.at_night == sum(each.at_night for each in figures.recipients) == sum(r.at_night for r in figures.rules)
    )
    assert figures.opened == figures.resolved + figures.still_open
    assert len(figures.incidents) == figures.opened + figures.of_drafts + figures.opened_in_warm_up
    assert figures.pages + figures.in_warm_up == len(figures.every_page)
    assert sum(row.count for row in figures.held) == sum(each.held for each in figures.recipients)
    for each in figures.recipients:
        kinds = (each.first, each.raised, each.repeated, each.escalated, each.resolved, each.other)
        assert each.pages == sum(kinds) == sum(week.pages for week in each.weeks)
        assert each.at_night == sum(week.at_night for week in each.weeks)

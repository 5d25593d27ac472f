"""A notice about several incidents says how many, how bad and where, before anything else, and forgets none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.domain.incidents import FINAL
from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Series
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.testing.sink_laws import a_digest, a_notice
from service_monitoring.views.digests import LONGEST_PART, apart, foremost, is_digest, is_over, worst
from service_monitoring.views.texts import LARGEST_TEXT
from service_monitoring.views.wording import article

SHARED = "shop, team=payments"
DOWN = "shop.down: shop is down: timeout"
SLOW = "shop.slow: shop is down: timeout"
AHEAD = {"open": 0, "acknowledged": 1, "resolved": 2, "closed": 2}

states = st.lists(st.sampled_from(sorted(AHEAD)), min_size=1, max_size=8)


def headline_of(notice: Notice) -> str:
    return article(notice).headline


def lines_of(notice: Notice) -> list[str]:
    return article(notice).text.splitlines()


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        (Page.FIRST, "critical"),
        (Page.RELEASED, "critical"),
        (Page.RAISED, "critical"),
        (Page.UPDATED, "critical, updated"),
        (Page.REPEATED, "critical, again"),
        (Page.ESCALATED, "critical, escalated"),
        (Page.RECOVERED, "recovered"),
        (Page.CLOSED, "closed"),
    ],
)
def test_the_mark_says_how_bad_it_is_and_why_it_is_told(page: Page, mark: str) -> None:
    assert headline_of(a_notice(page=page)) == f"[{mark}] {DOWN}"


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        (a_digest("open", "open", "open"), f"[critical] 3 open, {SHARED}: {DOWN}"),
        (a_digest("open", "acknowledged", page=Page.REPEATED), f"[critical, again] 2 open, {SHARED}: {DOWN}"),
        (a_digest("open", "open", page=Page.ESCALATED, open=12), f"[critical, escalated] 12 open, {SHARED}: {DOWN}"),
        (a_digest("open", "resolved", page=Page.UPDATED), f"[critical, updated] 1 open, 1 over, {SHARED}: {DOWN}"),
        (a_digest("resolved", "open", page=Page.UPDATED), f"[warning, updated] 1 open, 1 over, {SHARED}: {SLOW}"),
        (a_digest("resolved", "resolved", page=Page.RECOVERED), f"[recovered] 2 over, {SHARED}: {DOWN}"),
        (a_digest("closed", "closed", page=Page.CLOSED), f"[closed] 2 over, {SHARED}: {DOWN}"),
        (a_digest("open", "open", labels=()), f"[critical] 2 open: {DOWN}"),
        (a_digest("open", "open", labels=(("team", ""),)), f"[critical] 2 open: {DOWN}"),
    ],
)
def test_a_headline_counts_before_it_names_the_first(notice: Notice, said: str) -> None:
    assert headline_of(notice) == said


def test_one_that_joins_is_named_and_counted_as_new_under_the_worst_that_is_open() -> None:
    joined = a_digest("open", "open", "open", news=(a_notice(3).facts.incident,))
    assert headline_of(joined) == f"[critical] 3 open, 1 new, {SHARED}: {SLOW}"
    assert foremost(joined).facts.incident == a_notice(3).facts.incident
    raised = a_digest("open", "open", page=Page.RAISED, news=(a_notice(1).facts.incident,))
    assert headline_of(raised) == f"[critical] 2 open, 1 raised, {SHARED}: {DOWN}"
    everything = a_digest("open", "open", news=(a_notice(1).facts.incident, a_notice(2).facts.incident))
    assert headline_of(everything) == f"[critical] 2 open, {SHARED}: {DOWN}"


def test_what_somebody_has_taken_on_is_not_what_wakes_another() -> None:
    notice = a_digest("acknowledged", "open", page=Page.RAISED)
    assert headline_of(notice) == f"[warning] 2 open, {SHARED}: {SLOW}"
    assert worst(a_digest("acknowledged", "acknowledged")) is Severity.CRITICAL


def test_an_update_that_leaves_nothing_open_is_an_end() -> None:
    over = a_digest("resolved", page=Page.UPDATED)
    assert headline_of(over) == f"[recovered] {DOWN}"
    assert headline_of(a_digest("closed", page=Page.UPDATED)) == f"[closed] {DOWN}"
    assert is_over(over) and not is_over(a_digest("resolved", "open", page=Page.UPDATED))


def test_the_text_has_a_line_for_each_other_incident() -> None:
    assert lines_of(a_digest("open", "open", "acknowledged", "resolved", page=Page.UPDATED)) == [
        "shop is down: timeout",
        "",
        'open (warning): shop.slow, shop/health/seconds{zone="c"}, since 2026-01-05 09:00:10 UTC',
        'acknowledged (warning): shop.slow, shop/health/seconds{zone="d"}, since 2026-01-05 09:00:10 UTC',
        'resolved (warning): shop.slow, shop/health/seconds{zone="e"}, at 2026-01-05 09:00:14 UTC',
    ]
    assert lines_of(a_notice()) == ["shop is down: timeout"]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, []),
        ({"open": 9}, ["and 7 more open"]),
        ({"open": 9, "over": 4}, ["and 7 more open, 4 more over"]),
        ({"open": 2, "over": 1}, ["and 1 more over"]),
    ],
)
def test_what_is_not_written_out_is_counted(counts: dict[str, int], said: list[str]) -> None:
    assert lines_of(replace(a_digest("open", "open"), **counts))[3:] == said
    alone = a_digest("open", open=4)
    assert lines_of(alone) == ["shop is down: timeout", "", "and 3 more open"]
    assert headline_of(alone) == f"[critical] 4 open, {SHARED}: {DOWN}"


def test_no_number_of_incidents_makes_a_text_too_long_and_none_is_forgotten() -> None:
    notice = a_digest(*["open"] * 100, open=500)
    hostile = replace(
        notice.facts, service="é\U0001f525" * 300, rule="é" * 300, series=Series("s", "c", "m", (("a", "ü" * 300),))
    )
    notice = replace(notice, others=tuple(replace(hostile, incident=str(each)) for each in range(99)))
    notice = replace(
        notice, facts=replace(notice.facts, summary="{{ detail }}" * 9, evidence=Evidence(detail="é" * 4096))
    )
    said = article(notice)
    assert len(said.text.encode()) <= LARGEST_TEXT
    lines = said.text.splitlines()[2:]
    assert lines[-1] == f"and {500 - len(lines)} more open"
    assert "(cut)" in said.text.splitlines()[0]


def test_the_lines_of_others_are_lines_whatever_a_far_side_is_called() -> None:
    evil = "shop\r\nBcc: everybody@example.com\x1b[2J\u2028\ud800"
    notice = a_digest("open", "open", labels=(("service", evil),))
    notice = replace(notice, others=(replace(notice.others[0], service=evil, rule=evil),))
    said = article(notice)
    assert len(said.text.splitlines()) == 3
    assert said.text.splitlines()[2].isprintable()
    assert said.headline.splitlines() == [said.headline]
    assert len(said.text.splitlines()[2]) <= 5 * LONGEST_PART * 2


def test_one_who_has_just_ended_comes_before_its_successor_where_they_are_kept_apart() -> None:
    first, second = apart(a_digest("open", "resolved", page=Page.UPDATED))
    assert (first.page, first.facts.state, first.open, first.over) == (Page.RECOVERED, "resolved", 0, 1)
    assert (second.page, second.facts.state, second.open, second.over) == (Page.UPDATED, "open", 1, 0)
    assert apart(a_notice()) == (a_notice(),)


@given(states, st.sampled_from(sorted(Page)), st.sets(st.integers(1, 8)))
def test_the_order_keeps_every_incident_and_what_is_open_is_ahead(
    states: list[str], page: Page, news: set[int]
) -> None:
    notice = a_digest(*states, page=page, news=tuple(a_notice(number).facts.incident for number in sorted(news)))
    ordered = foremost(notice)
    assert sorted(_about(ordered), key=_incident) == sorted(_about(notice), key=_incident)
    ahead = [AHEAD[facts.state] for facts in _about(ordered)]
    assert ahead == sorted(ahead)
    assert foremost(ordered) == ordered
    assert len(apart(notice)) == len(states) and not any(map(is_digest, apart(notice)))
    assert all(is_over(each) or each.facts.state not in FINAL for each in apart(notice))


@given(states, st.sampled_from(sorted(Page)))
def test_every_incident_that_is_written_out_is_in_the_words(states: list[str], page: Page) -> None:
    said = article(a_digest(*states, page=page))
    zones = [facts.series.labels[0][1] for facts in foremost(a_digest(*states, page=page)).others if facts.series]
    assert all(f'zone="{zone}"' in said.text for zone in zones)
    assert said.degraded == ""


def _about(notice: Notice) -> tuple[Facts, ...]:
    return (notice.facts, *notice.others)


def _incident(facts: Facts) -> str:
    return facts.incident

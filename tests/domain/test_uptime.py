"""Uptime: its parts add up, however a range is cut, and agree with a walk through every nanosecond."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from service_monitoring.domain.incidents import Cause, Incident, Move, begin, move
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.uptime import (
    FOR_EVER,
    Condition,
    Known,
    Span,
    Spell,
    Uptime,
    common,
    spells_of,
    timeline,
    uptime,
)
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.errors import Refused
from service_monitoring.testing.builders import a_series

# So small that everything touches everything else.
LAST = 14
AT = some.integers(-2, LAST + 2)
SPANS = some.lists(some.builds(Span, AT, AT), max_size=4).map(tuple)
SPELLS = some.lists(some.builds(Spell, some.sampled_from(Severity), some.builds(Span, AT, AT)), max_size=4).map(tuple)
KNOWN = some.builds(Known, spells=SPELLS, unwatched=SPANS, unheard=SPANS, maintenance=SPANS)
BEGUN, ENDED = Instant(0), Instant(LAST)


def walked(known: Known, at: int) -> Condition:
    """The condition at one nanosecond, by the sentence."""

    def within(spans: tuple[Span, ...]) -> bool:
        return any(span.began <= at < span.ended for span in spans)

    def open_(severity: Severity) -> bool:
        return within(tuple(spell.span for spell in known.spells if spell.severity is severity))

    if within(known.maintenance):
        return Condition.MAINTENANCE
    if within(known.unwatched):
        return Condition.UNKNOWN
    if open_(Severity.CRITICAL):
        return Condition.DOWN
    if within(known.unheard):
        return Condition.UNKNOWN
    return Condition.DEGRADED if open_(Severity.WARNING) else Condition.UP


@given(KNOWN)
def test_every_part_is_as_long_as_a_walk_through_the_range_says(known: Known) -> None:
    counted = Counter(walked(known, at) for at in range(LAST))
    assert uptime(BEGUN, ENDED, known) == Uptime(**{str(each): Duration(counted[each]) for each in Condition})


@given(KNOWN)
def test_the_parts_add_up_to_the_whole_range(known: Known) -> None:
    assert uptime(BEGUN, ENDED, known).whole == LAST


@given(KNOWN, some.integers(1, LAST - 1))
def test_a_range_that_is_split_adds_up_to_the_same(known: Known, cut: int) -> None:
    parts = [uptime(BEGUN, Instant(cut), known), uptime(Instant(cut), ENDED, known)]
    whole = uptime(BEGUN, ENDED, known)
    for each in Condition:
        assert sum(getattr(part, each) for part in parts) == getattr(whole, each)


@given(KNOWN)
def test_a_timeline_has_no_holes_and_no_two_neighbours_alike(known: Known) -> None:
    line = list(timeline(BEGUN, ENDED, known))
    assert (line[0][0].began, line[-1][0].ended) == (0, LAST)
    for (one, before), (other, after) in pairwise(line):
        assert one.ended == other.began
        assert before is not after
    assert all(walked(known, at) is condition for span, condition in line for at in range(*span))


@given(some.lists(SPANS, min_size=1, max_size=3))
def test_what_is_common_is_where_all_are(each: list[tuple[Span, ...]]) -> None:
    flat = [common([spans]) for spans in each]
    found = common(flat)
    for at in range(-2, LAST + 2):
        everywhere = all(any(a <= at < b for a, b in spans) for spans in flat)
        assert any(a <= at < b for a, b in found) is everywhere
    assert list(found) == sorted(found)


def test_a_service_that_has_no_check_is_not_unheard() -> None:
    assert common([]) == ()


def test_an_incident_that_is_open_on_both_sides_of_a_gap_is_unknown_within() -> None:
    known = Known(spells=(Spell(Severity.CRITICAL, Span(2, FOR_EVER)),), unwatched=(Span(4, 9),))
    assert uptime(BEGUN, ENDED, known) == Uptime(up=Duration(2), down=Duration(7), unknown=Duration(5))


def test_a_service_that_fell_silent_while_it_was_down_is_down() -> None:
    known = Known(spells=(Spell(Severity.CRITICAL, Span(2, 12)),), unheard=(Span(4, 14),))
    assert uptime(BEGUN, ENDED, known) == Uptime(up=Duration(2), down=Duration(10), unknown=Duration(2))


def test_what_was_announced_is_maintenance_whatever_else_it_is() -> None:
    known = Known(
        spells=(Spell(Severity.CRITICAL, Span(0, 9)),), unwatched=(Span(3, 7),), maintenance=(Span(2, 5), Span(4, 6))
    )
    assert uptime(BEGUN, ENDED, known) == Uptime(
        up=Duration(5), down=Duration(4), maintenance=Duration(4), unknown=Duration(1)
    )


@pytest.mark.parametrize(("began", "ended"), [(5, 5), (6, 5)])
def test_what_is_no_stretch_of_time_is_refused(began: int, ended: int) -> None:
    with pytest.raises(Refused, match="no stretch of time"):
        uptime(Instant(began), Instant(ended), Known())


# Incidents ------------------------------------------------------------------------------------------------------


def an_incident(*, opened: int = 2, ended: int | None = 9, severity: Severity = Severity.WARNING) -> Incident:
    at = Instant(1)
    incident = begin(
        "shop", "slow", a_series(), severity=severity, at=at, cause=Cause.SAMPLE, evidence=Evidence(), previous=""
    )
    incident = move(incident, Move.OPEN, at=Instant(opened), cause=Cause.TIMER)
    return incident if ended is None else move(incident, Move.RESOLVE, at=Instant(ended), cause=Cause.SAMPLE)


WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


@pytest.mark.parametrize(
    ("moves", "spells"),
    [
        ([], [(CRITICAL, 2, 9)]),
        ([(1, WARNING), (2, WARNING), (5, CRITICAL), (9, CRITICAL)], [(WARNING, 2, 5), (CRITICAL, 5, 9)]),
        ([(1, WARNING), (2, CRITICAL), (9, CRITICAL)], [(CRITICAL, 2, 9)]),
        # What it was before is forgotten.
        ([(5, CRITICAL), (9, CRITICAL)], [(CRITICAL, 2, 9)]),
        ([(2, WARNING), (9, CRITICAL)], [(WARNING, 2, 9)]),
    ],
)
def test_an_incident_counts_with_the_severity_that_it_had(
    moves: list[tuple[int, Severity]], spells: list[tuple[Severity, int, int]]
) -> None:
    incident = an_incident(severity=CRITICAL)
    found = spells_of(incident, [(Instant(at), severity) for at, severity in moves])
    assert list(found) == [Spell(severity, Span(began, ended)) for severity, began, ended in spells]


def test_an_open_incident_has_no_end() -> None:
    assert list(spells_of(an_incident(ended=None), [])) == [Spell(WARNING, Span(2, FOR_EVER))]


def test_drafts_and_what_never_opened_count_for_nothing() -> None:
    assert list(spells_of(replace(an_incident(), draft=True), [])) == []
    assert list(spells_of(replace(an_incident(), opened_at=None), [])) == []

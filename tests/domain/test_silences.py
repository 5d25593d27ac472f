"""Silences: half-open, by labels, on the wall clock; made and ended by people alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from service_monitoring.domain.course import Course, Ruling
from service_monitoring.domain.events import SilenceMove, SilenceMoved
from service_monitoring.domain.inputs import Admitted, Configured, Input, Silenced, Stamp, Stepped, Unsilenced
from service_monitoring.domain.instants import HOUR, MINUTE, NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.silences import Silence, Silences, StoredSilence, Wanted, made, next_end, silencing
from service_monitoring.errors import Refused
from service_monitoring.testing.builders import a_configuration, a_rule, a_service, instant

SHOP = (Matcher("service", MatchOperator.EQUALS, "shop"),)
BANK = (Matcher("service", MatchOperator.EQUALS, "bank"),)
LABELS = {"service": "shop", "rule": "slow"}
AN_HOUR = Wanted(SHOP, "ada", "deploy", lasts=HOUR)


def a_silence(begins: str, ends: str, matchers: tuple[Matcher, ...] = SHOP) -> Silence:
    return Silence(f"{begins}-{ends}", matchers, instant(begins), instant(ends), "ada")


class Told:
    """A course that is told one thing after the other, by offsets on the wall clock."""

    def __init__(self) -> None:
        self.course = Course()
        self.epoch = 0
        self.tell("+0s", Configured(a_configuration(a_service(a_rule("slow")))))

    def tell(self, at: str, what: Input) -> Ruling:
        return self.course.step(Admitted(Stamp(self.epoch, instant(at)), what))

    def silence(self, at: str, wanted: Wanted = AN_HOUR) -> Silence:
        ruling = self.tell(at, Silenced(wanted))
        (event,) = [decision for _, decision in ruling.decisions]
        assert isinstance(event, SilenceMoved) and event.move is SilenceMove.MADE
        return event.silence

    def silent(self, at: str) -> bool:
        return silencing(self.course.silences(), LABELS, instant(at)) is not None


# A silence ------------------------------------------------------------------------------------------------------------


def test_a_silence_holds_from_its_beginning_to_before_its_end() -> None:
    silence = a_silence("+10s", "+20s")
    for at, holds in ((-1, False), (0, True), (10 * SECOND - 1, True), (10 * SECOND, False)):
        found = silencing([silence], LABELS, instant("+10s").plus(Duration(at)))
        assert found == (silence if holds else None), at


def test_a_silence_is_about_what_all_its_matchers_hold_for() -> None:
    at = instant("+15s")
    both = (*SHOP, Matcher("rule", MatchOperator.DIFFERS, "slow"))
    assert silencing([a_silence("+10s", "+20s", BANK), a_silence("+10s", "+20s", both)], LABELS, at) is None
    assert silencing([a_silence("+10s", "+20s", both)], {"service": "shop", "rule": "down"}, at) is not None


def test_of_several_silences_the_one_that_lasts_longest_is_named() -> None:
    short, long = a_silence("+10s", "+20s"), a_silence("+0s", "+30s")
    for order in ([short, long], [long, short]):
        assert silencing(order, LABELS, instant("+15s")) == long


SPANS = some.lists(some.tuples(some.integers(0, 30), some.integers(1, 30), some.sampled_from([SHOP, BANK])), max_size=6)


@given(SPANS, some.integers(0, 70))
def test_the_next_end_is_the_first_instant_at_which_nothing_is_silenced(
    spans: list[tuple[int, int, tuple[Matcher, ...]]], at: int
) -> None:
    silences = [a_silence(f"+{first}s", f"+{first + length}s", which) for first, length, which in spans]
    second = at
    while any(first <= second < first + length and which == SHOP for first, length, which in spans):
        second += 1
    found = next_end(silences, LABELS, instant(f"+{at}s"))
    assert found == (None if second == at else instant(f"+{second}s"))


def test_an_id_follows_from_all_that_was_said() -> None:
    silence = made(AN_HOUR, instant("+1s"))
    others = [
        made(AN_HOUR, instant("+2s")),
        made(replace(AN_HOUR, matchers=BANK), instant("+1s")),
        made(replace(AN_HOUR, author="grace"), instant("+1s")),
        made(replace(AN_HOUR, comment="-"), instant("+1s")),
        made(replace(AN_HOUR, lasts=MINUTE), instant("+1s")),
    ]
    assert len({silence.id, *(other.id for other in others)}) == 6
    assert made(AN_HOUR, instant("+1s")) == silence and len(silence.id) == 16


def test_what_was_decided_before_a_silence_was_made_stays_as_it_is() -> None:
    silence = made(replace(AN_HOUR, begins=instant("+0s")), instant("+10s"))
    assert (silence.begins, silence.ends) == (instant("+10s"), instant("+1h10s"))
    later = made(replace(AN_HOUR, begins=instant("+1m")), instant("+10s"))
    assert (later.begins, later.ends) == (instant("+1m"), instant("+1h1m"))


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (replace(AN_HOUR, matchers=()), "silence everything"),
        (replace(AN_HOUR, matchers=(Matcher("team", MatchOperator.DIFFERS, "x"),)), "silence everything"),
        (replace(AN_HOUR, lasts=None), "has an end, or a length"),
        (replace(AN_HOUR, ends=instant("+1h")), "has an end, or a length"),
        (replace(AN_HOUR, lasts=Duration(0)), "ended before it begins"),
        (Wanted(SHOP, "ada", ends=instant("+10s")), "ended before it begins"),
        (Wanted(SHOP, "ada", begins=instant("+2h"), ends=instant("+1h")), "ended before it begins"),
    ],
)
def test_what_can_be_no_silence_is_refused_with_a_sentence(wanted: Wanted, why: str) -> None:
    with pytest.raises(Refused, match=why):
        made(wanted, instant("+10s"))
    told = Told()
    assert why in told.tell("+10s", Silenced(wanted)).refusal
    assert told.course.silences() == ()


# In the course --------------------------------------------------------------------------------------------------------


def test_a_silence_is_made_and_ended_by_people() -> None:
    told = Told()
    silence = told.silence("+10s")
    assert (told.silent("+9s"), told.silent("+10s"), told.silent("+1h9s"), told.silent("+1h10s")) == (
        False,
        True,
        True,
        False,
    )
    ruling = told.tell("+30s", Unsilenced(silence.id, "grace"))
    (event,) = [decision for _, decision in ruling.decisions]
    assert isinstance(event, SilenceMoved)
    assert (event.move, event.silence.expired_by, event.silence.ends) == (SilenceMove.EXPIRED, "grace", instant("+30s"))
    assert told.silent("+29s") and not told.silent("+30s")


def test_one_that_has_not_begun_can_be_ended_and_never_holds() -> None:
    told = Told()
    silence = told.silence("+10s", replace(AN_HOUR, begins=instant("+1h")))
    told.tell("+30s", Unsilenced(silence.id, "grace"))
    assert not any(told.silent(at) for at in ("+10s", "+30s", "+1h", "+1h30m"))


@pytest.mark.parametrize("id", ["", "0123456789abcdef"])
def test_a_silence_that_is_not_known_cannot_be_ended(id: str) -> None:
    assert "no silence" in Told().tell("+10s", Unsilenced(id, "ada")).refusal


def test_a_silence_that_has_ended_cannot_be_ended_again() -> None:
    told = Told()
    silence = told.silence("+10s")
    told.tell("+20s", Unsilenced(silence.id, "ada"))
    assert "ended at" in told.tell("+30s", Unsilenced(silence.id, "ada")).refusal


def test_the_end_of_a_silence_is_booked_nowhere() -> None:
    told = Told()
    before = told.course.due()
    told.silence("+10s")
    assert told.course.due() == before


@pytest.mark.parametrize(("to", "by"), [("+30m10s", 30 * MINUTE), ("+5s", Duration(-5 * SECOND))])
def test_a_step_of_the_clock_shifts_no_silence(to: str, by: Duration) -> None:
    told = Told()
    silence = told.silence("+10s")
    told.epoch = 1
    told.tell(to, Stepped(by))
    assert told.course.silences() == (silence,)
    assert not told.silent("+9s") and told.silent("+1h9s") and not told.silent("+1h10s")


def test_what_has_ended_is_let_go_of_at_the_next_word_about_silences() -> None:
    told = Told()
    first = told.silence("+10s")
    assert told.course.silences() == (first,)
    second = told.silence("+1h10s", replace(AN_HOUR, comment="again"))
    assert told.course.silences() == (second,)
    changes = told.course.take_changes()
    assert changes is not None
    assert changes.silences == (StoredSilence(first, over=True), StoredSilence(second))
    assert told.course.take_changes() is None


@given(some.lists(some.tuples(some.integers(0, 9), some.booleans(), some.integers(1, 30)), max_size=12))
def test_what_is_stored_at_any_time_is_what_decisions_ask_for(told: list[tuple[int, bool, int]]) -> None:
    """Loaded from what was stored, a restart knows exactly what the program knew."""
    live, shelf, at = Silences(), dict[str, StoredSilence](), Instant(0)
    for later, ends, length in told:
        at = at.plus(Duration(later * SECOND + NANOSECOND))
        known = [silence for silence in live.all() if silence.ends > at]
        if ends and known:
            live.expire(known[0].id, "ada", at)
        else:
            live.make(replace(AN_HOUR, lasts=Duration(length * SECOND)), at)
        shelf.update((kept.silence.id, kept) for kept in live.take_changes())
        revived = Silences(kept.silence for kept in shelf.values() if not kept.over)
        assert sorted(revived.all(), key=lambda each: each.id) == sorted(live.all(), key=lambda each: each.id)

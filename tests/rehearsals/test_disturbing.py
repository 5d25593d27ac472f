"""Faults of time that are injected: a course cannot tell them from those that a history has.

Columns and inputs are disturbed alike, and come to what a course decides that really was blind then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw
from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.calendar import clock_changes, local_text, moved_zone
from service_monitoring.domain.configuration import Configuration, Person, QuietHours
from service_monitoring.domain.course import Decision
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Pushed,
    PushedSample,
    Settled,
    Stamp,
    Stepped,
)
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Rota
from service_monitoring.domain.schedules import ActiveHours, Cron, Failing, Span, Weekly
from service_monitoring.domain.strategies import Heartbeat, Threshold
from service_monitoring.domain.stretches import Portion, Steps, Stretch
from service_monitoring.errors import Refused
from service_monitoring.ports import Flaw
from service_monitoring.rehearsal.assumed import Assumed, Assumption
from service_monitoring.rehearsal.disturbed import disturbed_of
from service_monitoring.rehearsal.disturbing import (
    Blind,
    Disturbances,
    DisturbedRecording,
    DisturbedSamples,
    Late,
    disturbances,
    limits,
    with_clocks_moved,
    within,
)
from service_monitoring.rehearsal.driving import play
from service_monitoring.rehearsal.recorded import as_recorded, under
from service_monitoring.rehearsal.sampled import sampled
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_grouping,
    a_heartbeat,
    a_rule,
    a_service,
    a_step,
    above,
    an_observation,
    instant,
    span,
)
from service_monitoring.wire.ledger import ledger
from tests.domain import days
from tests.drawing import drawn
from tests.rehearsals.loop import Recording
from tests.rehearsals.test_columns import Time, at, one_by_one, the_stretches
from tests.rehearsals.test_columns import made as made_of_all
from tests.rehearsals.test_days import the_configuration
from tests.rehearsals.test_recorded import Lived, moves, of, pages, slow

NOTHING = Disturbances()
ALWAYS, FOREVER = Instant(0), START.plus(Duration(10**18))
BERLIN = "Europe/Berlin"


END = 10_000
Drawn = list[tuple[int, float | None, int]]
"""Seconds from one to the next, a value, and how many."""


def made(shop: Drawn, desk: Drawn, orders: Drawn, gaps: list[tuple[int, int]]) -> Time:
    """Runs of two services and what is pushed to a third."""
    polled = {("shop", "page"): _plain(shop), ("desk", "page"): _plain(desk)}
    return made_of_all(polled, {("orders", "orders"): _plain(orders)}, gaps, {}, {})


def _plain(drawn: Drawn) -> list[tuple[int, float | None, tuple[int, ...], int]]:
    return [(step, value, (0,), times) for step, value, times in drawn]


class Columns:
    """`SampleHistory` of a time, in portions that end at these seconds."""

    def __init__(self, time: Time, ends: Iterable[int] = ()) -> None:
        self._stretches = the_stretches(time, -1, END)
        self._ends = sorted(set(ends))

    def extent(self) -> tuple[Instant, Instant] | None:
        instants = [instant for stretch in self._stretches for instant in stretch.instants.tolist()]
        return (Instant(min(instants)), Instant(max(instants))) if instants else None

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        begin = since
        for end in [each for each in map(at, self._ends) if since < each < until] + [until]:
            yield Portion(end, tuple(_cut(self._stretches, begin, end)))
            begin = end

    def flaws(self) -> Sequence[Flaw]:
        return ()


def _cut(stretches: Iterable[Stretch], since: Instant, until: Instant) -> Iterator[Stretch]:
    for stretch in stretches:
        kept = (stretch.instants >= since.ns) & (stretch.instants < until.ns)
        if kept.any():
            instants = stretch.instants[kept]
            yield Stretch(stretch.series, instants, stretch.values[kept], Steps.of(instants))


def the_inputs(time: Time, configuration: Configuration) -> Recording:
    """The same time as a program records it."""
    inputs: list[tuple[int, Input]] = [(0, Configured(configuration))]
    for place, runs in time.runs.items():
        inputs += [(second, Observed(*place, found, at(second))) for second, found in runs]
    inputs += [
        (second, Pushed("jobs", each.check, (PushedSample(at(second), each.metric, each.value, each.labels),)))
        for second, each in time.pushes
    ]
    in_order = sorted(inputs, key=lambda each: (each[0], getattr(each[1], "service", "")))
    return Recording((Admitted(Stamp(0, at(second)), what) for second, what in in_order), Stamp(0, at(END)))


class Undisturbed(NamedTuple):
    """What is drawn of a time, and when nobody watches: (second, length)."""

    shop: Drawn
    desk: Drawn
    orders: Drawn
    gaps: list[tuple[int, int]]
    ends: list[int]

    def as_it_was(self) -> Time:
        return made(self.shop, self.desk, self.orders, [])

    def really_blind(self) -> Time:
        return made(self.shop, self.desk, self.orders, self.gaps)

    def injected(self) -> Disturbances:
        apart = [(begin, length) for begin, length in self.really_blind().cuts if length]
        blind = [Blind("gap", at(begin), at(begin + length), GapCause.RESTART) for begin, length in apart]
        return Disturbances(tuple(blind))


def the_times() -> draw.SearchStrategy[Undisturbed]:
    steps = draw.sampled_from([1, 1, 2, 5, 5, 5, 5, 13, 30, 90])
    values = draw.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 5.0, None])
    runs = draw.lists(draw.tuples(steps, values, draw.integers(1, 8)), min_size=1, max_size=12)
    gaps = draw.lists(draw.tuples(draw.integers(1, 400), draw.sampled_from([1, 3, 40, 200])), max_size=4)
    ends = draw.lists(draw.integers(1, 700), max_size=8)
    return draw.builds(Undisturbed, runs, runs, runs, gaps, ends)


def played(time: Undisturbed, asked: Disturbances, assumed: Assumed | None = None) -> list[Decision]:
    history = DisturbedSamples(Columns(time.as_it_was(), time.ends), asked)
    return [decision for _, decision in play(history, the_configuration(), at(0), at(END), people=assumed)]


def lines(decisions: Iterable[Decision]) -> list[str]:
    return ledger(decisions).decode().splitlines()


# Gaps -----------------------------------------------------------------------------------------------------------------


@given(the_times())
@settings(deadline=None, max_examples=drawn(1 / 5))
def test_columns_with_an_injected_gap_decide_what_a_program_decides_that_was_blind_then(time: Undisturbed) -> None:
    assert lines(played(time, time.injected())) == lines(one_by_one(time.really_blind(), the_configuration(), END))


@given(the_times())
@settings(deadline=None, max_examples=drawn(1 / 5))
def test_recorded_inputs_with_an_injected_gap_decide_what_a_program_decides_that_was_blind_then(
    time: Undisturbed,
) -> None:
    recording = DisturbedRecording(the_inputs(time.as_it_was(), the_configuration()), time.injected())
    lived = lines(one_by_one(time.really_blind(), the_configuration(), END))
    assert lines(as_recorded(recording, ALWAYS, at(END)).decisions) == lived
    assert lines(under(recording, the_configuration(), at(0), at(END)).decisions) == lived


@given(the_times(), draw.sampled_from([1, 7, 40]))
@settings(deadline=None, max_examples=drawn(1 / 5))
def test_no_decision_depends_on_where_portions_end_even_where_somebody_acts_just_then(
    time: Undisturbed, after: int
) -> None:
    def decided(time: Undisturbed) -> list[str]:
        assumed = Assumed(Assumption(Duration(after * SECOND)), the_configuration())
        return lines(played(time, time.injected(), assumed))

    assert decided(time) == decided(time._replace(ends=[])) == decided(time._replace(ends=list(range(1, 700, 5))))


@given(the_times())
@settings(deadline=None, max_examples=drawn(1 / 5))
def test_an_injection_of_nothing_changes_nothing(time: Undisturbed) -> None:
    recording = the_inputs(time.as_it_was(), the_configuration())
    disturbed = DisturbedRecording(recording, NOTHING)
    assert list(disturbed.inputs()) == list(recording.inputs())
    assert as_recorded(disturbed, ALWAYS, at(END)) == as_recorded(recording, ALWAYS, at(END))
    columns = Columns(time.as_it_was(), time.ends)
    if time.as_it_was().pushes:
        once, again = (
            sampled(history, the_configuration(), at(0), at(END))
            for history in (columns, DisturbedSamples(columns, NOTHING))
        )
        assert once == again
    assert list(limits(NOTHING)) == []


FAILING: Drawn = [(5, 2.0, 12), (5, None, 27), (5, 2.0, 160)]


def test_what_is_compared_is_not_empty() -> None:
    time = Undisturbed(FAILING, FAILING, [(5, 0.0, 180)], [(70, 40), (300, 40)], [])
    assert len(played(time, time.injected())) > 30
    assert played(time, time.injected()) != played(time, NOTHING)


def blind(text: str) -> Disturbances:
    return disturbances([text], "UTC")


def test_acts_of_people_in_a_gap_are_lost_and_counted() -> None:
    lived = Lived(a_configuration(a_service(slow(1.0)))).play("2 2 2 2")
    lived.acknowledge("+45s", "slow").hear("+50s", value=2.0)
    disturbed = DisturbedRecording(of(lived), blind("monitor-down=4s@2026-01-05T00:00:42"))
    again = under(disturbed, a_configuration(a_service(slow(1.0))), ALWAYS, FOREVER)
    assert disturbed.lost == 1
    assert not any(isinstance(each, IncidentMoved) and each.act is not None for each in again.decisions)
    assert any("1 acts of people" in each for each in limits(NOTHING, disturbed.lost))


def test_assumed_acknowledgements_wait_for_the_end_of_a_gap() -> None:
    configuration = a_configuration(a_service(slow(1.0)))
    lived = Lived(configuration).play("2 2 2 2 2 2 2 2 2")
    down = blind("suspend=20s@2026-01-05T00:00:42")
    assumed = Assumed(Assumption(span("40s")), configuration)
    again = under(DisturbedRecording(of(lived), down), configuration, ALWAYS, FOREVER, assumed=assumed)
    [acknowledged] = [each for each in again.decisions if isinstance(each, IncidentMoved) and each.act is not None]
    assert acknowledged.decided_at == instant("+62s").plus(Duration(1))


def test_a_revision_and_outcomes_that_came_in_a_gap_are_found_after_it() -> None:
    before, after = a_configuration(a_service(slow(5.0))), a_configuration(a_service(slow(1.0)))
    lived = Lived(before).play("2 2")
    lived.configure("+25s", after).hear("+30s", value=2.0).hear("+40s", value=2.0)
    disturbed = DisturbedRecording(of(lived), blind("restart=8s@2026-01-05T00:00:24"))
    told = [(each.stamp.at, type(each.input)) for each in disturbed.inputs()][3:]
    assert told == [
        (instant("+24s"), GapBegan),
        (instant("+32s"), GapEnded),
        (instant("+32s").plus(Duration(1)), Configured),
        (instant("+40s"), Observed),
    ]
    assert moves(as_recorded(disturbed, ALWAYS, FOREVER))[-1] == "slow open +32s"


def test_what_answered_other_decisions_is_listed_and_decides_nothing() -> None:
    lived = Lived(a_configuration(a_service(slow(1.0)))).play("1 2 1 1 1")
    incident = next(each.incident.id for _, each in lived.decisions if isinstance(each, IncidentMoved))
    notice = next(each.key for _, each in lived.decisions if isinstance(each, Notice))
    lived.tell("+55s", Acted(incident, Act.NOTE, "ada", "seen"))
    lived.tell("+56s", Settled(notice, Delivery.PARKED, "ops", Page.FIRST))
    disturbed = DisturbedRecording(of(lived), blind("monitor-down=5s@2026-01-05T00:00:18"))
    again = as_recorded(disturbed, ALWAYS, FOREVER, restarts=frozenset())
    assert [each for each in again.decisions if isinstance(each, IncidentMoved | Notice)] == []
    assert [(each.incident, each.by) for each in again.unmatched] == [(incident, "ada")]
    assert any("1 recorded outcomes" in each for each in again.limits)


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        ([("+50s", GapBegan(GapCause.RESTART)), ("+80s", GapEnded())], "nobody watched then as it was"),
        ([("+30s", GapBegan(GapCause.RESTART)), ("+61s", GapEnded())], "nobody watched then as it was"),
        ([("+50s", Stepped(Duration(7 * SECOND)))], "the clock was set in it"),
    ],
)
def test_a_gap_over_another_or_over_a_step_of_the_clock_is_refused(recorded: list[tuple[str, Input]], why: str) -> None:
    epoch, inputs = 0, [Admitted(Stamp(0, instant("+0s")), Configured(a_configuration()))]
    for offset, what in recorded:
        epoch += isinstance(what, Stepped)
        inputs.append(Admitted(Stamp(epoch, instant(offset)), what))
    inputs.append(Admitted(Stamp(epoch, instant("+100s")), Marked(MarkKind.STOPPED)))
    down = blind("suspend=30s@2026-01-05T00:00:40")
    with pytest.raises(Refused, match=f"--inject suspend=30s@2026-01-05T00:00:40: {why}: name an instant"):
        list(DisturbedRecording(Recording(inputs, inputs[-1].stamp), down).inputs())


def test_a_gap_before_a_step_of_the_clock_is_in_the_epoch_before_it() -> None:
    inputs = [
        Admitted(Stamp(0, instant("+0s")), Configured(a_configuration())),
        Admitted(Stamp(1, instant("+20s")), Stepped(Duration(-60 * SECOND))),
        Admitted(Stamp(1, instant("+100s")), Marked(MarkKind.STOPPED)),
    ]
    down = blind("suspend=30s@2026-01-05T00:00:40")
    told = [each.stamp for each in DisturbedRecording(Recording(inputs, inputs[-1].stamp), down).inputs()]
    assert told == [
        Stamp(0, instant("+0s")),
        Stamp(0, instant("+40s")),
        Stamp(0, instant("+70s")),
        Stamp(1, instant("+20s")),
        Stamp(1, instant("+100s")),
    ]


# Restarts -------------------------------------------------------------------------------------------------------------

a_day = cache(days.a_day)


@pytest.mark.parametrize("batch", range(4))
def test_a_restart_changes_nothing_but_its_gap(batch: int) -> None:
    compared = 0
    for seed in range(batch * 10, batch * 10 + 10):
        day = a_day(seed)
        recording = Recording(day.inputs, day.inputs[-1].stamp)
        last = max(each.stamp.at for each in day.inputs)
        for part in range(1, 8):
            began = Instant((day.inputs[0].stamp.at.ns * (8 - part) + last.ns * part) // 8)
            away = Disturbances((Blind("restart", began, began.plus(span("5s")), GapCause.RESTART, revived=True),))
            disturbed = DisturbedRecording(recording, away)
            try:
                plain = as_recorded(disturbed, ALWAYS, FOREVER, restarts=frozenset())
            except Refused:
                continue  # a day has gaps and steps of its own
            revived = as_recorded(disturbed, ALWAYS, FOREVER, restarts=away.restarts)
            assert lines(revived.decisions) == lines(plain.decisions), f"seed {seed}, at {began}"
            assert revived == plain
            compared += 1
    assert compared > 20


@given(the_times())
@settings(deadline=None, max_examples=drawn(1 / 5))
def test_a_restart_under_another_configuration_changes_nothing_but_its_gap(time: Undisturbed) -> None:
    away = time.injected()
    # What falls due at the very instant of the last input counts as decided.
    half = Duration(SECOND // 2)
    away = replace(away, blind=tuple(replace(each, began=each.began.plus(half), revived=True) for each in away.blind))
    disturbed = DisturbedRecording(the_inputs(time.as_it_was(), the_configuration(1)), away)
    plain = under(disturbed, the_configuration(), at(0), at(END))
    revived = under(disturbed, the_configuration(), at(0), at(END), restarts=away.restarts or frozenset())
    assert lines(revived.decisions) == lines(plain.decisions)


def test_a_restart_late_in_a_long_history_recalls_what_rules_look_back_at() -> None:
    values = [2.0 if number % 50 < 25 else 0.0 for number in range(1_500)]
    time = made([(1, value, 1) for value in values], [(5, 0.0, 1)], [(5, 0.0, 1)], [])
    away = Disturbances((Blind("restart", at(1_440), at(1_443), GapCause.RESTART, revived=True),))
    disturbed = DisturbedRecording(the_inputs(time, the_configuration()), away)
    plain = under(disturbed, the_configuration(), at(0), at(END))
    assert under(disturbed, the_configuration(), at(0), at(END), restarts=away.restarts or frozenset()) == plain
    assert len(plain.decisions) > 50


# Late samples ---------------------------------------------------------------------------------------------------------

A_THIRD = Disturbances(late=Late("late=33.3%", 333_000))


@given(the_times())
@settings(deadline=None, max_examples=drawn(1 / 5))
def test_which_samples_are_late_depends_on_no_portion_and_is_the_same_in_columns_and_inputs(time: Undisturbed) -> None:
    late = lines(played(time, A_THIRD))
    assert late == lines(played(time._replace(ends=list(range(1, 700, 7))), A_THIRD))
    recording = DisturbedRecording(the_inputs(time.as_it_was(), the_configuration()), A_THIRD)
    assert late == lines(as_recorded(recording, ALWAYS, at(END)).decisions)


def test_what_is_left_of_a_series_is_known_by_its_own_steps() -> None:
    time = Undisturbed([(1, 2.0, 300)], [(1, 2.0, 300)], [(1, 0.0, 300)], [], [])
    disturbed = DisturbedSamples(Columns(time.as_it_was()), disturbances(["late=50%"], "UTC"))
    stretches = [stretch for portion in disturbed.portions(at(0), at(END)) for stretch in portion.stretches]
    assert stretches and all(each.steps == Steps.of(each.instants) for each in stretches)


def test_as_many_samples_are_late_as_was_asked_for_and_of_a_run_all_or_none() -> None:
    time = Undisturbed([(1, 2.0, 3_000)], [(1, 2.0, 3_000)], [(1, 0.0, 3_000)], [], [])
    history = DisturbedSamples(Columns(time.as_it_was()), disturbances(["late=5%"], "UTC"))
    left = [stretch for portion in history.portions(at(0), at(END)) for stretch in portion.stretches]
    counts = {str(stretch.series): len(stretch.instants) for stretch in left}
    assert all(2_800 < count < 2_900 for count in counts.values())
    runs = [stretch.instants.tolist() for stretch in left if stretch.series.service == "shop"]
    assert len(runs) == 2 and runs[0] == runs[1]
    others = [stretch.instants.tolist() for stretch in left if stretch.series.service == "desk"]
    assert others[0] != runs[0]


def test_all_or_no_samples_are_late_where_that_is_asked_for() -> None:
    time = Undisturbed(FAILING, FAILING, [(5, 0.0, 180)], [], [])
    assert played(time, disturbances(["late=0%"], "UTC")) == played(time, NOTHING)
    silent = Undisturbed([], [], [], [], [])
    assert played(time, disturbances(["late=100%"], "UTC")) == played(silent, NOTHING)


# Clocks ---------------------------------------------------------------------------------------------------------------


def the_calendar(since: Instant) -> Configuration:
    """All that knows local time: a rota, quiet hours, active hours, maintenance at 02:30, and a nightly job."""
    rules = [
        a_rule("slow", Threshold(above(1.0))),
        a_rule("awake", Threshold(above(1.5)), active=ActiveHours(BERLIN, spans=(Span(150, 180),))),
        a_rule("backup", Heartbeat((Failing.MISSED,)), check="backup", metric=""),
    ]
    checks = [
        a_check(every="10m", stale_after="25m"),
        a_heartbeat(cron="30 2 * * *", grace="5m", zone=BERLIN),
    ]
    steps = (a_step("oncall.primary"), a_step("person.ann", after="5m"))
    quiet = QuietHours(ActiveHours(BERLIN, spans=(Span(150, 200),)))
    first = a_grouping("routes[0]", steps=steps)
    handover = Layer(("ann", "bob"), DAILY, Handover(150), since)
    return replace(
        a_configuration(a_service(*rules, checks=checks), routes=(first,)),
        people=(Person("ann", ("ops",), quiet), Person("bob", ("ops",))),
        rotas=(Rota("primary", BERLIN, (handover,)),),
        maintenances=(
            Maintenance("nightly", (), Cron("30 2 * * *", BERLIN), span("20m")),
            Maintenance("weekly", (), Weekly(BERLIN, 6, 205), span("10m")),
        ),
    )


def the_nights(since: Instant) -> Recording:
    """Three days, of which each hour has twenty minutes that are slow; the job reports never."""
    inputs = [Admitted(Stamp(0, since), Configured(the_calendar(since)))]
    for number in range(1, 3 * 24 * 6):
        stamp = Stamp(0, since.plus(Duration(number * 10 * MINUTE + 7 * SECOND)))
        value = 2.0 if number % 6 in {2, 3} else 0.5
        inputs.append(Admitted(stamp, Observed("shop", "health", an_observation({"value": value}), stamp.at)))
    return Recording(inputs, Stamp(0, since.plus(Duration(3 * DAY))))


def happened(decisions: Sequence[Decision], by: int) -> list[tuple[object, ...]]:
    """What was decided, without ids, which follow from instants; all of it `by` nanoseconds later."""
    found: list[tuple[object, ...]] = []
    for each in decisions:
        when = each.decided_at.ns + by
        if isinstance(each, IncidentMoved):
            found.append((when, each.incident.rule, each.incident.state))
        elif isinstance(each, Notice):
            held = each.held and each.held.reason
            found.append((when, each.page, each.recipient, each.facts.rule, held))
    return found


SATURDAY = Instant.parse("2026-01-10T00:00:00Z")


@pytest.mark.parametrize("season", ["spring", "autumn"])
def test_a_night_of_another_season_is_what_the_same_history_decides_in_that_night(season: str) -> None:
    end = SATURDAY.plus(Duration(3 * DAY))
    asked = within(disturbances([f"dst={season}"], BERLIN), SATURDAY, end)
    assert asked.changed == SATURDAY.plus(Duration(25 * HOUR))
    recording = DisturbedRecording(the_nights(SATURDAY), asked)
    there = as_recorded(recording, ALWAYS, end).decisions
    moved = -asked.weeks * 7 * DAY
    then = SATURDAY.plus(Duration(moved))
    real = as_recorded(the_nights(then), ALWAYS, then.plus(Duration(3 * DAY))).decisions
    assert happened(there, 0) == happened(real, -moved)
    assert happened(there, 0) != happened(as_recorded(the_nights(SATURDAY), ALWAYS, end).decisions, 0)
    assert len(happened(there, 0)) > 100
    other = under(recording, with_clocks_moved(the_calendar(SATURDAY), asked.weeks), SATURDAY, end)
    assert happened(other.decisions, 0) == happened(there, 0)


@pytest.mark.parametrize("season", ["spring", "autumn"])
def test_a_job_at_half_past_two_is_missed_once_in_the_night_in_which_clocks_change(season: str) -> None:
    end = SATURDAY.plus(Duration(3 * DAY))
    asked = within(disturbances([f"dst={season}"], BERLIN), SATURDAY, end)
    zone = moved_zone(BERLIN, asked.weeks)
    found = as_recorded(DisturbedRecording(the_nights(SATURDAY), asked), ALWAYS, end).decisions
    missed = [
        local_text(each.at, zone)
        for each in found
        if isinstance(each, IncidentMoved) and each.incident.rule == "backup" and each.incident.state is State.PENDING
    ]
    assert len(missed) == 1 and "02:35" in missed[0]


def test_whole_weeks_bring_the_change_as_near_to_the_middle_as_can_be() -> None:
    since, until = Instant.parse("2026-01-05T00:00:00Z"), Instant.parse("2026-02-09T00:00:00Z")
    asked = within(disturbances(["dst=spring"], BERLIN), since, until)
    assert asked.changed == Instant.parse("2026-01-25T01:00:00Z")
    [(changed, by)] = clock_changes(moved_zone(BERLIN, asked.weeks), since, until)
    assert (changed, by) == (asked.changed, 3_600)
    assert disturbances(["dst=spring@Europe/London"], BERLIN).clocks != asked.clocks


def test_only_zones_of_a_configuration_are_moved_and_everything_else_is_shared() -> None:
    configuration = the_calendar(SATURDAY)
    moved = with_clocks_moved(configuration, 11)
    assert zones_of(moved) == {f"{BERLIN}+11w"}
    assert moved.services[0].rules[0] is configuration.services[0].rules[0]
    assert with_clocks_moved(configuration, 0) is configuration
    assert with_clocks_moved(a_configuration(), 3) == a_configuration()


def zones_of(value: Any) -> set[str]:
    if isinstance(value, tuple):
        return {zone for each in value for zone in zones_of(each)}
    if not isinstance(value, Struct):
        return set()
    inner = {zone for name in value.__struct_fields__ for zone in zones_of(getattr(value, name))}
    return inner | ({value.zone} if hasattr(value, "zone") else set())


# What is asked --------------------------------------------------------------------------------------------------------


def test_instants_are_by_the_zone_or_by_an_offset_of_their_own() -> None:
    texts = ["suspend=22m@2026-01-06T03:00", "restart@2026-01-06T01:00Z", "restart=20s@2026-01-06T00:00+01:00"]
    found = disturbances(texts, BERLIN)
    assert [(str(each.began)[:16], each.until.since(each.began), each.cause, each.revived) for each in found.blind] == [
        ("2026-01-05T23:00", 20 * SECOND, GapCause.RESTART, True),
        ("2026-01-06T01:00", 5 * SECOND, GapCause.RESTART, True),
        ("2026-01-06T02:00", 22 * MINUTE, GapCause.SUSPEND, False),
    ]
    assert disturbances(["monitor-down=40m@2026-01-06"], "UTC").restarts == frozenset()
    assert NOTHING.restarts is None


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["sleep=3m@2026-01-06"], "--inject sleep=3m@2026-01-06 says nothing that can be injected"),
        (["suspend=22m"], "write suspend=22m@"),
        (["suspend@2026-01-06"], "does not say for how long"),
        (["suspend=0s@2026-01-06"], "lasts no time"),
        (["suspend=22@2026-01-06"], "is not a duration"),
        (["restart@tomorrow"], "--inject restart@tomorrow: tomorrow is not a date"),
        (["late=5"], "is no share of the samples: write late=5%"),
        (["late=101%"], "is no share of the samples"),
        (["late=5%", "late=6%"], "says it twice"),
        (["dst=winter"], "says nothing that can be injected"),
        (["suspend=2m@2026-01-06", "restart@2026-01-06T00:02"], "are at one time"),
    ],
)
def test_what_cannot_be_injected_is_refused_in_a_sentence_that_names_it(texts: list[str], why: str) -> None:
    with pytest.raises(Refused, match="--inject") as refused:
        disturbances(texts, "UTC")
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("restart@2026-01-04", BERLIN, "is not within what is rehearsed"),
        ("suspend=3h@2026-01-11T23:00Z", BERLIN, "is not within what is rehearsed"),
        ("dst", "UTC", "clocks of UTC do not change around that time: name a zone where they do"),
        ("dst@Mars/Olympus", "UTC", "Mars/Olympus is no time zone"),
    ],
)
def test_what_lies_outside_of_the_range_or_never_happens_is_refused(text: str, zone: str, why: str) -> None:
    since, until = Instant.parse("2026-01-05T00:00:00Z"), Instant.parse("2026-01-12T00:00:00Z")
    with pytest.raises(Refused) as refused:
        within(disturbances([text], zone), since, until)
    assert why in str(refused.value)


def test_a_range_that_lacks_the_hour_or_has_a_change_already_is_refused() -> None:
    monday, tuesday = Instant.parse("2026-01-05T00:00:00Z"), Instant.parse("2026-01-06T00:00:00Z")
    with pytest.raises(Refused, match="whole weeks from it"):
        within(disturbances(["dst"], BERLIN), monday, tuesday)
    with pytest.raises(Refused, match="change in this range already, at 2026-03-29T01:00"):
        within(disturbances(["dst=spring"], BERLIN), monday, Instant.parse("2026-04-01T00:00:00Z"))


def test_what_is_disturbed_is_shown_beside_what_is_not() -> None:
    configuration = a_configuration(a_service(slow(1.0)))
    lived = Lived(configuration).play("1 2 1 1 1")
    before = as_recorded(of(lived), START, FOREVER)
    down = blind("monitor-down=5s@2026-01-05T00:00:18")
    after = as_recorded(DisturbedRecording(of(lived), down), START, FOREVER)
    found = disturbed_of(before, after, down.texts)
    assert pages(after) == []
    assert (found.lines.before, found.lines.after) == (len(before.decisions), len(after.decisions))
    assert found.lines.only_before - found.lines.only_after == found.lines.before - found.lines.after
    assert len(found.difference.lost) == len(pages(before)) > 0
    same = disturbed_of(before, before, down.texts)
    assert (same.lines.only_before, same.lines.only_after, same.difference.is_empty) == (0, 0, True)

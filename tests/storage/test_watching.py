"""When nobody watched and when a check was not heard, read from the files: against a walk over what was written."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from service_monitoring.domain.configuration import Check, Service
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import Cause, Move, move
from service_monitoring.domain.inputs import (
    Admitted,
    GapBegan,
    GapCause,
    GapEnded,
    Marked,
    MarkKind,
    Stepped,
    Taken,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Measurement, Outcome, Reason
from service_monitoring.domain.uptime import Known, Span, Uptime, uptime
from service_monitoring.storage.sqlite import SqliteStore, Tuning
from service_monitoring.testing.builders import a_rule
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.testing.store_laws import START, a_push, a_stamp, an_incident, an_observation
from tests.drawing import drawn
from tests.storage.test_reading import of

STALE = Duration(3 * SECOND)
HEALTH = Check("shop", "health", "http", Duration(SECOND), Duration(SECOND), STALE)
ORDERS = Check("shop", "orders", "push", Duration(0), Duration(0), STALE, allowance=Duration(2 * SECOND))
SHOP = Service("shop", checks=(HEALTH,))
LAST = 20


def at(second: float) -> Instant:
    return START.plus(Duration(round(second * SECOND)))


async def known(store: SqliteStore, *, service: Service = SHOP, first: float = 0, last: float = LAST) -> Known:
    return await store.known(service, at(first), at(last))


def seconds(spans: tuple[Span, ...], last: float = LAST) -> list[tuple[float, float]]:
    """Stretches as seconds after `START`, cut at the range, in order."""
    cut = [(max(a, START.ns), min(b, at(last).ns)) for a, b in spans]
    return sorted(((a - START.ns) / SECOND, (b - START.ns) / SECOND) for a, b in cut if a < b)


def unknown(second: int) -> Admitted:
    return an_observation(second, outcome=Outcome.UNKNOWN, reason=Reason.OVERLOAD, measurements=[])


async def begin(store: SqliteStore, second: int = 0) -> None:
    await store.commit(of(second, Marked(MarkKind.STARTED)))


# Checks ---------------------------------------------------------------------------------------------------------


async def test_a_check_is_not_heard_before_its_first_observation_and_when_none_came_for_too_long(
    store: SqliteStore,
) -> None:
    await begin(store)
    await store.record([an_observation(second) for second in (2, 4, 7, 12)])
    assert seconds((await known(store)).unheard) == [(0, 2), (10, 12), (15, 20)]


async def test_an_unknown_run_says_nothing_until_the_next_one(store: SqliteStore) -> None:
    await begin(store)
    await store.record([an_observation(0), unknown(2), unknown(3), an_observation(5), unknown(6)])
    assert seconds((await known(store)).unheard) == [(2, 5), (6, 20)]


async def test_a_failed_run_is_an_observation_like_any_other(store: SqliteStore) -> None:
    await begin(store)
    failed = [an_observation(second, outcome=Outcome.FAILED, reason=Reason.CONNECT) for second in range(20)]
    await store.record(failed)
    assert seconds((await known(store)).unheard) == []


async def test_what_came_before_the_range_still_counts(store: SqliteStore) -> None:
    await begin(store)
    await store.record([an_observation(1), an_observation(2), an_observation(9)])
    assert seconds((await known(store, first=4, last=12)).unheard) == [(5, 9)]
    await store.record([unknown(10)])
    assert seconds((await known(store, first=11, last=12)).unheard) == [(11, 12)]


async def test_a_service_is_heard_while_one_of_its_checks_is(store: SqliteStore) -> None:
    await begin(store)
    other = replace(HEALTH, name="tcp", stale_after=Duration(10 * SECOND))
    both = Service("shop", checks=(HEALTH, other))
    await store.record([an_observation(0), an_observation(1, check="tcp"), an_observation(17)])
    assert seconds((await known(store, service=both)).unheard) == [(11, 17)]


async def test_what_is_pushed_counts_from_when_it_came(store: SqliteStore) -> None:
    await begin(store)
    await store.record([a_push(2), a_push(4), a_push(12)])
    assert seconds((await known(store, service=Service("shop", checks=(ORDERS,)))).unheard) == [
        (0, 2),
        (7, 12),
        (15, 20),
    ]


async def test_a_service_that_was_never_heard_is_unheard_and_one_without_checks_is_not(store: SqliteStore) -> None:
    await begin(store)
    assert seconds((await known(store)).unheard) == [(0, 20)]
    assert (await known(store, service=Service("shop"))).unheard == ()


async def test_the_end_of_an_observation_moves_with_the_clock(store: SqliteStore) -> None:
    await begin(store)
    await store.record([an_observation(5)])
    await store.commit(of(16, Stepped(Duration(10 * SECOND)), epoch=1))
    # It was made at 15 s by the new clock.
    assert seconds((await known(store)).unheard) == [(0, 5), (18, 20)]


# Watching -------------------------------------------------------------------------------------------------------


async def test_nobody_watched_before_the_first_start_and_in_gaps(store: SqliteStore) -> None:
    await begin(store, 2)
    await store.commit(of(5, GapBegan(GapCause.RESTART)))
    await store.commit(of(8, GapEnded()))
    await store.commit(of(9, Marked(MarkKind.ALIVE)))
    assert seconds((await known(store)).unwatched) == [(0, 2), (5, 8)]
    for first, last, gap in ((6, 20, (6, 8)), (0, 7, (5, 7)), (6, 7, (6, 7))):
        within = (await known(store, first=first, last=last)).unwatched
        cut = [(max(a, at(first).ns), min(b, at(last).ns)) for a, b in within]
        assert ((at(gap[0]).ns, at(gap[1]).ns)) in cut


async def test_where_the_clock_was_set_nobody_knows(store: SqliteStore) -> None:
    await begin(store)
    await store.commit(of(9, Stepped(Duration(4 * SECOND)), epoch=1))
    await store.commit(of(12, Stepped(Duration(-3 * SECOND)), epoch=2))
    assert seconds((await known(store)).unwatched) == [(5, 9), (12, 15)]


async def test_a_gap_in_an_epoch_stays_in_it(store: SqliteStore) -> None:
    await begin(store)
    await store.commit(of(3, GapBegan(GapCause.SUSPEND)))
    await store.commit(of(6, GapEnded()))
    await store.commit(of(16, Stepped(Duration(10 * SECOND)), epoch=1))
    await store.commit(of(17, GapBegan(GapCause.LAG), epoch=1))
    await store.commit(of(18, GapEnded(), epoch=1))
    assert seconds((await known(store)).unwatched) == [(3, 6), (6, 16), (17, 18)]


# Incidents ------------------------------------------------------------------------------------------------------


async def test_an_incident_counts_with_the_severity_that_it_had_when(store: SqliteStore) -> None:
    await begin(store)
    pending = replace(an_incident(1), severity=Severity.WARNING)
    opened = move(pending, Move.OPEN, at=at(4), cause=Cause.TIMER)
    raised = move(opened, Move.RAISE, at=at(7), cause=Cause.TIMER, severity=Severity.CRITICAL)
    ended = move(raised, Move.RESOLVE, at=at(9), cause=Cause.SAMPLE)
    for incident in (pending, opened, raised, ended):
        await store.commit(of(9, IncidentMoved(incident.changed_at, incident.changed_at, incident)))
    found = await known(store)
    assert [(spell.severity, *seconds((spell.span,))[0]) for spell in found.spells] == [
        (Severity.WARNING, 4, 7),
        (Severity.CRITICAL, 7, 9),
    ]
    assert (await known(store, first=9)).spells == ()
    assert (await known(store, last=4)).spells == ()
    assert (await known(store, service=Service("bank"))).spells == ()


# Samples --------------------------------------------------------------------------------------------------------


async def samples(
    store: SqliteStore, rule: Rule, *, since: float, until: int, pushed: bool = False
) -> list[tuple[str, list[tuple[float, float]]]]:
    """By series, each sample as (second, value)."""
    found = await store.columns(rule, since=at(since), until=a_stamp(until), shifts={0: Duration(0)}, pushed=pushed)
    return [
        (str(series), [((ns - START.ns) / SECOND, value) for ns, value in zip(*columns, strict=True)])
        for series, columns in found.items()
    ]


async def test_whether_a_service_was_up_is_read_from_its_runs_and_unknown_ones_say_nothing(store: SqliteStore) -> None:
    failed = an_observation(3, outcome=Outcome.FAILED, reason=Reason.CONNECT)
    await store.record([an_observation(1), an_observation(2), failed, unknown(4), an_observation(5)])
    await store.record([an_observation(6, check="tcp"), an_observation(9)])
    rule = a_rule(metric="up")
    assert await samples(store, rule, since=1, until=5) == [("shop/health/up", [(2, 1.0), (3, 0.0), (5, 1.0)])]
    assert await samples(store, a_rule(metric="up", check="other"), since=0, until=9) == []


async def test_any_other_series_of_a_rule_is_read_from_its_samples(store: SqliteStore) -> None:
    zones = [Measurement("errors", float(zone == "a"), (("zone", zone),)) for zone in ("a", "b")]
    await store.record([an_observation(1, measurements=zones), an_observation(2, measurements=zones[:1])])
    assert await samples(store, a_rule(metric="errors"), since=0, until=2) == [
        ('shop/health/errors{zone="a"}', [(1, 1.0), (2, 1.0)]),
        ('shop/health/errors{zone="b"}', [(1, 0.0)]),
    ]
    picked = a_rule(metric="errors", selects={"zone": "b"})
    assert await samples(store, picked, since=0, until=2) == [('shop/health/errors{zone="b"}', [(1, 0.0)])]


async def test_pushed_samples_count_when_they_were_judged(store: SqliteStore) -> None:
    pushes = [a_push(5, 1.0, 0.0), a_push(6, 0.0), a_push(7, 0.0)]
    marks = {a_stamp(5): (Taken.JUDGED, Taken.JUDGED), a_stamp(6): (Taken.JUDGED,), a_stamp(7): (Taken.LATE,)}
    await store.record(pushes, marks=marks)
    rule = a_rule(check="orders", metric="orders_per_minute")
    ((_, found),) = await samples(store, rule, since=0, until=9, pushed=True)
    assert found == [(1, 1.0), (2, 0.0), (3, 0.0)]


async def test_samples_of_an_earlier_epoch_are_moved_by_how_the_clock_was_set(store: SqliteStore) -> None:
    await store.record([an_observation(1), an_observation(2), an_observation(13, epoch=1)])
    shifts = {0: Duration(10 * SECOND), 1: Duration(0)}
    until = a_stamp(13, epoch=1)
    found = await store.columns(a_rule(metric="up"), since=at(11), until=until, shifts=shifts, pushed=False)
    ((instants, _),) = found.values()
    assert [(each - START.ns) / SECOND for each in instants.tolist()] == [12, 13]


# Laws -----------------------------------------------------------------------------------------------------------

RUNS = some.lists(some.tuples(some.integers(0, LAST), some.booleans()), max_size=12, unique_by=lambda each: each[0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=drawn(1))
@given(runs=RUNS, cut=some.integers(1, LAST - 1))
async def test_silence_agrees_with_a_walk_and_a_split_range_with_the_whole(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, bool]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    async with await SqliteStore.open(folder, SimulatedClock(), tuning=Tuning(reserve=0)) as store:
        await begin(store)
        ordered = sorted(runs)
        await store.record([unknown(second) if ours else an_observation(second) for second, ours in ordered])
        found = {
            side: await known(store, first=a, last=b)
            for side, a, b in (("whole", 0, LAST), ("left", 0, cut), ("right", cut, LAST))
        }
    walked = 0
    for second in range(LAST):
        before = [each for each in ordered if each[0] <= second]
        walked += not before or before[-1][1] or second - before[-1][0] >= 3
    whole = uptime(at(0), at(LAST), found["whole"])
    assert whole == Uptime(up=Duration((LAST - walked) * SECOND), unknown=Duration(walked * SECOND))
    left, right = uptime(at(0), at(cut), found["left"]), uptime(at(cut), at(LAST), found["right"])
    assert left.up + right.up == whole.up

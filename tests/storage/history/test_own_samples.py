"""The samples of a data folder as columns: what was measured at its stamp, what was pushed at its instant."""

from __future__ import annotations

from pathlib import Path

from service_monitoring.domain.inputs import Taken
from service_monitoring.domain.samples import Measurement, Outcome, Series
from service_monitoring.storage.history.opening import open_history, open_samples
from service_monitoring.storage.history.own import History
from service_monitoring.storage.history.own_samples import OwnSamples
from service_monitoring.storage.history.writing import export
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.store_laws import a_push, a_stamp, an_observation
from tests.storage.history.rigs import ALWAYS, read

UP = Series("shop", "health", "up")
TOOK = Series("shop", "health", "duration_seconds")
ORDERS = Series("shop", "orders", "orders_per_minute", (("shop", "ä"),))


def at(second: int) -> int:
    return a_stamp(second).at.ns


async def test_runs_say_what_they_measured_and_unknown_ones_nothing(folder: Path, store: SqliteStore) -> None:
    measured = [Measurement("duration_seconds", 0.5)]
    await store.record([an_observation(second, measurements=measured) for second in range(5)])
    await store.record([an_observation(5, outcome=Outcome.FAILED, measurements=[])])
    await store.record([an_observation(6, outcome=Outcome.UNKNOWN, measurements=[])])
    with OwnSamples(folder) as history:
        assert history.extent() == (a_stamp(0).at, a_stamp(5).at)
        assert read(history) == {
            UP: [(at(second), float(second < 5)) for second in range(6)],
            TOOK: [(at(second), 0.5) for second in range(5)],
        }
        assert read(history, a_stamp(4).at, a_stamp(6).at) == {UP: [(at(4), 1.0), (at(5), 0.0)], TOOK: [(at(4), 0.5)]}
        assert history.flaws() == ()


async def test_what_was_pushed_stands_at_its_own_instant_if_it_was_judged(folder: Path, store: SqliteStore) -> None:
    pushes = [a_push(10, 1.0, 2.0, 3.0), a_push(20, 4.0)]
    marks = {pushes[0].stamp: (Taken.LATE, Taken.JUDGED, Taken.JUDGED), pushes[1].stamp: (Taken.CONFLICT,)}
    await store.record(pushes, marks=marks)
    with OwnSamples(folder) as history:
        assert read(history) == {ORDERS: [(at(6), 2.0), (at(7), 3.0)]}
        # It came at second 10, and is of second 7 all the same.
        assert read(history, a_stamp(7).at, a_stamp(8).at) == {ORDERS: [(at(7), 3.0)]}


async def test_a_clock_that_was_set_back_gives_each_instant_once(folder: Path, store: SqliteStore) -> None:
    await store.record([an_observation(second, measurements=[]) for second in range(10)])
    await store.record(
        [an_observation(second, epoch=1, outcome=Outcome.FAILED, measurements=[]) for second in range(5, 15)]
    )
    with OwnSamples(folder) as history:
        assert read(history) == {UP: [(at(second), float(second < 10)) for second in range(15)]}
        assert [flaw.count for flaw in history.flaws()] == [5]


async def test_a_long_past_is_read_in_portions_and_exported_as_parquet(folder: Path, store: SqliteStore) -> None:
    await store.record([an_observation(60 * second) for second in range(3_000)])
    with OwnSamples(folder, aim=500) as history:
        whole = read(history)
        portions = list(history.portions(*ALWAYS))
        assert len(portions) > 5 and max(sum(len(s.instants) for s in p.stretches) for p in portions) <= 1_500
        assert export(history.portions(*ALWAYS), folder.parent / "out") == 6_000
    with open_samples(folder.parent / "out") as again:
        assert read(again) == whole == {UP: whole[UP], TOOK: whole[TOOK]}
        assert [of for of, _ in whole[UP]] == [at(60 * second) for second in range(3_000)]


async def test_a_data_folder_is_opened_as_ours(folder: Path, store: SqliteStore) -> None:
    await store.record([an_observation(1)])
    with open_history(folder) as opened, open_samples(folder) as samples:
        assert isinstance(opened, History)
        assert isinstance(samples, OwnSamples)

"""Lines read from samples and from tallies: the same values, no spike lost, and a gap stays a gap."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from service_monitoring.domain.inputs import Taken
from service_monitoring.domain.instants import DAY, MINUTE, SECOND, Duration
from service_monitoring.domain.samples import Measurement
from service_monitoring.storage import lines, tallies
from service_monitoring.storage.lines import Read, Run
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.storage.tallies import TALLIES, WIDTH, Tally
from service_monitoring.testing.store_laws import START, a_push, an_observation
from service_monitoring.views.service import buckets, width_for
from tests.storage.conftest import Open

METRIC = ("duration_seconds", ())


async def write(
    store: SqliteStore, values: Sequence[tuple[int, float]], *, epoch: int = 0, check: str = "health"
) -> None:
    """Runs so many seconds after the start that measured these."""
    await store.record(
        [
            an_observation(second, epoch=epoch, check=check, measurements=[Measurement("duration_seconds", value)])
            for second, value in values
        ]
    )


async def line(store: SqliteStore, width: int, *, check: str = "health") -> Read:
    within = (START.ns, START.ns + 40 * DAY)
    series = store.lines.series("shop", check)[METRIC]
    return await store.lines.line(Run(store.lines.number("shop", check), series, False, within, width))


def walked(values: Sequence[tuple[int, float]], width: int) -> list[Tally]:
    """What a line is, value by value."""
    found: dict[int, list[tuple[int, float]]] = {}
    for second, value in values:
        at = START.ns + second * SECOND
        found.setdefault(at // width * width, []).append((at, value))
    return [
        Tally(
            place,
            len(part),
            min(value for _, value in part),
            sum(value for _, value in part),
            max(value for _, value in part),
            part[0][0],
            part[-1][0],
        )
        for place, part in sorted(found.items())
    ]


async def tally(store: SqliteStore) -> None:
    while await store.tallies.further():
        pass


RUNS = some.lists(some.tuples(some.integers(1, 4_000), some.integers(-5, 5)), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return count()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=RUNS, cut=some.integers(0, 30), width=some.sampled_from([WIDTH, 3 * WIDTH, 6 * WIDTH]))
async def test_samples_and_tallies_say_the_same_and_keep_every_extreme(
    store: SqliteStore, numbers: Iterator[int], steps: list[tuple[int, int]], cut: int, width: int
) -> None:
    # Each example has a check and an era of its own in one store.
    epoch = next(numbers)
    values: list[tuple[int, float]] = []
    for step, value in steps:
        values.append((step + (values[-1][0] if values else 0), float(value)))
    with pytest.MonkeyPatch.context() as few:
        few.setattr(tallies, "_SETTLED", 0)
        await write(store, values[:cut], epoch=epoch, check=f"check{epoch}")
        await tally(store)
        await write(store, values[cut:], epoch=epoch, check=f"check{epoch}")
        read = await line(store, width, check=f"check{epoch}")
        await tally(store)
        few.setattr(lines, "MOST_RUNS", 0)
        tallied = await line(store, width, check=f"check{epoch}")
    assert [*read.tallies] == [*tallied.tallies] == walked(values, width)
    assert (read.since, tallied.since) == (None, None)


async def test_what_is_not_tallied_yet_comes_from_samples(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [(60 * minute, float(minute)) for minute in range(100)]
    await write(store, values[:50])
    await tally(store)
    await write(store, values[50:])
    monkeypatch.setattr(lines, "MOST_RUNS", 60)
    read = await line(store, MINUTE)
    assert read.width == WIDTH
    assert [*read.tallies] == walked(values, WIDTH)
    # Where even that is too much, the newest of it is shown, and it is said since when.
    monkeypatch.setattr(lines, "MOST_RUNS", 20)
    read = await line(store, MINUTE)
    assert read.since == START.ns + 79 * 60 * SECOND + 1
    assert read.tallies[-1] == walked(values, WIDTH)[-1]


async def test_a_spike_among_months_of_samples_is_in_the_line(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [(3600 * hour, 99.0 if hour == 700 else 1.0) for hour in range(24 * 38)]
    await write(store, values)
    await tally(store)
    monkeypatch.setattr(lines, "MOST_RUNS", 100)
    read = await line(store, width_for(Duration(90 * DAY), 500))
    assert len(read.tallies) <= 500
    assert max(each.greatest for each in read.tallies) == 99.0
    assert sum(each.number for each in read.tallies) == len(values)


async def test_samples_of_every_era_are_in_the_line(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(store, [(0, 1.0), (600, 2.0)])
    await write(store, [(300, 5.0), (1200, 6.0)], epoch=1)
    await tally(store)
    expected = walked([(0, 1.0), (300, 5.0), (600, 2.0), (1200, 6.0)], WIDTH)
    assert [*(await line(store, WIDTH)).tallies] == expected
    monkeypatch.setattr(lines, "MOST_RUNS", 1)
    assert [each.number for each in (await line(store, WIDTH)).tallies] == [each.number for each in expected]


async def test_pushed_samples_stand_at_their_own_instants(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = {a_push(700, 1.0, 2.0, 9.0).stamp: [Taken.JUDGED, Taken.JUDGED, Taken.LATE]}
    await store.record([a_push(700, 1.0, 2.0, 9.0)], marks=marked)
    await store.record([a_push(1400, 3.0)])
    ((_, series),) = store.lines.series("shop", "orders").items()
    within = (START.ns, START.ns + 1398 * SECOND)
    run = Run(store.lines.number("shop", "orders"), series, True, within, WIDTH, 60 * SECOND)
    read = await store.lines.line(run)
    seconds = [((each.first - START.ns) // SECOND, (each.last - START.ns) // SECOND) for each in read.tallies]
    assert seconds == [(695, 696), (1397, 1397)]
    await tally(store)
    monkeypatch.setattr(lines, "MOST_RUNS", 1)
    assert sum(each.number for each in (await store.lines.line(run)).tallies) == 3


def test_the_line_breaks_where_nothing_was_measured_for_too_long_or_nobody_watched() -> None:
    at = [0, 10, 20, 60, 70]
    told = [(second * SECOND, 1, 1.0, 1.0, 1.0, second * SECOND, second * SECOND) for second in at]
    found = list(buckets(told, Duration(20 * SECOND), [(62 * SECOND, 63 * SECOND)]))
    assert [each.broken for each in found] == [False, False, False, True, True]


def test_a_mean_is_never_outside_of_what_it_is_made_of() -> None:
    (found,) = buckets([(0, 3, 0.1, 0.1 + 0.1 + 0.1, 0.1, 0, 0)], Duration(SECOND))
    assert found.mean == 0.1
    (huge,) = buckets([(0, 2, 1e308, float("inf"), 1.7e308, 0, 0)], Duration(SECOND))
    assert huge.mean == 1.7e308


async def test_tallies_of_other_samples_and_damaged_ones_are_begun_anew(
    opened: Open, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = await opened(), await opened(tmp_path / "other")
    await write(store, [(0, 1.0), (700, 2.0)])
    await other.record([an_observation(0, check="tcp"), an_observation(9_000, check="tcp")])
    for each in (store, other):
        await tally(each)
        await each.close()
    for content in ((tmp_path / "other" / TALLIES).read_bytes(), b"no database at all" * 1_000):
        for left in folder.glob(f"{TALLIES}*"):
            left.unlink()
        (folder / TALLIES).write_bytes(content)
        again = await opened()
        await tally(again)
        monkeypatch.setattr(lines, "MOST_RUNS", 1)
        assert [each.number for each in (await line(again, WIDTH)).tallies] == [1, 1]
        await again.close()


async def test_what_is_forgotten_is_forgotten_in_tallies_too(store: SqliteStore, folder: Path) -> None:
    await store.prune(facts=START, samples=START)
    assert not (folder / TALLIES).exists()
    await write(store, [(0, 1.0), (86_400, 2.0), (2 * 86_400, 3.0), (3 * 86_400, 4.0)])
    await tally(store)
    before = START.plus(Duration(DAY + WIDTH - MINUTE))
    await store.prune(facts=before, samples=before)
    connection = sqlite3.connect(folder / TALLIES)
    assert connection.execute("SELECT DISTINCT first_at FROM tallies").fetchall() == [
        (START.ns + DAY,),
        (START.ns + 2 * DAY,),
    ]
    connection.close()


async def test_nothing_is_read_of_a_check_that_never_spoke(store: SqliteStore) -> None:
    assert store.lines.series("shop", "other") == {}
    assert await store.lines.newest("shop", ["other"]) == {}
    assert await store.lines.runs("shop", "other", before=None, limit=3) == []

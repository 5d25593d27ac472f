"""Histories in Parquet: any rows in any order come back once, in order, in portions that fit."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from service_monitoring.domain.instants import DAY, SECOND, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.parquet import ParquetHistory
from tests.storage.history.rigs import Row, meant, most_of_an_instant, parquet_of, read

SERIES = [
    Series("shop", "health", "duration_seconds"),
    Series("shop", "health", "duration_seconds", (("instance", "a"),)),
    Series("shop", "health", "duration_seconds", (("instance", "b"), ("zone", "é"))),
    Series("pay", "queue", "depth"),
]

rows: st.SearchStrategy[list[Row]] = st.lists(
    st.tuples(
        st.sampled_from(SERIES),
        st.one_of(
            st.integers(0, 40).map(lambda number: number * SECOND),
            st.integers(-3, 3).map(lambda number: number * DAY),
            st.integers(-(1 << 62), 1 << 62),
        ),
        st.sampled_from([0.0, 1.0, -2.5]),
    ),
    max_size=60,
)


# The first file ends with a row group of one series, which is known without its names; the group before it is not.
SECOND_VALUE_ALONE = [(SERIES[0], 0, 0.0)] * 3 + [(SERIES[2], 0, 0.0), (SERIES[2], 0, 1.0)] + [(SERIES[0], 0, 0.0)] * 4


@example(rows=SECOND_VALUE_ALONE, files=2, group=2, aim=3, jobs=1)
@given(rows=rows, files=st.integers(1, 3), group=st.integers(1, 9), aim=st.integers(2, 40), jobs=st.integers(1, 2))
def test_any_rows_in_any_order_come_back_once_and_in_order(
    rows: list[Row], files: int, group: int, aim: int, jobs: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        paths = []
        share = -(-len(rows) // files)
        for number in range(files):
            part = rows[number * share : (number + 1) * share]
            paths.append(parquet_of(part, Path(name) / f"{number}.parquet", group=group))
        with ParquetHistory(paths, jobs=jobs, aim=aim, aside=Path(name)) as history:
            found, duplicates, conflicts = meant(rows)
            for _ in range(2):
                assert read(history) == found
                counted = dict.fromkeys((columns.DUPLICATE, columns.CONFLICT), 0)
                for flaw in history.flaws():
                    counted[flaw.why] += flaw.count
                assert sum(counted.values()) == duplicates + conflicts
                # Of many rows of one instant each is compared with the first that was read with it.
                assert list(counted.values()) == [duplicates, conflicts] or most_of_an_instant(rows) > 2
            extent = history.extent()
            instants = [at for _, at, _ in rows]
            assert extent == ((Instant(min(instants)), Instant(max(instants))) if instants else None)
        assert sorted(path.name for path in Path(name).iterdir()) == sorted(path.name for path in paths)

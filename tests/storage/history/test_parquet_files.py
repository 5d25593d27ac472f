"""What files of Parquet may look like, what is read of them, and what is said of what cannot be."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import textwrap
import threading
from decimal import Decimal
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service_monitoring.domain.instants import DAY, SECOND, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.domain.stretches import Portion, Stretch
from service_monitoring.errors import Refused, Unusable
from service_monitoring.ports import Flaw
from service_monitoring.storage.history import columns, writing
from service_monitoring.storage.history.fields import PLAIN, Fields
from service_monitoring.storage.history.opening import open_samples
from service_monitoring.storage.history.parquet import ParquetHistory
from tests.storage.history.rigs import read

SHOP = Series("shop", "health", "value")
AT = Instant.parse("2026-01-05T10:00:00Z")
NAMES = {"service": pa.array(["shop"] * 2), "check": pa.array(["health"] * 2), "metric": pa.array(["value"] * 2)}


def history(folder: Path, fields: Fields = PLAIN, **given: Any) -> ParquetHistory:
    """A file with these columns beside the names."""
    path = folder / "history.parquet"
    arrays = {**NAMES, "at": pa.array([AT.ns, AT.ns + 1]), "value": pa.array([1.0, 2.0])} | given
    pq.write_table(pa.table(arrays), path)
    return ParquetHistory([path], fields=lambda _: fields, aside=folder)


@pytest.mark.parametrize(
    "at",
    [
        pa.array([AT.ns // SECOND, AT.ns // SECOND + 1], pa.timestamp("s", "UTC")),
        pa.array([AT.ns // 10**6, AT.ns // 10**6 + 1_000], pa.timestamp("ms", "UTC")),
        pa.array([AT.ns // 1_000, AT.ns // 1_000 + 10**6], pa.timestamp("us", "Europe/Berlin")),
        pa.array([AT.ns, AT.ns + SECOND], pa.timestamp("ns", "UTC")),
        pa.array(["2026-01-05T10:00:00Z", "2026-01-05T11:00:01+01:00"]),
        pa.array(["2026-01-05T10:00:00.000000000Z", "2026-01-05T10:00:01Z"]).dictionary_encode(),
        pa.array([str(AT.ns), "2026-01-05 10:00:01Z"], pa.large_string()),
        pa.array([AT.ns, AT.ns + SECOND], pa.uint64()),
    ],
    ids=lambda at: str(at.type),
)
def test_instants_are_nanoseconds_timestamps_or_rfc_3339(at: Any, tmp_path: Path) -> None:
    with history(tmp_path, at=at) as opened:
        assert opened.extent() == (AT, AT.plus(SECOND))
        assert read(opened) == {SHOP: [(AT.ns, 1.0), (AT.ns + SECOND, 2.0)]}
        assert opened.flaws() == ()


@pytest.mark.parametrize(
    "value",
    [
        pa.array([1, 2], pa.int32()),
        pa.array([1, 2], pa.float32()),
        pa.array([Decimal("1.0"), Decimal("2.0")]),
        pa.array([1, 2], pa.uint64()),
    ],
    ids=lambda value: str(value.type),
)
def test_values_are_any_numbers(value: Any, tmp_path: Path) -> None:
    with history(tmp_path, value=value) as opened:
        assert read(opened) == {SHOP: [(AT.ns, 1.0), (AT.ns + 1, 2.0)]}


def test_other_columns_are_labels_and_empty_ones_are_none(tmp_path: Path) -> None:
    given = {"zone": pa.array(["a", ""]), "port": pa.array([80, None]), "up": pa.array([True, True])}
    with history(tmp_path, **given, rule=pa.array(["r", None]), nothing=pa.nulls(2)) as opened:
        labels = (("exported_rule", "r"), ("port", "80"), ("up", "true"), ("zone", "a"))
        assert read(opened) == {
            Series("shop", "health", "value", labels): [(AT.ns, 1.0)],
            Series("shop", "health", "value", (("up", "true"),)): [(AT.ns + 1, 2.0)],
        }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"at": pa.array([1.0, 2.0])}, "the column 'at' is of type double: instants are whole nanoseconds"),
        ({"at": pa.array([1, 2], pa.timestamp("us"))}, "the instants of 'at' name no zone; say `timezone: UTC`"),
        ({"at": pa.array(["2026-01-05T10:00:00Z", "2026-01-05T10:00:00"])}, ":2: '2026-01-05T10:00:00' names no zone"),
        ({"value": pa.array(["1", "2"])}, "the column 'value' is of type string: values are numbers"),
        ({"metric": pa.array([1, 2])}, "the column 'metric' is of type int64: names and labels are texts"),
        ({"zone": pa.array([1.0, 2.0])}, "the column 'zone' is of type double: names and labels are texts"),
        ({"a b": pa.array(["c", "d"])}, "the column 'a b' cannot be a label"),
    ],
)
def test_a_column_that_says_nothing_to_us_is_refused_by_name_with_the_remedy(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=f"history.parquet:[0-9]+: .*|{said}") as refused:
        read(history(tmp_path, **given))
    assert said in str(refused.value)


def test_instants_without_a_zone_are_read_where_somebody_says_which(tmp_path: Path) -> None:
    naive = pa.array([dt.datetime(2026, 1, 5, 11), dt.datetime(2026, 1, 5, 12)])  # noqa: DTZ001 - that is the point
    with history(tmp_path, Fields(offset=3_600 * SECOND), at=naive) as opened:
        assert opened.extent() == (AT, AT.plus(3_600 * SECOND))  # type: ignore[arg-type]  # a product is an int
        assert [at for at, _ in read(opened)[SHOP]] == [AT.ns, AT.ns + 3_600 * SECOND]


def test_rows_that_cannot_be_taken_are_counted_and_named_by_file_and_row(tmp_path: Path) -> None:
    at = [1, 2, None, 3, 4, 5, 6, 2, 1, 9]
    value = [1.0, float("nan"), 1.0, None, float("inf"), 5.0, 6.0, 2.0, 1.0, 9.0]
    service = ["shop"] * 5 + ["", None] + ["shop"] * 3
    table = {"service": service, "check": ["health"] * 10, "metric": ["value"] * 10, "at": at, "value": value}
    for group in (1, 3, 10):
        path = tmp_path / f"{group}.parquet"
        pq.write_table(pa.table(table), path, row_group_size=group)
        with ParquetHistory([path], aside=tmp_path) as opened:
            assert read(opened) == {SHOP: [(1, 1.0), (2, 2.0), (9, 9.0)]}
            assert opened.flaws() == (
                Flaw(str(path), 2, columns.NOT_FINITE, 3),
                Flaw(str(path), 3, columns.TIMELESS, 1),
                Flaw(str(path), 6, columns.NAMELESS, 2),
                Flaw(str(path), 9, columns.DUPLICATE, 1),
            )
            assert read(opened, Instant(5), Instant(9)) == {}
            assert {flaw.why for flaw in opened.flaws()} <= {columns.NAMELESS, columns.TIMELESS}


def test_instants_that_are_too_far_away_are_flaws(tmp_path: Path) -> None:
    with history(tmp_path, at=pa.array([1_000, 1 << 53], pa.timestamp("ms", "UTC"))) as opened:
        assert read(opened) == {SHOP: [(SECOND, 1.0)]}
        assert opened.flaws() == (Flaw(str(tmp_path / "history.parquet"), 2, columns.TIMELESS, 1),)


def test_a_file_that_is_no_parquet_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 it is not")
    with pytest.raises(
        Unusable, match=r"a.parquet is no Parquet file that can be read .*; leave it out, or write it anew"
    ):
        open_samples(tmp_path / "a.parquet")


def days(count: int, *, series: int, samples: int) -> list[Portion]:
    """A portion a day, of noise."""
    found = []
    for day in range(count):
        instants = AT.ns // DAY * DAY + day * DAY + np.arange(samples) * (DAY // samples)
        stretches = tuple(
            Stretch(Series("shop", f"check{number}", "value"), instants, np.sin(instants * (number + 1.0)))
            for number in range(series)
        )
        found.append(Portion(Instant(int(instants[0]) + DAY), stretches))
    return found


def test_each_row_group_of_ours_is_read_once_and_its_names_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.export(days(3, series=4, samples=2_000), tmp_path / "out")
    asked: list[tuple[tuple[int, ...], tuple[str, ...]]] = []
    reading = pq.ParquetFile.read_row_groups

    def noted(self: Any, groups: list[int], columns: list[str], **more: Any) -> Any:
        asked.append((tuple(groups), tuple(columns)))
        return reading(self, groups, columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noted)
    with open_samples(tmp_path / "out") as opened:
        assert sum(len(samples) for samples in read(opened).values()) == 3 * 4 * 2_000
    assert asked == [((0,), ("at", "value"))] * 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_while_a_portion_is_judged_no_other_is_read(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.export(days(3, series=2, samples=2_000), tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    asked: Queue[bool] = Queue()
    reading = pq.ParquetFile.read_row_groups

    def noted(self: Any, groups: list[int], columns: list[str], **more: Any) -> Any:
        here = threading.current_thread() is threading.main_thread()
        asked.put(here)
        return reading(self, groups, columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", noted)
    with ParquetHistory(files, jobs=jobs, aim=4_000) as opened:
        portions = opened.portions(Instant(columns.EARLIEST), Instant(columns.LATEST))
        for _ in range(3):
            next(portions)
            assert asked.get_nowait() is (jobs == 1)
            assert asked.empty()


def test_a_day_that_is_too_large_for_a_portion_is_cut_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PORTION", 4_000)
    writing.export(days(2, series=4, samples=2_000), tmp_path / "large")
    writing.export(days(2, series=3, samples=2_000), tmp_path / "small")
    for name, parts in (("large", 4), ("small", 2)):
        files = sorted((tmp_path / name).rglob("*.parquet"))
        assert len(files) == parts
        with ParquetHistory(files) as opened:
            assert [len(samples) for samples in read(opened).values()] == [4_000] * (4 if name == "large" else 3)


def by_series(portions: list[Portion]) -> list[tuple[Series, Any, Any]]:
    """All samples of each series, one after the other."""
    found = []
    for parts in zip(*(portion.stretches for portion in portions), strict=True):
        instants, values = zip(*((part.instants, part.values) for part in parts), strict=True)
        found.append((parts[0].series, np.concatenate(instants), np.concatenate(values)))
    return found


_MEASURED = """
    import re, sys
    from pathlib import Path
    from service_monitoring.domain.instants import Instant
    from service_monitoring.storage.history.parquet import ParquetHistory
    from service_monitoring.storage.history.columns import EARLIEST, LATEST
    files = sorted(Path(sys.argv[1]).rglob("*.parquet"))
    count = 0
    with ParquetHistory(files, aside=Path(sys.argv[2]), aim=100_000) as history:
        for portion in history.portions(Instant(EARLIEST), Instant(LATEST)):
            count += sum(len(stretch.instants) for stretch in portion.stretches)
    print(count, re.search("VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("order", ["by day", "by series"])
def test_ten_times_the_history_needs_no_more_memory(order: str, tmp_path: Path) -> None:
    """In a process of its own, since nothing there ever gives memory back that one could see."""
    needed = []
    for count in (6, 60):
        out = tmp_path / str(count)
        writing.export(days(count, series=8, samples=8_640), out)
        if order == "by series":
            out = tmp_path / f"{count}-sorted"
            out.mkdir()
            writing.write_file(by_series(days(count, series=8, samples=8_640)), out / "all.parquet")
        asked = [sys.executable, "-c", textwrap.dedent(_MEASURED), str(out), str(tmp_path)]
        said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
        assert int(said[0]) == count * 8 * 8_640
        needed.append(int(said[1]))
    assert needed[1] - needed[0] < 16 * 1024, "kilobytes; ten times the samples are 60 MB of columns"

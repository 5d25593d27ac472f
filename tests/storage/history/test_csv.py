"""Histories in CSV: any rows in any order come back once, in order; what cannot be taken is named by its line."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Series
from service_monitoring.errors import Refused
from service_monitoring.ports import Flaw
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.csv import CsvHistory
from tests.storage.history.rigs import Row, columns_of, meant, most_of_an_instant, read
from tests.storage.history.test_parquet import rows

SHOP = Series("shop", "health", "value")


def csv_of(rows: Sequence[Row], *, rfc: bool = False, ending: str = "\n") -> bytes:
    """The rows as CSV, with instants as numbers or as people write them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=ending)
    found = columns_of(rows)
    if rfc:
        found["at"] = [str(Instant(at)) for at in found["at"]]
    writer.writerow(found)
    writer.writerows(zip(*found.values(), strict=True))
    return text.getvalue().encode()


def history_of(content: bytes, folder: Path, name: str = "history.csv") -> CsvHistory:
    """A file with this content, opened."""
    path = folder / name
    path.write_bytes(content)
    return CsvHistory([path], aside=folder)


@given(rows=rows, rfc=st.booleans(), aim=st.integers(2, 40), block=st.integers(200, 2_000))
def test_any_rows_in_any_order_come_back_once_and_in_order(rows: list[Row], rfc: bool, aim: int, block: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "history.csv"
        path.write_bytes(csv_of(rows, rfc=rfc))
        with CsvHistory([path], aim=aim, block=block, aside=Path(name)) as history:
            found, duplicates, conflicts = meant(rows)
            for _ in range(2):
                assert read(history) == found
                counted = {columns.DUPLICATE: 0, columns.CONFLICT: 0}
                for flaw in history.flaws():
                    counted[flaw.why] += flaw.count
                assert sum(counted.values()) == duplicates + conflicts
                # Of many rows of one instant each is compared with the first that was read with it.
                assert list(counted.values()) == [duplicates, conflicts] or most_of_an_instant(rows) > 2
            instants = [at for (at,) in ((at,) for _, at, _ in rows)]
            assert history.extent() == ((Instant(min(instants)), Instant(max(instants))) if instants else None)
        assert list(Path(name).iterdir()) == [path]


def test_marks_of_other_programs_are_no_part_of_it(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf"service","check",metric,at,value\r\nshop,"health",value,1970-01-01T00:00:01Z,2.5\r\n\r\n'
    with history_of(content, tmp_path) as history:
        assert read(history) == {SHOP: [(1_000_000_000, 2.5)]}
        assert history.flaws() == ()


def test_a_packed_file_is_unpacked_on_the_way(tmp_path: Path) -> None:
    with history_of(gzip.compress(csv_of([(SHOP, 7, 1.0)])), tmp_path, "history.csv.gz") as history:
        assert read(history) == {SHOP: [(7, 1.0)]}


def test_rows_that_cannot_be_taken_are_counted_and_named_by_file_and_line(tmp_path: Path) -> None:
    lines = [
        "service,check,metric,at,value",
        "shop,health,value,1,1.5",
        "shop,health,value,2",
        "shop,health,value,3,much",
        "shop,health,value,soon,4",
        "",
        "shop,,value,5,5",
        "shop,health,value,6,nan",
        "shop,health,value,7,7,7",
        "shop,health,value,1,1.5",
        "shop,health,value,1,2",
        "shop,health,value,99999999999999999999,1",
        "shop,health,value,8,8",
    ]
    with history_of("\n".join(lines).encode(), tmp_path) as history:
        assert read(history) == {SHOP: [(1, 1.5), (8, 8.0)]}
        where = str(tmp_path / "history.csv")
        assert history.flaws() == (
            Flaw(where, 3, "the row has more or fewer fields than the first line names", 2),
            Flaw(where, 4, columns.NOT_FINITE, 2),
            Flaw(where, 5, columns.TIMELESS, 2),
            Flaw(where, 7, columns.NAMELESS, 1),
            Flaw(where, 10, columns.DUPLICATE, 1),
            Flaw(where, 11, columns.CONFLICT, 1),
        )


def test_a_missing_column_is_refused_with_file_line_column_and_remedy(tmp_path: Path) -> None:
    with history_of(b"service,check,metric,time,value\n", tmp_path) as history:
        with pytest.raises(Refused) as refused:
            history.extent()
        assert str(refused.value) == (
            f"{tmp_path}/history.csv:1: there is no column 'at' (there are: service, check, metric, time, value); "
            "name the one that holds at in a mapping file: --mapping FILE"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_an_instant_without_a_zone_is_refused_by_its_place(tmp_path: Path) -> None:
    content = b"service,check,metric,at,value\na,b,c,2026-01-05 10:00:00Z,1\na,b,c,2026-01-05 10:00:00,1\n"
    with history_of(content, tmp_path) as history, pytest.raises(Refused, match=r"history.csv:3: .*names no zone; say"):
        history.extent()


@pytest.mark.parametrize("content", [b"", b"service,check,metric,at,value\na,b,c,1,\xff\xfe\n"])
def test_a_file_that_is_no_csv_is_refused_and_leaves_nothing_behind(content: bytes, tmp_path: Path) -> None:
    with history_of(content, tmp_path) as history, pytest.raises(Refused, match=r"history\.csv"):
        history.extent()
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]

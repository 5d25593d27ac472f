"""Histories taken into a folder: as many samples as there are, none twice, and never half a day."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import DAY, SECOND, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.errors import Conflict, Unavailable
from service_monitoring.storage.history import writing
from service_monitoring.storage.history.importing import Imported, import_history
from service_monitoring.storage.history.opening import open_samples
from service_monitoring.storage.history.parquet import ParquetHistory
from tests.storage.history.rigs import ALWAYS, Row, meant, parquet_of, read
from tests.storage.history.test_parquet import rows

SHOP = Series("shop", "health", "value", (("zone", "a"),))
SOME: list[Row] = [(SHOP, DAY + number * 7 * 3_600 * SECOND, float(number)) for number in range(20)]


def take(given: list[Row], folder: Path, into: str = "into") -> Imported:
    """Import rows, in the order given."""
    path = parquet_of(given, folder / "source.parquet")
    with ParquetHistory([path], aside=folder) as history:
        return import_history(history, folder / into, *ALWAYS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(first=rows, second=rows, together=st.sampled_from([2, 2_000]))
def test_what_is_imported_is_read_again_and_what_was_there_first_stands(
    first: list[Row], second: list[Row], together: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "TOGETHER", together)
        folder = Path(name)
        for part in (first, second):
            take(part, folder)
        with open_samples(folder / "into") if first or second else ParquetHistory([]) as history:
            assert read(history) == meant([*first, *second])[0]
            assert history.flaws() == ()


def test_importing_twice_changes_nothing_and_says_so(tmp_path: Path) -> None:
    assert take(SOME, tmp_path) == Imported(20, 0, 0, 6, ())
    before = contents(tmp_path / "into")
    assert sorted({name.split("/")[0] for name in before}) == [f"day=1970-01-0{day}" for day in range(2, 8)]
    assert take(SOME, tmp_path) == Imported(0, 20, 0, 0, ())
    assert contents(tmp_path / "into") == before
    other = [(series, at, value + (at == DAY)) for series, at, value in SOME]
    assert take(other, tmp_path) == Imported(0, 19, 1, 0, ())
    assert contents(tmp_path / "into") == before


def test_an_import_that_was_broken_off_is_put_right_by_the_next(tmp_path: Path) -> None:
    take(SOME, tmp_path)
    before = contents(tmp_path / "into")
    aside = tmp_path / "into" / ".importing" / "before"
    aside.mkdir(parents=True)
    (tmp_path / "into" / "day=1970-01-03").rename(aside / "day=1970-01-03")
    assert take(SOME[:1], tmp_path) == Imported(0, 1, 0, 0, ())
    assert contents(tmp_path / "into") == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "letters").write_text("dear")
    with pytest.raises(Conflict, match="holds letters, which no import has put there: name another folder"):
        take(SOME, tmp_path)
    with pytest.raises(Conflict, match="exists and is not empty: name a new folder"):
        writing.export([], tmp_path / "into")
    assert contents(tmp_path / "into") == {"letters": b"dear"}


def test_two_imports_into_one_folder_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    other = os.open(tmp_path / "into", os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match=r"another import into .* is under way: wait for its end"):
            take(SOME, tmp_path)
    finally:
        os.close(other)
    assert take(SOME, tmp_path).taken == 20


def test_what_is_exported_is_read_again_by_day_and_series(tmp_path: Path) -> None:
    path = parquet_of(SOME[::-1], tmp_path / "source.parquet")
    with ParquetHistory([path]) as source:
        assert writing.export(source.portions(*ALWAYS), tmp_path / "out") == 20
    with open_samples(tmp_path / "out") as history:
        assert read(history) == meant(SOME)[0]
        assert history.extent() == (Instant(SOME[0][1]), Instant(SOME[-1][1]))
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = parquet_of(SOME, tmp_path / "source.parquet")
    with ParquetHistory([path]) as source:
        found = list(source.portions(*ALWAYS))

    def broken() -> object:
        yield found[0]
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable):
        writing.export(broken(), tmp_path / "out")  # type: ignore[arg-type]  # it is broken off before it matters
    assert [each.name for each in tmp_path.iterdir()] == ["source.parquet"]

"""Lists of series in a footer: what is listed is read without names, and what contradicts the file is not believed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import SECOND
from service_monitoring.domain.samples import Series
from service_monitoring.storage.history import writing
from service_monitoring.storage.history.columns import Span
from service_monitoring.storage.history.fields import Fields
from service_monitoring.storage.history.groups import Group, Step, plan
from service_monitoring.storage.history.listing import KEY, Run, listed
from service_monitoring.storage.history.parquet import ParquetHistory
from tests.storage.history.rigs import read

NAMES = ("service", "check", "metric", "zone")
ROWS = 100
SHOPS = [Series(f"shop{number}", "health", "value", (("zone", "a"),) if number % 2 else ()) for number in range(6)]


def column(series: Series, rows: int) -> writing.Column:
    """Samples of a series that are like no other's."""
    instants = np.arange(rows, dtype=np.int64) * SECOND
    return series, instants, np.sin(instants * (1.0 + sum(series.service.encode())))


def ours(path: Path) -> Path:
    """A file with two row groups of three series each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "TOGETHER", 3 * ROWS)
        writing.write_file([column(series, ROWS) for series in SHOPS], path)
    return path


def anew(path: Path, change: Callable[[Any], Any], say: Callable[[Any], Any] = lambda said: said) -> Path:
    """The file written once more by somebody else, who changes its rows, or its list."""
    table, said = pq.read_table(path), json.loads(pq.read_metadata(path).metadata[KEY.encode()])
    other = path.with_name("other.parquet")
    with pq.ParquetWriter(other, table.schema) as writer:
        writer.write_table(change(table), row_group_size=3 * ROWS)
        writer.add_key_value_metadata({KEY: json.dumps(say(said))})
    return other


def lists(path: Path) -> list[list[Run] | None]:
    return listed(pq.read_metadata(path), NAMES)


@given(
    counts=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    labelled=st.booleans(),
    together=st.integers(1, 600),
)
def test_what_is_listed_are_the_runs_of_each_row_group(counts: list[int], labelled: bool, together: int) -> None:
    labels = (("zone", "é"),) if labelled else ()
    written = [
        column(Series(f"s{number:02}", "c", "m", labels if number % 3 else ()), count)
        for number, count in enumerate(counts)
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "TOGETHER", together)
        path = Path(folder) / "a.parquet"
        writing.write_file(written, path)
        names = NAMES if labelled and len(counts) > 1 else NAMES[:3]
        found = listed(pq.read_metadata(path), names)
        groups = [pq.read_metadata(path).row_group(number).num_rows for number in range(len(found))]
        expected = iter(
            Run(len(at), (series.service, series.check, series.metric, dict(series.labels).get("zone"))[: len(names)])
            for series, at, _ in written
        )
        for runs, rows in zip(found, groups, strict=True):
            if runs is None:
                taken = 0
                while taken < rows:
                    taken += next(expected).rows
            else:
                assert runs == [next(expected) for _ in runs]
                assert sum(run.rows for run in runs) == rows
        with ParquetHistory([path]) as history:
            assert {series: len(samples) for series, samples in read(history).items()} == {
                series: len(at) for series, at, _ in written
            }


def said_otherwise(place: tuple[Any, ...], value: Any) -> Callable[[Any], Any]:
    """Puts a value in a place of the list."""

    def say(said: Any) -> Any:
        inner = said
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        return said

    return say


@pytest.mark.parametrize(
    "say",
    [
        said_otherwise(("version",), 2),
        said_otherwise(("groups",), [None]),
        said_otherwise(("groups",), "none"),
        said_otherwise(("columns", 3), "port"),
        said_otherwise(("groups", 0, 0), 4),
        said_otherwise(("groups", 0, 0), 1 << 60),
        said_otherwise(("groups", 0, 1), [ROWS + 1]),
        said_otherwise(("groups", 0, 1), [-ROWS, ROWS, 3 * ROWS]),
        said_otherwise(("groups", 0, 2, 0), ["shop0", "shop1"]),
        said_otherwise(("groups", 0, 2, 0), ["shop0", "shop1", "shop7"]),
        said_otherwise(("groups", 0, 2, 3), [None]),
        lambda said: [said],
    ],
    ids=[
        "another version",
        "groups without a list",
        "no groups",
        "another column",
        "too few series",
        "too many series",
        "too many rows",
        "rows below none",
        "a name too few",
        "a name out of bounds",
        "no name",
        "no object",
    ],
)
def test_a_list_that_contradicts_its_footer_is_not_believed(say: Callable[[Any], Any], tmp_path: Path) -> None:
    path = ours(tmp_path / "a.parquet")
    assert None not in lists(path)
    other = anew(path, lambda table: table, say)
    assert lists(other)[0] is None
    with ParquetHistory([path]) as mine, ParquetHistory([other]) as theirs:
        assert read(theirs) == read(mine)
        assert theirs.flaws() == ()


def test_a_list_that_was_kept_when_rows_changed_places_is_not_believed(tmp_path: Path) -> None:
    path = ours(tmp_path / "a.parquet")

    def by_time(table: Any) -> Any:
        return pa.concat_tables(table.slice(first, 3 * ROWS).sort_by("at") for first in (0, 3 * ROWS))

    other = anew(path, by_time)
    assert lists(other) == lists(path), "nothing in the footer gives it away"
    with ParquetHistory([path]) as mine, ParquetHistory([other]) as theirs:
        assert read(theirs) == read(mine)


def test_constants_of_a_mapping_stand_before_what_is_listed(tmp_path: Path) -> None:
    path = ours(tmp_path / "a.parquet")
    fields = Fields(constants=(("check", "other"), ("region", "eu")))
    with ParquetHistory([path], fields=lambda _: fields) as history:
        found = {(series.service, series.check, dict(series.labels)["region"]) for series in read(history)}
    assert found == {(series.service, "other", "eu") for series in SHOPS}


def planned(groups: list[Group], span: Span, aim: int, most: int) -> list[Step] | None:
    """The plan by its definition: what stays is counted anew for each group."""
    steps: list[Step] = []
    fresh: list[Group] = []
    held: list[Group] = []
    for group in sorted(groups, key=lambda group: (group.low, group.file, group.number)):
        rows = sum(each.rows for each in held)
        staying = [each for each in held if each.high >= group.low]
        left = sum(each.rows for each in staying)
        if fresh and rows + group.rows > aim and left <= rows // 2 and group.low > span.since:
            steps.append(Step(group.low, tuple(fresh)))
            fresh, held, rows = [], staying, left
        fresh.append(group)
        held.append(group)
        if rows + group.rows > most:
            return None
    return [*steps, Step(span.until, tuple(fresh))] if fresh else steps


@given(
    found=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.integers(0, 30), st.integers(0, 8)), max_size=30),
    aim=st.integers(1, 30),
)
def test_what_still_reaches_further_is_counted_as_if_it_were_looked_at_each_time(
    found: list[tuple[int, int, int, int]], aim: int
) -> None:
    groups = [Group(file, number, 0, rows, low, low + length) for number, (file, rows, low, length) in enumerate(found)]
    span = Span(3, 50)
    assert plan(groups, span, aim=aim, most=3 * aim) == planned(groups, span, aim, 3 * aim)

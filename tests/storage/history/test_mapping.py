"""What a mapping file says of files and series of others, and what is said of a mapping file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.nab import FOLDER
from service_monitoring.domain.instants import MINUTE, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.errors import NotFound, Refused
from service_monitoring.settings import InvalidSettings
from service_monitoring.storage.history.mapping import read_mapping
from service_monitoring.storage.history.opening import open_history, open_samples
from tests.storage.history.rigs import parquet_of, read

NAB = """
- file: ec2_cpu_*.csv
  columns: {at: timestamp}
  constants: {service: aws, check: ec2, metric: cpu, instance: "{file}"}
  timezone: UTC
  scale: 0.01
- file: "*.csv"
  columns: {at: timestamp}
  constants: {service: aws, check: other, metric: value, name: "{file}"}
  timezone: "+01:00"
"""


def written(text: str, folder: Path) -> Path:
    """A mapping file."""
    path = folder / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.recorded_data("the Numenta Anomaly Benchmark's CloudWatch series")
@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there are no recorded series in {FOLDER}")
def test_series_of_another_collection_are_read_in_place(tmp_path: Path) -> None:
    with open_samples(FOLDER, mapping=written(NAB, tmp_path), aside=tmp_path) as history:
        found = read(history)
        assert {len(samples) > 1_000 for samples in found.values()} == {True}
        assert len(found) == len(list(FOLDER.glob("*.csv")))
        cpu = Series("aws", "ec2", "cpu", (("instance", "ec2_cpu_utilization_24ae8d"),))
        assert found[cpu][0] == (Instant.parse("2014-02-14T14:30:00Z").ns, 0.132 * 0.01)
        [first, *_] = found[Series("aws", "other", "value", (("name", "elb_request_count_8c0756"),))]
        line = (FOLDER / "elb_request_count_8c0756.csv").read_text(encoding="utf-8").splitlines()[1]
        assert first == (Instant.parse(line.split(",")[0] + "+01:00").ns, float(line.split(",")[1]))


def test_columns_constants_and_labels_are_as_the_mapping_says(tmp_path: Path) -> None:
    path = parquet_of(
        [(Series("shop", "health", "value", (("instance", "a"), ("zone", "z"))), MINUTE, 1.0)], tmp_path / "a.parquet"
    )
    mapping = "- {columns: {service: zone, check: metric}, constants: {metric: m, team: pay}, labels: [instance]}"
    with open_history(path, mapping=written(mapping, tmp_path)) as history:
        assert read(history) == {Series("z", "value", "m", (("instance", "a"), ("team", "pay"))): [(MINUTE, 1.0)]}  # type: ignore[arg-type]  # no folder of ours


def test_a_file_without_an_entry_is_refused(tmp_path: Path) -> None:
    path = parquet_of([], tmp_path / "a.parquet")
    with pytest.raises(Refused, match=r"mapping.yaml has no entry for a.parquet: add one with file: 'a.parquet'"):
        open_history(path, mapping=written("- {file: '*.csv'}", tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: a mapping is a list of entries; begin each with"),
        ("- 3", "1:3 [0]: it is no entry; write"),
        ("- file: a\n  colums: {}", "2:3 [0].colums: "),
        ("- columns: {time: at}", "1:"),
        ("- timezone: Europe/Berlin", "no offset from UTC; write UTC, or an offset as +01:00"),
        ("- constants: {severity: high}", "'severity' cannot be a label"),
        ("- {series: up, query: up, service: a, check: b, metric: c}", "it needs series or query, and one of them"),
        ("- series: up\n  service: a\n  check: b", "metric"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused_with_file_line_key_and_remedy(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as refused:
        read_mapping(written(text, tmp_path))
    assert said in str(refused.value)
    assert "mapping.yaml:" in str(refused.value)


def test_what_is_no_history_is_refused_in_a_sentence_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist: a history is a data folder"):
        open_history(tmp_path / "nothing")
    with pytest.raises(Refused, match="is no history: a history is"):
        open_history(tmp_path)
    with pytest.raises(Refused, match="ftp://a is no history"):
        open_history("ftp://a")
    with pytest.raises(Refused, match="has many series: say which in a mapping file"):
        open_history("http://127.0.0.1:9")
    parquet_of([], tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("service,check,metric,at,value\n")
    with pytest.raises(Refused, match=r"holds both a.parquet and b.csv"):
        open_history(tmp_path)

"""Opening a history by what it is called: a data folder of ours, files of Parquet or CSV, or a Prometheus server.

Knows what each looks like from outside. Does not know how any of them is read: who does, and the libraries for it, is
imported when it is what somebody names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from service_monitoring.errors import NotFound, Refused
from service_monitoring.storage.folder import FACTS
from service_monitoring.storage.history.mapping import Mapping, read_mapping
from service_monitoring.storage.history.own import History

if TYPE_CHECKING:
    from service_monitoring.storage.history.csv import CsvHistory
    from service_monitoring.storage.history.own_samples import OwnSamples
    from service_monitoring.storage.history.parquet import ParquetHistory
    from service_monitoring.storage.history.prometheus import PrometheusHistory

Foreign: TypeAlias = "ParquetHistory | CsvHistory | PrometheusHistory"
"""Histories of samples alone."""

PARQUET: Final = (".parquet",)
CSV: Final = (".csv", ".csv.gz")
_KNOWN: Final = (
    "a data folder, Parquet (.parquet), CSV (.csv, .csv.gz), a folder of either, or the URL of a Prometheus server"
)


def open_history(
    source: str | Path, *, mapping: Path | None = None, jobs: int = 1, aside: Path | None = None
) -> Foreign | History:
    """The history that goes by `source`; close it. Blocks.

    `Refused` says what would be a history; a `History` is one of our own, with all that came in. `aside` is where what
    is not in the order of time is put in order: the folder of temporary files, if nothing is said.
    """
    read = read_mapping(mapping)
    if isinstance(source, str) and "://" in source:
        return _server(source, read)
    path = Path(source)
    if not path.exists():
        raise NotFound(f"{path} does not exist: a history is {_KNOWN}")
    if path.is_dir():
        if (path / FACTS).exists():
            if read.files or read.series:
                raise Refused(f"{path} is a data folder of ours, which needs no mapping: leave out --mapping")
            return History(path)
        return _files(path, _inside(path), read, jobs, aside)
    return _files(path, [path], read, jobs, aside)


def open_samples(
    source: str | Path, *, mapping: Path | None = None, jobs: int = 1, aside: Path | None = None
) -> Foreign | OwnSamples:
    """The samples of the history that goes by `source`, ours too; close it. `Refused` as above. Blocks."""
    opened = open_history(source, mapping=mapping, jobs=jobs, aside=aside)
    if not isinstance(opened, History):
        return opened
    opened.close()
    from service_monitoring.storage.history.own_samples import OwnSamples  # noqa: PLC0415 - as said above

    return OwnSamples(Path(source), aside=aside)


def _server(url: str, read: Mapping) -> PrometheusHistory:
    if not url.startswith(("http://", "https://")):
        raise Refused(f"{url} is no history: a history is {_KNOWN}")
    if not read.series:
        raise Refused(
            f"{url} has many series: say which in a mapping file with entries `- series: SELECTOR`: --mapping FILE"
        )
    from service_monitoring.storage.history.prometheus import PrometheusHistory  # noqa: PLC0415 - as said above

    return PrometheusHistory(url, read.series)


def _inside(folder: Path) -> list[Path]:
    """The files below a folder, in the order of their names; those that begin with a dot or _ are not part of it."""
    found = (each for each in folder.rglob("*") if each.is_file())
    return sorted(
        each for each in found if not any(part.startswith((".", "_")) for part in each.relative_to(folder).parts)
    )


def _files(path: Path, files: list[Path], read: Mapping, jobs: int, aside: Path | None) -> ParquetHistory | CsvHistory:
    parquet = [each for each in files if each.name.endswith(PARQUET)]
    csv = [each for each in files if each.name.endswith(CSV)]
    if parquet and csv:
        raise Refused(f"{path} holds both {parquet[0].name} and {csv[0].name}: give a folder of one kind")
    if parquet:
        from service_monitoring.storage.history.parquet import ParquetHistory  # noqa: PLC0415 - as said above

        return ParquetHistory(parquet, fields=read.fields, jobs=jobs, aside=aside)
    if csv:
        from service_monitoring.storage.history.csv import CsvHistory  # noqa: PLC0415 - as said above

        return CsvHistory(csv, fields=read.fields, aside=aside)
    raise Refused(f"{path} is no history: a history is {_KNOWN}")

"""Mapping files: how foreign series become `service/check/metric{labels}`, written down by people as YAML.

Knows the file: a list of entries, each for files (`file: ec2_*.csv`) or for series of a Prometheus server (`series:` or
`query:`). Every complaint names file, line, key and remedy. Does not know how files are read, or servers asked.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.errors import Refused
from service_monitoring.settings import DurationField, InvalidSettings, InvalidValue
from service_monitoring.settings.complaints import Complaints
from service_monitoring.settings.document import Document
from service_monitoring.settings.secrets import SecretReader
from service_monitoring.settings.validation import Fault, validated
from service_monitoring.storage.history.fields import NAMES, PLAIN, RESERVED, Fields

_OFFSET: Final = re.compile(r"([+-])(\d{2}):([0-5]\d)\Z")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_Column = Literal["service", "check", "metric", "at", "value"]
_Word = Annotated[str, Field(min_length=1, max_length=500)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[_Word, ...] | None = Field(None, description="what is kept as a label; without it, all that is left")
    scale: float = Field(1.0, description="what values are multiplied by", allow_inf_nan=False)


class FileEntry(_Entry):
    """Files of which a column says what. `{file}` in a constant is the file's name without its ending."""

    file: _Word = Field("*", description="names of files, with * and ?")
    columns: dict[_Column, _Word] = Field(default_factory=dict)
    constants: dict[_Word, _Word] = Field(default_factory=dict)
    timezone: str = ""

    @model_validator(mode="after")
    def _fits(self) -> FileEntry:
        if self.timezone and self.timezone != "UTC" and _OFFSET.match(self.timezone) is None:
            raise InvalidValue(f"{self.timezone!r} is no offset from UTC", "write UTC, or an offset as +01:00")
        for name in self.constants:
            if name not in NAMES and (name in RESERVED or _LABEL.match(name) is None):
                raise InvalidValue(f"{name!r} cannot be a label", "letters, digits and _ make one; some are ours")
        return self

    def fields(self, path: Path) -> Fields:
        """Which columns of the file at `path` say what."""
        name = path.name.split(".", 1)[0]
        columns = {str(word): column for word, column in self.columns.items()}
        return Fields(
            at=columns.get("at", "at"),
            value=columns.get("value", "value"),
            columns=tuple((word, columns.get(word, word)) for word in NAMES),
            constants=tuple((word, text.replace("{file}", name)) for word, text in self.constants.items()),
            labels=self.labels,
            offset=_offset(self.timezone),
            scale=self.scale,
        )


class SeriesEntry(_Entry):
    """Series of a server: those that a selector finds, sample by sample, or what a query says every so often."""

    series: _Word | None = None
    query: _Word | None = None
    every: DurationField = Field(Duration(15 * SECOND), description="how often a query is asked for its value")
    service: _Word
    check: _Word
    metric: _Word

    @model_validator(mode="after")
    def _one(self) -> SeriesEntry:
        if (self.series is None) == (self.query is None):
            raise InvalidValue("it needs series or query, and one of them", "series: 'name{label=\"value\"}'")
        if self.every < SECOND // 1000:
            raise InvalidValue("every is too short", "write a time such as 15s; the server counts milliseconds")
        return self


class Mapping(Struct, frozen=True):
    """A mapping file, read. The first entry whose name matches is that of a file."""

    name: str = ""
    files: tuple[FileEntry, ...] = ()
    series: tuple[SeriesEntry, ...] = ()

    def fields(self, path: Path) -> Fields:
        """Which columns of a file say what. `Refused` where there are entries, and none for it."""
        for entry in self.files:
            if fnmatchcase(path.name, entry.file):
                return entry.fields(path)
        if not self.files:
            return PLAIN
        raise Refused(f"{self.name} has no entry for {path.name}: add one with file: {path.name!r}, or file: '*'")


def read_mapping(path: Path | None) -> Mapping:
    """The mapping in a file; none is that of files that need no mapping. `InvalidSettings` says all that is wrong."""
    if path is None:
        return Mapping()
    document = Document.read(path, name=str(path))
    complaints = Complaints(document.place)
    files: list[FileEntry] = []
    series: list[SeriesEntry] = []
    given = document.data
    if not isinstance(given, list) or not given:
        complaints.add((), "a mapping is a list of entries", "begin each with `- file: NAME` or `- series: SELECTOR`")
    for number, entry in enumerate(given if isinstance(given, list) else []):

        def report(fault: Fault, number: int = number) -> None:
            path = (number, *fault.path)
            place = document.place_of_key(path) if fault.key else document.place(path)
            complaints.add(path, fault.problem, fault.remedy, at=place)

        if not isinstance(entry, dict):
            complaints.add((number,), "it is no entry", "write `file: NAME` or `series: SELECTOR`")
        elif "series" in entry or "query" in entry:
            made = validated(SeriesEntry, entry, secrets=_NO_SECRETS, report=report)
            series += [made] if made else []
        else:
            read = validated(FileEntry, entry, secrets=_NO_SECRETS, report=report)
            files += [read] if read else []
    found = (*document.complaints, *complaints.found())
    if found:
        raise InvalidSettings(found)
    return Mapping(str(path), tuple(files), tuple(series))


_NO_SECRETS: Final = SecretReader(folder=Path(), environment={})


def _offset(zone: str) -> int | None:
    if not zone:
        return None
    match = _OFFSET.match(zone)
    if match is None:
        return 0
    sign, hours, minutes = match.groups()
    return (60 * int(hours) + int(minutes)) * MINUTE * (-1 if sign == "-" else 1)

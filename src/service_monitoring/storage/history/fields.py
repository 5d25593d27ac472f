"""Fields: which columns of a file say what, and what is the same for all its rows.

Knows names. Does not know how a file is read, or where somebody wrote down which column is which (`mapping`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from service_monitoring.domain.samples import Series
from service_monitoring.errors import Refused

NAMES: Final = ("service", "check", "metric")
RESERVED: Final = frozenset({*NAMES, "rule", "severity"})
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Fields(Struct, frozen=True):
    """Columns by what they say. A constant takes the place of a column; `labels` None: all other columns are labels.

    `offset`, in nanoseconds, is that of instants without one; None: there are none. Values are multiplied by `scale`.
    """

    at: str = "at"
    value: str = "value"
    columns: tuple[tuple[str, str], ...] = tuple((name, name) for name in NAMES)
    constants: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] | None = None
    offset: int | None = None
    scale: float = 1.0


PLAIN: Final = Fields()


class Names(Struct, frozen=True):
    """The columns of one file that name its series: `columns` as the file calls them, `said` as we do.

    Service, check and metric come first, constants among them; then labels.
    """

    said: tuple[str, ...]
    columns: tuple[str | None, ...]
    fixed: tuple[str | None, ...]


def resolved(fields: Fields, present: Sequence[str], where: str) -> Names:
    """What names the series of a file with these columns. `Refused` where one is missing."""
    constants, columns = dict(fields.constants), dict(fields.columns)
    for word, column in (("at", fields.at), ("value", fields.value), *columns.items()):
        if column not in present and word not in constants:
            known = ", ".join(present) or "none"
            raise Refused(
                f"{where}:1: there is no column {column!r} (there are: {known}); "
                f"name the one that holds {word} in a mapping file: --mapping FILE"
            )
    taken = {fields.at, fields.value, *(column for word, column in columns.items() if word not in constants)}
    labels = [name for name in present if name not in taken] if fields.labels is None else list(fields.labels)
    said: list[str] = list(NAMES)
    found: list[str | None] = [None if name in constants else columns[name] for name in NAMES]
    fixed: list[str | None] = [constants.get(name) for name in NAMES]
    for name in labels:
        if name not in present:
            raise Refused(
                f"{where}:1: there is no column {name!r}, which the mapping names as a label; mend the mapping"
            )
        if _LABEL.fullmatch(name) is None:
            raise Refused(
                f"{where}:1: the column {name!r} cannot be a label (letters, digits and _ make one); "
                "name the labels that are wanted in a mapping file: labels: [...]"
            )
        said.append(f"exported_{name}" if name in RESERVED else name)
        found.append(name)
        fixed.append(None)
    for name, text in constants.items():
        if name not in NAMES:
            said.append(name)
            found.append(None)
            fixed.append(text)
    return Names(tuple(said), tuple(found), tuple(fixed))


class Varies:
    """Stands for a text that differs from row to row."""


VARIES: Final = Varies()
Text = str | Varies | None
"""What is known of a name before rows are read: what it is, that there is none, or nothing yet."""


def of_columns(names: Names) -> tuple[Text, ...]:
    """What is known of the names of a file before any row is read: the constants."""
    return tuple(VARIES if column else fixed for column, fixed in zip(names.columns, names.fixed, strict=True))


def varying(names: Names, texts: Sequence[Text]) -> list[str]:
    """The columns of a file that have to be read for its names."""
    return [column for column, text in zip(names.columns, texts, strict=True) if text is VARIES and column]


class Known:
    """Series by the texts that name them, each made once. None where service, check or metric is missing."""

    def __init__(self) -> None:
        self._series: dict[tuple[tuple[str, ...], tuple[Text, ...]], Series | None] = {}

    def series(self, said: tuple[str, ...], texts: tuple[Text, ...]) -> Series | None:
        """The series of which `said` are the names and `texts` the values; empty texts are no labels."""
        key = (said, texts)
        if key not in self._series:
            named = {name: text for name, text in zip(said, texts, strict=True) if isinstance(text, str) and text}
            whole = all(name in named for name in NAMES)
            service, check, metric = (named.pop(name, "") for name in NAMES)
            self._series[key] = Series(service, check, metric, tuple(sorted(named.items()))) if whole else None
        return self._series[key]

"""Complaints: what is wrong with a configuration, where, and what to write instead.

Knows places in files, key paths and how both are printed. Does not know what a configuration may say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from service_monitoring.errors import Refused
from service_monitoring.settings.origin import Origin
from service_monitoring.settings.problems import InvalidValue, one_line, shown

KeyPath = tuple[str | int, ...]
"""Where a value stands in the tree: names of keys and indices of lists, from the root."""

MOST_COMPLAINTS: Final = 200
"""How many are printed; nobody mends more at once, and a generated file can hold a hundred thousand."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_</-]{1,100}\Z")


def path_text(path: KeyPath) -> str:
    """`services.shop.rules.slow.for`, `routes[0].notify[1]`; a key with other characters stands in quotes."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            name = step if _PLAIN.match(step) else shown(step)
            parts.append(f".{name}" if parts else name)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a file; lines and columns count from 1, line 0 stands for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`monitoring.yaml:41:17`, as editors jump to it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, or doubtful where it is a warning. `path` is empty for the file as a whole."""

    place: Place
    path: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line: place, key path, problem and remedy."""
        subject = f"{self.place} {self.path}: " if self.path else f"{self.place}: "
        return one_line(subject + self.problem + (f"; {self.remedy}" if self.remedy else ""))

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Complaint:
        """The complaint that `plain` gave."""
        place = Place(str(plain["file"]), int(plain["line"]), int(plain["column"]))
        return cls(place, str(plain["path"]), str(plain["problem"]), str(plain["remedy"]))

    def plain(self) -> dict[str, Any]:
        """For programs."""
        place = self.place
        return {
            "file": place.file,
            "line": place.line,
            "column": place.column,
            "path": self.path,
            "problem": self.problem,
            "remedy": self.remedy,
        }


class InvalidSettings(Refused):
    """The configuration cannot be used: all complaints at once, one a line, in the order of the files.

    `origin` is what was read, where files were: mending one of them is worth another reading.
    """

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints: tuple[Complaint, ...] = tuple(complaints)
        self.origin: Origin | None = None
        lines = [str(complaint) for complaint in self.complaints[:MOST_COMPLAINTS]]
        if len(self.complaints) > MOST_COMPLAINTS:
            lines.append(f"... and {len(self.complaints) - MOST_COMPLAINTS} more")
        super().__init__("\n".join(lines))


class Complaints:
    """Collects what is wrong while one configuration is read, so that everything is said at once.

    `locate` finds the place of a path. Not to be shared between threads.
    """

    def __init__(self, locate: Callable[[KeyPath], Place], *, files: Iterable[str] = ()) -> None:
        self._locate = locate
        self._files = list(files)
        self._found: dict[Complaint, None] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, path: KeyPath, problem: str, remedy: str = "", *, at: Place | None = None) -> None:
        """Remember one complaint about the value at `path`; the same one twice counts once."""
        self._found[Complaint(at or self._locate(path), path_text(path), problem, remedy)] = None

    def invalid(self, path: KeyPath, error: InvalidValue) -> None:
        """Remember what a reader of one value said."""
        self.add(path, error.problem, error.remedy)

    def found(self, *, redact: Callable[[str], str] = str) -> tuple[Complaint, ...]:
        """All of them in the order of files, lines and columns, with `redact` applied to every sentence."""
        order = {file: position for position, file in enumerate(self._files)}

        def key(complaint: Complaint) -> tuple[int, int, int, str]:
            place = complaint.place
            return order.get(place.file, len(order)), place.line, place.column, complaint.path

        return tuple(
            replace(
                complaint,
                path=redact(complaint.path),
                problem=redact(complaint.problem),
                remedy=redact(complaint.remedy),
            )
            for complaint in sorted(self._found, key=key)
        )

"""Gathering: the main file and those that it includes, as one tree that still knows every place.

Knows which sections may come from several files, and that a name stands in one of them alone. Does not know what a
section means. Blocks on files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from service_monitoring.settings.complaints import Complaint, InvalidSettings, KeyPath, Place, path_text
from service_monitoring.settings.document import Document
from service_monitoring.settings.origin import Trail, matching
from service_monitoring.settings.problems import shown
from service_monitoring.settings.shapes import FileShape
from service_monitoring.settings.validation import fields_of, suggestion

NAMED: Final = ("services", "people", "channels", "oncall")
"""Sections that files share name by name."""
LISTED: Final = ("inhibit", "maintenance")
"""Sections whose lists are joined, the main file's first."""

_Origin = tuple[Document, KeyPath]


class Gathered:
    """One tree of several files: `data` is what they say together, `place` where any of it stands."""

    def __init__(self, main: Document) -> None:
        self.data: dict[str, Any] = {}
        self.complaints: list[Complaint] = list(main.complaints)
        self.documents: list[Document] = [main]
        self._main = main
        self._origins: dict[tuple[str, str | int], _Origin] = {}
        if isinstance(main.data, dict):
            for section, content in main.data.items():
                self.data[section] = self._first(main, section, content)
        else:
            self._complain(Place(main.file, 1, 1), (), "a mapping is expected here", "write services: ...")

    @property
    def files(self) -> list[str]:
        """The names of all files, the main one first."""
        return [document.file for document in self.documents]

    def add(self, document: Document) -> None:
        """Join an included file."""
        self.documents.append(document)
        self.complaints.extend(document.complaints)
        if not isinstance(document.data, dict):
            self._complain(Place(document.file, 1, 1), (), "a mapping is expected here", "write services: ...")
            return
        for section, content in document.data.items():
            place = document.place_of_key((section,))
            if section in NAMED and isinstance(content, dict):
                self._join_named(document, section, content)
            elif section in LISTED and isinstance(content, list):
                self._join_listed(document, section, content)
            elif section in (*NAMED, *LISTED):
                if content is not None:
                    self._complain(place, (section,), f"{_form(section)} is expected here", "write it as in one file")
            elif section in fields_of(FileShape):
                problem = "this is only possible in the main file"
                self._complain(place, (section,), problem, f"move it to {self._main.file}")
            else:
                problem = "nothing of this name is known here"
                self._complain(place, (section,), problem, suggestion(section, (*NAMED, *LISTED)))

    def place(self, path: KeyPath) -> Place:
        """Where the value at `path` stands."""
        document, inner = self._origin(path)
        return document.place(inner)

    def place_of_key(self, path: KeyPath) -> Place:
        """Where the key at the end of `path` stands."""
        document, inner = self._origin(path)
        return document.place_of_key(inner)

    def _first(self, document: Document, section: str, content: Any) -> Any:
        """The main file's own section, copied where others may be joined to it."""
        if section in NAMED and isinstance(content, dict):
            self._origins |= {(section, name): (document, (section, name)) for name in content}
            return dict(content)
        if section in LISTED and isinstance(content, list):
            self._origins |= {(section, index): (document, (section, index)) for index in range(len(content))}
            return list(content)
        return content

    def _join_named(self, document: Document, section: str, content: dict[str, Any]) -> None:
        there = self.data.setdefault(section, {})
        if not isinstance(there, dict):
            if there is not None:
                return
            there = self.data[section] = {}
        for name, value in content.items():
            if name in there:
                first = self.place_of_key((section, name))
                place = document.place_of_key((section, name))
                self._complain(place, (section, name), f"the name stands in two files, first at {first}", "remove one")
            else:
                there[name] = value
                self._origins[section, name] = (document, (section, name))

    def _join_listed(self, document: Document, section: str, content: list[Any]) -> None:
        there = self.data.setdefault(section, [])
        if not isinstance(there, list):
            if there is not None:
                return
            there = self.data[section] = []
        for index, value in enumerate(content):
            self._origins[section, len(there)] = (document, (section, index))
            there.append(value)

    def _origin(self, path: KeyPath) -> _Origin:
        if len(path) >= 2 and isinstance(path[0], str):
            found = self._origins.get((path[0], path[1]))
            if found is not None:
                return found[0], (*found[1], *path[2:])
        return self._main, path

    def _complain(self, place: Place, path: KeyPath, problem: str, remedy: str) -> None:
        self.complaints.append(Complaint(place, path_text(path), problem, remedy))


def gather(path: Path, trail: Trail | None = None) -> Gathered:
    """Read the file at `path` and all that it includes; `InvalidSettings` where one of them is not usable YAML.

    `trail` hears of every file, also where that is raised.
    """
    trail = trail or Trail(path)
    return gathered_from(Document.read(path, name=str(path), saw=trail.saw), path, trail)


def gathered_from(document: Document, path: Path, trail: Trail) -> Gathered:
    """The same where the main document has been read; `path` is the file that it is, or stands in."""
    gathered = Gathered(document)
    unusable: list[Complaint] = []
    for included in _included(gathered, path, trail):
        trail.saw(included, None)
        try:
            gathered.add(Document.read(included, name=str(included), saw=trail.saw))
        except InvalidSettings as error:
            unusable.extend(error.complaints)
    if unusable:
        raise InvalidSettings([*gathered.complaints, *unusable])
    return gathered


def _included(gathered: Gathered, main: Path, trail: Trail) -> Sequence[Path]:
    """The included files in the order of their names, pattern by pattern, each once."""
    patterns = gathered.data.get("include")
    if not isinstance(patterns, list):
        return ()
    trail.patterns = tuple(pattern for pattern in patterns if isinstance(pattern, str))
    found: dict[Path, None] = {}
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            continue
        files = matching(main, pattern)
        if not files:
            place = gathered.place(("include", index))
            problem = f"no file is called {shown(pattern)} in {main.parent}"
            gathered.complaints.append(
                Complaint(place, path_text(("include", index)), problem, "create one, or remove the pattern")
            )
        found |= dict.fromkeys(files)
    return tuple(found)


def _form(section: str) -> str:
    return "a mapping" if section in NAMED else "a list"

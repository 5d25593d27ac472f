"""Origins: which files a configuration was read from, and whether they say something else by now.

Knows paths, patterns and digests of contents. Does not know what the files mean, nor when anybody looks. What is
compared is content: a file that was only touched, or written again with the same text, has not changed.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

Seen = Callable[[Path, bytes | None], None]
"""Hears of each file that is read, with its content; with None before it is known whether it can be read."""


@dataclass(frozen=True, slots=True)
class Origin:
    """All files of one reading: the main one, those that its patterns found, and those of secrets.

    `contents` has a digest for each path, empty where there was nothing to read. Methods block on files.
    """

    main: Path
    patterns: tuple[str, ...] = ()
    contents: Mapping[Path, str] = field(default_factory=dict, repr=False)

    def stamp(self) -> tuple[object, ...]:
        """How the files look from outside: cheap, and another value when one was written, came or went."""
        return tuple((path, _look(path)) for path in self._paths())

    def differs(self) -> bool:
        """Whether reading them again would read something else."""
        return {path: _digest(_content(path)) for path in self._paths()} != dict(self.contents)

    def _paths(self) -> list[Path]:
        """Those there are now, and those there were: one that vanished is a change, too."""
        return sorted({*self.contents, self.main, *included(self.main, self.patterns)})


class Trail:
    """Notes what one reading reads. For one thread."""

    def __init__(self, main: Path) -> None:
        self._main = main
        self._contents: dict[Path, str] = {main: ""}
        self.patterns: tuple[str, ...] = ()

    def saw(self, path: Path, content: bytes | None) -> None:
        """Note a file. What is none, as a pipe, says something once: it is never looked at again."""
        self._contents[path] = _digest(content if path.is_file() else None)

    def origin(self) -> Origin:
        """What it comes to."""
        return Origin(self._main, self.patterns, dict(self._contents))


def included(main: Path, patterns: Sequence[str]) -> list[Path]:
    """The files that match, pattern by pattern and each once, in the order of their names; never the main one."""
    return [path for pattern in patterns for path in matching(main, pattern)]


def matching(main: Path, pattern: str) -> list[Path]:
    """The files that match one pattern, which starts at the folder of the main file."""
    if "\0" in pattern:
        return []
    folder, itself = main.parent, main.resolve()
    names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207 - absolute patterns, too
    return [folder / name for name in names if (folder / name).is_file() and (folder / name).resolve() != itself]


def _look(path: Path) -> tuple[int, ...]:
    try:
        seen = path.stat()
    except (OSError, ValueError):
        return ()
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except (OSError, ValueError):
        return None


def _digest(content: bytes | None) -> str:
    return "" if content is None else sha256(content).hexdigest()

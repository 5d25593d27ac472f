"""Locating: where a configuration keeps its data, also while the file is not valid.

Somebody who has to acknowledge an incident, or to ask why a reload was refused, needs the running program's socket and
nothing else of the file. Knows one key. Complains of nothing: whoever needs the settings loads them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from yaml import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # as in document
from yaml.error import YAMLError

from service_monitoring.settings.document import LARGEST

_DEFAULT: Final = "./data"


def data_folder(path: Path) -> Path:
    """The data folder that the file at `path` names, as far as that can be made out; else the one by default."""
    return path.parent / (_named(path) or _DEFAULT).replace("\0", "")


def _named(path: Path) -> str:
    """`store.path` of the main file, read up to where it stands or the file breaks off."""
    try:
        with path.open("rb") as file:
            following = CParser(file.read(LARGEST)).get_event
        return _found(following)
    except (OSError, ValueError, YAMLError):
        return ""


def _found(following: Callable[[], object]) -> str:
    """Walk through the events of the parser; `keys` leads to where they stand, with None for an item of a list."""
    keys: list[str | None] = []
    key: str | None = None
    awaiting = False  # a key of the mapping that is open
    while (event := following()) is not None:
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            keys.append(key)
            key, awaiting = None, isinstance(event, MappingStartEvent)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            if keys == [None, "store"]:
                return ""
            keys.pop()
            key, awaiting = None, True
        elif isinstance(event, ScalarEvent):
            if awaiting:
                key, awaiting = event.value, False
            elif key is not None:
                if keys == [None, "store"] and key == "path":
                    return str(event.value)
                key, awaiting = None, True
        elif isinstance(event, AliasEvent) and not awaiting:
            key, awaiting = None, True
    return ""

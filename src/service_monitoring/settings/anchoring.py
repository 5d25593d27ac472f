"""Anchoring: a relative path in the options of a check or channel starts at the file that names it.

Knows which keys of a model are paths, by their types. Does not know what lies there, nor what a kind does with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from service_monitoring.settings.validation import fields_of, parts_of

_Keys = Mapping[str, Any]
"""Keys that hold paths: each with those inside of it, or with nothing where it is one itself."""


def anchored(model: type[BaseModel], given: Mapping[str, Any], folder_of: Callable[[str], Path]) -> Mapping[str, Any]:
    """`given` with its relative paths put behind `folder_of(key)`, for each key that holds one."""
    keys = _keys(model)
    named = [key for key in given if key in keys]
    if not named:
        return given
    return {**given, **{key: _placed(given[key], keys[key], folder_of(key)) for key in named}}


def named_files(options: object) -> Iterator[Path]:
    """The paths that an instance of a model holds, as its kind will find them."""
    if isinstance(options, BaseModel):
        for key, inner in _keys(type(options)).items():
            value = getattr(options, key, None)
            if isinstance(value, Path):
                yield value
            elif inner:
                yield from named_files(value)


def _placed(value: object, keys: _Keys, folder: Path) -> object:
    if isinstance(value, str) and not keys:
        return str(folder / value)
    if isinstance(value, dict):
        return {key: _placed(inner, keys[key], folder) if key in keys else inner for key, inner in value.items()}
    return value


@cache
def _keys(model: type[BaseModel]) -> _Keys:
    found: dict[str, _Keys] = {}
    for key, annotation in fields_of(model).items():
        for part in parts_of(annotation):
            if part is Path:
                found[key] = {}
            elif isinstance(part, type) and issubclass(part, BaseModel) and (inner := _keys(part)):
                found[key] = inner
    return found

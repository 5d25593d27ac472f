"""Plugins: the kinds of checks and channels that are installed, found by their entry points.

Knows names and packages. Imports a kind only when it is asked for by name, so that a configuration pays for what it
uses and one broken package hurts nobody who does not name its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from service_monitoring.errors import Refused

SOURCES: Final = "service_monitoring.sources"
"""The group of entry points for kinds of checks."""
SINKS: Final = "service_monitoring.sinks"
"""The group of entry points for kinds of channels."""


class Kinds(Mapping[str, Any]):
    """The kinds of one group by name, each made once, at its first use. Looking one up may block on its import.

    `kinds[name]` is `Refused` where the package behind it cannot be used; `name in kinds` imports nothing.
    """

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self._found: dict[str, list[EntryPoint]] = {}
        for point in sorted(found, key=lambda point: (point.name, point.value)):
            offers = self._found.setdefault(point.name, [])
            # An editable installation may list its own entry points twice.
            if all(point.value != other.value for other in offers):
                offers.append(point)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(name, self._found[name])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def kinds(group: str) -> Kinds:
    """The kinds of `group` that are installed. Reads the metadata of packages, imports none of them."""
    return Kinds(entry_points(group=group))


def _made(name: str, offers: list[EntryPoint]) -> Any:
    if len(offers) > 1:
        packages = " and ".join(_package(point) for point in offers)
        raise Refused(f"the kind {name} is offered by {packages}: remove one of them")
    [point] = offers
    try:
        kind = point.load()()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise Refused(f"the kind {name} of {_package(point)} cannot be used ({why}): update or remove it") from error
    for attribute in ("name", "options", "close"):
        if not hasattr(kind, attribute):
            raise Refused(f"the kind {name} of {_package(point)} has no {attribute}: see ports.Kind")
    if kind.name != name:
        raise Refused(f"the kind {name} of {_package(point)} calls itself {kind.name}: its names must agree")
    return kind


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist is not None else point.value

"""Inhibition: which open incidents mute others.

Knows labels of open incidents and the inhibitions of a configuration. Does not know groups, routes or time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from service_monitoring.domain.configuration import Inhibition
from service_monitoring.domain.matchers import all_hold

Agreed = tuple[str, ...]


class Inhibitor:
    """The open incidents that may mute others, found by the labels in which both must agree."""

    def __init__(self, inhibitions: Iterable[Inhibition] = ()) -> None:
        self._inhibitions = tuple(inhibitions)
        self._sources: list[dict[Agreed, list[str]]] = [{} for _ in self._inhibitions]
        self._known: dict[str, Mapping[str, str]] = {}

    def note(self, incident: str, labels: Mapping[str, str]) -> None:
        """It is open, with these labels from now on."""
        self.forget(incident)
        self._known[incident] = labels
        for inhibition, sources in zip(self._inhibitions, self._sources, strict=True):
            if all_hold(inhibition.when, labels):
                insort(sources.setdefault(_agreed(inhibition, labels), []), incident)

    def forget(self, incident: str) -> None:
        """It is over."""
        labels = self._known.pop(incident, None)
        if labels is None:
            return
        for inhibition, sources in zip(self._inhibitions, self._sources, strict=True):
            agreed = _agreed(inhibition, labels)
            found = sources.get(agreed, [])
            place = bisect_left(found, incident)
            if found[place : place + 1] == [incident]:
                del found[place]
            if not found:
                sources.pop(agreed, None)

    def muting(self, incident: str, labels: Mapping[str, str]) -> str | None:
        """The open incident that mutes this one, the smallest id of several.

        What both sides of an inhibition match is muted by none that both sides match either, as in Alertmanager: two
        such incidents would mute each other.
        """
        for inhibition, sources in zip(self._inhibitions, self._sources, strict=True):
            if not all_hold(inhibition.mutes, labels):
                continue
            both = all_hold(inhibition.when, labels)
            for id in sources.get(_agreed(inhibition, labels), ()):
                if id != incident and not (both and all_hold(inhibition.mutes, self._known[id])):
                    return id
        return None


def _agreed(inhibition: Inhibition, labels: Mapping[str, str]) -> Agreed:
    return tuple(labels.get(name, "") for name in inhibition.same)

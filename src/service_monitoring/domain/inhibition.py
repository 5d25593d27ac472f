"""Inhibition: which open incidents mute others.

Knows labels of open incidents and the inhibitions of a configuration. Does not know groups, routes or time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from service_monitoring.domain.configuration import Inhibition
from service_monitoring.domain.matchers import all_hold

Agreed = tuple[str, ...]


class _Sources:
    """Open incidents that mute others, by the labels in which these must agree; ids in order."""

    def __init__(self) -> None:
        self._ids: dict[Agreed, list[str]] = {}

    def add(self, agreed: Agreed, incident: str) -> None:
        insort(self._ids.setdefault(agreed, []), incident)

    def discard(self, agreed: Agreed, incident: str) -> None:
        found = self._ids.get(agreed, [])
        place = bisect_left(found, incident)
        if found[place : place + 1] == [incident]:
            del found[place]
        if not found:
            self._ids.pop(agreed, None)

    def first(self, agreed: Agreed) -> str | None:
        return next(iter(self._ids.get(agreed, ())), None)


class Inhibitor:
    """The open incidents that may mute others, found by the labels in which both must agree.

    Those that both sides of an inhibition match lie apart: two such incidents would mute each other.
    """

    def __init__(self, inhibitions: Iterable[Inhibition] = ()) -> None:
        self._inhibitions = tuple((inhibition, _Sources(), _Sources()) for inhibition in inhibitions)
        self._known: dict[str, Mapping[str, str]] = {}

    def note(self, incident: str, labels: Mapping[str, str]) -> None:
        """It is open, with these labels from now on."""
        self.forget(incident)
        self._known[incident] = labels
        for inhibition, one_sided, both_sided in self._inhibitions:
            if all_hold(inhibition.when, labels):
                sources = both_sided if all_hold(inhibition.mutes, labels) else one_sided
                sources.add(_agreed(inhibition, labels), incident)

    def forget(self, incident: str) -> None:
        """It is over."""
        labels = self._known.pop(incident, None)
        if labels is None:
            return
        for inhibition, *sides in self._inhibitions:
            for sources in sides:
                sources.discard(_agreed(inhibition, labels), incident)

    def muting(self, labels: Mapping[str, str]) -> str | None:
        """The open incident that mutes one with these labels, the smallest id of several.

        What both sides of an inhibition match is muted by none that both sides match either, as in Alertmanager.
        """
        for inhibition, one_sided, both_sided in self._inhibitions:
            if not all_hold(inhibition.mutes, labels):
                continue
            agreed = _agreed(inhibition, labels)
            sides = [one_sided] if all_hold(inhibition.when, labels) else [one_sided, both_sided]
            found = [first for sources in sides if (first := sources.first(agreed)) is not None]
            if found:
                return min(found)
        return None


def _agreed(inhibition: Inhibition, labels: Mapping[str, str]) -> Agreed:
    return tuple(labels.get(name, "") for name in inhibition.same)

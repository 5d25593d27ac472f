"""What Alertmanager does with a stream, by reading its dispatcher: one small pure reference that tests compare with.

Groups, waits, intervals, repeats, deduplication, inhibition and muted times, as of Alertmanager 0.25. It shares no
code with the program. Left out is what streams here avoid: silences, and the half minute for which an empty group
lives on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.domain.alertmanager.streams import (
    Event,
    Inhibition,
    Labels,
    Matcher,
    Notification,
    Route,
    Status,
    Stream,
    labels_of,
)


@dataclass(frozen=True)
class Flush:
    """A group looks at its alerts: all of them, those it may tell, and the notification, if there is reason for one."""

    at: int
    path: str
    group: Labels
    route: Route
    alerts: dict[str, Status]
    at_once: bool
    muted: bool
    visible: frozenset[str]
    notification: Notification | None


@dataclass
class Entry:
    """What the log knows of a group: which alerts it last told, fires or resolves, and when."""

    at: int
    firing: frozenset[str]
    resolved: frozenset[str]


@dataclass
class Group:
    """The alerts of one route with the same labels; `due` is its next flush."""

    path: str
    route: Route
    labels: Labels
    due: int
    at_once: bool = False
    flushed: bool = False
    alerts: dict[str, Status] = field(default_factory=dict)


class Dispatcher:
    """Takes events in their order and flushes in between."""

    def __init__(self, route: Route, inhibitions: tuple[Inhibition, ...], alerts: Mapping[str, dict[str, str]]) -> None:
        self.route = route
        self.inhibitions = inhibitions
        self.flushes: list[Flush] = []
        self._labels = {name: {"alertname": name, **labels} for name, labels in alerts.items()}
        self._status: dict[str, Status] = {}
        self._since: dict[str, int] = {}
        self._groups: dict[tuple[str, Labels], Group] = {}
        self._log: dict[tuple[str, Labels], Entry] = {}

    def until(self, at: int) -> None:
        """Flush all that is due before that moment."""
        while self._groups:
            group = min(self._groups.values(), key=lambda group: (group.due, group.path, group.labels))
            if group.due >= at:
                return
            self._flush(group)

    def take(self, event: Event) -> None:
        """Put the alert into the group of every route that matches it."""
        self.until(event.ms)
        self._status[event.name] = event.status
        if event.status is Status.FIRING:
            self._since[event.name] = event.ms if event.since is None else event.since
        for path, route, shared in groups_of(self.route, self._labels[event.name]):
            key = (path, shared)
            if key not in self._groups:
                self._groups[key] = Group(path, route, shared, event.ms + route.group_wait)
            group = self._groups[key]
            group.alerts[event.name] = event.status
            if not group.flushed and self._since[event.name] + route.group_wait < event.ms:
                # It has waited elsewhere for long enough.
                group.due, group.at_once = event.ms, True

    def _flush(self, group: Group) -> None:
        at, route = group.due, group.route
        muted = any(begins <= at < ends for begins, ends in route.mutes)
        visible = frozenset(name for name in group.alerts if not muted and not self._inhibited(name))
        told = self._tell(group, at, visible) if visible else None
        alerts = dict(group.alerts)
        self.flushes.append(Flush(at, group.path, group.labels, route, alerts, group.at_once, muted, visible, told))
        # What is resolved leaves with the first flush after, whether that told it or was not allowed to.
        group.alerts = {name: status for name, status in alerts.items() if status is Status.FIRING}
        group.due, group.at_once, group.flushed = at + route.group_interval, False, True
        if not group.alerts:
            del self._groups[group.path, group.labels]

    def _tell(self, group: Group, at: int, visible: frozenset[str]) -> Notification | None:
        key = (f"{group.route.receiver} {group.path}", group.labels)
        firing = frozenset(name for name in visible if group.alerts[name] is Status.FIRING)
        resolved = visible - firing
        if not needs_update(self._log.get(key), firing, resolved, group.route, at):
            return None
        self._log[key] = Entry(at, firing, resolved)
        names = visible if group.route.send_resolved else firing
        if not names:
            return None
        alerts = frozenset((name, group.alerts[name]) for name in names)
        return Notification(at, group.route.receiver, group.labels, alerts)

    def _inhibited(self, name: str) -> bool:
        labels = self._labels[name]
        return any(self._mutes(rule, labels) for rule in self.inhibitions if all_hold(rule.target, labels))

    def _mutes(self, rule: Inhibition, target: Mapping[str, str]) -> bool:
        # An alert on both sides of a rule is not muted by another one like it, itself included.
        both = all_hold(rule.source, target)
        sources = (self._labels[name] for name, status in self._status.items() if status is Status.FIRING)
        return any(
            all_hold(rule.source, source)
            and all(source.get(label, "") == target.get(label, "") for label in rule.equal)
            and not (both and all_hold(rule.target, source))
            for source in sources
        )


def needs_update(entry: Entry | None, firing: frozenset[str], resolved: frozenset[str], route: Route, at: int) -> bool:
    """Whether there is something new to tell, or the last telling is longer ago than the repeat interval."""
    if entry is None:
        return bool(firing)
    if not firing <= entry.firing:
        return True
    if not firing:
        return bool(entry.firing)
    if route.send_resolved and not resolved <= entry.resolved:
        return True
    return entry.at < at - route.repeat_interval


def matching(route: Route, labels: Mapping[str, str], path: str = "0") -> list[tuple[str, Route]]:
    """The routes that take an alert, depth first, each with its place in the tree; a node takes what no child takes."""
    if not all_hold(route.matchers, labels):
        return []
    taken: list[tuple[str, Route]] = []
    for index, child in enumerate(route.routes):
        below = matching(child, labels, f"{path}.{index}")
        taken += below
        if below and not child.continues:
            break
    return taken or [(path, route)]


def groups_of(route: Route, labels: Mapping[str, str]) -> list[tuple[str, Route, Labels]]:
    """The groups that take an alert: route and the labels that its alerts share. An absent label is not among them."""
    return [
        (path, taking, labels_of({label: labels[label] for label in taking.group_by if label in labels}))
        for path, taking in matching(route, labels)
    ]


def all_hold(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    """Whether these labels satisfy every one of them."""
    return all(_holds(matcher, labels.get(matcher.label, "")) for matcher in matchers)


def _holds(matcher: Matcher, value: str) -> bool:
    match matcher.operator:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return re.fullmatch(matcher.value, value) is not None
        case unknown:
            raise ValueError(unknown)


def flushes(stream: Stream) -> list[Flush]:
    """Every flush of a stream until it ends."""
    dispatcher = Dispatcher(stream.route, stream.inhibitions, stream.alerts)
    for event in stream.events:
        dispatcher.take(event)
    dispatcher.until(stream.ends)
    return dispatcher.flushes


def replay(stream: Stream) -> list[Notification]:
    """What Alertmanager tells about it."""
    return [flush.notification for flush in flushes(stream) if flush.notification is not None]

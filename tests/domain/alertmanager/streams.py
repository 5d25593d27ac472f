"""Streams of alerts and what is told about them: the words that Alertmanager, the model of it and ours have in common.

Times are whole milliseconds since the stream began. A stream is one line of JSON in the fixture. Must know neither
who tells nor how: nothing of the program is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

FIXTURE = Path(__file__).parents[1] / "fixtures" / "alertmanager.jsonl"
CLOSE = 1_000
"""So near, in milliseconds, two notifications must be to count as the same one."""

Labels = tuple[tuple[str, str], ...]


class Status(StrEnum):
    """What an alert does from now on."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Matcher(Struct, frozen=True, array_like=True):
    """`label operator value`, where the operator is one of = != =~, and an absent label is the empty string."""

    label: str
    operator: str
    value: str


class Route(Struct, frozen=True, omit_defaults=True):
    """A node of the tree. Nothing is inherited: every node says all of it.

    `mutes` are spans [from, until) in which it tells nothing; their edges are whole minutes.
    """

    receiver: str
    group_by: tuple[str, ...]
    group_wait: int
    group_interval: int
    repeat_interval: int
    matchers: tuple[Matcher, ...] = ()
    continues: bool = False
    send_resolved: bool = True
    mutes: tuple[tuple[int, int], ...] = ()
    routes: tuple[Route, ...] = ()

    def nodes(self) -> Iterator[Route]:
        """This node and all below it."""
        yield self
        for route in self.routes:
            yield from route.nodes()


class Inhibition(Struct, frozen=True):
    """While an alert of the source fires, those of the target with the same values of `equal` are not told."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


class Event(Struct, frozen=True, array_like=True, omit_defaults=True):
    """An alert is heard to fire, or to be resolved. If it fired before that was heard, `since` says from when."""

    ms: int
    name: str
    status: Status
    since: int | None = None


class Notification(Struct, frozen=True, array_like=True):
    """What a receiver was told of a group: the alerts in it, each with its name and status."""

    ms: int
    receiver: str
    group: Labels
    alerts: frozenset[tuple[str, Status]]


class Stream(Struct, frozen=True):
    """One tree of routes and what happens to it: `alerts` are the labels of each name. Nothing is told after `ends`."""

    name: str
    route: Route
    inhibitions: tuple[Inhibition, ...]
    alerts: dict[str, dict[str, str]]
    events: tuple[Event, ...]
    ends: int


class Recorded(Struct, frozen=True):
    """A stream, and what Alertmanager told about it."""

    stream: Stream
    notifications: tuple[Notification, ...]


def read(path: Path = FIXTURE) -> list[Recorded]:
    """What was recorded, a stream a line."""
    decoder = msgspec.json.Decoder(Recorded)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def write(recorded: list[Recorded], path: Path = FIXTURE) -> None:
    """Keep it; the same content gives the same bytes."""
    encoder = msgspec.json.Encoder(order="deterministic")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(encoder.encode(each) + b"\n" for each in recorded))


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Sorted by name."""
    return tuple(sorted(labels.items()))


def differences(expected: tuple[Notification, ...], told: tuple[Notification, ...]) -> list[str]:
    """What one side told and the other did not, within `CLOSE`, as sentences in the order of time."""
    missing: list[Notification] = []
    left = list(told)
    for each in expected:
        same = [other for other in left if other == replace(each, ms=other.ms) and abs(other.ms - each.ms) <= CLOSE]
        if same:
            left.remove(min(same, key=lambda other: abs(other.ms - each.ms)))
        else:
            missing.append(each)
    found = [(each.ms, f"{_said(each)} is missing") for each in missing]
    found += [(each.ms, f"{_said(each)} is too much") for each in left]
    return [sentence for _, sentence in sorted(found)]


def _said(notification: Notification) -> str:
    alerts = ", ".join(f"{name} {status}" for name, status in sorted(notification.alerts))
    return f"at {notification.ms} {notification.receiver} of {dict(notification.group)}: {alerts}"

"""Routes: who hears of what, with every name resolved to channels.

Knows channels, people's contacts, rotas by name, and the tree of routes, which it lays out flat: a child stands before
its parent and repeats its matchers, so that the first match is the same. Does not match anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from service_monitoring.domain.configuration import Route
from service_monitoring.domain.matchers import Matcher
from service_monitoring.settings.complaints import KeyPath, path_text
from service_monitoring.settings.problems import shown
from service_monitoring.settings.quantities import duration_text
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, PersonShape, RouteShape
from service_monitoring.settings.validation import suggestion
from service_monitoring.settings.values import ChannelSettings

_SECTIONS: Final = {"channel": "channels", "person": "people", "oncall": "oncall"}
_GROUPING: Final = {
    "group_by": ("incidents are not grouped yet", "each is told on its own"),
    "group_wait": ("incidents are not grouped yet", "each is told at once"),
    "group_interval": ("incidents are not grouped yet", "each is told at once"),
    "repeat_interval": ("notices are not repeated yet", "an open incident is told once"),
}


class Recipients:
    """Channels by name, and what `channel.x`, `person.x` and `oncall.x` lead to.

    `channels` holds those of the file and one for each person whose first contact is written in place; `contacts` names
    the channel of each person who has one.
    """

    def __init__(self, shape: FileShape, reading: Reading) -> None:
        self.channels: dict[str, ChannelSettings] = {}
        self._reading = reading
        self._known = {sort: reading.names(section) for sort, section in _SECTIONS.items()}
        self.contacts: dict[str, str] = {}
        for name, given in shape.channels.items():
            channel = reading.channel(name, given, ("channels", name))
            if channel is not None:
                self.channels[name] = channel
        for name, person in shape.people.items():
            self._read_person(name, person)

    def resolve(self, names: list[str], path: KeyPath) -> tuple[str, ...]:
        """The channels that a list of recipients leads to, each once."""
        found: dict[str, None] = {}
        for index, text in enumerate(names):
            channel = self._resolve(text, (*path, index))
            if channel is not None:
                found[channel] = None
        return tuple(found)

    def _resolve(self, text: str, path: KeyPath) -> str | None:
        sort, _, name = text.partition(".")
        if name not in self._known[sort]:
            remedy = suggestion(name, self._known[sort], prefix=f"{sort}.")
            self._reading.complain(path, f"there is no {sort} {shown(name)}", remedy)
            return None
        if sort == "channel":
            return name if name in self.channels else None
        if sort == "oncall":
            self._reading.postpone(path, "rotas are not asked yet", f"nobody is told through {text}")
            return None
        if name not in self.contacts:
            people = self._reading.raw["people"][name]
            if isinstance(people, dict) and not people.get("contact"):
                self._reading.complain(path, f"{name} has no contact", f"add contact: [...] to people.{name}")
            return None
        return self.contacts[name]

    def _read_person(self, name: str, person: PersonShape) -> None:
        base: KeyPath = ("people", name)
        if person.quiet_hours is not None:
            instead = f"{name} is told at all hours"
            self._reading.postpone((*base, "quiet_hours"), "quiet hours are not kept yet", instead)
        for index, contact in enumerate(person.contact):
            path = (*base, "contact", index)
            channel = self._contact(name, contact, path)
            if channel is None:
                continue
            if index == 0:
                self.contacts[name] = channel.name
                self.channels.setdefault(channel.name, channel)
            else:
                what = "only the first contact of a person is used yet"
                self._reading.postpone(path, what, f"{name} is not told through {channel.name}")

    def _contact(self, person: str, contact: Any, path: KeyPath) -> ChannelSettings | None:
        if isinstance(contact, Mapping):
            channel = self._reading.channel(person, contact, path)
            return channel and replace(channel, name=f"{person}.{channel.kind}")
        sort, _, name = contact.partition(".") if isinstance(contact, str) else ("", "", "")
        if sort != "channel":
            self._reading.complain(path, "a contact is expected here", "write channel.NAME, or {email: ...}")
            return None
        return self.channels.get(name) if self._resolve(f"channel.{name}", path) is not None else None


def read_routes(shape: FileShape, recipients: Recipients, reading: Reading) -> tuple[Route, ...]:
    """The routes in the order in which they are asked."""
    found: list[Route] = []
    for index, route in enumerate(shape.routes):
        _lay_out(route, ("routes", index), (), (), recipients, reading, found)
    if all(route.matchers for route in found):
        what = "an incident that matches no route is told to nobody"
        reading.warn(("routes",), what, "end with a route without match: - notify: [channel.NAME]")
    return tuple(found)


def _lay_out(
    route: RouteShape,
    path: KeyPath,
    outer: tuple[Matcher, ...],
    inherited: tuple[str, ...],
    recipients: Recipients,
    reading: Reading,
    found: list[Route],
) -> None:
    matchers = (*outer, *route.match)
    own = _recipients(route, path, recipients, reading)
    told = inherited if own is None else own
    for index, inner in enumerate(route.routes):
        _lay_out(inner, (*path, "routes", index), matchers, told, recipients, reading, found)
    for key, (what, instead) in _GROUPING.items():
        if getattr(route, key) is not None:
            reading.postpone((*path, key), what, instead)
    if route.proceed:
        reading.postpone((*path, "continue"), "only the first matching route is asked yet", "later routes are not")
    if route.repeat is not None:
        reading.postpone((*path, "repeat"), "escalations are not repeated yet", "there is one round")
    if not told:
        reading.warn(path, "nobody is told by this route", "name a channel in notify")
    found.append(Route(path_text(path), matchers, told))


def _recipients(route: RouteShape, path: KeyPath, recipients: Recipients, reading: Reading) -> tuple[str, ...] | None:
    """Who is told at once; None where the route does not say."""
    if route.notify is not None and route.escalate is not None:
        problem = "notify and escalate do not go together"
        reading.complain((*path, "notify"), problem, "write notify as the step {after: 0s, notify: [...]}")
    if route.notify is not None:
        return recipients.resolve(route.notify, (*path, "notify"))
    if route.escalate is None:
        return None
    told: dict[str, None] = {}
    for index, step in enumerate(route.escalate):
        where = (*path, "escalate", index)
        found = recipients.resolve(step.notify, (*where, "notify"))
        if step.after == 0:
            told |= dict.fromkeys(found)
        else:
            instead = f"{' and '.join(step.notify) or 'nobody'} is not told after {duration_text(step.after)}"
            reading.postpone(where, "later steps of escalations are not taken yet", instead)
    return tuple(told)

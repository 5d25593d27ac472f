"""Routes: who hears of what, and when.

Knows channels, people's contacts, rotas by name, and the tree of routes with what each inherits. Does not match
anything, and does not know who is on call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from service_monitoring.domain.calendar import active_hours
from service_monitoring.domain.configuration import Inhibition, Person, QuietHours, Route, Step
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.schedules import ActiveHours
from service_monitoring.settings.complaints import KeyPath, path_text
from service_monitoring.settings.problems import shown
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, PersonShape, RouteShape, TimesShape
from service_monitoring.settings.validation import suggestion
from service_monitoring.settings.values import ChannelSettings

_SECTIONS: Final = {"channel": "channels", "person": "people", "oncall": "oncall"}


class Recipients:
    """Channels by name, people, and whether `channel.x`, `person.x` and `oncall.x` name any.

    `channels` holds those of the file and one for each contact of a person that is written in place.
    """

    def __init__(self, shape: FileShape, reading: Reading) -> None:
        self.channels: dict[str, ChannelSettings] = {}
        self._reading = reading
        self._zone = shape.timezone
        self._known = {sort: reading.names(section) for sort, section in _SECTIONS.items()}
        for name, given in shape.channels.items():
            channel = reading.channel(name, given, ("channels", name))
            if channel is not None:
                self.channels[name] = channel
        self.people = tuple(self._person(name, person) for name, person in shape.people.items())
        self._reachable = {person.name for person in self.people if person.contacts}

    def checked(self, names: list[str], path: KeyPath) -> tuple[str, ...]:
        """Those of the recipients that there are, each once."""
        return tuple(dict.fromkeys(text for index, text in enumerate(names) if self._is_somebody(text, (*path, index))))

    def owners(self, names: list[str], path: KeyPath) -> tuple[str, ...]:
        """The channels that recipients lead to at any time: of a person the first contact, of a rota none."""
        found: dict[str, None] = {}
        contacts = {person.name: person.contacts for person in self.people}
        for text in self.checked(names, path):
            sort, _, name = text.partition(".")
            if sort == "oncall":
                what = "the monitor's own troubles must not depend on who is on call"
                self._reading.complain(path, what, "name channel.NAME or person.NAME")
            else:
                found |= dict.fromkeys([name] if sort == "channel" else contacts[name][:1])
        return tuple(found)

    def _is_somebody(self, text: str, path: KeyPath) -> bool:
        sort, _, name = text.partition(".")
        if name not in self._known[sort]:
            remedy = suggestion(name, self._known[sort], prefix=f"{sort}.")
            self._reading.complain(path, f"there is no {sort} {shown(name)}", remedy)
            return False
        if sort == "channel":
            return name in self.channels
        if sort == "person" and name not in self._reachable:
            people = self._reading.raw["people"][name]
            if isinstance(people, dict) and not people.get("contact"):
                self._reading.complain(path, f"{name} has no contact", f"add contact: [...] to people.{name}")
            return False
        return True

    def _person(self, name: str, person: PersonShape) -> Person:
        contacts = [self._contact(name, each, ("people", name, "contact", i)) for i, each in enumerate(person.contact)]
        for channel in contacts:
            if channel is not None:
                self.channels.setdefault(channel.name, channel)
        quiet = person.quiet_hours
        return Person(
            name,
            tuple(dict.fromkeys(channel.name for channel in contacts if channel is not None)),
            None
            if quiet is None
            else QuietHours(
                active_hours(quiet.weekdays, quiet.times, quiet.timezone or person.timezone or self._zone),
                tuple(Severity(each) for each in quiet.excepted),
            ),
        )

    def _contact(self, person: str, contact: Any, path: KeyPath) -> ChannelSettings | None:
        if isinstance(contact, Mapping):
            channel = self._reading.channel(person, contact, path)
            if channel is None:
                return None
            name, number = f"{person}.{channel.kind}", 2
            while name in self.channels:
                name, number = f"{person}.{channel.kind}{number}", number + 1
            return dataclasses.replace(channel, name=name)
        sort, _, name = contact.partition(".") if isinstance(contact, str) else ("", "", "")
        if sort != "channel":
            self._reading.complain(path, "a contact is expected here", "write channel.NAME, or {email: ...}")
            return None
        return self.channels.get(name) if self._is_somebody(f"channel.{name}", path) else None


def read_routes(shape: FileShape, recipients: Recipients, reading: Reading) -> tuple[Route, ...]:
    """The tree of routes; what a narrower route leaves out is as in the one around it."""
    outermost = Route("")
    found = tuple(
        _read(route, ("routes", index), outermost, recipients, reading, shape.timezone)
        for index, route in enumerate(shape.routes)
    )
    if all(route.matchers for route in found):
        what = "an incident that matches no route is told to nobody"
        reading.warn(("routes",), what, "end with a route without match: - notify: [channel.NAME]")
    return found


def read_inhibitions(shape: FileShape) -> tuple[Inhibition, ...]:
    """What mutes what."""
    return tuple(Inhibition(each.when, each.mutes, tuple(each.same)) for each in shape.inhibit)


def _read(shape: RouteShape, path: KeyPath, outer: Route, recipients: Recipients, reading: Reading, zone: str) -> Route:
    own = _steps(shape, path, recipients, reading)

    def given(key: str, otherwise: Any) -> Any:
        value = getattr(shape, key)
        return otherwise if value is None else value

    route = Route(
        path_text(path),
        matchers=shape.match,
        group_by=tuple(given("group_by", outer.group_by)),
        wait=given("group_wait", outer.wait),
        interval=given("group_interval", outer.interval),
        repeat=given("repeat_interval", outer.repeat),
        steps=outer.steps if own is None else own,
        rounds=given("repeat", outer.rounds if own is None else 1),
        proceed=shape.proceed,
        resolved=given("send_resolved", outer.resolved),
        listed=given("listed", outer.listed),
        muted=_hours(shape.mute_times, zone),
        active=_hours(shape.active_times, zone),
    )
    if not route.steps and not shape.routes:
        reading.warn(path, "nobody is told by this route", "name a channel in notify")
    if route.repeat < route.interval:
        what = "what is told again is told at a flush, so repeat_interval cannot be shorter than group_interval"
        reading.complain(path, what, "make repeat_interval longer")
    inner = tuple(
        _read(each, (*path, "routes", index), route, recipients, reading, zone)
        for index, each in enumerate(shape.routes)
    )
    return replace(route, routes=inner)


def _hours(shapes: list[TimesShape], zone: str) -> tuple[ActiveHours, ...]:
    return tuple(active_hours(each.weekdays, each.times, each.timezone or zone) for each in shapes)


def _steps(route: RouteShape, path: KeyPath, recipients: Recipients, reading: Reading) -> tuple[Step, ...] | None:
    """Who is told when; None where the route does not say."""
    if route.notify is not None and route.escalate is not None:
        problem = "notify and escalate do not go together"
        reading.complain((*path, "notify"), problem, "write notify as the step {after: 0s, notify: [...]}")
    if route.notify is not None:
        told = recipients.checked(route.notify, (*path, "notify"))
        return (Step(told),) if told else ()
    if route.escalate is None:
        return None
    steps: list[Step] = []
    for index, step in enumerate(route.escalate):
        where = (*path, "escalate", index)
        if steps and step.after < steps[-1].after:
            reading.complain((*where, "after"), "this step would come before the one above it", "put steps in order")
        steps.append(Step(recipients.checked(step.notify, (*where, "notify")), step.after, step.match))
    return tuple(steps)

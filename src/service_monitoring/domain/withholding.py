"""Withholding: what stands between an incident and those who should hear of it, at an instant.

Knows silences, maintenance, inhibition, hours of routes, people and rotas: what a group asks about the world. Remembers
nothing but the labels of open incidents. Does not know groups' members, nor what was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from service_monitoring.domain import calendar, oncall
from service_monitoring.domain.configuration import Configuration, Person, Route
from service_monitoring.domain.groups import Group
from service_monitoring.domain.inhibition import Inhibitor
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, in_maintenance
from service_monitoring.domain.notices import Facts, Held, Withheld
from service_monitoring.domain.rotas import Rota
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.silences import Silence, silencing

_WEEK: Final = Duration(7 * DAY)
"""When it is asked again whether hours that never end have ended."""


class World:
    """The surroundings of all groups of one machine."""

    def __init__(self, silences: Callable[[], Iterable[Silence]]) -> None:
        self._silences = silences
        self._maintenances: tuple[Maintenance, ...] = ()
        self._people: dict[str, Person] = {}
        self._rotas: dict[str, Rota] = {}
        self._inhibitor = Inhibitor()

    def configure(self, configuration: Configuration) -> None:
        """This revision holds. Open incidents are to be noted anew: other inhibitions look at other labels."""
        self._people = {person.name: person for person in configuration.people}
        self._maintenances = configuration.maintenances
        self._rotas = {rota.name: rota for rota in configuration.rotas}
        self._inhibitor = Inhibitor(configuration.inhibitions)

    def note(self, facts: Facts) -> None:
        """An incident is open, with these labels from now on: it may mute others."""
        self._inhibitor.note(facts.incident, dict(facts.labels))

    def forget(self, incident: str) -> None:
        """It is over."""
        self._inhibitor.forget(incident)

    def why(self, group: Group, facts: Facts, at: Instant) -> Held | None:
        """Why nobody is told of an incident now, if there is a reason."""
        return self.why_by(group.route, facts, at)

    def why_by(self, route: Route, facts: Facts, at: Instant) -> Held | None:
        """Why nobody is told by a route, if there is a reason."""
        labels = dict(facts.labels)
        silence = silencing(self._silences(), labels, at)
        if silence is not None:
            return Held(Withheld.SILENCED, silence.id)
        planned = self.planned(facts, at)
        if planned is not None:
            return Held(Withheld.MAINTENANCE, planned)
        muting = self._inhibitor.muting(labels)
        if muting is not None:
            return Held(Withheld.INHIBITED, muting)
        if any(calendar.is_active(muted, at) for muted in route.muted) or (
            route.active and not any(calendar.is_active(active, at) for active in route.active)
        ):
            return Held(Withheld.MUTED, route.path)
        return None

    def planned(self, facts: Facts, at: Instant) -> str | None:
        """The maintenance that an incident is in at an instant, if it is in one."""
        found = in_maintenance(self._maintenances, dict(facts.labels), at, failed_at=facts.breached_at)
        return None if found is None else found.name

    def who(self, recipients: Iterable[str], at: Instant) -> tuple[str, ...]:
        """People and channels that recipients lead to now, each once."""
        found: dict[str, None] = {}
        for recipient in recipients:
            sort, _, name = recipient.partition(".")
            rota = self._rotas.get(name) if sort == "oncall" else None
            if rota is not None:
                found |= dict.fromkeys(f"person.{person}" for person in oncall.who(rota, at))
            elif sort != "oncall":
                found[recipient] = None
        return tuple(found)

    def channel(self, recipient: str, failed: int) -> str:
        """Through what somebody is told, when so many of their contacts failed."""
        person = self._person(recipient)
        if person is None or not person.contacts:
            return recipient.partition(".")[2]
        return person.contacts[min(failed, len(person.contacts) - 1)]

    def has_more_contacts(self, recipient: str, failed: int) -> bool:
        """Whether there is another way to tell somebody, when one more of their contacts fails."""
        person = self._person(recipient)
        return person is not None and failed + 1 < len(person.contacts)

    def quiet_until(self, recipient: str, severities: frozenset[Severity], at: Instant) -> Instant | None:
        """Until when somebody is left alone; None when they are not, or one of the severities is excepted."""
        person = self._person(recipient)
        if person is None or person.quiet is None or severities.intersection(person.quiet.excepted):
            return None
        if not calendar.is_active(person.quiet.hours, at):
            return None
        return calendar.next_change(person.quiet.hours, at) or at.plus(_WEEK)

    def _person(self, recipient: str) -> Person | None:
        sort, _, name = recipient.partition(".")
        return self._people.get(name) if sort == "person" else None

"""Hours: which rules of a service are awake, and when that changes next.

Knows active hours and the agenda. Does not know what a rule does when it wakes (`holds`), nor zones (`calendar`).
"""

from __future__ import annotations

from collections.abc import Iterable

from service_monitoring.domain import calendar
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.inputs import Order
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Series
from service_monitoring.domain.schedules import ActiveHours
from service_monitoring.domain.tracks import Key

HOURS = "hours"
"""The fourth part of the key in the agenda of a rule with hours."""


class Hours:
    """The active hours of one service's rules. They are appointments: asked again after every step of the clock."""

    def __init__(self, service: str, agenda: Agenda[Key]) -> None:
        self._service = service
        self._agenda = agenda
        self._hours: dict[str, ActiveHours] = {}
        self._off: dict[str, bool] = {}

    def off(self, rule: str) -> bool:
        """Whether these are not the rule's hours."""
        return self._off.get(rule, False)

    def keep(self, rules: Iterable[Rule], at: Instant) -> None:
        """Watch the hours of these rules, and of no other, from `at` on."""
        for name in self._hours:
            self._agenda.cancel(self._key(name))
        self._hours = {rule.name: rule.active for rule in rules if rule.active is not None}
        self._off = {}
        for name in self._hours:
            self.turn(name, at)

    def forget(self, rule: str) -> None:
        """The rule judges no more."""
        self._hours.pop(rule, None)
        self._off.pop(rule, None)
        self._agenda.cancel(self._key(rule))

    def names(self) -> list[str]:
        """The rules that have hours, in order."""
        return sorted(self._hours)

    def turn(self, rule: str, at: Instant) -> bool:
        """Ask again, and book the next change; whether the rule is off."""
        hours = self._hours[rule]
        off = self._off[rule] = not calendar.is_active(hours, at)
        change = calendar.next_change(hours, at)
        if change is None:
            self._agenda.cancel(self._key(rule))
        else:
            self._agenda.book(self._key(rule), change.ns, Order.HOURS)
        return off

    def _key(self, rule: str) -> Key:
        return (self._service, rule, Series(self._service, "", ""), HOURS)

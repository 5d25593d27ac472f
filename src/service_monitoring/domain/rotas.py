"""Rotas as values: who takes turns, since when and at which hours, and who stands in.

Knows what people wrote. Who is on call at an instant is asked of `oncall`, what local time means of `calendar`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import DAY, HOUR, SECOND, Duration, Instant
from service_monitoring.domain.schedules import ActiveHours
from service_monitoring.errors import Refused

DAILY: Final = DAY
WEEKLY: Final = Duration(7 * DAY)
SHORTEST_TURN: Final = HOUR


class Handover(Struct, frozen=True):
    """A local time, in minutes after midnight, of one day of the week (0 is Monday) or of every day."""

    minute: int = 0
    weekday: int | None = None


class Layer(Struct, frozen=True):
    """People who take turns, one at a time, in this order.

    `turn` is a length of local time: `DAILY` is from 09:00 to 09:00, on a day of 23 hours as well. The first person
    takes over at the first `handover` at or after `starts`, and before that there is nobody; without `starts`, at the
    first since Monday 1970-01-05. With `restrictions` the layer counts only while one of them is active; turns go on
    outside. The zone of restrictions is that of the rota.
    """

    people: tuple[str, ...]
    turn: Duration = WEEKLY
    handover: Handover = Handover(0, 0)
    starts: Instant | None = None
    restrictions: tuple[ActiveHours, ...] = ()

    def __post_init__(self) -> None:
        if not self.people:
            raise Refused("a layer needs people")
        if self.turn < SHORTEST_TURN or self.turn % SECOND:
            raise Refused("a turn is a whole number of seconds, and at least an hour")


class Override(Struct, frozen=True):
    """Somebody is on call from `begin` to before `end`, whatever layers say."""

    person: str
    begin: Instant
    end: Instant

    def __post_init__(self) -> None:
        refuse_empty(self.begin, self.end)


class Swap(Struct, frozen=True):
    """Two people change places from `begin` to before `end`: where layers say one of them, it is the other."""

    person: str
    substitute: str
    begin: Instant
    end: Instant

    def __post_init__(self) -> None:
        refuse_empty(self.begin, self.end)


class Rota(Struct, frozen=True):
    """Layers from the lowest to the highest, with overrides and swaps in the order in which they were made."""

    name: str
    zone: str
    layers: tuple[Layer, ...] = ()
    overrides: tuple[Override, ...] = ()
    swaps: tuple[Swap, ...] = ()


def refuse_empty(begin: Instant, end: Instant) -> None:
    """`Refused` unless a span ends after it begins."""
    if end <= begin:
        raise Refused("this ends before it begins")

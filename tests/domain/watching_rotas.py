"""A rota on foot: every minute is looked at, and local time is what the standard library says it is.

The oracle of `test_oncall`. It shares no code with the calendar or the rota under test, nor with the libraries behind
them: it reads a plan of plain numbers, keeps for each minute the latest local time that the wall has shown so far, and
says whose turn that makes it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.domain import walking
from tests.domain.walking import BEGINS, DAY, ENDS, Minutes

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kolkata",
    "Africa/Casablanca",
)
PEOPLE = ("ann", "bob", "cay", "dan", "eve")
NOBODY = -1
WEEK = 7 * DAY
MARGIN = 10 * DAY
THURSDAY = 3
"""The day of 1970-01-01."""

People = NDArray[np.int64]
"""The index in `PEOPLE` of who is on call in each minute, or `NOBODY`."""


@dataclass(frozen=True)
class LayerPlan:
    """Numbers of `PEOPLE`; minutes of local time; `starts` is a minute of UTC. Hours as in `walking.active`."""

    people: tuple[int, ...]
    turn: int
    minute: int
    weekday: int | None
    starts: int | None
    hours: tuple[tuple[tuple[int, ...], tuple[tuple[int, int], ...]], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A rota in plain numbers; overrides are (person, begin, end), swaps (person, substitute, begin, end), UTC."""

    zone: str
    layers: tuple[LayerPlan, ...]
    overrides: tuple[tuple[int, int, int], ...] = ()
    swaps: tuple[tuple[int, int, int, int], ...] = ()


def planned(seed: int) -> Plan:
    """One of many rotas, by its seed: its lowest layer has somebody always. Six of each thirty have no more."""
    dice = random.Random(seed)
    layers = [a_layer(dice, whole=True)]
    if seed % 30 < 6:
        return Plan(ZONES[seed % len(ZONES)], tuple(layers))
    layers += [a_layer(dice, whole=False) for _ in range(dice.choice((0, 0, 1, 2)))]
    overrides = tuple((dice.randrange(len(PEOPLE)), *a_span(dice)) for _ in range(dice.randrange(12)))
    pairs = [dice.sample(range(len(PEOPLE)), 2) for _ in range(dice.randrange(6))]
    swaps = tuple((person, substitute, *a_span(dice)) for person, substitute in pairs)
    return Plan(ZONES[seed % len(ZONES)], tuple(layers), overrides, swaps)


def a_layer(dice: random.Random, *, whole: bool) -> LayerPlan:
    people = tuple(dice.sample(range(len(PEOPLE)), dice.randint(1, 5)))
    turn = dice.choice((DAY, DAY, WEEK, WEEK, 2 * WEEK, 12 * 60, 36 * 60, 8 * 60, 90))
    minute = dice.choice((0, 30, 90, 120, 150, 180, 9 * 60, 17 * 60 + 45))
    weekday = dice.randrange(7) if turn % WEEK == 0 else None
    if whole:
        return LayerPlan(people, turn, minute, weekday, BEGINS - MARGIN)
    starts = dice.choice((None, BEGINS - MARGIN, dice.randrange(BEGINS, ENDS)))
    hours = tuple(
        (
            tuple(sorted(dice.sample(range(7), dice.randint(1, 7)))),
            (dice.choice(((9 * 60, 17 * 60), (22 * 60, 6 * 60), (130, 160), (0, 24 * 60))),),
        )
        for _ in range(dice.choice((0, 1, 1, 2)))
    )
    return LayerPlan(people, turn, minute, weekday, starts, hours)


def a_span(dice: random.Random) -> tuple[int, int]:
    begin = dice.randrange(BEGINS, ENDS)
    return begin, begin + dice.choice((1, 45, 8 * 60, DAY, 10 * DAY, 40 * DAY))


def first_handover(layer: LayerPlan, first: int) -> int:
    """The local minute of the first handover at or after `first`."""
    found = -(-(first - layer.minute) // DAY) * DAY + layer.minute
    while layer.weekday is not None and (found // DAY + THURSDAY) % 7 != layer.weekday:
        found += DAY
    return found


def shown_before(zone: str, minute: int) -> int:
    """The latest local time that the wall has shown before a minute of UTC."""
    return int(walking.clock(zone, minute - DAY, minute).max())


def layer_walked(layer: LayerPlan, zone: str, first: int, last: int) -> People:
    """Who has a turn in each minute of UTC from `first` to before `last`."""
    # What an hour before has shown counts in the second pass, so the walk begins a little earlier.
    furthest = np.maximum.accumulate(walking.clock(zone, first - DAY, last))[DAY:]
    begins = 4 * DAY if layer.starts is None else shown_before(zone, layer.starts) + 1
    passed = furthest - first_handover(layer, begins)
    people = np.array(layer.people, dtype=np.int64)
    found = np.where(passed >= 0, people[passed // layer.turn % len(people)], NOBODY)
    if layer.hours:
        awake = np.zeros(last - first, dtype=np.bool_)
        for weekdays, spans in layer.hours:
            awake |= walking.active(weekdays, spans, zone, first - 3 * DAY, last + 3 * DAY)[3 * DAY : -3 * DAY]
        found = np.where(awake, found, NOBODY)
    return found


def walked(plan: Plan, first: int, last: int) -> People:
    """Who is on call in each minute of UTC from `first` to before `last`."""
    found: People = np.full(last - first, NOBODY, dtype=np.int64)
    for layer in plan.layers:
        above = layer_walked(layer, plan.zone, first, last)
        found = np.where(above == NOBODY, found, above)
    minutes: Minutes = np.arange(first, last)
    for person, substitute, begin, end in plan.swaps:
        within = (begin <= minutes) & (minutes < end)
        was_person, was_substitute = within & (found == person), within & (found == substitute)
        found[was_person], found[was_substitute] = substitute, person
    for person, begin, end in plan.overrides:
        found[(begin <= minutes) & (minutes < end)] = person
    return found

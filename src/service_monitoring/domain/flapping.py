"""Flapping: how much of what a rule says lately is change, as a weighted share.

Knows verdicts as breached or not, one after the other. Does not know instants, incidents or who is told.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from service_monitoring.domain.rules import Flapping

REMEMBERED: Final = 20
"""How many verdicts are looked at."""

_ALL: Final = (1 << REMEMBERED) - 1
# Of the newest first, in units of 0.02, so that sums are exact: 0.8 + 0.02 i for the i-th from the oldest.
_WEIGHTS: Final = tuple(40 + place for place in reversed(range(REMEMBERED)))


class Flips(Struct, frozen=True):
    """What is remembered of a rule's verdicts on a series.

    Bit k of `changes` says that the verdict k places before the newest differed from the one before it. `breached` is
    the newest verdict, None before any; Unknown is none.
    """

    changes: int = 0
    breached: bool | None = None
    flapping: bool = False


@lru_cache(maxsize=4_096)  # what spikes leave behind is the same few patterns, asked for at every verdict
def percent(changes: int) -> float:
    """The weighted share of changes among the last 20 verdicts, 0 to 100 (Icinga's formula).

    Sum over the verdicts that differ from the one before of 0.8 + 0.02 i, i from 0 for the oldest to 19 for the
    newest, divided by 20.
    """
    units = sum(weight for place, weight in enumerate(_WEIGHTS) if changes >> place & 1)
    return units / 10  # units * 0.02 / 20 * 100


def seen_again(flips: Flips, count: int) -> Flips:
    """After `count` more verdicts like the newest one, none of which makes it flap or stop flapping."""
    return Flips(flips.changes << min(count, REMEMBERED) & _ALL, flips.breached, flips.flapping)


def steady_after(flips: Flips, terms: Flapping) -> int | None:
    """How many verdicts like the newest one make it stop flapping, or start; None where none do.

    What changed grows older, and weighs less: where the next one does not make it flap, no later one does.
    """
    if not flips.flapping:
        return 1 if percent(flips.changes << 1 & _ALL) > terms.above else None
    changes = flips.changes
    for count in range(1, REMEMBERED + 1):
        changes = changes << 1 & _ALL
        if percent(changes) <= terms.stops_at:
            return count
    raise AssertionError("nothing that was remembered is left by then")


def seen(flips: Flips, terms: Flapping, *, breached: bool) -> Flips:
    """After one more verdict: it starts to flap above one share, and stops at or below another."""
    changed = flips.breached is not None and breached is not flips.breached
    changes = (flips.changes << 1 | changed) & _ALL
    share = percent(changes)
    flapping = share > terms.stops_at if flips.flapping else share > terms.above
    return Flips(changes, breached, flapping)

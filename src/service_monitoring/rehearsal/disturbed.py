"""What faults of time changed: a rehearsal beside the same one, disturbed.

Knows two rehearsals and what was injected into one. Does not know how that is done (`disturbing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from service_monitoring.domain.course import Decision
from service_monitoring.domain.schedules import Span
from service_monitoring.rehearsal.difference import Difference, difference_of
from service_monitoring.rehearsal.figures import NIGHT
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.wire.ledger import ledger


class Lines(Struct, frozen=True):
    """Lines of two ledgers: how many each has, and how many of them the other has not."""

    before: int
    after: int
    only_before: int
    only_after: int


class Disturbed(Struct, frozen=True):
    """`injected` is as it was typed, `limits` are those of the disturbed rehearsal."""

    injected: tuple[str, ...]
    lines: Lines
    difference: Difference
    limits: tuple[str, ...]


def disturbed_of(before: Rehearsed, after: Rehearsed, injected: Sequence[str], *, night: Span = NIGHT) -> Disturbed:
    """What becomes of a rehearsal where all of this is injected into its history."""
    return Disturbed(
        injected=tuple(injected),
        lines=_lines(before.decisions, after.decisions),
        difference=difference_of(before, after, names=("undisturbed", ", ".join(injected)), night=night),
        limits=after.limits,
    )


def _lines(before: Sequence[Decision], after: Sequence[Decision]) -> Lines:
    one, other = (Counter(ledger(each).splitlines()) for each in (before, after))
    return Lines(one.total(), other.total(), (one - other).total(), (other - one).total())

"""Verdicts: what a strategy says of a series, as a code in a column or as a value with its evidence.

Knows neither how a verdict is reached (`strategies`) nor what follows from it (`holds`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.samples import Reason, Sample


class Code(IntEnum):
    """One byte of a verdict column. `BETWEEN` is healthy to a pending incident and not yet recovered to an open one.

    `WORSE` and `WORST` are breached, and the first and the second stronger comparison of the rule hold too.
    """

    RECOVERED = 0
    BETWEEN = 1
    BREACHED = 2
    UNKNOWN = 3
    WORSE = 4
    WORST = 5


CODES: Final = tuple(Code)
"""By number: the index of each is what it is."""


class Evidence(Struct, frozen=True):
    """What a verdict rests on: the value compared, the newest deciding sample, and why its run was not `ok`."""

    value: float | None = None
    sample: Sample | None = None
    reason: Reason | None = None
    detail: str = ""


class Breached(Struct, frozen=True, tag=True):
    """The condition holds at `at`."""

    at: Instant
    evidence: Evidence


class Healthy(Struct, frozen=True, tag=True):
    """The condition does not hold at `at`."""

    at: Instant
    evidence: Evidence


class Unknown(Struct, frozen=True, tag=True):
    """Nothing can be said from `at` on: too few samples, none for too long, or nobody was watching."""

    at: Instant
    why: str


Verdict = Breached | Healthy | Unknown

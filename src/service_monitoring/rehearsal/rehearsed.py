"""What came of a rehearsal: the decisions, what they rest on, and what it cannot say.

A value, from which ledger, figures and differences are made. Knows nothing of how it came about.
"""

from __future__ import annotations

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Decision
from service_monitoring.domain.inputs import Act
from service_monitoring.domain.instants import Instant
from service_monitoring.ports import Flaw


class Unmatched(Struct, frozen=True):
    """What a person did to an incident that this rehearsal does not have: applied to no other."""

    at: Instant
    act: Act
    incident: str
    by: str


class Rehearsed(Struct, frozen=True):
    """A rehearsal of [since, until) under `configuration`, the last one where several were in force.

    `decisions` are in the order in which they were decided. Those before `warm` rest on less history than rules look
    back at: they are marked. `limits` are sentences: what a reader must know before believing a figure.
    """

    since: Instant
    until: Instant
    warm: Instant
    configuration: Configuration
    decisions: tuple[Decision, ...]
    samples: int
    unmatched: tuple[Unmatched, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    limits: tuple[str, ...] = ()

"""Incidents: one episode of one rule on one series, and the table of its moves.

Knows identity, states and numbering. Does not know when a move is due (`holds`) nor who is told of it (`routing`).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Reason, Series
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.errors import Refused


class State(StrEnum):
    """Where an incident stands. `dropped`, `resolved` and `closed` are final."""

    PENDING = "pending"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    DROPPED = "dropped"
    RESOLVED = "resolved"
    CLOSED = "closed"


FINAL: Final = frozenset({State.DROPPED, State.RESOLVED, State.CLOSED})


class Move(StrEnum):
    """What may happen to an incident."""

    OPEN = "open"
    DROP = "drop"
    RAISE = "raise"
    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    RESOLVE = "resolve"
    CLOSE = "close"
    EXPIRE = "expire"


MOVES: Final[dict[tuple[State, Move], State]] = {
    (State.PENDING, Move.OPEN): State.OPEN,
    (State.PENDING, Move.DROP): State.DROPPED,
    (State.PENDING, Move.RAISE): State.PENDING,
    (State.OPEN, Move.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.OPEN, Move.SNOOZE): State.ACKNOWLEDGED,
    (State.OPEN, Move.RAISE): State.OPEN,
    (State.OPEN, Move.RESOLVE): State.RESOLVED,
    (State.OPEN, Move.CLOSE): State.CLOSED,
    (State.ACKNOWLEDGED, Move.SNOOZE): State.ACKNOWLEDGED,
    (State.ACKNOWLEDGED, Move.RAISE): State.OPEN,
    (State.ACKNOWLEDGED, Move.EXPIRE): State.OPEN,
    (State.ACKNOWLEDGED, Move.RESOLVE): State.RESOLVED,
    (State.ACKNOWLEDGED, Move.CLOSE): State.CLOSED,
}
"""Every move there is; a missing pair is refused with a sentence."""

_TAKES_ON: Final = frozenset({Move.ACKNOWLEDGE, Move.SNOOZE})


class Cause(StrEnum):
    """What brought a move about. The last four are the reasons for which an incident is closed."""

    SAMPLE = "sample"
    TIMER = "timer"
    PERSON = "person"
    NO_DATA = "no_data"
    EXPIRED = "expired"
    RETIRED = "retired"
    REMOVED = "removed"
    SUPERSEDED = "superseded"
    VANISHED = "vanished"


class Incident(Struct, frozen=True):
    """One episode. `sequence` numbers its transitions 1..n without holes; `previous` names the episode before.

    `evidence` is that of the last move; `opened_reason` and `opened_detail` say, to the end, why the run that opened it
    was not `ok`. `assigned_to` is shown, and decides nothing.
    That of a `draft` is a shadow: it is judged like any other, and nobody is told.
    """

    id: str
    service: str
    rule: str
    series: Series
    severity: Severity
    state: State
    sequence: int
    breached_at: Instant
    changed_at: Instant
    cause: Cause
    evidence: Evidence
    opened_at: Instant | None = None
    opened_reason: Reason | None = None
    opened_detail: str = ""
    acknowledged_at: Instant | None = None
    acknowledged_by: str = ""
    ended_at: Instant | None = None
    previous: str = ""
    draft: bool = False
    assigned_to: str = ""


def identity(service: str, rule: str, series: Series, breached_at: Instant) -> str:
    """The id that every run over the same samples derives: of the key and the first breached sample's instant."""
    text = "\n".join((service, rule, str(series), str(breached_at)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def begin(  # noqa: PLR0913 - one argument a field, all but the key by name
    service: str,
    rule: str,
    series: Series,
    *,
    severity: Severity,
    at: Instant,
    cause: Cause,
    evidence: Evidence,
    previous: str,
    draft: bool = False,
) -> Incident:
    """A pending incident: its first breached sample has just been judged."""
    return Incident(
        id=identity(service, rule, series, at),
        service=service,
        rule=rule,
        series=series,
        severity=severity,
        state=State.PENDING,
        sequence=1,
        breached_at=at,
        changed_at=at,
        cause=cause,
        evidence=evidence,
        previous=previous,
        draft=draft,
    )


def move(
    incident: Incident,
    what: Move,
    *,
    at: Instant,
    cause: Cause,
    evidence: Evidence | None = None,
    by: str = "",
    severity: Severity | None = None,
) -> Incident:
    """The incident after `what`; `Refused` where the table has no such move from its state."""
    state = MOVES.get((incident.state, what))
    if state is None:
        raise Refused(f"incident {incident.id} is {incident.state}: it cannot {what}")
    evidence = evidence if evidence is not None else incident.evidence
    opens, taken_on = what is Move.OPEN, what in _TAKES_ON
    return msgspec.structs.replace(
        incident,
        state=state,
        severity=severity or incident.severity,
        sequence=incident.sequence + 1,
        changed_at=at,
        cause=cause,
        evidence=evidence,
        opened_at=at if opens else incident.opened_at,
        opened_reason=evidence.reason if opens else incident.opened_reason,
        opened_detail=evidence.detail if opens else incident.opened_detail,
        acknowledged_at=at if taken_on else incident.acknowledged_at,
        acknowledged_by=by if taken_on else incident.acknowledged_by,
        ended_at=at if state in FINAL else None,
    )

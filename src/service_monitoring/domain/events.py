"""Events: frozen facts that a policy or an incident emitted.

Knows what can be said to have happened; not why it did, nor who will read it.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Act
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.rules import Lifecycle
from service_monitoring.domain.samples import Series
from service_monitoring.domain.silences import Silence


class IncidentMoved(Struct, frozen=True, tag="incident_moved", omit_defaults=True):
    """An incident was begun or moved. `at` is when it was true, `decided_at` when that was decided.

    The incident is the whole state after the move: an event needs no other to be understood. Where a person moved it,
    `act`, `by` and `comment` say how, who and why.
    """

    at: Instant
    decided_at: Instant
    incident: Incident
    act: Act | None = None
    by: str = ""
    comment: str = ""


class IncidentNoted(Struct, frozen=True, tag="incident_noted"):
    """Somebody assigned an incident `to` a person, or noted a text on it: its state and its numbering stay.

    Of an incident that was over by then, only the id is known here.
    """

    at: Instant
    decided_at: Instant
    incident: str
    act: Act
    by: str
    text: str = ""
    to: str = ""
    service: str = ""
    rule: str = ""
    series: Series | None = None


class RuleMoved(Struct, frozen=True, tag="rule_moved"):
    """A rule went along its lifecycle table; `reason` is a person's, or `removed` or `superseded`."""

    at: Instant
    decided_at: Instant
    service: str
    rule: str
    state: Lifecycle
    reason: str


class SeriesFlapped(Struct, frozen=True, tag="series_flapped"):
    """A rule changes its mind about a series too often, or no more. `percent` is the weighted share of changes."""

    at: Instant
    decided_at: Instant
    service: str
    rule: str
    series: Series
    flapping: bool
    percent: float


class SilenceMove(StrEnum):
    """What happened to a silence. That it ended when it was to end is no event: time alone tells."""

    MADE = "made"
    EXPIRED = "expired"


class SilenceMoved(Struct, frozen=True, tag="silence_moved"):
    """Somebody made a silence, or ended it early. The silence is as it is since."""

    at: Instant
    decided_at: Instant
    move: SilenceMove
    silence: Silence


Event = IncidentMoved | IncidentNoted | RuleMoved | SeriesFlapped | SilenceMoved

"""Inputs: everything that may come to a decision from outside, and the stamp that admission gives it.

Knows the shapes and the order of what happens at one instant. Does not decide anything.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.notices import Page
from service_monitoring.domain.samples import Observation


class Stamp(Struct, frozen=True, order=True):
    """When an input was admitted: the only instant that its decision sees. Epochs part where the wall clock stepped."""

    epoch: int
    at: Instant


class Order(IntEnum):
    """What comes first at one instant; one ordering for every driver."""

    PERSON = 0
    CONFIGURATION = 1
    OBSERVATION = 2
    OUTCOME = 3
    MARK = 4
    GAP_END = 5
    HOLD = 6
    RECOVERY = 7
    STALE = 8
    ABSENCE = 9
    NO_DATA = 10
    GAP_START = 11


class Observed(Struct, frozen=True, tag="observed"):
    """A check ran. `started` is when the run began, by the clock of the runtime; decisions use the stamp."""

    service: str
    check: str
    observation: Observation
    started: Instant


class Act(StrEnum):
    """What people may do to an incident."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class Acted(Struct, frozen=True, tag="acted"):
    """A person acknowledged or resolved an incident."""

    incident: str
    act: Act
    by: str
    comment: str = ""


class Retired(Struct, frozen=True, tag="retired"):
    """A person retired a rule, for ever."""

    service: str
    rule: str
    reason: str
    by: str


class Configured(Struct, frozen=True, tag="configured"):
    """This revision of the configuration holds from here on."""

    configuration: Configuration


class GapCause(StrEnum):
    """Why nobody was watching."""

    RESTART = "restart"
    SUSPEND = "suspend"
    LAG = "lag"


class GapBegan(Struct, frozen=True, tag="gap_began"):
    """Nobody watched from here on (exclusive): found out afterwards, stamped with the last instant that was watched."""

    cause: GapCause


class GapEnded(Struct, frozen=True, tag="gap_ended"):
    """Watching goes on."""


class Stepped(Struct, frozen=True, tag="stepped"):
    """The wall clock jumped by `delta`: a new epoch begins, in which every due instant is shifted by it."""

    delta: Duration


class MarkKind(StrEnum):
    """What the program says of itself."""

    STARTED = "started"
    ALIVE = "alive"
    STOPPED = "stopped"


class Marked(Struct, frozen=True, tag="marked"):
    """A sign of life. Decides nothing; a gap begins at the last one or at the last committed decision."""

    mark: MarkKind


class Delivery(StrEnum):
    """How the sending of a notice ended."""

    DELIVERED = "delivered"
    PARKED = "parked"


class Settled(Struct, frozen=True, tag="settled"):
    """What became of a notice: `parked` is told to the owners of the monitor by another way."""

    notice: str
    delivery: Delivery
    channel: str
    page: Page
    detail: str = ""


Input = Observed | Acted | Retired | Configured | GapBegan | GapEnded | Stepped | Marked | Settled


class Admitted(Struct, frozen=True):
    """An input with its stamp."""

    stamp: Stamp
    input: Input

"""Inputs: everything that may come to a decision from outside, and the stamp that admission gives it.

Knows the shapes and the order of what happens at one instant. Does not decide anything.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.notices import Held, Page
from service_monitoring.domain.samples import Observation
from service_monitoring.domain.silences import Wanted


class Stamp(Struct, frozen=True, order=True):
    """When an input was admitted: the only instant that its decision sees. Epochs part where the wall clock stepped."""

    epoch: int
    at: Instant


class Order(IntEnum):
    """What comes first at one instant; one ordering for every driver.

    `SAMPLE` is a pushed sample whose allowance is over, `HOURS` a change of active hours, `SCHEDULE` what a heartbeat
    was expected by, `RECHECK` the end of the wait for a parent, `EXPIRY` that of an acknowledgement, `FLUSH`
    when a group tells what it has to tell, `STEP` when an escalation goes on.
    """

    PERSON = 0
    CONFIGURATION = 1
    OBSERVATION = 2
    OUTCOME = 3
    MARK = 4
    SAMPLE = 5
    GAP_END = 6
    HOURS = 7
    HOLD = 8
    WORSE = 9
    RECOVERY = 10
    SCHEDULE = 11
    STALE = 12
    ABSENCE = 13
    NO_DATA = 14
    FORGET = 15
    GAP_START = 16
    RECHECK = 17
    EXPIRY = 18
    FLUSH = 19
    STEP = 20


class Observed(Struct, frozen=True, tag="observed"):
    """A check ran. `started` is when the run began, by the clock of the runtime; decisions use the stamp."""

    service: str
    check: str
    observation: Observation
    started: Instant


class Signal(StrEnum):
    """What a job reports. `LOG` is kept and judges nothing."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"


class Pinged(Struct, frozen=True, tag="pinged"):
    """A job reported, to a check with an expectation. `run` pairs a start with its end; `exit_code` as it was told.

    The body that came with it is kept beside this, and decides nothing.
    """

    service: str
    check: str
    signal: Signal
    run: str = ""
    exit_code: int | None = None


class PushedSample(Struct, frozen=True):
    """A finite number that was measured elsewhere, with the instant at which it was."""

    at: Instant
    metric: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


class Pushed(Struct, frozen=True, tag="pushed"):
    """Samples of one check that came together. The stamp is when they came: that says which of them are late."""

    service: str
    check: str
    samples: tuple[PushedSample, ...]


class Taken(StrEnum):
    """What became of a pushed sample. Only `JUDGED` ones decide anything; all but `FUTURE` and `UNKNOWN` are stored."""

    JUDGED = "judged"
    LATE = "late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    FUTURE = "future"
    UNKNOWN = "unknown"


class Act(StrEnum):
    """What people may do to an incident.

    To snooze is to acknowledge for a while that must be said. To assign and to note changes no state.
    """

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    SNOOZE = "snooze"
    ASSIGN = "assign"
    NOTE = "note"


class Acted(Struct, frozen=True, tag="acted"):
    """A person did something to an incident.

    An acknowledgement may, and a snooze must, expire after so much elapsed time. `to` is who an incident is assigned
    to; the `comment` of a note is its text.
    """

    incident: str
    act: Act
    by: str
    comment: str = ""
    expires_after: Duration | None = None
    to: str = ""


class Retired(Struct, frozen=True, tag="retired"):
    """A person retired a rule, for ever."""

    service: str
    rule: str
    reason: str
    by: str


class Silenced(Struct, frozen=True, tag="silenced"):
    """A person wants to hear nothing of something for a while."""

    wanted: Wanted


class Unsilenced(Struct, frozen=True, tag="unsilenced"):
    """A person ended a silence before it was over."""

    silence: str
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
    """What became of the sending of a notice. `DELAYED` alone is no end: it is still being tried."""

    DELIVERED = "delivered"
    PARKED = "parked"
    WITHHELD = "withheld"
    DELAYED = "delayed"


class Settled(Struct, frozen=True, tag="settled"):
    """What became of a notice, which is number `sequence` of its `group`.

    `parked` and `delayed` are told to the owners of the monitor by another way. `held` is what a `withheld` one was
    withheld by when it was about to be sent. `uncertain` says that an attempt ended without an answer, so that it may
    have arrived all the same.
    """

    notice: str
    delivery: Delivery
    channel: str
    page: Page
    detail: str = ""
    held: Held | None = None
    uncertain: bool = False
    group: str = ""
    sequence: int = 0
    recipient: str = ""


class Requeued(Struct, frozen=True, tag="requeued"):
    """A person had a parked notice sent once more, under the same key."""

    notice: str
    by: str
    comment: str = ""


Input = (
    Observed
    | Pinged
    | Pushed
    | Acted
    | Retired
    | Silenced
    | Unsilenced
    | Requeued
    | Configured
    | GapBegan
    | GapEnded
    | Stepped
    | Marked
    | Settled
)


class Admitted(Struct, frozen=True):
    """An input with its stamp."""

    stamp: Stamp
    input: Input

"""Notices: one message owed to one recipient, with its reason and its two keys.

Knows what a notice says and how its keys are derived. Does not know who should get one (`routing`), what it looks like
in a channel, or how it is sent.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Series
from service_monitoring.domain.verdicts import Evidence


class Page(StrEnum):
    """Why a notice is owed."""

    FIRST = "first"
    RELEASED = "released"
    RECOVERED = "recovered"
    CLOSED = "closed"
    RAISED = "raised"
    UPDATED = "updated"
    REPEATED = "repeated"
    ESCALATED = "escalated"
    FLAPPING = "flapping"
    STEADY = "steady"
    OWNER = "owner"


ENDS: Final = frozenset({Page.RECOVERED, Page.CLOSED, Page.UPDATED, Page.STEADY})
"""Pages that say that something is over: whoever believes otherwise must hear of it some time."""


class Withheld(StrEnum):
    """Why a notice is held back."""

    UNREACHABLE = "unreachable"
    RECHECKING = "rechecking"
    FLAPPING = "flapping"
    SILENCED = "silence"
    MAINTENANCE = "maintenance"
    INHIBITED = "inhibition"
    MUTED = "muted"
    ACKNOWLEDGED = "acknowledged"
    QUIET_HOURS = "quiet_hours"


class Held(Struct, frozen=True):
    """Not told, for this reason, because of what `by` names: an incident, a silence, a person, what is asked again."""

    reason: Withheld
    by: str


class Facts(Struct, frozen=True):
    """What a notice is about, enough to render its text in any channel without asking anybody.

    `summary` and `runbook` are the source texts of templates; `taken_by` is who acknowledged it. A notice to the owners
    of the monitor has a ready `summary` and no incident.
    """

    summary: str = ""
    runbook: str = ""
    incident: str = ""
    service: str = ""
    rule: str = ""
    series: Series | None = None
    severity: Severity = Severity.WARNING
    state: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    breached_at: Instant | None = None
    opened_at: Instant | None = None
    ended_at: Instant | None = None
    cause: str = ""
    evidence: Evidence = Evidence()
    taken_by: str = ""


class Notice(Struct, frozen=True):
    """One message owed to, or held back from, one recipient through one channel.

    `sequence` numbers the group's notices 1..n. `facts` are those of the incident that it is about first, `others` of
    more that are written out; `open` and `over` count all that are. `step` is how far the escalation was (0 for the
    first step); `labels` are those that the group shares, and
    `news` the ids of all incidents of which it says something that the recipient did not know.
    """

    key: str
    thread: str
    group: str
    sequence: int
    channel: str
    page: Page
    decided_at: Instant
    facts: Facts
    held: Held | None = None
    recipient: str = ""
    others: tuple[Facts, ...] = ()
    open: int = 1
    over: int = 0
    step: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    news: tuple[str, ...] = ()


def notice_key(group: str, recipient: str, channel: str, page: Page, ordinal: int) -> str:
    """Independent of attempt, node and clock: what a sink sends as `Idempotency-Key` or `Message-ID`."""
    return hashlib.sha256("\n".join(("notice", group, recipient, channel, page, str(ordinal))).encode()).hexdigest()


def thread_key(group: str, recipient: str, channel: str) -> str:
    """The same from the first page to the recovery: `dedup_key`, `In-Reply-To`, chat threads."""
    return hashlib.sha256(f"thread\n{group}\n{recipient}\n{channel}".encode()).hexdigest()

"""The desk: what people may ask of the program and tell it, and the shapes in which it answers.

Knows the values that faces show, as text and numbers ready for JSON. Does not know where they come from: the running
program implements the desk, and so does a store that no program has open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from service_monitoring.domain.comparisons import Comparison
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.events import IncidentMoved, IncidentNoted, SeriesFlapped
from service_monitoring.domain.incidents import Cause, Incident, State
from service_monitoring.domain.inputs import Act, Acted, Requeued, Retired
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.notices import Facts
from service_monitoring.domain.routing import facts_of
from service_monitoring.domain.silences import Wanted
from service_monitoring.ports import Drafts, Ended
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.views.incidents import EVERY, IncidentRow, Narrow
from service_monitoring.views.intake import KeyRow, NewKey, PingRow
from service_monitoring.views.maintenance import MaintenanceRow
from service_monitoring.views.rules import RuleDetail, RuleRow
from service_monitoring.views.silences import EVERY_SILENCE, SilencePage, SilencePreview, SilenceRow
from service_monitoring.views.wording import render_summary


class Transition(Struct, frozen=True):
    """What happened to an incident, in words (`what`), and the state and severity that it was in afterwards.

    Moves are numbered. What was assigned or noted, and that its series began to flap, or stopped, is no move and has no
    number. `comment` is what a person wrote.
    """

    sequence: int | None
    at: str
    what: str
    state: str
    severity: str
    cause: str
    by: str
    value: float | None
    reason: str | None
    detail: str
    comment: str


class Telling(Struct, frozen=True):
    """One notice and what became of it: `state` is that of the outbox, `recipient` who it was for, as `person.ada`."""

    key: str
    channel: str
    page: str
    decided_at: str
    held: str
    state: str
    attempts: int
    detail: str
    recipient: str = ""


class OutboxRow(Struct, frozen=True):
    """One notice of the outbox. `since` is when its last attempt ended, or when it was decided where none has.

    `position` is its place among all notices: those decided later have higher ones.
    """

    key: str
    channel: str
    page: str
    service: str
    rule: str
    incident: str
    summary: str
    decided_at: str
    state: str
    attempts: int
    next_at: str | None
    detail: str
    since: str
    position: int = 0


class TriedRow(Struct, frozen=True):
    """One attempt at a notice, and how it ended."""

    attempt: int
    outcome: str
    detail: str
    at: str


class NoticeDetail(Struct, frozen=True):
    """One notice with its text and every attempt. What permits its reader to act is struck out of the text.

    There is no text before it is tried for the first time. `incidents` are those that it says something new of, and
    `held` why it was not to be told, if so.
    """

    notice: OutboxRow
    recipient: str
    group: str
    thread: str
    held: str
    incidents: tuple[str, ...]
    subject: str
    body: str
    degraded: str
    attempts: tuple[TriedRow, ...]


class IncidentDetail(Struct, frozen=True):
    """An incident with everything that happened to it.

    `condition` is what its rule asks, by the configuration in force: empty where that has no such rule, or no limit.
    """

    incident: IncidentRow
    breached_at: str
    previous: str
    transitions: tuple[Transition, ...]
    notices: tuple[Telling, ...]
    condition: str = ""


class Status(Struct, frozen=True):
    """How the program itself is. `running` is false when only the store was asked; no `trouble` when all is well.

    `listens` is the address where reports and samples arrive, if there is one. `heartbeat` is how the outward heartbeat
    stands, empty where nobody is called. `feed` is who hears of changes as they come, `listeners` how many these are.
    `lag_seconds` is how late the event loop is (`event_loop`), how late it was at most (`longest`), and how long ago
    everything was judged (`judging`). `configuration` has the file and the revision that are in force.
    """

    version: str
    running: bool
    services: int
    checks: int
    rules: int
    incidents: dict[str, int]
    outbox: dict[str, int]
    judged_until: str
    trouble: tuple[str, ...] = ()
    loops: dict[str, Any] = {}
    queues: dict[str, Any] = {}
    polling: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    listens: str = ""
    heartbeat: dict[str, Any] = {}
    feed: dict[str, Any] = {}
    lag_seconds: dict[str, float] = {}
    uplink: dict[str, Any] = {}
    configuration: dict[str, str] = {}
    listeners: int = 0


class Reloaded(Struct, frozen=True):
    """What came of a reload that was not refused.

    `changed` names what is another now: rules (with services and routes), checks, channels, heartbeat, retention, and
    status pages. `restart` are sentences about what the file says and only a start can do, `remarks` what else is to be
    said.
    """

    file: str
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Desk(Protocol):
    """What faces ask and tell.

    Questions see committed facts only, but how a rule stands is as it is decided, a commit ahead at most. `act`,
    `retire`, `silence` and `expire` return when what they decided is committed; `Refused` with a sentence when it is
    not allowed, `NotFound` when there is no such thing, `Unavailable` when it cannot be stored now.
    """

    async def incidents(
        self,
        *,
        states: Sequence[State],
        service: str | None,
        limit: int,
        drafts: Drafts = Drafts.LEFT_OUT,
        narrow: Narrow = EVERY,
        after: str = "",
    ) -> list[IncidentRow]:
        """Newest first; all states when none is named. `after` is the id of the last one of the page before.

        `Refused` where that one has been forgotten meanwhile.
        """
        ...

    async def incident(self, id: str) -> IncidentDetail:
        """One of them, by its whole id; `NotFound`."""
        ...

    async def explain(self, id: str, at: Instant | None, person: str) -> Explanation:
        """Who was told of an incident by an instant, who was not, and why; by now where none is named.

        With a `person`, whatever concerns that one alone. `NotFound` for an incident or a person that there is not.
        """
        ...

    async def act(self, act: Acted) -> IncidentRow:
        """What a person does to an incident; a note may be on one that is over."""
        ...

    async def retire(self, retired: Retired) -> None:
        """Retire a rule for ever."""
        ...

    async def silences(self, *, ended: Ended, page: SilencePage = EVERY_SILENCE) -> list[SilenceRow]:
        """The latest to end first; those of one state where the page names one."""
        ...

    async def silence(self, wanted: Wanted) -> SilenceRow:
        """Make a silence."""
        ...

    async def expire(self, id: str, by: str) -> SilenceRow:
        """End a silence now, by its id or an unambiguous beginning of it."""
        ...

    async def extend(self, id: str, by: str, length: Duration) -> SilenceRow:
        """Let a silence end so much later: another takes its place, and it ends."""
        ...

    async def maintenance(self) -> list[MaintenanceRow]:
        """The planned work of the configuration in force, in the order of the file."""
        ...

    async def preview(self, matchers: tuple[Matcher, ...]) -> SilencePreview:
        """Which incidents these matchers match now, and did in the last week."""

    async def outbox(
        self, *, states: Sequence[str], limit: int, channel: str = "", text: str = "", before: int | None = None
    ) -> list[OutboxRow]:
        """Notices, the latest decided first; in all states when none is named, and of all channels.

        `text` is looked for in the newest 20,000 of them. `before` is the position of the last of the page before.
        """
        ...

    async def notice(self, key: str) -> NoticeDetail:
        """One notice, by its key or an unambiguous beginning of it; `NotFound`, `Refused`."""
        ...

    async def requeue(self, requeued: Requeued) -> OutboxRow:
        """Have a parked notice sent once more, under the same key, which may be shortened to its beginning."""
        ...

    async def rules(
        self, *, service: str | None = None, after: tuple[str, str] | None = None, limit: int | None = None
    ) -> list[RuleRow]:
        """Rules of the configuration in force, by the name of their service, then in the order of the file.

        `after` is service and rule of the last one of the page before; `Refused` where that rule has gone meanwhile.
        """
        ...

    async def rule(self, service: str, rule: str) -> RuleDetail:
        """One of them with every series that it judges; `NotFound`."""
        ...

    async def uptime(self, service: str, began: Instant | None, ended: Instant | None) -> UptimeRow:
        """How a service was, lately where no range is named; `NotFound`, or `Refused` for what is no range."""
        ...

    async def budgets(self, service: str) -> list[BudgetRow]:
        """What is left of the error budgets of a service, by rule, in the order of the file; `NotFound`."""
        ...

    async def status(self) -> Status:
        """How it is."""
        ...

    async def backup(self, target: str) -> str:
        """Write a backup of everything to a new file and give back its path."""
        ...

    async def reload(self) -> Reloaded:
        """Read the configuration again, and do what it says from now on.

        `InvalidSettings` where the file is to be mended: nothing has changed then.
        """
        ...

    async def pings(self, check: str, *, limit: int) -> list[PingRow]:
        """The newest reports to a check, named `service.check`; `NotFound` when there is no such check."""
        ...

    async def keys(self) -> list[KeyRow]:
        """The keys that open something, without what opens it."""
        ...

    async def create_key(self, check: str) -> NewKey:
        """The first key of a check that reports by itself: shown this once."""
        ...

    async def rotate_key(self, check: str, overlap: Duration) -> NewKey:
        """Another key in place of those that the check has, which close after `overlap`."""
        ...

    async def revoke_key(self, check: str) -> int:
        """Forget all keys of a check; how many there were."""
        ...


def facts_now(incident: Incident, configuration: Configuration) -> Facts:
    """What is known of an incident by the configuration in force; its rule may be gone from it."""
    for service in configuration.services:
        if service.name != incident.service:  # of ten thousand services nearly all: their rules are not looked at
            continue
        for rule in service.rules:
            if rule.name == incident.rule:
                return facts_of(incident, rule, service)
    return Facts(incident=incident.id, service=incident.service, rule=incident.rule, state=incident.state)


def row(incident: Incident, until: Instant | None, configuration: Configuration) -> IncidentRow:
    """An incident as a list shows it; `until` is when its acknowledgement expires."""
    return IncidentRow(
        id=incident.id,
        service=incident.service,
        rule=incident.rule,
        series=str(incident.series),
        severity=incident.severity,
        state=incident.state,
        opened_at=None if incident.opened_at is None else str(incident.opened_at),
        acknowledged_at=None if incident.acknowledged_at is None else str(incident.acknowledged_at),
        resolved_at=None if incident.ended_at is None else str(incident.ended_at),
        summary=render_summary(facts_now(incident, configuration)),
        acknowledged_until=None if until is None else str(until),
        draft=incident.draft,
        assigned_to=incident.assigned_to,
        acknowledged_by=incident.acknowledged_by,
    )


def condition_now(incident: Incident, configuration: Configuration) -> str:
    """What its rule asks of a value, as `above 0.5`; empty where it has no such limit, or is gone."""
    for service in configuration.services:
        if service.name == incident.service:
            for rule in service.rules:
                comparison = getattr(rule.strategy, "comparison", None)
                if rule.name == incident.rule and isinstance(comparison, Comparison):
                    return comparison_text(comparison)
    return ""


def comparison_text(comparison: Comparison) -> str:
    """A comparison in words: `at least 3`, `outside 1 to 5`."""
    limits = " to ".join(f"{limit:g}" for limit in comparison.limits)
    return f"{comparison.operator.replace('_', ' ')} {limits}"


def transitions(events: Iterable[IncidentMoved | IncidentNoted | SeriesFlapped]) -> Iterator[Transition]:
    """What happened to an incident, oldest first, as its page shows it."""
    before: Incident | None = None
    for event in events:
        if isinstance(event, IncidentMoved):
            yield _move(event, before)
            before = event.incident
        elif before is not None:
            yield _noted(event, before) if isinstance(event, IncidentNoted) else _flapping(event, before)


def _move(event: IncidentMoved, before: Incident | None) -> Transition:
    incident = event.incident
    what = str(incident.state)
    if before is not None and incident.severity is not before.severity:
        what = f"raised to {incident.severity}"
    elif incident.cause is Cause.EXPIRED:
        what = "acknowledgement expired"
    elif event.act is Act.SNOOZE:
        what = "snoozed"
    # Who acknowledged was always written, who did something else is only since there is `act`.
    by = event.by or (incident.acknowledged_by if incident.state is State.ACKNOWLEDGED else "")
    return Transition(
        sequence=incident.sequence,
        at=str(event.at),
        what=what,
        state=incident.state,
        severity=incident.severity,
        cause=incident.cause,
        by=by,
        value=incident.evidence.value,
        reason=incident.evidence.reason,
        detail=incident.evidence.detail,
        comment=event.comment,
    )


def _noted(event: IncidentNoted, incident: Incident) -> Transition:
    return Transition(
        sequence=None,
        at=str(event.at),
        what=f"assigned to {event.to}" if event.act is Act.ASSIGN else "note",
        state=incident.state,
        severity=incident.severity,
        cause=Cause.PERSON,
        by=event.by,
        value=None,
        reason=None,
        detail="",
        comment=event.text,
    )


def _flapping(event: SeriesFlapped, incident: Incident) -> Transition:
    share = f"{event.percent:g} % of its last verdicts are changes"
    return Transition(
        sequence=None,
        at=str(event.at),
        what="flapping" if event.flapping else "no longer flapping",
        state=incident.state,
        severity=incident.severity,
        cause=Cause.SAMPLE,
        by="",
        value=None,
        reason=None,
        detail=share,
        comment="",
    )

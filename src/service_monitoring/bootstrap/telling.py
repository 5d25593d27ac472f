"""Telling on purpose: what a channel would say, and whether it takes a test, from the configuration alone.

Knows sinks and notices that nobody owes. Uses neither store nor outbox: what is sent here is sent once, and kept by
the far side alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec import Struct

from service_monitoring import plugins
from service_monitoring.bootstrap.wiring import close_kinds, open_sink, surroundings
from service_monitoring.domain.incidents import Cause, Incident, State
from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.domain.notices import Facts, Notice, Page, notice_key, thread_key
from service_monitoring.domain.routing import OWNERS
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Reason, Series
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Answer, Message, Sink
from service_monitoring.runtime.attempts import attempt, message_of
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import ChannelSettings, Redactor, Settings
from service_monitoring.views.desk import facts_now

_SERIES: Final = re.compile(r"([^/]*)/([^/]*)/([^{]*)(?:\{(.*)\})?", re.DOTALL)
_LABEL: Final = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"', re.DOTALL)
_MADE_UP: Final = "0123456789abcdef"


class Told(Struct, frozen=True):
    """What was sent to a channel, and what its far side said, without any secret of the configuration."""

    channel: str
    message: Message
    answer: Answer
    detail: str


def channel_of(settings: Settings, recipient: str) -> ChannelSettings:
    """The channel that is called so, or that a `person.NAME` is told through; `NotFound`, `Refused`."""
    sort, _, name = recipient.partition(".")
    if sort == "person" and name in settings.contacts:
        return settings.channels[settings.contacts[name]]
    if recipient in settings.channels:
        return settings.channels[recipient]
    if sort == "channel" and name in settings.channels:
        return settings.channels[name]
    if sort == "oncall":
        raise Refused(f"who {recipient} is depends on the time: name a person or a channel")
    people = (f"person.{each}" for each in sorted(settings.contacts))
    known = ", ".join([*sorted(settings.channels), *people]) or "none"
    raise NotFound(f"there is no channel {recipient}; there are: {known}")


async def send_test(settings: Settings, recipient: str) -> Told:
    """Send one notice that says that it is a test, under the deadline of a delivery. It is not tried again."""
    clock = SystemClock()
    channel = channel_of(settings, recipient)
    at = clock.now()
    facts = Facts(
        summary=f"this is a test of the channel {channel.name}: nothing is wrong", severity=Severity.INFO, state="test"
    )
    async with _opened(settings, channel) as sink:
        message = message_of(sink, _notice(channel.name, Page.OWNER, at, facts))
        answer, _ = await attempt(sink, message, clock)
    return Told(channel.name, message, answer, Redactor(settings.secrets)(answer.detail))


async def preview(settings: Settings, recipient: str, detail: Mapping[str, Any] | None = None) -> Message:
    """What a channel would send of an incident as a desk tells it, or of one that is made up. Nothing is sent."""
    channel = channel_of(settings, recipient)
    at = SystemClock().now()
    facts = made_up(at) if detail is None else facts_now(told_incident(detail), settings.configuration)
    page = Page.FIRST if facts.ended_at is None else Page.RECOVERED
    async with _opened(settings, channel) as sink:
        return message_of(sink, _notice(channel.name, page, at, facts))


def made_up(at: Instant) -> Facts:
    """What is known of an incident that never was."""
    breached = at.plus(Duration(-5 * MINUTE))
    return Facts(
        summary="{{ service }} is down: {{ reason }}",
        runbook="https://wiki.example.com/{{ service }}/{{ rule }}",
        incident=_MADE_UP,
        service="example",
        rule="down",
        series=Series("example", "health", "up"),
        severity=Severity.CRITICAL,
        state=State.OPEN,
        labels=(("service", "example"), ("severity", "critical")),
        breached_at=breached,
        opened_at=breached.plus(Duration(MINUTE)),
        cause=Cause.TIMER,
        evidence=Evidence(value=0.0, reason=Reason.TIMEOUT, detail="no answer within 2 s"),
    )


def told_incident(detail: Mapping[str, Any]) -> Incident:
    """The incident that a desk told of, as far as a notice speaks of it."""
    row, moves = detail["incident"], detail["transitions"]
    last, opened = moves[-1], next((each for each in moves if each["what"] == State.OPEN), None)
    return Incident(
        id=row["id"],
        service=row["service"],
        rule=row["rule"],
        series=series_of(row["series"]),
        severity=Severity(row["severity"]),
        state=State(row["state"]),
        sequence=len(moves),
        breached_at=Instant.parse(detail["breached_at"]),
        changed_at=Instant.parse(last["at"]),
        cause=Cause(last["cause"]),
        evidence=Evidence(last["value"], reason=_reason(last), detail=last["detail"]),
        opened_at=_moment(row["opened_at"]),
        opened_reason=None if opened is None else _reason(opened),
        opened_detail="" if opened is None else opened["detail"],
        acknowledged_at=_moment(row["acknowledged_at"]),
        ended_at=_moment(row["resolved_at"]),
        previous=detail["previous"],
    )


def series_of(text: str) -> Series:
    """The series that reads so."""
    found = _SERIES.fullmatch(text)
    if found is None:
        raise Refused(f"{text!r} is no series")
    service, check, metric, inner = found.groups()
    labels = ((name, re.sub(r"\\(.)", _plain, value, flags=re.DOTALL)) for name, value in _LABEL.findall(inner or ""))
    return Series(service, check, metric, tuple(labels))


def _plain(escaped: re.Match[str]) -> str:
    return "\n" if escaped[1] == "n" else escaped[1]


def _reason(move: Mapping[str, Any]) -> Reason | None:
    return None if move["reason"] is None else Reason(move["reason"])


def _moment(text: str | None) -> Instant | None:
    return None if text is None else Instant.parse(text)


def _notice(channel: str, page: Page, at: Instant, facts: Facts) -> Notice:
    group = hashlib.sha256(f"on purpose\n{channel}\n{at}".encode()).hexdigest()[:16]
    return Notice(
        key=notice_key(group, OWNERS, channel, page, 1),
        thread=thread_key(group, OWNERS, channel),
        group=group,
        sequence=1,
        recipient=OWNERS,
        channel=channel,
        page=page,
        decided_at=at,
        facts=facts,
    )


@asynccontextmanager
async def _opened(settings: Settings, channel: ChannelSettings) -> AsyncIterator[Sink]:
    try:
        yield open_sink(channel, surroundings(settings, SystemClock()))
    finally:
        await close_kinds([(plugins.SINKS, channel.kind)])

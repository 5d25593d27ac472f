"""The same streams through our own dispatch, in simulated time: an alert that fires is an incident that opens."""

from __future__ import annotations

from itertools import count

from msgspec.structs import replace

from service_monitoring.domain import configuration
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.dispatch import Dispatch
from service_monitoring.domain.instants import DAY, MILLISECOND, MINUTE, Duration, Instant
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Facts, Notice
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.domain.tracks import Key
from service_monitoring.testing.builders import START
from tests.domain.alertmanager import streams
from tests.domain.alertmanager.streams import Notification, Status, Stream

_EVERY_DAY = tuple(range(7))


def replay(stream: Stream) -> list[Notification]:
    """What we tell."""
    agenda: Agenda[Key] = Agenda()
    dispatch = Dispatch(agenda)
    root = _route(stream.route, "0")
    inhibitions = tuple(
        configuration.Inhibition(_matchers(each.source), _matchers(each.target), each.equal)
        for each in stream.inhibitions
    )
    dispatch.configure(configuration.Configuration(routes=(root,), inhibitions=inhibitions), START)
    told: list[Notification] = []
    ids = count()
    firing: dict[str, Facts] = {}

    def until(ms: int) -> None:
        while (wanted := agenda.peek()) is not None and wanted[0] <= _at(ms).ns:
            key = wanted[2]
            assert len(key) == 2
            told.extend(_told(dispatch.fire(key, wanted[0], in_gap=False)))

    for event in stream.events:
        until(event.ms)
        at = _at(event.ms)
        if event.status is Status.FIRING:
            since = _at(event.ms if event.since is None else event.since)
            labels = tuple(sorted({"alertname": event.name, **stream.alerts[event.name]}.items()))
            facts = Facts(incident=f"{event.name} {next(ids)}", state="open", labels=labels, opened_at=since)
            firing[event.name] = facts
        else:
            facts = replace(firing.pop(event.name), state="resolved", ended_at=at)
        told.extend(_told(dispatch.move(facts, at)))
    until(stream.ends)
    return [each for each in told if each.ms < stream.ends]


def _route(node: streams.Route, path: str) -> configuration.Route:
    return configuration.Route(
        path,
        _matchers(node.matchers),
        group_by=node.group_by,
        wait=Duration(node.group_wait * MILLISECOND),
        interval=Duration(node.group_interval * MILLISECOND),
        repeat=Duration(node.repeat_interval * MILLISECOND),
        steps=(configuration.Step((f"channel.{node.receiver}",)),),
        proceed=node.continues,
        resolved=node.send_resolved,
        listed=1_000,
        muted=tuple(_hours(*span) for span in node.mutes),
        routes=tuple(_route(child, f"{path}.{place}") for place, child in enumerate(node.routes)),
    )


def _hours(since: int, until: int) -> ActiveHours:
    end = min(until, DAY // MILLISECOND)
    return ActiveHours("UTC", _EVERY_DAY, (Span(_minutes(since), _minutes(end)),))


def _minutes(ms: int) -> int:
    return max(0, ms * MILLISECOND // MINUTE)


def _matchers(given: tuple[streams.Matcher, ...]) -> tuple[Matcher, ...]:
    return tuple(Matcher(each.label, MatchOperator(each.operator), each.value) for each in given)


def _told(notices: list[Notice]) -> list[Notification]:
    return [_notification(notice) for notice in notices if notice.held is None]


def _notification(notice: Notice) -> Notification:
    alerts = frozenset(
        (facts.incident.split(" ")[0], Status.FIRING if facts.state == "open" else Status.RESOLVED)
        for facts in (notice.facts, *notice.others)
    )
    ms = notice.decided_at.since(START) // MILLISECOND
    return Notification(ms, notice.channel, notice.labels, alerts)


def _at(ms: int) -> Instant:
    return START.plus(Duration(ms * MILLISECOND))

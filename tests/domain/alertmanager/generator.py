"""Seeded streams on which every honest reader of Alertmanager agrees, and the rules that make them so.

The rules keep away from what only jitter, the half minute of an empty group's afterlife or Alertmanager's forgetting
would decide. The model says when flushes are due; it does not say what is right.
"""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from tests.domain.alertmanager.model import Flush, flushes, groups_of, replay
from tests.domain.alertmanager.streams import (
    Event,
    Inhibition,
    Matcher,
    Route,
    Status,
    Stream,
)

STREAMS = 224
SECOND = 1_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE

APART = 500
"""No event is nearer than this to a flush of its stream, and no edge of a muted time nearer than three times that."""

AFTERLIFE = 31 * SECOND
"""Alertmanager removes empty groups every 30 s; an alert that comes sooner would still find the old one."""

LOOKAHEAD = 12 * SECOND
"""Longer than any wait or interval: an event's own flushes come within it."""

EVENTS = 14
SEVERITIES = ("critical", "warning", "warning", "info")
SERVICES = ("shop", "base", "search")
GROUPINGS: tuple[tuple[str, ...], ...] = ((), ("service",), ("host",), ("severity",), ("service", "host"))
CHILDREN = (
    (Matcher("severity", "=", "critical"),),
    (Matcher("severity", "=~", "warning|info"),),
    (Matcher("service", "!=", "shop"),),
    (Matcher("service", "=", "base"),),
    (Matcher("host", "=~", "a.*"),),
    (Matcher("severity", "!=", "info"), Matcher("service", "=~", "s.+")),
)
TARGETS = (
    Matcher("severity", "=", "warning"),
    Matcher("severity", "=~", "warning|info"),
    Matcher("severity", "=~", "critical|warning"),
)
MUTES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((0, DAY),),
    ((0, MINUTE),),
    ((MINUTE, 2 * MINUTE),),
    ((2 * MINUTE, 10 * MINUTE),),
    ((0, MINUTE), (2 * MINUTE, 5 * MINUTE)),
    ((300 * MINUTE, 360 * MINUTE),),
)
FIRST = (300, 5_000)
PAUSES = ((700, 1_500), (2_000, 9_000), (2_000, 9_000), (9_000, 30_000), (32_000, 45_000))


def a_stream(seed: int) -> Stream:
    """The stream of that seed: the first attempt that breaks no rule."""
    random = Random(seed)
    while True:
        stream = _lived(random, _a_frame(random, seed))
        told = len(replay(stream))
        if not violations(stream) and len(stream.events) > 3 and (told > 2 or DAY in _edges(stream.route)):
            return stream


def _a_frame(random: Random, seed: int) -> Stream:
    """Routes and inhibitions, still without events: half of the streams are plain."""
    inhibits, mutes = seed % 8 in {4, 5, 7}, seed % 8 in {6, 7}
    top = _a_route(random, "top", (), mutes=mutes)
    routes = []
    for index, matchers in enumerate(random.sample(CHILDREN, random.randint(0, 3))):
        child = _a_route(random, f"r{index}", top.group_by, mutes=mutes)
        child = replace(child, matchers=matchers, continues=random.random() < 0.5)
        if random.random() < 0.3:
            rest = [other for other in CHILDREN if other != matchers]
            below = _a_route(random, f"r{index}-below", child.group_by, mutes=mutes)
            child = replace(child, routes=(replace(below, matchers=random.choice(rest)),))
        routes.append(child)
    if len(routes) > 1 and random.random() < 0.3:
        # Two routes may tell the same receiver; whether resolutions are told is the receiver's.
        routes[1] = replace(routes[1], receiver=routes[0].receiver, send_resolved=routes[0].send_resolved)
    inhibition = Inhibition(
        source=(Matcher("severity", "=", "critical"),),
        target=(random.choice(TARGETS),),
        equal=random.choice([(), ("service",), ("service",), ("service", "host")]),
    )
    ends = random.randrange(120 * SECOND, 172 * SECOND, 100)
    top = replace(top, routes=tuple(routes))
    alerts = {f"a{number}": _some_labels(random) for number in range(random.randint(2, 6))}
    if inhibits:
        alerts["a0"]["severity"], alerts["a1"] = "critical", alerts["a0"] | {"severity": "warning"}
    return Stream(f"s{seed:03}", top, (inhibition,) if inhibits else (), alerts, (), ends)


def _a_route(random: Random, receiver: str, above: tuple[str, ...], *, mutes: bool) -> Route:
    """With times of its own. A repeat is due half an interval after a flush, so that the next one tells it."""
    interval = random.randint(5, 10) * SECOND
    # In Alertmanager a node without grouping takes that of the node above.
    grouping = random.choice([each for each in GROUPINGS if each or not above])
    return Route(
        receiver=receiver,
        group_by=grouping,
        group_wait=random.randrange(1 * SECOND, 3 * SECOND + 1, 500),
        group_interval=interval,
        repeat_interval=interval * random.randint(15 * SECOND // interval + 1, 55 * SECOND // interval) + interval // 2,
        send_resolved=random.random() < 0.7,
        mutes=random.choice(MUTES) if mutes and random.random() < 0.7 else (),
    )


def _lived(random: Random, stream: Stream) -> Stream:
    """Let alerts fire and resolve, one after the other; what would break a rule does not happen."""
    firing: set[str] = set()
    at, calm = 0, 0
    while calm < 60:
        begins, ends = random.choice(PAUSES) if stream.events else FIRST
        moment = at + random.randrange(begins, ends, 100)
        name = random.choice(sorted(stream.alerts))
        status = Status.RESOLVED if name in firing else Status.FIRING
        since = _heard_late(random, stream, name, moment) if status is Status.FIRING else None
        longer = replace(stream, events=(*stream.events, Event(moment, name, status, since)))
        soon = moment + LOOKAHEAD
        if soon > stream.ends or violations(replace(longer, ends=soon)):
            calm += 1
            continue
        stream, at, calm = longer, moment, 0
        firing ^= {name}
        if len(stream.events) == EVENTS:
            break
    return stream


def _heard_late(random: Random, stream: Stream, name: str, moment: int) -> int | None:
    """Since when an alert fires that is only now heard of; never where inhibition is asked at the same moment.

    Not before it was last resolved: Alertmanager would take both for one.
    """
    before = max((event.ms for event in stream.events if event.name == name), default=0)
    since = moment - random.randrange(1_000, 10_000, 100)
    return since if not stream.inhibitions and random.random() < 0.3 and since > before + APART else None


def _some_labels(random: Random) -> dict[str, str]:
    labels = {"severity": random.choice(SEVERITIES), "service": random.choice(SERVICES)}
    host = random.choice(("", "a1", "a2", "b1"))
    return labels | ({"host": host} if host else {})


def _edges(route: Route) -> list[int]:
    return [edge for node in route.nodes() for span in node.mutes for edge in span]


def violations(stream: Stream) -> list[str]:
    """Every rule that a stream breaks, as a sentence."""
    due = flushes(stream)
    return [*_badly_timed(stream, due), *_out_of_turn(stream, due), *_told_differently(due)]


def _badly_timed(stream: Stream, due: list[Flush]) -> list[str]:
    """Jitter must decide nothing."""
    found = [
        f"{event.name} at {event.ms} is near the flush at {flush.at}"
        for event in stream.events
        for flush in due
        # At the moment itself only what the alert has brought about.
        if abs(event.ms - flush.at) < APART and not (flush.at_once and flush.at == event.ms)
    ]
    found += [
        f"{event.name}, heard late at {event.ms}, has waited about as long as its route wants"
        for event in stream.events
        if event.since is not None
        for _, route, _ in groups_of(stream.route, stream.alerts[event.name])
        if abs(event.since + route.group_wait - event.ms) < APART
    ]
    found += [
        f"the flush at {flush.at} is near the edge of a muted time"
        for flush in due
        if any(abs(flush.at - edge) < 3 * APART for span in flush.route.mutes for edge in span)
    ]
    found += [
        f"the notification at {flush.at} is near the end"
        for flush in due
        if flush.notification is not None and stream.ends - flush.at < 3 * APART
    ]
    return found


def _out_of_turn(stream: Stream, due: list[Flush]) -> list[str]:
    """An alert fires again only after a flush saw it resolved; a group begins again only after its afterlife."""
    found = []
    began: dict[str, Event] = {}
    ended: dict[str, Event] = {}
    for event in stream.events:
        seen = [
            [flush for flush in due if flush.at < event.ms and (flush.path, flush.group) == (path, group)]
            for path, _, group in groups_of(stream.route, stream.alerts[event.name])
        ]
        if event.status is Status.RESOLVED:
            lived = event.ms - began[event.name].ms
            ended[event.name] = event
            found += [
                f"{event.name} was flushed and lived for {lived} only"
                for flushed in seen
                for flush in flushed
                if flush.at >= began[event.name].ms and lived <= flush.route.group_interval
            ]
            continue
        began[event.name] = event
        for flushed in seen:
            last = flushed[-1] if flushed else None
            if event.name in ended and (last is None or last.at < ended[event.name].ms):
                found.append(f"{event.name} fires again at {event.ms} before its resolution was seen")
            if last is not None and Status.FIRING not in last.alerts.values() and event.ms - last.at < AFTERLIFE:
                found.append(f"{event.name} fires at {event.ms}, soon after its group became empty")
    return found


def _told_differently(due: list[Flush]) -> list[str]:
    """Only what was told is told resolved, and all of that; what is told and still fires is never inhibited."""
    found = []
    told: set[tuple[str, str]] = set()
    for flush in due:
        said = flush.notification.alerts if flush.notification is not None else frozenset()
        for name, status in flush.alerts.items():
            key = (flush.path, name)
            if status is Status.RESOLVED:
                if ((name, status) in said) is not (key in told and flush.route.send_resolved):
                    found.append(f"{name} is told resolved at {flush.at} though it was not told, or the reverse")
                told.discard(key)
            elif key in told:
                if name not in flush.visible and not flush.muted:
                    found.append(f"{name} is inhibited at {flush.at} after it was told")
            elif name in flush.visible:
                if (name, status) not in said:
                    found.append(f"{name} fires anew at {flush.at} and is not told")
                told.add(key)
    return found

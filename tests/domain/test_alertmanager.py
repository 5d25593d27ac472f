"""Grouping against Alertmanager itself: seeded streams of alerts, and what Debian's 0.25 told about each of them.

What it told is kept in a fixture and replayed here in simulated time; `make oracle` asks the program again, and records
anew what is not there: without the file, everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.domain.alertmanager import model, ours
from tests.domain.alertmanager.generator import STREAMS, a_stream, violations
from tests.domain.alertmanager.running import PROGRAM, Run, too_late
from tests.domain.alertmanager.streams import (
    FIXTURE,
    Notification,
    Recorded,
    Route,
    Status,
    Stream,
    differences,
    read,
    write,
)
from tests.drawing import drawn

RECORDED = read() if FIXTURE.exists() else []

Replay = Callable[[Stream], list[Notification]]
REPLAYS: dict[str, Replay] = {"model": model.replay, "ours": ours.replay}
"""Whoever claims to tell what Alertmanager tells, by name."""


@pytest.mark.parametrize("replay", REPLAYS.values(), ids=list(REPLAYS))
@pytest.mark.parametrize("recorded", RECORDED, ids=[each.stream.name for each in RECORDED])
def test_the_same_alerts_give_the_notifications_that_alertmanager_sent(recorded: Recorded, replay: Replay) -> None:
    assert differences(recorded.notifications, tuple(replay(recorded.stream))) == []


def test_the_recorded_streams_contain_what_grouping_is_about() -> None:
    assert len(RECORDED) == STREAMS
    told = [each for recorded in RECORDED for each in recorded.notifications]
    flushes = [flush for recorded in RECORDED for flush in model.flushes(recorded.stream)]
    nodes = [node for recorded in RECORDED for node in recorded.stream.route.nodes()]
    assert len(told) > 1_800
    assert sum(len(each.alerts) > 1 for each in told) > 300
    assert sum(any(status is Status.RESOLVED for _, status in each.alerts) for each in told) > 400
    assert sum(_repeats(recorded) for recorded in RECORDED) > 300
    assert sum(flush.muted for flush in flushes) > 300
    assert sum(not flush.muted and len(flush.visible) < len(flush.alerts) for flush in flushes) > 200
    assert sum(event.since is not None for recorded in RECORDED for event in recorded.stream.events) > 100
    assert sum(node.continues for node in nodes) > 100
    assert sum(not node.send_resolved for node in nodes) > 100


CHANGES: dict[str, Callable[[Route], Route]] = {
    "group_by": lambda node: replace(node, group_by=("alertname",)),
    "group_wait": lambda node: replace(node, group_wait=node.group_wait + 1_500),
    "group_interval": lambda node: replace(node, group_interval=node.group_interval + 1_500),
    "repeat_interval": lambda node: replace(node, repeat_interval=node.repeat_interval + node.group_interval),
    "matchers": lambda node: replace(node, matchers=()),
    "continues": lambda node: replace(node, continues=not node.continues),
    "send_resolved": lambda node: replace(node, send_resolved=not node.send_resolved),
    "mutes": lambda node: replace(node, mutes=()),
    "routes": lambda node: replace(node, routes=()),
}


@pytest.mark.parametrize("setting", CHANGES)
def test_each_setting_of_a_route_decides_what_was_sent_in_many_streams(setting: str) -> None:
    def changed(node: Route) -> Route:
        return CHANGES[setting](replace(node, routes=tuple(changed(child) for child in node.routes)))

    assert _differing(lambda stream: replace(stream, route=changed(stream.route))) > 20


def test_inhibition_decides_what_was_sent_in_many_streams() -> None:
    assert _differing(lambda stream: replace(stream, inhibitions=())) > 20


def _differing(change: Callable[[Stream], Stream]) -> int:
    """In so many recorded streams the model tells something else when they are changed like this."""
    return sum(
        bool(differences(recorded.notifications, tuple(model.replay(change(recorded.stream))))) for recorded in RECORDED
    )


def _repeats(recorded: Recorded) -> int:
    said: dict[object, object] = {}
    repeats = 0
    for each in recorded.notifications:
        whom = (each.receiver, each.group)
        repeats += said.get(whom) == each.alerts
        said[whom] = each.alerts
    return repeats


@pytest.mark.parametrize("recorded", RECORDED[::20], ids=[each.stream.name for each in RECORDED[::20]])
def test_a_recorded_stream_is_still_the_one_of_its_seed(recorded: Recorded) -> None:
    assert a_stream(int(recorded.stream.name.removeprefix("s"))) == recorded.stream


def test_a_difference_is_named_whichever_side_it_is_on() -> None:
    firing = Notification(1_000, "ops", (("service", "shop"),), frozenset({("slow", Status.FIRING)}))
    resolved = Notification(1_000, "ops", (("service", "shop"),), frozenset({("slow", Status.RESOLVED)}))
    later = Notification(2_001, "ops", (("service", "shop"),), frozenset({("slow", Status.FIRING)}))
    assert differences((firing,), (firing,)) == []
    assert differences((firing,), (resolved,)) == [
        "at 1000 ops of {'service': 'shop'}: slow firing is missing",
        "at 1000 ops of {'service': 'shop'}: slow resolved is too much",
    ]
    assert len(differences((firing,), (later,))) == 2
    assert len(differences((firing, firing), (firing,))) == 1


def is_comparable(stream: Stream) -> bool:
    """Whether Alertmanager is the oracle; elsewhere told-state decides, or chance.

    Nothing is inhibited or muted, no alert lives shorter than a group interval, and none comes with a flush.
    """
    routes = [stream.route, *below_of(stream.route)]
    if stream.inhibitions or any(route.mutes for route in routes):
        return False
    began: dict[str, int] = {}
    for event in stream.events:
        if event.status is Status.FIRING:
            began[event.name] = event.ms
        elif event.name in began and event.ms - began.pop(event.name) < max(route.group_interval for route in routes):
            return False
    instants = {event.ms for event in stream.events}
    return not any(
        (late - early - route.group_wait) % route.group_interval == 0 and late > early
        for route in routes
        for late in instants
        for early in instants
    )


def below_of(route: Route) -> Iterator[Route]:
    for each in route.routes:
        yield each
        yield from below_of(each)


@pytest.mark.parametrize("replay", REPLAYS.values(), ids=list(REPLAYS))
@settings(max_examples=drawn(1 / 3), suppress_health_check=[HealthCheck.filter_too_much])
@given(seed=st.integers(STREAMS, 1_000_000))
def test_on_streams_that_nobody_recorded_all_tell_what_the_model_tells(seed: int, replay: Replay) -> None:
    stream = a_stream(seed)
    assume(is_comparable(stream))
    assert differences(tuple(model.replay(stream)), tuple(replay(stream))) == []


@settings(max_examples=drawn(1 / 3))
@given(seed=st.integers(STREAMS, 1_000_000))
def test_on_every_generated_stream_only_what_was_told_is_told_resolved(seed: int) -> None:
    stream = a_stream(seed)
    assert violations(stream) == []
    open_to: dict[tuple[str, tuple[tuple[str, str], ...]], set[str]] = {}
    for each in model.replay(stream):
        told = open_to.setdefault((each.receiver, each.group), set())
        names = dict(each.alerts)
        assert {name for name, status in names.items() if status is Status.RESOLVED} <= told
        told |= {name for name, status in names.items() if status is Status.FIRING}


@pytest.mark.oracle
@pytest.mark.real_time("Alertmanager lives on the real clock: three minutes of it")
@pytest.mark.timeout(600)
@pytest.mark.skipif(PROGRAM is None, reason="Debian's package prometheus-alertmanager is not installed")
async def test_alertmanager_still_tells_what_was_recorded(tmp_path: Path) -> None:
    run = Run([a_stream(seed) for seed in range(STREAMS)])
    told = await run.record(tmp_path)
    assert not too_late(run), f"an alert came {run.late} ms late: the machine is too busy for this"
    if not FIXTURE.exists():
        write(told)
    kept = read()
    assert [each.stream for each in kept] == [each.stream for each in told]
    changed = {
        one.stream.name: found
        for one, other in zip(kept, told, strict=True)
        if (found := differences(one.notifications, other.notifications))
    }
    count = sum(len(each.notifications) for each in told)
    print(f"{len(told)} streams, {count} notifications, alerts late by {run.late} ms: {len(changed)} streams differ")
    assert changed == {}

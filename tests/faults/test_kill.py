"""The program killed without notice: nothing is lost or opens twice, and what it recorded rehearses to the byte."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from service_monitoring.domain.course import Decision
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.notices import Notice
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.wire.ledger import ledger
from tests.faults.world import World, a_world, kill, stop, wait_for
from tests.rehearsals.loop import rehearse

CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
services:
  shop:
    checks:
      health: {http: $target, every: 200ms, timeout: 150ms}
    rules:
      down:
        when: {check: health, metric: up, below: 1}
        for: 300ms
        severity: critical
      often:
        when: {check: health, metric: up, last: 3, need: all, below: 1}
channels:
  hook: {webhook: $sink}
routes:
  - notify: [channel.hook]
self: {notify: [channel.hook]}
"""


def decisions_live_and_rehearsed(folder: Path) -> tuple[list[Decision], list[Decision]]:
    """What the store says was decided, and what its recorded inputs decide again."""

    async def read() -> tuple[list[Decision], list[Decision]]:
        async with await SqliteStore.open(folder, SystemClock()) as store:
            decided = [decision async for decision in store.decisions()]
            inputs = [admitted async for admitted in store.inputs()]
            progress = (await store.load()).progress
            assert progress is not None
            return decided, rehearse(inputs, progress.judged)

    return asyncio.run(read())


def check(world: World, kills: int) -> str:
    """Compare store, sink and truth; a line of figures."""
    decided, again = decisions_live_and_rehearsed(world.folder / "data")
    assert ledger(again) == ledger(decided)
    moves = [decision.incident for decision in decided if isinstance(decision, IncidentMoved)]
    for incident in {move.id for move in moves}:
        numbers = [move.sequence for move in moves if move.id == incident]
        assert numbers == list(range(1, len(numbers) + 1)), f"{incident} has moves {numbers}"
    opened = Counter((move.rule, move.id) for move in moves if move.state is State.OPEN)
    assert max(opened.values(), default=1) == 1
    live: set[tuple[str, str]] = set()
    for move in moves:
        if move.state is State.OPEN:
            assert (move.rule, str(move.series)) not in live, "one incident at a time"
            live.add((move.rule, str(move.series)))
        elif move.ended_at is not None:
            live.discard((move.rule, str(move.series)))
    owed = {decision.key for decision in decided if isinstance(decision, Notice) and decision.held is None}
    # What the monitor says of itself while its store cannot be used goes straight to the owners, past the outbox.
    alarms = [message.body["summary"] for message in world.accepted if message.body["state"] == "trouble"]
    sends = Counter(message.key for message in world.accepted if message.body["state"] != "trouble")
    assert set(sends) == owed, f"lost {owed - set(sends)}, unknown {set(sends) - owed}"
    again_sent = sum(sends.values()) - len(sends)
    assert again_sent <= kills, "a kill may repeat one send of each lease that it cut"
    bodies: dict[str, set[str]] = {}
    for message in world.accepted:
        bodies.setdefault(message.key, set()).add(str(message.body))
    assert all(len(same) == 1 for same in bodies.values()), "one key, one body"
    told = f"{len(opened)} incidents, {len(owed)} notices owed, 0 lost, {again_sent} sent again"
    return f"{kills} kills: {told}, alarms {alarms}"


def drive(world: World, kills: int, seed: int) -> None:
    """Turn the target up and down while the program is killed at random instants."""
    dice = random.Random(seed)
    config = world.configure(CONFIGURATION)
    for _ in range(kills):
        world.polls = 0
        process = world.start(config)
        wait_for(lambda: world.polls > 0, "a first poll")
        end = time.monotonic() + dice.uniform(0.0, 2.0)
        while time.monotonic() < end:
            world.target_status = dice.choice([200, 200, 503, 503, 503])
            world.sink_delay = dice.choice([0.0, 0.0, 0.1])
            time.sleep(dice.uniform(0.0, 0.6))
        kill(process)
    world.target_status, world.sink_delay = 200, 0.0
    process = world.start(config)
    wait_for(lambda: _settled(world), "the end of every notice", 90)
    assert stop(process) == 0


def _settled(world: World) -> bool:
    """No incident open, nothing waiting: asked over the socket."""
    from service_monitoring.cli.client import NotRunning, ask
    from service_monitoring.errors import Unavailable

    try:
        status = ask(world.folder / "data" / "control.sock", "GET", "/api/v1/status")
    except (NotRunning, Unavailable):
        return False
    waiting = {state: number for state, number in status["outbox"].items() if state not in {"delivered", "held"}}
    return not any(status["incidents"].values()) and not any(waiting.values())


def test_a_program_killed_four_times_loses_nothing_and_rehearses_to_the_byte(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        drive(world, kills=4, seed=1)
        print(check(world, kills=4))


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        drive(world, kills=200, seed=2)
        print(check(world, kills=200))

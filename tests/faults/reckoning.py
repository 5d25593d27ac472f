"""The reckoning after a fault: what the store decided, what the sink got, and what the recorded inputs decide again.

Knows the ledger and the laws of incidents and notices. Does not know what went wrong before.
"""

import asyncio
from collections import Counter
from pathlib import Path

from service_monitoring.domain.course import Decision
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import State
from service_monitoring.domain.notices import Notice
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.wire.ledger import ledger
from tests.faults.world import World
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
  - {notify: [channel.hook], group_by: ["..."], group_wait: 0s, group_interval: 0s}
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


def reckon(world: World, *, repeats: int) -> str:
    """Compare store, sink and truth, where up to `repeats` sends were cut off; a line of figures."""
    decided, again = decisions_live_and_rehearsed(world.data)
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
    sends = Counter(message.key for message in world.accepted if message.body["state"] not in {"trouble", "over"})
    assert set(sends) == owed, f"lost {owed - set(sends)}, unknown {set(sends) - owed}"
    again_sent = sum(sends.values()) - len(sends)
    assert again_sent <= repeats, "only a send that was cut off is repeated"
    bodies: dict[str, set[str]] = {}
    for message in world.accepted:
        bodies.setdefault(message.key, set()).add(str(message.body))
    assert all(len(same) == 1 for same in bodies.values()), "one key, one body"
    told = f"{len(opened)} incidents, {len(owed)} notices owed, 0 lost, {again_sent} sent again"
    return f"{told}, alarms {alarms}"

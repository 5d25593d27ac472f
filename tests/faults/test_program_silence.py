"""A silence that is made while a page waits for its next attempt (row 55): the program sends it no more."""

from __future__ import annotations

from pathlib import Path

from service_monitoring.cli.client import ask
from tests.faults.reckoning import CONFIGURATION
from tests.faults.world import World, a_world, kill, stop, wait_for


def withheld(world: World) -> int:
    return int(world.ask("/api/v1/status")["outbox"].get("withheld", 0))


def test_a_page_that_waits_for_its_next_attempt_is_not_sent_after_a_silence_was_made(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        world.target_status, world.sink_status = 503, 503
        process = world.start(world.configure(CONFIGURATION))
        try:
            wait_for(lambda: len({message.key for message in world.received}) == 2, "a first attempt for both rules")
            wait_for(world.answers, "an open door")
            wanted = {"matchers": ["service=shop"], "by": "ada", "comment": "known", "lasts": "1h"}
            ask(world.data / "control.sock", "POST", "/api/v1/silences", body=wanted)
            before = len(world.received)
            # What was on its way when the silence was made may still arrive, and no more.
            wait_for(lambda: withheld(world) == 2 or len(world.received) > before + 2, "the end of both notices")
            assert withheld(world) == 2
            assert len(world.received) <= before + 2
            assert stop(process) == 0
        except BaseException:
            kill(process)
            raise

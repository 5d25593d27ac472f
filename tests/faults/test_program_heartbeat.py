"""The real program and a watcher outside (rows 24, 69): it hears nothing of a program that is dead, or cannot write."""

import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from service_monitoring.storage.folder import FACTS
from tests.faults.disks import a_lock_holder, held, let_go
from tests.faults.reckoning import CONFIGURATION
from tests.faults.world import World, a_world, kill, reply, serve_here, stop, wait_for


class Watcher:
    """A server that is called while all is well, and notes when."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.server = serve_here(self._answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ping/key"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.calls.append(time.monotonic())
        reply(handler, 200)

    def silent(self, seconds: float) -> bool:
        return time.monotonic() - self.calls[-1] > seconds

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def configured(world: World, watcher: Watcher) -> Path:
    ours = f"self: {{notify: [channel.hook], heartbeat: {watcher.url}, heartbeat_every: 1s}}"
    return world.configure(CONFIGURATION.replace("self: {notify: [channel.hook]}", ours))


def said(world: World, state: str) -> list[str]:
    return [message.body["summary"] for message in world.accepted if message.body["state"] == state]


def test_a_program_that_is_killed_is_missed_outside(tmp_path: Path) -> None:
    watcher = Watcher()
    with a_world(tmp_path) as world:
        process = world.start(configured(world, watcher))
        try:
            wait_for(lambda: len(watcher.calls) >= 3, "heartbeats")
            pace = (watcher.calls[-1] - watcher.calls[0]) / (len(watcher.calls) - 1)
            assert pace < 2.0, "one a second, and what a busy machine takes"
        finally:
            kill(process)
        heard = len(watcher.calls)
        wait_for(lambda: watcher.silent(2.0), "silence for two heartbeats")
        assert len(watcher.calls) <= heard + 1, "one may have been on its way"
    watcher.close()


def test_while_nothing_can_be_stored_the_heartbeat_stops_and_the_owners_hear_directly(tmp_path: Path) -> None:
    watcher = Watcher()
    with a_world(tmp_path) as world:
        process = world.start(configured(world, watcher))
        try:
            wait_for(lambda: len(watcher.calls) >= 2 and world.answers(), "heartbeats, and an open door")
            with a_lock_holder(world.data / FACTS) as holder:
                held(holder)
                wait_for(lambda: said(world, "trouble") != [], "the owners' alarm, past the store")
                wait_for(lambda: watcher.silent(3.0), "silence for three heartbeats")
                stands = world.ask("/api/v1/status")["heartbeat"]
                assert stands["withheld"].startswith("nothing can be stored: ")
                heard = len(watcher.calls)
                let_go(holder)
                wait_for(lambda: len(watcher.calls) > heard, "heartbeats again")
            wait_for(lambda: said(world, "over") != [], "word that it is over", 30)
            assert len(said(world, "trouble")) == len(said(world, "over")) == 1
            assert said(world, "over")[0].startswith("this is over after ")
            assert "key" not in world.log.read_text()
            assert stop(process) == 0
        except BaseException:
            kill(process)
            raise
    watcher.close()

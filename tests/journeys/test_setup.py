"""The first start says with what the first account is made, and each start anew until there is one."""

import re
from pathlib import Path

import pytest

from service_monitoring.cli.client import ask
from tests.faults.world import World, a_world, stop, wait_for
from tests.sinks.servers import free_port

CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
web: {listen: "127.0.0.1:$port"}
services: {shop: {checks: {page: {http: $target, every: 10s}}}}
"""
OFFER = re.compile(
    r"no account yet: open (http://127\.0\.0\.1:\d+)/setup within 30 minutes with this token: ([0-9a-f]{64})"
)


def offers(world: World) -> list[tuple[str, str]]:
    return OFFER.findall(world.log.read_text())


@pytest.mark.timeout(180)
def test_each_start_without_an_account_prints_another_token_and_none_once_there_is_one(tmp_path: Path) -> None:
    with a_world(tmp_path) as world:
        port = free_port()
        config = world.configure(CONFIGURATION.replace("$port", str(port)))
        for start in (1, 2):
            process = world.start(config)
            wait_for(world.answers, "the program")
            assert len(offers(world)) == start
            if start == 2:
                made = {"name": "ada", "role": "admin", "password": "several words together"}
                assert ask(world.data / "control.sock", "POST", "/api/v1/accounts", body=made)["role"] == "admin"
            assert stop(process) == 0
        (first, second) = offers(world)
        assert first[0] == second[0] == f"http://127.0.0.1:{port}"
        assert first[1] != second[1]
        process = world.start(config)
        wait_for(world.answers, "the program")
        assert stop(process) == 0
        assert len(offers(world)) == 2
        kept = b"".join(path.read_bytes() for path in world.data.rglob("*") if path.is_file())
        assert first[1].encode() not in kept and second[1].encode() not in kept

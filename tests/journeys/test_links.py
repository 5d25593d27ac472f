"""A page of a real monitor is answered by the link in it: fetched by robots, pressed by a person, and outlived."""

import http.client
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.data_folders import with_tables
from tests.faults.world import World, a_world, kill, stop, wait_for
from tests.sinks.servers import free_port

CONFIGURATION = """
store: {path: $data}
network: {allow: [127.0.0.0/8]}
web: {listen: "127.0.0.1:$port", url: "http://127.0.0.1:$port/"}
services:
  shop:
    checks:
      page: {http: $target, every: 1s, timeout: 500ms}
    rules:
      down: {when: {check: page, metric: up, below: 1}, severity: critical}
channels: {ops: {webhook: $sink}}
routes: [{notify: [channel.ops], group_wait: 0s, group_interval: 0s}]
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        with_tables(world.data)
        world.configure(CONFIGURATION.replace("$port", str(free_port())))
        yield world


def ask(method: str, url: str, body: str | None = None) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def the_story(world: World, id: str) -> dict[str, Any]:
    story: dict[str, Any] = world.ask(f"/api/v1/incidents/{id}")
    return story


@pytest.mark.timeout(300)
def test_a_page_is_answered_by_the_link_in_it_also_after_a_restart(world: World) -> None:
    config = world.folder / "monitoring.yaml"
    process = world.start(config)
    try:
        wait_for(world.answers, "the program")
        world.target_status = 503
        wait_for(lambda: len(world.accepted) == 1, "the page")
        page = world.accepted[0].body
        links = page["links"]
        assert list(links) == ["acknowledge", "resolve"]
        assert stat.S_IMODE((world.data / "links.key").stat().st_mode) == 0o600

        for method in ("GET", "HEAD"):
            for url in links.values():
                for _ in range(25):
                    assert ask(method, url)[0] == 200
        assert the_story(world, page["incident"])["incident"]["state"] == "open"
        assert ask("POST", links["acknowledge"][:-1], "by=eve")[0] == 404
        status, said = ask("POST", links["acknowledge"], "by=ada")
        assert (status, "Acknowledged: shop.down" in said) == (200, True)
        last = the_story(world, page["incident"])["transitions"][-1]
        assert (last["what"], last["by"]) == ("acknowledged", "ada (the link sent to ops)")

        kill(process)
        process = world.start(config)
        wait_for(world.answers, "the program again")
        wait_for(lambda: the_story(world, page["incident"])["incident"]["state"] == "acknowledged", "the store")
        assert ask("POST", links["acknowledge"])[0] == 409
        assert ask("POST", links["resolve"])[0] == 200
        status, said = ask("GET", links["resolve"])
        assert (status, "This incident is over: it was resolved at" in said) == (200, True)
        wait_for(lambda: len(world.accepted) == 2, "the recovery")
        assert world.accepted[1].body["links"] == {}
        assert stop(process) == 0
    finally:
        if process.poll() is None:
            kill(process)
    token = links["resolve"].rpartition("/")[2]
    log = world.log.read_text()
    assert token not in log and "Traceback" not in log

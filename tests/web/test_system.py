"""The system in the console: how the program is in words, what helps, and the buttons of its owner."""

from pathlib import Path

import pytest

from service_monitoring.access.permissions import Role
from service_monitoring.bootstrap import load, opened
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.web.pages.system import REMEDIES, remedy_of
from tests.web.faced import somebody, visiting

pytestmark = pytest.mark.real_time("a server looks after its connections ten times a second")

FILE = """\
services:
  shop: {checks: {beat: {heartbeat: {period: 5m, grace: 1m}}}}
channels:
  hook: {webhook: "http://127.0.0.1:9/"}
web: {listen: none}
"""


async def test_the_page_shows_the_program_and_its_owner_reloads_and_backs_up(tmp_path: Path) -> None:
    file = tmp_path / "monitoring.yaml"
    file.write_text(FILE)
    async with opened(load(file), SystemClock()) as program:
        async with visiting(program.faces, somebody(Role.ADMIN)) as client:
            async with client.get("/system") as answer:
                text = await answer.text()
                assert answer.status == 200
            copy = tmp_path / "copy.tar"
            async with client.post("/system/backup", data={"file": str(copy)}) as answer:
                assert (answer.status, f"A backup was written to {copy}" in await answer.text()) == (200, True)
            assert copy.exists()
            async with client.post("/system/backup", data={"file": "elsewhere.tar"}) as answer:
                assert (answer.status, "Name the whole path" in await answer.text()) == (422, True)
            async with client.post("/system/backup", data={"file": str(copy)}) as answer:
                assert (answer.status, 'role="alert"' in await answer.text()) == (409, True)
            async with client.post("/system/reload") as answer:
                assert answer.status == 503  # the reload belongs to a loop that does not run here
        async with visiting(program.faces, somebody(Role.VIEWER)) as client:
            async with client.get("/system") as answer:
                seen = await answer.text()
            for path in ("/system/reload", "/system/backup"):
                async with client.post(path, data={"file": "/tmp/never"}) as answer:
                    assert answer.status == 403
    for word in (str(file), "inbox", "hook", "10000", "judging lags", "on disk", "nobody outside is called"):
        assert word in text
    assert "Reload" in text
    assert "Reload" not in seen
    assert "style=" not in text


@pytest.mark.parametrize(("words", "remedy"), REMEDIES, ids=[words for words, _ in REMEDIES])
def test_each_trouble_has_what_helps(words: str, remedy: str) -> None:
    assert remedy_of(f"x {words} y") == remedy


def test_a_trouble_of_no_known_sort_names_where_to_look() -> None:
    assert "log" in remedy_of("something else")

"""Channels are tried from the configuration alone: a real test to a real server, and words that nobody is sent."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service_monitoring import bootstrap
from service_monitoring.bootstrap.telling import series_of
from service_monitoring.domain.samples import Series
from tests.cli.conftest import FILE, Command, happen, inhabit, running

pytestmark = pytest.mark.real_time("a real server answers, and uvicorn looks around ten times a second")


class Hook:
    """A server that keeps what it is sent, and answers as told."""

    def __init__(self) -> None:
        self.status = 202
        self.drops = False
        self.got: list[tuple[str, dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.got.append((self.headers["Idempotency-Key"], body))
                if hook.drops:
                    return
                self.send_response(hook.status)
                if hook.status == 503:
                    self.send_header("Retry-After", "30")
                said = b"no such hook" if hook.status == 404 else b""
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *args: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/s3cret"


@pytest.fixture
def hook(folder: Path) -> Iterator[Hook]:
    hook = Hook()
    extra = f"""\
  hook: {{webhook: "{hook.url}", template: {{subject: "{{{{ page }}}}: {{{{ service }}}}", text: "{{{{ detail }}}}!"}}}}
  bad: {{console: true, template: {{text: "{{{{ 1 / value }}}}"}}}}
people:
  ann: {{contact: [channel.hook]}}
  bob: {{contact: [{{webhook: "{hook.url}"}}]}}
routes:
"""
    (folder / "monitoring.yaml").write_text(FILE.replace("routes:\n", extra))
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def test_a_test_is_sent_once_marked_as_such_and_needs_no_store(hook: Hook, folder: Path, command: Command) -> None:
    said = command("notify", "test", "hook")
    assert (said.code, said.err) == (0, "")
    assert said.out == "hook: accepted, 202 Accepted (the far side has it)\n"
    [(_, body)] = hook.got
    assert body["summary"] == "this is a test of the channel hook: nothing is wrong"
    assert (body["severity"], body["state"], body["incident"]) == ("info", "test", None)
    assert not (folder / "data").exists()
    command("notify", "test", "channel.hook")
    assert len({key for key, _ in hook.got}) == 2, "each test is another notice"


@pytest.mark.parametrize(
    ("status", "outcome", "detail", "after"),
    [
        (202, "accepted", "202 Accepted", None),
        (503, "later", "503 Service Unavailable", 30),
        (404, "refused", "404 Not Found: no such hook", None),
    ],
)
def test_what_the_far_side_says_is_told_and_only_acceptance_is_zero(
    hook: Hook, command: Command, status: int, outcome: str, detail: str, after: int | None
) -> None:
    hook.status = status
    said = command("notify", "test", "hook", "--json")
    answer = json.loads(said.out)
    assert said.code == (0 if outcome == "accepted" else 1)
    assert (answer["channel"], answer["outcome"], answer["after"]) == ("hook", outcome, after)
    assert answer["detail"] == detail
    assert len(hook.got) == 1


def test_a_far_side_that_may_have_it_is_uncertain(hook: Hook, command: Command) -> None:
    hook.drops = True
    said = command("notify", "test", "hook")
    assert said.code == 1
    assert said.out.startswith("hook: uncertain, ")


def test_nobody_there_is_later(hook: Hook, command: Command) -> None:
    hook.server.shutdown()
    hook.server.server_close()
    said = command("notify", "test", "hook")
    assert said.code == 1
    assert said.out.startswith("hook: later, ")


def test_a_person_is_tested_through_their_contact(hook: Hook, command: Command) -> None:
    assert json.loads(command("notify", "test", "person.ann", "--json").out)["channel"] == "hook"
    assert json.loads(command("notify", "test", "person.bob", "--json").out)["channel"] == "bob.webhook"
    said = command("notify", "test", "person.eve")
    assert said.code == 5
    assert "bad, bob.webhook, hook, log, person.ann, person.bob" in said.err


def test_a_preview_shows_what_would_be_sent_and_sends_nothing(hook: Hook, folder: Path, command: Command) -> None:
    said = command("notify", "preview", "hook")
    assert said.code == 0
    assert "subject       first: example" in said.out
    assert "content type  application/json" in said.out
    assert json.loads(said.out.splitlines()[-1])["summary"] == "no answer within 2 s!"
    message = json.loads(command("notify", "preview", "hook", "--json").out)
    assert (message["subject"], message["degraded"]) == ("first: example", "")
    assert json.loads(message["body"])["headline"] == "first: example"
    assert hook.got == []
    assert not (folder / "data").exists()


def test_a_preview_says_why_a_template_gives_way(hook: Hook, command: Command) -> None:
    said = command("notify", "preview", "bad")
    assert said.code == 0
    assert "degraded" in said.out
    assert "template.text: ZeroDivisionError" in said.out


@pytest.mark.parametrize("program", ["nobody", "a program"])
def test_a_preview_of_a_stored_incident_says_what_its_notice_says(
    hook: Hook, folder: Path, command: Command, program: str
) -> None:
    def shown() -> None:
        rows = json.loads(command("incidents", "list", "--json").out)
        down = next(row for row in rows if (row["rule"], row["state"]) == ("down", "open"))
        body = json.loads(
            json.loads(command("notify", "preview", "hook", "--incident", down["id"][:8], "--json").out)["body"]
        )
        assert (body["incident"], body["service"], body["rule"]) == (down["id"], "shop", "down")
        assert (body["page"], body["severity"], body["state"]) == ("first", "critical", "open")
        assert (body["summary"], body["reason"]) == ("connection refused!", "connect")
        assert body["series"] == down["series"]
        over = next(row for row in rows if row["state"] == "resolved")
        plain = json.loads(command("notify", "preview", "log", "--incident", over["id"], "--json").out)
        assert plain["subject"] == "[recovered] shop.down: shop is down: connect"
        assert hook.got == []

    if program == "nobody":
        asyncio.run(inhabit(folder, happen))
        shown()
    else:
        with running(folder):
            shown()


@pytest.mark.parametrize(
    "series",
    [
        Series("shop", "health", "up"),
        Series("shop", "queue", "depth", (("path", 'C:\\new "x"\n{}'), ("zone", "a"))),
    ],
)
def test_a_series_is_read_as_it_is_written(series: Series) -> None:
    assert series_of(str(series)) == series


async def test_an_address_that_nobody_may_connect_to_is_refused_for_a_test_as_well(hook: Hook, folder: Path) -> None:
    file = folder / "monitoring.yaml"
    file.write_text(file.read_text().replace("network: {allow: [127.0.0.0/8]}", "network: {allow: []}"))
    told = await bootstrap.send_test(bootstrap.load(file), "hook")
    assert "network.allow" in told.detail
    assert hook.got == []

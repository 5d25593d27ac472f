"""`examples/monitoring.yaml` run as it stands, against a scripted target on the ports that it names."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from service_monitoring.domain.instants import SECOND, Instant
from tests.faults.world import PROGRAM, stop, wait_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "monitoring.yaml"


class Shop:
    """The target of the example: health and metrics on 18080, a database port on 15432, a webhook on 19000."""

    def __init__(self) -> None:
        self.well = True
        self.notices: list[tuple[str, str, dict[str, Any]]] = []

    def get(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        if handler.path == "/metrics":
            return 200, b"queue_depth 3\nrequests_total 100\nerrors_total 0\n"
        return (200, b'{"status": "ok"}') if self.well else (503, b'{"status": "broken"}')

    def post(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.notices.append((handler.headers["Idempotency-Key"], handler.headers["Authorization"], body))
        return 202, b""


@contextmanager
def the_shop() -> Iterator[Shop]:
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(shop.get)

        def do_POST(self) -> None:
            self.answer(shop.post)

        def answer(self, how: Callable[[BaseHTTPRequestHandler], tuple[int, bytes]]) -> None:
            status, body = how(self)
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    ThreadingHTTPServer.allow_reuse_address = ThreadingTCPServer.allow_reuse_address = True
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 18080), Handler),
        ThreadingHTTPServer(("127.0.0.1", 19000), Handler),
        ThreadingTCPServer(("127.0.0.1", 15432), BaseRequestHandler),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield shop
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


@contextmanager
def the_monitor(folder: Path) -> Iterator[Path]:
    config = folder / "monitoring.yaml"
    copy(EXAMPLE, config)
    environment = {**os.environ, "OPS_TOKEN": "Bearer canary-token"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "run", "--config", config], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for((folder / "data" / "control.sock").exists, "the program", 60)
            yield config
            assert stop(process) == 0
        finally:
            process.kill()
            process.wait()
    assert "canary-token" not in (folder / "log").read_text()


def incidents(config: Path, *arguments: str) -> Any:
    environment = {**os.environ, "OPS_TOKEN": "x"}
    done = subprocess.run(
        [PROGRAM, "incidents", *arguments, "--config", config, "--json"],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.timeout(240)
def test_the_example_opens_in_time_tells_once_per_transition_and_recovers(tmp_path: Path) -> None:
    with the_shop() as shop, the_monitor(tmp_path) as config:
        shop.well = False
        wait_for(lambda: len(shop.notices) == 1, "the page", 60)
        (opened,) = incidents(config, "list", "--state", "open")
        shop.well = True
        wait_for(lambda: len(shop.notices) == 2, "the recovery", 100)
        detail = incidents(config, "show", opened["id"])
        assert (opened["service"], opened["rule"], opened["severity"]) == ("shop", "down", "critical")
        late = Instant.parse(opened["opened_at"]).since(Instant.parse(detail["breached_at"])) - 10 * SECOND
        assert 0 <= late < SECOND
        keys, logins, bodies = zip(*shop.notices, strict=True)
        assert len(set(keys)) == 2
        assert set(logins) == {"Bearer canary-token"}
        assert [body["page"] for body in bodies] == ["first", "recovered"]
        assert len({body["thread"] for body in bodies}) == 1
        hooked = [each for each in detail["notices"] if each["channel"] == "ops"]
        assert [each["state"] for each in hooked] == ["delivered", "delivered"]
        on_call = {each["channel"] for each in detail["notices"]} - {"ops"}
        assert len(on_call) == 1, "whoever is on call has mail, which no server takes here"
        assert on_call <= {"responder_a.email", "responder_b.email"}
        assert detail["incident"]["state"] == "resolved"


@pytest.mark.drill
@pytest.mark.timeout(3600)
def test_thirty_minutes_of_a_healthy_target_open_nothing(tmp_path: Path) -> None:
    with the_shop() as shop, the_monitor(tmp_path) as config:
        end = time.monotonic() + float(os.environ.get("HEALTHY_MINUTES", "30")) * 60
        while time.monotonic() < end:
            time.sleep(5)
        assert incidents(config, "list") == []
        assert shop.notices == []

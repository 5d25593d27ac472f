"""A world around a real `service-monitoring run`: a target that does what it is told, a sink that never forgets.

Everything is on loopback and in this process but the program itself, which is killed without any notice given. The sink
writes each body and key to a file and syncs it before it answers, so that it can be compared with the store afterwards.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from service_monitoring.cli.client import NotRunning, ask
from service_monitoring.errors import Unavailable

PROGRAM = Path(sys.executable).with_name("service-monitoring")


class Received(NamedTuple):
    """One message that the sink accepted, or refused with `status`."""

    key: str
    body: dict[str, Any]
    status: int


class World:
    """A target at `/health` and a sink at `/hook`, each on a port of its own."""

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.target_status = 200
        self.sink_status = 202
        self.sink_delay = 0.0
        self.polls = 0
        self._ledger = folder / "received.jsonl"
        self._lock = threading.Lock()
        self.target = serve_here(self._answer_target)
        self.sink = serve_here(self._answer_sink)
        self.log = folder / "program.log"

    def close(self) -> None:
        for server in (self.target, self.sink):
            server.shutdown()
            server.server_close()

    @property
    def received(self) -> list[Received]:
        """What the sink has, from its file."""
        if not self._ledger.exists():
            return []
        return [Received(**json.loads(line)) for line in self._ledger.read_text().splitlines()]

    @property
    def accepted(self) -> list[Received]:
        return [message for message in self.received if message.status < 300]

    def configure(self, text: str) -> Path:
        """Write the configuration; `$target`, `$sink` and `$data` stand for what they are here."""
        config = self.folder / "monitoring.yaml"
        if "web:" not in text:
            text += "\nweb: {listen: none}\n"  # programs of tests that run side by side cannot share one port
        config.write_text(
            text.replace("$target", f"http://127.0.0.1:{self.target.server_address[1]}/health")
            .replace("$sink", f"http://127.0.0.1:{self.sink.server_address[1]}/hook")
            .replace("$data", str(self.data))
        )
        return config

    def start(
        self, config: Path, *, prefix: tuple[str, ...] = (), output: int | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start the program in a process group of its own; it logs to a file, unless `output` is a pipe."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*prefix, str(PROGRAM), "run", "--config", str(config)],
                stdout=output or log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **environment},
            )

    def ask(self, route: str) -> Any:
        """What the program answers on its socket."""
        return ask(self.data / "control.sock", "GET", route)

    def get(self, route: str, *, patience: float = 10.0) -> tuple[int, str]:
        """Status and body of an answer of the program; `TimeoutError` when there is none."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience)
            connection.connect(str(self.data / "control.sock"))
            connection.sendall(f"GET {route} HTTP/1.1\r\nHost: monitor\r\nConnection: close\r\n\r\n".encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read().decode()

    def answers(self) -> bool:
        """Whether the program listens on its socket: polling begins before."""
        try:
            self.ask("/api/v1/status")
        except (NotRunning, Unavailable):
            return False
        return True

    def settled(self) -> bool:
        """No incident open, nothing waiting to be told."""
        try:
            status = self.ask("/api/v1/status")
        except (NotRunning, Unavailable):
            return False
        ended = {"delivered", "held", "withheld"}
        waiting = {state: number for state, number in status["outbox"].items() if state not in ended}
        return not any(status["incidents"].values()) and not any(waiting.values())

    def trouble(self) -> list[str]:
        """What the program says is wrong with it."""
        said: list[str] = self.ask("/api/v1/status")["trouble"]
        return said

    def _answer_target(self, handler: BaseHTTPRequestHandler) -> None:
        self.polls += 1
        reply(handler, self.target_status)

    def _answer_sink(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        message = Received(handler.headers["Idempotency-Key"], body, self.sink_status)
        with self._lock, self._ledger.open("a") as ledger:
            ledger.write(json.dumps(message._asdict()) + "\n")
            ledger.flush()
            os.fsync(ledger.fileno())
        time.sleep(self.sink_delay)
        reply(handler, message.status)


def serve_here(answer: Callable[[BaseHTTPRequestHandler], None]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def reply(handler: BaseHTTPRequestHandler, status: int) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
    except OSError:
        pass  # the program was killed while it waited for this answer: that is the point


@contextmanager
def a_world(folder: Path, data: Path | None = None) -> Iterator[World]:
    """In `folder`; the program's data folder may lie elsewhere."""
    world = World(folder, data)
    try:
        yield world
    finally:
        world.close()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until a condition holds; the failure says what was waited for."""
    late = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < late, f"{what} did not come within {seconds} s"
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Without notice."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def stop(process: subprocess.Popen[bytes], seconds: float = 10.0) -> int:
    """By SIGTERM; the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(seconds)

"""A real program with a crowd in it: 10,000 services that are really polled, somebody signed in, a token for programs.

    with inhabited(Size()) as program: program.get("/services")

Knows `service-monitoring run`, its first account and its tokens; fills the data folder by `bench.crowd`, and answers
the program's checks from a process of its own, in which those fail that failed before. Does not know who measures what.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from bench.crowd import fails, fill, write_crowd
from service_monitoring import bootstrap

PAGES_OF: Final = 60
"""Services of the status page."""

_MORE: Final = """\
web: {{listen: "127.0.0.1:{port}"}}
people: {{ann: {{contact: [channel.here]}}, bob: {{contact: [channel.here]}}}}
oncall:
  primary:
    layers: [{{people: [ann, bob], rotate: weekly, handover: Mon 09:00, starts: "2026-01-05"}}]
status_pages:
  public:
    title: Everything
    services: [{services}]
"""
_NAME: Final = "ann"
_PASSWORD: Final = "a crowd of ten thousand"
_SETUP: Final = re.compile(r"with this token: ([0-9a-f]{64})")
_CSRF: Final = re.compile(r'name="csrf" value="([^"]+)"')
_SLOW: Final = 0.6
"""Seconds that a target takes which is slow: the rules say so from half a second on."""


@dataclass(frozen=True)
class Size:
    """How many services there are, how many of them fail, and for how many days the first was watched before."""

    services: int = 10_000
    incidents: int = 500
    days: int = 30


@dataclass
class Running:
    """A program that is up; `cookie` is that of an admin, `token` may read and scrape."""

    process: int
    port: int
    size: Size
    log: Path
    cookie: str = ""
    token: str = ""
    ticks: float = field(default=1 / os.sysconf("SC_CLK_TCK"), repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Of somebody who looks at pages."""
        return {"Cookie": self.cookie}

    @property
    def bearer(self) -> dict[str, str]:
        """Of a program that asks the API."""
        return {"Authorization": f"Bearer {self.token}"}

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> bytes:
        """A page, or what the API answers."""
        status, _, body = self.ask("GET", path, headers=self.bearer if _of_programs(path) else self.headers)
        if status != 200:
            raise RuntimeError(f"{path} answers {status}: {body[:300]!r}")
        return body

    def json(self, path: str) -> Any:
        """What the API answers, read."""
        return json.loads(self.get(path))

    def cpu(self) -> float:
        """Seconds of CPU of all its threads so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * self.ticks

    def loop_cpu(self) -> float:
        """Those of the thread that has the event loop."""
        path = Path(f"/proc/{self.process}/task/{self.process}/stat")
        fields = path.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * self.ticks

    def memory(self) -> int:
        """Bytes that are resident and nobody else's."""
        lines = Path(f"/proc/{self.process}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def _of_programs(path: str) -> bool:
    return path.startswith(("/api/", "/metrics"))


@contextmanager
def inhabited(size: Size, folder: Path | None = None) -> Iterator[Running]:
    """Make it, start it, sign in, and wait until every check ran; `folder` is where it is kept, if anywhere."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".web-", ignore_cleanup_errors=True) as made:
        where = folder or Path(made)
        port, answering = free_port(), free_port()
        target = [sys.executable, "-m", "bench.inhabited", str(answering), str(size.services), str(size.incidents)]
        with _process(target), _prepared(where, size, port, answering):
            log = where / "program.log"
            command = [str(Path(sys.executable).with_name("service-monitoring")), "run", "-c", "monitoring.yaml"]
            with log.open("wb") as said, _process(command, cwd=where, stdout=said, stderr=said) as process:
                program = Running(process.pid, port, size, log)
                _wait("the program is ready", lambda: process.poll() is None and _ready(program))
                _sign_in(program)
                yield program


@contextmanager
def _prepared(folder: Path, size: Size, port: int, target: int) -> Iterator[None]:
    names = ", ".join(f"service-{number:05}" for number in range(min(PAGES_OF, size.services)))
    file = folder / "monitoring.yaml"
    write_crowd(file, size.services, target=f"http://127.0.0.1:{target}", more=_MORE.format(port=port, services=names))
    configuration = bootstrap.load(file).configuration
    asyncio.run(fill(folder / "data", configuration, incidents=size.incidents, days=size.days))
    yield


@contextmanager
def _process(command: list[str], **named: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, **named)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _ready(program: Running) -> bool:
    try:
        return program.ask("GET", "/healthz")[0] == 200
    except OSError:
        return False


def _wait(what: str, holds: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError(f"it never came that {what}")
        time.sleep(0.1)


def _sign_in(program: Running) -> None:
    """The first account by the token of the log, and a token of that account."""
    token = _SETUP.search(program.log.read_text())
    assert token is not None, program.log.read_text()[-2000:]
    here = f"http://127.0.0.1:{program.port}"
    said = {"token": token[1], "name": _NAME, "password": _PASSWORD, "again": _PASSWORD}
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": here}
    status, headers, body = program.ask("POST", "/setup", urlencode(said), kind)
    assert status == 303, body[:500]
    program.cookie = headers["set-cookie"].partition(";")[0]
    csrf = _CSRF.search(program.get("/account").decode())
    assert csrf is not None
    wanted = json.dumps({"name": "bench", "scopes": ["read", "metrics", "respond", "administer"]})
    meant = {"Content-Type": "application/json", "X-CSRF-Token": csrf[1], "Origin": here} | program.headers
    status, _, body = program.ask("POST", "/api/v1/tokens", wanted, meant)
    assert status == 201, body[:500]
    program.token = json.loads(body)["secret"]


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Answering(asyncio.Protocol):
    """The target: paths are `/NUMBER` and `/NUMBER/health`; it is down and slow where the crowd was."""

    _ANSWER = b"HTTP/1.1 %s\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n"

    def __init__(self, services: int, incidents: int) -> None:
        self._size = services, incidents

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        _, number, *rest = data.split(b" ", 2)[1].split(b"/")
        failing = fails(int(number), *self._size)
        if rest and failing == "health":
            self._transport.write(self._ANSWER % b"503 Service Unavailable")
        elif not rest and failing == "page":
            asyncio.get_running_loop().call_later(_SLOW, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        self._transport.write(self._ANSWER % b"200 OK")


async def _serve(port: int, services: int, incidents: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answering(services, incidents), "127.0.0.1", port, backlog=4096)
    loop.add_signal_handler(signal.SIGTERM, server.close)
    await server.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The target alone.")
    for name in ("port", "services", "incidents"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    asyncio.run(_serve(given.port, given.services, given.incidents))

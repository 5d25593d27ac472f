"""The peers of a rehearsal: what else takes a rule through recorded samples, each as fast as its manual lets it.

VictoriaMetrics with vmalert's replay, a Prometheus server with promtool's backfill of a recording rule (it leaves
alerts out), and promtool's tests of rules. Each is given the same samples and judges them all at 15 s; the time in
which a server takes its samples in is not counted. Servers listen on loopback and keep their data where they are told.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode

import numpy as np

from bench import latencies, remote_write, spent
from bench.latencies import Size
from bench.spent import Spent
from service_monitoring.domain.instants import DAY, SECOND
from service_monitoring.domain.windows import FloatColumn, InstantColumn

PACKAGES: Final = {
    "victoria-metrics": "victoria-metrics",
    "vmalert": "victoria-metrics",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}
"""The package of Debian that brings a program."""

QUERIES: Final = (1_000, 11_000)
"""Points that vmalert asks for in one query: its default, and about as many as the server gives by default."""

_READY: Final = 20.0
_EVERY: Final = f"{latencies.EVERY // SECOND}s"
_BODY: Final = 1_000_000
"""Samples to a request."""


class Asked(NamedTuple):
    """A rule in PromQL, with how long it must hold."""

    name: str
    expression: str
    holds_for: str

    def alerting(self) -> str:
        """A file of rules with this one as an alert."""
        return self._file(f'{{alert: Slow, expr: "{self.expression}", for: {self.holds_for}}}')

    def recording(self) -> str:
        """A file of rules that records what is breached."""
        return self._file(f'{{record: slow, expr: "{self.expression}"}}')

    def _file(self, rule: str) -> str:
        return f"groups: [{{name: bench, interval: {_EVERY}, rules: [{rule}]}}]\n"


def missing(*programs: str) -> str:
    """One line about programs that are not installed; empty when all are."""
    absent = [each for each in programs if shutil.which(each) is None]
    packages = sorted({PACKAGES[each] for each in absent})
    return f"{', '.join(absent)} not installed (Debian: {', '.join(packages)}): no rows of it" if absent else ""


class Server:
    """A server that takes samples in by remote write and answers questions in PromQL."""

    def __init__(self, process: int, port: int, *, flush: str = "") -> None:
        self.process = process
        self._flush = flush
        self.url = f"http://127.0.0.1:{port}"
        self._port = port

    def take_in(self, seed: int, size: Size, *, slices: int = 1) -> None:
        """All samples of a history, a day after the other in so many slices; refuses to go on if some were lost."""
        names = [latencies.service(number) for number in range(size.series)]
        for _, instants, values in latencies.days(seed, size):
            length = len(instants) // slices
            for begin in range(0, len(instants), length):
                self._write(names, instants[begin : begin + length], values[:, begin : begin + length])
        if self._flush:
            self.ask(self._flush)
        until = (latencies.SINCE + size.days * DAY) // SECOND - 1
        query = f"sum(count_over_time({latencies.METRIC}[{size.days}d]))"
        said = self.ask(f"/api/v1/query?{urlencode({'query': query, 'time': until})}")
        assert f'"{size.samples}"' in said, said

    def _write(self, names: list[str], instants: InstantColumn, values: FloatColumn) -> None:
        most = max(1, _BODY // len(instants))
        for first in range(0, len(names), most):
            series = [
                ({"__name__": latencies.METRIC, "service": name}, row)
                for name, row in zip(names[first : first + most], values[first : first + most], strict=True)
            ]
            body = remote_write.request(series, instants)
            self._asked("POST", "/api/v1/write", body, remote_write.HEADERS)

    def ask(self, path: str) -> str:
        """What it answers to GET."""
        return self._asked("GET", path)

    def _asked(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> str:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            said = response.read().decode()
        assert response.status < 300, f"{path}: {response.status} {said}"
        return said

    @classmethod
    @contextmanager
    def started(cls, command: list[str], port: int, *, ready: str, flush: str = "") -> Iterator[Self]:
        """The server, from when it answers at the path `ready`; at `flush` it makes what it took in visible."""
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
            try:
                server = cls(program.pid, port, flush=flush)
                server._wait(ready)
                yield server
            finally:
                program.terminate()

    def _wait(self, ready: str) -> None:
        given_up = time.monotonic() + _READY
        while True:
            try:
                self.ask(ready)
            except (OSError, http.client.HTTPException, AssertionError):
                assert time.monotonic() < given_up, f"{self.url} does not answer"
                time.sleep(0.05)
            else:
                return


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[Server]:
    """VictoriaMetrics; points up to now, and no fewer a query than vmalert asks for."""
    port = _free_port()
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder / 'victoria-metrics'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-loggerLevel=ERROR",
    ]
    with Server.started(command, port, ready="/health", flush="/internal/force_flush") as server:
        yield server


@contextmanager
def prometheus(folder: Path) -> Iterator[Server]:
    """A Prometheus server that scrapes nothing."""
    port = _free_port()
    settings = folder / "prometheus.yml"
    settings.write_text("global: {scrape_interval: 1h}\n", encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=100y",
        "--web.enable-remote-write-receiver",
        "--log.level=error",
    ]
    with Server.started(command, port, ready="/-/ready") as server:
        yield server


def vmalert_replay(server: Server, folder: Path, asked: Asked, size: Size, points: int) -> Spent:
    """The replay of an alert over all of the history, the server's work counted; nothing is in its cache."""
    server.ask("/internal/resetRollupResultCache")
    rules = folder / "alert.yml"
    rules.write_text(asked.alerting(), encoding="utf-8")
    command = [
        "vmalert",
        f"-rule={rules}",
        f"-datasource.url={server.url}",
        f"-remoteWrite.url={server.url}",
        f"-datasource.queryStep={_EVERY}",
        f"-replay.timeFrom={_instant(0)}",
        f"-replay.timeTo={_instant(size.days * DAY - latencies.EVERY)}",
        f"-replay.maxDatapointsPerQuery={points}",
        "-replay.rulesDelay=0s",
        "-replay.disableProgressBar",
        "-loggerLevel=ERROR",
        f"-httpListenAddr=127.0.0.1:{_free_port()}",
    ]
    return spent.run(command, servers=[server.process])


def promtool_backfill(server: Server, folder: Path, asked: Asked, size: Size) -> Spent:
    """The backfill of a recording rule over all of the history, the server's work counted."""
    rules = folder / "record.yml"
    rules.write_text(asked.recording(), encoding="utf-8")
    since = latencies.SINCE // SECOND
    command = [
        "promtool",
        *("tsdb", "create-blocks-from", "rules"),
        f"--url={server.url}",
        f"--start={since}",
        f"--end={since + (size.days * DAY - latencies.EVERY) // SECOND}",
        f"--eval-interval={_EVERY}",
        f"--output-dir={folder / 'backfilled'}",
        str(rules),
    ]
    return spent.run(command, servers=[server.process])


def promtool_test(folder: Path, asked: Asked, seed: int, size: Size) -> Spent:
    """The test of an alert over the first series of a history, whose samples it reads from the test itself."""
    Path(folder, "alert.yml").write_text(asked.alerting(), encoding="utf-8")
    rows = np.concatenate([values for _, _, values in latencies.days(seed, size)], axis=1)
    series = [
        {"series": f'{latencies.METRIC}{{service="{latencies.service(number)}"}}', "values": " ".join(map(repr, row))}
        for number, row in enumerate(rows.tolist())
    ]
    lines = [
        f"rule_files: [{folder / 'alert.yml'}]",
        f"evaluation_interval: {_EVERY}",
        "tests:",
        f"  - interval: {_EVERY}",
        "    input_series:",
        *(f"      - {{series: '{each['series']}', values: '{each['values']}'}}" for each in series),
        # That no alert of this name is there at the end is true of any history; all before it is judged all the same.
        f"    alert_rule_test: [{{eval_time: {size.days}d, alertname: Other, exp_alerts: []}}]",
    ]
    tests = folder / "tests.yml"
    tests.write_text("\n".join(lines), encoding="utf-8")
    return spent.run(["promtool", "test", "rules", str(tests)])


def _instant(offset: int) -> str:
    return f"{np.datetime64(latencies.SINCE + offset, 'ns').astype('datetime64[s]')}Z"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

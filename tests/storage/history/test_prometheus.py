"""A real Prometheus server as a history: samples at their own instants, holes as holes, and what errors say."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.samples import Series
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Flaw
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.storage.history import columns
from service_monitoring.storage.history.opening import open_samples
from service_monitoring.storage.history.prometheus import AUTHORIZATION
from tests.storage.history.rigs import read

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_server = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="Prometheus is not installed: Debian's package prometheus"
)
START = Instant((SystemClock().now().ns // DAY - 3) * DAY)
HOLE = range(40, 80)
MAPPING = """
- series: 'http_seconds{job="shop"}'
  service: shop
  check: health
  metric: duration_seconds
  labels: [instance]
  scale: 0.001
- query: 'sum(http_seconds)'
  service: all
  check: health
  metric: total
  every: 1m
"""


def openmetrics() -> str:
    """Two instances of a shop every 15 s for an hour, one of them with a hole of ten minutes, and something else."""
    lines = ["# TYPE http_seconds gauge"]
    for name, offset in (("a", 0), ("b", 1), ("c", 2)):
        job = "other" if name == "c" else "shop"
        for number in range(240):
            if name == "b" and number in HOLE:
                continue
            at = START.ns // SECOND + 15 * number
            value = "NaN" if (name, number) == ("a", 7) else f"{number}.5"
            lines.append(f'http_seconds{{instance="{name}",job="{job}"}} {value} {at}.{offset}25')
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with those samples in its blocks; it scrapes nothing."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "samples.txt").write_text(openmetrics())
    (folder / "prometheus.yml").write_text("{}")
    assert PROMETHEUS is not None and PROMTOOL is not None
    made_of, data = str(folder / "samples.txt"), str(folder / "data")
    making = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", made_of, data]
    subprocess.run(making, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    options += [f"--web.listen-address={address}", "--storage.tsdb.retention.time=100y"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([PROMETHEUS, *options], stderr=log, stdout=log) as program,
    ):
        try:
            until = time.monotonic() + 30
            while not _ready(address):
                assert program.poll() is None and time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.05)
            yield f"http://{address}"
        finally:
            program.terminate()


def _ready(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING)
    return path


@needs_server
@pytest.mark.real_time("a server starts")
def test_samples_come_at_their_own_instants_and_a_hole_stays_one(server: str, mapping: Path) -> None:
    shop = [Series("shop", "health", "duration_seconds", (("instance", name),)) for name in "ab"]
    with open_samples(server, mapping=mapping) as history:
        found = read(history, START, START.plus(Duration(2 * HOUR)))
        for offset, (series, missing) in enumerate(zip(shop, ([7], HOLE), strict=True)):
            assert found[series] == [
                (START.ns + number * 15 * SECOND + offset * 100_000_000 + 25_000_000, (number + 0.5) * 0.001)
                for number in range(240)
                if number not in missing
            ]
        nan = 'http_seconds{job="shop"}'
        assert history.flaws()[0] == Flaw(f"{server} {nan}", 0, columns.NOT_FINITE, 1)
        total = dict(found[Series("all", "health", "total")])
        assert total[START.ns + MINUTE] == 3 * 3.5
        # The server lets a sample stand for five minutes: a query is its word, a selector gives what was scraped.
        assert total[START.ns + 19 * MINUTE] == 2 * 75.5
        assert max(total) < START.ns + 66 * MINUTE


@needs_server
@pytest.mark.real_time("a server starts")
def test_the_extent_is_that_of_the_samples(server: str, mapping: Path) -> None:
    mapping.write_text(MAPPING.split("- query", maxsplit=1)[0])
    with open_samples(server, mapping=mapping) as history:
        first, last = START.ns + 25_000_000, START.ns + 239 * 15 * SECOND + 125_000_000
        assert history.extent() == (Instant(first), Instant(last))
    mapping.write_text(MAPPING.split("- query", maxsplit=1)[0].replace("http_seconds", "nothing"))
    with open_samples(server, mapping=mapping) as history:
        assert history.extent() is None
        assert read(history, START, START.plus(DAY)) == {}


@needs_server
@pytest.mark.real_time("a server starts")
def test_a_long_query_is_asked_in_windows_below_the_limit_of_points(server: str, mapping: Path) -> None:
    mapping.write_text("- {query: 'vector(1)', every: 1s, service: a, check: b, metric: c}")
    with open_samples(server, mapping=mapping) as history:
        [samples] = read(history, START, START.plus(Duration(7 * HOUR))).values()
        assert [at for at, _ in samples] == [START.ns + number * SECOND for number in range(7 * 3_600)]


@needs_server
@pytest.mark.real_time("a server starts")
@pytest.mark.parametrize(("series", "said"), [("up{", "parse error"), ("rate(up[1m])", "mend the mapping")])
def test_a_selector_that_is_none_is_refused_with_the_remedy(server: str, mapping: Path, series: str, said: str) -> None:
    mapping.write_text(f"- {{series: '{series}', service: a, check: b, metric: c}}")
    with open_samples(server, mapping=mapping) as history, pytest.raises(Refused, match=said) as refused:
        list(history.portions(START, START.plus(HOUR)))
    assert server in str(refused.value) and "mend the mapping" in str(refused.value)


class Guarded(BaseHTTPRequestHandler):
    """Lets in who has the token, and is no Prometheus server."""

    def do_POST(self) -> None:
        known = self.headers.get("Authorization") == "Bearer let-me-in"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_who_may_not_ask_or_asks_somebody_else_is_told_so(mapping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with open_samples(url, mapping=mapping) as history:
            with pytest.raises(Refused, match=f"{url} refuses us .401.; put the header's text, .* {AUTHORIZATION}"):
                history.extent()
            monkeypatch.setenv(AUTHORIZATION, "Bearer let-me-in")
            with pytest.raises(
                Refused, match=f"{url} is no Prometheus server .*; give the URL that ends before /api/v1"
            ):
                history.extent()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with open_samples(url, mapping=mapping) as history, pytest.raises(Unavailable, match=f"{url} does not answer"):
        history.extent()

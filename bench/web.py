"""Pages and lists of a real program with 10,000 services, 20,000 checks and 500 open incidents, while it polls them.

    python -m bench.web [--seconds 10] [--only WORD] [--listeners 500] [--folder FOLDER]

Each page and each list of the API is asked for by wrk, with two connections that never pause, beside a static file of
the same program in the same run. Printed are milliseconds at p50, p95 and p99, how many times the static file that is,
CPU milliseconds a request costs (of the loop's thread, and of all), and bytes. The bars: 200 ms at p95, 300 KB, and no
request has the loop for 50 ms. Then as many listeners to live changes as there may be in five addresses: memory each,
how soon they hear, and how late checks begin without them and with them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from bench.inhabited import Running, Size, inhabited
from bench.listeners import listen

BAR: Final = 200.0
"""Milliseconds at p95."""
WISH: Final = 100.0
HEAVIEST: Final = 300_000
"""Bytes of a page."""
LONGEST_TURN: Final = 50.0
"""Milliseconds of the loop that one request may have."""

_SCRIPT: Final = """
local number = 0
local path = os.getenv("ASKED")
request = function()
  number = number + 1
  local asked = string.gsub(path, "NUMBER", tostring(number))
  return wrk.format("GET", asked)
end
done = function(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect
  io.write(string.format("MEASURED %d %d %f %f %f %f\\n", summary.requests, failed, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
"""


class Asked(NamedTuple):
    """A page or a list. NUMBER in a path is another one with each request."""

    name: str
    path: str


class Measured(NamedTuple):
    """How fast it was: requests, milliseconds, and CPU milliseconds a request."""

    requests: int
    failed: int
    p50: float
    p95: float
    p99: float
    loop: float
    cpu: float
    size: int


class Bench:
    """Asks a running program. What it does besides is known: it was looked at before."""

    def __init__(self, program: Running, seconds: float, folder: Path) -> None:
        self.program = program
        self._seconds = seconds
        self._script = folder / "ask.lua"
        self._script.write_text(_SCRIPT)
        self._besides = self._at_rest()

    def _at_rest(self) -> tuple[float, float]:
        """CPU seconds a second of the loop and of all, while nobody asks."""
        before, began = (self.program.loop_cpu(), self.program.cpu()), time.monotonic()
        time.sleep(10)
        lasted = time.monotonic() - began
        return (self.program.loop_cpu() - before[0]) / lasted, (self.program.cpu() - before[1]) / lasted

    @property
    def besides(self) -> float:
        """Of one core, what polling and judging take."""
        return self._besides[1]

    def measure(self, asked: Asked) -> Measured:
        """Ask as fast as it answers."""
        size = len(self.program.get(asked.path.replace("NUMBER", "0")))
        of_programs = asked.path.startswith(("/api/", "/metrics"))
        headers = self.program.bearer if of_programs else self.program.headers
        command = ["wrk", "--threads", "1", "--connections", "2", "--timeout", "20"]
        command += ["--duration", f"{self._seconds:g}s"]
        command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        command += ["--latency", "--script", str(self._script), f"http://127.0.0.1:{self.program.port}/"]
        before = self.program.loop_cpu(), self.program.cpu()
        said = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "ASKED": asked.path}
        ).stdout
        used = self.program.loop_cpu() - before[0], self.program.cpu() - before[1]
        found = re.search(r"MEASURED (.+)", said)
        assert found is not None, said
        requests, failed, lasted, p50, p95, p99 = map(float, found[1].split())
        each = [
            max(0.0, 1000 * (spent - besides * lasted) / max(requests, 1))
            for spent, besides in zip(used, self._besides, strict=True)
        ]
        return Measured(int(requests), int(failed), p50, p95, p99, *each, size)


def everything(program: Running) -> Iterator[Asked]:
    """All pages and lists, several ways each."""
    incidents = program.json("/api/v1/incidents?state=open&limit=100")
    incident = incidents[len(incidents) // 2]
    notice = next(iter(program.json("/api/v1/outbox?limit=1")), None)
    failing = quote(incident["service"])
    far = program.size.services // 200 // 2
    yield from (
        Asked("overview", "/"),
        Asked("services", "/services"),
        Asked("services, far", f"/services?{urlencode({'after': _far(program, far)})}"),
        Asked("services, by name", "/services?sort=name"),
        Asked("services, down", "/services?condition=down"),
        Asked("services, words", "/services?q=region-3+team-1"),
        Asked("services, no such words", "/services?q=nothing+NUMBER"),
        Asked("services, label", f"/services?label={quote('team=team-7')}"),
        Asked("services, pattern", f"/services?label={quote('region=~region-[0-4]')}"),
        Asked("services, new pattern", f"/services?label={quote('service=~.*')}NUMBER.%2A"),
        Asked(
            "services, all at once", f"/services?q=orders&condition=down&condition=up&label={quote('team=~.*NUMBER')}"
        ),
    )
    for reach in ("1h", "7d", "90d"):
        yield Asked(f"service, {reach}", f"/services/service-00000?range={reach}")
    about = "check=page&metric=duration_seconds"
    yield from (
        Asked("service that fails", f"/services/{failing}"),
        Asked("chart, 90d", f"/services/service-00000/chart.svg?range=90d&{about}"),
        Asked("rule", "/services/service-00000/rules/slow"),
        Asked("runs", "/services/service-00000/checks/page"),
        Asked("budgets", "/services/service-00000/budgets"),
        Asked("incidents", "/incidents"),
        Asked("incidents, all, words", "/incidents?state=all&q=slowly"),
        Asked("incidents, far", f"/incidents?{urlencode({'after': _cursor_of_incidents(program)})}"),
        Asked("incidents, 200", "/incidents?limit=200"),
        Asked("incident", f"/incidents/{incident['id']}"),
        Asked("silences", "/silences"),
        Asked("silence, new", f"/silences/new?incident={incident['id']}"),
        Asked("on call", "/oncall"),
        Asked("outbox", "/outbox"),
        Asked("outbox, words", "/outbox?q=slowly"),
        Asked("rehearsals", "/rehearsals"),
        Asked("system", "/system"),
        Asked("accounts", "/accounts"),
        Asked("audit", "/audit"),
        Asked("status page", "/status/public"),
        Asked("status page, history", "/status/public/history"),
        Asked("status page, feed", "/status/public/feed.rss"),
        Asked("badge", "/status/public/badge/service-00000.svg"),
    )
    if notice is not None:
        yield Asked("notice", f"/outbox/{notice['key']}")
    yield from (
        Asked("API services, 200", "/api/v1/services?limit=200"),
        Asked("API services, new pattern", f"/api/v1/services?label={quote('service=~.*')}NUMBER.%2A"),
        Asked("API service", "/api/v1/services/service-00000"),
        Asked("API overview", "/api/v1/overview"),
        Asked("API incidents", "/api/v1/incidents?limit=200"),
        Asked("API incident", f"/api/v1/incidents/{incident['id']}"),
        Asked("API explain", f"/api/v1/incidents/{incident['id']}/explain"),
        Asked("API rules", "/api/v1/rules"),
        Asked("API rule", f"/api/v1/rules/{failing}/{incident['rule']}"),
        Asked("API outbox", "/api/v1/outbox?limit=200"),
        Asked("API silences", "/api/v1/silences"),
        Asked("API maintenance", "/api/v1/maintenance"),
        Asked("API on call", "/api/v1/oncall"),
        Asked("API observations", "/api/v1/services/service-00000/checks/page/observations?limit=200"),
        Asked("API series, 7d", f"/api/v1/series?service=service-00000&{about}&points=2000"),
        Asked("API uptime", "/api/v1/services/service-00000/uptime"),
        Asked("API budgets", "/api/v1/services/service-00000/budgets"),
        Asked("API keys", "/api/v1/keys"),
        Asked("API audit", "/api/v1/audit"),
        Asked("API status", "/api/v1/status"),
        Asked("metrics", "/metrics"),
        Asked("readyz", "/readyz"),
    )


def _far(program: Running, pages: int) -> str:
    """Where a page begins that is many pages away."""
    after = ""
    for _ in range(pages):
        after = program.json(f"/api/v1/services?{urlencode({'limit': 200, 'after': after})}")["further"] or after
    return after


def _cursor_of_incidents(program: Running) -> str:
    _, headers, _ = program.ask("GET", "/api/v1/incidents?limit=200&state=open", headers=program.bearer)
    found = re.search(r"after=([^&>]+)", headers.get("link", ""))
    return found[1] if found else ""


def static_file(program: Running) -> str:
    """The largest script that the overview asks for."""
    found = re.findall(r'"(/static/[^"]+)"', program.get("/").decode())
    return max(found, key=lambda path: len(program.get(path)))


def pages(bench: Bench, only: str) -> bool:
    """A row each; whether all bars hold."""
    anchor_at = Asked("static file", static_file(bench.program))
    anchor = bench.measure(anchor_at)
    print(f"\n  {'':26}{'p50':>8}{'p95':>8}{'p99':>8} ms{'x file':>8}{'loop':>8}{'CPU':>8} ms{'bytes':>10}  bars")
    _print(anchor_at, anchor, anchor)
    held = True
    for asked in everything(bench.program):
        if only in asked.name:
            held &= _print(asked, bench.measure(asked), anchor)
    _print(anchor_at, bench.measure(anchor_at), anchor)
    return held


def _print(asked: Asked, found: Measured, anchor: Measured) -> bool:
    missed = [
        name
        for name, over in (
            ("slow", found.p95 > BAR),
            ("heavy", found.size > HEAVIEST),
            ("holds the loop", found.loop > LONGEST_TURN),
            (f"{found.failed} failed", found.failed > 0),
        )
        if over
    ]
    verdict = f"MISSED: {', '.join(missed)}" if missed else "held" if found.p95 > WISH else "held, and the wish"
    times = found.p95 / anchor.p95
    print(
        f"  {asked.name:26}{found.p50:8.1f}{found.p95:8.1f}{found.p99:8.1f}   {times:8.1f}"
        f"{found.loop:8.2f}{found.cpu:8.2f}   {found.size:10,}  {verdict}",
        flush=True,
    )
    return not missed


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=Size.services)
    parser.add_argument("--incidents", type=int, default=Size.incidents)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", default="", help="names of pages that have this in them")
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where the data folder is kept")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores for everybody, load of others {os.getloadavg()[0]:.1f}", flush=True)
    size = Size(given.services, given.incidents)
    with tempfile.TemporaryDirectory() as folder, inhabited(size, given.folder) as program:
        bench = Bench(program, given.seconds, Path(folder))
        print(f"{size.services:,} services polled with {100 * bench.besides:.0f} % of a core", flush=True)
        if given.seconds:
            pages(bench, given.only)
        if given.listeners:
            listen(program, given.listeners)
        print(f"load of all at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""The speed of a rehearsal beside its peers: the same history, the same rule, all cores on both sides, in one run.

Ours is the command itself, a process from its start to its end: Parquet in, the finished ledger out. Anchors are
vmalert's replay over VictoriaMetrics, promtool's backfill over a Prometheus server and promtool's tests of rules
(`peers`), and pyarrow's decoding of the very files. The bars are ten times vmalert for a threshold, three times for an
average over 5 m, a hundred times promtool's tests; half of pyarrow's speed is the wish. Then: what a longer history
costs, which must be nothing in memory and as much a sample.

One rule over every series, as peers count it: ours is written once a service. Rates are samples a second on the wall,
medians where there was time for several runs; memory is of all processes at work, the peers' servers among them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, ParamSpec

import numpy as np
import pyarrow.parquet as pq

from bench import latencies, peers, spent
from bench.latencies import CHECK, METRIC, Size
from bench.peers import Asked, Server
from bench.spent import Spent
from service_monitoring.domain.instants import DAY
from service_monitoring.storage.history.writing import write

SEED: Final = 20260101
MANY: Final = Size(1_000, 7)
LONG: Final = Size(100, 90)
SIZES: Final = (Size(1_000, 1), Size(100, 30), MANY)
TESTED: Final = Size(100, 1)
"""What promtool's tests are given: they read the samples from the text of the test."""

BACKFILLED: Final = SIZES[0]
"""What the Prometheus server is given: a block of two hours costs it 0.1 s, so that a month would take minutes."""

GROWING: Final = (1, 7, 30, 90)
ROUNDS: Final = 3
PATIENCE: Final = 6.0
"""Seconds after which there is no further round."""

PROGRAM: Final = Path(sys.executable).with_name("service-monitoring")
CACHED: Final = {"PYTHONDONTWRITEBYTECODE": ""}
"""As an installed program runs: its bytecode is kept."""


P = ParamSpec("P")


class Judged(NamedTuple):
    """A rule as a peer writes it and as we do, and the bar against vmalert."""

    asked: Asked
    ours: str
    bar: float


JUDGED: Final = (
    Judged(
        Asked("threshold", f"{METRIC} > 1", "2m"),
        f"when: {{check: {CHECK}, metric: {METRIC}, above: 1}}, for: 2m",
        10,
    ),
    Judged(
        Asked("avg over 5 m", f"avg_over_time({METRIC}[5m]) > 0.8", "5m"),
        f"when: {{check: {CHECK}, metric: {METRIC}, aggregate: avg, over: 5m, above: 0.8}}, for: 5m",
        3,
    ),
)


class Row(NamedTuple):
    """A contestant's median."""

    name: str
    samples: int
    spent: Spent

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.spent.wall

    @property
    def per_sample(self) -> float:
        """Nanoseconds of CPU."""
        return self.spent.cpu / self.samples * 1e9

    def __str__(self) -> str:
        return f"  {self.name:52}{self.rate / 1e6:12.2f}{self.per_sample:9.1f}{self.spent.peak / 1e6:9,.0f}"


class Rehearsals:
    """Our side: a history in Parquet, a configuration for each rule, and the command."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.history = folder / "history"
        self.history.mkdir()
        self._series = size.series
        self._ledger = folder / "ledger.jsonl"
        write(latencies.portions(SEED, size), self.history)

    def run(self, judged: Judged, days: int) -> Spent:
        """Rehearse the first days."""
        configuration = self.folder / "monitoring.yaml"
        configuration.write_text(settings(judged, self._series), encoding="utf-8")
        command = [
            str(PROGRAM),
            "rehearse",
            str(configuration),
            f"--history={self.history}",
            f"--from={instant(0)}",
            f"--to={instant(days)}",
            f"--ledger={self._ledger}",
            f"--jobs={os.cpu_count()}",
        ]
        return spent.run(command, environment=CACHED)

    def lines(self) -> int:
        """How many decisions the last ledger holds."""
        return self._ledger.read_bytes().count(b"\n")

    def decoded(self, days: int, columns: list[str] | None) -> Spent:
        """What pyarrow takes for the same files, in this process, whose start is not counted."""
        files = [file for day in sorted(self.history.iterdir())[:days] for file in sorted(day.iterdir())]
        began, cpu = time.perf_counter(), time.process_time()
        for file in files:
            pq.ParquetFile(file).read(columns=columns)
        return Spent(time.perf_counter() - began, time.process_time() - cpu, 0)


def settings(judged: Judged, series: int) -> str:
    """A configuration of so many services with the rule, and one channel."""
    services = [
        f"  {latencies.service(number)}:\n"
        f"    checks: {{{CHECK}: {{http: 'http://127.0.0.1:8080/', every: 15s}}}}\n"
        f"    rules: {{slow: {{{judged.ours}}}}}\n"
        for number in range(series)
    ]
    return f"services:\n{''.join(services)}channels: {{log: {{console: true}}}}\nroutes: [{{notify: [channel.log]}}]\n"


def instant(days: int) -> str:
    """So many days after the first sample."""
    return f"{np.datetime64(latencies.SINCE + days * DAY, 'ns').astype('datetime64[s]')}Z"


def several(run: Callable[P, Spent], *given: P.args, **named: P.kwargs) -> Spent:
    """The medians of some rounds, of fewer where each takes long."""
    began, all_of_them = time.monotonic(), list[Spent]()
    while len(all_of_them) < ROUNDS and (not all_of_them or time.monotonic() - began < PATIENCE):
        all_of_them.append(run(*given, **named))
    walls, cpus, peaks = zip(*all_of_them, strict=True)
    return Spent(median(walls), median(cpus), int(median(peaks)))


def beside(size: Size, ours: Rehearsals, victoria_metrics: Server | None, prometheus: Server | None) -> None:
    """One table: everybody over one history."""
    print(f"\n{size} = {size.samples / 1e6:.2f} M samples", flush=True)
    print(f"  {'':52}{'M samples/s':>12}{'ns CPU':>9}{'peak MB':>9}   ours is faster by, on the wall and in CPU")
    decoded = [
        Row(f"anchor: pyarrow decodes {name}", size.samples, several(ours.decoded, size.days, names))
        for name, names in (("all columns", None), ("instants and values alone", ["at", "value"]))
    ]
    for row in decoded:
        print(row, flush=True)
    for judged in JUDGED:
        mine = Row(f"ours, {judged.asked.name}", size.samples, several(ours.run, judged, size.days))
        print(f"{mine}   {ours.lines():,} lines of ledger; {mine.rate / decoded[0].rate:.2f} of decoding", flush=True)
        for row, bar in theirs(judged, size, ours.folder, victoria_metrics, prometheus):
            print(f"{row}   {verdict(mine.rate / row.rate, bar)}; {row.per_sample / mine.per_sample:,.1f}", flush=True)


def theirs(
    judged: Judged, size: Size, folder: Path, victoria_metrics: Server | None, prometheus: Server | None
) -> Iterator[tuple[Row, float | None]]:
    """The peers that are installed, each with its bar."""
    if victoria_metrics is not None:
        for points in peers.QUERIES:
            took = several(peers.vmalert_replay, victoria_metrics, folder, judged.asked, size, points)
            yield Row(f"anchor: vmalert replay, {points:,} points a query", size.samples, took), judged.bar
    if prometheus is not None:
        took = several(peers.promtool_backfill, prometheus, folder, judged.asked, size)
        yield Row("anchor: promtool backfill", size.samples, took), None
    if size == SIZES[0] and not peers.missing("promtool"):
        took = peers.promtool_test(folder, judged.asked, SEED, TESTED)
        yield Row(f"anchor: promtool test rules, {TESTED}", TESTED.samples, took), 100


def verdict(ratio: float, bar: float | None) -> str:
    """A ratio and whether it is enough."""
    return f"{ratio:,.1f}" + ("" if bar is None else f" (bar {bar:g}: {'held' if ratio >= bar else 'MISSED'})")


def growth(ours: Rehearsals) -> None:
    """A longer history of the same series: peak memory, and the CPU of each sample that came on top."""
    print(f"\n{LONG.series} series, first days of {LONG.days}, {JUDGED[0].asked.name}", flush=True)
    print(f"  {'':52}{'M samples/s':>12}{'ns CPU':>9}{'peak MB':>9}   ns CPU a further sample")
    rows: list[Row] = []
    for days in GROWING:
        size = Size(LONG.series, days)
        row = Row(f"ours, {days} d", size.samples, several(ours.run, JUDGED[0], days))
        rows.append(row)
        print(f"{row}   {'' if len(rows) == 1 else f'{_further(rows[-2], row):.1f}'}", flush=True)
    shortest, second, middle, longest = rows
    early, late = _further(shortest, middle), _further(middle, longest)
    flat = "held" if late / early <= 1.2 else "MISSED"
    times = f"{late / early:.2f} times what one before does (bar 1.2: {flat})"
    print(f"  a further sample after {GROWING[2]} d costs {times}")
    ratio = longest.spent.peak / second.spent.peak
    flat = "held" if ratio <= 1.2 else "MISSED"
    print(f"  peak memory of {GROWING[-1]} d is {ratio:.2f} times that of {GROWING[1]} d (bar 1.2: {flat})")


def _further(before: Row, after: Row) -> float:
    return (after.spent.cpu - before.spent.cpu) / (after.samples - before.samples) * 1e9


@contextmanager
def servers(folder: Path, size: Size) -> Iterator[tuple[Server | None, Server | None]]:
    """The peers' servers that are installed, with a history in them."""
    with ExitStack() as stack:
        victoria_metrics = prometheus = None
        if not peers.missing("victoria-metrics", "vmalert"):
            victoria_metrics = stack.enter_context(peers.victoria_metrics(folder))
            victoria_metrics.take_in(SEED, size)
        if not peers.missing("prometheus", "promtool") and size == BACKFILLED:
            prometheus = stack.enter_context(peers.prometheus(folder))
            prometheus.take_in(SEED, size, slices=24)
        yield victoria_metrics, prometheus


@contextmanager
def a_folder() -> Iterator[Path]:
    """On the disk of this checkout: the folder of temporary files may be in memory."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".rehearsal-", ignore_cleanup_errors=True) as it:
        yield Path(it)


def main() -> None:
    """Run it and print a table a size, then what growth costs."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for line in filter(None, (peers.missing("victoria-metrics", "vmalert"), peers.missing("prometheus", "promtool"))):
        print(line)
    print(f"{os.cpu_count()} cores for everybody, load of others {os.getloadavg()[0]:.1f}")
    with a_folder() as many, a_folder() as few:
        ours = {MANY.series: Rehearsals(many, MANY), LONG.series: Rehearsals(few, LONG)}
        ours[LONG.series].run(JUDGED[0], 1)  # keeps the bytecode
        for size in SIZES:
            with a_folder() as folder, servers(folder, size) as (victoria_metrics, prometheus):
                beside(size, ours[size.series], victoria_metrics, prometheus)
        growth(ours[LONG.series])


if __name__ == "__main__":
    main()

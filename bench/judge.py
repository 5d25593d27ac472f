"""The live judge: batches over many series, one threshold rule with `for`, on one core and without a store.

Anchors of the same run: a plain loop over a dict with one comparison, and Prometheus' own evaluation of a rule through
promtool where Debian's `prometheus` package is installed. CPU is of this process; rounds alternate, the median counts.
The bar is 200,000 samples a second, the wish a million.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Course
from service_monitoring.domain.inputs import Admitted, Configured, Observed, Stamp
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.samples import Measurement, Observation, Outcome
from service_monitoring.testing.builders import START, a_check, a_configuration, a_rule, a_service

BAR: Final = 200_000
WISH: Final = 1_000_000
SERVICES: Final = 200
ROUNDS: Final = 15
EVERY: Final = 10

_PROMTOOL: Final = """
rule_files: [rules.yml]
evaluation_interval: {every}s
tests:
  - interval: {every}s
    input_series: [{series}]
    alert_rule_test: [{{eval_time: {lasts}s, alertname: Slow, exp_alerts: []}}]
"""


class Judge:
    """A course of many services with one check each; a run of it brings `metrics` samples, all of them judged."""

    def __init__(self, metrics: int) -> None:
        self.metrics = metrics
        self.course = Course()
        self._step(0, Configured(self._configuration()))
        self._round = 0
        self.next()

    def _configuration(self) -> Configuration:
        return a_configuration(
            *(
                a_service(
                    a_rule("down", service=name, metric="up", holds_for="30s"),
                    *(
                        a_rule(f"slow{metric}", service=name, metric=f"value{metric}", holds_for="30s")
                        for metric in range(1, self.metrics)
                    ),
                    name=name,
                    checks=[a_check(service=name, every=f"{EVERY}s")],
                )
                for name in map("service{}".format, range(SERVICES))
            )
        )

    def _step(self, at: int, what: Observed | Configured) -> None:
        self.course.step(Admitted(Stamp(0, START.plus(Duration(at))), what))

    def next(self) -> None:
        """Make the next batch: a run of each check, a nanosecond apart, as admission stamps them."""
        self._round += 1
        measured = tuple(Measurement(f"value{metric}", 0.5 + self._round % 7 / 20) for metric in range(1, self.metrics))
        observation = Observation(Outcome.OK, measurements=measured)
        self.batch = []
        for number in range(SERVICES):
            at = START.plus(Duration(self._round * EVERY * SECOND + number))
            self.batch.append(Admitted(Stamp(0, at), Observed(f"service{number}", "health", observation, at)))

    def run(self) -> None:
        """Judge the batch."""
        step = self.course.step
        for admitted in self.batch:
            step(admitted)

    @property
    def samples(self) -> int:
        """In one batch."""
        return SERVICES * self.metrics


class Loop:
    """The least that Python can do: a sample into a dict, one comparison."""

    samples = SERVICES * 8

    def __init__(self) -> None:
        self.newest: dict[tuple[str, str], float] = {}
        self.pairs = [((f"service{number // 8}", f"value{number % 8}"), 0.5) for number in range(self.samples)]
        self.breached = 0

    def next(self) -> None:
        """Always the same batch."""

    def run(self) -> None:
        """Judge the batch."""
        newest = self.newest
        for key, value in self.pairs:
            newest[key] = value
            if value > 1.0:
                self.breached += 1


def measured(contestants: dict[str, Judge | Loop]) -> dict[str, float]:
    """CPU nanoseconds a sample, by contestant: the median of alternating rounds."""
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, contestant in contestants.items():
            runs = max(1, 16_000 // contestant.samples)
            cpu = 0
            for _ in range(runs):
                contestant.next()
                cpu += _cpu(contestant.run)
            spent[name].append(cpu / runs / contestant.samples)
    return {name: median(each) for name, each in spent.items()}


def _cpu(run: Callable[[], None]) -> int:
    began = time.process_time_ns()
    run()
    return time.process_time_ns() - began


def promtool(series: int = 1_600, steps: int = 60) -> float | None:
    """CPU nanoseconds a series and step that Prometheus takes for the same rule; None where there is no promtool."""
    program = shutil.which("promtool")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        rule = {"groups": [{"name": "bench", "rules": [{"alert": "Slow", "expr": "value > 1", "for": "30s"}]}]}
        Path(folder, "rules.yml").write_text(str(rule), encoding="utf-8")
        spent = []
        for lasts in (0, steps):  # the start of the program is taken off
            each = ", ".join(f"{{series: 'value{{n=\"{n}\"}}', values: '0.5x{lasts}'}}" for n in range(series))
            text = _PROMTOOL.format(every=EVERY, series=each, lasts=lasts * EVERY)
            tests = Path(folder, "tests.yml")
            tests.write_text(text, encoding="utf-8")
            began = time.perf_counter_ns()
            subprocess.run([program, "test", "rules", str(tests)], check=True, capture_output=True)
            spent.append(time.perf_counter_ns() - began)
    return (spent[1] - spent[0]) / series / steps


def main() -> None:
    """Run it and print a row for each contestant."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contestants: dict[str, Judge | Loop] = {
        "plain loop over a dict": Loop(),
        "course, 1 sample a run": Judge(1),
        "course, 8 samples a run": Judge(8),
        "course, 30 samples a run": Judge(30),
    }
    gc.collect()
    gc.freeze()
    spent = measured(contestants)
    anchor = spent["plain loop over a dict"]
    print(f"{'':28}{'samples/s':>12}{'ns CPU':>10}{'x loop':>8}")
    for name, each in spent.items():
        print(f"{name:28}{1e9 / each:12,.0f}{each:10,.0f}{each / anchor:8.1f}")
    theirs = promtool()
    if theirs is None:
        print("promtool is not installed (Debian: prometheus): no anchor of Prometheus in this run")
    else:
        print(
            f"{'promtool test rules':28}{1e9 / theirs:12,.0f}{theirs:10,.0f}{theirs / anchor:8.1f}  (wall, all cores)"
        )
    best = 1e9 / spent["course, 8 samples a run"]
    print(f"bar {BAR:,}: {'held' if best >= BAR else 'MISSED'}; wish {WISH:,}: {'held' if best >= WISH else 'not yet'}")


if __name__ == "__main__":
    main()

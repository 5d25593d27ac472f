"""The column judge: whole columns in memory through codes, runs and the fold of holds, on one core.

Anchors of the same run: NumPy's compare and its rolling mean by cumsum, which knows neither silences nor `for` and
rounds as it likes, and Prometheus' own evaluation through promtool where Debian's `prometheus` package is installed.
CPU is of this process; rounds alternate, the median counts. The bars are 200 M samples/s for a threshold with `for`,
15 M for an average over 5 m with `for`, both with a silence after 40 s, and 2 M where every other sample crosses.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import numpy as np

from bench.judge import promtool
from service_monitoring.domain.holds import Hold, Terms
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.runs import turns
from service_monitoring.domain.strategies import Aggregate, Change, Function, Judging, LastOf, Threshold
from service_monitoring.domain.windows import FloatColumn, InstantColumn
from service_monitoring.testing.builders import START, above

ROUNDS: Final = 7
EVERY: Final = 15 * SECOND
LONG: Final = 8_000_000
SHORT: Final = 1_000_000
OVER: Final = Duration(5 * MINUTE)
TERMS: Final = Terms(holds_for=Duration(MINUTE), stale_after=Duration(40 * SECOND))

Work = Callable[[], object]


def instants(count: int, *, jitter: int = 0) -> InstantColumn:
    """A sample every 15 s, up to `jitter` late, as polls are."""
    noise = np.random.default_rng(1).integers(0, jitter + 1, count)
    return START.ns + np.arange(count, dtype=np.int64) * EVERY + noise


def noise(count: int) -> FloatColumn:
    """A value between 0 and 1 that crosses a high limit rarely, and holds it hardly ever."""
    return np.random.default_rng(2).random(count)


def judged(strategy: Judging, at: InstantColumn, values: FloatColumn) -> Work:
    """From the column to every turn of the rule's episodes."""

    def run() -> object:
        return turns(Hold(at=int(at[0]), anchor=int(at[0])), TERMS, at, strategy.codes(at, values, 0, None))

    return run


def rolling_mean(values: FloatColumn, count: int) -> Work:
    """What NumPy does about a mean of `count` samples when nobody asks for the last digit."""

    def run() -> object:
        total = np.cumsum(values)
        total[count:] -= total[:-count].copy()
        return total / count > 0.9

    return run


def contestants() -> dict[str, tuple[int, Work, float | None]]:
    """Samples, the work, and the bar in samples a second, by name."""
    steady, late, values = instants(LONG), instants(LONG, jitter=SECOND), noise(LONG)
    fewer, few_late, few = steady[:SHORT], late[:SHORT], values[:SHORT]
    average = Aggregate(above(0.8), function=Function.AVG, over=OVER)
    crossing = Threshold(above(1.0))
    return {
        "anchor: NumPy compare": (LONG, lambda: values > 0.9999, None),
        "anchor: NumPy cumsum rolling mean": (SHORT, rolling_mean(few, 20), None),
        "threshold + for": (LONG, judged(Threshold(above(0.99999)), steady, values), 200e6),
        "threshold + for, late by up to 1 s": (LONG, judged(Threshold(above(0.99999)), late, values), 200e6),
        "avg over 5 m + for": (SHORT, judged(average, fewer, few), 15e6),
        "avg over 5 m + for, late": (SHORT, judged(average, few_late, few), 15e6),
        "avg of 0 and 1, often at the limit": (
            SHORT,
            judged(Aggregate(above(0.5), function=Function.AVG, over=OVER), few_late, (few > 0.45).astype(np.float64)),
            None,
        ),
        "crosses at every sample + for": (SHORT, judged(crossing, few_late, np.tile([0.0, 2.0], SHORT // 2)), 2e6),
        "crosses at every other sample + for": (
            SHORT,
            judged(crossing, few_late, np.tile([0.0, 0.0, 2.0, 2.0], SHORT // 4)),
            2e6,
        ),
        "opens at every tenth sample": (
            SHORT,
            judged(crossing, few_late, np.tile([0.0] * 5 + [2.0] * 5, SHORT // 10)),
            None,
        ),
        "max over 5 m + for": (
            SHORT,
            judged(Aggregate(above(1.0), function=Function.MAX, over=OVER), few_late, few),
            None,
        ),
        "count over 5 m + for": (
            SHORT,
            judged(Aggregate(above(21.0), function=Function.COUNT, over=OVER), few_late, few),
            None,
        ),
        "3 of the last 5 + for": (SHORT, judged(LastOf(5, 3, above(0.999)), few_late, few), None),
        "change over 5 m + for": (SHORT, judged(Change(above(0.9999), over=OVER), few_late, few), None),
    }


def measured(work: dict[str, tuple[int, Work, float | None]]) -> dict[str, float]:
    """CPU nanoseconds a sample: the median of alternating rounds after one to warm up."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS + 1):
        for name, (count, run, _) in work.items():
            began = time.process_time_ns()
            run()
            spent[name].append((time.process_time_ns() - began) / count)
    return {name: median(each[1:]) for name, each in spent.items()}


def main() -> None:
    """Run it and print a row for each contestant."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    work = contestants()
    gc.collect()
    gc.freeze()
    spent = measured(work)
    anchor = spent["anchor: NumPy compare"]
    print(f"{'':38}{'M samples/s':>12}{'ns CPU':>9}{'x compare':>11}  bar")
    for name, each in spent.items():
        bar = work[name][2]
        verdict = "" if bar is None else f"{bar / 1e6:,.0f} M: {'held' if 1e9 / each >= bar else 'MISSED'}"
        print(f"{name:38}{1e3 / each:12,.1f}{each:9,.2f}{each / anchor:11,.1f}  {verdict}")
    theirs = promtool()
    if theirs is None:
        print("promtool is not installed (Debian: prometheus): no anchor of Prometheus in this run")
    else:
        print(
            f"{'anchor: promtool test rules':38}{1e3 / theirs:12,.3f}{theirs:9,.0f}{theirs / anchor:11,.0f}"
            "  (wall, all cores)"
        )


if __name__ == "__main__":
    main()

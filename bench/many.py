"""Many series live: 100,000 of them, three rules on each, a sample every 15 s, as a share of one core.

Each of 10,000 services has one check whose runs bring ten samples; the rules are a threshold, the last of five and an
average over 5 m, each with `for`. A round is one run of every check: it is judged through `Course.step` as in the
program, without a store. Anchor of the same run: a plain loop over a dict with three comparisons a sample. CPU is of
this process; the median of the rounds counts. The bar is less than half of a core.
"""

from __future__ import annotations

import argparse
import gc
import time
from statistics import median
from typing import Final

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import Course
from service_monitoring.domain.inputs import Admitted, Configured, Observed, Stamp
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.samples import Measurement, Observation, Outcome
from service_monitoring.domain.strategies import Aggregate, AnyStrategy, Function, LastOf, Threshold
from service_monitoring.testing.builders import START, a_check, a_configuration, a_rule, a_service, above

EVERY: Final = 15
METRICS: Final = 10
ROUNDS: Final = 5
WARM: Final = 22
"""So many rounds fill every window."""
BAR: Final = 0.5
RULES: Final[dict[str, AnyStrategy]] = {
    "high": Threshold(above(0.95)),
    "often": LastOf(5, 3, above(0.9)),
    "mean": Aggregate(above(0.8), function=Function.AVG, over=Duration(5 * MINUTE)),
}


def a_course(services: int) -> Course:
    """A course that took over so many services, with three rules on each of ten metrics."""
    course = Course()
    course.step(Admitted(Stamp(0, START), Configured(_configuration(services))))
    return course


def _configuration(services: int) -> Configuration:
    return a_configuration(
        *(
            a_service(
                *(
                    a_rule(f"{rule}{metric}", strategy, service=name, metric=f"value{metric}", holds_for="1m")
                    for metric in range(METRICS)
                    for rule, strategy in RULES.items()
                ),
                name=name,
                checks=[a_check(service=name, every=f"{EVERY}s", stale_after="40s")],
            )
            for name in map("service{}".format, range(services))
        )
    )


def a_round(number: int, services: int) -> list[Admitted]:
    """A run of every check, spread over the interval as phases spread them; no two services say the same."""
    batch = []
    for service in range(services):
        at = START.plus(Duration(number * EVERY * SECOND + service * EVERY * SECOND // services))
        measured = tuple(
            Measurement(f"value{metric}", (number * 7919 + service * 104_729 + metric * 31) % 997 / 1000)
            for metric in range(METRICS)
        )
        observation = Observation(Outcome.OK, measurements=measured)
        batch.append(Admitted(Stamp(0, at), Observed(f"service{service}", "health", observation, at)))
    return batch


def loop(batch: list[Admitted], newest: dict[tuple[str, str], float]) -> int:
    """The least that Python can do: each sample into a dict, three comparisons."""
    breached = 0
    for admitted in batch:
        observed = admitted.input
        assert isinstance(observed, Observed)
        for measured in observed.observation.measurements:
            value = newest[observed.service, measured.metric] = measured.value
            breached += (value > 0.95) + (value > 0.9) + (value > 0.8)
    return breached


def main() -> None:
    """Run it and print its share of one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    services = parser.parse_args().series // METRICS
    course = a_course(services)
    gc.collect()
    gc.freeze()
    ours, theirs = [], []
    newest: dict[tuple[str, str], float] = {}
    for number in range(1, WARM + ROUNDS + 1):
        batch = a_round(number, services)
        began = time.process_time_ns()
        for admitted in batch:
            course.step(admitted)
        judged = time.process_time_ns()
        loop(batch, newest)
        if number > WARM:
            ours.append(judged - began)
            theirs.append(time.process_time_ns() - judged)
    samples = services * METRICS
    print(f"{samples:,} series, {len(RULES)} rules each, a sample every {EVERY} s")
    print(f"{'':28}{'samples/s':>12}{'ns CPU':>10}{'x loop':>8}{'of a core':>11}")
    for name, spent in (("plain loop over a dict", median(theirs)), ("course", median(ours))):
        share = spent / EVERY / SECOND
        print(
            f"{name:28}{samples / spent * 1e9:12,.0f}{spent / samples:10,.0f}{spent / median(theirs):8.1f}{share:11.1%}"
        )
    print(f"bar {BAR:.0%} of a core: {'held' if median(ours) / EVERY / SECOND < BAR else 'MISSED'}")


if __name__ == "__main__":
    main()

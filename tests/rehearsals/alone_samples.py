"""Plays samples of others in an interpreter of its own and prints the digest of the ledger: `python -m ... CUT [LEAK]`.

The samples are made by dice with a seed and kept in memory, handed over in portions of CUT seconds, 0 for all at once.
With a second argument it runs under seal, as `alone` does. Imports no test library.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from service_monitoring.domain.baselines import Deviation, Forecast
from service_monitoring.domain.budgets import Budget, Burn
from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.rules import NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.samples import Series
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    AnyStrategy,
    Change,
    Comparison,
    Composite,
    Function,
    LastOf,
    Operator,
    Threshold,
)
from service_monitoring.domain.stretches import Portion, Stretch
from service_monitoring.ports import Flaw
from service_monitoring.rehearsal.driving import play
from service_monitoring.testing.builders import START, a_grouping, a_step
from service_monitoring.wire.ledger import digest
from tests.rehearsals.alone import LEAKS, plant, seal, unseal

EVERY = Duration(30 * SECOND)
LASTS = Duration(12 * HOUR)
SERVICES = ("desk", "shop")
ABOVE = Comparison(Operator.ABOVE, 2.0)


class Made:
    """`SampleHistory` in memory, of two services and what is pushed to a third: spells of health, failure and silence.

    `cut` is how long a portion is; 0 for one portion.
    """

    def __init__(self, cut: Duration, *, seed: int = 7) -> None:
        self._cut = cut
        dice = random.Random(seed)
        self.stretches: list[Stretch] = []
        for service in SERVICES:
            spells = list(_spells(dice))
            self.stretches.append(
                _column(Series(service, "page", "up"), spells, dice, lambda kind, _: float(kind != 2))
            )
            healthy = [spell for spell in spells if spell[2] != 2]
            series = Series(service, "page", "seconds")
            self.stretches.append(_column(series, healthy, dice, lambda kind, chance: kind * 2.0 + chance))
        for zone in ("a", "b"):
            series = Series("jobs", "orders", "orders", (("zone", zone),))
            spells = list(_spells(dice))
            self.stretches.append(_column(series, spells, dice, lambda kind, chance: 3 * chance - kind))

    def extent(self) -> tuple[Instant, Instant] | None:
        first = min(int(stretch.instants[0]) for stretch in self.stretches)
        return Instant(first), Instant(max(int(stretch.instants[-1]) for stretch in self.stretches))

    def portions(self, since: Instant, until: Instant) -> Iterator[Portion]:
        begin = since.ns
        while begin < until.ns:
            end = min(until.ns, begin + self._cut) if self._cut else until.ns
            found = [_within(stretch, begin, end) for stretch in self.stretches]
            yield Portion(Instant(end), tuple(stretch for stretch in found if len(stretch.instants)))
            begin = end

    def flaws(self) -> Sequence[Flaw]:
        return ()


def _within(stretch: Stretch, begin: int, end: int) -> Stretch:
    part = slice(*np.searchsorted(stretch.instants, [begin, end]).tolist())
    return Stretch(stretch.series, stretch.instants[part], stretch.values[part])


def _spells(dice: random.Random) -> Iterator[tuple[int, int, int]]:
    """Begin, end and kind of each: well, slow or failing; what lies between them is silence."""
    at = START.ns
    while at < START.ns + LASTS:
        end = at + dice.choice([2 * MINUTE, 10 * MINUTE, HOUR])
        yield at, end, dice.choice([0, 0, 0, 1, 2])
        at = end + dice.choice([0, 0, 0, 5 * MINUTE])


def _column(
    series: Series, spells: list[tuple[int, int, int]], dice: random.Random, value: Callable[[int, float], float]
) -> Stretch:
    samples = [
        (at, value(kind, dice.random()))
        for begin, end, kind in spells
        for at in range(begin, min(end, START.ns + LASTS), EVERY)
    ]
    instants, values = zip(*samples, strict=True)
    return Stretch(series, np.array(instants, dtype=np.int64), np.array(values))


def the_configuration() -> Configuration:
    """A rule of each kind that samples reach."""
    minutes = Duration(10 * MINUTE)
    burns = (Burn(1.0, Duration(HOUR), Duration(5 * MINUTE)),)
    services = [
        Service(
            name,
            checks=(Check(name, "page", "http", EVERY, EVERY, Duration(2 * MINUTE), forget_after=Duration(HOUR)),),
            rules=tuple(_rules(name, burns)),
        )
        for name in SERVICES
    ]
    few = Rule("jobs", "few", "orders", "orders", Threshold(Comparison(Operator.BELOW, 0.5)), holds_for=minutes)
    total = Aggregate(Comparison(Operator.BELOW, 5.0), function=Function.SUM, over=minutes)
    orders = Check("jobs", "orders", "push", Duration(0), Duration(0), Duration(4 * MINUTE), allowance=Duration(MINUTE))
    jobs = Service("jobs", checks=(orders,), rules=(few, Rule("jobs", "total", "orders", "orders", total)))
    grouped = a_grouping(steps=(a_step("channel.ops"), a_step("channel.phone", after="10m")))
    return Configuration((*services, jobs), routes=(grouped,), owners=("desk",))


def _rules(service: str, burns: tuple[Burn, ...]) -> Iterator[Rule]:
    seconds: dict[str, AnyStrategy] = {
        "slow": Threshold(ABOVE),
        "often": LastOf(5, 3, ABOVE),
        "mean": Aggregate(ABOVE, function=Function.AVG, over=Duration(10 * MINUTE)),
        "high": Aggregate(ABOVE, function=Function.PERCENTILE, over=Duration(15 * MINUTE), percentile=95.0),
        "jump": Change(Comparison(Operator.OUTSIDE, -1.5, 1.5), over=Duration(5 * MINUTE)),
        "silent": Absence(Duration(4 * MINUTE)),
        "unusual": Deviation(Comparison(Operator.OUTSIDE, -3.0, 3.0), baseline=Duration(HOUR), stands_for=EVERY),
        "soon": Forecast(level=3.0, within=Duration(HOUR), fit=Duration(30 * MINUTE), stands_for=EVERY),
    }
    parents = () if service == SERVICES[0] else (f"{SERVICES[0]}.down",)
    for name, strategy in seconds.items():
        worse = (Worse(Severity.CRITICAL, Comparison(Operator.ABOVE, 2.5), EVERY),) if name in {"slow", "mean"} else ()
        recovery = (
            Recovery(Comparison(Operator.BELOW, 1.0), Duration(MINUTE)) if name in {"slow", "mean"} else Recovery()
        )
        yield Rule(service, name, "page", "seconds", strategy, recovery=recovery, worse=worse, depends_on=parents)
    down = Threshold(Comparison(Operator.BELOW, 1.0))
    no_data = NoData(NoDataMode.BREACH_AFTER, Duration(MINUTE))
    yield Rule(service, "down", "page", "up", down, Severity.CRITICAL, Duration(MINUTE), no_data=no_data)
    budget = Budget(objective=0.99, window=Duration(30 * DAY), burns=burns, stands_for=EVERY)
    yield Rule(service, "budget", "page", "up", budget)
    yield Rule(service, "both", "", "", Composite((f"{service}.down", f"{service}.often"), 1))


def main(cut: str, leak: str = "") -> None:
    """Play; the digest and the number of decisions go to standard output."""
    history, configuration = Made(Duration(int(cut) * SECOND)), the_configuration()
    if leak in LEAKS:
        plant(LEAKS[leak])
    if leak:
        seal()
    decided = [decision for _, decision in play(history, configuration, START, START.plus(LASTS))]
    unseal()
    print(digest(decided), len(decided))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Configurations that are drawn: every kind of rule that samples reach, every modifier, parents, composites and groups.

Knows what may be configured. Does not know what is compared under it.
"""

from __future__ import annotations

from hypothesis import strategies as draw
from msgspec.structs import replace

from service_monitoring.domain.baselines import Deviation, Direction, Forecast
from service_monitoring.domain.budgets import Budget, Burn
from service_monitoring.domain.comparisons import Comparison, Operator
from service_monitoring.domain.configuration import EVERY_LABEL, Check, Configuration, Inhibition, Route, Service
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.rules import Flapping, Lifecycle, NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.schedules import ActiveHours, Failing, Span
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    AnyStrategy,
    Change,
    Composite,
    Function,
    Heartbeat,
    LastOf,
    Threshold,
)
from service_monitoring.testing.builders import a_step, equals
from tests.rehearsals.test_days import INHIBITIONS, JOB, MAINTENANCES, PEOPLE, ROTA

ZERO = Duration(0)
ORDERS, QUEUE = "orders", "queue"
POLLED = (("desk", "page"), ("shop", "page"), ("shop", "port"))
"""Services and checks that run; `jobs.orders` and `jobs.queue` are pushed."""
LABELS = ((), (("zone", "a"),), (("zone", "b"),))


def seconds(*lengths: int) -> draw.SearchStrategy[Duration]:
    return draw.sampled_from([Duration(length * SECOND) for length in lengths])


ONE_LIMIT = (Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST)
LIMITS = draw.sampled_from([0.5, 1.0, 2.0, 2.5])
WINDOWS = seconds(3, 10, 20, 45, 90)
STANDS = seconds(5, 12, 40)
COMPARISONS = draw.one_of(
    draw.builds(Comparison, draw.sampled_from(ONE_LIMIT), LIMITS),
    draw.builds(Comparison, draw.sampled_from([Operator.OUTSIDE, Operator.INSIDE]), draw.just(0.5), LIMITS),
)


@draw.composite
def aggregates(draws: draw.DrawFn) -> Aggregate:
    function = draws(draw.sampled_from(list(Function)))
    percentile = draws(draw.sampled_from([0.0, 50.0, 95.0])) if function is Function.PERCENTILE else None
    limit = draws(LIMITS) / (10 if function in {Function.RATE, Function.STDDEV} else 1)
    comparison = Comparison(draws(draw.sampled_from([Operator.ABOVE, Operator.BELOW])), limit)
    return Aggregate(comparison, function=function, over=draws(WINDOWS), percentile=percentile)


@draw.composite
def counts(draws: draw.DrawFn) -> LastOf:
    count = draws(draw.integers(1, 5))
    return LastOf(count, draws(draw.integers(1, count)), draws(COMPARISONS))


FAST = Burn(3.0, Duration(30 * SECOND), Duration(5 * SECOND))
SLOW = Burn(1.0, Duration(90 * SECOND), Duration(30 * SECOND))
BUDGETS = draw.builds(
    Budget,
    objective=draw.sampled_from([0.9, 0.99]),
    window=draw.just(Duration(600 * SECOND)),
    burns=draw.sampled_from([(SLOW,), (FAST, SLOW)]),
    stands_for=STANDS,
)
ABSENCES = draw.builds(Absence, seconds(7, 25, 60))
STRATEGIES: draw.SearchStrategy[AnyStrategy] = draw.one_of(
    draw.builds(Threshold, COMPARISONS),
    counts(),
    aggregates(),
    aggregates(),
    draw.builds(Change, COMPARISONS, samples=draw.integers(2, 4)),
    draw.builds(Change, COMPARISONS, over=WINDOWS),
    ABSENCES,
    draw.builds(
        Deviation,
        draw.builds(Comparison, draw.just(Operator.OUTSIDE), draw.just(-1.5), draw.sampled_from([1.0, 2.0])),
        baseline=WINDOWS,
        season=draw.none() | seconds(48, 96),
        stands_for=STANDS,
    ),
    draw.builds(
        Forecast, level=LIMITS, within=WINDOWS, fit=WINDOWS, stands_for=STANDS, direction=draw.sampled_from(Direction)
    ),
)
SEVERITIES = draw.sampled_from(list(Severity))
WORSE = draw.sampled_from(
    [
        (),
        (),
        (Worse(Severity.CRITICAL, Comparison(Operator.ABOVE, 2.0), Duration(7 * SECOND)),),
        (Worse(Severity.CRITICAL, Comparison(Operator.BELOW, 0.5)),),
        (
            Worse(Severity.WARNING, Comparison(Operator.ABOVE, 1.0), Duration(20 * SECOND)),
            Worse(Severity.CRITICAL, Comparison(Operator.ABOVE, 2.2)),
        ),
    ]
)
RECOVERIES = draw.builds(Recovery, draw.none() | COMPARISONS, seconds(0, 0, 5, 30))
NO_DATA = draw.builds(NoData, draw.just(NoDataMode.BREACH_AFTER), seconds(0, 8, 30)) | draw.builds(
    NoData, draw.sampled_from([NoDataMode.KEEP, NoDataMode.RESOLVE])
)
HOURS = draw.sampled_from(
    [None, None, None, ActiveHours("UTC", spans=(Span(1, 3), Span(5, 1440))), ActiveHours("UTC", spans=(Span(0, 4),))]
)
FLAPPING = draw.sampled_from(
    [Flapping(), None, Flapping(8.0, 3.0), Flapping(12.0, 9.0), Flapping(4.5, 4.2), Flapping(20.0, 0.0)]
)
STATES = draw.sampled_from([Lifecycle.ACTIVE, Lifecycle.ACTIVE, Lifecycle.ACTIVE, Lifecycle.DRAFT])


@draw.composite
def rules(draws: draw.DrawFn, service: str, checks: tuple[tuple[str, str], ...], known: list[Rule]) -> Rule:
    """A rule on one of the metrics, or one that joins some that are known; it may depend on those."""
    name = f"{draws(draw.sampled_from('abc'))}{len(known)}"  # the order of names is not that of the file
    check, metric = draws(draw.sampled_from(checks))
    severity, state = draws(SEVERITIES), draws(STATES)
    holds_for, flapping = draws(seconds(0, 0, 2, 5, 13, 30)), draws(FLAPPING)
    parents = [each.id for each in known] + sorted({each.service for each in known if each.service != service})
    depends_on = tuple(draws(draw.lists(draw.sampled_from(parents), max_size=2, unique=True))) if parents else ()
    if known and draws(draw.integers(0, 5)) == 0:
        ids = draw.sampled_from([each.id for each in known])
        members = tuple(draws(draw.lists(ids, min_size=1, max_size=3, unique=True)))
        joined = Composite(members, draws(draw.integers(1, len(members))))
        return Rule(service, name, "", "", joined, severity, holds_for, state=state, depends_on=depends_on)
    strategy = draws(BUDGETS | STRATEGIES if metric == "up" else STRATEGIES)
    compared = not isinstance(strategy, Absence)
    return Rule(
        service,
        name,
        check,
        metric,
        strategy,
        severity,
        holds_for,
        recovery=draws(RECOVERIES) if compared else Recovery(holds_for=draws(seconds(0, 5))),
        no_data=draws(NO_DATA) if compared else NoData(),
        worse=draws(WORSE) if compared and not isinstance(strategy, Budget | Forecast) else (),
        active=draws(HOURS),
        flapping=flapping,
        selects=draws(draw.sampled_from([(), (), (equals("zone", "a"),)])) if metric != "up" else (),
        depends_on=depends_on,
        state=state,
    )


MATCHERS: draw.SearchStrategy[tuple[Matcher, ...]] = draw.sampled_from(
    [(), (equals("severity", "critical"),), (equals("service", "shop"),), (equals("service", "jobs"),)]
)
STEPS = draw.lists(
    draw.builds(
        a_step,
        draw.sampled_from(["channel.hook", "person.ada", "person.bo", "oncall.primary"]),
        after=draw.sampled_from(["0s", "6s", "30s"]),
        matchers=draw.sampled_from([(), (), (equals("severity", "critical"),)]),
    ),
    min_size=1,
    max_size=3,
).map(lambda steps: tuple(sorted(steps, key=lambda step: step.after)))


@draw.composite
def routes(draws: draw.DrawFn) -> tuple[Route, ...]:
    """Up to three, the last of which takes what is left."""
    found = []
    matchers = [*draws(draw.lists(MATCHERS, max_size=2)), ()]
    for number, each in enumerate(matchers):
        group_by = draws(draw.sampled_from([(), ("service",), ("severity", "zone"), (EVERY_LABEL,)]))
        found.append(
            Route(
                f"route{number}",
                each,
                group_by=group_by,
                wait=draws(seconds(0, 4, 30)),
                interval=draws(seconds(0, 10, 60)),
                repeat=draws(seconds(45, 300)),
                steps=draws(STEPS),
                rounds=draws(draw.integers(1, 2)),
                proceed=draws(draw.booleans()),
                resolved=draws(draw.booleans()),
                muted=draws(draw.sampled_from([(), (), (ActiveHours("UTC", spans=(Span(2, 4),)),)])),
            )
        )
    return tuple(found)


@draw.composite
def checks(draws: draw.DrawFn, service: str, name: str, *, allowance: Duration = ZERO) -> Check:
    """A check that runs, or one that is pushed where it has an allowance."""
    polled = not allowance
    return Check(
        service,
        name,
        "http" if polled else "push",
        Duration(5 * SECOND) if polled else ZERO,
        draws(seconds(1, 5)) if polled else ZERO,
        draws(seconds(7, 12, 40)),
        retries=draws(draw.integers(0, 1)) if polled else 0,
        allowance=allowance,
        forget_after=draws(seconds(0, 50, 86_400)),
    )


METRICS = {
    "desk": (("page", "value"), ("page", "up")),
    "shop": (("page", "value"), ("page", "up"), ("port", "value"), ("port", "up")),
    "jobs": ((ORDERS, "orders"), (QUEUE, "depth")),
}


@draw.composite
def configurations(draws: draw.DrawFn) -> Configuration:
    """Three services with one to five rules each, of which later ones may join and depend on earlier ones."""
    known: list[Rule] = []
    services = []
    for service in draws(draw.permutations(sorted(METRICS))):
        mine: list[Rule] = []
        for _ in range(draws(draw.integers(1, 5))):
            rule = draws(rules(service, METRICS[service], known))
            if rule.signature not in {each.signature for each in mine}:
                mine.append(rule)
                known.append(rule)
        if service == "jobs":
            mine.append(Rule("jobs", "missed", "backup", "", Heartbeat(tuple(Failing))))
            configured: tuple[Check, ...] = (
                draws(checks("jobs", ORDERS, allowance=draws(seconds(1, 10)))),
                draws(checks("jobs", QUEUE, allowance=draws(seconds(10, 30)))),
                Check("jobs", "backup", "heartbeat", ZERO, ZERO, ZERO, expects=JOB),
            )
        else:
            names = sorted({check for check, _ in METRICS[service]})
            configured = tuple(draws(checks(service, name)) for name in names)
        services.append(Service(service, checks=configured, rules=tuple(mine)))
    inhibitions = draws(
        draw.sampled_from(
            [
                (),
                INHIBITIONS,
                (Inhibition((equals("severity", "critical"),), (equals("severity", "warning"),), ("service",)),),
            ]
        )
    )
    return Configuration(
        tuple(services),
        routes=draws(routes()),
        owners=("mail",),
        inhibitions=inhibitions,
        people=PEOPLE,
        rotas=(ROTA,),
        maintenances=draws(draw.sampled_from([(), MAINTENANCES])),
    )


def forgetful(configuration: Configuration) -> Configuration:
    """The same, forgetting a series soon."""
    services = tuple(
        replace(
            service,
            checks=tuple(replace(check, forget_after=Duration(70 * SECOND)) for check in service.checks),
        )
        for service in configuration.services
    )
    return replace(configuration, services=services)

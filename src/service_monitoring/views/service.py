"""One service as its page shows it: checks with their newest runs, rules and why they say so, and lines of values.

Knows the shapes, as text and numbers ready for JSON, and how the values of a stretch become one bucket. Does not know
where they come from, nor how a line is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from service_monitoring.domain.comparisons import Compared, Comparison, Operator
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant, in_seconds
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Observation
from service_monitoring.domain.strategies import Aggregate, Function, LastOf, Threshold
from service_monitoring.errors import Refused
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.views.rules import RuleRow, SeriesRow
from service_monitoring.views.silences import SilenceRow, WindowRow

PHASES: Final = ("dns_seconds", "connect_seconds", "tls_seconds", "first_byte_seconds")
"""What a run spends its time on, in the order in which it happens."""
REST: Final = "rest"
POINTS: Final = 500
"""How many buckets a line has at most, unless somebody asks for fewer."""
LONGEST_RANGE: Final = Duration(400 * DAY)
LONGEST_TEXT: Final = 4096

_WIDTHS: Final = (
    *(SECOND * each for each in (1, 2, 5, 10, 15, 30)),
    *(MINUTE * each for each in (1, 2, 5, 10, 20, 30)),
    *(HOUR * each for each in (1, 2, 4, 6, 12)),
    *(DAY * each for each in (1, 2, 5, 10, 30)),
)
_IN_THE_UNIT_OF_A_SAMPLE: Final = frozenset({Function.AVG, Function.MIN, Function.MAX, Function.PERCENTILE})
_IN_WORDS: Final = {
    Operator.ABOVE: "above",
    Operator.AT_LEAST: "at least",
    Operator.BELOW: "below",
    Operator.AT_MOST: "at most",
    Operator.OUTSIDE: "outside",
    Operator.INSIDE: "inside",
}


class PhaseRow(Struct, frozen=True):
    """How long a run spent on one thing: `dns connect tls first_byte`, and the `rest` of what it took."""

    name: str
    seconds: float


class ValueRow(Struct, frozen=True):
    """One number that a run measured."""

    metric: str
    labels: dict[str, str]
    value: float


class AttemptRow(Struct, frozen=True):
    """One try within a run."""

    outcome: str
    reason: str | None
    detail: str
    seconds: float


class RunRow(Struct, frozen=True):
    """One run of a check. `at` is when it was taken in, `started` when it began; what a target said is in `detail`."""

    at: str
    started: str
    outcome: str
    reason: str | None
    detail: str
    duration_seconds: float | None
    phases: tuple[PhaseRow, ...]
    values: tuple[ValueRow, ...]
    attempts: tuple[AttemptRow, ...]


class RunPage(Struct, frozen=True):
    """Runs of a check, the newest first. `next` is what to ask for as `before`, null where there are no more."""

    runs: tuple[RunRow, ...]
    next: str | None


class CheckRow(Struct, frozen=True):
    """One check. `target` is what is asked, without secrets. `every` and `timeout` are null where nothing is polled.

    `heard_at` is when it said something last: a run, a push or a report.
    """

    check: str
    kind: str
    target: str
    every_seconds: float | None
    timeout_seconds: float | None
    stale_after_seconds: float
    heard_at: str | None
    newest: RunRow | None


class RuleStanding(Struct, frozen=True):
    """A rule, on how many series it says something, and that one of them which stands worst."""

    rule: RuleRow
    series: int
    worst: SeriesRow | None


class ServiceDetail(Struct, frozen=True):
    """A service as it stands when everything up to `judged_until` is decided.

    `condition` is up, degraded, down, maintenance or unknown. `silences` are those that may hold something of it back
    now or later, `maintenance` the windows of planned work that touch it now or within a week.
    """

    service: str
    description: str
    labels: dict[str, str]
    condition: str
    judged_until: str
    checks: tuple[CheckRow, ...]
    rules: tuple[RuleStanding, ...]
    open_incidents: int
    silences: tuple[SilenceRow, ...]
    maintenance: tuple[WindowRow, ...]


class SeriesName(Struct, frozen=True):
    """One series of a service; `labels` as people write them, `code="200",path="/"`."""

    check: str
    metric: str
    labels: str


class SeriesPage(Struct, frozen=True):
    """Series in order, of how many; `next` is what to ask for as `after`, null where there are no more."""

    series: tuple[SeriesName, ...]
    total: int
    next: str | None


class LimitRow(Struct, frozen=True):
    """A value at which a rule on this series changes its answer: `kind` is breach, recovery, or a severity it rises to.

    `says` is the comparison in words, without the value.
    """

    rule: str
    severity: str
    kind: str
    says: str
    value: float


class Bucket(Struct, frozen=True, rename={"began": "from"}):
    """What was measured in a stretch that begins at `from`: how many values, the least, their mean and the greatest.

    `broken` is whether the line breaks before it: nothing was measured for too long, or nobody watched.
    """

    began: str
    first_at: str
    last_at: str
    count: int
    least: float
    mean: float
    greatest: float
    broken: bool


class SpanRow(Struct, frozen=True, rename={"began": "from", "ended": "to"}):
    """From one instant to before another."""

    began: str
    ended: str


class Line(Struct, frozen=True, rename={"began": "from", "ended": "to"}):
    """The values of one series in [from, to), by buckets of `width_seconds`; a stretch without values has none.

    Before `since`, where it is not null, values are still to be worked out for ranges as long as this one.
    """

    service: str
    series: SeriesName
    began: str
    ended: str
    width_seconds: float
    buckets: tuple[Bucket, ...]
    limits: tuple[LimitRow, ...]
    since: str | None


class Around(Struct, frozen=True):
    """What else was in a range: incidents, the latest first, when nobody watched, and when planned work held."""

    incidents: tuple[IncidentRow, ...]
    unwatched: tuple[SpanRow, ...]
    maintenance: tuple[SpanRow, ...]


class RulePage(Struct, frozen=True):
    """A rule with some of the series that it judges, in order. `next` is what to ask for as `after`."""

    rule: RuleRow
    says: str
    judged_until: str
    series: tuple[SeriesRow, ...]
    total: int
    next: str | None


class Range(Struct, frozen=True):
    """From an instant to before another, not longer than a chart can show."""

    began: Instant
    ended: Instant

    def __post_init__(self) -> None:
        if self.ended <= self.began:
            raise Refused(f"this is no stretch of time: it ends at {self.ended}, and begins at {self.began}")
        if self.length > LONGEST_RANGE:
            raise Refused("this is longer than 400 days: ask for less")
        if self.began.ns < 0:
            raise Refused("nothing was watched before 1970: ask for later")

    @property
    def length(self) -> Duration:
        """How long it is."""
        return self.ended.since(self.began)


class ServiceDesk(Protocol):
    """What faces ask about one service. Questions see committed facts, and rules as they stand; `NotFound`.

    Every read is bounded, in range and in number, and waits for nobody who writes.
    """

    def now(self) -> Instant:
        """Where a range ends that nobody said the end of."""
        ...

    async def service(self, service: str) -> ServiceDetail:
        """One of them."""
        ...

    async def rule(self, service: str, rule: str, *, after: str, limit: int) -> RulePage:
        """One of its rules with the series after that one, by their names."""
        ...

    async def runs(self, service: str, check: str, *, before: str, limit: int) -> RunPage:
        """Runs of a check, the newest first; `before` is the `next` of the page before, or empty."""
        ...

    async def series(self, service: str, *, check: str, after: str, limit: int) -> SeriesPage:
        """Which series there are, of one check where it is named."""
        ...

    async def line(self, service: str, series: SeriesName, within: Range, *, points: int = POINTS) -> Line:
        """The values of a series in a range."""
        ...

    async def around(self, service: str, within: Range) -> Around:
        """What else was in a range."""
        ...


def width_for(length: Duration, points: int) -> int:
    """The width of buckets (ns) with which a range has about `points` of them, or fewer: a round one."""
    least = length / points
    return int(next((each for each in _WIDTHS if each >= least), _WIDTHS[-1]))


def buckets(
    tallies: Iterable[tuple[int, int, float, float, float, int, int]],
    silent_after: Duration,
    unwatched: Sequence[tuple[int, int]] = (),
) -> Iterator[Bucket]:
    """Buckets of tallies (place, count, least, sum, greatest, first, last), in order.

    The line breaks where longer than `silent_after` nothing was measured, or where nobody watched in between.
    """
    before: int | None = None
    for place, count, least, total, greatest, first, last in tallies:
        broken = before is not None and (
            first - before > silent_after or any(began < first and ended > before for began, ended in unwatched)
        )
        # A sum of floats may lie a bit beside what it is made of, or beyond all floats.
        mean = min(max(total / count, least), greatest)
        yield Bucket(str(Instant(place)), str(Instant(first)), str(Instant(last)), count, least, mean, greatest, broken)
        before = last


def phases_of(observation: Observation) -> tuple[PhaseRow, ...]:
    """What a run spent its time on, and the rest of what it took."""
    measured = {each.metric: each.value for each in observation.measurements if not each.labels}
    found = [PhaseRow(name.removesuffix("_seconds"), measured[name]) for name in PHASES if name in measured]
    rest = measured.get("duration_seconds", 0.0) - sum(each.seconds for each in found)
    return (*found, PhaseRow(REST, rest)) if found and rest > 0 else tuple(found)


def run_row(at: Instant, started: Instant, observation: Observation) -> RunRow:
    """A run as faces show it. What a target said is cut to what a page may hold."""
    measured = {each.metric: each.value for each in observation.measurements if not each.labels}
    return RunRow(
        at=str(at),
        started=str(started),
        outcome=observation.outcome,
        reason=observation.reason,
        detail=observation.detail[:LONGEST_TEXT],
        duration_seconds=measured.get("duration_seconds"),
        phases=phases_of(observation),
        values=tuple(ValueRow(each.metric, dict(each.labels), each.value) for each in observation.measurements),
        attempts=tuple(
            AttemptRow(each.outcome, each.reason, each.detail[:LONGEST_TEXT], in_seconds(each.lasted))
            for each in observation.attempts
        ),
    )


def limits(rule: Rule) -> Iterator[LimitRow]:
    """Where a rule changes its answer, as far as that is a value of the series itself."""
    strategy = rule.strategy
    if isinstance(strategy, Aggregate):
        if strategy.function not in _IN_THE_UNIT_OF_A_SAMPLE:
            return
    elif not isinstance(strategy, Threshold | LastOf):
        return
    yield from _limits(rule, "breach", rule.severity, strategy.comparison)
    if rule.recovery.comparison is not None:
        yield from _limits(rule, "recovery", rule.severity, rule.recovery.comparison)
    for worse in rule.worse:
        yield from _limits(rule, worse.severity, worse.severity, worse.comparison)


def _limits(rule: Rule, kind: str, severity: str, comparison: Comparison) -> Iterator[LimitRow]:
    for value in comparison.limits:
        yield LimitRow(rule.name, severity, kind, _IN_WORDS[comparison.operator], value)


def condition_in_words(rule: Rule) -> str:
    """What a rule says is wrong, in words, where it compares something."""
    strategy = rule.strategy
    if not isinstance(strategy, Compared | LastOf):
        return ""
    comparison = strategy.comparison
    text = f"{_IN_WORDS[comparison.operator]} {' and '.join(f'{each:g}' for each in comparison.limits)}"
    if isinstance(strategy, LastOf):
        return f"{strategy.need} of the last {strategy.count} are {text}"
    return text

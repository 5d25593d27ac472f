"""Conditions: from the mapping of a rule to the strategy that judges it.

Knows which keys of `when` make a condition together, and which values cannot hold. Does not know other rules, checks or
where anything stands in a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from service_monitoring.domain.baselines import Deviation, Direction, Forecast
from service_monitoring.domain.budgets import FAST, SLOW, Budget, Burn
from service_monitoring.domain.calendar import active_hours
from service_monitoring.domain.comparisons import Comparison, Operator
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.rules import Flapping, NoData, NoDataMode, Recovery, Severity, Worse
from service_monitoring.domain.schedules import ActiveHours, Failing
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
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.lengths import duration
from service_monitoring.settings.problems import InvalidValue, shown
from service_monitoring.settings.rule_shapes import (
    LEVELS,
    BreachAfterShape,
    BurnShape,
    ComparisonShape,
    RuleShape,
    WhenShape,
)

Complain = Callable[[KeyPath, str, str], None]
"""Says what is wrong: where within the rule, the problem, the remedy."""

COMPOSITES: Final = frozenset({"all_of", "any_of", "some_of"})

_SORTS: Final = (
    "heartbeat", "deviates", "crosses", "objective", "all_of", "any_of", "some_of", "absent_for", "aggregate",
    "change_over", "last",
)  # fmt: skip
_COMPANIONS: Final = {
    "need": ("last",), "over": ("aggregate",), "within": ("crosses",), "fit": ("crosses",), "window": ("objective",),
    "burn": ("objective",), "direction": ("crosses",),
}  # fmt: skip
_NEEDED: Final = {"aggregate": ("over",), "crosses": ("within", "fit"), "objective": ("window", "burn")}
_COMPARED: Final = frozenset({"last", "aggregate", "change_over"})
_OPERATORS: Final = tuple(str(operator) for operator in Operator)
_CHANGE_SAMPLES: Final = re.compile(r"(\d{1,5}) samples?", re.ASCII)
_PERCENTILE: Final = re.compile(r"p(\d{1,3}(?:\.\d{1,6})?)", re.ASCII)
_WITHOUT_VALUE: Final = frozenset({"absent_for", "heartbeat", *COMPOSITES})
_WITHOUT_COMPARISON: Final = frozenset({*_WITHOUT_VALUE, "deviates", "crosses", "objective"})
_COMPARING: Final = (Threshold, LastOf, Aggregate, Change, Deviation)
_RISING: Final = frozenset({Operator.ABOVE, Operator.AT_LEAST})
_FALLING: Final = frozenset({Operator.BELOW, Operator.AT_MOST})


def manner(when: WhenShape) -> str:
    """The key that says which sort of condition this is; `threshold` where there is only a comparison."""
    given = when.model_fields_set
    return "threshold" if given.isdisjoint(_SORTS) else next(key for key in _SORTS if key in given)


def strategy_of(
    when: WhenShape, complain: Complain, *, stands_for: Duration, member: Callable[[str], str]
) -> AnyStrategy | None:
    """The strategy, or None where something was wrong.

    `stands_for` is how long a sample of the check speaks for its series, `member` gives the whole name of a rule.
    """
    sort = manner(when)
    if not _fits_together(when, sort, complain):
        return None
    if sort in _WITHOUT_COMPARISON:
        return _without_comparison(when, sort, complain, stands_for=stands_for, member=member)
    comparison = comparison_of(when, ("when",), complain)
    if comparison is None:
        return None
    match sort:
        case "last":
            return _last_of(when, comparison, complain)
        case "aggregate":
            return _aggregate(when, comparison, complain)
        case "change_over":
            return _change(when, comparison, complain)
        case _:
            return Threshold(comparison)


def comparison_of(shape: ComparisonShape, path: KeyPath, complain: Complain) -> Comparison | None:
    """The one comparison of a mapping."""
    given = [key for key in _OPERATORS if key in shape.model_fields_set]
    if len(given) != 1:
        problem = "nothing is compared" if not given else f"{' and '.join(given)} do not go together"
        complain(path, problem, f"write one of {', '.join(_OPERATORS)}")
        return None
    [key] = given
    value = getattr(shape, key)
    if isinstance(value, list):
        lower, upper = value
        if lower >= upper:
            complain((*path, key), "the first limit is not below the second", f"write {key}: [LOWER, UPPER]")
            return None
        return Comparison(Operator(key), lower, upper)
    if value is None:
        complain((*path, key), "a number is expected here", "write a number, a duration as 500ms, or a size as 10MiB")
        return None
    return Comparison(Operator(key), value)


def recovery_of(rule: RuleShape, breached: AnyStrategy | None, complain: Complain) -> Recovery:
    """When an open incident of the rule is over."""
    shape = rule.recover
    if shape is None:
        return Recovery()
    given = [key for key in _OPERATORS if key in shape.model_fields_set]
    if not given:
        return Recovery(holds_for=shape.holds_for)
    if manner(rule.when) in _WITHOUT_VALUE:
        complain(("recover", given[0]), "there is no value here that could be compared", "write recover: {for: ...}")
        return Recovery()
    comparison = comparison_of(shape, ("recover",), complain)
    if comparison is not None and isinstance(breached, Threshold | LastOf | Aggregate | Change):
        _check_recovery(comparison, breached.comparison, complain)
    return Recovery(comparison, shape.holds_for)


def worse_of(rule: RuleShape, breached: AnyStrategy | None, complain: Complain) -> tuple[Worse, ...]:
    """The stronger comparisons that raise the severity, the mildest first."""
    found: list[Worse] = []
    before = breached.comparison if isinstance(breached, _COMPARING) else None
    for level in LEVELS:
        shape = rule.worse.get(level)  # type: ignore[call-overload]  # info is never among them
        if shape is None:
            continue
        where: KeyPath = ("worse", level)
        if LEVELS.index(level) <= LEVELS.index(rule.severity):
            problem = f"{level} is not worse than {rule.severity}, the severity of the rule"
            complain(where, problem, "name a higher one, or lower the severity of the rule")
        comparison = comparison_of(shape, where, complain)
        if comparison is None:
            continue
        if breached is not None and not isinstance(breached, _COMPARING):
            complain(where, "there is no value here that could be compared", "remove it")
        elif before is not None and not _is_stronger(comparison, before):
            problem = f"{_said(comparison)} is not stronger than {_said(before)}"
            complain(where, problem, "compare the same way, with a limit beyond that one")
        found.append(Worse(Severity(level), comparison, shape.holds_for))
        before = comparison
    return tuple(found)


def active_of(rule: RuleShape, zone: str) -> ActiveHours | None:
    """The hours in which the rule is awake; `zone` is that of the file."""
    shape = rule.active
    if shape is None:
        return None
    return active_hours(shape.weekdays, shape.times, shape.timezone or shape.zone or zone)


def flapping_of(rule: RuleShape, complain: Complain) -> Flapping | None:
    """When the rule's series change too often; None where nobody counts."""
    shape = rule.flapping
    if isinstance(shape, str):
        return None
    if shape.stops_at > shape.starts_above:
        complain(("flapping", "stops_at"), "it would stop where it has not started", "write less than starts_above")
    return Flapping(shape.starts_above, shape.stops_at)


def no_data_of(rule: RuleShape) -> NoData:
    """What silence means to the rule."""
    if isinstance(rule.no_data, BreachAfterShape):
        return NoData(NoDataMode.BREACH_AFTER, rule.no_data.breach_after)
    return NoData(NoDataMode(rule.no_data))


def members_of(when: WhenShape) -> list[tuple[KeyPath, str]]:
    """The rules that a composite names, with where they stand in the rule."""
    if when.some_of is not None:
        return [(("when", "some_of", "rules", index), name) for index, name in enumerate(when.some_of.rules)]
    key = "all_of" if when.all_of is not None else "any_of"
    return [(("when", key, index), name) for index, name in enumerate(getattr(when, key) or [])]


def _fits_together(when: WhenShape, sort: str, complain: Complain) -> bool:
    given = when.model_fields_set
    problems = 0

    def wrong(key: str, problem: str, remedy: str) -> None:
        nonlocal problems
        problems += 1
        complain(("when", key) if key in given else ("when",), problem, remedy)

    sorts = [key for key in _SORTS if key in given]
    for other in sorts[1:]:
        wrong(other, f"{sorts[0]} and {other} do not go together", "write two rules")
    for companion, owners in _COMPANIONS.items():
        if companion in given and not given.intersection(owners):
            wrong(companion, f"{companion} means nothing without {owners[0]}", f"add {owners[0]}, or remove it")
    for needed in _NEEDED.get(sort, ()):
        if needed not in given:
            wrong(sort, f"{sort} needs {needed}", f"add {needed}: ...")
    compared = [key for key in _OPERATORS if key in given]
    if compared and sort not in {*_COMPARED, "threshold"}:
        wrong(compared[0], f"{sort} and {compared[0]} do not go together", "remove one of them")
    selects = {"check": sort not in COMPOSITES, "metric": sort not in {*COMPOSITES, "heartbeat"}}
    for key, expected in selects.items():
        if expected and getattr(when, key) is None:
            wrong(key, f"{key} is missing", f"add {key}: NAME")
        elif not expected and key in given:
            wrong(key, f"{sort} and {key} do not go together", f"remove {key}")
    for key in sorted(given):
        if getattr(when, key) is None and key not in {*_OPERATORS, "check", "metric"}:
            wrong(key, "a value is missing here", "write one, or remove the key")
    return problems == 0


def _without_comparison(
    when: WhenShape, sort: str, complain: Complain, *, stands_for: Duration, member: Callable[[str], str]
) -> AnyStrategy | None:
    match sort:
        case "absent_for":
            assert when.absent_for is not None
            right = _positive_window(when.absent_for, ("when", "absent_for"), complain)
            return Absence(when.absent_for) if right else None
        case "heartbeat":
            if not when.heartbeat:
                complain(("when", "heartbeat"), "no failing is named here", "write [missed, late, failed, overran]")
            return Heartbeat(tuple(sorted({Failing(name) for name in when.heartbeat or ()})))
        case "deviates":
            return _deviation(when, complain, stands_for)
        case "crosses":
            return _forecast(when, complain, stands_for)
        case "objective":
            return _budget(when, complain, stands_for)
        case _:
            return _composite(when, sort, complain, member)


def _deviation(when: WhenShape, complain: Complain, stands_for: Duration) -> Deviation | None:
    shape = when.deviates
    assert shape is not None
    if not _positive_window(shape.baseline, ("when", "deviates", "baseline"), complain):
        return None
    if shape.season is not None:
        if not _positive_window(shape.season, ("when", "deviates", "season"), complain):
            return None
        if shape.season > shape.baseline:
            problem = "the baseline holds no whole season"
            complain(("when", "deviates", "season"), problem, "write a season that is shorter than the baseline")
            return None
    match shape.direction:
        case "above":
            comparison = Comparison(Operator.ABOVE, shape.sigmas)
        case "below":
            comparison = Comparison(Operator.BELOW, -shape.sigmas)
        case _:
            comparison = Comparison(Operator.OUTSIDE, -shape.sigmas, shape.sigmas)
    return Deviation(comparison, baseline=shape.baseline, season=shape.season, stands_for=stands_for)


def _forecast(when: WhenShape, complain: Complain, stands_for: Duration) -> Forecast | None:
    assert when.crosses is not None
    assert when.within is not None
    assert when.fit is not None
    right = [
        _positive_window(length, ("when", key), complain)
        for key, length in (("within", when.within), ("fit", when.fit))
    ]
    if not all(right):
        return None
    direction = Direction(when.direction or "any")
    return Forecast(level=when.crosses, within=when.within, fit=when.fit, stands_for=stands_for, direction=direction)


def _budget(when: WhenShape, complain: Complain, stands_for: Duration) -> Budget | None:
    assert when.objective is not None
    assert when.window is not None
    if not _positive_window(when.window, ("when", "window"), complain):
        return None
    match when.burn:
        case "fast":
            burns: tuple[Burn, ...] = FAST
        case "slow":
            burns = SLOW
        case BurnShape(rate=rate, long=long, short=short):
            if not 0 < short <= long:
                problem = "the short window is not within the long one"
                complain(("when", "burn", "short"), problem, "write a short window that is shorter than the long one")
                return None
            burns = (Burn(rate, long, short),)
        case _:
            return None
    return Budget(objective=round(when.objective / 100, 11), window=when.window, burns=burns, stands_for=stands_for)


def _composite(when: WhenShape, sort: str, complain: Complain, member: Callable[[str], str]) -> Composite | None:
    members = tuple(dict.fromkeys(member(name) for _, name in members_of(when)))
    if not members:
        complain(("when", sort), "no rule is named here", "write [RULE, ANOTHER]")
        return None
    if when.some_of is None:
        return Composite(members, len(members) if sort == "all_of" else 1)
    if when.some_of.need > len(members):
        complain(("when", "some_of", "need"), f"only {len(members)} rules are named", "need fewer, or name more")
        return None
    return Composite(members, when.some_of.need)


def _last_of(when: WhenShape, comparison: Comparison, complain: Complain) -> LastOf | None:
    count = when.last
    assert count is not None
    match when.need:
        case None | "all":
            return LastOf(count, count, comparison)
        case "any":
            return LastOf(count, 1, comparison)
        case int(need) if not isinstance(need, bool) and 1 <= need <= count:
            return LastOf(count, need, comparison)
    complain(("when", "need"), f"that is not a number of the last {count} samples", f"write any, all, or 1 to {count}")
    return None


def _aggregate(when: WhenShape, comparison: Comparison, complain: Complain) -> Aggregate | None:
    name, over = when.aggregate, when.over
    assert name is not None
    assert over is not None
    if not _positive_window(over, ("when", "over"), complain):
        return None
    percentile = _PERCENTILE.fullmatch(name)
    if percentile is not None and 0 <= float(percentile[1]) <= 100:
        return Aggregate(comparison, function=Function.PERCENTILE, over=over, percentile=float(percentile[1]))
    names = [str(function) for function in Function if function is not Function.PERCENTILE]
    if name not in names:
        complain(("when", "aggregate"), f"{shown(name)} is not an aggregate", f"write {', '.join(names)} or p50..p99.9")
        return None
    return Aggregate(comparison, function=Function(name), over=over)


def _change(when: WhenShape, comparison: Comparison, complain: Complain) -> Change | None:
    text = when.change_over
    assert text is not None
    samples = _CHANGE_SAMPLES.fullmatch(text)
    if samples is not None:
        if int(samples[1]) < 2:
            complain(("when", "change_over"), "one sample does not change", "write 2 samples, or more")
            return None
        return Change(comparison, samples=int(samples[1]))
    try:
        over = duration(text)
    except InvalidValue:
        problem = f"{shown(text)} is neither a number of samples nor a duration"
        complain(("when", "change_over"), problem, "write 3 samples, or 10m")
        return None
    return Change(comparison, over=over) if _positive_window(over, ("when", "change_over"), complain) else None


def _positive_window(length: Duration, path: KeyPath, complain: Complain) -> bool:
    if length > 0:
        return True
    complain(path, "a window of no length holds nothing", "write 5m")
    return False


def _is_stronger(comparison: Comparison, than: Comparison) -> bool:
    """Whether every value that holds the one holds the other, too."""
    one, other = comparison.operator, than.operator
    if one in _RISING and other in _RISING:
        return comparison.operand >= than.operand
    if one in _FALLING and other in _FALLING:
        return comparison.operand <= than.operand
    if one is other is Operator.INSIDE and comparison.upper is not None and than.upper is not None:
        return comparison.operand >= than.operand and comparison.upper <= than.upper
    if other is Operator.OUTSIDE and than.upper is not None:
        if one is Operator.OUTSIDE and comparison.upper is not None:
            return comparison.operand <= than.operand and comparison.upper >= than.upper
        return comparison.operand <= than.operand if one in _FALLING else comparison.operand >= than.upper
    return False


def _said(comparison: Comparison) -> str:
    upper = "" if comparison.upper is None else f" and {comparison.upper:g}"
    return f"{comparison.operator} {comparison.operand:g}{upper}"


def _check_recovery(recovers: Comparison, breached: Comparison, complain: Complain) -> None:
    """A limit on the wrong side would end incidents that go on."""
    rising = breached.operator in _RISING and recovers.operator in _FALLING and recovers.operand <= breached.operand
    falling = breached.operator in _FALLING and recovers.operator in _RISING and recovers.operand >= breached.operand
    pair = {breached.operator, recovers.operator} == {Operator.OUTSIDE, Operator.INSIDE}
    if not (rising or falling or pair):
        problem = f"{recovers.operator} {recovers.operand:g} does not end what is {breached.operator}"
        remedy = "compare the other way round, at or beyond the limit that opens"
        complain(("recover", str(recovers.operator)), f"{problem} {breached.operand:g}", remedy)

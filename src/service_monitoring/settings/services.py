"""Services: checks with the options of their kinds, and rules as the domain judges them.

Knows how a check's keys, defaults and kind go together, and what rules may refer to. Does not know channels or people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from service_monitoring.domain.configuration import ALLOWANCE, Check, Service
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.rules import Flapping, Lifecycle, NoData, Recovery, Rule, Severity, Worse
from service_monitoring.domain.schedules import ActiveHours
from service_monitoring.domain.strategies import Absence, Aggregate, AnyStrategy, Composite
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.conditions import (
    COMPOSITES,
    active_of,
    flapping_of,
    no_data_of,
    recovery_of,
    strategy_of,
    worse_of,
)
from service_monitoring.settings.dependencies import Dependencies
from service_monitoring.settings.kinds import LATER_REASONS, HeartbeatOptions, PushOptions
from service_monitoring.settings.lengths import duration_text
from service_monitoring.settings.problems import InvalidValue, shown
from service_monitoring.settings.reading import Reading, TemplateCheck
from service_monitoring.settings.rule_shapes import RuleShape
from service_monitoring.settings.shapes import CheckShape, EveryCheckShape, FileShape, ServiceShape
from service_monitoring.settings.validation import faults_of_given, suggestion
from service_monitoring.settings.values import CheckSettings

DEFAULT_TIMEOUT: Final = Duration(10 * SECOND)
SHORTEST_INTERVAL: Final = Duration(SECOND // 100)

_POLLED: Final = frozenset(CheckShape.model_fields)
_ARRIVING: Final = frozenset(EveryCheckShape.model_fields)
_NO_TIME: Final = Duration(0)


@dataclass(slots=True)
class _Checks:
    """The checks of one service: of those that are `right`, `polled` run; `names` are also those wrong or to come."""

    names: list[str]
    right: dict[str, Check] = field(default_factory=dict)
    polled: dict[str, CheckSettings] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)


def read_services(
    shape: FileShape, reading: Reading, *, template: TemplateCheck | None
) -> tuple[tuple[Service, ...], tuple[CheckSettings, ...]]:
    """Every service as decisions know it, and every check that is polled, in the order of the file."""
    _check_defaults(shape, reading)
    services: list[Service] = []
    checks: list[CheckSettings] = []
    dependencies = Dependencies(reading)
    for name, service in shape.services.items():
        found = _read_checks(name, service, shape, reading)
        rules = [
            rule
            for rule_name, rule_shape in service.rules.items()
            if (rule := _read_rule(name, rule_name, rule_shape, found, reading, template, shape.timezone)) is not None
        ]
        _refuse_twins(name, rules, reading)
        dependencies.add(name, service, rules)
        checks.extend(found.polled.values())
        services.append(_service(name, service, found, rules))
    kept = dependencies.resolved()
    return tuple(_with_dependencies(service, kept) for service in services), tuple(checks)


def _service(name: str, shape: ServiceShape, checks: _Checks, rules: list[Rule]) -> Service:
    return Service(
        name=name,
        labels=tuple(sorted(shape.labels.items())),
        description=shape.description,
        checks=tuple(checks.right.values()),
        rules=tuple(rules),
    )


def _with_dependencies(service: Service, kept: Mapping[str, tuple[str, ...]]) -> Service:
    if not any(rule.id in kept for rule in service.rules):
        return service
    rules = tuple(_depending(rule, kept[rule.id]) if rule.id in kept else rule for rule in service.rules)
    return Service(service.name, service.labels, service.description, service.checks, rules)


def _depending(rule: Rule, parents: tuple[str, ...]) -> Rule:
    return Rule(**{name: getattr(rule, name) for name in Rule.__struct_fields__} | {"depends_on": parents})


def _check_defaults(shape: FileShape, reading: Reading) -> None:
    """Defaults are checked also where no check uses them."""
    for kind, values in shape.defaults.items():
        path: KeyPath = ("defaults", kind)
        if kind not in reading.sources.names:
            problem = f"{shown(kind)} is not a kind of check"
            reading.complaints.add(
                path, problem, suggestion(kind, reading.sources.names), at=reading.gathered.place_of_key(path)
            )
            continue
        try:
            model = reading.sources.model(kind)
        except InvalidValue as error:
            reading.complaints.invalid(path, error)
            continue
        shapes = EveryCheckShape if reading.sources.is_arriving(kind) else CheckShape
        own, common = _parted(values, shapes, model)
        reading.validated(shapes, common, path, inherited={})
        for fault in faults_of_given(model, own, secrets=reading.secrets):
            reading.fault(fault, base=path)


def _parted(
    given: Mapping[str, Any], shape: type[EveryCheckShape], model: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of the kind, and those that it has in common with others."""
    common = set(shape.model_fields) - set(model.model_fields)
    own = {key: value for key, value in given.items() if key not in common}
    return own, {key: value for key, value in given.items() if key in common}


def _read_checks(service: str, shape: ServiceShape, file: FileShape, reading: Reading) -> _Checks:
    raw = reading.raw["services"].get(service)
    raw_checks = raw.get("checks") if isinstance(raw, dict) else None
    found = _Checks(list(raw_checks) if isinstance(raw_checks, dict) else [])
    for name, given in shape.checks.items():
        path = ("services", service, "checks", name)
        try:
            kind = reading.sources.of(given, besides=_POLLED)
            model = reading.sources.model(kind)
        except InvalidValue as error:
            reading.complaints.invalid(path, error)
            continue
        if reading.sources.is_later(kind):
            found.later[name] = kind
            reading.postpone(path, *LATER_REASONS[kind])
        defaults = file.defaults.get(kind, {})
        merged = {**defaults, **given}
        inherited: dict[str, KeyPath] = {key: ("defaults", kind, key) for key in defaults if key not in given}
        if reading.sources.is_arriving(kind):
            own, common = _parted(merged, EveryCheckShape, model)
            options = reading.validated(model, own, path, inherited=inherited, besides=_ARRIVING)
            kept = reading.validated(EveryCheckShape, common, path, inherited=inherited)
            if options is not None and kept is not None:
                found.right[name] = _arriving(service, name, kind, options, kept, file.timezone)
            continue
        own, common = _parted(merged, CheckShape, model)
        options = reading.validated(model, own, path, inherited=inherited, besides=_POLLED)
        cadence = _cadence(common, path, inherited, reading)
        if options is None or cadence is None:
            continue
        made = _check(service, name, kind, options, cadence, path, reading)
        if name not in found.later:
            found.polled[name] = made
            found.right[name] = _polled(made)
    return found


def _polled(check: CheckSettings) -> Check:
    return Check(
        check.service,
        check.name,
        check.kind,
        check.every,
        check.timeout,
        check.stale_after,
        check.retries,
        forget_after=check.forget_after,
    )


def _arriving(service: str, name: str, kind: str, options: Any, kept: EveryCheckShape, zone: str) -> Check:
    """A check that reports by itself: `every` and `timeout` mean nothing there."""
    match options:
        case HeartbeatOptions(heartbeat=heartbeat):
            # Silence is what its rules are about: there is no sample whose verdict could turn stale.
            return Check(
                service,
                name,
                kind,
                _NO_TIME,
                _NO_TIME,
                _NO_TIME,
                expects=heartbeat.expectation(zone),
                forget_after=kept.forget_after,
            )
        case PushOptions(push=push):
            return Check(
                service,
                name,
                kind,
                _NO_TIME,
                _NO_TIME,
                push.stale_after,
                allowance=ALLOWANCE,
                forget_after=kept.forget_after,
            )
        case _:
            raise AssertionError(f"nothing is known of the kind {kind}")


def _cadence(
    common: Mapping[str, Any], path: KeyPath, inherited: Mapping[str, KeyPath], reading: Reading
) -> CheckShape | None:
    """The common keys. Thousands of checks share a handful of cadences, so those that are right are kept."""
    try:
        key = tuple((name, type(value), value) for name, value in common.items())
        known = reading.cadences.get(key)
    except TypeError:
        return reading.validated(CheckShape, common, path, inherited=inherited)
    if known is None:
        known = reading.validated(CheckShape, common, path, inherited=inherited)
        if known is not None:
            reading.cadences[key] = known
    return known


def _check(
    service: str, name: str, kind: str, options: Any, cadence: CheckShape, path: KeyPath, reading: Reading
) -> CheckSettings:
    every, tries = cadence.every, cadence.retries + 1
    timeout = cadence.timeout if cadence.timeout is not None else Duration(min(DEFAULT_TIMEOUT, every // tries))
    if every < SHORTEST_INTERVAL:
        reading.complain((*path, "every"), "a check cannot run that often", f"write {duration_text(SHORTEST_INTERVAL)}")
    elif timeout <= 0:
        reading.complain((*path, "timeout"), "nothing can be done in no time", "write 5s")
    elif timeout * tries > every:
        problem = (
            f"{tries} tries of {duration_text(timeout)} do not fit into {duration_text(every)}"
            if tries > 1
            else f"a try of {duration_text(timeout)} does not fit into {duration_text(every)}"
        )
        key = "every" if "every" in cadence.model_fields_set else "timeout"
        remedy = f"write timeout: {duration_text(Duration(every // tries))}, or a longer every"
        reading.complain((*path, key), problem, remedy)
    stale_after = cadence.stale_after if cadence.stale_after is not None else Duration(every * 5 // 2)
    if 0 < stale_after < every:
        problem = f"its verdicts would turn unknown before the next run, {duration_text(every)} later"
        reading.warn((*path, "stale_after"), problem, "write more than every")
    return CheckSettings(
        service, name, kind, options, every, timeout, cadence.retries, stale_after, cadence.forget_after
    )


@dataclass(frozen=True, slots=True)
class _Condition:
    """What follows from how a rule is written, whatever it is called and wherever it stands."""

    strategy: AnyStrategy | None
    severity: Severity
    recovery: Recovery
    no_data: NoData
    worse: tuple[Worse, ...]
    active: ActiveHours | None
    flapping: Flapping | None
    selects: tuple[Matcher, ...]
    labels: tuple[tuple[str, str], ...]
    state: Lifecycle


def _condition(
    shape: RuleShape, path: KeyPath, reading: Reading, template: TemplateCheck | None, stands_for: Duration, zone: str
) -> _Condition:
    """Rules that are written alike have one shape: where nothing is to be said of it, it is read once.

    What composites join is named from where they stand, so they are read each.
    """
    key = (id(shape), stands_for)
    known: _Condition | None = reading.conditions.get(key)
    if known is not None:
        return known
    before = reading.said
    complain = reading.within(path)
    service = str(path[1])
    names = reading.rules_of(service)
    strategy = strategy_of(
        shape.when,
        complain,
        stands_for=stands_for,
        member=lambda member: f"{service}.{member}" if member in names else member,
    )
    recovery = recovery_of(shape, strategy, complain)
    worse = worse_of(shape, strategy, complain)
    flapping = flapping_of(shape, complain)
    _check_templates(shape, path, reading, template)
    condition = _Condition(
        strategy=strategy,
        severity=Severity(shape.severity),
        recovery=recovery,
        no_data=no_data_of(shape),
        worse=worse,
        active=active_of(shape, zone),
        flapping=flapping,
        selects=tuple(sorted(shape.when.labels, key=lambda each: (each.label, each.operator, each.value))),
        labels=tuple(sorted(shape.labels.items())),
        state=Lifecycle(shape.state),
    )
    if reading.said == before and not isinstance(strategy, Composite):
        reading.conditions[key] = condition
    return condition


def _read_rule(
    service: str,
    name: str,
    shape: RuleShape,
    checks: _Checks,
    reading: Reading,
    template: TemplateCheck | None,
    zone: str,
) -> Rule | None:
    path: KeyPath = ("services", service, "rules", name)
    check = _check_of(shape, path, checks, reading)
    condition = _condition(shape, path, reading, template, _NO_TIME if check is None else check.stale_after, zone)
    later = checks.later.get(shape.when.check or "")
    if later is not None:
        reading.postpone((*path, "when"), f"checks of the kind {later} yield nothing yet", "the rule is not judged")
    if check is not None and check.name in checks.polled:
        _check_metric(shape, checks.polled[check.name], path, reading)
    strategy = condition.strategy
    if strategy is None or (check is None and not isinstance(strategy, Composite)):
        return None
    if check is not None and check.name in checks.polled:
        _check_window(strategy, check, path, reading)
    return Rule(
        service=service,
        name=name,
        check="" if check is None else check.name,
        metric=shape.when.metric or "",
        strategy=strategy,
        severity=condition.severity,
        holds_for=shape.holds_for,
        recovery=condition.recovery,
        no_data=condition.no_data,
        worse=condition.worse,
        active=condition.active,
        flapping=condition.flapping,
        selects=condition.selects,
        labels=condition.labels,
        summary=shape.summary,
        runbook=shape.runbook,
        state=condition.state,
    )


def _check_of(shape: RuleShape, path: KeyPath, checks: _Checks, reading: Reading) -> Check | None:
    """The check whose samples, or whose schedule, the rule judges."""
    name = shape.when.check
    if name is None or COMPOSITES & shape.when.model_fields_set:
        return None
    if name not in checks.names:
        problem = f"the service has no check {shown(name)}"
        reading.complain((*path, "when", "check"), problem, suggestion(name, checks.names))
        return None
    check = checks.right.get(name)
    if check is None:
        return None
    if shape.when.heartbeat is not None and check.expects is None:
        problem = f"the check {name} has no schedule that could be missed"
        reading.complain((*path, "when", "heartbeat"), problem, "name a check of the kind heartbeat")
        return None
    if shape.when.heartbeat is None and check.expects is not None:
        problem = f"the check {name} yields no samples: a job only reports"
        reading.complain((*path, "when"), problem, "write heartbeat: [missed, late, failed, overran]")
        return None
    return check


def _check_metric(shape: RuleShape, check: CheckSettings, path: KeyPath, reading: Reading) -> None:
    known = reading.sources.metrics(check.kind, check.options)
    metric = shape.when.metric
    if known is not None and metric is not None and metric not in known:
        problem = f"the check {check.name} yields no {shown(metric)}"
        reading.complain((*path, "when", "metric"), problem, suggestion(metric, known))


def _check_templates(shape: RuleShape, path: KeyPath, reading: Reading, template: TemplateCheck | None) -> None:
    if template is None:
        return
    for key in ("summary", "runbook"):
        text = getattr(shape, key)
        problem = template(text) if "{" in text else None
        if problem:
            reading.complain((*path, key), f"the template cannot be used: {problem}", "mend it")


def _check_window(strategy: object, check: Check, path: KeyPath, reading: Reading) -> None:
    """A window that is shorter than the cadence holds nothing most of the time."""
    match strategy:
        case Absence(after) if after <= check.every:
            problem = f"the check runs every {duration_text(check.every)}, so this breaches between any two runs"
            reading.warn((*path, "when", "absent_for"), problem, "write several times that")
        case Aggregate(over=over) if over < check.every:
            problem = f"the check runs every {duration_text(check.every)}, so this window is often empty"
            reading.warn((*path, "when", "over"), problem, "write several times that")
        case _:
            pass


def _refuse_twins(service: str, rules: list[Rule], reading: Reading) -> None:
    seen: dict[tuple[object, ...], str] = {}
    for rule in rules:
        if rule.state is not Lifecycle.ACTIVE:
            continue
        first = seen.setdefault(rule.signature, rule.name)
        if first != rule.name:
            path = ("services", service, "rules", rule.name)
            problem = f"this judges the same as {service}.{first}"
            place = reading.gathered.place_of_key(path)
            reading.complaints.add(path, problem, "remove one, or change its condition or for", at=place)

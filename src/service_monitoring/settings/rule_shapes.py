"""Shapes of rules: the keys of `when`, of the modifiers, and of labels.

Knows one value at a time; which of them make a condition together is `conditions`.
"""

from __future__ import annotations

import marshal
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from service_monitoring.domain.instants import Duration, in_seconds
from service_monitoring.settings.calendars import HoursField, WeekdaysField, ZoneField
from service_monitoring.settings.lengths import duration, size
from service_monitoring.settings.matchers import MatchersField
from service_monitoring.settings.problems import InvalidValue, shown
from service_monitoring.settings.quantities import DurationField

RESERVED: Final = frozenset({"service", "check", "metric", "rule", "severity"})
"""Labels that every incident has of its own."""
LEVELS: Final = ("info", "warning", "critical")

_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_METRIC: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.]*", re.ASCII)


def operand(given: object) -> float:
    """A number, a duration in seconds or a size in bytes; anything else is `InvalidValue`."""
    remedy = "write a number, a duration as 500ms, or a size as 10MiB"
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InvalidValue("a finite number is expected here", remedy)
        return number
    if isinstance(given, str):
        try:
            return in_seconds(duration(given))
        except InvalidValue:
            pass
        try:
            return float(size(given))
        except InvalidValue:
            raise InvalidValue(f"{shown(given)} is not a number, duration or size", remedy) from None
    raise InvalidValue("a number is expected here", remedy)


def _label(name: str) -> str:
    if _LABEL.fullmatch(name) is None:
        raise InvalidValue(f"{shown(name)} is not the name of a label", "use letters, digits and _")
    if name in RESERVED:
        raise InvalidValue(f"the label {name} is reserved", "choose another name: every incident has this one anyway")
    return name


def _metric(name: str) -> str:
    if _METRIC.fullmatch(name) is None:
        raise InvalidValue(f"{shown(name)} is not the name of a metric", "use letters, digits, _ and :")
    return name


_OPERAND_SCHEMA: Final = WithJsonSchema(
    {"type": ["number", "string"], "description": "A number, a duration in seconds (500ms) or a size in bytes (10MiB)."}
)
Operand = Annotated[float, BeforeValidator(operand), _OPERAND_SCHEMA]
LabelsField = dict[Annotated[str, AfterValidator(_label)], str]
Limits = Annotated[list[Operand], Field(min_length=2, max_length=2)]


class RuleValue(BaseModel):
    """A mapping within a rule: unknown keys are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class ComparisonShape(RuleValue):
    """How a value is compared: one of them."""

    above: Operand | None = None
    at_least: Operand | None = None
    below: Operand | None = None
    at_most: Operand | None = None
    outside: Limits | None = Field(None, description="Below the first or above the second.")
    inside: Limits | None = Field(None, description="From the first to the second, both included.")


class DeviatesShape(RuleValue):
    """How far from usual."""

    sigmas: Annotated[float, Field(gt=0, strict=False)]
    baseline: DurationField
    season: DurationField | None = Field(None, description="Against the same time of earlier seasons: 1d.")
    direction: Literal["above", "below", "both"] = Field("both", description="Which side of usual counts.")


class BurnShape(RuleValue):
    """A burn rate of one's own."""

    rate: Annotated[float, Field(gt=0, strict=False)]
    long: DurationField
    short: DurationField


class SomeOfShape(RuleValue):
    """At least so many of these rules."""

    need: int = Field(ge=1)
    rules: list[str] = Field(min_length=1)


class WhenShape(ComparisonShape):
    """Which series, and the condition on them."""

    check: str | None = Field(None, description="The check of this service whose samples are judged.")
    metric: Annotated[str, AfterValidator(_metric)] | None = Field(None, description="up, duration_seconds, ...")
    labels: MatchersField = Field((), description="Which labels a series must have: {queue: a}, or ['queue=~\"a.*\"'].")
    last: int | None = Field(None, ge=1, le=10_000, description="Looks at so many samples.")
    need: Annotated[Any, WithJsonSchema({"anyOf": [{"enum": ["any", "all"]}, {"type": "integer", "minimum": 1}]})] = (
        Field(None, description="How many of the last must hold; all, where it is left out.")
    )
    aggregate: str | None = Field(None, description="avg min max sum count stddev p50..p99.9 rate increase delta")
    over: DurationField | None = Field(None, description="The window of the aggregate.")
    change_over: str | None = Field(None, description="Last minus first of the window: 3 samples, or 10m.")
    absent_for: DurationField | None = Field(None, description="No sample came for so long.")
    heartbeat: list[Literal["missed", "late", "failed", "overran"]] | None = None
    deviates: DeviatesShape | None = None
    crosses: Operand | None = Field(None, description="A line through `fit` reaches this value `within`.")
    within: DurationField | None = None
    fit: DurationField | None = None
    direction: Literal["up", "down", "any"] | None = Field(None, description="Which way the line must cross.")
    objective: Annotated[float, Field(gt=0, lt=100, strict=False)] | None = Field(None, description="Per cent.")
    window: DurationField | None = None
    burn: Literal["fast", "slow"] | BurnShape | None = None
    all_of: list[str] | None = None
    any_of: list[str] | None = None
    some_of: SomeOfShape | None = None


class RecoverShape(ComparisonShape):
    """When an open incident is over."""

    holds_for: DurationField = Field(Duration(0), alias="for", description="How long it must be well.")


class WorseLevelShape(ComparisonShape):
    """A stronger comparison of the same value."""

    holds_for: DurationField = Field(Duration(0), alias="for")


class ActiveShape(RuleValue):
    """Outside of these hours nothing opens."""

    weekdays: WeekdaysField | None = None
    times: HoursField | None = None
    timezone: ZoneField | None = None
    zone: ZoneField | None = None


class FlappingShape(RuleValue):
    """When a series changes too often: per cent of weighted changes among the last 20 verdicts."""

    starts_above: Annotated[float, Field(ge=0, le=100, strict=False)] = 30.0
    stops_at: Annotated[float, Field(ge=0, le=100, strict=False)] = 25.0


class BreachAfterShape(RuleValue):
    """Silence counts as a breach after a while."""

    breach_after: DurationField


class RuleShape(RuleValue):
    """When something is wrong with a service."""

    when: WhenShape
    holds_for: DurationField = Field(
        Duration(0), alias="for", description="How long it must hold before an incident opens."
    )
    recover: RecoverShape | None = None
    no_data: Literal["keep", "resolve"] | BreachAfterShape = Field("keep", description="What silence means.")
    worse: dict[Literal["warning", "critical"], WorseLevelShape] = Field(
        default_factory=dict, description="Stronger comparisons that raise the severity."
    )
    active: ActiveShape | None = None
    flapping: Literal["off"] | FlappingShape = Field(default_factory=FlappingShape)
    labels: LabelsField = Field(default_factory=dict)
    severity: Literal["info", "warning", "critical"] = "warning"
    summary: str = Field("", description="A template: {{ service }} is down: {{ reason }}")
    runbook: str = Field("", description="A template: where to read what to do.")
    depends_on: list[str] = Field(
        default_factory=list, description="Rules (service.rule) or services that cause this one."
    )
    state: Literal["draft", "active"] = "active"


def _alike(given: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Rules that are written alike are one value: thousands of services share a handful.

    Where the settings are loaded, `alike` of the context holds those that were read. Version 2 of the format writes
    equal values as equal bytes, and tells 1, 1.0 and true apart.
    """
    known = info.context.get("alike") if isinstance(info.context, Mapping) else None
    if known is None:
        return read(given)
    try:
        written = marshal.dumps(given, 2)
    except ValueError:
        return read(given)
    if written not in known:
        known[written] = read(given)
    return known[written]


RuleField = Annotated[RuleShape, WrapValidator(_alike)]
"""The annotation of a rule in a file."""

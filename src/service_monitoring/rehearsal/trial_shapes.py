"""Shapes of a file of rehearsal tests: which keys it has, and of which type.

Knows one value at a time. Which rules, people and checks there are is known to `trial_files`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.errors import Refused
from service_monitoring.rehearsal.trials import FINEST, Doing
from service_monitoring.settings.lengths import duration
from service_monitoring.settings.matchers import MatchersField
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.quantities import DurationField
from service_monitoring.settings.shapes import Shape

DEFAULT_STEP = Duration(MINUTE)


def _whole(length: Duration) -> Duration:
    if length % FINEST:
        raise InvalidValue("this is finer than a millisecond", "write 500ms, 90s, 2m")
    return length


def _longer(length: Duration) -> Duration:
    if length <= 0:
        raise InvalidValue("this must be longer than nothing", "write 1m, or longer")
    return length


def _moment(given: object) -> Duration | Instant:
    if isinstance(given, str) and "T" in given:
        try:
            at = Instant.parse(given)
        except Refused as error:
            raise InvalidValue(str(error)) from None
        if at.ns % FINEST:
            raise InvalidValue("this is finer than a millisecond", "write 2026-03-29T02:30:00Z")
        return at
    if given == 0 and not isinstance(given, bool):
        return Duration(0)
    if isinstance(given, str):
        return _whole(duration(given))
    raise InvalidValue("a moment is expected here", "write 50m after the beginning, or 2026-03-29T02:30:00Z")


def _start(given: object) -> Instant:
    at = _moment(given)
    if not isinstance(at, Instant):
        raise InvalidValue("an instant is expected here", "write 2026-03-28T20:00:00+01:00")
    return at


def _scalar(given: object) -> str:
    if isinstance(given, str) and given:
        return given
    raise InvalidValue("values are expected here", "write 1x5 0x20")


def _person(given: object) -> str:
    """A person on call; nobody is written as nothing."""
    if given is None:
        return ""
    if isinstance(given, str):
        return given
    raise InvalidValue("a person is expected here", "write a name, or null for nobody")


LengthField = Annotated[DurationField, AfterValidator(_whole), AfterValidator(_longer)]
# Moments are read by a function alone: a union would complain once for each of its branches.
MomentField = Annotated[Any, BeforeValidator(_moment)]
LabelsField = dict[str, str]


class SeriesShape(Shape):
    """The values of a series, where more than their notation is to be said."""

    values: Annotated[str, BeforeValidator(_scalar)]
    every: LengthField | None = None
    begins: MomentField = Field(Duration(0), alias="from")


class ReportShape(Shape):
    """What a job reports."""

    at: MomentField
    signal: Literal["success", "start", "fail", "log"] = "success"
    run: str = ""
    exit_code: int | None = None


class DeedShape(Shape):
    """What a person does: one of the five."""

    at: MomentField
    by: str
    acknowledge: str | None = None
    snooze: str | None = None
    resolve: str | None = None
    retire: str | None = None
    silence: MatchersField | None = None
    labels: LabelsField = Field(default_factory=dict)
    lasts: LengthField | None = Field(None, alias="for")
    expires_after: LengthField | None = None
    comment: str = ""

    @property
    def doing(self) -> Doing:
        """Which of them it is."""
        return next(doing for doing in Doing if getattr(self, doing) is not None)

    @model_validator(mode="after")
    def _one_thing(self) -> DeedShape:
        done = [str(doing) for doing in Doing if getattr(self, doing) is not None]
        if len(done) != 1:
            raise InvalidValue("a person does one thing at a time", f"write one of {', '.join(Doing)}")
        needs = self.doing in {Doing.SNOOZE, Doing.SILENCE}
        if needs is (self.lasts is None):
            problem, remedy = (
                (f"how long is missing for {self.doing}", "write for: 1h")
                if needs
                else (f"{self.doing} has no `for`", "remove it, or write expires_after for acknowledge")
            )
            raise InvalidValue(problem, remedy)
        if self.expires_after is not None and self.acknowledge is None:
            raise InvalidValue("only acknowledge has expires_after", "remove it")
        return self


class DisturbShape(Shape):
    """What goes wrong with the monitor itself."""

    at: MomentField
    monitor_down: LengthField


class IncidentShape(Shape):
    """An incident that is expected."""

    rule: str
    state: Literal["pending", "open", "acknowledged", "dropped", "resolved", "closed"] = "open"
    severity: Literal["info", "warning", "critical"] | None = None
    labels: LabelsField = Field(default_factory=dict)


class ExpectedNoticeShape(Shape):
    """Somebody who is expected to hear something, or not to."""

    to: str
    about: str = ""
    times: int = Field(1, ge=1, le=10_000)


class PageShape(ExpectedNoticeShape):
    """A page that is expected."""

    page: (
        Literal[
            "first",
            "released",
            "recovered",
            "closed",
            "raised",
            "updated",
            "repeated",
            "escalated",
            "flapping",
            "steady",
        ]
        | None
    ) = None


class HeldShape(ExpectedNoticeShape):
    """A notice that is expected to be held back."""

    reason: (
        Literal[
            "unreachable", "rechecking", "flapping", "silence", "maintenance", "inhibition", "muted", "acknowledged",
            "quiet_hours",
        ]
        | None
    ) = None  # fmt: skip


class ExpectShape(Shape):
    """What is expected to hold right after an instant."""

    at: MomentField
    incidents: list[IncidentShape] | None = None
    pages: list[PageShape] | None = None
    held: list[HeldShape] | None = None
    on_call: dict[str, Annotated[str, BeforeValidator(_person)]] = Field(default_factory=dict)
    rules: dict[str, Literal["breached", "healthy", "unknown", "pending"]] = Field(default_factory=dict)
    others: Literal["none", "allowed"] = "none"

    @model_validator(mode="after")
    def _something(self) -> ExpectShape:
        if not (self.on_call or self.rules or (self.incidents, self.pages, self.held) != (None, None, None)):
            raise InvalidValue("nothing is expected here", "write incidents, pages, held, on_call or rules")
        return self


class TestShape(Shape):
    """One test."""

    __test__ = False  # no test of pytest's

    name: str = Field(min_length=1)
    starts: Annotated[Any, BeforeValidator(_start)] = None
    every: LengthField | None = None
    samples: dict[str, Any] = Field(default_factory=dict)
    reports: dict[str, list[ReportShape]] = Field(default_factory=dict)
    people: list[DeedShape] = Field(default_factory=list)
    disturb: list[DisturbShape] = Field(default_factory=list)
    expect: list[ExpectShape] = Field(min_length=1)


class TrialFileShape(Shape):
    """The file. What it gives, every test is given; a test may say it otherwise."""

    configuration: Any
    starts: Annotated[Any, BeforeValidator(_start)] = None
    every: LengthField = DEFAULT_STEP
    samples: dict[str, Any] = Field(default_factory=dict)
    reports: dict[str, list[ReportShape]] = Field(default_factory=dict)
    tests: list[TestShape] = Field(min_length=1)

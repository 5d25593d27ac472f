"""Kinds: which kind a check or channel is of, and its options as an instance of that kind's model.

Knows the kinds that were handed in, those of checks that report by themselves, and those that later versions will run.
Does not know how a kind of check or channel works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, model_validator

from service_monitoring.domain.instants import MINUTE, Duration
from service_monitoring.domain.schedules import Cron, Expectation, Period
from service_monitoring.errors import Refused
from service_monitoring.ports import Kind
from service_monitoring.settings.calendars import CronField, ZoneField
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.quantities import DurationField
from service_monitoring.settings.shapes import Shape
from service_monitoring.settings.validation import fields_of, suggestion


def _some_time(length: Duration) -> Duration:
    if length <= 0:
        raise InvalidValue("this must be longer than nothing", "write 1m, or longer")
    return length


SomeTimeField = Annotated[DurationField, AfterValidator(_some_time)]


class HeartbeatShape(Shape):
    """When a sign of life is expected."""

    cron: CronField | None = None
    period: SomeTimeField | None = Field(None, description="Once in every so much time.")
    timezone: ZoneField | None = None
    zone: ZoneField | None = None
    grace: DurationField = Field(MINUTE, description="How late it may come.")
    max_runtime: SomeTimeField | None = Field(
        None, description="How long a run may take; as long as it likes, where it is left out."
    )

    @model_validator(mode="after")
    def _one_schedule(self) -> HeartbeatShape:
        if (self.cron is None) == (self.period is None):
            raise InvalidValue("one schedule is needed", 'write cron: "30 2 * * *" or period: 1h')
        if self.timezone is not None and self.zone is not None:
            raise InvalidValue("timezone and zone are the same", "remove one of them")
        return self

    def expectation(self, zone: str) -> Expectation:
        """What decisions know of it; `zone` is that of the file."""
        schedule = Cron(self.cron, self.timezone or self.zone or zone) if self.cron is not None else None
        if schedule is not None:
            return Expectation(schedule, self.grace, self.max_runtime)
        assert self.period is not None
        return Expectation(Period(self.period), self.grace, self.max_runtime)


class PushShape(Shape):
    """Samples that are measured elsewhere."""

    stale_after: SomeTimeField = Field(Duration(5 * MINUTE), description="When silence makes verdicts unknown.")


class HeartbeatOptions(Shape):
    """A job that reports that it ran."""

    heartbeat: HeartbeatShape


class PushOptions(Shape):
    """Samples that are sent to us."""

    push: PushShape


class IcmpOptions(Shape):
    """An echo request."""

    icmp: str = Field(min_length=1, description="A name or an address.")


ARRIVING: Final[Mapping[str, type[Shape]]] = {"heartbeat": HeartbeatOptions, "push": PushOptions}
"""Kinds of checks that nobody polls: what they say arrives by itself, so they have no cadence and no source."""
LATER: Final[Mapping[str, type[Shape]]] = {"icmp": IcmpOptions}
"""Kinds of checks that this version reads but does not run."""
ALWAYS: Final = frozenset({"up", "duration_seconds"})
"""Metrics of every check."""
LATER_REASONS: Final = {
    "icmp": ("echo requests are not sent yet", "the check does not run, and its rules are not judged"),
}


class Kinds:
    """The kinds of one sort, `check` or `channel`. Never imports what is not named.

    `arriving` are those that need no plugin, and come before one of the same name; `later` those that give way to it.
    """

    def __init__(
        self,
        sort: str,
        given: Mapping[str, Kind],
        *,
        arriving: Mapping[str, type[Shape]] | None = None,
        later: Mapping[str, type[Shape]] | None = None,
    ) -> None:
        self._sort = sort
        self._given = given
        self._arriving = dict(arriving or {})
        self._later = {name: model for name, model in (later or {}).items() if name not in given}
        self._models: dict[str, type[BaseModel] | InvalidValue] = {}

    @property
    def names(self) -> list[str]:
        """The names of all kinds."""
        return sorted({*self._given, *self._arriving, *self._later})

    def is_arriving(self, name: str) -> bool:  # noqa: D102 - says itself
        return name in self._arriving

    def is_later(self, name: str) -> bool:  # noqa: D102 - says itself
        return name in self._later

    def model(self, name: str) -> type[BaseModel]:
        """The model of a kind's options; `InvalidValue` where its package cannot be used."""
        found = self._models.get(name)
        if found is None:
            found = self._models[name] = self._looked_up(name)
        if isinstance(found, InvalidValue):
            raise found
        return found

    def metrics(self, name: str, options: Any) -> frozenset[str] | None:
        """The metrics that a check yields, where its kind says so by a method `metrics(options)`; None: any."""
        tell = None if name in self._arriving else getattr(self._given.get(name), "metrics", None)
        named: Iterable[str] | None = tell(options) if callable(tell) else None
        return None if named is None else frozenset({*ALWAYS, *named})

    def of(self, given: Mapping[str, Any], *, besides: Iterable[str] = ()) -> str:
        """The kind that a mapping is of, by its keys; `InvalidValue` where that is none or several."""
        named = [key for key in given if key in self._given or key in self._arriving or key in self._later]
        if len(named) > 1:
            # A kind may have an option that is called like another kind: `tls` of `http`.
            named = [key for key in named if set(named) <= set(fields_of(self.model(key)))] or named
        if len(named) == 1:
            return named[0]
        if named:
            raise InvalidValue(f"{' and '.join(named)} do not go together", f"write a {self._sort} for each")
        unknown = [key for key in given if key not in set(besides)]
        problem = f"this {self._sort} is of no kind that is known here"
        if len(unknown) == 1:
            problem = f"{unknown[0][:80]} is not a kind of {self._sort}"
            raise InvalidValue(problem, suggestion(unknown[0], self.names))
        raise InvalidValue(problem, f"add one of {', '.join(self.names)}")

    def _looked_up(self, name: str) -> type[BaseModel] | InvalidValue:
        known = self._arriving.get(name) or self._later.get(name)
        if known is not None:
            return known
        try:
            model: type[BaseModel] = self._given[name].options
        except Refused as error:
            return InvalidValue(str(error), "mend or remove the package, or use another kind")
        return model

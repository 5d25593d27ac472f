"""Builders for tests: rules, samples and configurations of which a test says only what matters to it.

`Trial` steps a course through a few minutes told in offsets from `START` and gives back what happened, as text that
reads like the page of an incident. Knows the domain only; nothing here waits, stores or speaks to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self

from msgspec.structs import replace

from service_monitoring.domain.configuration import EVERY_LABEL, Check, Configuration, Route, Service, Step
from service_monitoring.domain.course import Course, Decision, Ruling
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Pinged,
    Pushed,
    PushedSample,
    Retired,
    Settled,
    Signal,
    Silenced,
    Stamp,
    Stepped,
    Taken,
)
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.recollections import recollect
from service_monitoring.domain.rules import Flapping, Lifecycle, NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason, Sample, Series
from service_monitoring.domain.schedules import ActiveHours, Cron, Expectation, Period
from service_monitoring.domain.silences import Wanted
from service_monitoring.domain.strategies import AnyStrategy, Comparison, Operator, Threshold
from service_monitoring.settings.lengths import duration, duration_text

START: Final = Instant.parse("2026-01-05T00:00:00Z")
"""A Monday; offsets as `+5m` count from here."""


_NOTHING: Final = Recovery()


def span(text: str) -> Duration:
    """A length of time: `5m`, `1h30m`, or negative `-1h`."""
    return Duration(-duration(text[1:])) if text.startswith("-") else duration(text)


def instant(offset: str) -> Instant:
    """The instant at an offset from `START`: `+5m`."""
    return START.plus(span(offset.removeprefix("+")))


def a_route(
    path: str = "routes[0]",
    *matchers: Matcher,
    channels: Iterable[str] = ("ops",),
    wait: str = "0s",
    interval: str = "0s",
) -> Route:
    """A route that groups nothing, and tells its channels each change at once."""
    return Route(
        path,
        matchers,
        group_by=(EVERY_LABEL,),
        wait=span(wait),
        interval=span(interval),
        steps=(Step(tuple(f"channel.{name}" for name in channels)),),
    )


def a_grouping(path: str = "routes[0]", *matchers: Matcher, steps: Iterable[Step] = (), **more: object) -> Route:
    """A route that groups by service with the intervals that are the default, and tells the channel `ops` first."""
    route = Route(path, matchers, group_by=("service",), steps=tuple(steps) or (a_step("channel.ops"),))
    return replace(route, **more)


def a_step(*recipients: str, after: str = "0s", matchers: Iterable[Matcher] = ()) -> Step:
    """A step of an escalation."""
    return Step(recipients, span(after), tuple(matchers))


def equals(label: str, value: str) -> Matcher:
    """`label = value`."""
    return Matcher(label, MatchOperator.EQUALS, value)


def above(limit: float) -> Comparison:
    """`value > limit`."""
    return Comparison(Operator.ABOVE, limit)


def below(limit: float) -> Comparison:
    """`value < limit`."""
    return Comparison(Operator.BELOW, limit)


def recovering(comparison: Comparison | None = None, *, holds_for: str = "0s") -> Recovery:
    """Hysteresis, keep-firing, or both."""
    return Recovery(comparison, span(holds_for))


def no_data(mode: NoDataMode, *, after: str = "0s") -> NoData:
    """What a rule does about an Unknown verdict."""
    return NoData(mode, span(after))


def a_series(metric: str = "value", *, service: str = "shop", check: str = "health", **labels: str) -> Series:
    """The series of a metric of a check."""
    return Series(service, check, metric, tuple(sorted(labels.items())))


def a_sample(value: float = 1.0, *, at: str = "+0s", series: Series | None = None) -> Sample:
    """One sample at an offset."""
    return Sample(instant(at), a_series() if series is None else series, value)


def a_check(
    name: str = "health",
    *,
    service: str = "shop",
    kind: str = "http",
    every: str = "10s",
    stale_after: str = "25s",
    forget_after: str = "24h",
) -> Check:
    """A check that is polled."""
    return Check(
        service,
        name,
        kind,
        span(every),
        Duration(span(every) // 2),
        span(stale_after),
        forget_after=span(forget_after),
    )


def a_push(name: str = "orders", *, service: str = "shop", stale_after: str = "1m", allowance: str = "10s") -> Check:
    """A check whose samples are measured elsewhere."""
    return Check(service, name, "push", Duration(0), Duration(0), span(stale_after), allowance=span(allowance))


def a_heartbeat(
    name: str = "backup",
    *,
    service: str = "shop",
    cron: str = "",
    period: str = "1h",
    grace: str = "5m",
    max_runtime: str = "",
    zone: str = "UTC",
) -> Check:
    """A check of a job that reports, by a cron expression or once in a period."""
    schedule = Cron(cron, zone) if cron else Period(span(period))
    expects = Expectation(schedule, span(grace), span(max_runtime) if max_runtime else None)
    return Check(service, name, "heartbeat", Duration(0), Duration(0), Duration(0), expects=expects)


def a_rule(  # noqa: PLR0913 - one argument a field, each with a default, all but two by name
    name: str = "slow",
    strategy: AnyStrategy | None = None,
    *,
    service: str = "shop",
    check: str = "health",
    metric: str = "value",
    severity: Severity = Severity.WARNING,
    holds_for: str = "0s",
    recovery: Recovery = _NOTHING,
    on_no_data: NoData | None = None,
    worse: Iterable[Worse] = (),
    active: ActiveHours | None = None,
    flapping: Flapping | None = None,
    selects: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    depends_on: Iterable[str] = (),
    state: Lifecycle = Lifecycle.ACTIVE,
) -> Rule:
    """A rule; without a strategy it breaches above 1. It counts no changes of its mind unless `flapping` says so."""
    return Rule(
        service=service,
        name=name,
        check=check,
        metric=metric,
        strategy=Threshold(above(1.0)) if strategy is None else strategy,
        severity=severity,
        holds_for=span(holds_for),
        recovery=recovery,
        no_data=NoData() if on_no_data is None else on_no_data,
        worse=tuple(worse),
        active=active,
        flapping=flapping,
        selects=tuple(Matcher(label, MatchOperator.EQUALS, value) for label, value in sorted((selects or {}).items())),
        labels=tuple(sorted((labels or {}).items())),
        depends_on=tuple(depends_on),
        summary=f"{name} of {service}",
        state=state,
    )


def a_service(
    *rules: Rule, name: str = "shop", checks: Iterable[Check] | None = None, labels: Mapping[str, str] | None = None
) -> Service:
    """A service with these rules, and a check for each that they name unless `checks` are given."""
    named = dict.fromkeys(rule.check for rule in rules) or {"health": None}
    made = tuple(a_check(check, service=name) for check in named) if checks is None else tuple(checks)
    return Service(name, labels=tuple(sorted((labels or {}).items())), checks=made, rules=rules)


def a_configuration(
    *services: Service, routes: tuple[Route, ...] | None = None, owners: tuple[str, ...] = ("desk",)
) -> Configuration:
    """A revision whose incidents all go to the channel `ops`, unless routes are given."""
    return Configuration(services=services or (a_service(),), routes=routes or (a_route(),), owners=owners)


def an_observation(
    values: Mapping[str, float] | None = None, *, outcome: Outcome = Outcome.OK, reason: Reason | None = None
) -> Observation:
    """A run that measured these metrics."""
    measured = tuple(Measurement(metric, value) for metric, value in (values or {}).items())
    return Observation(outcome, reason, measurements=measured)


def a_course(*rules: Rule, at: str = "+0s") -> Course:
    """A course that took over a service with these rules."""
    course = Course()
    course.step(Admitted(Stamp(0, instant(at)), Configured(a_configuration(a_service(*rules)))))
    return course


def a_trial(*rules: Rule) -> Trial:
    """A trial of these rules of one service, configured at `START`."""
    return Trial(a_configuration(a_service(*rules)))


class Trial:
    """A course told what happens at offsets from `START`, remembering every decision.

    `wanted` are the checks that decisions asked to be run again, `taken` what became of each pushed sample.

    Offsets count elapsed time: a step of the wall clock moves `START` along, so that what is told after it reads on.
    Single-threaded. An input that is refused raises `AssertionError` with the sentence, unless `refused` tells it.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        self.course = Course()
        self.decisions: list[tuple[Stamp, Decision]] = []
        self.wanted: list[str] = []
        self._history: list[Admitted] = []
        self.taken: list[Taken] = []
        self._epoch = 0
        self._start = START
        self._starts = {0: START}
        if configuration is not None:
            self.configure("+0s", configuration)

    # What happens -----------------------------------------------------------------------------------------------------

    def tell(self, at: str, what: Input) -> Self:
        """Any input."""
        ruling = self._step(at, what)
        assert not ruling.refusal, ruling.refusal
        return self

    def configure(self, at: str, configuration: Configuration) -> Self:
        """A revision comes into force, and is given the history that it looks back at."""
        for service, check, reach in self.course.lacks(configuration):
            known = [each for each in self._history if _of(each) == (service, check)]
            self.course.refill(service, check, reach, recollect(known))
        return self.tell(at, Configured(configuration))

    def hear(self, at: str, *, check: str = "health", service: str = "shop", **values: float) -> Self:
        """A run that was ok measured these metrics, or none."""
        return self.observe(at, an_observation(values), check=check, service=service)

    def observe(self, at: str, observation: Observation, *, check: str = "health", service: str = "shop") -> Self:
        """A run ended in this way."""
        return self.tell(at, Observed(service, check, observation, self._at(at)))

    def fail(self, at: str, reason: Reason = Reason.CONNECT, *, check: str = "health", service: str = "shop") -> Self:
        """A run failed and measured nothing."""
        failed = an_observation(outcome=Outcome.FAILED, reason=reason)
        return self.observe(at, failed, check=check, service=service)

    def unknown(self, at: str, *, check: str = "health", service: str = "shop") -> Self:
        """A run was `unknown`: our own fault."""
        unknown = an_observation(outcome=Outcome.UNKNOWN, reason=Reason.OVERLOAD)
        return self.observe(at, unknown, check=check, service=service)

    def play(self, values: str, *, every: str = "10s", metric: str = "value") -> Self:
        """Runs one after the other, the first at `+every`: `0.5 2 _ ?` is two values, a run without one, an unknown."""
        for number, word in enumerate(values.split(), start=1):
            at = f"+{duration_text(Duration(number * span(every)))}"
            match word:
                case "_":
                    self.hear(at)
                case "?":
                    self.unknown(at)
                case _:
                    self.observe(at, an_observation({metric: float(word)}))
        return self

    def play_from(self, at: str, values: str, *, every: str = "10s") -> Self:
        """Runs one after the other, the first at an offset."""
        for number, value in enumerate(values.split()):
            since = span(at.removeprefix("+")) + number * span(every)
            self.hear(f"+{duration_text(Duration(since))}", value=float(value))
        return self

    def gap(self, began: str, ended: str, cause: GapCause = GapCause.RESTART) -> Self:
        """Nobody watched in between."""
        return self.tell(began, GapBegan(cause)).tell(ended, GapEnded())

    def wait(self, until: str) -> Self:
        """Nothing happens but time."""
        return self.tell(until, Marked(MarkKind.ALIVE))

    def step_clock(self, at: str, by: str) -> Self:
        """The wall clock is set: `-1h`. What was `at` by elapsed time stays so."""
        self._epoch += 1
        self._start = self._starts[self._epoch] = self._start.plus(span(by))
        return self.tell(at, Stepped(span(by)))

    def push(self, at: str, *samples: tuple[str, float], check: str = "orders", metric: str = "value") -> Self:
        """Samples came that were measured elsewhere, each at an offset of its own."""
        pushed = tuple(PushedSample(self._at(measured), metric, value) for measured, value in samples)
        return self.tell(at, Pushed("shop", check, pushed))

    def report(
        self, at: str, signal: Signal = Signal.SUCCESS, *, check: str = "backup", run: str = "", code: int | None = None
    ) -> Self:
        """A job reported."""
        return self.tell(at, Pinged("shop", check, signal, run, code))

    def acknowledge(self, at: str, rule: str, by: str = "ada", *, expires_after: str = "") -> Self:
        """A person takes on the rule's incident, for a while where that is said."""
        expires = span(expires_after) if expires_after else None
        return self.tell(at, Acted(self.incident(rule).id, Act.ACKNOWLEDGE, by, expires_after=expires))

    def snooze(self, at: str, rule: str, lasts: str, by: str = "ada") -> Self:
        """A person wants to hear nothing of the rule's incident for a while."""
        return self.tell(at, Acted(self.incident(rule).id, Act.SNOOZE, by, expires_after=span(lasts)))

    def assign(self, at: str, rule: str, to: str, by: str = "ada") -> Self:
        """A person assigns the rule's incident to another."""
        return self.tell(at, Acted(self.incident(rule).id, Act.ASSIGN, by, to=to))

    def note(self, at: str, rule: str, text: str, by: str = "ada") -> Self:
        """A person notes something on the rule's incident."""
        return self.tell(at, Acted(self.incident(rule).id, Act.NOTE, by, text))

    def resolve(self, at: str, rule: str, by: str = "ada") -> Self:
        """A person ends the rule's incident."""
        return self.tell(at, Acted(self.incident(rule).id, Act.RESOLVE, by))

    def silence(self, at: str, lasts: str, *matchers: Matcher) -> Self:
        """A person wants to hear nothing of these labels, by default those of the service `shop`, for a while."""
        return self.tell(at, Silenced(Wanted(matchers or (equals("service", "shop"),), "ada", lasts=span(lasts))))

    def settle(self, at: str, notice: Notice, delivery: Delivery) -> Self:
        """What became of a notice; it is withheld for the reason that there is then."""
        now = self._at(at)
        held = self.course.withheld(notice, now) if delivery is Delivery.WITHHELD else None
        return self.tell(
            at,
            Settled(
                notice.key,
                delivery,
                notice.channel,
                notice.page,
                held=held,
                group=notice.group,
                sequence=notice.sequence,
                recipient=notice.recipient,
            ),
        )

    def retire(self, at: str, rule: str, reason: str = "no longer needed", *, service: str = "shop") -> Self:
        """A person retires a rule."""
        return self.tell(at, Retired(service, rule, reason, "ada"))

    def refused(self, at: str, what: Input) -> str:
        """The sentence with which `what` is refused."""
        ruling = self._step(at, what)
        assert ruling.refusal, f"{what} was taken"
        return ruling.refusal

    # What came of it --------------------------------------------------------------------------------------------------

    def incident(self, rule: str) -> Incident:
        """The rule's incident that is not over; there must be exactly one."""
        (found,) = (incident for incident in self.course.incidents() if incident.rule == rule)
        return found

    def incidents(self, rule: str | None = None) -> list[Incident]:
        """Every state that an incident was in, in order."""
        moved = [decision.incident for _, decision in self.decisions if isinstance(decision, IncidentMoved)]
        return [incident for incident in moved if rule in {None, incident.rule}]

    def notices(self) -> list[Notice]:
        """Every notice, owed or held, in order."""
        return [decision for _, decision in self.decisions if isinstance(decision, Notice)]

    def moves(self, rule: str | None = None) -> list[str]:
        """`+40s open`: when an incident came to which state; of all rules, or of one."""
        return [
            f"{self._offset(stamp)} {decision.incident.state}"
            for stamp, decision in self.decisions
            if isinstance(decision, IncidentMoved) and rule in {None, decision.incident.rule}
        ]

    def told(self) -> list[str]:
        """`+40s ops first slow`: which channel was told what of which rule, and `held unreachable` where it was not."""
        return [
            f"{self._offset(stamp)} {decision.channel} {decision.page} {decision.facts.rule}"
            + (f" held {decision.held.reason}" if decision.held is not None else "")
            for stamp, decision in self.decisions
            if isinstance(decision, Notice)
        ]

    def _step(self, at: str, what: Input) -> Ruling:
        admitted = Admitted(Stamp(self._epoch, self._at(at)), what)
        ruling = self.course.step(admitted)
        if isinstance(what, Pushed):
            judged = (each for each, mark in zip(what.samples, ruling.taken, strict=True) if mark is Taken.JUDGED)
            self._history.append(replace(admitted, input=replace(what, samples=tuple(judged))))
        elif isinstance(what, Observed):
            self._history.append(admitted)
        self.decisions += ruling.decisions
        self.wanted += ruling.wants
        self.taken += ruling.taken
        return ruling

    def _at(self, offset: str) -> Instant:
        return self._start.plus(span(offset.removeprefix("+")))

    def _offset(self, stamp: Stamp) -> str:
        since = stamp.at.since(self._starts[stamp.epoch])
        return f"+{duration_text(since)}" if since >= 0 else f"-{duration_text(Duration(-since))}"


def _of(admitted: Admitted) -> tuple[str, str]:
    assert isinstance(admitted.input, Observed | Pushed)
    return admitted.input.service, admitted.input.check

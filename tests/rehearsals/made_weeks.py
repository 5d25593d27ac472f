"""A week made by hand: two people on a rota, a silence, quiet hours, an escalation, a series that flaps, and a draft.

What is wrong when is a list of hours; everything else follows from the course.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain import calendar
from service_monitoring.domain.configuration import Configuration, Person, QuietHours, Route
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import DAY, SECOND, Duration
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Rota
from service_monitoring.domain.rules import Flapping, Lifecycle, Severity, Worse
from service_monitoring.domain.strategies import Threshold
from service_monitoring.ports import Flaw
from service_monitoring.rehearsal.rehearsed import Rehearsed, Unmatched
from service_monitoring.settings.lengths import duration_text
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_check,
    a_configuration,
    a_grouping,
    a_rule,
    a_service,
    a_step,
    above,
    equals,
    instant,
    span,
)

ZONE: Final = "Europe/Berlin"

SLOW: Final = (
    ("+20h", "40m", 2.0),
    ("+26h", "3h", 2.2),
    ("+50h", "1h", 1.4),
    ("+74h", "5h", 4.0),
    ("+140h", "2h", 2.0),
)
"""When the shop is slow: offset, how long, how slow."""

ERRORS: Final = (("+30h", "20m", 9.0), ("+97h", "3h", 8.0), ("+120h", "1h", 9.0))

_EVERY: Final = span("5m")


def a_team(above_what: float = 1.0, *, holds_for: str = "10m", **more: object) -> Configuration:
    """Two services and two people: ada and bo take turns by the day, and bo is called where nobody takes it on."""
    rules = (
        a_rule(
            "slow",
            Threshold(above(above_what)),
            holds_for=holds_for,
            worse=(Worse(Severity.CRITICAL, above(3.0), span("10m")),),
        ),
        a_rule("sluggish", Threshold(above(above_what / 2)), state=Lifecycle.DRAFT, metric="value"),
    )
    errors = a_rule("errors", service="pay", severity=Severity.CRITICAL, flapping=Flapping())
    services = (
        a_service(*rules, checks=[a_check(every="5m", stale_after="12m")], labels={"team": "web"}),
        a_service(
            errors, name="pay", checks=[a_check(service="pay", every="5m", stale_after="12m")], labels={"team": "money"}
        ),
    )
    quiet = calendar.active_hours(None, "22:00-07:00", ZONE)
    configuration = replace(
        a_configuration(*services, routes=(a_call(),)),
        people=(
            Person("ada", ("sms",), QuietHours(quiet, (Severity.CRITICAL,))),
            Person("bo", ("phone", "sms"), QuietHours(quiet, (Severity.CRITICAL,))),
        ),
        rotas=(Rota("primary", ZONE, (Layer(("ada", "bo"), DAILY, Handover(9 * 60)),)),),
    )
    return replace(configuration, **more)


def a_call() -> Route:
    """Whoever is on call, with the channel, and after half an hour bo."""
    return a_grouping(
        steps=(a_step("oncall.primary", "channel.ops"), a_step("person.bo", after="30m")),
        wait=span("30s"),
        interval=span("5m"),
        repeat=span("2h"),
    )


def a_week(
    configuration: Configuration | None = None,
    *,
    slow: Iterable[tuple[str, str, float]] = SLOW,
    errors: Iterable[tuple[str, str, float]] = ERRORS,
    days: int = 7,
    warm: str = "+12h",
) -> Rehearsed:
    """What comes of the week, again and again where there are more `days`, under a configuration."""
    configuration = a_team() if configuration is None else configuration
    trial = Trial(configuration)
    wrong = {"shop": [_stretch(each) for each in slow], "pay": [_stretch(each) for each in errors]}
    weeks = range(0, days, 7)
    wrong = {
        service: [_later(each, day) for day in weeks for each in stretches] for service, stretches in wrong.items()
    }
    acknowledged = False
    for number in range(1, days * 288):
        since = Duration(number * _EVERY)
        at, later = (f"+{duration_text(Duration(each))}" for each in (since, since + SECOND))
        for service, stretches in wrong.items():
            value = next((_rising(each, since) for each in stretches if each[0] <= since < each[1]), 0.2)
            if service == "pay" and span("160h") <= since < span("164h"):
                value = 9.0 if number % 2 else 0.2
            trial.hear(at, service=service, value=value)
        if since == span("50h"):
            trial.silence(later, "2h", equals("service", "shop"))
        if since >= span("98h") and not acknowledged:
            for each in trial.course.incidents():
                if each.rule == "errors" and each.opened_at is not None:
                    trial.tell(later, Acted(each.id, Act.ACKNOWLEDGE, "bo", "on it"))
                    acknowledged = True
    return Rehearsed(
        since=START,
        until=instant(f"+{days * 24}h"),
        warm=instant(warm),
        configuration=configuration,
        decisions=tuple(decision for _, decision in trial.decisions),
        samples=2 * days * 288 - 2,
        unmatched=(Unmatched(instant("+99h"), Act.ACKNOWLEDGE, "0123456789abcdef", "bo"),),
        flaws=(Flaw("samples.csv", 7, "the value is not a number", 3),),
        limits=("Acknowledgements are those that people gave.", "Probes are not run again."),
    )


def _later(stretch: tuple[Duration, Duration, float], days: int) -> tuple[Duration, Duration, float]:
    return Duration(stretch[0] + days * DAY), Duration(stretch[1] + days * DAY), stretch[2]


def _rising(stretch: tuple[Duration, Duration, float], since: Duration) -> float:
    """What is measured: it takes three quarters of an hour to get as bad as it gets."""
    began, _, worst = stretch
    return worst * min(1.0, (since - began + _EVERY) / span("45m"))


def _stretch(said: tuple[str, str, float]) -> tuple[Duration, Duration, float]:
    began = span(said[0].removeprefix("+"))
    return began, Duration(began + span(said[1])), said[2]

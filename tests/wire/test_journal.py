"""What is written can be read again, by this version and by the one before."""

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.domain.baselines import Deviation, Forecast
from service_monitoring.domain.budgets import SLOW, Budget
from service_monitoring.domain.configuration import (
    Check,
    Configuration,
    Route,
    Service,
)
from service_monitoring.domain.course import order_of
from service_monitoring.domain.events import (
    Event,
    IncidentMoved,
    IncidentNoted,
    RuleMoved,
    SeriesFlapped,
    SilenceMove,
    SilenceMoved,
)
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
    Pinged,
    Requeued,
    Retired,
    Settled,
    Signal,
    Silenced,
    Stepped,
    Unsilenced,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.domain.rules import Lifecycle, NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.schedules import ActiveHours, Cron, Failing, Monthly, Recurrence, Span, Weekly
from service_monitoring.domain.silences import Wanted
from service_monitoring.domain.strategies import (
    Absence,
    Aggregate,
    AnyStrategy,
    Change,
    Comparison,
    Composite,
    Function,
    Heartbeat,
    LastOf,
    Operator,
    Threshold,
)
from service_monitoring.errors import Refused, Unusable
from service_monitoring.testing.store_laws import (
    A_SILENCE,
    START,
    a_notice,
    a_push,
    a_stamp,
    an_incident,
    an_observation,
)
from service_monitoring.wire import configuration as configurations
from service_monitoring.wire.codec import canonical, decode, encode
from service_monitoring.wire.journal import VERSION, Opaque, read, written

ABOVE = Comparison(Operator.ABOVE, 0.8)
STRATEGIES: list[AnyStrategy] = [
    Threshold(Comparison(Operator.OUTSIDE, 1.0, 2.0)),
    LastOf(3, 2, ABOVE),
    Aggregate(ABOVE, function=Function.PERCENTILE, over=Duration(300 * SECOND), percentile=99.9),
    Change(ABOVE, samples=3),
    Absence(Duration(60 * SECOND)),
    Deviation(ABOVE, baseline=Duration(300 * SECOND), season=Duration(60 * SECOND), stands_for=Duration(SECOND)),
    Forecast(level=10.5, within=Duration(SECOND), fit=Duration(300 * SECOND), stands_for=Duration(SECOND)),
    Budget(objective=0.999, window=Duration(300 * SECOND), burns=SLOW, stands_for=Duration(SECOND)),
    Heartbeat((Failing.MISSED, Failing.FAILED)),
    Composite(("shop.down", "bank.down"), 1),
]
RULES = tuple(
    Rule(
        "shop",
        f"rule{place}",
        "health",
        "up",
        strategy,
        holds_for=Duration(10 * SECOND),
        recovery=Recovery(ABOVE, Duration(SECOND)),
        no_data=NoData(NoDataMode.BREACH_AFTER, Duration(SECOND)),
        selects=(Matcher("zone", MatchOperator.EQUALS, "a"),),
        depends_on=("bank.down",),
        worse=(Worse(Severity.CRITICAL, ABOVE, Duration(SECOND)),),
        active=ActiveHours("Europe/Berlin", (0, 1, 5), (Span(420, 1320),)),
        summary="{{ service }} ü",
    )
    for place, strategy in enumerate(STRATEGIES)
)
CONFIGURATION = Configuration(
    services=(
        Service(
            "shop",
            labels=(("team", "payments"),),
            checks=(Check("shop", "health", "http", Duration(5), Duration(2), Duration(12), 1),),
            rules=RULES,
        ),
    ),
    routes=(Route("all", (Matcher("severity", MatchOperator.MATCHES_NOT, "info"),), ("web",)),),
    owners=("mail",),
    maintenances=(
        Maintenance("once", (Matcher("service", MatchOperator.EQUALS, "shop"),), Once(Instant(0), Instant(SECOND))),
        Maintenance("weekly", (), Weekly("Europe/Berlin", 6, 180), Duration(SECOND), "planned"),
        Maintenance("monthly", (), Monthly("UTC", 0, 180), Duration(SECOND), after_failure=Duration(SECOND)),
        Maintenance("cron", (), Cron("0 3 * * *", "UTC"), Duration(SECOND)),
        Maintenance("rule", (), Recurrence("UTC", "FREQ=DAILY", 0), Duration(SECOND)),
    ),
)
INPUTS: list[Input] = [
    an_observation(1).input,
    Pinged("shop", "backup", Signal.FAIL, "run-1", 3),
    a_push(2, 1.0, 0.1 + 0.2).input,
    Acted("0123", Act.ACKNOWLEDGE, "ada", "looking", Duration(SECOND)),
    Acted("0123", Act.ASSIGN, "ada", to="grace"),
    Retired("shop", "down", "gone", "ada"),
    Silenced(Wanted(A_SILENCE.matchers, "ada", "deploy", lasts=Duration(SECOND))),
    Silenced(Wanted(A_SILENCE.matchers, "ada", "deploy", START, ends=START.plus(Duration(SECOND)))),
    Unsilenced(A_SILENCE.id, "grace"),
    Requeued("key", "ada", "the pager is back"),
    Configured(CONFIGURATION),
    GapBegan(GapCause.SUSPEND),
    GapEnded(),
    Stepped(Duration(-3_600 * SECOND)),
    Marked(MarkKind.ALIVE),
    Settled("key", Delivery.PARKED, "web", Page.FIRST, "404", uncertain=True),
    Settled("key", Delivery.WITHHELD, "web", Page.FIRST, held=Held(Withheld.FLAPPING, "0123")),
]
DECISIONS: list[Event | Notice] = [
    IncidentMoved(START, START.plus(SECOND), an_incident()),
    IncidentMoved(START, START, an_incident(), Act.SNOOZE, "ada", "after lunch"),
    IncidentNoted(START, START, "0123", Act.ASSIGN, "ada", "yours", "grace", "shop", "down", an_incident().series),
    IncidentNoted(START, START, "0123", Act.NOTE, "ada", "it was the index"),
    RuleMoved(START, START, "shop", "down", Lifecycle.RETIRED, "removed"),
    SeriesFlapped(START, START, "shop", "down", an_incident().series, flapping=True, percent=31.5),
    a_notice(an_incident()),
    replace(a_notice(an_incident()), held=Held(Withheld.UNREACHABLE, "0123")),
    SilenceMoved(START, START, SilenceMove.EXPIRED, replace(A_SILENCE, expired_by="grace")),
]
REVISIONS = {configurations.revision(CONFIGURATION): CONFIGURATION}


def test_every_kind_of_input_and_event_is_tried_here() -> None:
    assert {type(given) for given in INPUTS} == set(get_args(Input))
    assert {type(decided) for decided in DECISIONS} == {*get_args(Event), Notice}
    assert {type(decision) for decision in DECISIONS} == {*get_args(Event), Notice}
    assert {type(strategy) for strategy in STRATEGIES} == set(get_args(AnyStrategy))


@pytest.mark.parametrize("what", INPUTS, ids=lambda given: type(given).__name__)
def test_an_input_comes_back_as_it_was(what: Input) -> None:
    admitted = Admitted(a_stamp(5, epoch=2), what)
    row = written(admitted)
    assert row.order == order_of(what)
    assert read(row.kind, VERSION, row.body, stamp=admitted.stamp, revisions=REVISIONS) == admitted


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: type(decision).__name__)
def test_a_decision_comes_back_as_it_was(decision: Event | Notice) -> None:
    row = written(decision)
    assert row.order is None
    assert read(row.kind, VERSION, row.body, stamp=a_stamp(0), revisions={}) == decision


def test_records_can_be_found_by_service_and_subject() -> None:
    incident = an_incident()
    moved, _, noted, _, rule, _, notice, _, silence = (written(decision) for decision in DECISIONS)
    assert (moved.service, moved.subject) == ("shop", incident.id)
    assert (noted.service, noted.subject) == ("shop", "0123")
    assert (rule.service, rule.subject) == ("shop", "shop.down")
    assert (notice.service, notice.subject) == ("shop", a_notice(incident).group)
    assert (silence.service, silence.subject) == ("", A_SILENCE.id)
    assert [written(Admitted(a_stamp(0), given)).subject for given in INPUTS[:4]] == [
        "shop.health",
        "shop.backup",
        "shop.orders",
        "0123",
    ]


def test_a_kind_that_only_a_newer_version_knows_is_carried_along_unread() -> None:
    body = b'{"anything":[1,2]}'
    assert read("invented", VERSION + 1, body, stamp=a_stamp(0), revisions={}) == Opaque("invented", VERSION + 1, body)


def test_a_known_kind_in_a_newer_form_is_read_when_it_can_be_and_else_carried_along() -> None:
    longer = b'{"type":"marked","mark":"alive","node":"a"}'
    assert read("marked", VERSION + 1, longer, stamp=a_stamp(0), revisions={}) == Admitted(
        a_stamp(0), Marked(MarkKind.ALIVE)
    )
    other = b'{"type":"marked","mark":{"kind":"alive"}}'
    assert read("marked", VERSION + 1, other, stamp=a_stamp(0), revisions={}) == Opaque("marked", VERSION + 1, other)


@pytest.mark.parametrize(
    ("kind", "body"), [("invented", b"{}"), ("marked", b"{"), ("configured", b'{"revision":"abc"}')]
)
def test_a_record_of_a_known_form_that_cannot_be_read_is_unusable(kind: str, body: bytes) -> None:
    with pytest.raises(Unusable):
        read(kind, VERSION, body, stamp=a_stamp(0), revisions={})


def test_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(Refused, match="not Unicode"):
        encode(Acted("0123", Act.RESOLVE, "ada", "\udc80"))


def test_a_value_without_a_form_is_a_defect() -> None:
    with pytest.raises(NotImplementedError):
        encode(re.compile("x"))


@given(st.integers(-(2**53), 2**62))
def test_an_instant_is_written_as_it_writes_itself_and_read_again(nanoseconds: int) -> None:
    instant = Instant(nanoseconds)
    assert encode(instant) == f'"{instant}"'.encode()
    assert decode(Instant, encode(instant)) == instant


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_finite_float_comes_back_to_the_bit(value: float) -> None:
    assert decode(float, encode(value)).hex() == value.hex()


def test_equal_configurations_have_equal_bytes_and_revisions() -> None:
    same = decode(Configuration, encode(CONFIGURATION))
    assert configurations.body(same) == configurations.body(CONFIGURATION)
    assert configurations.revision(same) == configurations.revision(CONFIGURATION)
    assert configurations.read(configurations.body(CONFIGURATION)) == CONFIGURATION


def test_another_configuration_is_another_revision() -> None:
    changed = replace(CONFIGURATION, owners=("pager",))
    assert configurations.revision(changed) != configurations.revision(CONFIGURATION)


def test_canonical_bytes_do_not_depend_on_the_order_of_keys() -> None:
    one: dict[str, Any] = {"b": 1, "a": {"d": START, "c": 0.1}}
    other: dict[str, Any] = {"a": {"c": 0.1, "d": START}, "b": 1}
    assert canonical(one) == canonical(other) == b'{"a":{"c":0.1,"d":"2026-01-05T00:00:00.000000001Z"},"b":1}'

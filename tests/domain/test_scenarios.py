"""Three scenarios of the reference course that this system grew out of, through the whole chain."""

from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.course import Course
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.incidents import Cause, Incident, State
from service_monitoring.domain.inputs import Admitted, Configured, Input, Observed, Retired, Stamp
from service_monitoring.domain.instants import MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.rules import Rule, Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome
from service_monitoring.domain.strategies import Change, Comparison, LastOf, Operator, Threshold

START = Instant.parse("2026-01-05T09:00:00Z")


def a_course(*rules: Rule) -> Course:
    """A course that watches one check of one service, a minute apart."""
    check = Check("host", "probe", "http", Duration(MINUTE), Duration(5 * SECOND), Duration(150 * SECOND))
    service = Service("host", checks=(check,), rules=rules)
    course = Course()
    tell(course, START, Configured(Configuration(services=(service,))))
    return course


def tell(course: Course, at: Instant, what: Input) -> list[Incident]:
    """Step the course and give back the incidents that moved."""
    ruling = course.step(Admitted(Stamp(0, at), what))
    assert not ruling.refusal
    return [decision.incident for _, decision in ruling.decisions if isinstance(decision, IncidentMoved)]


def feed(course: Course, metric: str, *values: float) -> list[Incident]:
    """One sample a minute, beginning a minute after the start."""
    moved: list[Incident] = []
    for minute, value in enumerate(values, start=1):
        observation = Observation(Outcome.OK, measurements=(Measurement(metric, value),))
        at = START.plus(Duration(minute * MINUTE))
        moved += tell(course, at, Observed("host", "probe", observation, at))
    return moved


def test_hot_and_sustained_cpu_are_two_incidents() -> None:
    hot = Rule("host", "cpu-hot", "probe", "cpu", Threshold(Comparison(Operator.AT_LEAST, 0.9)), Severity.CRITICAL)
    sustained = Rule("host", "cpu-sustained", "probe", "cpu", LastOf(3, 3, Comparison(Operator.AT_LEAST, 0.8)))
    course = a_course(hot, sustained)
    feed(course, "cpu", 0.82, 0.93, 0.95)
    first, second = course.incidents()
    assert (first.rule, first.severity, first.state) == ("cpu-hot", Severity.CRITICAL, State.OPEN)
    assert first.opened_at == START.plus(Duration(2 * MINUTE))
    assert (second.rule, second.severity, second.state) == ("cpu-sustained", Severity.WARNING, State.OPEN)
    assert second.opened_at == START.plus(Duration(3 * MINUTE))


def test_retiring_a_rule_closes_its_incident_and_keeps_it_in_history() -> None:
    rule = Rule("host", "disk-hot", "probe", "disk", Threshold(Comparison(Operator.ABOVE, 0.85)))
    course = a_course(rule)
    assert [incident.state for incident in feed(course, "disk", 0.91)] == [State.PENDING, State.OPEN]
    (closed,) = tell(
        course, START.plus(Duration(2 * MINUTE)), Retired("host", "disk-hot", "the disk was replaced", by="ada")
    )
    assert (closed.state, closed.cause, closed.sequence) == (State.CLOSED, Cause.RETIRED, 3)
    assert course.incidents() == []
    changes = course.take_changes()
    assert changes is not None and [incident.id for incident in changes.incidents] == [closed.id]


def test_a_jump_over_three_samples_opens_with_the_observed_change() -> None:
    rule = Rule(
        "host", "latency", "probe", "latency", Change(Comparison(Operator.AT_LEAST, 0.2), samples=3), Severity.CRITICAL
    )
    *_, opened = feed(a_course(rule), "latency", 0.35, 0.40, 0.61)
    assert opened.state is State.OPEN
    assert opened.evidence.value == 0.61 - 0.35
    assert round(opened.evidence.value, 2) == 0.26

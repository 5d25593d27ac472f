"""The board: equal to one that is built anew, to what uptime says, and each page of it once through everything."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.application import Monitor, Round
from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.course import Course
from service_monitoring.domain.incidents import FINAL, Incident
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    Delivery,
    Input,
    Marked,
    MarkKind,
    Observed,
    Pinged,
    Requeued,
    Settled,
    Signal,
    Stamp,
)
from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, Once, covers, maintained
from service_monitoring.domain.notices import Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.strategies import Threshold
from service_monitoring.domain.uptime import FOR_EVER, Condition, Known, Span, Spell, timeline
from service_monitoring.errors import NotFound, Refused
from service_monitoring.settings.matchers import matcher
from service_monitoring.testing.builders import (
    START,
    a_check,
    a_configuration,
    a_heartbeat,
    a_rule,
    a_service,
    below,
    equals,
    instant,
)
from service_monitoring.testing.stores import MemoryStore
from service_monitoring.views.board import WORST_FIRST, Sort, Wanted
from service_monitoring.views.projection import Board, Heard, heard_of

STALE = 40
NAMES = ("cart", "mail", "shop")
FAILED = Observation(Outcome.FAILED, Reason.CONNECT)
UNKNOWN = Observation(Outcome.UNKNOWN, Reason.SELF_OFFLINE)
OK = Observation(Outcome.OK, measurements=(Measurement("status_code", 200.0), Measurement("duration_seconds", 0.25)))


def a_shop(name: str, severity: Severity = Severity.CRITICAL, *, team: str = "one") -> Service:
    """A service with two checks, of which `health` has a rule, in a team."""
    rule = a_rule("down", Threshold(below(1.0)), service=name, metric="up", severity=severity)
    checks = [a_check(service=name, stale_after=f"{STALE}s"), a_check("page", service=name, stale_after=f"{STALE}s")]
    return a_service(rule, name=name, checks=checks, labels={"team": team})


def configured(*services: Service, maintenances: tuple[Maintenance, ...] = ()) -> Configuration:
    return replace(a_configuration(*services), maintenances=maintenances)


WORK = Maintenance("upgrade", (equals("service", "mail"),), Once(instant("+100s"), instant("+160s")))
FLEXIBLE = Maintenance(
    "patches",
    (equals("service", "cart"),),
    Once(instant("+20s"), instant("+120s")),
    after_failure=Duration(30 * SECOND),
)
CONFIGURATION = configured(
    a_shop("cart"), a_shop("mail", Severity.WARNING, team="two"), a_shop("shop"), maintenances=(WORK, FLEXIBLE)
)


@dataclass
class World:
    """A monitor whose rounds are all kept, the board that is fed with them, and what a store would know."""

    board: Board = field(default_factory=Board)
    heard: dict[tuple[str, str], Heard] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    said: dict[tuple[str, str], list[tuple[int, Outcome]]] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)
    at: Instant = START

    def __post_init__(self) -> None:
        self.monitor = Monitor(MemoryStore(), Course(), {})
        self.board.begin(Configuration(), self.monitor.course.progress, (), START)

    def take(self, what: Input, after: int = 1) -> Round:
        """An input so many seconds after the one before: decided, and kept."""
        self.at = self.at.plus(Duration(after * SECOND))
        judged = self.monitor.judge([Admitted(Stamp(0, self.at), what)])
        self.board.take(judged.observations, judged.marks, judged.commit)
        if isinstance(what, Observed):
            duration = next((m.value for m in what.observation.measurements if m.metric == "duration_seconds"), None)
            self.heard[what.service, what.check] = Heard(
                what.service,
                what.check,
                Stamp(0, self.at),
                what.observation.outcome,
                what.observation.reason or "",
                duration,
            )
            outcome = what.observation.outcome
            self.said.setdefault((what.service, what.check), []).append((self.at.ns, outcome))
        if judged.commit is not None:
            self.incidents |= {each.id: each for each in judged.commit.incidents}
            for ping in judged.commit.pings:
                self.heard[ping.report.service, ping.report.check] = heard_of(ping)
        return judged

    def see(self, service: str, observation: Observation, *, check: str = "health", after: int = 1) -> None:
        self.take(Observed(service, check, observation, self.at), after)

    def anew(self, at: Instant) -> Board:
        """The board as the next start would have it."""
        board, course = Board(), self.monitor.course
        board.begin(course.configuration, course.progress, course.incidents(), at)
        ended = [each for each in self.incidents.values() if each.state in FINAL]
        board.remember(self.heard.values(), ended=ended, parked=self.parked)
        board.refresh(at)
        return board


def shown(board: Board) -> list[object]:
    """Everything that a board shows."""
    return [
        board.page(Wanted(limit=200)),
        board.page(Wanted(sort=Sort.NAME)),
        board.counts(),
        board.open(),
        board.lately(),
        list(board.work()),
    ]


def by_uptime(world: World, service: Service, at: Instant) -> Condition:
    """How a service is at an instant, by what uptime would count."""
    mine = [each for each in world.incidents.values() if each.service == service.name and each.opened_at is not None]
    spells = [
        Spell(each.severity, Span(each.opened_at.ns, FOR_EVER if each.ended_at is None else each.ended_at.ns))
        for each in mine
        if each.opened_at is not None
    ]
    until = [
        said[-1][0] if said[-1][1] is Outcome.UNKNOWN else said[-1][0] + STALE * SECOND
        for check in service.checks
        if (said := world.said.get((service.name, check.name)))
    ]
    unheard = (Span(max(until, default=0), FOR_EVER),)
    own = {**dict(service.labels), "service": service.name}
    failures = [(Instant(each.span.began), Instant(each.span.ended)) for each in spells]
    held = [
        Span(begins.ns, ends.ns)
        for each in CONFIGURATION.maintenances
        if covers(each, own)
        for begins, ends in maintained(each, START, at.plus(Duration(1)), failures)
    ]
    known = Known(tuple(spells), unheard=unheard, maintenance=tuple(held))
    [(_, condition)] = timeline(at, at.plus(Duration(1)), known)
    return condition


STEPS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("health", "health", "page")),
        st.sampled_from((OK, OK, FAILED, FAILED, UNKNOWN)),
        st.sampled_from((1, 5, 20, 45)),
        st.sampled_from(("see", "see", "see", "acknowledge", "resolve")),
    ),
    max_size=14,
)


@given(STEPS, st.integers(0, 60))
def test_the_board_is_as_one_that_is_built_anew_and_as_uptime_counts(
    steps: list[tuple[str, str, Observation, int, str]], rest: int
) -> None:
    world = World()
    world.take(Configured(CONFIGURATION))
    for service, check, observation, after, what in steps:
        alive = [each for each in world.monitor.course.incidents() if each.opened_at is not None]
        if what == "see" or not alive:
            world.see(service, observation, check=check, after=after)
        else:
            world.take(Acted(alive[0].id, Act(what), "alice"), after)
        world.board.refresh(world.at)
    at = world.at.plus(Duration(rest * SECOND))
    world.take(Marked(MarkKind.ALIVE), rest)
    world.board.refresh(at)
    assert shown(world.board) == shown(world.anew(at))
    for known in CONFIGURATION.services:
        assert world.board.service(known.name).condition == by_uptime(world, known, at), known.name
    rows = world.board.page(Wanted(sort=Sort.NAME)).services
    for condition in Condition:
        assert world.board.counts()[condition] == sum(row.condition == condition for row in rows)


def a_world(*services: Service, maintenances: tuple[Maintenance, ...] = ()) -> World:
    world = World()
    world.take(Configured(configured(*services, maintenances=maintenances)))
    return world


def test_a_service_that_nobody_heard_is_unknown_and_then_up() -> None:
    world = a_world(a_shop("shop"))
    assert world.board.service("shop").condition == "unknown"
    world.see("shop", OK)
    row = world.board.service("shop")
    assert (row.condition, row.since) == ("up", None)
    assert [(each.check, each.outcome, each.duration_seconds, each.current) for each in row.checks] == [
        ("health", "ok", 0.25, True),
        ("page", "", None, False),
    ]


def test_an_open_incident_takes_a_service_down_until_it_ends() -> None:
    world = a_world(a_shop("shop"))
    world.see("shop", FAILED)
    row = world.board.service("shop")
    [incident] = row.incidents
    assert (row.condition, row.unacknowledged, row.since) == ("down", 1, str(world.at))
    world.take(Acted(incident.id, Act.ACKNOWLEDGE, "alice"))
    row = world.board.service("shop")
    assert (row.condition, row.unacknowledged, row.incidents[0].state) == ("down", 0, "acknowledged")
    world.see("shop", OK)
    row = world.board.service("shop")
    assert (row.condition, row.incidents, row.since) == ("up", (), str(world.at))
    assert [each.id for each in world.board.lately()] == [incident.id]


def test_a_lesser_incident_degrades_a_service() -> None:
    world = a_world(a_shop("shop", Severity.WARNING))
    world.see("shop", FAILED)
    assert world.board.service("shop").condition == "degraded"


def test_observations_grow_too_old_without_anything_being_decided() -> None:
    world = a_world(a_shop("shop"))
    world.see("shop", OK)
    heard = world.at
    world.board.refresh(heard.plus(Duration((STALE - 1) * SECOND)))
    assert world.board.service("shop").condition == "up"
    world.board.refresh(heard.plus(Duration(STALE * SECOND)))
    row = world.board.service("shop")
    assert (row.condition, row.checks[0].current) == ("unknown", False)
    assert row.since == str(heard.plus(Duration(STALE * SECOND)))


def test_planned_work_begins_and_ends_by_itself() -> None:
    world = a_world(a_shop("mail"), maintenances=(WORK,))
    world.see("mail", OK, after=90)
    world.board.refresh(instant("+100s"))
    row = world.board.service("mail")
    assert (row.condition, row.maintenance, row.since) == ("maintenance", "upgrade", str(instant("+100s")))
    assert [(each.name, until, services) for each, until, services in world.board.work()] == [
        ("upgrade", instant("+160s"), 1)
    ]
    world.see("mail", OK, after=40)
    world.board.refresh(instant("+160s"))
    assert world.board.service("mail").condition == "up"


def test_a_job_is_heard_once_it_reported_whatever_it_said_before() -> None:
    world = a_world(a_service(name="shop", checks=[a_heartbeat()]))
    assert world.board.service("shop").condition == "unknown"
    check = world.board.service("shop").checks[0].check
    world.take(Pinged("shop", check, Signal.SUCCESS))
    world.board.refresh(world.at.plus(Duration(900 * SECOND)))
    row = world.board.service("shop")
    assert (row.condition, row.checks[0].outcome) == ("up", "success")


def test_what_is_older_than_what_is_known_is_passed_over() -> None:
    world = a_world(a_shop("shop"))
    world.see("shop", OK)
    world.board.remember([Heard("shop", "health", Stamp(0, START), Outcome.FAILED, "connect")])
    assert world.board.service("shop").checks[0].outcome == "ok"


def test_another_configuration_keeps_what_is_known_of_services_that_stay() -> None:
    world = a_world(a_shop("shop"), a_shop("gone"))
    world.see("shop", FAILED)
    world.see("gone", FAILED)
    world.take(Configured(a_configuration(a_shop("shop"), a_shop("new"))))
    assert [(row.service, row.condition) for row in world.board.page(Wanted()).services] == [
        ("shop", "down"),
        ("new", "unknown"),
    ]
    assert world.board.service("shop").checks[0].reason == "connect"
    with pytest.raises(NotFound):
        world.board.service("gone")
    # That of the service that went is closed, and was open until then.
    assert [each.service for each in world.board.lately()] == ["gone"]


def test_notices_that_reached_nobody_are_counted_until_they_are_sent_once_more() -> None:
    world = a_world(a_shop("shop"))
    for key in ("a", "b"):
        world.take(Settled(key, Delivery.PARKED, "ops", Page.FIRST))
    world.take(Settled("c", Delivery.DELIVERED, "ops", Page.FIRST))
    assert world.board.parked == 2
    world.take(Requeued("a", "alice"))
    assert world.board.parked == 1


def test_what_turned_is_told_once_and_an_observation_like_the_one_before_is_no_turn() -> None:
    world = a_world(a_shop("shop"), a_shop("cart"))
    world.see("shop", OK)
    world.board.take_turned()
    world.see("shop", OK)
    assert not world.board.take_turned().services
    world.see("shop", FAILED)
    turned = world.board.take_turned()
    assert sorted(turned.services) == ["shop"]
    assert "incidents" in turned.topics
    assert not world.board.take_turned().services


MANY = [a_shop(f"service{number:03}", team=f"team{number % 3}") for number in range(50)]


def pages(world: World, **wanted: object) -> Iterable[list[str]]:
    """Names page by page."""
    after = ""
    while True:
        page = world.board.page(Wanted(after=after, limit=7, **wanted))  # type: ignore[arg-type]  # fields of it
        yield [row.service for row in page.services]
        after = page.further
        if not after:
            return


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_have_each_service_once(sort: Sort) -> None:
    world = a_world(*MANY)
    for number in range(0, 50, 4):
        world.see(f"service{number:03}", FAILED if number % 8 else OK)
    found = [name for page in pages(world, sort=sort) for name in page]
    assert len(found) == 50
    assert sorted(found) == [service.name for service in MANY]
    if sort is Sort.CONDITION:
        rank = [WORST_FIRST.index(Condition(world.board.service(name).condition)) for name in found]
        assert rank == sorted(rank)


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_have_each_service_that_stays_as_it_is_once_while_others_change(sort: Sort) -> None:
    world = a_world(*MANY)
    changing = [f"service{number:03}" for number in range(0, 50, 5)]
    for service in MANY:
        world.see(service.name, OK, after=0)
    found: list[str] = []
    for turn, page in enumerate(pages(world, sort=sort)):
        found += page
        world.see(changing[turn % len(changing)], FAILED if turn % 2 else OK)
    quiet = [service.name for service in MANY if service.name not in changing]
    assert [name for name in found if name not in changing] == quiet


def test_lists_are_filtered_by_words_conditions_and_labels() -> None:
    world = a_world(*MANY)
    world.see("service004", FAILED)
    page = world.board.page(Wanted(text="SERVICE 04"))
    assert [row.service for row in page.services] == [f"service{number:03}" for number in (4, *range(40, 50))]
    assert page.matched == 11
    assert [row.service for row in world.board.page(Wanted(conditions=(Condition.DOWN,))).services] == ["service004"]
    assert world.board.page(Wanted(matchers=(matcher("team=team1"),))).matched == 17
    assert world.board.page(Wanted(matchers=(matcher('service=~"service.*9"'),))).matched == 5
    assert world.board.page(Wanted(text="nobody")).services == ()


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("conditions", [(), (Condition.UP, Condition.DOWN)], ids=["any", "up or down"])
@pytest.mark.parametrize("label", ["", "team=team1", "team!=team1", 'service=~".*[12]"', 'service!~".*[12]"'])
@pytest.mark.parametrize("text", ["", "SERVICE 1"])
def test_pages_have_what_is_wanted_and_nothing_else(
    sort: Sort, conditions: tuple[Condition, ...], label: str, text: str
) -> None:
    world = a_world(*MANY)
    for number in range(0, 50, 3):
        world.see(f"service{number:03}", FAILED if number % 2 else OK)
    matchers = (matcher(label),) if label else ()
    wanted = {
        each.name
        for each in MANY
        if (not conditions or world.board.service(each.name).condition in conditions)
        and all(one.holds({**dict(each.labels), "service": each.name}) for one in matchers)
        and (not text or "1" in f"{each.name} {dict(each.labels)}")
    }
    found = [
        name for page in pages(world, sort=sort, conditions=conditions, matchers=matchers, text=text) for name in page
    ]
    assert sorted(found) == sorted(wanted)
    assert world.board.page(Wanted(text, conditions, matchers, sort, limit=1)).matched == len(wanted)


def test_another_configuration_forgets_for_which_services_a_matcher_held() -> None:
    world = a_world(a_shop("shop", team="one"))
    ones = Wanted(matchers=(matcher("team=~o.*"),))
    assert world.board.page(ones).matched == 1
    world.take(Configured(configured(a_shop("shop", team="two"), a_shop("mail", team="one"))))
    assert [row.service for row in world.board.page(ones).services] == ["mail"]


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="after"):
        a_world(a_shop("shop")).board.page(Wanted(after="elsewhere"))


def test_a_check_that_is_configured_anew_is_the_same_while_its_kind_is() -> None:
    other = Check("shop", "health", "tcp", Duration(SECOND), Duration(SECOND), Duration(STALE * SECOND))
    world = a_world(a_shop("shop"))
    world.see("shop", OK)
    world.take(Configured(a_configuration(a_service(name="shop", checks=[other]))))
    assert world.board.service("shop").checks[0].outcome == ""

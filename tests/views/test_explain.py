"""Who was told of an incident and who was not, with every reason: as lines, from what is on record."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from service_monitoring.domain.calendar import active_hours
from service_monitoring.domain.configuration import Configuration, Inhibition, Person, QuietHours, Route, Step
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.inputs import Delivery, Settled, Silenced, Unsilenced
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Rota
from service_monitoring.domain.rules import Flapping, Lifecycle, Severity
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import NotFound
from service_monitoring.testing.builders import a_configuration, a_route, a_rule, a_service, instant, span
from service_monitoring.views.explain import explain
from service_monitoring.views.explanation import Explanation, Line, Standing
from service_monitoring.views.on_record import Attempted
from tests.domain.days import Diary
from tests.views.records import RecordedTrial, on_record, tells_of

EQUALS = MatchOperator.EQUALS
SLOW = Matcher("rule", EQUALS, "slow")
ROTA = Rota("primary", "UTC", (Layer(("ada", "grace"), DAILY, Handover(9 * 60)),))
"""Grace until 09:00 of the day on which these tests begin, then Ada."""
PEOPLE = (Person("ada", ("sms",)), Person("grace", ("mail",)), Person("boss", ("phone",)), Person("zoe", ("mail",)))
ROUTE = replace(
    a_route(wait="30s", interval="5m"),
    steps=(Step(("oncall.primary",)), Step(("person.boss",), span("10m")), Step(("channel.ops",), span("30m"))),
)


def a_house(*routes: Route, **more: Any) -> Configuration:
    """One service with a rule that has a `for`, and a few people."""
    service = a_service(a_rule("slow", holds_for="20s"), a_rule("other"))
    given: dict[str, Any] = {"people": PEOPLE, "rotas": (ROTA,), **more}
    return replace(a_configuration(service, routes=routes or (ROUTE,)), **given)


def a_breach(*routes: Route, **more: Any) -> RecordedTrial:
    """Breached at +20s, open at +40s, first told at +70s."""
    trial = RecordedTrial(a_house(*routes, **more))
    trial.play("0 2 2 2 2 2 2 2 2")
    return trial


def said(lines: Iterable[Line], kind: str = "") -> list[str]:
    """`what, because why`, of one kind or of all."""
    return [f"{each.what}, because {each.because}" for each in lines if kind in {"", each.kind}]


def standing(answer: Explanation, recipient: str) -> Standing:
    (found,) = [each for each in answer.recipients if each.recipient == recipient]
    return found


def first_notice(trial: RecordedTrial) -> Notice:
    return next(each for each in trial.notices() if each.held is None and each.facts.rule == "slow")


# What happened ----------------------------------------------------------------------------------------------------


def test_the_lines_tell_in_order_how_a_breach_came_to_a_person() -> None:
    answer = a_breach().explain("+80s")
    assert [(each.kind, each.at) for each in answer.lines] == [
        ("breached", str(instant("+20s"))),
        ("opened", str(instant("+40s"))),
        ("route", str(instant("+40s"))),
        ("joined", str(instant("+40s"))),
        ("flush", str(instant("+70s"))),
        ("step", str(instant("+70s"))),
        ("notice", str(instant("+70s"))),
    ]
    assert said(answer.lines, "opened") == [
        "shop.slow opened, because it was breached for 20s (`for`); the value was 2"
    ]
    assert said(answer.lines, "step") == [
        "step 1 of routes[0] called grace, because grace was on call in primary until 2026-01-05T09:00:00Z"
    ]
    assert said(answer.lines, "notice") == [
        "a first notice to grace was decided through mail, at step 1, because it is open, and this was not told before"
    ]


def test_what_was_decided_after_the_instant_is_not_seen() -> None:
    trial = a_breach()
    trial.wait("+30m")
    trial.play_from("+31m", "0")
    answer = trial.explain("+50s")
    assert answer.state == "open"
    assert max(each.at for each in answer.lines) <= str(instant("+50s"))
    assert standing(answer, "person.grace").state == "ahead"
    assert trial.explain("+10s").state == "not begun"


def test_each_route_says_why_it_matched_or_did_not() -> None:
    base = a_route("routes[0]", Matcher("service", EQUALS, "base"))
    proceeds = replace(a_route("routes[1]", SLOW, channels=("log",)), proceed=True)
    narrower = replace(ROUTE, path="routes[2].routes[0]", matchers=(Matcher("severity", EQUALS, "warning"),))
    wider = replace(ROUTE, path="routes[2]", routes=(narrower,))
    rest = a_route("routes[3]")
    answer = a_breach(base, proceeds, wider, rest).explain("+80s")
    assert said(answer.lines, "route") == [
        "routes[0] does not match, because service=\"base\" does not hold: it is 'shop'",
        'routes[1] matches, because rule="slow" holds, and continues to the next',
        "routes[2] matches, and leaves it to a narrower route, because it matches everything",
        'routes[2].routes[0] matches, because severity="warning" holds',
        "routes[3] was not asked, because routes[2] matches, and does not continue",
    ]


def test_an_incident_that_no_route_matches_says_so() -> None:
    answer = a_breach(a_route("routes[0]", Matcher("service", EQUALS, "base"))).explain("+80s")
    assert said(answer.lines, "unrouted") == ["no route matches it, because nobody is told where no route matches"]
    assert not answer.recipients


def test_nobody_is_told_of_a_draft_and_that_is_said() -> None:
    draft = a_service(a_rule("slow", state=Lifecycle.DRAFT))
    trial = RecordedTrial(replace(a_configuration(draft, routes=(ROUTE,)), people=PEOPLE, rotas=(ROTA,)))
    trial.play("2 2")
    assert said(trial.explain("+1m").lines, "draft") == [
        "nobody is told, because its rule is a draft, and nobody is told of drafts"
    ]
    (one,) = trial.explain("+1m", person="grace").recipients
    assert (one.told, one.because) == (False, "its rule is a draft, and nobody is told of drafts")


def test_incidents_that_share_notices_are_named_with_their_group() -> None:
    together = replace(ROUTE, group_by=("service",))
    answer = a_breach(together).explain("+80s")
    (joined,) = [each for each in answer.lines if each.kind == "joined"]
    assert "shares its notices with shop.other" in joined.what
    assert joined.because == "they agree in service=shop"
    assert len(joined.incidents) == 1


def test_a_reload_that_routes_anew_is_told_at_its_instant() -> None:
    trial = a_breach(a_route("routes[0]"))
    trial.configure("+2m", a_house(replace(ROUTE, path="routes[0]", group_by=("service",))))
    answer = trial.explain("+3m")
    assert [each.at for each in answer.lines if each.kind == "joined"] == [str(instant("+40s")), str(instant("+2m"))]


def test_a_route_that_moves_in_the_file_is_the_same_group_since_it_began() -> None:
    trial = a_breach()
    trial.configure(
        "+2m", a_house(a_route("routes[0]", Matcher("service", EQUALS, "base")), replace(ROUTE, path="routes[1]"))
    )
    joined = [each for each in trial.explain("+3m").lines if each.kind == "joined"]
    assert [each.at for each in joined] == [str(instant("+40s"))]


def test_a_gap_in_watching_is_part_of_the_story() -> None:
    trial = a_breach()
    trial.gap("+2m", "+4m")
    kinds = [(each.kind, each.at) for each in trial.explain("+5m").lines if each.kind == "gap"]
    assert kinds == [("gap", str(instant("+2m"))), ("gap", str(instant("+4m")))]


# What held it -----------------------------------------------------------------------------------------------------


def held(answer: Explanation) -> list[str]:
    return [each.because for each in answer.lines if each.kind == "held"]


def test_a_silence_that_held_it_is_named_with_its_author_comment_and_end() -> None:
    trial = RecordedTrial(a_house())
    trial.tell("+1s", Silenced(Wanted((SLOW,), "ada", "deploying", lasts=span("1h"))))
    trial.play("0 2 2 2 2 2 2 2")
    (silence,) = trial.course.silences()
    answer = trial.explain("+80s")
    assert held(answer) == [f'silence {silence.id} of ada (deploying) holds for rule="slow" until 2026-01-05T01:00:01Z']
    assert standing(answer, "person.grace").state == "held"
    (release,) = [each for each in answer.ahead if each.kind == "release"]
    assert release.at == str(instant("+61m10s"))  # the first flush after the silence


def test_a_silence_is_explained_by_what_was_known_at_the_instant() -> None:
    trial = RecordedTrial(a_house())
    trial.tell("+1s", Silenced(Wanted((SLOW,), "ada", lasts=span("1h"))))
    trial.play("0 2 2 2 2 2 2 2")
    trial.tell("+3m", Unsilenced(trial.course.silences()[0].id, "ada"))
    assert held(trial.explain("+80s"))[0].endswith("until 2026-01-05T01:00:01Z")


def test_maintenance_is_named_until_its_end() -> None:
    planned = Maintenance("move", (SLOW,), Once(instant("+0s"), instant("+2h")))
    answer = a_breach(maintenances=(planned,)).explain("+80s")
    assert held(answer) == ["maintenance move is on until 2026-01-05T02:00:00Z"]


def test_an_inhibition_names_the_incident_that_is_open() -> None:
    inhibition = Inhibition((Matcher("rule", EQUALS, "other"),), (SLOW,), ("service",))
    trial = a_breach(inhibitions=(inhibition,))
    other = trial.incident("other").id
    assert held(trial.explain("+80s")) == [f"shop.other ({other}) is open and inhibits it"]


def test_a_parent_that_is_open_is_named() -> None:
    rules = (a_rule("down", metric="down"), a_rule("slow", depends_on=["shop.down"]))
    trial = RecordedTrial(a_configuration(a_service(*rules)))
    trial.hear("+10s", down=2.0, value=0.0)
    trial.hear("+20s", down=2.0, value=2.0)
    parent = trial.incident("down").id
    assert held(trial.explain("+30s")) == [f"its parent shop.down ({parent}) is open, so that it is unreachable"]


def test_parents_that_are_asked_again_are_named() -> None:
    rules = (a_rule("down", check="edge"), a_rule("slow", depends_on=["shop.down"]))
    trial = RecordedTrial(a_configuration(a_service(*rules)))
    trial.hear("+10s", value=2.0)
    assert held(trial.explain("+11s")) == ["its parents are asked again first: shop.edge"]


def test_flapping_is_told_with_who_heard_of_it() -> None:
    trial = RecordedTrial(a_configuration(a_service(a_rule("slow", flapping=Flapping()))))
    trial.play(" ".join(["0", "2"] * 15))
    answer = trial.explain("+10m")
    assert "flapping" in {each.kind for each in answer.lines}
    assert "shop.slow is flapping, which is told once" in held(answer)
    assert any("a flapping notice to the channel ops" in each.what for each in answer.lines)


def test_an_acknowledgement_names_who_and_until_when() -> None:
    trial = a_breach(replace(ROUTE, wait=span("5m")))
    trial.acknowledge("+2m", "slow", "grace", expires_after="1h")
    trial.wait("+6m")
    answer = trial.explain("+6m")
    assert held(answer) == ["grace acknowledged it until 2026-01-05T01:02:00Z"]
    assert [each.at for each in answer.ahead if each.kind == "expiry"] == [str(instant("+62m"))]


def test_quiet_hours_name_whose_and_until_when() -> None:
    night = QuietHours(active_hours(None, "22:00-07:00", "UTC"), (Severity.CRITICAL,))
    people = tuple(replace(each, quiet=night if each.name == "grace" else None) for each in PEOPLE)
    answer = a_breach(people=people).explain("+80s", person="grace")
    (one,) = answer.recipients
    assert (one.told, one.because) == (False, "grace has quiet hours until 2026-01-05T07:00:00Z")
    assert [each.at >= str(instant("+7h")) for each in answer.ahead if each.kind == "release"] == [True]


def test_muted_hours_name_the_route_and_their_end() -> None:
    muted = replace(ROUTE, muted=(active_hours(None, "00:00-06:00", "UTC"),))
    answer = a_breach(muted).explain("+80s")
    assert held(answer) == ["routes[0] tells nobody in these hours until 2026-01-05T06:00:00Z"]


# What became of it ------------------------------------------------------------------------------------------------


def settled(notice: Notice, delivery: Delivery, detail: str = "", reason: Held | None = None) -> Settled:
    return Settled(
        notice.key, delivery, notice.channel, notice.page, detail, reason,
        group=notice.group, sequence=notice.sequence, recipient=notice.recipient,
    )  # fmt: skip


def test_a_delivery_is_told_with_its_instant() -> None:
    trial = a_breach()
    trial.tell("+92s", settled(first_notice(trial), Delivery.DELIVERED, "250 queued"))
    assert standing(trial.explain("+91s"), "person.grace").state == "owed"
    one = standing(trial.explain("+92s"), "person.grace")
    assert (one.told, one.state, one.at) == (True, "delivered", str(instant("+92s")))
    assert said(trial.explain("+92s").lines, "outcome") == ["the notice to grace was delivered, because 250 queued"]


def test_a_parked_notice_says_why_and_that_the_owners_heard() -> None:
    trial = a_breach()
    trial.tell("+92s", settled(first_notice(trial), Delivery.PARKED, "410 Gone"))
    answer = trial.explain("+92s")
    assert said(answer.lines, "outcome") == ["the notice to grace was parked: it is not tried again, because 410 Gone"]
    assert standing(answer, "person.grace").state == "parked"
    assert any(each.what.startswith("an owner notice") or "owners of the monitor" in each.what for each in answer.lines)


def test_a_withheld_notice_names_what_withheld_it() -> None:
    trial = a_breach()
    reason = Held(Withheld.ACKNOWLEDGED, "ada")
    trial.tell("+92s", settled(first_notice(trial), Delivery.WITHHELD, "acknowledged by ada", reason))
    answer = trial.explain("+92s")
    assert said(answer.lines, "outcome") == [
        "the notice to grace was withheld, because ada acknowledged it until it is over"
    ]
    assert not standing(answer, "person.grace").told


def test_attempts_are_told_one_by_one_and_an_uncertain_one_stays_so() -> None:
    trial = a_breach()
    attempts = {
        first_notice(trial).key: (
            Attempted(instant("+71s"), "waiting", "503"),
            Attempted(instant("+75s"), "uncertain", "no answer"),
        )
    }
    record = on_record(trial.course, trial.inputs, trial.decisions, trial.incident("slow").id, attempts)
    early, late = explain(record, instant("+72s")), explain(record, instant("+80s"))
    assert standing(early, "person.grace").state == "waiting"
    assert standing(late, "person.grace").state == "uncertain"
    assert said(late.lines, "outcome") == [
        "an attempt of the notice to grace failed, and is made again, because 503",
        "it is uncertain whether the notice to grace arrived, because no answer",
    ]
    assert "the first notice to grace is uncertain" in [each.what for each in late.ahead]


# What is ahead ----------------------------------------------------------------------------------------------------


def test_a_pending_incident_says_when_it_would_open() -> None:
    answer = a_breach().explain("+25s")
    assert [(each.kind, each.at) for each in answer.ahead] == [("opening", str(instant("+40s")))]


def test_the_steps_ahead_are_told_with_their_instants() -> None:
    answer = a_breach().explain("+80s")
    ahead = [(each.step, each.at, each.people) for each in answer.ahead if each.kind == "step_ahead"]
    assert ahead == [
        (2, str(instant("+11m10s")), ("person.boss",)),
        (3, str(instant("+31m10s")), ("channel.ops",)),
    ]


def test_a_step_that_would_be_held_says_so_beforehand() -> None:
    planned = Maintenance("move", (SLOW,), Once(instant("+5m"), instant("+20m")))
    steps = [each for each in a_breach(maintenances=(planned,)).explain("+80s").ahead if each.kind == "step_ahead"]
    assert [each.because for each in steps] == [
        "it names boss; but maintenance move is on until 2026-01-05T00:20:00Z",
        "it names the channel ops",
    ]


def test_a_clock_that_stands_still_says_why_and_when_a_step_would_be_due() -> None:
    trial = a_breach()
    trial.acknowledge("+2m10s", "slow", "grace", expires_after="1h")
    answer = trial.explain("+3m")
    still = [each for each in answer.ahead if each.kind == "step_ahead"]
    assert [(each.step, each.at) for each in still] == [(2, str(instant("+2m10s"))), (3, str(instant("+2m10s")))]
    assert still[0].because == (
        "grace acknowledged it until 2026-01-05T01:02:10Z, after it had run 1m; it would be due at 2026-01-05T01:11:10Z"
    )


def test_a_clock_that_has_not_begun_says_what_holds_everything() -> None:
    planned = Maintenance("move", (SLOW,), Once(instant("+0s"), instant("+2h")))
    trial = a_breach(maintenances=(planned,))
    trial.wait("+20m")
    answer = trial.explain("+20m")
    because = "maintenance move is on until 2026-01-05T02:00:00Z"
    assert {each.because for each in answer.ahead if each.kind == "step_ahead"} == {because}
    assert standing(answer, "person.boss").because == (
        f"step 2 of routes[0], which leads there, has not been reached, and its clock does not run: {because}"
    )


def test_the_clock_of_an_escalation_is_read_at_any_instant() -> None:
    """What is computed of the past agrees with what the group itself kept at that instant."""
    trial = a_breach()
    trial.acknowledge("+2m10s", "slow", "grace", expires_after="3m")
    trial.wait("+6m10s")
    before = trial.explain("+6m10s")
    trial.acknowledge("+20m", "slow", "grace")
    assert [(each.step, each.at) for each in before.ahead if each.kind == "step_ahead"] == [
        (each.step, each.at) for each in trial.explain("+6m10s").ahead if each.kind == "step_ahead"
    ]


def test_what_is_still_open_is_told_again_at_the_first_flush_after_repeat_interval() -> None:
    answer = a_breach(replace(ROUTE, repeat=span("12m"))).explain("+80s")
    assert [each.at for each in answer.ahead if each.kind == "repeat"] == [str(instant("+16m10s"))]


# One person -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "state", "why"),
    [
        ("ada", "not on call", "at step 1 grace was on call in primary until 2026-01-05T09:00:00Z"),
        ("boss", "ahead", "step 2 of routes[0], which leads there, has not been reached"),
        ("zoe", "not told", "no route that it goes by leads to zoe"),
    ],
)
def test_who_was_not_told_learns_why(person: str, state: str, why: str) -> None:
    (one,) = a_breach().explain("+80s", person=person).recipients
    assert (one.told, one.state, one.because) == (False, state, why)


def test_only_what_concerns_the_person_is_told() -> None:
    trial = a_breach()
    trial.wait("+15m")
    answer = trial.explain("+15m", person="boss")
    assert {who for each in (*answer.lines, *answer.ahead) for who in each.people} == {"person.boss"}
    assert [each.kind for each in answer.lines] == ["step", "notice"]


def test_a_step_that_found_another_on_call_says_who_was() -> None:
    answer = a_breach().explain("+80s", person="ada")
    assert said(answer.lines) == [
        "step 1 of routes[0] did not call ada, because grace was on call in primary until 2026-01-05T09:00:00Z"
    ]


def test_a_person_whom_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="there is no person eve: there are ada, boss, grace, zoe"):
        a_breach().explain("+80s", person="eve")


# Laws -------------------------------------------------------------------------------------------------------------


@given(seed=some.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_every_notice_of_a_day_and_every_reason_that_held_one_is_explained(seed: int) -> None:
    diary = Diary(seed)
    day = diary.write()
    end = max(each.stamp.at for each in day.inputs)
    last = max((stamp.at for stamp, _ in day.decided), default=end)
    notices = [each for _, each in day.decided if isinstance(each, Notice) and each.page is not Page.OWNER]
    ids = {each.incident.id for _, each in day.decided if isinstance(each, IncidentMoved)}
    for id in sorted(ids):
        answer = explain(on_record(diary.course, day.inputs, day.decided, id), max(end, last))
        told = {each.notice: each for each in answer.lines if each.kind in {"notice", "held"}}
        for notice in notices:
            if not tells_of(notice, id):
                continue
            line = told[notice.key]
            reason = ("", "") if notice.held is None else (str(notice.held.reason), notice.held.by)
            assert (line.held, line.by, line.people) == (*reason, (notice.recipient,))


@given(seed=some.integers(0, 10_000), second=some.integers(0, 80))
@settings(max_examples=40, deadline=None)
def test_every_line_has_an_instant_and_a_because_and_nothing_comes_from_the_future(seed: int, second: int) -> None:
    diary = Diary(seed)
    day, at = diary.write(), instant(f"+{second}s")
    ids = {each.incident.id for _, each in day.decided if isinstance(each, IncidentMoved)}
    for id in sorted(ids):
        answer = explain(on_record(diary.course, day.inputs, day.decided, id), at)
        assert all(each.because and each.what and each.at for each in (*answer.lines, *answer.ahead))
        assert all(each.at <= str(at) for each in answer.lines)
        assert [each.at for each in answer.lines] == sorted(each.at for each in answer.lines)
        assert all(each.because and each.at for each in answer.recipients)

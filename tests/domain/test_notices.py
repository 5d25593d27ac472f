"""SEMANTICS, "Notices" and "Dependencies": first match, told at once, two keys, no groups yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from service_monitoring.domain.configuration import Route
from service_monitoring.domain.inputs import Delivery, Settled
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Held, Notice, Page, Withheld, notice_key, thread_key
from service_monitoring.domain.routing import matching
from service_monitoring.domain.rules import NoDataMode, Rule, Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.domain.strategies import Absence, Threshold
from service_monitoring.testing.builders import (
    Trial,
    a_check,
    a_configuration,
    a_route,
    a_rule,
    a_service,
    a_trial,
    above,
    below,
    no_data,
    recovering,
    span,
)
from service_monitoring.views.wording import render_summary

CRITICAL = a_route("routes[0]", Matcher("severity", MatchOperator.EQUALS, "critical"), channels=("ops", "phone"))
PAYMENTS = a_route("routes[1]", Matcher("team", MatchOperator.MATCHES, "pay.*"), channels=("log",))
DOWN = a_rule("down", Threshold(below(1)), metric="up", severity=Severity.CRITICAL, holds_for="5s")


def a_child(rule: Rule | None = None, *, depends_on: str = "shop.down") -> Trial:
    """A service `base` whose rule depends on the service `shop`, with a check of its own."""
    child = a_rule("lost", service="base", depends_on=[depends_on]) if rule is None else rule
    checks = [a_check(service="base", stale_after="30d")]
    shop = a_service(DOWN, checks=[a_check(stale_after="30d")])
    return Trial(a_configuration(shop, a_service(child, name="base", checks=checks)))


# Routes ---------------------------------------------------------------------------------------------------------------


def test_the_first_matching_route_decides() -> None:
    trial = Trial(a_configuration(a_service(a_rule(severity=Severity.CRITICAL)), routes=(CRITICAL, PAYMENTS)))
    assert trial.hear("+10s", value=2).told() == ["+10s ops first slow", "+10s phone first slow"]


def test_an_incident_that_no_route_matches_is_told_to_nobody_and_is_there_all_the_same() -> None:
    trial = Trial(a_configuration(a_service(a_rule()), routes=(CRITICAL,))).hear("+10s", value=2)
    assert trial.moves() == ["+10s pending", "+10s open"]
    assert trial.told() == []


def test_labels_are_the_rules_over_the_series_over_the_services_and_reserved_ones_over_all() -> None:
    rule = a_rule(metric="depth", labels={"queue": "rule", "rule": "impostor", "of": "rule"})
    service = a_service(rule, labels={"queue": "service", "team": "payments", "of": "service"})
    labels = (("of", "series"), ("queue", "series"), ("zone", "a"))
    trial = Trial(a_configuration(service))
    trial.observe("+10s", Observation(Outcome.OK, measurements=(Measurement("depth", 2.0, labels),)))
    assert dict(trial.notices()[0].facts.labels) == {
        "service": "shop", "check": "health", "metric": "depth", "rule": "slow", "severity": "warning",
        "of": "rule", "queue": "rule", "team": "payments", "zone": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "value", "labels", "holds"),
    [
        (MatchOperator.EQUALS, "a", {"x": "a"}, True),
        (MatchOperator.EQUALS, "", {}, True),
        (MatchOperator.DIFFERS, "a", {"x": "b"}, True),
        (MatchOperator.DIFFERS, "", {}, False),
        (MatchOperator.MATCHES, "a|b", {"x": "b"}, True),
        (MatchOperator.MATCHES, "a", {"x": "ab"}, False),
        (MatchOperator.MATCHES, ".*", {}, True),
        (MatchOperator.MATCHES_NOT, "a.+", {"x": "a"}, True),
        (MatchOperator.MATCHES_NOT, "a.+", {"x": "ab"}, False),
    ],
)
def test_matchers_are_anchored_and_an_absent_label_is_the_empty_string(
    operator: MatchOperator, value: str, labels: dict[str, str], *, holds: bool
) -> None:
    assert Matcher("x", operator, value).holds(labels) is holds
    assert bool(matching((Route("r", (Matcher("x", operator, value),)),), labels)) is holds


# Told -----------------------------------------------------------------------------------------------------------------


def test_recovery_goes_to_those_who_were_told() -> None:
    trial = Trial(a_configuration(a_service(a_rule()), routes=(a_route("r", channels=("log",)),))).hear("+10s", value=2)
    trial.configure("+15s", a_configuration(a_service(a_rule()), routes=(a_route("r"),)))
    assert trial.hear("+20s", value=0).told() == ["+10s log first slow", "+20s log recovered slow"]


def test_what_never_opened_is_told_to_nobody() -> None:
    assert a_trial(a_rule(holds_for="15s")).play("2 0 2 0").told() == []


def test_a_person_who_resolves_it_ends_it_for_those_who_were_told() -> None:
    assert a_trial(a_rule()).hear("+10s", value=2).resolve("+15s", "slow").told()[-1] == "+15s ops recovered slow"


def test_an_acknowledgement_tells_nobody_and_recovery_is_still_told() -> None:
    trial = a_trial(a_rule()).hear("+10s", value=2).acknowledge("+15s", "slow").hear("+20s", value=0)
    assert trial.told() == ["+10s ops first slow", "+20s ops recovered slow"]


def test_a_notice_carries_facts_enough_to_be_worded_anywhere() -> None:
    trial = a_trial(a_rule(holds_for="5s")).hear("+10s", value=2).wait("+20s").hear("+30s", value=0)
    first, recovered = (notice.facts for notice in trial.notices())
    incident = trial.incidents()[-1]
    assert (first.incident, first.service, first.rule, first.state) == (incident.id, "shop", "slow", "open")
    assert (first.summary, first.evidence.value, first.opened_at) == ("slow of shop", 2.0, incident.opened_at)
    assert (recovered.state, recovered.evidence.value, recovered.ended_at) == ("resolved", 0.0, incident.ended_at)


# Keys -----------------------------------------------------------------------------------------------------------------


def test_a_notice_key_differs_for_every_notice_and_is_derived_from_what_it_says() -> None:
    trial = a_trial(a_rule()).play("2 0 2 0")
    notices = trial.notices()
    assert len({notice.key for notice in notices}) == len(notices) == 4
    for notice in notices:
        assert notice.key == notice_key(notice.group, notice.recipient, notice.channel, notice.page, notice.sequence)
    assert [notice.key for notice in a_trial(a_rule()).play("2 0 2 0").notices()] == [n.key for n in notices]


def test_a_thread_key_is_the_same_from_first_page_to_recovery() -> None:
    first, recovered, again, _ = a_trial(a_rule()).play("2 0 2 0").notices()
    assert first.thread == recovered.thread == thread_key(first.group, "channel.ops", "ops")
    assert again.thread != first.thread


NAMES = some.tuples(some.text(), some.text(), some.text())


@given(NAMES, NAMES)
def test_keys_of_different_notices_differ(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    if any("\n" in text for text in (*one, *other)):
        return  # groups are hexadecimal and names are refused line breaks at the edge
    assert (thread_key(*one) == thread_key(*other)) == (one == other)
    assert (notice_key(*one, Page.FIRST, 1) == notice_key(*other, Page.FIRST, 1)) == (one == other)


def test_a_group_numbers_its_notices_without_holes() -> None:
    trial = Trial(a_configuration(a_service(a_rule(severity=Severity.CRITICAL)), routes=(CRITICAL,))).play("2 0")
    assert [notice.sequence for notice in trial.notices()] == [1, 2, 3, 4]


# Dependencies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depends_on", ["shop.down", "shop"], ids=["rule", "service"])
def test_a_child_that_opens_while_its_parent_is_open_is_held_as_unreachable(depends_on: str) -> None:
    trial = a_child(depends_on=depends_on).fail("+10s").hear("+20s", service="base", value=2)
    assert trial.told() == ["+15s ops first down", "+20s ops first lost held unreachable"]
    assert trial.notices()[-1].held == Held(Withheld.UNREACHABLE, by=trial.incident("down").id)


def test_a_child_waits_until_its_parent_was_asked_again() -> None:
    trial = a_child().hear("+10s").hear("+12s", service="base", value=2)
    assert trial.wanted == ["shop.health"]
    assert trial.told() == ["+12s ops first lost held rechecking"]
    assert trial.notices()[-1].held == Held(Withheld.RECHECKING, by="shop.health")
    assert trial.unknown("+13s").told()[-1] == "+12s ops first lost held rechecking", "our own fault is no answer"
    assert trial.hear("+14s").told()[-1] == "+14s ops released lost"
    assert trial.hear("+22s", service="base", value=0).told()[-1] == "+22s ops recovered lost"


def test_a_child_whose_parent_turns_out_to_be_down_is_unreachable() -> None:
    trial = a_child().hear("+10s").hear("+12s", service="base", value=2).fail("+13s").wait("+20s")
    assert trial.told() == [
        "+12s ops first lost held rechecking",
        "+13s ops first lost held unreachable",
        "+18s ops first down",
    ], "a parent still pending counts as open for its remaining `for`"


def test_a_child_waits_for_the_whole_budget_of_its_parent_and_no_longer() -> None:
    trial = a_child().hear("+10s").hear("+12s", service="base", value=2)
    assert trial.wait("+17s").told() == ["+12s ops first lost held rechecking"]
    assert trial.wait("+17s1ms").told()[-1] == "+17s ops released lost"


def test_a_child_that_recovers_while_its_parent_is_asked_again_is_told_to_nobody() -> None:
    trial = a_child().hear("+10s").hear("+12s", service="base", value=2).hear("+13s", service="base", value=0)
    assert trial.hear("+14s").told() == ["+12s ops first lost held rechecking"]


def test_the_wait_for_a_parent_goes_on_after_a_gap() -> None:
    trial = a_child().hear("+10s").hear("+12s", service="base", value=2).gap("+13s", "+5m").wait("+6m")
    assert trial.told()[-1] == "+5m ops released lost"
    stepped = a_child().hear("+10s").hear("+12s", service="base", value=2).step_clock("+13s", "1h").wait("+1m")
    assert stepped.told()[-1] == "+17s ops released lost"


def test_a_service_as_parent_means_any_open_critical_incident_of_it() -> None:
    warning = a_rule("down", Threshold(below(1)), metric="up", severity=Severity.WARNING)
    child = a_rule("lost", service="base", depends_on=["shop"])
    trial = Trial(a_configuration(a_service(warning), a_service(child, name="base")))
    trial.fail("+10s").hear("+12s", service="base", value=2)
    assert trial.told()[-1] == "+12s ops first lost"


def test_a_child_is_released_at_its_first_breached_sample_after_the_parent_resolved() -> None:
    trial = a_child().fail("+10s").hear("+20s", service="base", value=2).hear("+30s", service="base", value=2)
    trial.hear("+40s").hear("+45s", service="base").hear("+50s", service="base", value=2)
    assert trial.told() == [
        "+15s ops first down",
        "+20s ops first lost held unreachable",
        "+40s ops recovered down",
        "+50s ops released lost",
    ]
    assert trial.hear("+1m", service="base", value=0).told()[-1] == "+1m ops recovered lost"


def test_a_parent_that_was_pending_and_dropped_releases_its_child() -> None:
    trial = a_child().fail("+10s").hear("+12s", service="base", value=2).hear("+14s")
    assert trial.told()[-1] == "+14s ops released lost", "the parent's next sample says that it is well"


def test_a_child_that_recovers_while_held_is_told_to_nobody() -> None:
    trial = a_child().fail("+10s").hear("+20s", service="base", value=2).hear("+30s", service="base", value=0)
    assert trial.told() == ["+15s ops first down", "+20s ops first lost held unreachable"]


def test_the_childs_for_runs_while_the_parent_is_open() -> None:
    child = a_rule("lost", service="base", depends_on=["shop.down"], holds_for="30s")
    trial = a_child(child).fail("+10s").hear("+12s", service="base", value=2).hear("+20s").wait("+1m")
    assert trial.told()[-2:] == ["+42s ops first lost held rechecking", "+47s ops released lost"]


def test_a_child_acknowledged_while_held_is_not_released() -> None:
    trial = a_child().fail("+10s").hear("+20s", service="base", value=2).acknowledge("+25s", "lost").hear("+30s")
    assert trial.hear("+40s", service="base", value=2).told()[-1] == "+30s ops recovered down"


def test_a_child_whose_breach_is_silence_is_released_by_a_run_that_brings_no_sample() -> None:
    absent = a_rule("lost", Absence(span("15s")), service="base", depends_on=["shop.down"])
    presumed = a_rule(
        "lost",
        service="base",
        depends_on=["shop.down"],
        on_no_data=no_data(NoDataMode.BREACH_AFTER, after="1s"),
    )
    for child in (absent, presumed):
        shop = a_service(DOWN, checks=[a_check(stale_after="30d")])
        trial = Trial(
            a_configuration(shop, a_service(child, name="base", checks=[a_check(service="base", stale_after="14s")]))
        )
        trial.hear("+1s", service="base", value=0).fail("+10s").wait("+20s").hear("+30s")
        trial.hear("+35s").unknown("+36s", service="base", check="other")
        assert trial.told()[-1] == "+30s ops recovered down"
        assert trial.fail("+40s", service="base").told()[-1] == "+40s ops released lost"


def test_a_child_and_its_parent_that_open_with_the_same_run_are_held_whatever_their_order() -> None:
    for name in ("a", "z"):
        parent = a_rule("m", Threshold(above(1)), metric="depth")
        child = a_rule(name, depends_on=["shop.m"])
        trial = a_trial(parent, child).hear("+10s", value=2.0, depth=2.0)
        assert f"+10s ops first {name} held unreachable" in trial.told()
        trial = a_trial(parent, child).hear("+10s", depth=2.0, value=2.0)
        assert f"+10s ops first {name} held unreachable" in trial.told()


def test_children_that_are_released_at_one_instant_come_in_the_order_of_rule_and_series() -> None:
    children = [
        a_rule(name, Threshold(above(limit)), depends_on=["shop.m"]) for name, limit in (("c", 1.0), ("b", 0.5))
    ]
    parent = a_rule("m", Threshold(above(1)), metric="depth", recovery=recovering(below(1)))
    trial = a_trial(parent, *children).hear("+10s", value=2, depth=2).hear("+20s", value=2, depth=0)
    assert trial.told()[-2:] == ["+20s ops released b", "+20s ops released c"]


# The owners of the monitor --------------------------------------------------------------------------------------------


def settled(notice: Notice, delivery: Delivery) -> Settled:
    return Settled(notice.key, delivery, notice.channel, notice.page, "410 Gone")


def test_a_parked_notice_is_told_to_the_owners_by_another_way() -> None:
    trial = Trial(a_configuration(a_service(a_rule()), owners=("desk", "ops"))).hear("+10s", value=2)
    (notice,) = trial.notices()
    trial.tell("+20s", settled(notice, Delivery.PARKED))
    (_, told) = trial.notices()
    assert (told.channel, told.page, told.facts.summary) == (
        "desk",
        Page.OWNER,
        "a notice to ops was given up: 410 Gone",
    )
    trial.tell("+30s", settled(told, Delivery.PARKED))
    assert len(trial.notices()) == 2, "or it would go round in circles"


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.WITHHELD])
def test_a_delivered_and_a_withheld_notice_are_told_to_nobody(delivery: Delivery) -> None:
    trial = Trial(a_configuration(a_service(a_rule()), owners=("desk",))).hear("+10s", value=2)
    trial.tell("+20s", settled(trial.notices()[0], delivery))
    assert len(trial.notices()) == 1


def test_whoever_hears_that_a_notice_is_late_also_hears_that_it_was_given_up() -> None:
    trial = Trial(a_configuration(a_service(a_rule()), owners=("desk", "ops"))).hear("+10s", value=2)
    (notice,) = trial.notices()
    trial.tell("+5m10s", settled(notice, Delivery.DELAYED)).tell("+6m", settled(notice, Delivery.PARKED))
    (_, late, lost) = trial.notices()
    assert (late.channel, late.page, late.facts.summary) == (
        "desk",
        Page.OWNER,
        "a notice to ops has not arrived yet and is tried again: 410 Gone",
    )
    assert lost.facts.summary == "a notice to ops was given up: 410 Gone"
    assert late.key != lost.key
    trial.tell("+7m", settled(late, Delivery.DELAYED))
    assert len(trial.notices()) == 3, "or it would go round in circles"


def test_a_recovery_still_says_why_the_incident_was_open() -> None:
    down = replace(DOWN, summary="{{ service }} is down: {{ reason }}")
    trial = a_trial(down).fail("+10s", Reason.TIMEOUT).fail("+20s").hear("+30s")
    page, recovery = trial.notices()
    assert [notice.page for notice in (page, recovery)] == [Page.FIRST, Page.RECOVERED]
    assert [render_summary(notice.facts) for notice in (page, recovery)] == ["shop is down: timeout"] * 2
    assert recovery.facts.evidence.value == 1.0
    assert trial.incidents()[-1].evidence.reason is None


def test_a_recovery_without_a_template_says_what_was() -> None:
    trial = a_trial(replace(DOWN, summary="")).fail("+10s").fail("+20s").hear("+30s")
    assert [render_summary(notice.facts) for notice in trial.notices()] == [
        "shop.down is open: shop/health/up = 0 (connect)",
        "shop.down is resolved: shop/health/up = 1 (was connect)",
    ]

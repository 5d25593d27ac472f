"""SEMANTICS, "Notices": what is told together and when, to whom, and what is told after it was held."""

from __future__ import annotations

import sys

import pytest
from msgspec.structs import replace

from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import (
    Configuration,
    Inhibition,
    Person,
    QuietHours,
    Route,
)
from service_monitoring.domain.dispatch import Dispatch
from service_monitoring.domain.inputs import Delivery
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.notices import Facts, Notice, Page, Withheld
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Rota
from service_monitoring.domain.rules import Flapping, Rule, Severity, Worse
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.domain.tracks import Key
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_check,
    a_configuration,
    a_grouping,
    a_route,
    a_rule,
    a_service,
    a_step,
    above,
    equals,
    instant,
    span,
)

CHECKS = tuple(a_check(name, stale_after="30d", forget_after="30d") for name in "abc")
NIGHT = ActiveHours("UTC", spans=(Span(0, 2 * 60),))
"""The first two hours of each day; tests begin at midnight."""


def rules(severity: Severity = Severity.WARNING) -> tuple[Rule, ...]:
    """Rules `a`, `b` and `c`, each on a check of its own."""
    return tuple(a_rule(name, check=name, severity=severity) for name in "abc")


def of(*routes: Route, these: tuple[Rule, ...] | None = None, **more: object) -> Configuration:
    made = a_configuration(a_service(*(rules() if these is None else these), checks=CHECKS), routes=routes)
    return replace(made, **more)


class Scene(Trial):
    """A trial of three rules that break and mend as they are told to."""

    def breaks(self, at: str, *names: str, value: float = 2.0) -> Scene:
        for name in names:
            self.hear(at, check=name, value=value)
        return self

    def mends(self, at: str, *names: str) -> Scene:
        return self.breaks(at, *names, value=0.0)

    def owed(self) -> list[str]:
        return [line for line in self.told() if " held " not in line]

    def last(self) -> Notice:
        return self.notices()[-1]


def a_scene(*routes: Route, these: tuple[Rule, ...] | None = None, **more: object) -> Scene:
    return Scene(of(*(routes or (a_grouping(),)), these=these, **more))


ESCALATING = a_grouping(
    steps=[a_step("channel.ops"), a_step("channel.boss", after="10m"), a_step("channel.chief", after="20m")]
)


# Together -------------------------------------------------------------------------------------------------------------


def test_what_opens_within_the_wait_is_told_in_one_notice() -> None:
    scene = a_scene().breaks("+10s", "a").breaks("+20s", "b").wait("+1m")
    assert scene.told() == ["+40s ops first a"]
    assert len(scene.last().news) == 2


def test_what_opens_later_is_told_at_the_next_multiple_of_the_interval() -> None:
    scene = a_scene().breaks("+10s", "a").breaks("+1m", "b").wait("+10m")
    assert scene.told() == ["+40s ops first a", "+5m40s ops first b"]
    assert (scene.last().open, scene.last().labels) == (2, (("service", "shop"),))


def test_what_has_not_changed_is_told_again_at_the_first_flush_after_the_repeat_interval() -> None:
    scene = a_scene(a_grouping(repeat=span("12m"))).breaks("+10s", "a").wait("+40m")
    assert scene.told() == ["+40s ops first a", "+15m40s ops repeated a", "+30m40s ops repeated a"]


def test_the_first_flush_is_at_once_where_an_incident_has_waited_elsewhere() -> None:
    elsewhere = a_grouping("routes[0]", equals("rule", "none"))
    scene = a_scene(elsewhere).breaks("+10s", "a").wait("+1m")
    scene.configure("+2m", of(replace(a_grouping(), matchers=())))
    assert scene.told() == ["+2m ops first a"]


def test_a_group_ends_with_the_flush_that_tells_its_last_resolution() -> None:
    scene = a_scene().breaks("+10s", "a").mends("+1m", "a").wait("+7m").breaks("+8m", "a").wait("+10m")
    assert scene.told() == ["+40s ops first a", "+5m40s ops recovered a", "+8m30s ops first a"]
    first, recovered, again = scene.notices()
    assert first.group == recovered.group != again.group
    assert [notice.sequence for notice in (first, recovered, again)] == [1, 2, 1]


def test_what_ends_within_the_wait_is_told_to_nobody() -> None:
    assert a_scene().breaks("+10s", "a").mends("+20s", "a").wait("+10m").told() == []


def test_a_route_that_continues_tells_by_both() -> None:
    scene = a_scene(a_grouping(proceed=True), a_grouping("routes[1]", steps=[a_step("channel.log")]))
    scene.breaks("+10s", "a").wait("+1m")
    assert sorted(scene.told()) == ["+40s log first a", "+40s ops first a"]


def test_without_send_resolved_the_end_is_told_to_nobody_and_the_group_ends() -> None:
    scene = a_scene(a_grouping(resolved=False)).breaks("+10s", "a").mends("+1m", "a").wait("+7m").breaks("+8m", "a")
    assert scene.wait("+9m").told() == ["+40s ops first a", "+8m30s ops first a"]
    assert scene.last().sequence == 1


def test_a_digest_writes_out_so_many_and_counts_all() -> None:
    scene = a_scene(a_grouping(listed=2)).breaks("+10s", "a", "b", "c").wait("+1m")
    assert (1 + len(scene.last().others), scene.last().open, len(scene.last().news)) == (2, 3, 3)


def test_nothing_is_repeated_while_all_is_taken_on_but_the_end_is_told() -> None:
    scene = a_scene(a_grouping(repeat=span("10m"))).breaks("+10s", "a").wait("+1m").acknowledge("+2m", "a").wait("+1h")
    assert scene.mends("+61m", "a").wait("+70m").told() == ["+40s ops first a", "+1h5m40s ops recovered a"]


def test_what_is_acknowledged_is_listed_in_a_repeat_that_another_causes() -> None:
    scene = a_scene(a_grouping(repeat=span("10m"))).breaks("+10s", "a", "b").wait("+1m").acknowledge("+2m", "a")
    assert scene.wait("+11m").last().page is Page.REPEATED
    assert scene.last().open == 2


# Escalation -----------------------------------------------------------------------------------------------------------


def test_steps_count_from_the_first_notice() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+1h")
    assert scene.told() == ["+40s ops first a", "+10m40s boss escalated a", "+20m40s chief escalated a"]


def test_what_joins_is_told_at_the_next_flush_to_every_step_reached() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+12m").breaks("+13m", "b").wait("+16m")
    assert scene.told()[2:] == ["+15m40s ops first b", "+15m40s boss first b"]


def test_an_acknowledgement_stops_the_clock_and_its_expiry_continues_it() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").acknowledge("+5m40s", "a", expires_after="1h").wait("+2h")
    assert scene.told() == ["+40s ops first a", "+1h10m40s boss escalated a", "+1h20m40s chief escalated a"]


def test_a_snooze_stops_the_clock_as_an_acknowledgement_does() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+1m").snooze("+5m40s", "a", "1h").wait("+1h11m")
    assert scene.told() == ["+40s ops first a", "+1h10m40s boss escalated a"]


def test_a_step_due_while_all_is_held_is_asked_again_at_each_flush() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+1m").silence("+9m", "4m").wait("+16m")
    assert scene.owed() == ["+40s ops first a", "+15m40s boss escalated a"]


def test_recovery_goes_to_all_steps_that_were_told_and_to_no_other() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+12m").mends("+13m", "a").wait("+1h")
    assert scene.told()[2:] == ["+15m40s ops recovered a", "+15m40s boss recovered a"]


def test_rounds_begin_again_as_long_after_the_last_step_as_that_came_after_the_one_before() -> None:
    route = a_grouping(steps=[a_step("channel.ops"), a_step("channel.boss", after="10m")], rounds=2)
    scene = a_scene(route).breaks("+10s", "a").wait("+1h")
    assert scene.told() == [
        "+40s ops first a",
        "+10m40s boss escalated a",
        "+20m40s ops escalated a",
        "+30m40s boss escalated a",
    ]


CHOOSY = a_grouping(
    steps=[a_step("channel.ops"), a_step("channel.boss", after="10m", matchers=[equals("severity", "critical")])]
)


def test_a_step_with_matchers_is_taken_as_soon_as_it_is_due_and_matches() -> None:
    mixed = (a_rule("a", check="a"), a_rule("b", check="b", severity=Severity.CRITICAL))
    scene = a_scene(CHOOSY, these=mixed).breaks("+10s", "a").wait("+12m")
    assert scene.told() == ["+40s ops first a"]
    scene.breaks("+13m", "b").wait("+16m")
    assert scene.told()[1:] == ["+15m40s ops first b", "+15m40s boss escalated b"]


def test_whoever_is_called_for_some_incidents_hears_of_these_alone() -> None:
    mixed = (a_rule("a", check="a"), a_rule("b", check="b", severity=Severity.CRITICAL))
    scene = a_scene(CHOOSY, these=mixed).breaks("+10s", "a", "b").wait("+11m")
    assert scene.last().channel == "boss"
    assert scene.last().news == (scene.incident("b").id,)
    over = scene.incident("a").id
    assert scene.mends("+12m", "a").wait("+16m").told()[2:] == ["+15m40s ops updated b"]
    assert scene.last().news == (over,)


def test_when_all_was_over_the_next_incident_begins_at_the_first_step() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+12m").mends("+13m", "a").breaks("+14m", "b").wait("+26m")
    assert scene.told()[2:] == [
        "+15m40s ops first b",
        "+15m40s boss recovered a",
        "+25m40s boss escalated b",
    ]


def test_after_a_gap_the_latest_step_alone_is_taken_after_one_round_of_checks() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").gap("+1m", "+40m").wait("+2h")
    assert scene.told() == ["+40s ops first a", "+40m10s chief escalated a"]


def test_a_move_right_after_a_gap_does_not_put_a_step_off() -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").gap("+9m", "+11m").acknowledge("+11m3s", "a", expires_after="2s")
    assert scene.wait("+14m").told() == ["+40s ops first a", "+11m10s boss escalated a"]


def a_rota() -> Rota:
    return Rota("team", "UTC", layers=(Layer(("ada", "bob"), DAILY, Handover(30), starts=instant("-2d")),))


def test_a_step_calls_who_is_on_call_at_its_instant_and_recovery_goes_to_who_was_told() -> None:
    route = a_grouping(steps=[a_step("oncall.team"), a_step("oncall.team", after="40m")])
    people = (Person("ada", ("ada",)), Person("bob", ("bob",)))
    scene = a_scene(route, rotas=(a_rota(),), people=people).breaks("+10s", "a").wait("+1h").mends("+61m", "a")
    first, second = (notice.channel for notice in scene.notices())
    assert {first, second} == {"ada", "bob"}
    assert scene.wait("+70m").told()[2:] == [f"+1h5m40s {first} recovered a", f"+1h5m40s {second} recovered a"]


# Held -----------------------------------------------------------------------------------------------------------------


def test_a_silence_holds_once_on_record_its_end_flushes_nothing_and_the_next_flush_tells() -> None:
    scene = a_scene().silence("+1s", "12m").breaks("+10s", "a").wait("+15m")
    assert scene.told() == ["+40s ops first a held silence"]
    assert scene.wait("+16m").told()[1:] == ["+15m40s ops released a"]


def test_what_recovers_while_silenced_is_told_afterwards_to_those_who_believe_it_open() -> None:
    scene = a_scene().breaks("+10s", "a").wait("+1m").silence("+2m", "12m").mends("+3m", "a").wait("+20m")
    assert scene.told() == ["+40s ops first a", "+5m40s ops recovered a held silence", "+15m40s ops recovered a"]


def test_a_silence_that_covers_some_does_not_hold_the_others() -> None:
    scene = a_scene().silence("+1s", "1h", equals("rule", "a")).breaks("+10s", "a", "b").wait("+1m")
    assert scene.told() == ["+40s ops first a held silence", "+40s ops first b"]
    assert (scene.last().open, scene.last().others) == (1, ())


WORK = Maintenance("work", (), Once(instant("+10m"), instant("+1h")))


def test_what_was_down_before_a_maintenance_and_after_it_does_not_page_anew() -> None:
    scene = a_scene(maintenances=(WORK,)).breaks("+10s", "a").wait("+2h")
    assert scene.told() == ["+40s ops first a"]


def test_what_ended_and_began_again_within_a_maintenance_is_no_news_after_it() -> None:
    scene = a_scene(maintenances=(WORK,)).breaks("+10s", "a").mends("+20m", "a").breaks("+30m", "a").wait("+2h")
    assert scene.owed() == ["+40s ops first a"]
    assert scene.mends("+121m", "a").wait("+3h").owed()[1:] == ["+2h5m40s ops recovered a"]


def test_a_recovery_within_a_maintenance_is_told_afterwards() -> None:
    scene = a_scene(maintenances=(WORK,)).breaks("+10s", "a").mends("+20m", "a").wait("+2h")
    assert scene.owed() == ["+40s ops first a", "+1h40s ops recovered a"]


def test_what_fails_in_a_flexible_maintenance_is_held_for_its_length() -> None:
    work = replace(WORK, after_failure=span("20m"))
    scene = a_scene(maintenances=(work,)).breaks("+12m", "a").wait("+2h")
    assert scene.told() == ["+12m30s ops first a held maintenance", "+32m30s ops released a"]


def test_an_open_source_mutes_what_has_the_same_labels_and_its_end_lets_go() -> None:
    mute = Inhibition((equals("rule", "a"),), (equals("rule", "b"),), ("service",))
    scene = a_scene(inhibitions=(mute,)).breaks("+10s", "a", "b").wait("+1m").mends("+6m", "a").wait("+11m")
    assert scene.told() == [
        "+40s ops first b held inhibition",
        "+40s ops first a",
        "+10m40s ops released b",
    ]


def test_what_both_sides_of_an_inhibition_match_is_not_muted_by_its_like() -> None:
    mute = Inhibition((equals("service", "shop"),), (equals("service", "shop"),), ("service",))
    scene = a_scene(inhibitions=(mute,)).breaks("+10s", "a", "b").wait("+1m")
    assert scene.told() == ["+40s ops first a"]


@pytest.mark.parametrize(
    "route",
    [a_grouping(muted=(NIGHT,)), a_grouping(active=(ActiveHours("UTC", spans=(Span(2 * 60, 24 * 60),)),))],
    ids=["muted", "active"],
)
def test_in_muted_hours_and_outside_of_active_ones_nothing_is_told(route: Route) -> None:
    scene = a_scene(route).breaks("+10s", "a").wait("+3h")
    assert scene.told() == ["+40s ops first a held muted", "+2h40s ops released a"]


ADA = Person("ada", ("pager", "mail", "phone"), QuietHours(NIGHT, (Severity.CRITICAL,)))
TO_ADA = a_grouping(steps=[a_step("person.ada")])


def test_quiet_hours_hold_and_their_end_tells_what_is_still_open() -> None:
    scene = a_scene(TO_ADA, people=(ADA,)).breaks("+10s", "a", "b").mends("+20m", "b").wait("+3h")
    assert scene.told() == ["+40s pager first a held quiet_hours", "+2h pager released a"]
    assert scene.last().news == (scene.incident("a").id,)


def test_an_excepted_severity_is_told_at_once() -> None:
    scene = a_scene(TO_ADA, people=(ADA,), these=rules(Severity.CRITICAL)).breaks("+10s", "a").wait("+1h")
    assert scene.told() == ["+40s pager first a"]


def test_quiet_hours_that_never_end_hold_all_the_same() -> None:
    ada = replace(ADA, quiet=QuietHours(ActiveHours("UTC"), (Severity.CRITICAL,)))
    assert a_scene(TO_ADA, people=(ada,)).breaks("+10s", "a").wait("+30d").owed() == []


@pytest.mark.parametrize("interval", ["0s", "5m"])
def test_a_repeat_that_is_due_while_silenced_waits_for_a_flush_and_does_not_spin(interval: str) -> None:
    route = a_grouping(interval=span(interval), repeat=span("10m"))
    scene = a_scene(route).breaks("+10s", "a").wait("+1m").silence("+9m", "10m30s").wait("+22m")
    assert scene.owed()[:2] == ["+40s ops first a", "+20m40s ops repeated a" if interval == "5m" else scene.owed()[1]]
    assert scene.owed()[1].startswith(("+19m40s", "+20m"))


def test_a_repeat_that_is_due_in_quiet_hours_does_not_spin() -> None:
    ada = replace(ADA, quiet=QuietHours(ActiveHours("UTC", spans=(Span(5, 2 * 60),))))
    route = replace(TO_ADA, interval=span("0s"), repeat=span("10m"))
    assert a_scene(route, people=(ada,)).breaks("+10s", "a").wait("+1h").owed() == ["+40s pager first a"]


def test_a_flapping_series_that_is_silenced_is_told_to_nobody() -> None:
    jumpy = (a_rule("a", check="a", flapping=Flapping()),)
    scene = a_scene(a_route(), these=jumpy).silence("+1s", "10m")
    for number in range(1, 30):
        scene.breaks(f"+{10 * number}s", "a", value=2.0 * (number % 2))
    assert scene.owed() == []
    assert any(line.endswith("ops flapping a held silence") for line in scene.told())
    for number in range(61, 64):
        scene.breaks(f"+{10 * number}s", "a", value=2.0 * (number % 2))
    assert scene.owed() == ["+10m20s ops flapping a"]


# Severity -------------------------------------------------------------------------------------------------------------


def test_a_severity_that_rises_is_told_once_and_by_another_route_to_others() -> None:
    worse = (Worse(Severity.CRITICAL, above(1.0), span("10m")),)
    rising = (replace(a_rule("a", check="a"), worse=worse),)
    scene = a_scene(these=rising).breaks("+10s", "a").wait("+20m")
    assert scene.told() == ["+40s ops first a", "+10m40s ops raised a"]
    pager = a_grouping("routes[0]", equals("severity", "critical"), steps=[a_step("channel.pager")])
    scene = a_scene(pager, a_grouping("routes[1]"), these=rising).breaks("+10s", "a").wait("+20m").mends("+21m", "a")
    assert scene.wait("+30m").told() == [
        "+40s ops first a",
        "+10m10s pager first a",
        "+25m10s pager recovered a",
        "+25m40s ops recovered a",
    ]


# Outcomes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivery", [Delivery.PARKED, Delivery.DELAYED])
def test_a_person_who_was_not_reached_is_told_by_the_next_contact(delivery: Delivery) -> None:
    scene = a_scene(TO_ADA, people=(replace(ADA, quiet=None),)).breaks("+10s", "a").wait("+1m")
    scene.settle("+2m", scene.last(), delivery)
    assert scene.told() == ["+40s pager first a", "+2m mail first a"]
    assert scene.mends("+3m", "a").wait("+6m").told()[-1] == "+5m40s mail recovered a"


def test_a_notice_that_is_late_and_then_given_up_goes_one_contact_further() -> None:
    scene = a_scene(TO_ADA, people=(replace(ADA, quiet=None),)).breaks("+10s", "a").wait("+1m")
    late = scene.last()
    scene.settle("+2m", late, Delivery.DELAYED).settle("+3m", late, Delivery.PARKED)
    assert scene.told() == ["+40s pager first a", "+2m mail first a", "+3m desk owner "]


def test_a_repeat_that_was_not_delivered_is_said_by_the_next_contact() -> None:
    route = replace(TO_ADA, repeat=span("10m"))
    scene = a_scene(route, people=(replace(ADA, quiet=None),)).breaks("+10s", "a").wait("+11m")
    assert scene.settle("+12m", scene.last(), Delivery.PARKED).told()[1:] == [
        "+10m40s pager repeated a",
        "+12m mail repeated a",
    ]


@pytest.mark.parametrize("interval", ["0s", "5m"])
def test_what_was_withheld_is_told_when_the_reason_ends(interval: str) -> None:
    scene = a_scene(a_grouping(interval=span(interval))).breaks("+10s", "a").wait("+1m").silence("+2m", "10m")
    scene.settle("+3m", scene.last(), Delivery.WITHHELD).wait("+20m")
    (_, again) = scene.owed()
    assert again.endswith("ops released a")


def test_a_notice_is_withheld_when_all_it_tells_is_silenced_or_taken_on() -> None:
    scene = a_scene(a_grouping(repeat=span("10m"))).breaks("+10s", "a", "b").wait("+1m")
    first = scene.last()
    assert scene.course.withheld(first, instant("+2m")) is None
    scene.acknowledge("+3m", "a")
    assert scene.course.withheld(first, instant("+3m")) is None, "nobody has taken on the other"
    scene.silence("+4m", "1h", equals("rule", "b"))
    held = scene.course.withheld(first, instant("+4m"))
    assert held is not None
    assert held.reason is Withheld.ACKNOWLEDGED


def test_an_end_that_is_queued_is_held_while_a_silence_covers_it_and_no_longer() -> None:
    scene = a_scene(a_grouping(interval=span("0s"))).breaks("+10s", "a").wait("+1m").mends("+2m", "a")
    end = scene.last()
    assert end.page is Page.RECOVERED
    assert scene.course.withheld(end, instant("+2m")) is None
    scene.silence("+3m", "10m")
    held = scene.course.withheld(end, instant("+4m"))
    assert held is not None
    assert held.reason is Withheld.SILENCED
    assert scene.course.withheld(end, instant("+14m")) is None


def test_a_repeat_is_withheld_too_and_comes_as_soon_as_it_may() -> None:
    scene = a_scene(a_grouping(repeat=span("10m"))).breaks("+10s", "a").wait("+11m").silence("+12m", "10m")
    repeat = scene.last()
    assert scene.course.withheld(repeat, instant("+12m")) is not None
    assert scene.settle("+13m", repeat, Delivery.WITHHELD).wait("+26m").owed()[2:] == ["+25m40s ops repeated a"]


# Reload, clock and gap ------------------------------------------------------------------------------------------------


def test_a_route_that_only_moved_in_the_file_is_the_same() -> None:
    other = a_grouping("routes[0]", equals("service", "base"), steps=[a_step("channel.log")])
    scene = a_scene(a_grouping()).breaks("+10s", "a").wait("+1m")
    scene.configure("+2m", of(other, a_grouping("routes[1]"))).breaks("+3m", "b").wait("+6m")
    assert scene.told() == ["+40s ops first a", "+5m40s ops first b"]
    assert len({notice.group for notice in scene.notices()}) == 1


def test_a_removed_route_ends_what_it_told_and_another_in_its_place_does_not_take_it_over() -> None:
    mine = a_grouping("routes[0]", equals("rule", "a"), steps=[a_step("channel.mine")])
    scene = a_scene(mine, a_grouping("routes[1]")).breaks("+10s", "a", "b").wait("+1m")
    scene.configure("+2m", of(a_grouping("routes[0]"))).wait("+6m").mends("+7m", "a", "b").wait("+20m")
    assert scene.told() == [
        *sorted(["+40s mine first a", "+40s ops first b"], key=scene.told().index),
        "+5m40s ops first a",
        *scene.told()[3:],
    ]
    assert sorted(scene.told()[3:]) == ["+10m40s mine recovered a", "+10m40s ops recovered b"]


def test_what_comes_back_to_a_route_has_notices_with_keys_of_their_own() -> None:
    scene = a_scene().silence("+1s", "10m").breaks("+10s", "a").wait("+1m")
    nowhere = of(a_grouping("routes[0]", equals("service", "base")))
    scene.configure("+2m", nowhere).wait("+6m").configure("+7m", of(a_grouping())).wait("+20m")
    keys = [notice.key for notice in scene.notices()]
    assert len(set(keys)) == len(keys) == 3


def test_new_recipients_hear_of_what_comes_and_old_ones_the_end_of_what_they_know() -> None:
    scene = a_scene().breaks("+10s", "a").wait("+1m")
    scene.configure("+2m", of(a_grouping(steps=[a_step("channel.new")]))).breaks("+3m", "b").mends("+12m", "a", "b")
    assert scene.wait("+20m").told() == [
        "+40s ops first a",
        "+5m40s new first b",
        "+15m40s new recovered b",
        "+15m40s ops recovered a",
    ]


@pytest.mark.parametrize("by", ["1h", "-1h"])
def test_a_step_of_the_wall_clock_moves_no_flush_and_no_step_of_an_escalation(by: str) -> None:
    scene = a_scene(ESCALATING).breaks("+10s", "a").wait("+1m").step_clock("+2m", by).breaks("+3m", "b").wait("+11m")
    assert scene.told() == ["+40s ops first a", "+5m40s ops first b", "+10m40s boss escalated a"]


def test_quiet_hours_are_an_appointment_on_the_wall_clock() -> None:
    scene = a_scene(TO_ADA, people=(ADA,)).breaks("+10s", "a").wait("+1m").step_clock("+10m", "1h").wait("+3h")
    assert [notice.decided_at for notice in scene.notices() if notice.held is None] == [
        START.plus(Duration(span("2h")))
    ]


def test_what_fell_due_in_a_gap_is_told_once_after_one_round_of_checks() -> None:
    scene = a_scene(a_grouping(repeat=span("10m"))).breaks("+10s", "a").gap("+20s", "+1h").wait("+1h5s")
    assert scene.told() == []
    assert scene.wait("+1h1m").told() == ["+1h10s ops first a"]


# A storm --------------------------------------------------------------------------------------------------------------


def calls_of_a_storm(size: int) -> int:
    """How many functions are called while so many incidents open in one group, and while it is not flushed."""
    dispatch = Dispatch(Agenda[Key]())
    dispatch.configure(Configuration(routes=(a_grouping(),)), START)
    facts = [
        Facts(incident=f"{number:05}", state="open", labels=(("service", "shop"),), opened_at=START)
        for number in range(size)
    ]
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for number, each in enumerate(facts):
            dispatch.move(each, START.plus(Duration(number)))
    finally:
        sys.setprofile(None)
    return calls


def test_an_incident_of_a_storm_costs_the_same_however_many_there_are() -> None:
    assert calls_of_a_storm(800) < 8.5 * calls_of_a_storm(100)

"""Composite rules: Kleene's logic over the verdicts of other rules, joined by the labels of their series."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from service_monitoring.domain.course import Course
from service_monitoring.domain.inputs import Admitted, Configured, Stamp
from service_monitoring.domain.rules import Lifecycle, NoDataMode, Rule
from service_monitoring.domain.samples import Measurement, Observation, Outcome
from service_monitoring.domain.strategies import Composite, Threshold
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_check,
    a_configuration,
    a_rule,
    a_service,
    above,
    an_observation,
    no_data,
)

A = a_rule("a", metric="a")
B = a_rule("b", metric="b")


def joined(need: int, *members: str, **more: Any) -> Rule:
    return a_rule("both", Composite(members or ("shop.a", "shop.b"), need), check="", metric="", **more)


def of(*rules: Rule) -> Trial:
    return Trial(a_configuration(a_service(*rules, checks=[a_check()])))


@pytest.mark.parametrize(("a", "b"), list(product((0.0, 2.0, None), repeat=2)))
def test_it_follows_kleenes_tables(a: float | None, b: float | None) -> None:
    values = {name: value for name, value in (("a", a), ("b", b)) if value is not None}
    verdicts = [None if value is None else value > 1 for value in (a, b)]
    for need, name in ((2, "all_of"), (1, "any_of")):
        trial = of(A, B, joined(need)).observe("+10s", an_observation(values))
        breached, unknown = verdicts.count(True), verdicts.count(None)
        wanted = ["+10s pending", "+10s open"] if breached >= need else []
        assert trial.moves("both") == wanted, name
        if breached < need <= breached + unknown:
            # What is unknown opens nothing, and what is open it leaves open.
            again = of(A, B, joined(need, on_no_data=no_data(NoDataMode.RESOLVE)))
            again.hear("+10s", a=2, b=2).observe("+20s", an_observation(values))
            assert again.moves("both")[-1] != "+20s resolved", "a missing sample is not yet silence"


def test_all_of_opens_with_the_last_member_and_ends_with_the_first() -> None:
    trial = of(A, B, joined(2)).hear("+10s", a=2, b=0).hear("+20s", a=2, b=2).hear("+30s", a=0, b=2)
    assert trial.moves("both") == ["+20s pending", "+20s open", "+30s resolved"]
    assert trial.incidents("both")[0].series.labels == ()


def test_some_of_counts_its_members() -> None:
    c = a_rule("c", metric="c")
    trial = of(A, B, c, joined(2, "shop.a", "shop.b", "shop.c")).hear("+10s", a=2, b=0, c=0).hear("+20s", a=2, b=0, c=2)
    assert trial.moves("both") == ["+20s pending", "+20s open"]


def test_its_own_for_counts_from_when_the_members_say_so_together() -> None:
    trial = of(A, B, joined(2, holds_for="15s")).hear("+10s", a=2, b=0).hear("+20s", a=2, b=2).wait("+40s")
    assert trial.moves("both") == ["+20s pending", "+35s open"]


def test_the_for_of_a_member_is_no_matter_of_the_composite() -> None:
    slow = a_rule("a", metric="a", holds_for="1h")
    assert of(slow, B, joined(2)).hear("+10s", a=2, b=2).moves("both") == ["+10s pending", "+10s open"]


def test_members_join_on_equal_labels_and_one_without_joins_all() -> None:
    def run(**depths: float) -> Observation:
        measured = tuple(Measurement("depth", value, (("queue", name),)) for name, value in depths.items())
        return Observation(Outcome.OK, measurements=(*measured, Measurement("a", 2.0)))

    deep = a_rule("deep", metric="depth")
    trial = of(A, deep, joined(2, "shop.a", "shop.deep")).observe("+10s", run(x=2, y=0)).observe("+20s", run(x=0, y=2))
    assert [(incident.series.labels, incident.state) for incident in trial.incidents("both")] == [
        ((("queue", "x"),), "pending"),
        ((("queue", "x"),), "open"),
        ((("queue", "x"),), "resolved"),
        ((("queue", "y"),), "pending"),
        ((("queue", "y"),), "open"),
    ]


def test_a_member_whose_samples_stop_makes_it_unknown_by_timer() -> None:
    resolving = joined(2, on_no_data=no_data(NoDataMode.RESOLVE))
    trial = of(A, B, resolving).hear("+10s", a=2, b=2).wait("+1m")
    assert trial.moves("both") == ["+10s pending", "+10s open", "+35s resolved"]
    any_of = joined(1, on_no_data=no_data(NoDataMode.RESOLVE))
    trial = of(A, B, any_of).hear("+10s", a=2, b=2).hear("+30s", a=2).wait("+50s")
    assert trial.moves("both") == ["+10s pending", "+10s open"], "one breached member is enough"


def test_in_a_gap_it_says_nothing_and_goes_on_after_it() -> None:
    trial = of(A, B, joined(2, holds_for="1m")).hear("+10s", a=2, b=2).gap("+20s", "+30s").hear("+31s", a=2, b=2)
    assert trial.hear("+50s", a=2, b=2).hear("+70s", a=2, b=2).wait("+2m").moves("both") == [
        "+10s pending",
        "+1m20s open",
    ]


def test_members_may_be_rules_of_other_services_and_composites_themselves() -> None:
    far = a_rule("far", service="base", check="health", metric="a")
    both = joined(2)
    higher = a_rule("higher", Composite(("shop.both", "base.far"), 2), service="base", check="", metric="")
    trial = Trial(
        a_configuration(
            a_service(A, B, both, checks=[a_check()]),
            a_service(far, higher, name="base", checks=[a_check(service="base")]),
        )
    )
    trial.hear("+10s", a=2, b=2).hear("+20s", service="base", a=2).hear("+25s", a=0, b=2)
    assert trial.moves("higher") == ["+20s pending", "+20s open", "+25s resolved"]


def test_a_member_in_draft_is_heard() -> None:
    drafted = a_rule("a", metric="a", state=Lifecycle.DRAFT)
    assert of(drafted, B, joined(2)).hear("+10s", a=2, b=2).told() == ["+10s ops first b", "+10s ops first both"]


def test_a_retired_member_says_nothing() -> None:
    trial = of(A, B, joined(2)).hear("+10s", a=2, b=2).retire("+15s", "a").hear("+20s", a=2, b=2)
    assert trial.moves("both") == ["+10s pending", "+10s open"]
    assert trial.hear("+30s", b=0).moves("both")[-1] == "+30s resolved"


def test_a_composite_that_is_new_says_at_once_what_its_members_say() -> None:
    trial = of(A, B).hear("+10s", a=2, b=2)
    trial.configure("+15s", a_configuration(a_service(A, B, joined(2), checks=[a_check()])))
    assert trial.moves("both") == ["+15s pending", "+15s open"]


def test_members_in_a_circle_are_refused() -> None:
    one = a_rule("one", Composite(("shop.two",), 1), check="", metric="")
    two = a_rule("two", Composite(("shop.one",), 1), check="", metric="")
    ruling = Course().step(Admitted(Stamp(0, START), Configured(a_configuration(a_service(one, two)))))
    assert "circle" in ruling.refusal


def test_a_composite_can_hold_others_back() -> None:
    child = a_rule("child", Threshold(above(1)), metric="value", depends_on=["shop.both"])
    trial = of(A, B, joined(2), child).hear("+10s", a=2, b=2).hear("+20s", a=2, b=2, value=2)
    assert trial.told()[-1] == "+20s ops first child held unreachable"

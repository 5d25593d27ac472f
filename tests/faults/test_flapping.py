"""A target that flaps (row 54), up and down every thirty seconds for an hour: at most four notices.

Decisions alone, by simulated runs: each comes a little late, as runs do, so that one near a turn may see either side.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.configuration import Route, Step
from service_monitoring.domain.instants import HOUR, SECOND
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Flapping, Rule
from service_monitoring.domain.strategies import Threshold
from service_monitoring.testing.builders import (
    Trial,
    a_check,
    a_configuration,
    a_route,
    a_rule,
    a_service,
    below,
    recovering,
)

SIDE = 30_000
BAR = 4

ORDINARY = Route("routes[0]", group_by=("service",), steps=(Step(("channel.ops",)),))
"""Nothing is said of its times: the first notice after 30 s, others every five minutes."""
LATE = st.lists(st.integers(0, 900), min_size=16, max_size=16)
TURNS = st.integers(0, 2 * SIDE // 1000).map(lambda seconds: seconds * 1000)


def an_hour(rule: Rule, route: Route, *, every: int, turns: int, late: list[int]) -> list[Notice]:
    """What is owed in an hour of runs `every` so many milliseconds, where the target turns `turns` after the start."""
    trial = Trial(
        a_configuration(a_service(rule, checks=[a_check(every=f"{every}ms", stale_after="90s")]), routes=(route,))
    )
    for number, due in enumerate(range(every, HOUR // (SECOND // 1000), every)):
        at = due + late[number % len(late)]
        seen = trial.hear if (at + turns) // SIDE % 2 else trial.fail
        seen(f"+{at}ms")
    return [notice for notice in trial.notices() if notice.held is None]


@given(turns=TURNS, late=LATE)
def test_a_target_that_flaps_at_every_run_causes_four_notices_in_an_hour_at_most(turns: int, late: list[int]) -> None:
    rule = a_rule("down", Threshold(below(1)), metric="up", flapping=Flapping())
    assert 1 <= len(an_hour(rule, ORDINARY, every=SIDE, turns=turns, late=late)) <= BAR


@given(turns=TURNS, late=LATE)
def test_a_target_that_stays_down_for_several_runs_is_held_by_its_recovery_and_its_interval(
    turns: int, late: list[int]
) -> None:
    """Six runs on each side are no flapping by the share of changes: `recover` makes one incident of them."""
    rule = a_rule("down", Threshold(below(1)), metric="up", flapping=Flapping(), recovery=recovering(holds_for="1m"))
    assert 1 <= len(an_hour(rule, ORDINARY, every=5_000, turns=turns, late=late)) <= BAR


def test_without_recovery_or_interval_each_turn_of_a_target_is_told() -> None:
    """So the bar is not held by luck."""
    rule = a_rule("down", Threshold(below(1)), metric="up", flapping=Flapping())
    assert len(an_hour(rule, a_route(), every=5_000, turns=0, late=[0])) > 100

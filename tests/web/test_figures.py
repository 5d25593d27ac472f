"""Uptime and budgets as the desk tells them, of days that were told in offsets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service_monitoring.domain.instants import HOUR, Instant
from service_monitoring.domain.rules import Lifecycle, Severity
from service_monitoring.domain.strategies import FAST, Budget, Threshold
from service_monitoring.errors import NotFound, Refused
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, below, instant, span
from service_monitoring.views.figures import UptimeRow
from tests.web.desks import Told, told

BUDGET = Budget(objective=0.9, window=HOUR, burns=FAST, stands_for=span("2m30s"))
RULES = (
    a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL),
    a_rule("slow"),
    a_rule("budget", BUDGET, metric="up", severity=Severity.INFO),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    service = a_service(*RULES, checks=[a_check(every="1m", stale_after="2m30s")])
    async with told(tmp_path / "data", a_configuration(service)) as house:
        yield house


async def minutes(house: Told, began: str = "+0s", ended: str | None = None) -> dict[str, float]:
    """How many minutes of each condition, those that there were."""
    row = await house.desk.uptime("shop", instant(began), None if ended is None else instant(ended))
    names = ("up", "down", "degraded", "maintenance", "unknown")
    return {name: getattr(row, name).seconds / 60 for name in names if getattr(row, name).seconds}


async def test_an_hour_of_everything_adds_up(house: Told) -> None:
    await house.run_every("1m", "+5m", "+19m")
    await house.run_every("1m", "+20m", "+24m", failed=True)
    await house.run_every("1m", "+25m", "+29m")
    for minute in range(30, 35):
        await house.see(f"+{minute}m", 2)
    await house.see("+35m", 0)
    # The last run was our own fault, and then nobody watched.
    await house.unknown("+36m")
    await house.alive("+40m")
    await house.gap("+40m", "+50m")
    await house.run_every("1m", "+52m", "+60m")
    found = await minutes(house, ended="+1h")
    assert found == {"up": 15 + 5 + 1 + 8, "down": 5, "degraded": 5, "unknown": 5 + 16}


async def test_a_range_that_is_split_adds_up_to_the_same(house: Told) -> None:
    await house.run_every("1m", "+5m", "+19m")
    await house.run_every("1m", "+20m", "+24m", failed=True)
    await house.gap("+30m", "+40m")
    await house.run_every("1m", "+41m", "+59m")
    whole = await minutes(house, ended="+59m")
    for cut in ("+3m", "+22m", "+26m30s", "+33m", "+50m"):
        left, right = await minutes(house, ended=cut), await minutes(house, cut, "+59m")
        assert {name: left.get(name, 0) + right.get(name, 0) for name in whole} == pytest.approx(whole)


async def test_an_incident_that_is_open_before_and_after_a_gap_is_unknown_within(house: Told) -> None:
    await house.fail("+1m")
    await house.gap("+2m", "+12m")
    await house.fail("+13m")
    assert await minutes(house, "+1m", "+13m") == {"down": 2, "unknown": 10}


async def test_nobody_knows_what_comes_after_what_is_decided(house: Told) -> None:
    await house.see("+1m")
    await house.alive("+2m")
    assert await minutes(house, "+1m", "+10m") == {"up": 1, "unknown": 8}
    assert await minutes(house, "+1m") == {"up": 1}


async def test_a_range_may_lie_as_far_away_as_instants_reach(house: Told) -> None:
    for at in ("1677-09-22T00:00:00Z", "2262-04-11T00:00:00Z"):
        row = await house.desk.uptime("shop", None, Instant.parse(at))
        assert row.unknown.share == 1.0
    far = await house.desk.uptime("shop", Instant(-(2**70)), instant("+1m"))
    assert far.up.seconds + far.unknown.seconds == pytest.approx(2**63 / 1e9 + instant("+1m").ns / 1e9)


async def test_a_draft_makes_no_service_worse(tmp_path: Path) -> None:
    shadow = a_rule("shadow", severity=Severity.CRITICAL, state=Lifecycle.DRAFT)
    async with told(tmp_path / "data", a_configuration(a_service(shadow))) as house:
        await house.see("+10s", 2)
        await house.see("+20s", 2)
        row: UptimeRow = await house.desk.uptime("shop", instant("+10s"), None)
        assert row.up.share == 1.0


async def test_a_range_that_is_none_is_refused_and_a_stranger_not_found(house: Told) -> None:
    with pytest.raises(Refused, match="no stretch of time"):
        await house.desk.uptime("shop", instant("+1m"), instant("+1m"))
    for question in (house.desk.uptime("other", None, None), house.desk.budgets("other")):
        with pytest.raises(NotFound, match="there is no service other"):
            await question


async def test_what_is_left_of_a_budget_is_told_with_how_fast_it_goes(house: Told) -> None:
    await house.run_every("1m", "+1m", "+117m")
    await house.run_every("1m", "+118m", "+120m", failed=True)
    (row,) = await house.desk.budgets("shop")
    assert (row.rule, row.series, row.at) == ("budget", "shop/health/up", str(instant("+2h")))
    assert (row.objective, row.window_seconds, row.samples, row.failed) == (0.9, 3600.0, 60, 3)
    # The first of its samples came a minute after the window began.
    assert (row.error_ratio, row.observed) == (0.05, 59 / 60)
    assert row.remaining == pytest.approx(0.5)
    assert [(each.over_seconds, each.burn) for each in row.burn_rates] == [
        (3600.0, pytest.approx(0.5)),
        (21600.0, None),
        (259200.0, None),
    ]


async def test_a_budget_without_a_sample_is_told_as_unknown(house: Told) -> None:
    (row,) = await house.desk.budgets("shop")
    assert (row.samples, row.error_ratio, row.remaining, row.observed) == (0, None, None, 0.0)


async def test_a_budget_goes_on_where_the_clock_was_set(house: Told) -> None:
    await house.run_every("1m", "+1m", "+30m", failed=True)
    await house.step("+5h", "4h30m")
    await house.run_every("1m", "+5h1m", "+5h30m")
    (row,) = await house.desk.budgets("shop")
    assert (row.samples, row.failed, row.observed) == (60, 30, 59 / 60)

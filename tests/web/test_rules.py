"""How the desk shows a rule: what counts, what comes next, and why nobody is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service_monitoring.domain.rules import Lifecycle, Severity
from service_monitoring.errors import NotFound
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, instant
from service_monitoring.views.rules import NEXT, CountRow
from tests.web.desks import Told, told

RULES = (
    a_rule("slow", holds_for="1m", depends_on=("shop.gone",)),
    a_rule("gone", metric="up", check="edge", severity=Severity.CRITICAL),
    a_rule("shadow", state=Lifecycle.DRAFT),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    service = a_service(*RULES, checks=[a_check(stale_after="5m"), a_check("edge", stale_after="5m")])
    async with told(tmp_path / "data", a_configuration(service)) as house:
        yield house


async def test_a_rule_that_is_pending_says_how_long_it_has_been_and_when_it_opens(house: Told) -> None:
    await house.see("+10s", 2)
    await house.alive("+30s")
    detail = await house.desk.rule("shop", "slow")
    assert detail.judged_until == str(instant("+30s"))
    (series,) = detail.series
    assert series.counts == (CountRow("for", 20.0, 60.0),)
    assert (series.due_at, series.due_for) == (str(instant("+70s")), "opens")
    assert (series.verdict, series.value, series.incident_state) == ("breached", 2.0, "pending")
    assert detail.rule.incidents == 0


async def test_a_draft_is_shown_like_any_other(house: Told) -> None:
    await house.see("+10s", 2)
    states = {row.rule: (row.state, row.verdicts["breached"], row.kind) for row in await house.desk.rules()}
    assert states == {
        "slow": ("active", 1, "threshold"),
        "gone": ("active", 0, "threshold"),
        "shadow": ("draft", 1, "threshold"),
    }


async def test_what_holds_a_rule_back_is_said(house: Told) -> None:
    await house.see("+10s", 2)
    await house.alive("+71s")
    (series,) = (await house.desk.rule("shop", "slow")).series
    assert (series.incident_state, series.held) == ("open", "rechecking by shop.edge")


async def test_in_a_gap_and_after_it_a_rule_says_so(house: Told) -> None:
    await house.see("+10s", 0)
    await house.gap("+20s", "+1h")
    (series,) = (await house.desk.rule("shop", "slow")).series
    assert (series.verdict, series.why, series.since) == ("unknown", ("after_gap",), str(instant("+1h")))


async def test_a_rule_that_is_not_there_is_not_found(house: Told) -> None:
    for service, rule in (("shop", "other"), ("other", "slow")):
        with pytest.raises(NotFound, match="there is no rule"):
            await house.desk.rule(service, rule)


def test_every_timer_of_a_rule_has_its_words() -> None:
    assert {order.name for order in NEXT} == {
        "HOLD", "WORSE", "RECOVERY", "SCHEDULE", "STALE", "ABSENCE", "NO_DATA", "FORGET",
    }  # fmt: skip

"""An explanation as the desk gives it: what the store has on record says the same as what was decided."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from service_monitoring.domain.configuration import Person, Step
from service_monitoring.domain.inputs import Delivery, Settled, Silenced
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Rota
from service_monitoring.domain.rules import Flapping
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import NotFound
from service_monitoring.ports import Message, Settlement
from service_monitoring.testing.builders import a_configuration, a_route, a_rule, a_service, instant, span
from service_monitoring.views.explanation import Explanation
from tests.web.desks import Told, told

ROUTE = replace(
    a_route(wait="30s", interval="5m"), steps=(Step(("oncall.primary",)), Step(("person.boss",), span("10m")))
)
CONFIGURATION = replace(
    a_configuration(a_service(a_rule("slow", holds_for="20s"), a_rule("late")), routes=(ROUTE,)),
    people=(Person("ada", ("sms",)), Person("grace", ("mail",)), Person("boss", ("phone",))),
    rotas=(Rota("primary", "UTC", (Layer(("ada", "grace"), DAILY, Handover(9 * 60)),)),),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", CONFIGURATION) as house:
        yield house


async def a_breach(house: Told) -> str:
    """Open at +40s, told at +70s."""
    for second in (20, 30, 40, 50):
        await house.see(f"+{second}s", 2.0)
    await house.alive("+80s")
    return await house.the_id()


async def explained(house: Told, at: str, person: str = "") -> Explanation:
    return await house.desk.explain(await house.the_id(), instant(at), person)


async def the_notice(house: Told) -> Notice:
    story = await house.store.incident(await house.the_id())
    return story.notices[0].notice


async def test_the_store_knows_everything_that_an_explanation_needs(house: Told) -> None:
    await a_breach(house)
    answer = await explained(house, "+80s")
    assert [(each.kind, each.at) for each in answer.lines] == [
        ("breached", str(instant("+20s"))),
        ("opened", str(instant("+40s"))),
        ("route", str(instant("+40s"))),
        ("joined", str(instant("+40s"))),
        ("flush", str(instant("+70s"))),
        ("step", str(instant("+70s"))),
        ("notice", str(instant("+70s"))),
    ]
    assert [(each.step, each.at) for each in answer.ahead if each.kind == "step_ahead"] == [
        (2, str(instant("+11m10s")))
    ]


async def test_what_became_of_a_notice_is_read_from_the_log_of_deliveries(house: Told) -> None:
    await a_breach(house)
    notice = await the_notice(house)
    (lease,) = await house.store.claim([Message(notice.key, notice.thread, notice.page, "", "")])
    later = instant("+81s")
    await house.store.settle([Settlement(notice.key, lease.token, "waiting", "503", later, instant("+95s"))])
    waiting = await explained(house, "+90s")
    assert [(each.state, each.at) for each in waiting.ahead if each.kind == "sending"] == [
        ("waiting", str(instant("+95s")))
    ]
    settled = Settled(
        notice.key, Delivery.DELIVERED, "mail", notice.page, "250", None,
        group=notice.group, sequence=notice.sequence, recipient=notice.recipient,
    )  # fmt: skip
    await house.tell("+96s", settled)
    (one,) = (await explained(house, "+2m", "grace")).recipients
    assert (one.told, one.state, one.at) == (True, "delivered", str(instant("+96s")))
    assert (await explained(house, "+90s")).recipients[0].state == "waiting"


async def test_a_silence_is_read_as_it_was_said(house: Told) -> None:
    slow = Matcher("rule", MatchOperator.EQUALS, "slow")
    await house.tell("+1s", Silenced(Wanted((slow,), "ada", "deploying", lasts=span("1h"))))
    await a_breach(house)
    (held,) = [each for each in (await explained(house, "+80s")).lines if each.kind == "held"]
    assert (held.held, held.people) == ("silence", ("person.grace",))
    assert "of ada (deploying)" in held.because


async def test_the_revision_in_force_at_the_instant_answers(house: Told) -> None:
    id = await a_breach(house)
    people = (*CONFIGURATION.people, Person("eve", ("mail",)))
    await house.configure("+2m", replace(CONFIGURATION, people=people))
    assert (await explained(house, "+3m", "eve")).recipients[0].state == "not told"
    with pytest.raises(NotFound, match="there is no person eve: there are ada, boss, grace"):
        await house.desk.explain(id, instant("+80s"), "eve")


async def test_an_explanation_without_an_instant_is_by_now(house: Told) -> None:
    id = await a_breach(house)
    answer = await house.desk.explain(id[:6], None, "")
    assert (answer.incident, answer.at) == (id, str(instant("+80s")))


async def test_a_gap_is_read_with_its_cause(house: Told) -> None:
    await a_breach(house)
    await house.gap("+2m", "+3m")
    gaps = [each.because for each in (await explained(house, "+4m")).lines if each.kind == "gap"]
    assert gaps == ["there was a gap (restart)", "the gap was over"]


async def test_that_the_series_flapped_is_read_with_who_heard_of_it(house: Told) -> None:
    slow = a_rule("slow", flapping=Flapping())
    await house.configure("+1s", replace(CONFIGURATION, services=(a_service(slow),)))
    for second in range(10, 310, 10):
        await house.see(f"+{second}s", 2.0 if second // 10 % 2 else 0.0)
    await house.see("+310s", 2.0)
    await house.alive("+15m")
    lines = (await explained(house, "+15m")).lines
    assert "a flapping notice to grace was decided through mail" in [each.what for each in lines]
    assert "flapping" in {each.held for each in lines}


async def test_what_the_owners_heard_of_a_notice_is_part_of_it(house: Told) -> None:
    await a_breach(house)
    notice = await the_notice(house)
    await house.tell("+81s", Settled(notice.key, Delivery.PARKED, notice.channel, notice.page, "410 Gone"))
    lines = (await explained(house, "+82s")).lines
    assert [each.because for each in lines if each.state == "parked" and each.kind == "outcome"] == ["410 Gone"]
    assert any(each.what.startswith("an owner notice to the owners of the monitor") for each in lines)


async def test_an_incident_that_there_is_not_is_not_found(house: Told) -> None:
    with pytest.raises(NotFound, match="there is no incident"):
        await house.desk.explain("0123", None, "")

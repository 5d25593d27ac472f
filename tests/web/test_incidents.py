"""What an incident's page says of acknowledgements that expire, rises, flapping and drafts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service_monitoring.application import Monitor
from service_monitoring.domain.inputs import Act, Acted
from service_monitoring.domain.instants import HOUR
from service_monitoring.domain.rules import Flapping, Lifecycle, Severity, Worse
from service_monitoring.ports import Drafts
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.testing.builders import a_configuration, a_rule, a_service, above, instant, span
from service_monitoring.testing.clock import SimulatedClock
from tests.data_folders import with_tables
from tests.web.desks import Told, told

RULES = (
    a_rule("slow", worse=(Worse(Severity.CRITICAL, above(5.0), span("10s")),), flapping=Flapping()),
    a_rule("shadow", severity=Severity.CRITICAL, state=Lifecycle.DRAFT, holds_for="1s"),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", a_configuration(a_service(*RULES))) as house:
        yield house


async def what_happened(house: Told, rule: str = "slow") -> list[tuple[int | None, str, str]]:
    detail = await house.desk.incident(await house.the_id(rule))
    return [(each.sequence, each.what, each.severity) for each in detail.transitions]


async def listed(house: Told, drafts: Drafts = Drafts.LEFT_OUT, limit: int = 10) -> list[tuple[str, bool]]:
    rows = await house.desk.incidents(states=(), service=None, limit=limit, drafts=drafts)
    return [(row.rule, row.draft) for row in rows]


async def test_a_rise_is_told_in_its_own_words(house: Told) -> None:
    await house.see("+10s", 2)
    await house.see("+20s", 6)
    await house.alive("+31s")
    assert await what_happened(house) == [
        (1, "pending", "warning"),
        (2, "open", "warning"),
        (3, "raised to critical", "critical"),
    ]


async def test_a_rise_that_ends_an_acknowledgement_is_a_rise(house: Told) -> None:
    await house.see("+10s", 2)
    await house.acknowledge("+15s", lasts="1h")
    await house.see("+20s", 6)
    await house.alive("+31s")
    assert [what for _, what, _ in await what_happened(house)][-2:] == ["acknowledged", "raised to critical"]
    (row,) = await house.desk.incidents(states=(), service=None, limit=10)
    assert (row.state, row.acknowledged_until) == ("open", None)


async def test_an_acknowledgement_says_until_when_and_that_it_expired(house: Told) -> None:
    await house.see("+10s", 2)
    await house.acknowledge("+12s", lasts="20s")
    (row,) = await house.desk.incidents(states=(), service=None, limit=10)
    assert (row.state, row.acknowledged_until) == ("acknowledged", str(instant("+32s")))
    assert (await house.desk.incident(row.id)).incident == row
    await house.see("+20s", 2)
    await house.see("+40s", 2)
    assert [what for _, what, _ in await what_happened(house)][-1] == "acknowledgement expired"
    (row,) = await house.desk.incidents(states=(), service=None, limit=10)
    assert (row.state, row.acknowledged_until) == ("open", None)


async def test_an_acknowledgement_without_an_end_has_none(house: Told) -> None:
    await house.see("+10s", 2)
    await house.acknowledge("+12s")
    (row,) = await house.desk.incidents(states=(), service=None, limit=10)
    assert (row.state, row.acknowledged_until) == ("acknowledged", None)


async def test_the_end_of_an_acknowledgement_moves_with_the_clock(house: Told) -> None:
    await house.see("+10s", 2)
    await house.acknowledge("+12s", lasts="20s")
    await house.step("+1h", "59m48s")
    (row,) = await house.desk.incidents(states=(), service=None, limit=10)
    assert row.acknowledged_until == str(instant("+1h20s"))


async def test_the_desk_hands_on_how_long_an_acknowledgement_lasts(house: Told) -> None:
    await house.see("+10s", 2)
    row = await house.desk.act(Acted(await house.the_id(), Act.ACKNOWLEDGE, "ada", "mine", HOUR))
    assert row.acknowledged_until == str(instant("+1h10s1ns"))


async def test_that_a_series_flaps_stands_where_it_happened_and_has_no_number(house: Told) -> None:
    for number in range(7):
        await house.see(f"+{10 * (number + 1)}s", 2 if number % 2 else 0)
    newest, *_ = await house.desk.incidents(states=(), service=None, limit=10)
    story = (await house.desk.incident(newest.id)).transitions
    # The sample that resolved it is the change that was one too many.
    assert [(each.sequence, each.what) for each in story] == [
        (1, "pending"),
        (2, "open"),
        (3, "resolved"),
        (None, "flapping"),
    ]
    told = story[-1]
    assert (told.at, told.state, told.cause) == (str(instant("+70s")), "resolved", "sample")
    assert told.detail.endswith("% of its last verdicts are changes")


async def test_what_a_series_did_before_and_after_an_incident_is_not_its_story(house: Told) -> None:
    for number in range(60):
        await house.see(f"+{10 * (number + 1)}s", 2 if number % 2 and number < 20 else 0)
    stories = [
        [each.what for each in (await house.desk.incident(row.id)).transitions]
        for row in await house.desk.incidents(states=(), service=None, limit=50)
    ]
    assert sum("flapping" in story for story in stories) == 1
    # It calmed down long after the last incident was over.
    assert not any("no longer flapping" in story for story in stories)


async def test_drafts_are_left_out_of_a_list_unless_they_are_asked_for(house: Told) -> None:
    await house.see("+10s", 2)
    await house.see("+20s", 2)
    assert await listed(house) == [("slow", False)]
    assert sorted(await listed(house, Drafts.SHOWN)) == [("shadow", True), ("slow", False)]
    assert await listed(house, limit=1) == [("slow", False)]
    detail = await house.desk.incident(await house.the_id("shadow"))
    assert detail.incident.draft
    assert detail.notices == ()
    assert (await house.desk.status()).incidents["open"] == 1


async def test_what_people_did_outlives_a_restart(tmp_path: Path) -> None:
    configuration = a_configuration(a_service(*RULES))
    async with told(tmp_path / "data", configuration) as house:
        await house.see("+10s", 2)
        id = await house.the_id()
        await house.tell("+11s", Acted(id, Act.SNOOZE, "ada", "after lunch", span("1m")))
        await house.tell("+12s", Acted(id, Act.ASSIGN, "ada", to="grace"))
        await house.tell("+13s", Acted(id, Act.NOTE, "grace", "looking"))
        before = await house.desk.incident(id)
    async with await SqliteStore.open(with_tables(tmp_path / "data"), SimulatedClock()) as store:
        house = Told(store, await Monitor.resume(store))
        assert await house.desk.incident(id) == before
        assert [each.assigned_to for each in house.monitor.course.incidents() if each.id == id] == ["grace"]
        await house.tell("+20s", Acted(id, Act.NOTE, "grace", "still looking"))
        await house.see("+1m20s", 2)
        assert [
            (each.sequence, each.what, each.by, each.comment) for each in (await house.desk.incident(id)).transitions
        ] == [
            (1, "pending", "", ""),
            (2, "open", "", ""),
            (3, "snoozed", "ada", "after lunch"),
            (None, "assigned to grace", "ada", ""),
            (None, "note", "grace", "looking"),
            (None, "note", "grace", "still looking"),
            (4, "acknowledgement expired", "", ""),
        ]
        (row,) = await house.desk.incidents(states=(), service=None, limit=10)
        assert (row.state, row.assigned_to) == ("open", "grace")


async def test_what_somebody_wrote_when_they_acknowledged_is_shown(house: Told) -> None:
    await house.see("+10s", 2)
    await house.tell("+12s", Acted(await house.the_id(), Act.ACKNOWLEDGE, "ada", "on it"))
    last = (await house.desk.incident(await house.the_id())).transitions[-1]
    assert (last.what, last.by, last.comment) == ("acknowledged", "ada", "on it")

"""How services were by day: against their uptime over the same days, and what is worked out anew when."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from service_monitoring.bootstrap.days import StoreDays
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.strategies import Threshold
from service_monitoring.errors import Refused
from service_monitoring.testing.builders import a_check, a_configuration, a_rule, a_service, below, equals, instant
from service_monitoring.views.days import DayRow
from tests.web.desks import Told, told

RULES = (a_rule("down", Threshold(below(1.0)), metric="up", severity=Severity.CRITICAL), a_rule("slow"))
SHOP = a_service(*RULES, checks=[a_check(every="1h", stale_after="3h")])
CONFIGURATION = a_configuration(SHOP)
PARTS = ("up", "down", "degraded", "maintenance", "unknown")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Told]:
    async with told(tmp_path / "data", CONFIGURATION) as house:
        await house.run_every("1h", "+1h", "+47h")
        await house.run_every("1h", "+48h", "+50h", failed=True)
        await house.run_every("1h", "+51h", "+60h")
        await house.gap("+70h", "+80h")
        await house.run_every("1h", "+81h", "+100h")
        yield house


def days_of(house: Told, **more: int) -> StoreDays:
    return StoreDays(house.store, course=lambda: house.monitor.course, **more)


async def shop(days: StoreDays, count: int = 5) -> tuple[DayRow, ...]:
    return (await days.days(["shop"], count))["shop"]


def as_it_is(house: Told, **more: object) -> Configuration:
    return replace(house.monitor.course.configuration, **more)


def work(began: str, ended: str) -> Maintenance:
    return Maintenance("work", (equals("service", "shop"),), Once(instant(began), instant(ended)))


async def test_each_day_is_what_the_uptime_of_that_day_is(house: Told) -> None:
    rows = await shop(days_of(house), 7)
    assert len(rows) == 7
    assert [row.day for row in rows] == sorted({row.day for row in rows})
    for row in rows:
        assert sum(getattr(row, part) for part in PARTS) == pytest.approx(1)
        began = Instant.parse(f"{row.day}T00:00:00Z")
        judged = house.monitor.course.progress.judged.at
        uptime = await house.desk.uptime("shop", began, min(began.plus(DAY), judged))
        assert {part: getattr(row, part) for part in PARTS} == pytest.approx(
            {part: getattr(uptime, part).share for part in PARTS}
        )
    assert any(row.down for row in rows)
    assert any(0 < row.unknown < 1 for row in rows)


async def test_days_that_are_over_are_worked_out_once_and_today_each_minute(
    house: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Duration] = []
    known = house.store.known

    async def counted(service: object, began: Instant, ended: Instant, **more: object) -> object:
        asked.append(ended.since(began))
        return await known(service, began, ended, **more)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(house.store, "known", counted)
    days = days_of(house)
    first = await shop(days)
    assert len(asked) == 2
    assert await shop(days) == first
    assert len(asked) == 2
    await house.alive("+100h30s")
    assert await shop(days) == first
    await house.alive("+101h")
    assert (await shop(days))[:-1] == first[:-1]
    assert len(asked) == 3
    assert asked[-1] < DAY


async def test_many_who_ask_at_once_have_it_worked_out_once(house: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Instant] = []
    known = house.store.known

    async def counted(service: object, began: Instant, ended: Instant, **more: object) -> object:
        asked.append(began)
        return await known(service, began, ended, **more)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(house.store, "known", counted)
    days = days_of(house)
    found = await asyncio.gather(*(shop(days) for _ in range(20)))
    assert len(asked) == 2
    assert all(each == found[0] for each in found)


async def test_planned_work_that_is_new_counts_from_the_next_question_on(house: Told) -> None:
    days = days_of(house)
    before = await shop(days)
    await house.configure("+100h1s", as_it_is(house, maintenances=(work("+24h", "+30h"), work("+300h", "+301h"))))
    after = await shop(days)
    assert [row.maintenance > 0 for row in after].count(True) == 1
    assert [one == other for one, other in zip(before, after, strict=True)].count(False) == 1
    await house.configure("+100h2s", as_it_is(house, maintenances=()))
    assert await shop(days) == before


async def test_other_checks_are_asked_what_they_heard(house: Told) -> None:
    days = days_of(house)
    before = await shop(days)
    strict = replace(SHOP, checks=(a_check(every="1h", stale_after="30m"),))
    await house.configure("+100h1s", as_it_is(house, services=(strict,)))
    after = await shop(days)
    assert all(one.unknown < other.unknown for one, other in zip(before[1:], after[1:], strict=True))


async def test_days_that_come_twice_are_worked_out_again(house: Told) -> None:
    days = days_of(house)
    before = await shop(days)
    await house.step("+60h", "-40h")
    await house.run_every("1h", "+61h", "+100h")
    after = await shop(days)
    assert after == await shop(days_of(house))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, False, False]


async def test_what_is_forgotten_later_does_not_change_a_day(house: Told) -> None:
    days = days_of(house)
    before = await shop(days)
    await house.store.prune(facts=instant("+72h"), samples=instant("+72h"))
    assert (await shop(days))[:4] == before[:4]
    assert (await shop(days_of(house)))[0].unknown == 1


async def test_a_service_that_there_is_not_is_left_out_and_a_count_that_is_none_refused(house: Told) -> None:
    days = days_of(house)
    assert list(await days.days(["nobody", "shop", "shop"], 1)) == ["shop"]
    for count in (0, 401):
        with pytest.raises(Refused, match="1 to 400 days"):
            await days.days(["shop"], count)


async def test_a_day_of_which_nothing_has_passed_is_unknown(tmp_path: Path) -> None:
    async with told(tmp_path / "data", CONFIGURATION) as house:
        midnight = (instant("+24h").ns // DAY) * DAY - instant("+0s").ns
        await house.alive(f"+{midnight // 10**9}s")
        assert (await shop(days_of(house), 3))[-1].unknown == 1


async def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path) -> None:
    services = [a_service(name=f"s{number}", checks=[a_check(service=f"s{number}")]) for number in range(5)]
    async with told(tmp_path / "data", a_configuration(*services)) as house:
        await house.alive("+100h")
        days = days_of(house, most=60)
        names = [each.name for each in services]
        assert list(await days.days(names, 30)) == names
        assert sum(len(each.days) for each in days._kept.values()) <= 60

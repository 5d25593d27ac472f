"""On call in the console and in the API: who is, the calendar of a rota, its gaps, and days on which clocks change."""

import re
from pathlib import Path
from typing import Any, cast

import pytest

from service_monitoring.bootstrap.rota_desk import ConfiguredRotas
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import DAY, HOUR, Duration, Instant
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Override, Rota, Swap
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.testing.clock import SimulatedClock
from service_monitoring.views.desk import Desk
from service_monitoring.views.faces import Faces
from service_monitoring.views.rota import calendar_of
from service_monitoring.web.pages.rota_drawing import MOST_BARS
from tests.web.faced import visiting

pytestmark = pytest.mark.real_time("a server looks after its connections ten times a second")

AT = Instant.parse("2026-11-26T12:00:00Z")
EVERYDAY = Layer(("ada", "ben", "cleo"), DAILY, Handover(9 * 60), Instant.parse("2026-01-01T00:00:00Z"))
WEEKLY = Layer(("ada", "ben"), handover=Handover(9 * 60, 0), starts=Instant.parse("2026-01-01T00:00:00Z"))
AT_WORK = Layer(("dan",), restrictions=(ActiveHours("Europe/Berlin", tuple(range(5)), (Span(9 * 60, 17 * 60),)),))
OVERRIDE = Override("eve", Instant.parse("2026-11-27T17:00:00Z"), Instant.parse("2026-11-28T08:00:00Z"))


def rotas(*found: Rota, at: Instant = AT) -> ConfiguredRotas:
    configuration = Configuration(rotas=found)
    return ConfiguredRotas(lambda: configuration, SimulatedClock(at))


def faces(*found: Rota, at: Instant = AT) -> Faces:
    return Faces("1", cast(Desk, None), rotas=rotas(*found, at=at))


OPS = Rota("ops", "Europe/Berlin", (WEEKLY, AT_WORK), (OVERRIDE,))


async def got(asked: Faces, path: str, status: int = 200) -> str:
    async with visiting(asked) as client, client.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


async def got_json(asked: Faces, path: str) -> Any:
    async with visiting(asked) as client, client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_the_api_says_who_is_on_call_until_when_and_who_is_next() -> None:
    (row,) = await got_json(faces(OPS), "/api/v1/oncall")
    assert (row["rota"], row["zone"], row["person"], row["layer"]) == ("ops", "Europe/Berlin", "dan", 1)
    assert (row["until"], row["next"]) == ("2026-11-26T16:00:00.000000000Z", "ada")
    (later,) = await got_json(faces(OPS), "/api/v1/oncall?at=2026-11-27T20:00:00Z")
    assert (later["person"], later["layer"]) == ("eve", None)


async def test_the_api_lists_shifts_in_order_with_the_times_without_anybody() -> None:
    alone = Rota("alone", "Europe/Berlin", (AT_WORK,))
    rows = await got_json(faces(alone), "/api/v1/oncall/alone/shifts?from=2026-11-27T00:00:00Z&to=2026-11-28T00:00:00Z")
    assert [(row["person"], row["from"][11:16], row["until"][11:16]) for row in rows] == [
        (None, "00:00", "08:00"),
        ("dan", "08:00", "16:00"),
        (None, "16:00", "00:00"),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/api/v1/oncall/nobody/shifts", 404, id="no such rota"),
        pytest.param(
            "/api/v1/oncall/ops/shifts?from=2026-11-27T00:00:00Z&to=2026-11-26T00:00:00Z", 409, id="backwards"
        ),
        pytest.param("/api/v1/oncall/ops/shifts?from=2026-11-27T00:00:00Z&to=2028-11-26T00:00:00Z", 409, id="too long"),
        pytest.param("/api/v1/oncall/ops/shifts?from=yesterday", 422, id="no instant"),
        pytest.param("/oncall?zone=Mars/Base", 422, id="no zone"),
        pytest.param("/oncall?month=2026-13", 422, id="no month"),
        pytest.param("/oncall?week=2026-W54", 422, id="no week"),
        pytest.param("/oncall?rota=nobody", 404, id="no rota on the page"),
    ],
)
async def test_what_is_no_rota_range_zone_or_month_is_refused(path: str, status: int) -> None:
    await got(faces(OPS), path, status)


async def test_the_page_shows_who_is_on_call_the_override_and_how_to_write_one() -> None:
    text = await got(faces(OPS), "/oncall")
    assert "<b>dan</b>" in text
    assert "eve, override" in text
    assert "- {person: ada, from: " in text
    assert "Nobody is on call" not in text
    assert text.count("<svg") == 6  # November 2026 touches six weeks
    assert "style=" not in text


async def test_gaps_are_marked_and_warned_of() -> None:
    text = await got(faces(Rota("alone", "Europe/Berlin", (AT_WORK,))), "/oncall?week=2026-W48")
    assert "Nobody is on call 6 times in these weeks." in text
    assert text.count('class="bar final nobody"') == 6
    assert "Thu 2026-11-26 17:00 +01:00" in text


async def test_without_a_rota_the_page_says_how_to_have_one() -> None:
    assert "The configuration has no rota" in await got(faces(), "/oncall")


@pytest.mark.parametrize(
    ("week", "said", "hours"),
    [
        pytest.param("2026-W13", "forward by 60 minutes", "23 h", id="a day of 23 hours"),
        pytest.param("2026-W43", "back by 60 minutes", "25 h", id="a day of 25 hours"),
    ],
)
async def test_a_day_on_which_clocks_change_is_as_wide_as_it_lasts(week: str, said: str, hours: str) -> None:
    ops = Rota("ops", "Europe/Berlin", (EVERYDAY,))
    text = await got(faces(ops), f"/oncall?week={week}")
    assert f"Europe/Berlin: the clocks go {said}" in text
    assert f'class="number">{hours}<' in text
    edges = [float(x) for x in re.findall(r'class="day" x1="([0-9.]+)"', text)]
    widths = [later - earlier for earlier, later in zip(edges, [*edges[1:], 1000.0], strict=True)]
    ordinary = widths[0]
    assert abs(widths[-1] / ordinary - int(hours[:2]) / 24) < 0.01
    # The handover is at nine by the clock on the wall before and after.
    handovers = set(re.findall(r"2026-\d\d-\d\d (\d\d:\d\d) \+0[12]:00", text.partition('id="list"')[2]))
    assert handovers == {"09:00"}


async def test_handovers_are_shown_by_the_clock_of_the_rota_and_by_that_of_the_reader() -> None:
    text = await got(faces(Rota("ops", "Europe/Berlin", (EVERYDAY,))), "/oncall?week=2026-W48&zone=America/New_York")
    assert "Thu 2026-11-26 09:00 +01:00" in text
    assert "(Thu 2026-11-26 03:00 -05:00)" in text
    assert "days are shown by the clock of America/New_York" in text


async def test_a_swap_and_two_overrides_at_once_are_said() -> None:
    begin, end = Instant.parse("2026-11-10T00:00:00Z"), Instant.parse("2026-11-12T00:00:00Z")
    rota = Rota(
        "ops",
        "UTC",
        (EVERYDAY,),
        (Override("ada", begin, end), Override("ben", begin, end)),
        (Swap("ada", "cleo", begin, end),),
    )
    text = await got(faces(rota), "/oncall?month=2026-11")
    assert "ben is on call, not ada" in text
    assert "ada and cleo change places" in text


def test_layers_are_shown_by_themselves_and_the_final_line_heeds_overrides_and_swaps() -> None:
    shown = calendar_of(OPS, Instant.parse("2026-11-27T00:00:00Z"), Instant.parse("2026-11-28T00:00:00Z"))
    assert [[shift.person for shift in layer] for layer in shown.layers] == [["ada"], ["dan"]]
    assert [shift.person for shift in shown.final] == ["ada", "dan", "ada", "eve"]
    assert shown.final[-1].person == "eve"
    assert shown.gaps == ()


async def test_shifts_of_an_hour_are_listed_and_not_drawn_and_the_page_stays_small() -> None:
    hourly = Layer(("ada", "ben"), HOUR, Handover(0), Instant.parse("2026-01-01T00:00:00Z"))
    rota = Rota("ops", "UTC", (hourly, hourly))
    begin = Instant.parse("2026-11-01T00:00:00Z")
    assert len(calendar_of(rota, begin, begin.plus(Duration(35 * DAY))).final) * 3 > MOST_BARS
    text = await got(faces(rota), "/oncall?month=2026-11")
    assert "too many shifts to draw" in text
    assert len(text.encode()) < 300_000
    assert "<svg" in await got(faces(rota), "/oncall?week=2026-W46")


async def test_the_name_of_a_rota_or_person_is_text_wherever_it_stands(tmp_path: Path) -> None:
    rota = Rota("<i>ops", "UTC", (Layer(("<b>ada", "ben"), DAILY, Handover(0), Instant(0)),))
    text = await got(faces(rota), "/oncall")
    assert "<i>ops" not in text
    assert "<b>ada" not in text

"""Charts as XML: whatever names and values they are given, they stay drawings, and nothing in them runs."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.errors import Refused
from service_monitoring.views.days import DayRow
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.views.service import Around, Bucket, LimitRow, Line, PhaseRow, Range, SeriesName, SpanRow
from service_monitoring.web.pages import charts
from service_monitoring.web.ranges import chosen, earlier, later, out

HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "'><svg/onload=alert(1)>",
    "]]><![CDATA[",
    "&amp;&lt;&#0;",
    "a\x00b\x1bc\ud800d\ufffe",
    "}}{{7*7}}{%raw%}",
    "javascript:alert(1)",
    "url(#x) style=color:red",
    "x" * 5_000,
    "\u202eevil\u2028",
)
VALUES = (
    (0.0, 0.0),
    (1e-300, 2e-300),
    (-5.0, 5.0),
    (1e308, 1.7e308),
    (-1.7e308, 1.7e308),
    (3.0, 3.0),
    (5e-324, 5e-324),
    (1e15, 1e15 + 1),
)
START = Instant.parse("2026-01-05T00:00:00Z")


def at(minute: float) -> str:
    return str(START.plus(Duration(round(minute * MINUTE))))


def a_bucket(minute: int, least: float = 1.0, greatest: float = 2.0, *, broken: bool = False) -> Bucket:
    mean = least / 2 + greatest / 2
    return Bucket(at(minute), at(minute), at(minute + 0.5), 6, least, mean, greatest, broken)


def a_line(*buckets: Bucket, name: str = "value", limits: tuple[LimitRow, ...] = ()) -> Line:
    return Line("shop", SeriesName("health", name, ""), at(0), at(60), 60.0, buckets, limits, None)


def an_incident(name: str) -> IncidentRow:
    return IncidentRow(
        "1", name, name, name, "critical", "open", at(5), None, None, name, None, draft=False, assigned_to=""
    )


NOTHING = Around((), (), ())


def read(text: str) -> list[ET.Element]:
    """All elements of a drawing, which must be XML, and hold nothing but what a drawing needs."""
    elements = list(ET.fromstring(text).iter())
    for each in elements:
        assert re.fullmatch(
            r"\{http://www.w3.org/2000/svg\}(svg|title|desc|defs|pattern|rect|line|path|text)", each.tag
        )
        assert not {name for name in each.attrib if name == "style" or name.startswith("on") or "href" in name}
        size = each.get("font-size")
        assert size is None or float(size) >= 11.5
    for each in elements:
        for number in re.findall(r"[\d.e+-]*(?:nan|inf)[\d.e+-]*", " ".join(each.attrib.get(n, "") for n in "xyd")):
            raise AssertionError(f"{number} is no place")
    return elements


def look(elements: list[ET.Element], name: str) -> list[ET.Element]:
    return [each for each in elements if name in each.get("class", "").split()]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_texts(name: str) -> None:
    limit = LimitRow(name, "critical", "breach", "above", 1.5)
    line = replace(a_line(a_bucket(1), a_bucket(2), name=name, limits=(limit,)), service=name)
    around = Around((an_incident(name),), (SpanRow(at(10), at(20)),), (SpanRow(at(30), at(40)),))
    for width in (None, 640):
        elements = read(charts.line_chart(line, around, width=width))
        assert elements[0].get("role") == "img"
        labelled = elements[0].get("aria-labelledby", "").split()
        assert [each.get("id") for each in elements[1:3]] == labelled
        assert [each.tag.rpartition("}")[2] for each in elements[1:3]] == ["title", "desc"]
    phases = (PhaseRow("dns", 0.1), PhaseRow(name, 0.2))
    read(charts.phases_bar(phases))


@pytest.mark.parametrize(("least", "greatest"), VALUES, ids=str)
def test_any_values_have_a_place(least: float, greatest: float) -> None:
    limits = tuple(LimitRow("slow", "warning", kind, "above", greatest) for kind in ("breach", "recovery", "critical"))
    line = a_line(a_bucket(1, least, greatest), a_bucket(2, least, greatest), limits=limits)
    (mean,) = look(read(charts.line_chart(line, NOTHING)), "mean")
    for number in re.findall(r"\d+\.?\d* (-?\d+\.?\d*)", mean.get("d", "")):
        assert 0 <= float(number) <= charts.PLOT
    assert charts.rows(line)


def test_a_line_is_broken_at_gaps_and_gaps_are_hatched() -> None:
    line = a_line(a_bucket(1), a_bucket(2), a_bucket(30, broken=True), a_bucket(50, broken=True), a_bucket(51))
    elements = read(charts.line_chart(line, NOTHING))
    (mean,) = look(elements, "mean")
    assert mean.get("d", "").count("M") == 3
    hatched = look(elements, "gap")
    assert len(hatched) == 2
    assert {each.get("fill") for each in hatched} == {"url(#chart-gap)"}


def test_incidents_gaps_and_planned_work_differ_by_more_than_colour() -> None:
    draft = replace(an_incident("draft"), draft=True)
    around = Around((an_incident("down"), draft), (SpanRow(at(10), at(20)),), (SpanRow(at(30), at(40)),))
    elements = read(charts.line_chart(a_line(a_bucket(1)), around))
    assert len(look(elements, "incident")) == len(look(elements, "flag")) == 1
    (gap,), (work,) = look(elements, "gap"), look(elements, "maintenance")
    assert (gap.get("fill"), work.get("fill")) == ("url(#chart-gap)", "url(#chart-work)")
    assert "nobody watched, from 2026-01-05 00:10:00 to 2026-01-05 00:20:00 UTC" in [each[0].text for each in (gap,)]


def test_limits_are_labelled_also_those_that_are_far_away() -> None:
    limits = (
        LimitRow("slow", "warning", "breach", "above", 1.5),
        LimitRow("slow", "warning", "recovery", "below", 1.2),
        LimitRow("far", "critical", "critical", "above", 1e9),
    )
    elements = read(charts.line_chart(a_line(a_bucket(1), name="latency_seconds", limits=limits), NOTHING))
    said = [each.text for each in elements if each.tag.endswith("text")]
    assert {"slow: above 1.5 s", "slow: recovers below 1.2 s"} < set(said)
    assert any("(outside of the chart)" in (each or "") for each in said)
    assert len(look(elements, "limit")) == 2


@pytest.mark.parametrize("hours", [0.01, 1, 6, 24, 24 * 7, 24 * 30, 24 * 90, 24 * 400], ids=str)
def test_ticks_are_round_few_and_inside(hours: float) -> None:
    began = START.ns + 17 * SECOND
    found = list(charts.ticks(began, began + round(hours * HOUR)))
    assert 2 <= len(found) <= 11
    assert all(began <= at < began + hours * HOUR and at % SECOND == 0 for at, _ in found)


CONDITIONS: dict[str, dict[str, Any]] = {
    "up": {"up": 1.0},
    "down": {"up": 0.9, "down": 0.1},
    "degraded": {"up": 0.5, "degraded": 0.5},
    "maintenance": {"up": 0.9, "maintenance": 0.1},
    "unknown": {"up": 0.9, "unknown": 0.1},
}


def test_each_condition_of_a_day_has_a_look_of_its_own() -> None:
    days = []
    for word, shares in CONDITIONS.items():
        whole = dict.fromkeys(CONDITIONS, 0.0) | shares
        days.append(DayRow("2026-01-05", **whole))
        assert charts.condition(days[-1]) == word
    bars = look(read(charts.days_bar(days)), "day")
    assert len({(each.get("height"), (each.get("fill") or "").startswith("url")) for each in bars}) == 5
    assert "down 10 %" in (bars[1][0].text or "")


def test_ranges_move_and_widen_and_never_go_beyond_now() -> None:
    now = START.plus(Duration(90 * HOUR))
    shown = Range(START, START.plus(Duration(4 * HOUR)))
    assert earlier(shown).ended == START.plus(Duration(2 * HOUR))
    following = later(shown, now)
    assert following is not None and following.began == START.plus(Duration(2 * HOUR))
    assert later(Range(START, now), now) is None
    assert out(shown, now).length == 8 * HOUR
    assert out(Range(START, now), now).ended == now
    assert chosen(now, named="1h") == Range(now.plus(Duration(-HOUR)), now)
    with pytest.raises(Refused, match="write range="):
        chosen(now, named="fortnight")

"""The page of a rehearsal: readable without a network, and safe whatever stands in it."""

from __future__ import annotations

import re
from functools import lru_cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from service_monitoring.domain.configuration import Person
from service_monitoring.domain.rules import Rule
from service_monitoring.ports import Flaw
from service_monitoring.rehearsal import plots
from service_monitoring.rehearsal.difference import difference_of
from service_monitoring.rehearsal.figures import figures_of
from service_monitoring.rehearsal.judging import TrueIncident, judge
from service_monitoring.rehearsal.page import html_of
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.report import Report, as_json, report_of
from service_monitoring.rehearsal.sweep import sweep_of
from service_monitoring.testing.builders import instant
from service_monitoring.views.drawing import Plot
from service_monitoring.wire.codec import decode
from tests.rehearsals.made_rehearsals import rehearsals
from tests.rehearsals.made_weeks import a_team, a_week

VOID = {"meta", "br", "rect", "line", "circle", "path"}
HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=\"alert('2')\">{{ 7*7 }}&amp;\u202e"


class Tags(HTMLParser):
    """The elements and attributes of a page; it fails where an end tag does not fit."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.text: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in {"href", "src", "xlink:href"}}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert not tags.open
    return tags


def a_report(one: Rehearsed, other: Rehearsed, truth: list[TrueIncident]) -> Report:
    return report_of(
        figures_of(one),
        difference=difference_of(one, other, names=("now", "then")),
        sweep=sweep_of(["shop.slow.above"], [(("1",), one), (("2",), other)], truth, current=("1",)),
        judgement=judge(one, truth),
    )


@lru_cache(maxsize=1)
def the_report() -> Report:
    truth = [TrueIncident("outage-7", instant("+26h"), instant("+29h"), {"service": "shop"})]
    return a_report(a_week(), a_week(a_team(1.5, holds_for="30m")), truth)


def test_the_page_needs_neither_a_network_nor_a_script() -> None:
    page = html_of(the_report())
    tags = read(page)
    assert not tags.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [name for name in tags.attributes if name.startswith("on") or name == "style"]
    assert all(link.startswith("#") for link in tags.links)
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_links_within_the_page_lead_somewhere_and_no_id_is_there_twice() -> None:
    tags = read(html_of(the_report()))
    assert len(tags.ids) == len(set(tags.ids))
    assert {link[1:] for link in tags.links} <= set(tags.ids)


def test_every_drawing_says_in_words_what_it_shows() -> None:
    page = html_of(the_report())
    drawings = re.findall(r'<svg role="img" aria-labelledby="(\S+) (\S+)"', page)
    assert len(drawings) == 4
    for title, says in drawings:
        assert re.search(rf'<title id="{title}">[^<]+</title>', page)
        assert re.search(rf'<desc id="{says}">[^<]+</desc>', page)


def test_equal_rehearsals_give_equal_bytes() -> None:
    again = decode(Report, as_json(the_report()))
    assert html_of(again) == html_of(the_report())
    assert as_json(again) == as_json(the_report())


def test_the_page_prints_its_limits_with_file_and_line() -> None:
    said = " ".join("".join(read(html_of(the_report())).text).split())
    assert "Acknowledgements are those that people gave." in said
    assert "samples.csv:7" in said
    assert "the value is not a number" in said
    assert "0 pages and 0 incidents of that time are counted apart" in said
    assert "acknowledge of 0123456789abcdef by bo" in said


def test_whatever_names_hold_is_text() -> None:
    hostile = f"ada{HOSTILE}"
    configuration = a_team()
    shop, pay = configuration.services
    rules = tuple(_renamed(rule, HOSTILE) for rule in shop.rules)
    configuration = replace(
        configuration,
        services=(replace(shop, rules=rules), pay),
        people=(replace(configuration.people[0], name=hostile), *configuration.people[1:], Person(HOSTILE)),
        rotas=(
            replace(
                configuration.rotas[0],
                layers=(replace(configuration.rotas[0].layers[0], people=(hostile, "bo")),),
            ),
        ),
    )
    one = replace(
        a_week(configuration, days=2),
        flaws=(Flaw(HOSTILE, 1, HOSTILE),),
        limits=(HOSTILE,),
    )
    truth = [TrueIncident(HOSTILE, instant("+25h"), instant("+29h"), {HOSTILE: HOSTILE})]
    report = a_report(one, a_week(days=2), truth)
    assert report.sweep is not None
    report = replace(report, sweep=replace(report.sweep, parameters=(HOSTILE,), measured_from=HOSTILE))
    page = html_of(report, title=HOSTILE)
    tags = read(page)
    assert not tags.tags & {"script", "img"}
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert "<script>alert" not in page
    assert "7*7" in "".join(tags.text)
    assert "49" not in page.partition("<body>")[2].partition("</h1>")[0]


def _renamed(rule: Rule, name: str) -> Rule:
    return replace(rule, name=rule.name + name)


def test_a_long_list_is_cut_and_says_how_much_more_there_is() -> None:
    report = the_report()
    pages = report.rehearsal.every_page * 5
    figures = replace(report.rehearsal, every_page=pages)
    assert f"and {len(pages) - 100} more (all are in the JSON)" in html_of(replace(report, rehearsal=figures))


def test_nothing_at_all_is_a_page_too() -> None:
    empty = replace(a_week(slow=(), errors=(), days=1), decisions=(), flaws=(), limits=(), unmatched=())
    page = html_of(report_of(figures_of(empty)))
    read(page)
    assert "Nobody was paged." in page
    assert "Nothing was held back." in page


@settings(max_examples=25)
@given(rehearsals(), rehearsals())
def test_any_rehearsal_makes_a_page_whose_shapes_stay_inside(one: Rehearsed, other: Rehearsed) -> None:
    report = a_report(one, other, [TrueIncident("a", instant("+5h"), instant("+10h"), {})])
    read(html_of(report))
    assert report.sweep is not None
    assert report.difference is not None
    for plot in (
        plots.timeline(report.rehearsal, "UTC"),
        plots.pages_by_week(report.rehearsal),
        plots.curve(report.sweep),
        plots.gains(report.difference, "Asia/Tokyo"),
    ):
        _is_inside(plot)


def _is_inside(plot: Plot) -> None:
    for shape in plot.shapes:
        assert -0.01 <= shape.x <= 100.01
        assert -0.01 <= shape.y <= plot.height
        assert shape.height >= 0
        if shape.sort == "rect":
            assert shape.width >= 0
            assert shape.x + shape.width <= 101


@given(st.integers(0, 10**6))
def test_a_scale_reaches_above_the_highest_bar_and_halves_to_a_whole_number(value: int) -> None:
    top = plots.round_up(value)
    assert top >= max(1, value)
    assert top % 2 == 0
    assert top <= max(2, 4 * value)


@pytest.mark.parametrize(("days", "nights"), [(7, True), (70, False)])
def test_nights_are_shaded_where_they_can_be_seen(days: int, nights: bool) -> None:
    short = replace(figures_of(a_week(days=1)), until=instant(f"+{days * 24}h"))
    shapes = plots.timeline(short, "Europe/Berlin").shapes
    assert any(shape.look == "night" for shape in shapes) == nights
    assert sum("tick" in shape.look for shape in shapes) <= 11

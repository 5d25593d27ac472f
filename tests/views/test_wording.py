"""A template says what it likes of the facts of a notice, and can neither fail the notice nor cost more than one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Reason, Series
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.views.texts import LARGEST_TEXT, one_line
from service_monitoring.views.wording import VARIABLES, complaint, headline, minimal, render_summary, word

FACTS = Facts(
    incident="8f14e45fceea167a",
    service="shop",
    rule="down",
    series=Series("shop", "health", "up"),
    severity=Severity.CRITICAL,
    state="open",
    labels=(("team", "payments"), ("tier", "gold")),
    breached_at=Instant.parse("2026-01-05T09:00:00.5Z"),
    cause="timer",
    evidence=Evidence(value=0.0, reason=Reason.TIMEOUT, detail="no answer within 2 s"),
)


def facts(summary: str, **changes: object) -> Facts:
    return msgspec.structs.replace(FACTS, summary=summary, **changes)


def test_a_summary_says_what_the_facts_are() -> None:
    template = (
        "{{ service }}.{{ rule }} is {{ state }}: {{ reason }}, {{ metric }} is {{ value }} since {{ breached_at }}"
    )
    assert render_summary(facts(template)) == "shop.down is open: timeout, up is 0 since 2026-01-05T09:00:00Z"


def test_every_variable_that_is_promised_is_there() -> None:
    worded = word(facts(" ".join(f"{{{{ {name} }}}}" for name in VARIABLES)))
    assert worded.degraded == ""
    assert "ended" not in worded.summary
    assert complaint(" ".join(f"{{{{ {name} }}}}" for name in VARIABLES)) is None


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ labels.team }} {{ labels['tier'] }}", "payments gold"),
        ("{% for name, value in labels|dictsort %}{{ name }}={{ value }}{{ '' if loop.last else ', ' }}{% endfor %}",
         "team=payments, tier=gold"),
        ("{{ '%.2f'|format(value) }} {{ '%d' % value }}", "0.00 0"),
        ("{{ detail|truncate(9) }} {{ detail[:2] }}", "no... no"),
        ("{{ ended_at or 'still going' }}", "still going"),
        ("{{ labels.owner|default('nobody') }}", "nobody"),
        ("{% if severity == 'critical' and value < 1 %}wake up{% endif %}", "wake up"),
        ("{{ '<b>' ~ service ~ '</b>' }}", "<b>shop</b>"),
        ("{{ 3 * 4 + value }}", "12"),
    ],
)  # fmt: skip
def test_what_people_write_in_summaries_works(template: str, text: str) -> None:
    worded = word(facts(template))
    assert (worded.summary, worded.degraded) == (text, "")


BROKEN = {
    "{{ reson }}": "'reson' is undefined",
    "{{ labels.owner }}": "has no attribute 'owner'",
    "{% if %}": "Expected an expression",
    "{{ 1 / value }}": "ZeroDivisionError",
    "{{ service": "end of print statement",
}


@pytest.mark.parametrize("template", BROKEN)
def test_a_template_that_fails_gives_way_to_the_builtin_text_with_the_reason(template: str) -> None:
    worded = word(facts(template))
    assert worded.summary == "shop.down is open: shop/health/up = 0 (timeout, no answer within 2 s)" == minimal(FACTS)
    assert BROKEN[template] in worded.degraded


def test_a_rule_without_a_summary_has_the_builtin_text_and_is_not_degraded() -> None:
    assert word(facts("")).summary == minimal(FACTS)
    assert word(facts("")).degraded == ""


def test_a_runbook_is_a_template_too_and_its_failure_costs_only_the_runbook() -> None:
    good = word(facts("{{ service }}", runbook="https://wiki.example/{{ service }}/{{ rule }}"))
    assert good.runbook == "https://wiki.example/shop/down"
    bad = word(facts("{{ service }}", runbook="https://wiki.example/{{ nope }}"))
    assert (bad.summary, bad.runbook) == ("shop", "")
    assert bad.degraded == "runbook: 'nope' is undefined"


def test_a_notice_to_the_owners_is_said_as_it_is() -> None:
    told = "channel ops refused a notice: {{ braces }} from far away"
    assert word(Facts(summary=told)).summary == told


@pytest.mark.parametrize(
    "template",
    [
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{% for i in range(1000000000) %}{% endfor %}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ detail|replace('', detail)|replace('', detail)|replace('', detail) }}",
        "{{ detail|join(detail)|join(detail)|join(detail) }}",
        "{{ value|round(1000000000, 'ceil') }}",
        "{% for a in detail %}{% for b in detail %}{% for c in detail %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set a = detail %}{% set a = a ~ a %}{% set a = a ~ a %}{{ a }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ lipsum(1000000) }}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ " + "-" * 3000 + "1 }}",
        "{{ " + "[" * 150 + "]" * 150 + " }}",
        "x" * 9000,
    ],
)
def test_a_bomb_in_a_template_is_refused_and_the_notice_goes_out(template: str) -> None:
    worded = word(facts(template, evidence=Evidence(value=1.0, detail="x" * 4000)))
    assert worded.summary.startswith("shop.down is open")
    assert worded.degraded != ""


@pytest.mark.parametrize(
    "template",
    [
        "{{ labels.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ service.format }}",
        "{{ '{0.__class__}'.format(service) }}",
        "{{ labels.items() }}",
        "{{ labels.clear() }}",
        "{{ service|attr('__class__') }}",
        "{{ labels|map(attribute='__class__')|list }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'base' %}",
    ],
)
def test_a_template_reaches_nothing_but_the_facts(template: str) -> None:
    worded = word(facts(template))
    assert (worded.summary, worded.degraded != "") == (minimal(FACTS), True)


def test_a_long_text_is_cut_at_32_kibibytes_of_whole_characters_and_says_so() -> None:
    long = Evidence(detail="é" * 4000)
    worded = word(facts("{{ detail ~ detail ~ detail ~ detail ~ detail ~ detail }}", evidence=long))
    assert LARGEST_TEXT - 2 <= len(worded.summary.encode()) <= LARGEST_TEXT
    assert worded.summary.endswith("é... (cut)")
    assert "cut at 32768 bytes" in worded.degraded


def test_a_detail_of_a_far_side_that_never_ends_is_cut_before_a_template_sees_it() -> None:
    assert len(render_summary(facts("{{ detail }}", evidence=Evidence(detail="x" * 10_000_000)))) == 4096


def test_undecodable_output_of_a_command_can_still_be_sent() -> None:
    assert render_summary(facts("{{ detail }}", evidence=Evidence(detail="caf\udce9"))) == "caf?"


@given(st.text(max_size=80))
def test_whatever_a_template_is_the_notice_has_a_text_and_always_the_same(template: str) -> None:
    first = word(facts(template))
    assert first == word(facts(template))
    assert len(first.summary.encode()) <= LARGEST_TEXT


@given(st.text(alphabet="{}%()[]'\"|.,~+-*/<>= abdegilnrstuvy019_", max_size=60))
def test_whatever_an_expression_is_nothing_is_raised(expression: str) -> None:
    assert isinstance(word(facts("{{ " + expression + " }}")).summary, str)
    complaint("{{ " + expression + " }}")


def test_a_complaint_names_the_variables_there_are() -> None:
    assert "reason, detail" in str(complaint("{{ reson }}"))
    assert complaint("{% for name in labels %}{{ name }}{{ loop.index }}{% endfor %}") is None
    assert "end of print statement" in str(complaint("{{ service"))


@pytest.mark.parametrize(
    ("page", "line"),
    [
        (Page.FIRST, "[critical] shop.down: no answer"),
        (Page.RELEASED, "[critical] shop.down: no answer"),
        (Page.RECOVERED, "[recovered] shop.down: no answer"),
        (Page.CLOSED, "[closed] shop.down: no answer"),
        (Page.OWNER, "[monitor] shop.down: no answer"),
    ],
)
def test_a_headline_is_one_line(page: Page, line: str) -> None:
    notice = Notice("k", "t", "g", 1, "ops", page, Instant(0), facts("no answer\nsecond line"))
    assert headline(notice, word(notice.facts)) == line


def test_a_headline_does_not_say_twice_what_the_summary_says() -> None:
    notice = Notice("k", "t", "g", 1, "ops", Page.FIRST, Instant(0), facts(""))
    assert headline(notice, word(notice.facts)).startswith("[critical] shop.down is open")


def test_one_line_lets_no_control_character_through() -> None:
    assert one_line("a\x1b[2Jb\r\nc\u202ed") == "a\\x1b[2Jb\\r c\\u202ed"

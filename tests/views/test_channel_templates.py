"""A channel may speak in its own words: of the facts alone, and never at the cost of the notice."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.ports import NO_TEMPLATE, Template
from service_monitoring.testing.sink_laws import a_digest, a_notice
from service_monitoring.views.texts import LARGEST_TEXT
from service_monitoring.views.wording import (
    OF_A_CHANNEL,
    OF_OTHERS,
    VARIABLES,
    article,
    complaint,
    complaint_of_channel,
)

BUILTIN = article(a_notice())


def test_a_channel_says_its_own_subject_and_text() -> None:
    said = article(a_notice(), Template("{{ service }} {{ page }}", "{{ summary }}, see {{ runbook }}"))
    assert said.headline == "shop first"
    assert said.text == "shop is down: timeout, see https://wiki.example/down"
    assert (said.complete, said.degraded) == (True, "")


def test_every_variable_that_is_promised_to_channels_is_there() -> None:
    every = " ".join(f"{{{{ {name} }}}}" for name in (*VARIABLES, *OF_A_CHANNEL))
    assert article(a_notice(), Template(every, every)).degraded == ""
    assert complaint_of_channel(every) is None
    assert "'headline' is undefined" in str(complaint("{{ headline }}"))


def test_a_template_speaks_of_all_incidents_of_a_group() -> None:
    text = (
        "{{ open }} open, {{ over }} over of {{ group.service }}, {{ group.team }} for {{ recipient }}: {{ summary }}"
        "{% for other in others %}\n{{ loop.index }}: {{ other.service }}.{{ other.rule }} {{ other.state }}"
        " {{ other.labels.team }}{% endfor %}"
    )
    assert complaint_of_channel(text) is None
    said = article(a_digest("open", "open", "resolved", page=Page.UPDATED), Template(text=text))
    assert said.text.splitlines() == [
        "2 open, 1 over of shop, payments for channel.ops: shop is down: timeout",
        "1: shop.slow open payments",
        "2: shop.slow resolved payments",
    ]
    assert (said.complete, said.degraded) == (True, "")


def test_every_word_that_is_promised_of_others_is_there_and_no_more() -> None:
    every = " ".join(f"{{{{ other.{name} }}}}" for name in OF_OTHERS)
    said = article(a_digest("open", "open"), Template(text=f"{{% for other in others %}}{every}{{% endfor %}}"))
    assert said.degraded == ""
    said = article(a_digest("open", "open"), Template(text="{% for other in others %}{{ other.detail }}{% endfor %}"))
    assert "has no attribute 'detail'" in said.degraded


@pytest.mark.parametrize(
    "text",
    [
        "{{ others.append(1) }}",
        "{{ others.__class__ }}",
        "{{ others.sort }}",
        "{{ others[0].items() }}",
        "{{ group.update(open=1) }}",
        "{{ others * 1000 }}",
        "{% for a in others %}{% for b in others %}{{ a }}{{ b }}{% endfor %}{% endfor %}",
    ],
)
def test_a_template_can_do_nothing_with_others_but_read_them(text: str) -> None:
    notice = a_digest("open", "open")
    said = article(notice, Template(text=text))
    assert said.text == article(notice).text
    assert said.degraded != ""


def test_what_a_template_shows_of_many_others_is_bounded() -> None:
    notice = a_digest(*["open"] * 100)
    long = msgspec.structs.replace(
        notice.facts, service="é" * 9000, labels=tuple((f"label{each}", "x" * 9000) for each in range(9))
    )
    notice = msgspec.structs.replace(notice, others=(long,) * 99)
    said = article(notice, Template(text="{{ others }}"))
    assert len(said.text.encode()) <= LARGEST_TEXT
    said = article(notice, Template(text="{{ others|length }} of {{ open }}"))
    written, _, known = said.text.partition(" of ")
    assert 0 < int(written) < 99 and known == "100"


def test_each_part_is_left_as_it_is_without_a_template() -> None:
    only_subject = article(a_notice(), Template(subject="[prod] {{ headline }}"))
    assert (only_subject.headline, only_subject.text) == (f"[prod] {BUILTIN.headline}", BUILTIN.text)
    assert not only_subject.complete
    only_text = article(a_notice(), Template(text="{{ rule }}"))
    assert (only_text.headline, only_text.text) == (BUILTIN.headline, "down")


def test_a_template_that_says_nothing_leaves_the_builtin_words() -> None:
    said = article(a_notice(), Template("{% if page == 'closed' %}x{% endif %}", " \n"))
    assert said == BUILTIN


@pytest.mark.parametrize(
    "broken", ["{{ nope }}", "{{ 1 / 0 }}", "{{ service", "{{ labels.__class__ }}", "{{ 9 ** 9 ** 9 }}"]
)
def test_a_template_that_fails_sends_the_builtin_words_with_the_reason(broken: str) -> None:
    said = article(a_notice(), Template(broken, broken))
    assert (said.headline, said.text, said.complete) == (BUILTIN.headline, BUILTIN.text, False)
    assert said.degraded.startswith("template.subject: ")
    assert "; template.text: " in said.degraded


def test_what_is_wrong_with_the_rules_own_text_is_told_as_well() -> None:
    said = article(a_notice(summary="{{ nope }}"), Template(text="{{ summary }} {{ nope }}"))
    assert said.degraded == "summary: 'nope' is undefined; template.text: 'nope' is undefined"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ labels.__init__.__globals__ }}",
        "{{ headline.format }}",
        "{{ summary|attr('__class__') }}",
        "{{ '{0.__class__}'.format(summary) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ self._TemplateReference__context }}",
        "{{ config }}{{ request }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os.system('id') }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ joiner.__init__ }}",
        "{{ summary|map('upper') }}",
        "{% set a = summary %}{{ a * 1000000 }}",
        "{{ summary * 1000000 }}",
        "{% for a in summary %}{% for b in summary %}{{ summary }}{% endfor %}{% endfor %}",
    ],
)
def test_a_channels_template_reaches_nothing_but_the_facts(template: str) -> None:
    said = article(a_notice(), Template(template, template))
    assert (said.headline, said.text) == (BUILTIN.headline, BUILTIN.text)
    assert said.degraded != ""


def test_a_subject_is_one_line_whatever_a_far_side_says() -> None:
    evil = Evidence(detail="down\r\nBcc: everybody@example.com\r\n\r\nbody\u2028more\x85end")
    said = article(a_notice(evidence=evil), Template("{{ detail }}\nsecond"))
    assert said.headline == "down Bcc: everybody@example.com  body more end second"


def test_a_long_text_of_a_channel_is_cut_and_says_so() -> None:
    said = article(a_notice(evidence=Evidence(detail="é" * 4000)), Template(text="{{ detail }}" * 20))
    assert LARGEST_TEXT - 2 <= len(said.text.encode()) <= LARGEST_TEXT
    assert "template.text: the text was cut" in said.degraded


def test_what_concerns_the_monitor_itself_is_said_as_it_is() -> None:
    notice = Notice(**{**msgspec.structs.asdict(a_notice(page=Page.OWNER)), "facts": Facts(summary="the disk is full")})
    assert article(notice, Template("{{ service }}", "{{ service }}")) == article(notice, NO_TEMPLATE)


@given(st.text(max_size=80), st.text(alphabet="{}%()[]'\"|.,~+-*/<>= abdegilnrstuvy019_", max_size=60))
def test_whatever_a_channels_template_is_there_are_words_and_always_the_same(subject: str, text: str) -> None:
    template = Template(subject, "{{ " + text + " }}")
    said = article(a_notice(), template)
    assert said == article(a_notice(), template)
    assert said.headline and said.text
    assert said.headline.splitlines() == [said.headline]

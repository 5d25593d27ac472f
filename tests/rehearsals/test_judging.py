"""What was caught and missed of what really went wrong, and how a file of that is read."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given

from service_monitoring.rehearsal.judging import Judgement, TrueIncident, judge, read_incidents
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.settings.complaints import InvalidSettings
from service_monitoring.testing.builders import instant
from tests.rehearsals.made_rehearsals import rehearsals
from tests.rehearsals.made_weeks import a_week

CSV = """\
id,start,end,service,team
outage-7,2026-01-06T02:00:00Z,2026-01-06T05:00:00Z,shop,
"money, lost",2026-01-09T01:00:00+01:00,2026-01-09T04:00:00Z,pay,money
"""

YAML = """\
incidents:
  - id: outage-7
    start: 2026-01-06T02:00:00Z
    end: 2026-01-06T05:00:00Z
    labels: {service: shop}
  - {id: "money, lost", start: 2026-01-09T00:00:00Z, end: 2026-01-09T04:00:00Z, labels: {service: pay, team: money}}
"""


@lru_cache(maxsize=1)
def the_week() -> Rehearsed:
    return a_week()


def a_judgement(*truth: TrueIncident) -> Judgement:
    return judge(the_week(), truth)


def true(id: str, start: str, end: str, **labels: str) -> TrueIncident:
    return TrueIncident(id, instant(start), instant(end), labels)


def complaint(text: str, path: str = "incidents.csv") -> str:
    with pytest.raises(InvalidSettings) as refused:
        read_incidents(text, path)
    return str(refused.value)


def test_csv_and_yaml_say_the_same() -> None:
    from_csv = read_incidents(CSV, "incidents.csv")
    assert [each.id for each in from_csv] == ["outage-7", "money, lost"]
    assert [each.labels for each in from_csv] == [{"service": "shop"}, {"service": "pay", "team": "money"}]
    assert read_incidents(YAML, "incidents.yaml") == from_csv


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,start,service\n", "incidents.csv:1:1: there is no column end; begin the file with id,start,end,service"),
        ("id,start,end\na,2026-01-06,2026-01-07T00:00:00Z\n", 'incidents.csv:2:1: start is no instant: "2026-01-06"'),
        ("id,start,end\na,2026-01-06T02:00:00Z\n", "incidents.csv:2:1: it has not as many fields as columns"),
        ("id,start,end\n,2026-01-06T02:00:00Z,2026-01-06T02:00:00Z\n", "incidents.csv:2:1: it lacks id; write {id:"),
        (
            "id,start,end\na,2026-01-06T02:00:00Z,2026-01-06T01:00:00Z\n",
            "incidents.csv:2:1: it ends before it starts; change places of start and end",
        ),
        (CSV + CSV.partition("\n")[2], 'incidents.csv:4:1: "outage-7" is there twice; give each an id of its own'),
        ('id,start,end\n"a,b\n', "incidents.csv:2:1:"),
    ],
)
def test_a_line_of_csv_that_cannot_be_used_is_named_with_a_remedy(text: str, said: str) -> None:
    assert said in complaint(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n", "truth.yaml:1:1: there is no list of incidents; begin each with a dash: - {id:"),
        ("- {id: a, start: x}\n", "truth.yaml:1:3: it lacks end; write {id:"),
        ("- just words\n", "truth.yaml:1:3: it is not a mapping, or its labels are none; write {id:"),
        (
            YAML.replace("labels: {service: shop}", "service: shop"),
            'truth.yaml:2:5: "service" is not known here; write',
        ),
        (YAML.replace("service: shop", "up: true"), 'truth.yaml:2:5: "True" is not a text; write it in quotes'),
        (YAML.replace("    end:", "    start:"), "truth.yaml:4:5"),
        ("- {", "truth.yaml:2:1: this is not YAML"),
    ],
)
def test_a_place_of_yaml_that_cannot_be_used_is_named_with_a_remedy(text: str, said: str) -> None:
    assert said in complaint(text, "truth.yaml")


def test_a_true_incident_is_caught_by_what_is_open_within_it_and_has_its_labels() -> None:
    judgement = a_judgement(
        true("slow night", "+25h55m", "+29h", service="shop"), true("money", "+30h", "+31h", team="money")
    )
    assert [each.caught for each in judgement.incidents] == [True, True]
    assert list(judgement.incidents[0].rules) == ["shop.slow", "shop.sluggish"]
    assert judgement.incidents[1].rules == {"pay.errors": 300.0}
    assert judgement.missed == 0


def test_one_with_other_labels_or_at_another_time_is_missed() -> None:
    judgement = a_judgement(
        true("elsewhere", "+25h55m", "+29h", service="pay"), true("later", "+34h", "+35h", service="shop")
    )
    assert (judgement.caught, judgement.missed) == (0, 2)
    slow = next(each for each in judgement.rules if each.name == "shop.slow")
    assert (slow.caught, slow.missed) == (0, 1)
    assert judgement.for_nothing == judgement.pages


def test_pages_of_what_was_true_are_not_for_nothing_and_nights_are_counted() -> None:
    judgement = a_judgement(true("all of it", "+12h", "+167h"))
    assert judgement.for_nothing == 0
    shop = a_judgement(true("the shop", "+12h", "+167h", service="shop"))
    slow, errors = (next(r for r in shop.rules if r.name == name) for name in ("shop.slow", "pay.errors"))
    assert slow.for_nothing == 0
    assert errors.for_nothing == errors.pages
    assert shop.for_nothing == errors.pages


def test_a_person_catches_what_they_are_called_for_before_it_is_over() -> None:
    judgement = a_judgement(true("worst", "+74h", "+79h", service="shop"))
    bo = next(each for each in judgement.recipients if each.name == "person.bo")
    assert bo.caught == 1
    assert bo.time_to_catch.median == judgement.incidents[0].people["person.bo"]


def test_what_a_draft_alone_would_catch_is_not_caught() -> None:
    judgement = a_judgement(true("short", "+26h", "+26h20m", service="shop"))
    assert list(judgement.incidents[0].rules) == ["shop.sluggish"]
    assert not judgement.incidents[0].caught


def test_what_began_before_anything_is_known_is_not_judged() -> None:
    judgement = a_judgement(true("early", "+1h", "+2h"), true("late", "+169h", "+170h"))
    assert (judgement.true, judgement.outside) == (0, 2)


@given(rehearsals())
def test_judgements_add_up(rehearsed: Rehearsed) -> None:
    truth = [true("a", "+5h", "+10h"), true("b", "+20h", "+30h", rule="down"), true("c", "+40h", "+41h", service="pay")]
    judgement = judge(rehearsed, truth)
    assert judgement.true == judgement.caught + judgement.missed == len(truth) - judgement.outside
    assert judgement.pages == sum(row.pages for row in judgement.rules)
    assert judgement.for_nothing == sum(row.for_nothing for row in judgement.rules)
    assert judgement.for_nothing == sum(row.for_nothing for row in judgement.recipients)
    assert all(row.caught + row.missed == judgement.true for row in judgement.recipients)
    assert all(row.for_nothing <= row.pages for row in (*judgement.rules, *judgement.recipients))

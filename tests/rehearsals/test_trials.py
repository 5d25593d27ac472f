"""Rehearsal tests that do not come true, or are not understood: what is said of them, and at which line.

What does come true stands beside this file, in `shop.rehearsal.yaml`.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from textwrap import dedent, indent
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_monitoring.bootstrap import trials_in
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Observed, Pushed, Signal
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.notices import Page, Withheld
from service_monitoring.domain.samples import Outcome
from service_monitoring.domain.standing import Opinion
from service_monitoring.rehearsal import trial_shapes, trials
from service_monitoring.rehearsal.shortfalls import Tried, tried
from service_monitoring.settings import InvalidSettings

HERE = Path(__file__).parent
FILE = """\
configuration: shop.yaml
starts: 2026-01-05T09:00:00+01:00
tests:
  - name: one
    samples: {shop.health.up: 1x4 0x40, shop.queue.queue_depth: 0x100}
    expect:
"""
ON_CALL = "at step 1 ann was on call in primary until 1w (2026-01-12T08:00:00Z)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text((HERE / "shop.yaml").read_text())
    return tmp_path


def outcome(folder: Path, text: str) -> Tried:
    file = folder / "shop.rehearsal.yaml"
    file.write_text(text)
    [trial] = trials_in(file)
    return tried(trial)


def expecting(folder: Path, expected: str) -> list[str]:
    """What is said of the shortfalls, without the folder."""
    said = outcome(folder, FILE + indent(dedent(expected), " " * 6)).lines()
    return [line.replace(f"{folder}/", "") for line in said]


def complaints(folder: Path, text: str) -> list[str]:
    file = folder / "shop.rehearsal.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSettings) as invalid:
        trials_in(file)
    return [str(each).replace(f"{folder}/", "") for each in invalid.value.complaints]


# What does not come true ----------------------------------------------------------------------------------------------


def test_a_page_that_did_not_come_is_named_with_its_line_and_the_reason(folder: Path) -> None:
    said = expecting(folder, "- {at: 10m, pages: [{to: person.bob, about: shop.down}], others: allowed}")
    assert said == [
        "shop.rehearsal.yaml:7:27: at 10m, pages: missing shop.down to person.bob",
        f"    shop.down (open): bob: not on call at 6m30s (2026-01-05T08:06:30Z): {ON_CALL}",
        "    ahead, at 21m30s (2026-01-05T08:21:30Z): step 2 of routes[0] calls bob, because it names bob",
    ]


def test_a_page_to_somebody_else_is_one_too_many(folder: Path) -> None:
    said = expecting(folder, "- at: 10m\n  pages: [{to: channel.ops}]")
    assert said == [
        "shop.rehearsal.yaml:8:9: at 10m, pages: unexpected shop.down to person.ann first, at 6m30s",
        "    it is open, and this was not told before",
        "    it says: shop is down",
    ]


def test_a_repeat_every_hour_is_said_once(folder: Path) -> None:
    long = FILE.replace("0x40", "0x400").replace("0x100", "0x500")
    said = outcome(folder, f"{long}      - {{at: 20m, pages: []}}\n").lines()
    assert len([line for line in said if "unexpected" in line]) == 2
    said = outcome(
        folder, f"{long}      - {{at: 30m, rules: {{shop.down: breached}}}}\n      - {{at: 5h, pages: []}}\n"
    ).lines()
    assert [line.split("unexpected ")[1] for line in said if "channel.ops" in line] == [
        "shop.down to channel.ops repeated, 4 times, first at 1h6m30s and last at 4h6m30s"
    ]


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ("- {at: 6m10s, pages: [{to: person.ann, about: shop.down}]}", "ann: ahead at 6m30s"),
        ("- {at: 5m30s, pages: [{to: person.ann, about: shop.down}]}", "shop.down has opened no incident"),
        ("- {at: 5m30s, pages: [{to: person.ann, about: shop.down}]}", "for: 30s of 1m"),
        (
            "- {at: 4m, pages: [{to: person.ann, about: shop.slow}]}",
            "shop.slow has heard nothing: no sample of shop.health",
        ),
        ("- {at: 4m, pages: [{to: channel.log, about: shop.filling}]}", "is a draft: nobody is told of it"),
        (
            "- {at: 9m, pages: [{to: channel.log, about: shop.down}], others: allowed}",
            "no route that it goes by leads there",
        ),
    ],
)
def test_why_nobody_was_told_is_said(folder: Path, expected: str, reason: str) -> None:
    assert reason in "\n".join(expecting(folder, expected))


def test_a_notice_that_was_held_says_by_what(folder: Path) -> None:
    file = FILE.replace(
        "    expect:", "    people: [{at: 0m, silence: service=shop, for: 1h, by: bob, comment: we move}]\n    expect:"
    )
    said = outcome(folder, f"{file}      - {{at: 10m, pages: [{{to: person.ann, about: shop.down}}]}}\n").lines()
    assert 'of bob (we move) holds for service="shop" until 1h (2026-01-05T09:00:00Z)' in said[1]


def test_an_incident_that_is_not_expected_is_named_with_what_it_rests_on(folder: Path) -> None:
    said = expecting(folder, "- {at: 10m, incidents: []}")
    assert said[0] == "shop.rehearsal.yaml:7:19: at 10m, incidents: unexpected shop.down open (critical)"
    assert "breached since 5m (2026-01-05T08:05:00Z), open since 6m (2026-01-05T08:06:00Z)" in said[1]


def test_an_incident_in_another_state_says_in_which(folder: Path) -> None:
    said = expecting(folder, "- {at: 10m, incidents: [{rule: shop.down, state: resolved}]}")
    assert said[0].endswith("missing shop.down resolved")
    assert "shop.down is open (critical) since 6m" in said[1]
    assert said[-2].endswith("unexpected shop.down open (critical)")


def test_others_may_be_allowed(folder: Path) -> None:
    assert expecting(folder, "- {at: 10m, incidents: [], pages: [], others: allowed}") == []


def test_whoever_is_on_call_instead_is_named(folder: Path) -> None:
    said = expecting(folder, "- {at: 10m, on_call: {primary: bob}}\n- {at: 11m, on_call: {primary: null}}")
    assert said == [
        "shop.rehearsal.yaml:7:29: at 10m, on_call: missing primary: bob",
        "    ann is on call in primary",
        "shop.rehearsal.yaml:8:29: at 11m, on_call: missing primary: nobody",
        "    ann is on call in primary",
    ]


def test_a_verdict_that_is_another_is_shown(folder: Path) -> None:
    said = expecting(folder, "- {at: 10m, rules: {shop.down: healthy, shop.slow: breached}}")
    assert said[0].endswith("missing shop.down healthy")
    assert said[1].startswith("    shop.down on shop/health/up is breached: the value was 0")
    assert said[3] == "    shop.slow has heard nothing: no sample of shop.health has come"


def test_an_act_without_its_incident_fails_where_it_stands(folder: Path) -> None:
    file = FILE.replace("    expect:", "    people: [{at: 2m, acknowledge: shop.down, by: ann}]\n    expect:")
    said = outcome(folder, f"{file}      - {{at: 3m, incidents: []}}\n").lines()
    assert said[0].endswith("shop.rehearsal.yaml:6:14: at 2m, people: missing acknowledge")
    assert said[1] == "    shop.down has no incident to acknowledge"


def test_what_is_wanted_finds_its_notice_whatever_the_order(folder: Path) -> None:
    """The first entry fits both notices: it takes the one that the second does not need."""
    assert expecting(folder, "- {at: 10m, pages: [{to: person.ann}, {to: channel.ops}]}") == []
    twice = "- {at: 24m, pages: [{to: person.ann}, {to: channel.ops}, {to: person.bob}, {to: person.bob, page: first}]}"
    assert [line.split("missing ")[1] for line in expecting(folder, twice) if "missing" in line] == [
        "anything to person.bob first"
    ]


def test_the_example_does_what_its_rehearsal_tests_say(project: Path) -> None:
    outcomes = [tried(trial) for trial in trials_in(project / "examples" / "monitoring.rehearsal.yaml")]
    assert [line for outcome in outcomes for line in outcome.lines()] == []
    assert len(outcomes) == 5


# What is played -------------------------------------------------------------------------------------------------------


def played(folder: Path, samples: str, until: str = "5m") -> list[tuple[int, Observed | Pushed]]:
    file = folder / "shop.rehearsal.yaml"
    expected = f"[{{at: {until}, incidents: []}}]"
    file.write_text(f"configuration: shop.yaml\ntests: [{{name: one, samples: {samples}, expect: {expected}}}]\n")
    [trial] = trials_in(file)
    until_at = trial.expectations[-1].at
    return [
        (at.since(trial.starts) // SECOND, what)
        for at, _, _, what in trials._samples(trial, until_at)
        if isinstance(what, Observed | Pushed)
    ]


def test_a_check_runs_at_its_own_pace_within_a_longer_step(folder: Path) -> None:
    assert [at for at, _ in played(folder, "{shop.health.up: 1x1}", "3m")] == [0, 15, 30, 45, 60, 75, 90, 105]


def test_a_check_runs_as_often_as_a_shorter_step_says(folder: Path) -> None:
    assert [at for at, _ in played(folder, "{shop.health.up: {every: 5s, values: 1x2}}")] == [0, 5, 10]


def test_a_check_does_not_run_where_there_is_no_value(folder: Path) -> None:
    runs = played(folder, "{shop.health.up: {every: 15s, values: 1 _ 0 stale 1}}")
    outcomes = [(at, what.observation.outcome) for at, what in runs if isinstance(what, Observed)]
    assert outcomes == [(0, Outcome.OK), (30, Outcome.FAILED), (60, Outcome.OK)]


def test_a_run_measures_all_that_is_given_at_its_instant(folder: Path) -> None:
    runs = played(
        folder, "{shop.health.up: {every: 15s, values: 1 0}, shop.health.duration_seconds: {every: 15s, values: 0.5 2}}"
    )
    measured = [
        (at, what.observation.outcome, [each.value for each in what.observation.measurements])
        for at, what in runs
        if isinstance(what, Observed)
    ]
    assert measured == [(0, Outcome.OK, [0.5]), (15, Outcome.FAILED, [2.0])]


def test_what_is_pushed_comes_once_a_step(folder: Path) -> None:
    pushed = played(folder, "{shop.orders.orders_per_minute: 5 _ 7}")
    values = [(at, [each.value for each in what.samples]) for at, what in pushed if isinstance(what, Pushed)]
    assert values == [(0, [5.0]), (120, [7.0])]


def test_nothing_outside_is_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **more: object) -> None:
        pytest.fail("a rehearsal test reached for the outside")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert outcome(folder, FILE + "      - {at: 10m, rules: {shop.down: breached}}\n").held


# What is not understood -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("name: one", "nam: one", "4:5 tests[0].nam: nothing of this name is known here; write name"),
        ("shop.health.up: 1x4 0x40", "shop.helth.up: 1x4", "there is no check shop.helth; write shop.health"),
        ("shop.health.up: 1x4 0x40", "shop.health.upp: 1x4", "no rule judges upp of shop.health; write up"),
        ("1x4 0x40", "1x4 0y40", '5:31 tests[0].samples."shop.health.up": "0y40" is no value of a series; write'),
        ("1x4 0x40", "0x4 5x40", "up is 1 where a run was ok and 0 where it failed"),
        ("1x4 0x40", "{values: 1, evry: 1m}", "nothing of this name is known here; write every"),
        ("1x4 0x40", "[1, 2]", "values are expected here; write 1x5 0x20"),
        ("shop.health.up", "health.up", '"health.up" is no series; write SERVICE.CHECK.METRIC'),
        ("shop.health.up", "'shop.health.up{a=\"b\"}'", "up has no labels"),
        ("shop.queue.queue_depth", "'shop.queue.queue_depth{a=b}'", '"a=b" are no labels'),
        ("shop.queue.queue_depth", "shop.backup.up", "shop.backup has no samples: a job reports to it"),
        ("shop.queue.queue_depth: 0x100", "shop.health.duration_seconds: 1x99", "value 47 has no run"),
        ("configuration: shop.yaml", "configuration: shops.yaml", "1:16 configuration: there is no file shops.yaml"),
        ("at: 10m", "at: 10", "a moment is expected here"),
        ("at: 10m", "at: 2026-01-05T08:00:00+01:00", "the test begins later"),
        ("at: 10m", "at: 1ns", "this is finer than a millisecond"),
        ("starts: 2026-01-05T09:00:00+01:00", "starts: 2026-01-05T09:00:00", "is not an instant"),
        ("starts: 2026-01-05T09:00:00+01:00", "starts: 9h", "an instant is expected here"),
        ("rule: shop.down", "rule: shop.dwn", 'there is no rule "shop.dwn"; write shop.down'),
        ("rule: shop.down", "rule: shop.down, state: opened", "this is none of what is possible here"),
        ("to: person.ann", "to: person.anne", 'there is no recipient "person.anne"; write person.ann'),
        ("to: person.ann", "to: oncall.primary", "a page goes to a person"),
        ("to: person.ann", "to: person.ann, page: second", "this is none of what is possible here"),
        ("primary: ann", "primry: ann", 'there is no rota "primry"; write primary'),
        ("primary: ann", "primary: anne", 'there is no person "anne"; write ann'),
        ("- {at: 20m, rules: {shop.down: breached}}", "- {at: 20m}", "nothing is expected here"),
        ("- {at: 20m, rules: {shop.down: breached}}", "- {at: 9m, pages: []}", "not after the expectation before"),
        ("by: ann", "by: eve", 'there is no person "eve"'),
        ("at: 8m, ack", "at: 21m, ack", "nothing is expected after this; add an expectation"),
        ("acknowledge: shop.down, ", "", "a person does one thing at a time"),
        ("acknowledge: shop.down", "snooze: shop.down", "how long is missing for snooze"),
        ("acknowledge: shop.down", "acknowledge: shop.down, for: 1h", "acknowledge has no `for`"),
        ("acknowledge: shop.down", "resolve: shop.down, expires_after: 1h", "only acknowledge has expires_after"),
        ("at: 15m, monitor_down: 1m", "at: 18m, monitor_down: 5m", "nothing is decided then"),
        ("at: 15m, monitor_down: 1m", "at: 0m, monitor_down: 5m", "the monitor is not running then"),
        ("shop.backup: []", "shop.health: []", "no job reports to shop.health; known here: shop.backup"),
        ("shop.backup: []", "shop.backup: [{at: 1m, signal: done}]", "this is none of what is possible here"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said_with_its_place_and_what_to_write(
    folder: Path, right: str, wrong: str, complaint: str
) -> None:
    text = FILE.replace(
        "    expect:\n",
        """\
    people: [{at: 8m, acknowledge: shop.down, by: ann}]
    disturb: [{at: 15m, monitor_down: 1m}]
    reports: {shop.backup: []}
    expect:
      - {at: 10m, incidents: [{rule: shop.down}], pages: [{to: person.ann}], on_call: {primary: ann}}
      - {at: 20m, rules: {shop.down: breached}}
""",
    )
    assert right in text
    said = complaints(folder, text.replace(right, wrong))
    assert any(complaint in line for line in said), said
    assert all(line.startswith("shop.rehearsal.yaml:") for line in said)


def test_more_samples_than_anybody_would_wait_for_are_refused(folder: Path) -> None:
    text = FILE.replace("1x4 0x40", "{every: 365d, values: 1x9}") + "      - {at: 3650d, pages: []}\n"
    [said] = complaints(folder, text)
    assert said.startswith("shop.rehearsal.yaml:4:5 tests[0]: these are 21024202 samples, more than 2000000; ")


def test_two_tests_of_one_name_are_refused(folder: Path) -> None:
    text = FILE + "      - {at: 1m, pages: []}\n  - {name: one, expect: [{at: 1m, pages: []}]}\n"
    assert complaints(folder, text) == [
        'shop.rehearsal.yaml:8:12 tests[1].name: "one" is the name of a test before; write another'
    ]


def test_a_configuration_may_stand_in_the_file_and_its_mistakes_have_their_lines(folder: Path) -> None:
    text = """\
    configuration:
      services:
        shop:
          checks: {health: {http: "http://127.0.0.1/", every: 10s}}
          rules: {down: {when: {check: health, metric: up, below: 1}}}
      channels: {log: {webhook: {env: NOBODY_SETS_THIS}}}
      routes: [{group_wait: 0s, notify: [channel.log]}]
    tests:
      - {name: one, samples: {shop.health.up: 0}, expect: [{at: 0m, pages: [{to: channel.log}]}]}
    """
    assert outcome(folder, dedent(text)).held
    assert complaints(folder, dedent(text).replace("below: 1", "belw: 1")) == [
        "shop.rehearsal.yaml:5:56 services.shop.rules.down.when.belw: nothing of this name is known here; write below"
    ]


def test_the_mistakes_of_the_configuration_are_said_as_those_of_any(folder: Path) -> None:
    file = folder / "shop.yaml"
    file.write_text(file.read_text().replace("below: 1}", "belw: 1}", 1))
    said = complaints(folder, FILE + "      - {at: 1m, pages: []}\n")
    assert said[0].startswith("shop.yaml:")
    assert "belw: nothing of this name is known here" in said[0]


def test_words_are_those_of_the_domain() -> None:
    fields = trial_shapes.IncidentShape.model_fields
    assert set(get_args(fields["state"].annotation)) == set(State)
    pages = get_args(get_args(trial_shapes.PageShape.model_fields["page"].annotation)[0])
    assert set(pages) == set(Page) - {Page.OWNER}
    reasons = get_args(get_args(trial_shapes.HeldShape.model_fields["reason"].annotation)[0])
    assert set(reasons) == set(Withheld)
    verdicts = get_args(get_args(trial_shapes.ExpectShape.model_fields["rules"].annotation)[1])
    assert set(verdicts) == {*Opinion, "pending"}
    assert set(get_args(trial_shapes.ReportShape.model_fields["signal"].annotation)) == set(Signal)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["rules: {shop.down: unknown}", "pages: []"])), max_size=5),
    st.text("01_x ", min_size=1, max_size=12),
)
def test_any_samples_are_played_or_refused_by_name(folder: Path, looks: list[tuple[int, str]], values: str) -> None:
    expected = "".join(f"      - {{at: {at}m, {what}}}\n" for at, what in looks)
    file = folder / "shop.rehearsal.yaml"
    file.write_text(FILE.replace("1x4 0x40", f'"{values}"') + expected)
    try:
        found = trials_in(file)
    except InvalidSettings:
        return
    assert [tried(trial).lasted for trial in found] == [Duration(max(at for at, _ in looks) * MINUTE)]

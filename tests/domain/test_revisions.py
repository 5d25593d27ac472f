"""A new configuration: what changes keeps what it may keep, and is judged by the samples that are there."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from service_monitoring.domain.course import Course
from service_monitoring.domain.rules import NoDataMode, Rule, Severity, Worse
from service_monitoring.domain.strategies import Absence, Aggregate, Function, LastOf, Threshold
from service_monitoring.testing.builders import (
    Trial,
    a_configuration,
    a_rule,
    a_service,
    a_trial,
    above,
    below,
    no_data,
    recovering,
    span,
)


def revised(trial: Trial, at: str, *rules: Rule) -> Trial:
    return trial.configure(at, a_configuration(a_service(*rules)))


def test_an_open_incident_passes_to_a_revision_that_finds_it_breached() -> None:
    trial = revised(a_trial(a_rule()).play("2 2"), "+25s", a_rule(strategy=Threshold(above(1.5))))
    assert trial.moves() == ["+10s pending", "+10s open"]
    assert trial.hear("+30s", value=1.2).moves()[-1] == "+30s resolved"


def test_a_pending_incident_starts_its_for_again() -> None:
    trial = revised(a_trial(a_rule(holds_for="1m")).play("2 2 2"), "+35s", a_rule(holds_for="30s"))
    assert trial.hear("+40s", value=2).hear("+50s", value=2).wait("+2m").moves() == ["+10s pending", "+1m5s open"]


def test_a_revision_that_finds_it_well_closes_the_incident_as_superseded_and_tells_it() -> None:
    trial = revised(a_trial(a_rule()).play("2 2"), "+25s", a_rule(strategy=Threshold(above(3))))
    assert trial.moves()[-1] == "+25s closed"
    assert str(trial.incidents()[-1].cause) == "superseded"
    assert trial.told()[-1] == "+25s ops closed slow"
    pending = revised(a_trial(a_rule(holds_for="1m")).play("2"), "+15s", a_rule(strategy=Threshold(above(3))))
    assert pending.moves()[-1] == "+15s dropped"


def test_a_revision_that_knows_nothing_leaves_it_to_no_data() -> None:
    longer = LastOf(9, 9, above(1))
    kept = revised(a_trial(a_rule()).play("2 2"), "+25s", a_rule("slow", longer))
    assert kept.moves()[-1] == "+10s open"
    resolving = a_rule("slow", longer, on_no_data=no_data(NoDataMode.RESOLVE))
    assert revised(a_trial(a_rule()).play("2 2"), "+25s", resolving).moves()[-1] == "+25s resolved"


def test_what_is_breached_under_the_new_condition_alone_begins_at_the_reload() -> None:
    trial = revised(a_trial(a_rule()).play("0.5 0.5"), "+25s", a_rule(strategy=Threshold(above(0.2))))
    assert trial.moves() == ["+25s pending", "+25s open"]


def test_the_words_the_labels_and_the_severity_of_a_rule_change_nothing_that_runs() -> None:
    trial = a_trial(a_rule(holds_for="1m")).play("2 2")
    revised(trial, "+25s", a_rule(holds_for="1m", severity=Severity.CRITICAL, labels={"team": "payments"}))
    assert trial.play_from("+30s", "2 2 2 2").wait("+2m").moves() == ["+10s pending", "+1m10s open"]


def test_a_severity_that_rose_goes_on_under_a_revision() -> None:
    worse = Worse(Severity.CRITICAL, above(3))
    trial = revised(a_trial(a_rule(worse=[worse])).play("4"), "+15s", a_rule(worse=[worse], holds_for="1s"))
    assert [incident.severity for incident in trial.incidents()][-1] is Severity.CRITICAL
    assert trial.hear("+20s", value=4).moves() == ["+10s pending", "+10s open", "+10s open"]


def test_a_removed_rule_closes_as_removed_and_its_name_may_come_back() -> None:
    trial = revised(revised(a_trial(a_rule()).play("2 2"), "+25s", a_rule("other", holds_for="1s")), "+35s", a_rule())
    assert trial.moves("slow") == [
        "+10s pending", "+10s open", "+25s closed", "+35s pending", "+35s open",
    ]  # fmt: skip
    assert str(trial.incidents("slow")[2].cause) == "removed"


def test_a_new_absence_counts_from_its_activation() -> None:
    trial = a_trial(a_rule()).hear("+10s", value=0)
    revised(trial, "+20s", a_rule(), a_rule("silent", Absence(span("30s")))).wait("+2m")
    assert trial.moves() == ["+50s pending", "+50s open"]


def test_a_reload_in_a_gap_of_samples_judges_nothing_by_what_is_stale() -> None:
    trial = revised(a_trial(a_rule()).hear("+10s", value=2), "+40s", a_rule(strategy=Threshold(above(1.5))))
    assert trial.moves() == ["+10s pending", "+10s open"]


def test_recovery_starts_again_under_a_revision() -> None:
    keeping = a_rule(recovery=recovering(below(1), holds_for="30s"))
    changed = a_rule(recovery=recovering(below(1), holds_for="20s"))
    trial = a_trial(keeping).play("2 0 0")
    assert revised(trial, "+35s", changed).moves()[-1] == "+35s closed", "it finds it well: that closes"


def test_a_longer_window_asks_for_the_history_that_it_looks_back_at() -> None:
    mean = Aggregate(above(1), function=Function.AVG, over=span("2m"))
    course = a_trial(a_rule()).play("2 2").course
    (wanted,) = course.lacks(a_configuration(a_service(a_rule(strategy=mean))))
    assert wanted[:2] == ("shop", "health")
    assert wanted[2].over >= span("2m")
    assert course.lacks(course.configuration) == []
    assert Course().lacks(course.configuration) == [], "at the very first start there is nothing"


def test_a_rule_with_a_window_decides_the_same_whenever_it_came() -> None:
    """What it looks back at was there before it: it makes no difference to it."""
    mean = a_rule("mean", Aggregate(above(1), function=Function.AVG, over=span("40s")), holds_for="5s")
    for values in ("0 0 2 2 2 2 0 0", "2 2 2 0 0 2 2 0"):
        always = a_trial(a_rule("x"), mean).play(values).wait("+2m")
        later = a_trial(a_rule("x")).play(values[:7])
        revised(later, "+41s", a_rule("x"), mean)
        for number, value in enumerate(values[8:].split(), start=5):
            later.hear(f"+{number}0s", value=float(value))
        ends = [move for move in always.moves("mean") if move.endswith("resolved") or "open" in move]
        assert later.wait("+2m").moves("mean")[-1] == ends[-1]


@given(some.lists(some.sampled_from([0.0, 2.0, 4.0]), min_size=3, max_size=12), some.integers(1, 11))
@settings(max_examples=100, deadline=None)
def test_a_configuration_that_changes_nothing_changes_nothing(values: list[float], place: int) -> None:
    mean = Aggregate(above(1), function=Function.AVG, over=span("30s"))
    rules = (
        a_rule("a", holds_for="15s"),
        a_rule("b", LastOf(3, 2, above(1)), recovery=recovering(holds_for="15s")),
        a_rule(
            "c",
            mean,
            worse=[Worse(Severity.CRITICAL, above(3))],
        ),
    )
    plain, reloaded = a_trial(*rules), a_trial(*rules)
    for number, value in enumerate(values, start=1):
        for trial in (plain, reloaded):
            trial.hear(f"+{number}0s", value=value)
        if number == place:
            revised(reloaded, f"+{number}1s", *rules)
    assert plain.wait("+3m").moves() == reloaded.wait("+3m").moves()

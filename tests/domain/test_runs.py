"""Whole columns against single samples: the same turns at the same instants, for every kind of rule and however cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from service_monitoring.domain.comparisons import Comparison, Operator
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.holds import Hold, Terms, Turn, counted_to
from service_monitoring.domain.incidents import Cause
from service_monitoring.domain.inputs import Marked, MarkKind
from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.rules import NoData, NoDataMode, Recovery, Rule, Severity, Worse
from service_monitoring.domain.runs import Folded, Turned, runs, turns
from service_monitoring.domain.strategies import Absence, Judging, Threshold
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import CodeColumn, InstantColumn
from service_monitoring.testing.builders import (
    START,
    Trial,
    a_check,
    a_configuration,
    a_rule,
    a_service,
    above,
    an_observation,
    below,
)
from tests.domain.kinds import RECOVERIES, STRATEGIES, VALUES, Column, seconds
from tests.drawing import drawn

B, R, W, U = Code.BREACHED, Code.RECOVERED, Code.BETWEEN, Code.UNKNOWN
STALE_AFTER = seconds(5)
FORGET_AFTER = seconds(40)

# Mostly a sample a second; now and then a silence, also of exactly `stale_after`.
STEPS = some.sampled_from([1, 1, 1, 1, 2, 3, 5, 6, 9, 20])
COLUMNS = some.lists(some.tuples(STEPS, VALUES), min_size=1, max_size=40)
MODES = some.builds(NoData, some.sampled_from(NoDataMode), some.integers(0, 6).map(seconds))
LENGTHS = some.integers(0, 6).map(seconds)
ENDS = some.integers(0, 30)


def terms_of(rule: Rule) -> Terms:
    absence = isinstance(rule.strategy, Absence)
    return Terms(
        holds_for=rule.holds_for,
        recovers_for=rule.recovery.holds_for,
        no_data=rule.no_data,
        stale_after=None if absence else STALE_AFTER,
        absent_for=rule.strategy.after if isinstance(rule.strategy, Absence) else None,
        worse=tuple(each.holds_for for each in rule.worse),
        forget_after=None if absence else FORGET_AFTER,
    )


def laid_out(steps: Column) -> tuple[list[int], list[float]]:
    """Instants after `START`, and values."""
    instants, at = [], START.ns
    for step, _ in steps:
        at += step * SECOND
        instants.append(at)
    return instants, [value for _, value in steps]


def a_judging_rule(
    strategy: Judging, holds_for: Duration, recovery: Recovery, on_no_data: NoData, levels: list[Duration]
) -> Rule:
    worse = [
        Worse(severity, beyond(strategy, number), lasts)
        for number, (severity, lasts) in enumerate(zip((Severity.WARNING, Severity.CRITICAL), levels, strict=False))
    ]
    rule = a_rule("judging", strategy, severity=Severity.INFO, on_no_data=on_no_data, recovery=recovery, worse=worse)
    return Rule(**{**{name: getattr(rule, name) for name in rule.__struct_fields__}, "holds_for": holds_for})


def beyond(strategy: Judging, number: int) -> Comparison:
    """A comparison that is stronger than the strategy's own, and the next stronger still."""
    own = getattr(strategy, "comparison", above(0))
    further = 0.5 * (number + 1)
    if own.operator in {Operator.BELOW, Operator.AT_MOST}:
        return Comparison(own.operator, own.operand - further)
    if own.upper is not None:
        return Comparison(own.operator, own.operand - further, own.upper + further)
    return Comparison(own.operator, own.operand + further)


def configured(rule: Rule) -> Configuration:
    check = a_check(every="1s", stale_after=f"{STALE_AFTER // SECOND}s", forget_after=f"{FORGET_AFTER // SECOND}s")
    return a_configuration(a_service(rule, checks=[check]))


def live(rule: Rule, steps: Column, ends: int) -> list[tuple[int, str]]:
    """What a policy does that hears one sample at a time: the instants and states of the incidents."""
    trial = Trial(configured(rule))
    at = 0
    for step, value in steps:
        at += step
        trial.observe(f"+{at}s", an_observation({"value": value}))
    # Timers due at an instant come after what is told at it: half a second later none of the whole seconds is due.
    trial.tell(f"+{at + ends}s500ms", Marked(MarkKind.ALIVE))
    return [
        (decision.at.ns, str(decision.incident.state))
        for _, decision in trial.decisions
        if isinstance(decision, IncidentMoved)
    ]


STATES = {Turn.BEGAN: "pending", Turn.OPENED: "open", Turn.DROPPED: "dropped", Turn.RESOLVED: "resolved"}


def told(folded: Folded) -> list[tuple[int, str]]:
    """The states that an incident comes to by these turns: one that rises stays what it is."""
    states, state = [], ""
    for each in folded.turns:
        if each.turn is Turn.VANISHED:
            if state in {"pending", "open"}:
                states.append((each.at, "dropped" if state == "pending" else "closed"))
            state = ""
            continue
        state = STATES.get(each.turn, state)
        states.append((each.at, state))
    return states


def first_hold(rule: Rule, instants: list[int]) -> Hold:
    """Absence waits from the rule's activation; other rules meet a series with its first sample."""
    at = START.ns if isinstance(rule.strategy, Absence) else instants[0]
    return Hold(at=at, anchor=at)


LEVELS: some.SearchStrategy[list[Duration]] = some.just([]) | some.lists(LENGTHS, min_size=1, max_size=2)
RULES = some.builds(a_judging_rule, STRATEGIES, LENGTHS, some.builds(Recovery, RECOVERIES, LENGTHS), MODES, LEVELS)


@given(RULES, COLUMNS, ENDS, some.data())
@settings(max_examples=drawn(3), deadline=None)
def test_a_column_at_once_in_chunks_and_sample_by_sample_live_turn_at_the_same_instants(
    rule: Rule, steps: Column, ends: int, data: some.DataObject
) -> None:
    strategy = rule.strategy
    assert not isinstance(strategy, str)
    instants, values = laid_out(steps)
    column, numbers = np.array(instants), np.array(values)
    worse = tuple(each.comparison for each in rule.worse)
    codes = strategy.codes(column, numbers, 0, rule.recovery.comparison, worse)  # type: ignore[union-attr] # judging kinds only
    until = instants[-1] + ends * SECOND
    whole = turns(first_hold(rule, instants), terms_of(rule), column, codes, until=until)
    assert told(whole) == live(rule, steps, ends)

    cuts = sorted(data.draw(some.sets(some.integers(1, len(steps)))))
    assert in_chunks(first_hold(rule, instants), terms_of(rule), column, codes, cuts, until) == whole


def in_chunks(
    hold: Hold, terms: Terms, instants: InstantColumn, codes: CodeColumn, cuts: list[int], until: int
) -> Folded:
    turned: list[Turned] = []
    heard = 0
    for begin, end in pairwise([0, *(cut for cut in cuts if cut < len(codes)), len(codes)]):
        folded = turns(hold, terms, instants[begin:end], codes[begin:end], heard=heard)
        hold, heard = folded.hold, folded.heard
        turned += folded.turns
    folded = turns(hold, terms, instants[:0], codes[:0], heard=heard, until=until)
    return Folded(folded.hold, turned + folded.turns, folded.heard)


ANY = some.sampled_from([R, W, B, B, U, Code.WORSE, Code.WORST])
CODES = some.lists(some.tuples(STEPS, ANY), min_size=1, max_size=60)
TERMS = some.builds(
    Terms,
    holds_for=LENGTHS,
    recovers_for=LENGTHS,
    no_data=MODES,
    stale_after=some.none() | some.just(STALE_AFTER),
    worse=some.tuples(LENGTHS, LENGTHS),
    forget_after=some.none() | some.just(seconds(15)),
)


@given(TERMS, CODES, ENDS, some.data())
@settings(max_examples=drawn(5), deadline=None)
def test_any_codes_in_any_chunks_give_the_same_turns_and_the_same_hold(
    terms: Terms, steps: list[tuple[int, Code]], ends: int, data: some.DataObject
) -> None:
    instants = np.cumsum([step for step, _ in steps]) * SECOND + START.ns
    codes = np.array([code for _, code in steps], dtype=np.int8)
    until = int(instants[-1]) + ends * SECOND
    hold = Hold(at=int(instants[0]), anchor=int(instants[0]))
    whole = turns(hold, terms, instants, codes, until=until)
    cuts = sorted(data.draw(some.sets(some.integers(1, len(steps)))))
    assert in_chunks(hold, terms, instants, codes, cuts, until) == whole
    every = in_chunks(hold, terms, instants, codes, list(range(1, len(steps))), until)
    assert every == whole


PATTERNS = some.lists(
    some.tuples(
        some.lists(some.tuples(some.sampled_from([1, 1, 2, 6]), ANY), min_size=1, max_size=3),
        some.integers(1, 40),
    ),
    min_size=1,
    max_size=3,
)


@given(TERMS, PATTERNS)
@settings(deadline=None)
def test_what_repeats_itself_is_folded_as_sample_by_sample(
    terms: Terms, patterns: list[tuple[list[tuple[int, Code]], int]]
) -> None:
    steps = [step for pattern, times in patterns for step in pattern * times]
    instants = np.cumsum([step for step, _ in steps]) * SECOND + START.ns
    codes = np.array([code for _, code in steps], dtype=np.int8)
    hold, until = Hold(at=int(instants[0])), int(instants[-1]) + MINUTE
    single = in_chunks(hold, terms, instants, codes, list(range(1, len(steps))), until)
    assert turns(hold, terms, instants, codes, until=until) == single


# Edges ----------------------------------------------------------------------------------------------------------------


def turned(codes: str, terms: Terms, *, until: int | None = None) -> list[str]:
    """`5s opened timer`, of a column with a sample a second: `b` breached, `r` recovered, `w` between, `u` unknown."""
    letters = {"b": B, "r": R, "w": W, "u": U}
    heard = [(second, letters[letter]) for second, letter in enumerate(codes) if letter != " "]
    instants = np.array([second for second, _ in heard]) * SECOND + START.ns
    column = np.array([code for _, code in heard], dtype=np.int8)
    end = None if until is None else START.ns + until * SECOND
    folded = turns(Hold(at=START.ns, anchor=START.ns), terms, instants, column, until=end)
    return [f"{(each.at - START.ns) // SECOND}s {each.turn} {each.cause}" for each in folded.turns]


def test_a_healthy_sample_exactly_at_the_due_instant_keeps_it_from_opening() -> None:
    terms = Terms(holds_for=seconds(3))
    assert turned("rbbbr", terms) == ["1s began sample", "4s dropped sample"]
    assert turned("rbbbbr", terms) == ["1s began sample", "4s opened timer", "5s resolved sample"]


def test_a_timer_between_samples_fires_at_its_own_due_instant() -> None:
    terms = Terms(holds_for=seconds(3), recovers_for=seconds(2), stale_after=STALE_AFTER)
    assert turned("b   b r   r", terms) == ["0s began sample", "3s opened timer", "8s resolved timer"]


def test_nothing_is_asked_for_after_the_last_sample_unless_an_end_is_given() -> None:
    terms = Terms(holds_for=seconds(3))
    assert turned("b", terms) == ["0s began sample"]
    assert turned("b", terms, until=2) == ["0s began sample"]
    assert turned("b", terms, until=3) == ["0s began sample", "3s opened timer"]


def test_a_silence_pauses_and_the_sample_that_ends_it_goes_on() -> None:
    terms = Terms(holds_for=seconds(7), stale_after=STALE_AFTER)
    # Breached from 0 s to 5 s, silent until 20 s, two seconds more.
    assert turned("b" + " " * 19 + "bbb", terms, until=30) == ["0s began sample", "22s opened timer"]


def test_a_silence_of_exactly_stale_after_is_none() -> None:
    terms = Terms(no_data=NoData(NoDataMode.RESOLVE), stale_after=STALE_AFTER)
    assert turned("b    b", terms, until=9) == ["0s began sample", "0s opened sample"]
    assert turned("b     b", terms, until=9)[2:] == ["5s resolved no_data", "6s began sample", "6s opened sample"]


def test_unknown_samples_do_not_keep_no_data_from_being_presumed_again() -> None:
    terms = Terms(no_data=NoData(NoDataMode.BREACH_AFTER, seconds(3)), stale_after=STALE_AFTER)
    assert turned("ruuuuuuuur", terms) == ["4s began no_data", "4s opened no_data", "9s resolved sample"]


def test_absence_is_due_between_samples() -> None:
    terms = Terms(absent_for=seconds(4))
    assert turned("r  r     r", terms) == ["7s began timer", "7s opened timer", "9s resolved sample"]


def test_an_empty_column_changes_nothing_but_what_is_due() -> None:
    nothing = np.empty(0, dtype=np.int64)
    began = turns(Hold(at=5), Terms(holds_for=seconds(1)), np.array([5]), np.array([B], dtype=np.int8))
    hold = began.hold
    assert began.heard == 5
    assert turns(hold, Terms(holds_for=seconds(1)), nothing, nothing.astype(np.int8), heard=5) == Folded(hold, [], 5)
    folded = turns(hold, Terms(holds_for=seconds(1)), nothing, nothing.astype(np.int8), heard=5, until=2 * SECOND)
    assert folded.turns == [Turned(SECOND + 5, Turn.OPENED, Cause.TIMER)]


@given(CODES, some.none() | some.integers(1, 9).map(seconds))
@example([(1, R)], None)
def test_runs_are_the_longest_stretches_of_one_code_without_a_silence(
    steps: list[tuple[int, Code]], silence: Duration | None
) -> None:
    instants = np.cumsum([step for step, _ in steps]) * SECOND
    codes = np.array([code for _, code in steps], dtype=np.int8)
    found = runs(instants, codes, silence)
    expected: list[list[int]] = []
    for index, code in enumerate(codes):
        late = index and silence is not None and instants[index] - instants[index - 1] > silence
        if not expected or expected[-1][2] != code or late:
            expected.append([index, index, int(code)])
        expected[-1][1] = index + 1
    assert [list(map(int, run)) for run in zip(*found, strict=True)] == expected


def test_a_column_longer_than_a_block_is_cut_at_every_silence() -> None:
    instants = np.arange(100_000, dtype=np.int64) * SECOND
    late = [1, 32_767, 32_768, 32_769, 65_536, 99_999]
    for index in late:
        instants[index:] += MINUTE
    found = runs(instants, np.zeros(100_000, dtype=np.int8), seconds(30))
    assert found.begins.tolist() == [0, *late]
    assert found.ends.tolist() == [*late, 100_000]


@pytest.mark.parametrize("jitter", [0, 7])
def test_a_long_column_with_many_crossings_gives_the_turns_of_a_policy(jitter: int) -> None:
    rule = a_rule("slow", Threshold(above(1.0)), holds_for="4s", recovery=Recovery(below(0.5), seconds(3)))
    values = [(0.2, 0.7, 2.0)[number * number // (1 + number % 5) % 3] for number in range(3_000)]
    trial = Trial(configured(rule))
    instants = []
    for number, value in enumerate(values, start=1):
        at = START.ns + number * SECOND + number * 1_000_003 % (jitter + 1) * 10_000_000
        instants.append(at)
        trial.observe(f"+{(at - START.ns) // 1_000_000}ms", an_observation({"value": value}))
    column = np.array(instants)
    assert isinstance(rule.strategy, Threshold)
    codes = rule.strategy.codes(column, np.array(values), 0, rule.recovery.comparison)
    folded = turns(Hold(at=instants[0], anchor=instants[0]), terms_of(rule), column, codes)
    lived = [
        (decision.at.ns, str(decision.incident.state))
        for _, decision in trial.decisions
        if isinstance(decision, IncidentMoved)
    ]
    assert len(lived) > 500
    assert [(each.at, STATES[each.turn]) for each in folded.turns] == lived


def test_the_hold_at_the_end_is_counted_up_to_the_end() -> None:
    instants = np.array([0, 1, 2], dtype=np.int64) * SECOND + START.ns
    codes = np.array([R, B, B], dtype=np.int8)
    hold = turns(Hold(at=START.ns), Terms(holds_for=HOUR), instants, codes, until=START.ns + MINUTE).hold
    assert hold == counted_to(hold, START.ns + MINUTE)
    assert hold.accrued == 59 * SECOND
    assert Instant(hold.at).since(START) == MINUTE

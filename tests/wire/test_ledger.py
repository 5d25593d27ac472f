"""Two runs that decided the same have the same ledger, to the byte; two that did not, have not."""

import json
from itertools import permutations

import pytest
from msgspec.structs import replace

from service_monitoring.domain.events import Event, IncidentMoved, IncidentNoted, RuleMoved, SilenceMove, SilenceMoved
from service_monitoring.domain.incidents import Cause, Move, move
from service_monitoring.domain.inputs import Act
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.domain.rules import Lifecycle
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.testing.store_laws import A_SILENCE, START, a_notice, a_stamp, an_incident
from service_monitoring.wire.codec import decode, encode
from service_monitoring.wire.ledger import digest, ledger, line

PENDING = an_incident()
OPEN = move(PENDING, Move.OPEN, at=a_stamp(10).at, cause=Cause.TIMER)
BEGAN = IncidentMoved(START, START, PENDING)
OPENED = IncidentMoved(OPEN.changed_at, OPEN.changed_at, OPEN)
NOTICE = replace(a_notice(OPEN), decided_at=OPEN.changed_at)
RULE = RuleMoved(START, OPEN.changed_at, "shop", "down", Lifecycle.RETIRED, "removed")
ALL: list[Event | Notice] = [BEGAN, OPENED, NOTICE, RULE]


def test_a_line_says_what_was_decided_when_and_why() -> None:
    assert line(OPENED) == (
        '{"at":"2026-01-05T00:00:10.000000001Z","class":"incident","decided_at":"2026-01-05T00:00:10.000000001Z",'
        '"draft":false,'
        '"evidence":{"reason":"status","sample":"2026-01-05T00:00:00.000000001Z","value":0.0},'
        f'"key":"{OPEN.id}","previous":"","reason":"timer","rule":"down","sequence":2,"series":"shop/health/up",'
        '"service":"shop","severity":"critical","state":"open"}'
    )
    assert line(RULE) == (
        '{"at":"2026-01-05T00:00:00.000000001Z","class":"rule","decided_at":"2026-01-05T00:00:10.000000001Z",'
        '"key":"shop.down","reason":"removed","rule":"down","service":"shop","state":"retired"}'
    )


def test_who_noted_is_in_the_ledger_and_the_text_is_not() -> None:
    noted = IncidentNoted(START, START, OPEN.id, Act.ASSIGN, "ada", "yours", "grace", "shop", "down", OPEN.series)
    assert line(noted) == (
        '{"at":"2026-01-05T00:00:00.000000001Z","by":"ada","class":"note",'
        f'"decided_at":"2026-01-05T00:00:00.000000001Z","key":"{OPEN.id}","reason":"assign","rule":"down",'
        '"series":"shop/health/up","service":"shop","to":"grace"}'
    )
    assert ledger([noted, OPENED, BEGAN]) == ledger([BEGAN, noted, OPENED])


def test_a_silence_says_who_silenced_what_and_until_when() -> None:
    made = SilenceMoved(START, START, SilenceMove.MADE, A_SILENCE)
    assert line(made) == (
        '{"at":"2026-01-05T00:00:00.000000001Z","begins":"2026-01-05T00:00:00.000000001Z","by":"ada","class":"silence",'
        '"decided_at":"2026-01-05T00:00:00.000000001Z","ends":"2026-01-05T01:00:00.000000001Z",'
        f'"key":"{A_SILENCE.id}",'
        '"matchers":["service=\\"shop\\"","rule!~\\"a\\\\\\"b.*\\""],"reason":"made","rule":"","service":""}'
    )
    early = SilenceMoved(START, START, SilenceMove.EXPIRED, replace(A_SILENCE, expired_by="grace"))
    assert json.loads(line(early)).items() >= {"reason": "expired", "by": "grace"}.items()
    assert ledger([early, BEGAN]) == ledger([BEGAN, early])


def test_a_notice_says_for_whom_and_why_it_was_held() -> None:
    facts = json.loads(line(replace(NOTICE, held=Held(Withheld.UNREACHABLE, "0123"))))
    assert facts["held"] == {"by": "0123", "reason": "unreachable"}
    wanted = {"key": NOTICE.key, "thread": NOTICE.thread, "channel": "web", "reason": "first", "sequence": 1}
    assert facts.items() >= wanted.items()
    assert json.loads(line(NOTICE))["held"] is None


def test_the_ledger_is_the_same_in_whatever_order_decisions_come() -> None:
    assert {ledger(order) for order in permutations(ALL)} == {ledger(ALL)}
    assert {digest(order) for order in permutations(ALL)} == {digest(ALL)}


def test_its_order_is_instant_class_service_rule_series_sequence() -> None:
    lines = ledger(reversed(ALL)).splitlines()
    assert lines == [line(decision).encode() for decision in (BEGAN, OPENED, NOTICE, RULE)]
    first, second = replace(NOTICE, sequence=2), replace(NOTICE, sequence=10)
    assert ledger([second, first]).splitlines() == [line(first).encode(), line(second).encode()]


def test_an_instant_a_year_before_the_epoch_still_comes_first() -> None:
    early = RuleMoved(Instant(-1), Instant(-1), "shop", "down", Lifecycle.ACTIVE, "")
    assert ledger([BEGAN, early]).splitlines()[0] == line(early).encode()


def test_texts_made_for_people_are_not_in_it() -> None:
    told = replace(NOTICE, facts=replace(NOTICE.facts, summary="other words", runbook="http://wiki"))
    assert line(told) == line(NOTICE)
    detailed = replace(OPEN, evidence=replace(OPEN.evidence, detail="other words"))
    assert line(IncidentMoved(OPENED.at, OPENED.decided_at, detailed)) == line(OPENED)


@pytest.mark.parametrize(
    "other",
    [
        replace(OPENED, at=START),
        replace(OPENED, decided_at=START),
        replace(OPENED, incident=replace(OPEN, sequence=3)),
        replace(OPENED, incident=replace(OPEN, cause=Cause.SAMPLE)),
        replace(OPENED, incident=replace(OPEN, evidence=Evidence(0.1))),
        replace(NOTICE, page=Page.RECOVERED),
        replace(NOTICE, channel="mail"),
        replace(NOTICE, sequence=2),
        replace(RULE, state=Lifecycle.DRAFT),
    ],
)
def test_whatever_was_decided_differently_shows(other: Event | Notice) -> None:
    (same,) = (decision for decision in (OPENED, NOTICE, RULE) if type(decision) is type(other))
    assert line(other) != line(same)
    assert digest([other]) != digest([same])


def test_a_journey_through_a_database_changes_no_line() -> None:
    whole = replace(OPEN, evidence=Evidence(1))
    moved = IncidentMoved(START, START, whole)
    assert line(decode(IncidentMoved, encode(moved))) == line(moved)
    assert '"value":1.0' in line(moved)


def test_no_decisions_are_an_empty_ledger() -> None:
    assert ledger([]) == b""

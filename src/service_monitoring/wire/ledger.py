"""The ledger: everything decided, one canonical JSON line a decision, so that two runs can be compared byte by byte.

Holds what was decided, when, why and on which evidence. Holds no text made for people, no row number, node, attempt
or dice: those differ between runs that decided the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from service_monitoring.domain.events import Event, IncidentMoved, IncidentNoted, RuleMoved, SeriesFlapped, SilenceMoved
from service_monitoring.domain.matchers import matcher_text
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.samples import Series
from service_monitoring.domain.verdicts import Evidence
from service_monitoring.wire.codec import canonical


def line(decision: Event | Notice) -> str:
    """One decision as canonical JSON: sorted keys, instants with nine digits, floats in their shortest form."""
    return canonical(_facts(decision)).decode()


def ledger(decisions: Iterable[Event | Notice]) -> bytes:
    """The lines in the one order that does not depend on who ran: instant, class, service, rule, series, sequence.

    Each ends with a newline. Holds all lines in memory.
    """
    ordered = sorted((_place(facts), canonical(facts)) for facts in map(_facts, decisions))
    return b"".join(text + b"\n" for _, text in ordered)


def digest(decisions: Iterable[Event | Notice]) -> str:
    """The sha256 of the ledger in hexadecimal: equal digests, equal decisions."""
    return hashlib.sha256(ledger(decisions)).hexdigest()


def _facts(decision: Event | Notice) -> dict[str, Any]:
    match decision:
        case IncidentMoved():
            return _incident(decision)
        case IncidentNoted():
            return {
                "class": "note",
                "key": decision.incident,
                "decided_at": decision.decided_at,
                "at": decision.at,
                "service": decision.service,
                "rule": decision.rule,
                "series": _series(decision.series),
                "reason": str(decision.act),
                "by": decision.by,
                "to": decision.to,
            }
        case RuleMoved():
            return {
                "class": "rule",
                "key": f"{decision.service}.{decision.rule}",
                "decided_at": decision.decided_at,
                "at": decision.at,
                "service": decision.service,
                "rule": decision.rule,
                "state": str(decision.state),
                "reason": decision.reason,
            }
        case SeriesFlapped():
            return {
                "class": "flapping",
                "key": f"{decision.service}.{decision.rule}",
                "decided_at": decision.decided_at,
                "at": decision.at,
                "service": decision.service,
                "rule": decision.rule,
                "series": str(decision.series),
                "reason": "flapping" if decision.flapping else "steady",
                "evidence": {"percent": decision.percent},
            }
        case SilenceMoved():
            return _silence(decision)
        case Notice():
            return _notice(decision)


def _incident(moved: IncidentMoved) -> dict[str, Any]:
    incident = moved.incident
    return {
        "class": "incident",
        "key": incident.id,
        "decided_at": moved.decided_at,
        "at": moved.at,
        "service": incident.service,
        "rule": incident.rule,
        "series": str(incident.series),
        "severity": str(incident.severity),
        "state": str(incident.state),
        "sequence": incident.sequence,
        "reason": str(incident.cause),
        "previous": incident.previous,
        "draft": incident.draft,
        "evidence": _evidence(incident.evidence),
    }


def _silence(moved: SilenceMoved) -> dict[str, Any]:
    silence = moved.silence
    return {
        "class": "silence",
        "key": silence.id,
        "decided_at": moved.decided_at,
        "at": moved.at,
        "service": "",
        "rule": "",
        "reason": str(moved.move),
        "by": silence.expired_by or silence.author,
        "begins": silence.begins,
        "ends": silence.ends,
        "matchers": [matcher_text(matcher) for matcher in silence.matchers],
    }


def _notice(notice: Notice) -> dict[str, Any]:
    facts = notice.facts
    return {
        "class": "notice",
        "key": notice.key,
        "thread": notice.thread,
        "decided_at": notice.decided_at,
        "service": facts.service,
        "rule": facts.rule,
        "series": _series(facts.series),
        "incident": facts.incident,
        "incidents": sorted(notice.news),
        "open": notice.open,
        "over": notice.over,
        "recipient": notice.recipient,
        "channel": notice.channel,
        "step": notice.step,
        "sequence": notice.sequence,
        "reason": str(notice.page),
        "held": None if notice.held is None else {"reason": str(notice.held.reason), "by": notice.held.by},
        "evidence": _evidence(facts.evidence),
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    # A whole number is written as a float, as it is after a journey through a database.
    return {
        "value": None if evidence.value is None else float(evidence.value),
        "reason": None if evidence.reason is None else str(evidence.reason),
        "sample": None if evidence.sample is None else evidence.sample.at,
    }


def _series(series: Series | None) -> str:
    return "" if series is None else str(series)


def _place(facts: dict[str, Any]) -> tuple[Any, ...]:
    return (
        facts["decided_at"].ns,
        facts["class"],
        facts["service"],
        facts["rule"],
        facts.get("series", ""),
        facts.get("sequence", 0),
        facts["key"],
    )

"""Content: a notice as one object, for channels whose far side is a program.

The object has the keys of `FIELDS`; keys may be added, and `version` changes if one is ever taken away. Knows facts and
words. Does not know how the object travels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Facts, Notice
from service_monitoring.views.wording import Article

VERSION: Final = 1
FIELDS: Final = (
    "version", "key", "thread", "page", "decided_at", "incident", "service", "rule", "series", "severity", "state",
    "labels", "headline", "summary", "runbook", "value", "reason", "detail", "cause", "breached_at", "opened_at",
    "ended_at", "recipient", "group", "open", "over", "others", "links", "degraded",
)  # fmt: skip


def content(notice: Notice, words: Article, links: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The object, ready to be written as JSON. What does not apply is None.

    `group` are the labels that its incidents share, `others` those written out besides the first, `open` and `over`
    count all; `links` say what may be done, and where.
    """
    facts, evidence = notice.facts, notice.facts.evidence
    return {
        "version": VERSION,
        "key": notice.key,
        "thread": notice.thread,
        "page": notice.page.value,
        "decided_at": str(notice.decided_at),
        "incident": facts.incident or None,
        "service": facts.service or None,
        "rule": facts.rule or None,
        "series": str(facts.series) if facts.series is not None else None,
        "severity": facts.severity.value,
        "state": facts.state or None,
        "labels": dict(facts.labels),
        "headline": words.headline,
        "summary": words.text,
        "runbook": words.runbook or None,
        "value": evidence.value,
        "reason": evidence.reason.value if evidence.reason is not None else None,
        "detail": evidence.detail or None,
        "cause": facts.cause or None,
        "breached_at": _moment(facts.breached_at),
        "opened_at": _moment(facts.opened_at),
        "ended_at": _moment(facts.ended_at),
        "recipient": notice.recipient,
        "group": dict(notice.labels),
        "open": notice.open,
        "over": notice.over,
        "others": [_other(each) for each in notice.others],
        "links": dict(links),
        "degraded": words.degraded or None,
    }


def _other(facts: Facts) -> dict[str, Any]:
    return {
        "incident": facts.incident,
        "service": facts.service,
        "rule": facts.rule,
        "series": str(facts.series) if facts.series is not None else None,
        "severity": facts.severity.value,
        "state": facts.state,
        "labels": dict(facts.labels),
        "opened_at": _moment(facts.opened_at),
        "ended_at": _moment(facts.ended_at),
    }


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else str(instant)

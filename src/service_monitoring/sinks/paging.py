"""Paging: what the channels to systems that page have in common, from where an alert stands to where it is sent.

Such a system keeps an alert of its own for all notices of one thread. Knows how a notice moves that alert, and which
facts are written beside it. Does not know any of these systems, nor HTTP.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator
from yarl import URL

from service_monitoring.domain.incidents import State
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.settings import InvalidValue, Secret
from service_monitoring.sinks.addressing import PlainUrl, checked_header_value
from service_monitoring.sinks.chat import fitted
from service_monitoring.views.wording import Article, one_line

SOURCE: Final = "service-monitoring"
"""As whom this program reports what is of no service."""

LONGEST_FACT: Final = 1000
"""Characters of one fact: a far side may say much of itself."""

_ENDS: Final = frozenset({Page.RECOVERED, Page.CLOSED, Page.STEADY})


class Standing(StrEnum):
    """Where the alert stands after a notice."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"


def standing(notice: Notice) -> Standing:
    """What a notice makes of the alert of its thread."""
    if notice.page in _ENDS:
        return Standing.OVER
    return Standing.ACKNOWLEDGED if notice.facts.state == State.ACKNOWLEDGED else Standing.TRIGGERED


def facts_of(notice: Notice, words: Article) -> dict[str, str]:
    """What is known, by name, one line each; nothing empty."""
    facts, evidence = notice.facts, notice.facts.evidence
    known = {
        "page": notice.page.value,
        "incident": facts.incident,
        "service": facts.service,
        "rule": facts.rule,
        "series": str(facts.series) if facts.series is not None else "",
        "severity": facts.severity.value,
        "state": facts.state,
        "value": "" if evidence.value is None else f"{evidence.value:.6g}",
        "reason": str(evidence.reason or ""),
        "detail": evidence.detail,
        "cause": facts.cause,
        "breached_at": "" if facts.breached_at is None else str(facts.breached_at),
        "opened_at": "" if facts.opened_at is None else str(facts.opened_at),
        "ended_at": "" if facts.ended_at is None else str(facts.ended_at),
        "runbook": words.runbook,
        "note": f"the text could not be made as configured ({words.degraded})" if words.degraded else "",
    }
    return {name: cut(one_line(value), LONGEST_FACT) for name, value in known.items() if value}


def cut(text: str, longest: int) -> str:
    """`text`, with an ellipsis where it has more than `longest` characters."""
    return fitted(text, longest, measure=len)


def _without_credentials(url: str) -> str:
    parsed = URL(url)
    if parsed.user or parsed.password or parsed.query_string or parsed.fragment:
        raise InvalidValue("the address of an interface has no credentials, query or fragment", "write https://host")
    return url


def _checked_key(key: Secret) -> Secret:
    if not key.reveal().strip():
        raise InvalidValue("the key is empty", "write {env: NAME}")
    checked_header_value(key.reveal())
    return key


BaseUrl = Annotated[PlainUrl, AfterValidator(_without_credentials)]
"""Where an interface is: its paths are appended."""

Key = Annotated[Secret, AfterValidator(_checked_key)]
"""What a system knows us by, of characters that a header can carry."""

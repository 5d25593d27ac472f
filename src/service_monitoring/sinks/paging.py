"""Paging: what the channels to systems that page have in common, from where an alert stands to where it is sent.

Such a system keeps an alert of its own for all notices of one thread. Knows how a notice moves that alert, and which
facts are written beside it. Does not know any of these systems, nor HTTP.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator
from yarl import URL

from service_monitoring.domain.incidents import FINAL, State
from service_monitoring.domain.notices import Notice
from service_monitoring.settings import InvalidValue, Secret
from service_monitoring.sinks.addressing import PlainUrl, checked_header_value
from service_monitoring.sinks.chat import fitted
from service_monitoring.views.digests import counted, foremost, is_digest, is_over, shared
from service_monitoring.views.texts import one_line
from service_monitoring.views.wording import Article

SOURCE: Final = "service-monitoring"
"""As whom this program reports what is of no service."""

LONGEST_FACT: Final = 1000
"""Characters of one fact: a far side may say much of itself."""


class Standing(StrEnum):
    """Where the alert stands after a notice."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"


def standing(notice: Notice) -> Standing:
    """What a notice makes of the alert of its thread.

    One that is about several incidents stands as long as one of them is open, and is taken on when all that are open
    are. What is not written out may be open.
    """
    if is_over(notice):
        return Standing.OVER
    open_ = [facts.state for facts in (notice.facts, *notice.others) if facts.state not in FINAL]
    taken = open_ and len(open_) >= notice.open and all(state == State.ACKNOWLEDGED for state in open_)
    return Standing.ACKNOWLEDGED if taken else Standing.TRIGGERED


def facts_of(notice: Notice, words: Article) -> dict[str, str]:
    """What is known of the first incident, by name, one line each; nothing empty.

    Of several incidents, also how many there are and what they share. A complete text has none of it beside it.
    """
    note = f"the text could not be made as configured ({words.degraded})" if words.degraded else ""
    known = {"note": note} if words.complete else {**_known(notice), "runbook": words.runbook, "note": note}
    return {name: cut(one_line(value), LONGEST_FACT) for name, value in known.items() if value}


def _known(notice: Notice) -> dict[str, str]:
    facts = foremost(notice).facts
    evidence = facts.evidence
    return {
        "page": notice.page.value,
        "incidents": counted(notice) if is_digest(notice) else "",
        "group": shared(notice) if is_digest(notice) else "",
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
    }


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

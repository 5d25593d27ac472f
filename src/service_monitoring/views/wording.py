"""Wording: the text of a notice, from its facts.

Knows the variables of a summary, and what is said where there is no template or it fails. What a template may do is
known to `templates`, which are imported when there is one: their library takes a while. Does not know channels
(`sinks`), clocks or anybody who is told.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.incidents import State
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Facts, Notice, Page
from service_monitoring.ports import NO_TEMPLATE, Template
from service_monitoring.views.digests import (
    counted,
    foremost,
    is_digest,
    is_over,
    left_out,
    line_about,
    shared,
    shortened,
    worst,
)
from service_monitoring.views.texts import CUT, LARGEST_TEXT, capped, encodable, one_line, plain_number

LARGEST_VARIABLE: Final = 4 * 1024
"""Characters of a fact that a template sees: what a far side says of itself may be long."""

VARIABLES: Final = (
    "service", "check", "metric", "rule", "series", "severity", "state", "labels", "value", "reason", "detail", "cause",
    "incident", "breached_at", "opened_at", "ended_at",
)  # fmt: skip
"""What a template may name. `labels` is a mapping; instants are texts in UTC; what does not apply is empty."""

OF_A_CHANNEL: Final = (
    "headline", "summary", "runbook", "page", "decided_at", "recipient", "open", "over", "others", "group",
)  # fmt: skip
"""What the template of a channel may name besides: the words that would be sent without it, and the notice's own.

`group` is a mapping, of the labels that its incidents share; `others` a list of mappings with the keys of `OF_OTHERS`.
"""

OF_OTHERS: Final = (
    "service", "check", "metric", "rule", "series", "severity", "state", "labels", "value", "reason", "incident",
    "opened_at", "ended_at",
)  # fmt: skip
"""What is said of each incident besides the first; a text has `digests.LONGEST_PART` characters at most."""

_MARKS: Final = {
    Page.RECOVERED: "recovered",
    Page.CLOSED: "closed",
    Page.FLAPPING: "flapping",
    Page.STEADY: "steady",
    Page.OWNER: "monitor",
}
_NOTES: Final = {Page.UPDATED: "updated", Page.REPEATED: "again", Page.ESCALATED: "escalated"}


class Wording(Struct, frozen=True):
    """A rendered summary and runbook. `degraded` says why the built-in text stands in for a template, or is empty."""

    summary: str
    runbook: str = ""
    degraded: str = ""


def word(facts: Facts) -> Wording:
    """The texts of a notice. Never fails: a template that does gives way to `minimal`, with the reason in `degraded`.

    A notice without an incident has a ready summary, which is no template.
    """
    if not facts.incident:
        return Wording(capped(encodable(facts.summary)) or minimal(facts), encodable(facts.runbook))
    variables = _variables(facts)
    summary, complaint = _rendered(facts.summary, variables)
    runbook, other = _rendered(facts.runbook, variables)
    problems = _complaints(("summary", complaint), ("runbook", other))
    return Wording(summary or minimal(facts), runbook, "; ".join(problems))


class Article(Struct, frozen=True):
    """A notice in words, for any channel: a line for subjects and titles, the text below it, and a link or how-to.

    `degraded` says why built-in text stands in for a template, or is empty. A `complete` text is the channel's own: a
    channel that would add facts to it leaves them out.
    """

    headline: str
    text: str
    runbook: str = ""
    degraded: str = ""
    complete: bool = False


def article(notice: Notice, template: Template = NO_TEMPLATE) -> Article:
    """What a channel says of a notice, by its `template`, if it has one. Never fails.

    Where it is about several incidents, the words are about the `foremost`, and a line of the text about each other.
    All of it is strangers' text, for the channel to escape. A template that fails, or says nothing, gives way to what
    would be said without it. What concerns the monitor itself has no incident to speak of, and is said as it is.
    """
    notice = foremost(notice)
    words = word(notice.facts)
    builtin = Article(headline(notice, words), _with_others(words.summary, notice), words.runbook, words.degraded)
    if template == NO_TEMPLATE or not notice.facts.incident:
        return builtin
    variables = _variables(notice.facts) | _of_a_channel(notice, builtin, words.summary)
    subject, complaint = _rendered(template.subject, variables)
    text, other = _rendered(template.text, variables)
    said = (words.degraded, *_complaints(("template.subject", complaint), ("template.text", other)))
    line = " ".join(part.strip() for part in subject.splitlines()).strip()
    return Article(
        line or builtin.headline,
        text if text.strip() else builtin.text,
        builtin.runbook,
        "; ".join(problem for problem in said if problem),
        complete=bool(text.strip()),
    )


def render_summary(facts: Facts) -> str:
    """The summary alone."""
    return word(facts).summary


def minimal(facts: Facts) -> str:
    """The text that needs no template and cannot fail: who, what, where and why."""
    subject = ".".join(name for name in (facts.service, facts.rule) if name) or "the monitor"
    text = f"{subject} is {facts.state}" if facts.state else subject
    if facts.series is not None:
        value = "" if facts.evidence.value is None else f" = {plain_number(facts.evidence.value)}"
        text += f": {facts.series}{value}"
    why = ", ".join(part for part in (str(facts.evidence.reason or ""), facts.evidence.detail[:500]) if part)
    was = "was " if facts.ended_at is not None else ""
    return capped(encodable(f"{text} ({was}{why})" if why else text))


def headline(notice: Notice, wording: Wording) -> str:
    """One line for subjects and small screens: what happened to which rule, then the first line of the summary.

    Of several incidents it says how bad they are, how many, and what they share, before the first of them.
    """
    facts = notice.facts
    summary = wording.summary.strip().splitlines()
    subject = ".".join(name for name in (facts.service, facts.rule) if name)
    first = summary[0].strip() if summary else ""
    said = f"{subject}: {first}" if subject and subject not in first else first or subject
    if is_digest(notice):
        about = ", ".join(part for part in (counted(notice), one_line(shared(notice))) if part)
        said = f"{about}: {said}"
    return f"[{_mark(notice)}] {said}"


def _mark(notice: Notice) -> str:
    page = notice.page
    if page is Page.UPDATED and is_over(notice):
        # What else there is in its group is held back: to the reader it is the end.
        page = Page.CLOSED if notice.facts.state == State.CLOSED else Page.RECOVERED
    note = _NOTES.get(page)
    return _MARKS.get(page) or (f"{worst(notice)}, {note}" if note else str(worst(notice)))


def _with_others(summary: str, notice: Notice) -> str:
    """The text about the first incident, then a line for each other: as many as half of the room has place for."""
    if not is_digest(notice):
        return summary
    lines: list[str] = []
    room = LARGEST_TEXT // 2
    for facts in notice.others:
        line = encodable(one_line(line_about(facts)))
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    more = left_out(notice, 1 + len(lines))
    below = "\n".join([*lines, more] if more else lines)
    return f"{capped(summary, LARGEST_TEXT - len(below.encode()) - 2)}\n\n{below}" if below else summary


def complaint(template: str, variables: tuple[str, ...] = VARIABLES) -> str | None:
    """What is wrong with a template that may name `variables`, in one sentence, or None: for whoever checks a file."""
    from service_monitoring.views import templates  # noqa: PLC0415 - not before there is a template

    return templates.complaint(template, variables)


def complaint_of_channel(template: str) -> str | None:
    """The same for the template of a channel."""
    return complaint(template, (*VARIABLES, *OF_A_CHANNEL))


def _rendered(template: str, variables: dict[str, object]) -> tuple[str, str]:
    """The text and what went wrong, as `templates` say it: where there is no template, neither."""
    if not template:
        return "", ""
    from service_monitoring.views import templates  # noqa: PLC0415 - not before there is a template

    return templates.rendered(template, variables)


def _variables(facts: Facts) -> dict[str, object]:
    evidence, series = facts.evidence, facts.series
    return {
        "service": facts.service,
        "check": series.check if series else "",
        "metric": series.metric if series else "",
        "rule": facts.rule,
        "series": _short(str(series)) if series else "",
        "severity": str(facts.severity),
        "state": facts.state,
        "labels": {name: _short(value) for name, value in facts.labels},
        "value": evidence.value,
        "reason": str(evidence.reason or ""),
        "detail": _short(evidence.detail),
        "cause": facts.cause,
        "incident": facts.incident,
        "breached_at": _moment(facts.breached_at),
        "opened_at": _moment(facts.opened_at),
        "ended_at": _moment(facts.ended_at),
    }


def _of_a_channel(notice: Notice, builtin: Article, summary: str) -> dict[str, object]:
    return {
        "headline": _short(builtin.headline),
        "summary": summary,
        "runbook": builtin.runbook,
        "page": str(notice.page),
        "decided_at": _moment(notice.decided_at),
        "recipient": notice.recipient,
        "open": notice.open,
        "over": notice.over,
        "others": _others(notice),
        "group": {name: _short(value) for name, value in notice.labels},
    }


def _others(notice: Notice) -> list[dict[str, object]]:
    """As many as make no larger a text than a template may: it can show all of them at once, and more than once."""
    kept: list[dict[str, object]] = []
    room = LARGEST_TEXT
    for facts in notice.others:
        known = _variables(facts)
        other = {name: _brief(known[name]) for name in OF_OTHERS}
        room -= len(repr(other))
        if room < 0:
            break
        kept.append(other)
    return kept


def _brief(value: object) -> object:
    if isinstance(value, dict):
        return {name: _brief(each) for name, each in value.items()}
    return shortened(value) if isinstance(value, str) else value


def _complaints(*said: tuple[str, str]) -> list[str]:
    return [f"{name}: {problem}" for name, problem in said if problem]


def _moment(instant: Instant | None) -> str:
    """To the second: nine digits are for ledgers."""
    return "" if instant is None else f"{str(instant)[:19]}Z"


def _short(text: str) -> str:
    return text if len(text) <= LARGEST_VARIABLE else text[: LARGEST_VARIABLE - len(CUT)] + CUT

"""Wording: the text of a notice, from its facts.

Knows the variables of a summary, and how little of Jinja2 a stranger's template may use: it can neither fail a notice,
nor reach anything but the facts, nor cost much time or memory. Does not know channels (`sinks`), clocks or anybody who
is told. What a template may do is a list of what is allowed, checked on its syntax tree before it is compiled: a list
of what is forbidden would miss the next way to double a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2 import Template as Compiled
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
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

LARGEST_TEXT: Final = 32 * 1024
"""Bytes of UTF-8 that a rendered text has at most."""
LARGEST_TEMPLATE: Final = 8 * 1024
"""Characters of a template."""
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
_CUT: Final = "... (cut)"
_DEEPEST: Final = 40
_LARGEST_INTERMEDIATE: Final = 2 * LARGEST_TEXT
_NUMBER: Final = (int, float)

_STATEMENTS: Final = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For)
_EXPRESSIONS: Final = (
    nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test, nodes.CondExpr, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv,
    nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.Tuple, nodes.List, nodes.Keyword, nodes.Slice,
)  # fmt: skip
_TESTS: Final = frozenset({"defined", "undefined", "none", "string", "number", "in", "odd", "even"})
_FILTERS: Final = frozenset(
    {
        "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "format", "int", "items", "join",
        "last", "length", "lower", "replace", "round", "string", "title", "trim", "truncate", "upper",
    }
)  # fmt: skip
_CONVERSION: Final = re.compile(r"%(?:%|[-+ 0#]{0,3}\d{0,2}(?:\.\d{1,2})?[sdifgGeExX])")


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
        return Wording(_capped(_safe(facts.summary)) or minimal(facts), _safe(facts.runbook))
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
        value = "" if facts.evidence.value is None else f" = {_plain(facts.evidence.value)}"
        text += f": {facts.series}{value}"
    why = ", ".join(part for part in (str(facts.evidence.reason or ""), facts.evidence.detail[:500]) if part)
    was = "was " if facts.ended_at is not None else ""
    return _capped(_safe(f"{text} ({was}{why})" if why else text))


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
        line = _safe(one_line(line_about(facts)))
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    more = left_out(notice, 1 + len(lines))
    below = "\n".join([*lines, more] if more else lines)
    return f"{_capped(summary, LARGEST_TEXT - len(below.encode()) - 2)}\n\n{below}" if below else summary


def one_line(text: str) -> str:
    """`text` with everything that is not printable escaped: safe for a terminal, a header or a log line."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text.replace("\n", " ")
    )


# Thousands of services share a handful of templates.
@lru_cache(maxsize=1024)
def complaint(template: str, variables: tuple[str, ...] = VARIABLES) -> str | None:
    """What is wrong with a template that may name `variables`, in one sentence, or None: for whoever checks a file."""
    try:
        source = _parsed(template)
    except _UNUSABLE as error:
        return _sentence(error)
    names = list(source.find_all(nodes.Name))
    known = {*variables, "loop", *(name.name for name in names if name.ctx == "store")}
    for name in names:
        if name.name not in known:
            return f"'{name.name}' is undefined: there are {', '.join(variables)}"
    return None


def complaint_of_channel(template: str) -> str | None:
    """The same for the template of a channel."""
    return complaint(template, (*VARIABLES, *OF_A_CHANNEL))


class _Sandbox(ImmutableSandboxedEnvironment):
    """Attributes and items of plain dicts, items of plain sequences, and nothing that can be called."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if type(obj) in {dict, list, tuple, str}:
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        if isinstance(obj, LoopContext) and argument in {"index", "first", "last", "length"}:
            return getattr(obj, argument)
        return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        return False

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return _format(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "**" or not isinstance(left, _NUMBER) or not isinstance(right, _NUMBER):
            raise SecurityError(f"a template cannot use {operator} here")
        return super().call_binop(context, operator, float(left), float(right))


def _format(text: str, *values: Any) -> str:
    if "%" in _CONVERSION.sub("", text):
        raise SecurityError("a template can use %s, %d, %f, %g, %e and %x only, up to 99 wide")
    made: str = text % values
    return made


def _join(value: Any, separator: str = "") -> str:
    parts = [str(_finished(part)) for part in value]
    if sum(map(len, parts)) + len(separator) * len(parts) > _LARGEST_INTERMEDIATE:
        raise SecurityError("a template made too large a text")
    return separator.join(parts)


def _replace(text: Any, old: str, new: str) -> str:
    given = str(text)
    if len(given) + given.count(old) * len(new) > _LARGEST_INTERMEDIATE:
        raise SecurityError("a template made too large a text")
    return given.replace(old, new)


def _round(value: float, precision: int = 0) -> float:
    # Jinja2's own raises ten to the precision, whatever it is.
    return round(float(value), max(-300, min(int(precision), 300)))


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, str) and len(result) > _LARGEST_INTERMEDIATE:
            raise SecurityError("a template made too large a text")
        return result

    return bounded


def _finished(value: Any) -> Any:
    """What `{{ }}` shows: nothing for what does not apply, whole numbers without a fraction."""
    if value is None:
        return ""
    return _plain(value) if isinstance(value, float) else value


def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, finalize=_finished, cache_size=0)
    environment.globals.clear()
    own: dict[str, Callable[..., Any]] = {"format": _format, "join": _join, "replace": _replace, "round": _round}
    builtin = environment.filters
    environment.filters = {name: _bounded(own.get(name, builtin[name])) for name in _FILTERS}
    environment.tests = {name: test for name, test in environment.tests.items() if name in _TESTS}
    return environment


_ENVIRONMENT: Final = _environment()
# Whatever a stranger's template makes Python raise, deep recursion and huge numbers included.
_UNUSABLE: Final = (
    TemplateError, ArithmeticError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError, AttributeError,
)  # fmt: skip


def _parsed(template: str) -> nodes.Template:
    if len(template) > LARGEST_TEMPLATE:
        raise SecurityError(f"a template has at most {LARGEST_TEMPLATE} characters")
    source = _ENVIRONMENT.parse(template)
    for node in _walk(source):
        if isinstance(node, nodes.Pow):
            raise SecurityError("a template cannot use **")
        if not isinstance(node, (*_STATEMENTS, *_EXPRESSIONS)):
            raise SecurityError(f"a template cannot use {type(node).__name__.lower()}")
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise SecurityError(f"there is no filter '{node.name}': there are {', '.join(sorted(_FILTERS))}")
        if isinstance(node, nodes.Test) and node.name not in _TESTS:
            raise SecurityError(f"there is no test '{node.name}': there are {', '.join(sorted(_TESTS))}")
        if isinstance(node, nodes.For) and (node.recursive or node.find(nodes.For) is not None):
            raise SecurityError("a template cannot loop within a loop")
    return source


def _walk(node: nodes.Node, depth: int = 0) -> Iterator[nodes.Node]:
    if depth > _DEEPEST:
        raise SecurityError(f"a template cannot nest deeper than {_DEEPEST} levels")
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child, depth + 1)


@lru_cache(maxsize=1024)
def _compiled(template: str) -> Compiled | str:
    """The compiled template or what is wrong with it, by its source text, which never changes meaning."""
    try:
        return _ENVIRONMENT.from_string(_parsed(template))
    except _UNUSABLE as error:
        return _sentence(error)


def _rendered(template: str, variables: dict[str, object]) -> tuple[str, str]:
    """The text and what went wrong: with both, the text was cut; without either, there was nothing to say."""
    if not template:
        return "", ""
    compiled = _compiled(template)
    if isinstance(compiled, str):
        return "", compiled
    parts: list[str] = []
    size = 0
    try:
        for part in compiled.generate(variables):
            parts.append(part)
            size += len(part)
            if size > LARGEST_TEXT:
                break
    except _UNUSABLE as error:
        return "", _sentence(error)
    text = _safe("".join(parts))
    capped = _capped(text)
    return capped, "" if capped == text else f"the text was cut at {LARGEST_TEXT} bytes"


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


def _plain(number: float) -> str:
    """A number for people: six digits are enough of one that has a fraction."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.6g}" if 1e-4 <= abs(number) < 1e6 else repr(number)


def _short(text: str) -> str:
    return text if len(text) <= LARGEST_VARIABLE else text[: LARGEST_VARIABLE - len(_CUT)] + _CUT


def _safe(text: str) -> str:
    """Lone surrogates, as undecodable output of a command has them, cannot be sent as UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _capped(text: str, largest: int = LARGEST_TEXT) -> str:
    content = text.encode()
    if len(content) <= largest:
        return text
    return content[: largest - len(_CUT)].decode(errors="ignore") + _CUT


def _sentence(error: Exception) -> str:
    said = one_line(str(error)).strip() or "it failed"
    name = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
    return (name + said)[:300]

"""Templates: how little of Jinja2 a stranger's template may use, and what it makes of the facts it is handed.

It can neither fail a notice, nor reach anything but those facts, nor cost much time or memory. What a template may do
is a list of what is allowed, checked on its syntax tree before it is compiled: a list of what is forbidden would miss
the next way to double a text. Does not know which facts there are, nor what is said without a template (`wording`).
The library takes a while to be imported: `wording` does that when there is a template.
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

from service_monitoring.views.texts import LARGEST_TEXT, capped, encodable, one_line, plain_number

LARGEST_TEMPLATE: Final = 8 * 1024
"""Characters of a template."""

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


# Thousands of services share a handful of templates.
@lru_cache(maxsize=1024)
def complaint(template: str, variables: tuple[str, ...]) -> str | None:
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
    return plain_number(value) if isinstance(value, float) else value


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


def rendered(template: str, variables: dict[str, object]) -> tuple[str, str]:
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
    text = encodable("".join(parts))
    short = capped(text)
    return short, "" if short == text else f"the text was cut at {LARGEST_TEXT} bytes"


def _sentence(error: Exception) -> str:
    said = one_line(str(error)).strip() or "it failed"
    name = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
    return (name + said)[:300]

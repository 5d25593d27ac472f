"""Matchers as people write them: `{severity: critical}`, or `'team=~"pay.*"'`.

Knows their two forms and that their patterns are RE2. Does not match anything.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Annotated, Final

import re2
from pydantic import PlainValidator, WithJsonSchema

from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.rules import Severity
from service_monitoring.settings.problems import InvalidValue, shown

_FORM: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_REMEDY: Final = """write {severity: critical}, or ['team=~"pay.*"']"""


def matchers(given: object) -> tuple[Matcher, ...]:
    """Read either form; anything else is `InvalidValue`."""
    if isinstance(given, dict):
        return tuple(_equality(label, value) for label, value in given.items())
    if isinstance(given, str):
        return (matcher(given),)
    if isinstance(given, list):
        return tuple(found for item in given for found in _item(item))
    raise InvalidValue("matchers are expected here", _REMEDY)


def matcher(text: str) -> Matcher:
    """Read `label=value`, `label!="value"`, `label=~"pattern"` or `label!~"pattern"`."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidValue(f"{shown(text)} is not a matcher", _REMEDY)
    label, sign, value = match.groups()
    if value.startswith('"'):
        try:
            value = json.loads(value)
        except ValueError:
            raise InvalidValue(f"{shown(text)} has a quote that does not end", _REMEDY) from None
    operator = MatchOperator(sign)
    if operator in {MatchOperator.MATCHES, MatchOperator.MATCHES_NOT}:
        _check_pattern(value)
    return _known(Matcher(label, operator, value))


def _item(item: object) -> tuple[Matcher, ...]:
    if isinstance(item, (str, dict)):
        return matchers(item)
    raise InvalidValue("a matcher is expected here", _REMEDY)


def _equality(label: str, value: object) -> Matcher:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", label, re.ASCII):
        raise InvalidValue(f"{shown(label)} is not the name of a label", "use letters, digits and _")
    if not isinstance(value, str):
        raise InvalidValue(f"the value of {label} is not a text", "put it in quotes")
    return _known(Matcher(label, MatchOperator.EQUALS, value))


def _known(made: Matcher) -> Matcher:
    """A misspelt severity would match nothing, silently and for ever."""
    severities = [str(severity) for severity in Severity]
    equal = made.operator in {MatchOperator.EQUALS, MatchOperator.DIFFERS}
    if made.label == "severity" and equal and made.value not in severities:
        raise InvalidValue(f"{shown(made.value)} is not a severity", f"write one of {', '.join(severities)}")
    return made


@lru_cache(maxsize=4096)
def _check_pattern(pattern: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        why = " ".join(part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in error.args)
        problem = f"{shown(pattern)} is not a pattern of RE2 ({why})"
        raise InvalidValue(problem, "write one without look-around and backreferences") from None


MatchersField = Annotated[
    tuple[Matcher, ...],
    PlainValidator(matchers),
    WithJsonSchema(
        {
            "description": "Which labels must hold: {severity: critical}, or ['team=~\"pay.*\"'].",
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": "string"}},
                {
                    "type": "array",
                    "items": {
                        "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}]
                    },
                },
                {"type": "string"},
            ],
        }
    ),
]

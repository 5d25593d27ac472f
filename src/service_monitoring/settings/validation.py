"""Validation: from plain values to a model, with every error turned into a complaint at its place.

Knows how pydantic reports errors, and words them for people. Does not know what any model means. The value that was
given is never quoted here: it may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.secrets import SecretReader, is_reference

Model = TypeVar("Model", bound=BaseModel)

MOST_NAMED: Final = 20
"""How many known names a complaint lists."""

_EXPECTED: Final[Mapping[str, tuple[str, str]]] = {
    "string_type": ("a text is expected here", "put it in quotes"),
    "string_sub_type": ("a text is expected here", "put it in quotes"),
    "int_type": ("a whole number is expected here", "write it without quotes and point"),
    "int_parsing": ("a whole number is expected here", "write it without quotes and point"),
    "int_from_float": ("a whole number is expected here", "write it without a point"),
    "float_type": ("a number is expected here", "write it without quotes"),
    "float_parsing": ("a number is expected here", "write it without quotes"),
    "finite_number": ("a finite number is expected here", "write a number"),
    "bool_type": ("true or false is expected here", "write it without quotes"),
    "bool_parsing": ("true or false is expected here", "write true or false"),
    "list_type": ("a list is expected here", "write [ONE, ANOTHER]"),
    "tuple_type": ("a list is expected here", "write [ONE, ANOTHER]"),
    "set_type": ("a list is expected here", "write [ONE, ANOTHER]"),
    "frozen_set_type": ("a list is expected here", "write [ONE, ANOTHER]"),
    "dict_type": ("a mapping is expected here", "write key: value"),
    "mapping_type": ("a mapping is expected here", "write key: value"),
    "model_type": ("a mapping is expected here", "write key: value"),
    "model_attributes_type": ("a mapping is expected here", "write key: value"),
    "dataclass_type": ("a mapping is expected here", "write key: value"),
}
_MISMATCHES: Final = frozenset({*_EXPECTED, "literal_error", "is_instance_of"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of a model: `path` is relative to what was validated; `key` says that the key itself is at fault."""

    path: KeyPath
    problem: str
    remedy: str
    key: bool = False
    within: bool = False
    """Whether it is one of several errors of the branches of a union."""
    mismatch: bool = False


def validated(
    model: type[Model],
    given: object,
    *,
    secrets: SecretReader,
    report: Callable[[Fault], None],
    besides: Iterable[str] = (),
) -> Model | None:
    """`given` as an instance of `model`, or None after reporting everything that is wrong with it.

    `besides` are keys that are known although they are not the model's.
    """
    try:
        return model.model_validate(given, context={"secrets": secrets})
    except ValidationError as error:
        found = faults(model, given, error, besides=besides, secrets=secrets)
        for fault in found:
            report(fault)
        # Nothing but what stands in for secrets is wrong: then the kind has the rest as it is written.
        return None if found or not isinstance(given, Mapping) else model.model_construct(**given)


def faults_of_given(model: type[BaseModel], given: Mapping[str, Any], *, secrets: SecretReader) -> list[Fault]:
    """What is wrong with the keys that are there, where others may still be missing."""
    try:
        model.model_validate(dict(given), context={"secrets": secrets})
    except ValidationError as error:
        missing = any(detail["type"] == "missing" and len(detail["loc"]) == 1 for detail in error.errors())
        found = faults(model, given, error, secrets=secrets)
        return [fault for fault in found if fault.path or not missing]
    return []


def faults(
    model: type[BaseModel],
    given: object,
    error: ValidationError,
    *,
    besides: Iterable[str] = (),
    secrets: SecretReader | None = None,
) -> list[Fault]:
    """What is wrong, one fault a place: the branches of a union count as one.

    Where `secrets` are not read, what a validator says of a value that holds one is left out.
    """
    found: dict[KeyPath, list[Fault]] = {}
    unread = list(_references(given)) if secrets is not None and secrets.stands_in else []
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "value_error" and _is_around(_existing(given, tuple(detail["loc"])), unread):
            continue
        fault = _fault(model, given, detail, besides)
        found.setdefault(fault.path, []).append(fault)
    holders = {path[:length] for path in found for length in range(len(path))}
    for path, same in found.items():
        if path in holders:
            # Another branch of the union came further: that is the one that was meant.
            found[path] = [fault for fault in same if not (fault.within and fault.mismatch)]
    return [fault for same in found.values() for fault in _joined(same)]


def suggestion(key: str, known: Iterable[str], *, prefix: str = "") -> str:
    """What to write instead of an unknown `key`; `prefix` stands before each name, and makes none alike."""
    names = sorted(known)
    close = get_close_matches(key[:100], names, 1, 0.6)
    if close:
        return f"write {prefix}{close[0]}"
    if not names:
        return "remove it"
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"known here: {', '.join(prefix + name for name in names[:MOST_NAMED])}{more}"


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """The keys of `model` as they are written, with the types of their values."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _fault(model: type[BaseModel], given: object, detail: Mapping[str, Any], besides: Iterable[str]) -> Fault:
    location, sort = tuple(detail["loc"]), detail["type"]
    context = detail.get("ctx", {})
    if sort == "extra_forbidden":
        key = str(location[-1])
        path = (*_existing(given, location[:-1]), key)
        known = _keys_at(model, path[:-1]) | (set(besides) if len(path) == 1 else set())
        return Fault(path, "nothing of this name is known here", suggestion(key, known), key=True)
    if sort == "missing":
        return Fault(_existing(given, location[:-1]), f"{location[-1]} is missing", f"add {location[-1]}: ...")
    path = _existing(given, location)
    is_key = bool(location) and location[-1] == "[key]"
    within = len(path) < len(location) and not is_key
    problem, remedy = _worded(sort, context, str(detail["msg"]))
    return Fault(path, problem, remedy, key=is_key, within=within, mismatch=sort in _MISMATCHES)


def _worded(sort: str, context: Mapping[str, Any], message: str) -> tuple[str, str]:
    cause = context.get("error")
    if isinstance(cause, InvalidValue):
        return cause.problem, cause.remedy
    if sort in _EXPECTED:
        return _EXPECTED[sort]
    if sort == "literal_error":
        possible = str(context.get("expected", "")).replace("'", "").replace("True", "true")
        return "this is none of what is possible here", f"write {possible}"
    if cause is not None:
        return _plain(str(cause)) or "this value cannot be used", ""
    return _plain(message), ""


def _plain(message: str) -> str:
    """A message of pydantic in our manner: one line, no capital."""
    text = " ".join(message.removeprefix("Value error, ").split())
    for opening in ("Input should ", "Value should "):
        if text.startswith(opening):
            return "this should " + text.removeprefix(opening)
    return text[:1].lower() + text[1:]


def _joined(same: list[Fault]) -> list[Fault]:
    """One fault for the branches of a union: those that came furthest, or all of them in one sentence."""
    branches = [fault for fault in same if fault.within]
    if len(branches) < 2:
        return same
    furthest = [fault for fault in branches if not fault.mismatch] or branches
    problems = " or ".join(dict.fromkeys(fault.problem for fault in furthest))
    remedies = " or ".join(dict.fromkeys(fault.remedy for fault in furthest if fault.remedy))
    first = furthest[0]
    return [*(fault for fault in same if not fault.within), Fault(first.path, problems, remedies, key=first.key)]


def _existing(given: object, location: KeyPath) -> KeyPath:
    """`location` without the steps that `given` does not have: pydantic names branches and validators, too."""
    steps: list[str | int] = []
    value: Any = given
    for step in location:
        in_list = isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
        if not in_list and not (isinstance(value, dict) and step in value):
            continue
        value = value[step]
        steps.append(step)
    return tuple(steps)


def _references(given: object, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Where secrets are referred to."""
    if is_reference(given):
        yield above
    elif isinstance(given, Mapping):
        for key, value in given.items():
            yield from _references(value, (*above, key))


def _is_around(path: KeyPath, inner: Iterable[KeyPath]) -> bool:
    return any(each[: len(path)] == path for each in inner)


def _keys_at(model: type[BaseModel], path: KeyPath) -> set[str]:
    """The keys that are known where `path` leads."""
    candidates: list[Any] = [model]
    for step in path:
        candidates = [
            inner for candidate in candidates for part in parts_of(candidate) for inner in _inside(part, step)
        ]
    parts = [part for candidate in candidates for part in parts_of(candidate)]
    return {key for part in parts if _is_model(part) for key in fields_of(part)}


def parts_of(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type, without what is only noted beside them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from parts_of(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for part in get_args(annotation):
            yield from parts_of(part)
    else:
        yield annotation


def _inside(part: Any, step: str | int) -> list[Any]:
    if _is_model(part):
        found = fields_of(part).get(str(step))
        return [] if found is None else [found]
    arguments = get_args(part)
    return [arguments[-1] if isinstance(step, str) else arguments[0]] if arguments else []


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)

"""Overriding: one value of a file in place of another, so that a rehearsal can try many.

Knows how a sweep is written, `shop.slow.above=0.4:1.2:0.1`, and where its key stands in the files that were read. The
value is put there before anything is validated: what the file could not say, no sweep can. Does not know what a key
means, nor who tries the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from math import prod
from typing import Any, Final

from service_monitoring.domain.instants import Duration
from service_monitoring.settings.complaints import Complaint, InvalidSettings, KeyPath, path_text
from service_monitoring.settings.gather import Gathered
from service_monitoring.settings.lengths import duration, duration_text, size
from service_monitoring.settings.problems import InvalidValue, shown
from service_monitoring.settings.rule_shapes import operand
from service_monitoring.settings.validation import suggestion

MOST_POINTS: Final = 200
"""Rehearsals that one command runs: more than anybody looks at in a curve, few enough for an afternoon."""

_FORM: Final = "write KEY=FROM:TO:STEP or KEY=VALUE,VALUE, as shop.slow.above=0.4:1.2:0.1"
KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,100}(?:\[\d{1,4}\])*(?:\.[A-Za-z0-9_-]{1,100}(?:\[\d{1,4}\])*)*", re.ASCII)
_STEP: Final = re.compile(r"[A-Za-z0-9_-]+|\[\d+\]", re.ASCII)
_NUMBER: Final = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,12})?(?:[eE][-+]?\d{1,2})?", re.ASCII)
_UNIT: Final = re.compile(r"[A-Za-z]*\Z")
MAY_BE_ADDED: Final = frozenset({"for", "group_wait", "group_interval", "repeat_interval", "repeat"})
"""What means something where it is left out, and can be swept there, too."""


@dataclass(frozen=True, slots=True)
class Variation:
    """One value under one key. `given` is what the file would say, `text` how people write it."""

    key: str
    text: str
    given: int | float | str

    def __str__(self) -> str:
        """As it is written on a command line."""
        return f"{self.key}={self.text}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """The values that are tried under one key, in the order in which they were given."""

    key: str
    variations: tuple[Variation, ...]


def sweep(text: str) -> Sweep:
    """Read `shop.slow.for=1m:10m:1m` or `shop.slow.above=0.4,0.8`; `InvalidValue` where it says nothing of that form.

    Numbers, durations and sizes are stepped exactly, and the upper end is one of the values where a step hits it.
    """
    key, equals, values = text.partition("=")
    if not equals or not values or KEY.fullmatch(key) is None:
        raise InvalidValue(f"{shown(text)} says no values of a key", _FORM)
    parts = values.split(":")
    if len(parts) == 1:
        found = [_single(value, key) for value in values.split(",")]
    elif len(parts) == 3:
        found = list(_stepped(parts[0], parts[1], parts[2], key))
    else:
        raise InvalidValue(f"{shown(values)} is neither a range nor a list of values", _FORM)
    if len(found) > MOST_POINTS:
        raise _too_many(len(found))
    return Sweep(key, tuple(dict.fromkeys(found)))


def grid(sweeps: Sequence[Sweep]) -> tuple[tuple[Variation, ...], ...]:
    """Every combination of the values of all sweeps, the last of them changing first. Without a sweep there is none."""
    keys = [each.key for each in sweeps]
    for key in keys:
        if keys.count(key) > 1:
            raise InvalidValue(f"{key} is swept twice", "give all its values at once")
    if not sweeps:
        return ()
    count = prod(len(each.variations) for each in sweeps)
    if count > MOST_POINTS:
        raise _too_many(count)
    return tuple(product(*(each.variations for each in sweeps)))


def override(gathered: Gathered, variation: Variation) -> KeyPath:
    """Put the value into what was read, and give back where; `InvalidSettings` where there is nothing of that name."""
    path = located(gathered, variation)
    holder: Any = gathered.data
    for step in path[:-1]:
        # Aliases share values, and only this one is meant.
        inner = holder[step]
        holder[step] = dict(inner) if isinstance(inner, dict) else list(inner)
        holder = holder[step]
    holder[path[-1]] = variation.given
    return path


def in_force(gathered: Gathered, sweeps: Sequence[Sweep]) -> tuple[str, ...] | None:
    """The values that the file has, as the sweeps write them; None where one of them tries others only."""
    found: list[str] = []
    for each in sweeps:
        holder: Any = gathered.data
        for step in located(gathered, each.variations[0]):
            holder = holder[step] if _has(holder, step) else None
        same = [variation.text for variation in each.variations if _measure(variation.given) == _measure(holder)]
        found += same[:1]
    return tuple(found) if len(found) == len(sweeps) else None


def _measure(given: object) -> object:
    """What a value comes to, so that `800ms` and `0.8` are the same; what a file leaves out is mostly nothing."""
    try:
        return operand(0 if given is None else given)
    except InvalidValue:
        return given


def blamed(complaints: Sequence[Complaint], put: Sequence[tuple[KeyPath, Variation]]) -> list[Complaint]:
    """The complaints, and which value that was tried may have brought each about."""
    return [_blamed(complaint, put) for complaint in complaints]


def _blamed(complaint: Complaint, put: Sequence[tuple[KeyPath, Variation]]) -> Complaint:
    tried = [str(variation) for path, variation in put if complaint.path.startswith(path_text(path[:4]))]
    if not tried:
        return complaint
    problem = f"with {' and '.join(tried)}, {complaint.problem}"
    return Complaint(complaint.place, complaint.path, problem, complaint.remedy)


# Values ---------------------------------------------------------------------------------------------------------------


def _single(text: str, key: str) -> Variation:
    text = text.strip()
    if not text:
        raise InvalidValue("a value is missing", _FORM)
    if _NUMBER.fullmatch(text) is not None:
        return Variation(key, text, _plain(Decimal(text)))
    return Variation(key, text, text)


def _stepped(first: str, last: str, step: str, key: str) -> Iterator[Variation]:
    """The values of a range: all three are numbers, durations or sizes, and `0` is any of them."""
    texts = tuple(text.strip() for text in (first, last, step))
    for read in (_numbers, _durations, _sizes):
        found = read(texts)
        if found is not None:
            (begin, end, width), text_of = found
            break
    else:
        problem = f"{shown(':'.join(texts))} is not a range of numbers, durations or sizes"
        raise InvalidValue(problem, "write 0.4:1.2:0.1, 1m:10m:1m or 1MiB:8MiB:1MiB")
    if width <= 0:
        raise InvalidValue(f"the step {texts[2]} leads nowhere", "write a step above 0")
    if end < begin:
        raise InvalidValue(f"the range ends at {texts[1]}, before it begins at {texts[0]}", "write the lower end first")
    count = int((end - begin) // width) + 1
    if count > MOST_POINTS:
        raise _too_many(count)
    for index in range(count):
        value = begin + index * width
        text = text_of(value)
        yield Variation(key, text, _plain(value) if text_of is _decimal_text else text)


_Read = tuple[tuple[Decimal, ...], Any]


def _numbers(texts: tuple[str, ...]) -> _Read | None:
    if any(_NUMBER.fullmatch(text) is None for text in texts):
        return None
    return tuple(map(Decimal, texts)), _decimal_text


def _durations(texts: tuple[str, ...]) -> _Read | None:
    try:
        lengths = tuple(Decimal(duration(text)) for text in texts)
    except InvalidValue:
        return None
    return lengths, lambda value: duration_text(Duration(int(value)))


def _sizes(texts: tuple[str, ...]) -> _Read | None:
    """In the unit of the step, which every value is a whole or decimal number of."""
    try:
        sizes = tuple(Decimal(size(text)) for text in texts)
    except InvalidValue:
        return None
    unit = _unit(texts[2])
    scale = Decimal(size(f"1{unit}"))
    return sizes, lambda value: f"{_decimal_text(value / scale)}{unit}"


def _unit(text: str) -> str:
    match = _UNIT.search(text)
    return match[0] if match is not None else ""


def _plain(value: Decimal) -> int | float:
    """As a file would say it: a whole number stays one, so that it may count samples."""
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal_text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _too_many(count: int) -> InvalidValue:
    return InvalidValue(f"these are {count} variants, and at most {MOST_POINTS} are tried", "write a larger step")


# Places ---------------------------------------------------------------------------------------------------------------


def located(gathered: Gathered, variation: Variation) -> KeyPath:
    """Where the key of a variation stands; `InvalidSettings` where nothing of that name does."""
    steps = _steps(variation.key)
    if steps[0] == "routes" and len(steps) > 1 and isinstance(steps[1], int):
        return _within(gathered, (), steps, variation)
    if len(steps) < 3 or not isinstance(steps[1], str):
        problem = "this names no key of a rule or route"
        raise _complaint(gathered, (), variation, problem, "write SERVICE.RULE.KEY, or routes[0].group_wait")
    service, rule, inner = str(steps[0]), steps[1], steps[2:]
    services = _mapping(gathered.data.get("services"))
    if service not in services:
        remedy = suggestion(service, services)
        raise _complaint(gathered, ("services",), variation, f"there is no service {service}", remedy)
    rules = _mapping(_mapping(services[service]).get("rules"))
    if rule not in rules:
        known = suggestion(rule, rules, prefix=f"{service}.")
        raise _complaint(gathered, ("services", service), variation, f"{service} has no rule {rule}", known)
    return _within(gathered, ("services", service, "rules", rule), inner, variation)


def _within(gathered: Gathered, base: KeyPath, steps: KeyPath, variation: Variation) -> KeyPath:
    """The whole path of `steps` below `base`. What a rule itself does not have is looked up in its condition."""
    holder: Any = gathered.data
    for step in base:
        holder = holder[step]
    condition = _mapping(_mapping(holder).get("when"))
    if base and not _has(holder, steps[0]) and _has(condition, steps[0]):
        base, holder = (*base, "when"), condition
    path = base
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        there = _has(holder, step) or (last and step in MAY_BE_ADDED and isinstance(holder, dict))
        if not there:
            raise _missing(gathered, path, step, holder, variation)
        path = (*path, step)
        holder = None if last and not _has(holder, step) else holder[step]
    if isinstance(holder, dict | list):
        said = ", ".join(_leaves(holder)) or "nothing"
        problem = f"this is more than one value: {said}"
        raise _complaint(gathered, path, variation, problem, "name one of them")
    return path


def _missing(gathered: Gathered, path: KeyPath, step: str | int, holder: Any, variation: Variation) -> InvalidSettings:
    who = variation.key.rpartition(f"[{step}]" if isinstance(step, int) else f".{step}")[0] or path_text(path)
    if not path:
        return _complaint(gathered, (), variation, f"the file has no {step}", "add it to the file")
    leaves = [f"[{index}]" for index in range(len(holder))] if isinstance(holder, list) else list(_leaves(holder))
    what = f"no [{step}]" if isinstance(step, int) else f"no {step}"
    has = f"{who} has {', '.join(leaves)} and {what}" if leaves else f"{who} has {what}"
    example = next((leaf.partition(":")[0] for leaf in leaves), "")
    remedy = f"write {who}.{example}={variation.text}, or add it to the file" if example else "add it to the file"
    if isinstance(holder, list):
        remedy = f"name one from [0] to [{len(holder) - 1}]" if holder else "add it to the file"
    return _complaint(gathered, path, variation, has, remedy)


def _leaves(holder: Any, above: str = "") -> Iterator[str]:
    """The single values of a mapping or list, as `recover.below: 0.5`; what a condition has by its own name."""
    steps = enumerate(holder) if isinstance(holder, list) else _mapping(holder).items()
    for step, value in steps:
        name = f"{above}[{step}]" if isinstance(step, int) else f"{above}.{step}" if above else str(step)
        if isinstance(value, dict | list):
            yield from _leaves(value, "" if name == "when" else name)
        elif isinstance(value, int | float) or (isinstance(value, str) and step not in _WORDS):
            yield f"{name}: {value if not isinstance(value, str) else value[:40]}"


_WORDS: Final = frozenset({"check", "metric", "summary", "runbook", "severity", "state", "no_data"})
"""What a rule says in words: nobody means these by a number."""


def _complaint(
    gathered: Gathered, path: KeyPath, variation: Variation, problem: str, remedy: str = ""
) -> InvalidSettings:
    return InvalidSettings([Complaint(gathered.place_of_key(path), f"--sweep {variation.key}", problem, remedy)])


def _steps(key: str) -> KeyPath:
    return tuple(int(step[1:-1]) if step[0] == "[" else step for step in _STEP.findall(key))


def _has(holder: Any, step: str | int) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and step < len(holder)
    return isinstance(holder, dict) and step in holder


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

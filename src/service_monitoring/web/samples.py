"""Pushed samples as JSON: each read by itself, so that a bad one does not spoil the others.

Knows what a sample must look like. Pure: what becomes of a good one is not known here.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from service_monitoring.domain.inputs import PushedSample
from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Refused
from service_monitoring.views.intake import Refusal

MOST_SAMPLES: Final = 1_000
_MOST_LABELS: Final = 32
_LONGEST: Final = 200

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", re.ASCII)
_RESERVED: Final = frozenset({"service", "check", "metric", "rule", "severity"})
_KEYS: Final = frozenset({"at", "metric", "value", "labels"})


def read(body: bytes, now: Instant) -> list[PushedSample | Refusal]:
    """The samples of a body, in their order, those without an instant at `now`; `Refused` when it is no such body."""
    try:
        # The standard library's parser: it gives NaN and infinity to us, to be refused where they stand.
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    samples = given.get("samples") if isinstance(given, dict) else None
    if not isinstance(samples, list) or not samples:
        raise Refused('the body holds no samples: send {"samples": [{"metric": "orders", "value": 3}]}')
    if len(samples) > MOST_SAMPLES:
        raise Refused(f"{len(samples)} samples are too many: send {MOST_SAMPLES} at once at most")
    return [_sample(each, now) for each in samples]


def _sample(given: Any, now: Instant) -> PushedSample | Refusal:
    if not isinstance(given, dict):
        return Refusal("a sample is an object with metric and value")
    unknown = sorted(given.keys() - _KEYS)
    if unknown:
        return Refusal(f"nothing of the name {_shown(unknown[0])} is known here: at, metric, value and labels are")
    try:
        metric = _metric(given.get("metric"))
        return PushedSample(
            _instant(given.get("at"), now), metric, _value(metric, given.get("value")), _labels(given.get("labels"))
        )
    except Refused as refused:
        return Refusal(str(refused))


def _metric(given: Any) -> str:
    if not isinstance(given, str) or _METRIC.fullmatch(given) is None:
        raise Refused(f"{_shown(given)} is not the name of a metric: letters, digits, _ and : make one")
    return given


def _value(metric: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise Refused(f"{metric} has no number as its value")
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise Refused(f"{metric} is {'NaN' if math.isnan(value) else 'infinite'}, which is not a finite number")
    return value


def _instant(given: Any, now: Instant) -> Instant:
    if given is None:
        return now
    if isinstance(given, str):
        return Instant.parse(given[:64])
    if isinstance(given, bool) or not isinstance(given, int):
        raise Refused("at is neither RFC 3339, as 2026-01-05T12:00:00Z, nor a whole number of nanoseconds")
    if not 0 <= given < 2**63:
        raise Refused("at is too far away: it counts nanoseconds since 1970")
    return Instant(given)


def _labels(given: Any) -> tuple[tuple[str, str], ...]:
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise Refused("labels are an object of texts")
    if len(given) > _MOST_LABELS:
        raise Refused(f"{len(given)} labels are too many: {_MOST_LABELS} are the most")
    for name, value in given.items():
        if _LABEL.fullmatch(name) is None:
            raise Refused(f"{_shown(name)} is not the name of a label: letters, digits and _ make one")
        if name in _RESERVED:
            raise Refused(f"the label {name} is ours: choose another name")
        if not isinstance(value, str) or len(value) > _LONGEST or not _is_text(value):
            raise Refused(f"the label {name} is not a text of {_LONGEST} characters at most")
    return tuple(sorted(given.items()))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(given: Any) -> str:
    """What was sent, in quotes and plain ASCII, short enough for a sentence."""
    return json.dumps(given)[:80] if isinstance(given, str | int | float) else "a value that is no text"

"""Quantities: options that are durations and sizes as people write them, `1h30m` and `1MiB`.

Knows how models read them (`lengths` knows the texts). A duration becomes an integer of nanoseconds and a size an
integer of bytes, exactly: no float is in between. A bare number is refused as a duration, because nobody can see its
unit.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from service_monitoring.domain.instants import Duration
from service_monitoring.settings.lengths import REMEDY, UNITS, duration, duration_text, size
from service_monitoring.settings.problems import InvalidValue


def _duration_field(given: object) -> Duration:
    if isinstance(given, str):
        return duration(given)
    if isinstance(given, int) and not isinstance(given, bool):
        if given == 0:
            return Duration(0)
        raise InvalidValue(
            f"{given} is a number without a unit, not a duration", f"write {given}s, {given}m or {given}h"
        )
    raise InvalidValue("a duration is expected here", REMEDY)


def _size_field(given: object) -> int:
    if isinstance(given, str):
        return size(given)
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    raise InvalidValue("a size is expected here", "write 512, 64KiB, 1MiB, 1.5GB")


DurationField = Annotated[
    Duration,
    BeforeValidator(_duration_field),
    PlainSerializer(duration_text),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": "^(0|" + "".join(rf"(\d+(\.\d+)?{unit})?" for unit in UNITS) + ")$",
            "maximum": 0,
            "description": "A duration: 500ms, 90s, 2m, 1h30m, 14d, 2w.",
        }
    ),
]
"""The annotation of an option that is a duration: written as text, held in nanoseconds (`Duration`).

Defaults are given as values: `timeout: DurationField = Duration(5 * SECOND)`.
"""

SizeField = Annotated[
    int,
    BeforeValidator(_size_field),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^\d+(\.\d+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$",
            "description": "A size in bytes: 512, 64KiB, 1MiB, 1.5GB.",
        }
    ),
]
"""The annotation of an option that is a size: written as text or as a number of bytes, held in bytes."""

"""Performance data: the numbers that a plugin of Nagios prints after the bar.

Knows text alone: `label=value[unit];warn;crit;min;max`, as the guidelines of the Monitoring Plugins project have it.
The thresholds are dropped: rules are this system's own.

A prefix of bytes is a power of 1024, however it is written: the plugins divide by that when they print MB.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from typing import Final

from service_monitoring.domain.samples import Measurement

MOST: Final = 500
"""Numbers taken from one output: each is a series to keep."""

# Nothing but the beginning of a word is tried, and no label is endless: the time is linear in what a stranger prints.
_PAIR: Final = re.compile(
    r"(?<!\S)(?:'(?P<quoted>(?:[^']|''){1,200}+)'|(?P<plain>[^\s='|]{1,200}+))="
    r"(?P<value>[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?|U)(?P<unit>[^\s;\d]*)(?:;\S*)?"
)
_UNITS: Final[dict[str, tuple[float, str]]] = {
    "": (1, ""), "c": (1, "_total"), "%": (1, "_percent"),
    "s": (1, "_seconds"), "ms": (1e-3, "_seconds"), "us": (1e-6, "_seconds"), "ns": (1e-9, "_seconds"),
    "b": (1, "_bytes"), "kb": (2**10, "_bytes"), "mb": (2**20, "_bytes"), "gb": (2**30, "_bytes"),
    "tb": (2**40, "_bytes"), "pb": (2**50, "_bytes"),
    "kib": (2**10, "_bytes"), "mib": (2**20, "_bytes"), "gib": (2**30, "_bytes"), "tib": (2**40, "_bytes"),
}  # fmt: skip


def split(output: str) -> tuple[str, str]:
    """What a plugin says, as its first line, and its performance data.

    The first line and the lines after it may each carry data behind their first bar.
    """
    first, _, rest = output.partition("\n")
    text, _, data = first.partition("|")
    _, _, more = rest.partition("|")
    return text.strip(), f"{data} {more}"


def measurements(data: str, *, taken: Collection[str]) -> Iterator[Measurement]:
    """The numbers in `data`, at most `MOST`, each metric once; the first of two that would be called the same stands.

    A metric of one of the names in `taken` is prefixed with `plugin_`. What is not a number (`U`), or has a unit that
    nobody knows, is left out: it must not pass for something else.
    """
    given: set[str] = set()
    for match in _PAIR.finditer(data):
        unit = _UNITS.get(match["unit"].lower())
        if match["value"] == "U" or unit is None:
            continue
        factor, suffix = unit
        value = float(match["value"].replace(",", ".")) * factor
        metric = _metric(match["quoted"] or match["plain"], suffix)
        if metric in taken:
            metric = f"plugin_{metric}"
        if math.isfinite(value) and metric not in given:
            given.add(metric)
            yield Measurement(metric, value)
        if len(given) == MOST:
            return


def _metric(label: str, suffix: str) -> str:
    """`label` in lower case with underscores; `value` where nothing is left of it, as of the root's `/`."""
    name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")[:100] or "value"
    if name[0].isdigit():
        name = f"_{name}"
    return name if name.endswith(suffix) else f"{name}{suffix}"

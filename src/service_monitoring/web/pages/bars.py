"""Bars of days, and badges: small drawings of how a service was and is.

Knows SVG, without styles of its own: classes and attributes alone. A state has a form besides its colour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from msgspec import Struct

from service_monitoring.views.days import DayRow
from service_monitoring.views.status import PublicState, percent

_STEP: Final = 4
_WIDE: Final = 3
_FORMS: Final = {
    PublicState.OPERATIONAL: "M{x} 0h3v32h-3z",
    PublicState.DEGRADED: "M{x} 12h3v20h-3z",
    PublicState.OUTAGE: "M{x} 20h3v12h-3z",
    PublicState.MAINTENANCE: "M{x} 0h3v13h-3zM{x} 19h3v13h-3z",
    PublicState.UNKNOWN: "M{x} 28h3v4h-3z",
}
_COLOURS: Final = {
    PublicState.OPERATIONAL: "#1a7f37",
    PublicState.DEGRADED: "#8a5a00",
    PublicState.OUTAGE: "#b62324",
    PublicState.MAINTENANCE: "#6639ba",
    PublicState.UNKNOWN: "#57606a",
}


class Bars(Struct, frozen=True):
    """A drawing of days: a path for each state, and what is to be said of the days on which not all was well.

    A remark is where it begins, how wide it is, and the words: days in a row of which the same is to be said share one.
    """

    width: int
    paths: tuple[tuple[str, str], ...]
    remarks: tuple[tuple[int, int, str], ...]
    text: str


def bars(days: Sequence[DayRow]) -> Bars:
    """The drawing of these days, a bar each."""
    paths: dict[PublicState, list[str]] = {}
    counted: Counter[PublicState] = Counter()
    for place, day in enumerate(days):
        state = state_of(day)
        counted[state] += 1
        paths.setdefault(state, []).append(_FORMS[state].format(x=place * _STEP))
    said = ", ".join(f"{counted[state]} {_WORDS[state]}" for state in PublicState if counted[state])
    return Bars(
        width=max(1, len(days) * _STEP - 1),
        paths=tuple((str(state), "".join(parts)) for state, parts in paths.items()),
        remarks=tuple(_remarks(days)),
        text=f"Of {len(days)} days: {said}",
    )


def _remarks(days: Sequence[DayRow]) -> Iterator[tuple[int, int, str]]:
    place = 0
    for words, run in groupby(days, _remark):
        some = list(run)
        if state_of(some[0]) is not PublicState.OPERATIONAL:
            when = some[0].day if len(some) == 1 else f"{some[0].day} to {some[-1].day}"
            yield place * _STEP, len(some) * _STEP, f"{when}: {words}"
        place += len(some)


_WORDS: Final = {
    PublicState.OPERATIONAL: "operational",
    PublicState.DEGRADED: "degraded at times",
    PublicState.OUTAGE: "with an outage",
    PublicState.MAINTENANCE: "with planned work",
    PublicState.UNKNOWN: "unknown",
}


def state_of(day: DayRow) -> PublicState:
    """The worst that a day had; it is unknown where that is most of it."""
    if day.down:
        return PublicState.OUTAGE
    if day.degraded:
        return PublicState.DEGRADED
    if day.unknown > 0.5:
        return PublicState.UNKNOWN
    return PublicState.MAINTENANCE if day.maintenance else PublicState.OPERATIONAL


def _remark(day: DayRow) -> str:
    parts = (
        (day.down, "not working"),
        (day.degraded, "degraded"),
        (day.maintenance, "planned work"),
        (day.unknown, "unknown"),
    )
    return ", ".join(f"{_length(share)} {word}" for share, word in parts if share)


def _length(share: float) -> str:
    minutes = round(share * 24 * 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"


def colour_of(state: PublicState) -> str:
    """On which white is read well."""
    return _COLOURS[state]


def uptime_colour(uptime: float | None) -> str:
    """Of an uptime: good from 99.9 % on, bad below 99 %."""
    if uptime is None:
        return _COLOURS[PublicState.UNKNOWN]
    state = PublicState.OPERATIONAL if uptime >= 0.999 else PublicState.DEGRADED
    return _COLOURS[state if uptime >= 0.99 else PublicState.OUTAGE]


def uptime_text(uptime: float | None) -> str:
    """An uptime in a badge."""
    return "no data" if uptime is None else percent(uptime)


def badge(label: str, message: str, colour: str) -> bytes:
    """A flat badge. Its width is that of the text in Verdana, nearly: the text is fitted into it."""
    left, right = _wide(label), _wide(message)
    whole = left + right
    drawing = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(whole),
            "height": "20",
            "role": "img",
            "aria-label": f"{label}: {message}",
        },
    )
    SubElement(drawing, "title").text = f"{label}: {message}"
    SubElement(drawing, "rect", {"width": str(whole), "height": "20", "rx": "3", "fill": colour})
    form = f"M3 0h{left - 3}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z"
    SubElement(drawing, "path", {"d": form, "fill": "#3d444d"})
    words = SubElement(
        drawing,
        "g",
        {"fill": "#fff", "text-anchor": "middle", "font-family": "Verdana,Geneva,sans-serif", "font-size": "11"},
    )
    for text, middle, wide in ((label, left / 2, left), (message, left + right / 2, right)):
        place = {"x": f"{middle:g}", "y": "14", "textLength": str(wide - 10), "lengthAdjust": "spacingAndGlyphs"}
        SubElement(words, "text", place).text = text
    return str(tostring(drawing, encoding="unicode")).encode()


def _wide(text: str) -> int:
    narrow = sum(each in "fijlrt.,:;!'|()[] " for each in text)
    broad = sum(each in "mwMW%@" or ord(each) > 0x2E80 for each in text)
    return round(6.9 * (len(text) - narrow - broad) + 4.2 * narrow + 10.5 * broad) + 10

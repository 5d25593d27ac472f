"""Charts: the shapes of a drawing from values, written as SVG.

Across, everything stands in per cent, so that letters keep their size from a telephone to a wall; lines and bands lie
in an inner drawing that is stretched. Classes give colours where a style sheet is; attributes give them where a picture
stands alone. No style, no script. Knows values and limits; does not know who asked for them, nor a page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

from msgspec import Struct

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant
from service_monitoring.views.days import DayRow
from service_monitoring.views.service import Around, Bucket, LimitRow, Line, PhaseRow, SpanRow

PLOT: Final = 220
"""Pixels of the area in which a line is drawn."""
_TOP: Final = 18
_AXIS: Final = 24
_ACROSS: Final = 1000
_MOST_TICKS: Final = 10
_MOST_LIMITS: Final = 8
_MOST_ROWS: Final = 60
_FAR: Final = 4.0
"""A limit so many times as far away as the values is named at the edge, or the line would lie flat."""
_LETTERS: Final = 48
_STEPS: Final = (
    *(SECOND * each for each in (1, 5, 10, 30)),
    *(MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(HOUR * each for each in (1, 2, 3, 6, 12)),
    *(DAY * each for each in (1, 2, 5, 10, 20, 40, 80)),
)
_UNWRITABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONDITIONS: Final = ("down", "degraded", "unknown", "maintenance", "up")
_HEIGHTS: Final = {"up": 34, "degraded": 25, "maintenance": 34, "down": 16, "unknown": 8}
_COLOURS: Final = {
    "line": "#0860c7", "band": "#9cc3ee", "grid": "#d1d9e0", "text": "#59636e", "breach": "#cf222e", "worse": "#8a1c27",
    "recovery": "#1a7f37", "incident": "#cf222e", "gap": "#8b949e", "maintenance": "#6639ba", "ground": "#ffffff",
    "up": "#1a7f37", "down": "#cf222e", "degraded": "#b26a00", "unknown": "#8b949e",
    "dns": "#8250df", "connect": "#0860c7", "tls": "#0a7a83", "first_byte": "#b26a00", "rest": "#8b949e",
}  # fmt: skip


class Scale(Struct, frozen=True):
    """Values from `least` to `greatest` on the plot, with round values between at which lines are drawn."""

    least: float
    greatest: float
    steps: tuple[float, ...]

    def down(self, value: float) -> float:
        """Pixels below the top of the plot."""
        share = (value - self.least) / (self.greatest - self.least)
        return round(PLOT * (1 - min(max(share, 0.0), 1.0)), 1)


class Row(Struct, frozen=True):
    """One row of the table that says what a drawing shows."""

    began: str
    count: int
    least: str
    mean: str
    greatest: str


def line_chart(line: Line, around: Around, *, name: str = "chart", width: int | None = None) -> str:
    """A line with its band, limits, incidents, gaps and planned work. With a width it is a picture of its own."""
    began, ended = Instant.parse(line.began).ns, Instant.parse(line.ended).ns
    across = _Across(began, ended)
    scale = scale_of(line)
    title = f"{line.series.metric} of {line.service}/{line.series.check}"
    drawing = _drawing(name, _TOP + PLOT + _AXIS, title, says(line, around), width)
    _patterns(drawing, name)
    if width is not None:
        _rect(drawing, 0, 0, 100, _TOP + PLOT + _AXIS, "ground", _COLOURS["ground"])
    _spans(drawing, across, line, around, name)
    for value in scale.steps:
        down = _TOP + scale.down(value)
        _rule(drawing, down, "grid", _COLOURS["grid"])
        _text(drawing, 0, down - 4, worded(value, line.series.metric), "tick")
    inner = SubElement(
        drawing, "svg", x="0", y=str(_TOP), width="100%", height=str(PLOT), viewBox=f"0 0 {_ACROSS} {PLOT}",
        preserveAspectRatio="none",
    )  # fmt: skip
    for run in runs(line.buckets):
        _run(inner, run, across, scale)
    _limits(drawing, line, scale)
    _axis(drawing, across)
    return _written(drawing)


def phases_bar(phases: Sequence[PhaseRow], *, name: str = "phases") -> str:
    """What a run spent its time on, one after the other."""
    whole = sum(each.seconds for each in phases) or 1.0
    parts = ", ".join(f"{phase_name(each.name)} {milliseconds(each.seconds)}" for each in phases)
    drawing = _drawing(name, 14, "Phases of the newest run", f"{parts}.")
    left = 0.0
    for each in phases:
        share = 100 * each.seconds / whole
        rect = _rect(drawing, left, 0, share, 14, f"phase phase-{each.name}", _COLOURS.get(each.name, "#8b949e"))
        SubElement(rect, "title").text = _clean(f"{phase_name(each.name)}: {milliseconds(each.seconds)}")
        left += share
    return _written(drawing)


def days_bar(days: Sequence[DayRow], *, name: str = "days") -> str:
    """How each of the days was: of colour, height and pattern each tells the condition."""
    counts = {word: sum(condition(each) == word for each in days) for word in _CONDITIONS}
    parts = ", ".join(f"{word} {count}" for word, count in counts.items() if count)
    drawing = _drawing(name, 34, f"The last {len(days)} days", f"Days by their worst condition: {parts or 'none'}.")
    _patterns(drawing, name)
    step = 100 / max(len(days), 1)
    for place, day in enumerate(days):
        word = condition(day)
        height = _HEIGHTS[word]
        hatch = {"maintenance": f"url(#{name}-work)", "unknown": f"url(#{name}-gap)"}.get(word, _COLOURS[word])
        rect = _rect(drawing, place * step, 34 - height, step * 0.8, height, f"day day-{word}", hatch)
        SubElement(rect, "title").text = f"{day.day}: {shares(day)}"
    return _written(drawing)


def condition(day: DayRow) -> str:
    """The worst that a day was for longer than a moment."""
    return next((word for word in _CONDITIONS if getattr(day, word) > 1e-5), "unknown")


def shares(day: DayRow) -> str:
    """The parts of a day in words."""
    parts = [(word, getattr(day, word)) for word in ("up", "down", "degraded", "maintenance", "unknown")]
    return ", ".join(f"{word} {100 * share:.4g} %" for word, share in parts if share > 0)


def says(line: Line, around: Around) -> str:
    """What a chart shows, in a sentence for those who do not see it."""
    metric = line.series.metric
    if not line.buckets:
        values = "Nothing was measured"
    else:
        least = min(each.least for each in line.buckets)
        greatest = max(each.greatest for each in line.buckets)
        count = sum(each.count for each in line.buckets)
        values = f"{count} values between {worded(least, metric)} and {worded(greatest, metric)}"
    limits = "".join(f"; {limit_text(each, metric)}" for each in line.limits[:_MOST_LIMITS])
    return (
        f"{values} from {_moment(line.began)} to {_moment(line.ended)} UTC{limits}; incidents: {len(around.incidents)}."
    )


def rows(line: Line) -> list[Row]:
    """The figures of a chart as a table, neighbours together where there are many."""
    at_once = max(1, -(-len(line.buckets) // _MOST_ROWS))
    metric = line.series.metric
    found: list[Row] = []
    for place in range(0, len(line.buckets), at_once):
        part = line.buckets[place : place + at_once]
        count = sum(each.count for each in part)
        mean = sum(each.mean * (each.count / count) for each in part)
        least, greatest = min(each.least for each in part), max(each.greatest for each in part)
        found.append(Row(part[0].began, count, *(worded(each, metric) for each in (least, mean, greatest))))
    return found


def runs(buckets: Iterable[Bucket]) -> Iterator[list[Bucket]]:
    """Buckets that a line connects; between two of these lists it is broken."""
    run: list[Bucket] = []
    for each in buckets:
        if each.broken and run:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def scale_of(line: Line) -> Scale:
    """A scale with room for all values, and for limits that are not far away."""
    least = min((each.least for each in line.buckets), default=0.0)
    greatest = max((each.greatest for each in line.buckets), default=1.0)
    reach = max(greatest - min(least, 0.0), abs(greatest), 1e-9)
    near = [each.value for each in line.limits if least - reach * _FAR <= each.value <= greatest + reach * _FAR]
    least, greatest = min([least, *near]), max([greatest, *near])
    if 0 < least <= greatest / 2 or line.series.metric == "up":
        least = 0.0
    if greatest <= least:
        least, greatest = (min(least, 0.0), greatest) if greatest > 0 else (least - 1.0, greatest + 1.0)
    return _rounded(least, greatest)


def _rounded(least: float, greatest: float) -> Scale:
    # Halves first: the difference of two floats may be beyond all floats.
    rough = max((greatest / 2 - least / 2) / 2, 5e-300)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next((size * each for each in (1, 2, 2.5, 5) if size * each >= rough), size * 10)
    first, last = math.floor(least / step), math.ceil(greatest / step)
    if not math.isfinite(step * last) or not math.isfinite(step * first) or last - first > 20:
        return Scale(least, greatest, (least, greatest))
    if last == first:
        last += 1
    return Scale(step * first, step * last, tuple(step * each for each in range(first, last + 1)))


def worded(value: float, metric: str) -> str:
    """A value with the unit that the name of its metric says."""
    if metric.endswith("_seconds"):
        return milliseconds(value)
    if metric.endswith("_bytes"):
        size = abs(value)
        for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if size >= unit:
                return f"{value / unit:.4g} {name}"
        return f"{value:.4g} B"
    return f"{value:.4g}"


def milliseconds(seconds: float) -> str:
    """A length of time as people write it beside others."""
    if abs(seconds) >= 2 * 86_400:
        return f"{seconds / 86_400:.4g} d"
    if abs(seconds) >= 1:
        return f"{seconds:.4g} s"
    return "0" if seconds == 0 else f"{seconds * 1000:.3g} ms"


def phase_name(word: str) -> str:
    """`first_byte` as people write it."""
    return {"dns": "DNS", "tls": "TLS", "first_byte": "first byte"}.get(word, word)


def limit_text(limit: LimitRow, metric: str) -> str:
    """What a limit means."""
    kind = {"breach": "", "recovery": "recovers "}.get(limit.kind, f"{limit.kind} ")
    return f"{limit.rule}: {kind}{limit.says} {worded(limit.value, metric)}"


class _Across(Struct, frozen=True):
    """Where an instant stands, in per cent of the width."""

    began: int
    ended: int

    def at(self, ns: int) -> float:
        return round(100 * min(max((ns - self.began) / (self.ended - self.began), 0.0), 1.0), 3)

    def of(self, text: str) -> float:
        return self.at(Instant.parse(text).ns)


def ticks(began: int, ended: int) -> Iterator[tuple[int, str]]:
    """Round instants of a range (ns), not many, each with its label in UTC."""
    step = next((each for each in _STEPS if (ended - began) / each <= _MOST_TICKS), _STEPS[-1])
    at = -(-began // step) * step
    while at < ended:
        moment = datetime.fromtimestamp(at // SECOND, UTC)
        if step >= DAY or at % DAY == 0:
            yield at, f"{moment:%b %d}"
        else:
            yield at, f"{moment:%H:%M:%S}" if step < MINUTE else f"{moment:%H:%M}"
        at += step


def _drawing(name: str, height: int, title: str, says: str, width: int | None = None) -> Element:
    drawing = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "drawing",
            "role": "img",
            "width": "100%" if width is None else str(width),
            "height": str(height),
            "aria-labelledby": f"{name}-title {name}-says",
        },
    )
    SubElement(drawing, "title", id=f"{name}-title").text = _clean(title)
    SubElement(drawing, "desc", id=f"{name}-says").text = _clean(says)
    return drawing


def _patterns(drawing: Element, name: str) -> None:
    """Hatches: stripes that lean for what nobody knows, and that stand for planned work."""
    defs = SubElement(drawing, "defs")
    for sort, turn, colour in (("gap", "45", _COLOURS["gap"]), ("work", "0", _COLOURS["maintenance"])):
        pattern = SubElement(
            defs, "pattern", id=f"{name}-{sort}", width="6", height="6", patternUnits="userSpaceOnUse",
            patternTransform=f"rotate({turn})",
        )  # fmt: skip
        SubElement(pattern, "rect", {"width": "2", "height": "6", "class": f"hatch-{sort}", "fill": colour})


def _spans(drawing: Element, across: _Across, line: Line, around: Around, name: str) -> None:
    for span in _silent(line):
        _span(drawing, across, span, f"url(#{name}-gap)", "gap", "nothing was measured")
    for span in around.unwatched:
        _span(drawing, across, span, f"url(#{name}-gap)", "gap", "nobody watched")
    if line.since is not None:
        early = SpanRow(line.began, line.since)
        _span(drawing, across, early, f"url(#{name}-gap)", "gap", "not worked out yet")
    for span in around.maintenance:
        _span(drawing, across, span, f"url(#{name}-work)", "maintenance", "planned work")
    for incident in around.incidents:
        if incident.opened_at is not None:
            span = SpanRow(incident.opened_at, incident.resolved_at or line.ended)
            said = f"incident of {incident.rule}, {incident.severity}, {incident.state}"
            rect = _span(drawing, across, span, _COLOURS["incident"], f"incident incident-{incident.severity}", said)
            rect.set("fill-opacity", "0.13")
            left, length = across.of(span.began), across.of(span.ended) - across.of(span.began)
            _rect(drawing, left, _TOP - 4, max(length, 0.2), 4, f"flag flag-{incident.severity}", _COLOURS["incident"])


def _silent(line: Line) -> Iterator[SpanRow]:
    for before, after in zip(line.buckets, line.buckets[1:], strict=False):
        if after.broken:
            yield SpanRow(before.last_at, after.first_at)


def _span(drawing: Element, across: _Across, span: SpanRow, fill: str, look: str, said: str) -> Element:
    left = across.of(span.began)
    rect = _rect(drawing, left, _TOP, max(across.of(span.ended) - left, 0.2), PLOT, look, fill)
    words = f"{said}, from {_moment(span.began)} to {_moment(span.ended)} UTC"
    SubElement(rect, "title").text = _clean(words)
    return rect


def _run(inner: Element, run: Sequence[Bucket], across: _Across, scale: Scale) -> None:
    """A band from least to greatest, and the line of means. One bucket alone is a short stroke that can be seen."""
    places = [10 * (across.of(each.first_at) + across.of(each.last_at)) / 2 for each in run]
    if len(run) == 1:
        places = [max(places[0] - 1, 0), min(places[0] + 1, _ACROSS)]
        run = [run[0], run[0]]
    upper = [f"{x:g},{scale.down(each.greatest):g}" for x, each in zip(places, run, strict=True)]
    lower = [f"{x:g},{scale.down(each.least):g}" for x, each in zip(places, run, strict=True)]
    means = [f"{x:g},{scale.down(each.mean):g}" for x, each in zip(places, run, strict=True)]
    band = {"class": "band", "fill": _COLOURS["band"], "fill-opacity": "0.5", "stroke": _COLOURS["band"]}
    stroke = {"stroke-width": "1", "vector-effect": "non-scaling-stroke"}
    SubElement(inner, "polygon", {"points": " ".join((*upper, *reversed(lower))), **band, **stroke})
    look = {"class": "mean", "fill": "none", "stroke": _COLOURS["line"]}
    SubElement(inner, "polyline", {"points": " ".join(means), **look, **stroke, "stroke-width": "1.6"})


def _limits(drawing: Element, line: Line, scale: Scale) -> None:
    taken: list[float] = []
    for limit in sorted(line.limits, key=lambda each: -each.value)[:_MOST_LIMITS]:
        sort = limit.kind if limit.kind in ("breach", "recovery") else "worse"
        beyond = not scale.least <= limit.value <= scale.greatest
        down = _TOP + scale.down(limit.value)
        if not beyond:
            _rule(drawing, down, f"limit limit-{sort}", _COLOURS[sort], dashes={"recovery": "2 4"}.get(sort, "7 4"))
        place = max(down - 4, 12.0)
        while any(abs(place - each) < 13 for each in taken):
            place += 13
        taken.append(place)
        said = _short(limit_text(limit, line.series.metric)) + (" (outside of the chart)" if beyond else "")
        text = _text(drawing, 100, place, said, f"limit-{sort}", anchor="end")
        text.set("fill", _COLOURS[sort])


def _axis(drawing: Element, across: _Across) -> None:
    _rule(drawing, _TOP + PLOT, "axis", _COLOURS["gap"])
    for place, (at, label) in enumerate(ticks(across.began, across.ended)):
        left = across.at(at)
        look = "tick" if place % 2 == 0 else "tick between"
        mark = SubElement(drawing, "line", x1=f"{left}%", x2=f"{left}%", y1=str(_TOP + PLOT), y2=str(_TOP + PLOT + 5))
        mark.set("stroke", _COLOURS["gap"])
        if 3 < left < 93:
            _text(drawing, left, _TOP + PLOT + 18, label, look, anchor="middle")
    _text(drawing, 100, _TOP + PLOT + 18, "UTC", "tick", anchor="end")


def _rect(drawing: Element, left: float, top: float, width: float, height: float, look: str, fill: str) -> Element:
    given = {"x": f"{left:g}%", "y": f"{top:g}", "width": f"{width:g}%", "height": f"{height:g}"}
    return SubElement(drawing, "rect", {**given, "class": look, "fill": fill})


def _rule(drawing: Element, down: float, look: str, colour: str, *, dashes: str = "") -> None:
    given = {"x1": "0%", "x2": "100%", "y1": f"{down:g}", "y2": f"{down:g}", "class": look, "stroke": colour}
    SubElement(drawing, "line", given | ({"stroke-dasharray": dashes} if dashes else {}))


def _text(drawing: Element, left: float, down: float, said: str, look: str, *, anchor: str = "start") -> Element:
    given = {"x": f"{left:g}%", "y": f"{down:g}", "class": look, "text-anchor": anchor, "fill": _COLOURS["text"]}
    text = SubElement(drawing, "text", {**given, "font-size": "11.5", "font-family": "system-ui, sans-serif"})
    text.text = _clean(said)
    return text


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")


def _clean(text: str) -> str:
    """Without what XML cannot hold."""
    return _UNWRITABLE.sub("?", text)


def _written(drawing: Element) -> str:
    return ET.tostring(drawing, encoding="unicode", short_empty_elements=False)

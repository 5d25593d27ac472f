"""Drawings: shapes with a place each, across in per cent of the width and down in pixels, and what they say in words.

Knows numbers and words. Does not know what is drawn, nor how a shape is written down, or its colour. Since only widths
are relative, a drawing fits a telephone as well as a wall, and its letters stay as large as those around it.
"""

from __future__ import annotations

from msgspec import Struct


class Shape(Struct, frozen=True):
    """A `rect`, `line`, `dot` or `text`: `x` and `width` in per cent, `y` and `height` in pixels.

    A line goes from (x, y) by (width, height); `text` is what is written, or said of a shape.
    """

    sort: str
    x: float
    y: float
    width: float = 0
    height: float = 0
    look: str = ""
    text: str = ""


class Plot(Struct, frozen=True):
    """A drawing with what it says to those who do not see it; `legend` has a look and a word for each colour."""

    name: str
    title: str
    says: str
    height: int
    shapes: tuple[Shape, ...]
    legend: tuple[tuple[str, str], ...] = ()

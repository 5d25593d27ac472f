"""The shapes of an explanation: what happened, what is due, and who has been told.

Knows texts and numbers ready for JSON. Does not know how they are found (`explain`).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from service_monitoring.domain.groups import Group
from service_monitoring.domain.instants import Instant
from service_monitoring.views.because import length_text
from service_monitoring.views.texts import one_line

PARTS: Final = {
    "recipients": ("Who was told", "nobody"),
    "lines": ("What happened", "nothing"),
    "ahead": ("What is due", "nothing"),
}
"""The parts of an explanation: how faces head each, and what they say where it is empty."""


class Line(Struct, frozen=True):
    """One thing that happened, or is due: `what`, and why (`because`). `at` is RFC 3339.

    `people` are the recipients whom it concerns, as `person.ada` or `channel.ops`. `notice` is the key of a notice,
    `state` what became of it, `held` and `by` what held it; `step` counts from 1; `incidents` are others that it names.
    """

    at: str
    kind: str
    what: str
    because: str
    people: tuple[str, ...] = ()
    notice: str = ""
    state: str = ""
    held: str = ""
    by: str = ""
    group: str = ""
    step: int | None = None
    incidents: tuple[str, ...] = ()


class Standing(Struct, frozen=True):
    """Whether a recipient has been told by then, and why or why not. `at` is since when, or when that will change.

    `state` is that of the notice that told last (owed, waiting, uncertain, delivered, parked, withheld), or else
    `held`, `ahead`, `not on call` or `not told`.
    """

    recipient: str
    told: bool
    state: str
    at: str
    because: str


class Explanation(Struct, frozen=True):
    """Who was told of an incident by an instant, who was not, and why: `lines` are what happened, `ahead` what is due.

    With a `person`, all of it is about that person alone.
    """

    incident: str
    service: str
    rule: str
    series: str
    state: str
    at: str
    person: str
    recipients: tuple[Standing, ...]
    lines: tuple[Line, ...]
    ahead: tuple[Line, ...]


def told_text(state: str = "") -> str:
    """Whether somebody was told, in words; `state` is how it stands with those who were not."""
    return f"not told ({state})" if state else "told"


def because_text(because: str) -> str:
    """What follows upon a fact: its reason; an instant comes after it."""
    return f", because {one_line(because)}: "


def concerning(person: str) -> str:
    """Whom alone an explanation is about, where it is about one."""
    return f", as far as it concerns {person}" if person else ""


def line(at: Instant, kind: str, what: str, because: str, **more: object) -> Line:
    """A line at an instant; `more` are its other fields."""
    return Line(str(at), kind, what, because, **more)  # type: ignore[arg-type]  # the fields of a line, by name


def place(line: Line) -> int:
    """Where it stands among others: its instant (ns)."""
    return Instant.parse(line.at).ns


def first_flush(group: Group, at: Instant) -> Line:
    """A group tells for the first time."""
    why = f"`group_wait` is {length_text(group.route.wait)}"
    return line(at, "flush", f"the group {group.id} was to tell first", why, group=group.id)

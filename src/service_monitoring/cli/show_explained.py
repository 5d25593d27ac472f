"""What a command prints of an explanation: one paragraph a fact, in the order in which it happened.

Knows the shape that `views.explanation` has as JSON. Does not know what time it is: `now` is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from service_monitoring.cli.show import moment
from service_monitoring.cli.tables import lines, word
from service_monitoring.domain.instants import Instant
from service_monitoring.views.explanation import PARTS, because_text, concerning, told_text
from service_monitoring.views.on_record import names

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def explained(answer: Mapping[str, Any], now: Instant) -> None:
    """Who was told, who was not, what happened until then and what is due."""
    whom = concerning(answer["person"])
    head = Text.assemble("Incident ", word(answer["incident"], "bold"), f" of {answer['service']}.{answer['rule']}")
    lines(head, Text.assemble("  ", word(answer["state"]), word(f"{whom}, at {_local(answer['at'], now)}", "")))
    _titled(*PARTS["recipients"], (_standing(each, now) for each in answer["recipients"]))
    _titled(*PARTS["lines"], _said(answer["lines"], now))
    _titled(*PARTS["ahead"], _said(answer["ahead"], now))


def _titled(title: str, nothing: str, paragraphs: Iterable[Text]) -> None:
    lines(Text(), Text(title, "bold"))
    every = list(paragraphs) or [Text(nothing)]
    lines(*(Padding(each, (0, 0, 0, 2)) for each in every))


def _standing(row: Mapping[str, Any], now: Instant) -> Text:
    told = told_text("" if row["told"] else row["state"])
    style = "green" if row["told"] else "yellow"
    who = names((row["recipient"],))
    return Text.assemble(word(f"{who}: ", ""), Text(told, style), word(_because(row, now), ""))


def _said(rows: Sequence[Mapping[str, Any]], now: Instant) -> Iterable[Text]:
    return (word(f"{_localized(row['what'], now)}{_because(row, now)}", "") for row in rows)


def _because(row: Mapping[str, Any], now: Instant) -> str:
    return f"{_localized(because_text(row['because']), now)}{moment(row['at'], now)}"


def _localized(sentence: str, now: Instant) -> str:
    """A sentence with its instants in the local zone."""
    return _INSTANT.sub(lambda found: _local(found[0], now), sentence)


def _local(text: str, now: Instant) -> str:
    return moment(text, now).partition(",")[0]

"""Problems: what is wrong with one value, in words that a person can act on.

Knows the sentence alone. Where in which file the value stands is added by whoever read it (`complaints`), so that the
same check serves a file, an option model and a library user.
"""

from __future__ import annotations

import json
from typing import Final

from service_monitoring.errors import Refused

LONGEST_SHOWN: Final = 80
"""Characters of a value that a complaint quotes."""


class InvalidValue(Refused, ValueError):
    """One value that cannot be used: what is wrong with it, and what to write instead.

    It is a `ValueError` too, so that validators of pydantic models may raise it; the loader finds both sentences again.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


def shown(given: str) -> str:
    """A text of the configuration in quotes, on one line and not too long, to be part of a complaint."""
    cut = given if len(given) <= LONGEST_SHOWN else given[:LONGEST_SHOWN] + "..."
    return one_line(json.dumps(cut, ensure_ascii=False))


def one_line(text: str) -> str:
    """`text` with every character escaped that would end the line or steer a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)

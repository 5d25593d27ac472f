"""Problems: what is wrong with one value, in words that a person can act on.

Knows the sentence alone. Where in which file the value stands is added by whoever read it (`complaints`), so that the
same check serves a file, an option model and a library user.
"""

from __future__ import annotations

from service_monitoring.errors import Refused


class InvalidValue(Refused, ValueError):
    """One value that cannot be used: what is wrong with it, and what to write instead.

    It is a `ValueError` too, so that validators of pydantic models may raise it; the loader finds both sentences again.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}; {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy

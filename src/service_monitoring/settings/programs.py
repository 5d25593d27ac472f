"""Programs: how a program to run is written, with what it gets to know.

Knows lists of arguments and names of variables. Does not know what the program is run for.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from service_monitoring.settings.problems import InvalidValue


def _arguments(given: object) -> object:
    if isinstance(given, str):
        raise InvalidValue("a command is a list: no shell reads it", f"write [{given.replace(' ', ', ')}]")
    if isinstance(given, list | tuple) and any(isinstance(each, str) and "\0" in each for each in given):
        raise InvalidValue("an argument cannot hold a zero byte", "leave it out")
    return given


Arguments = Annotated[tuple[str, ...], BeforeValidator(_arguments), Field(min_length=1)]
"""A program and its arguments."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""

"""Paths into a JSON document (RFC 9535), as `expectations` follow them through a stranger's body.

Knows the library. It is imported with the first path that is named: most configurations name none, and it takes as long
to import as everything else that a kind needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError

from service_monitoring.settings import InvalidValue


class _Paths(JSONPathEnvironment):
    """RFC 9535 without its functions of regular expressions: those would run as Python's, which backtrack."""

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        del self.function_extensions["match"]
        del self.function_extensions["search"]


_PATHS: Final = _Paths(strict=True)


class Path:
    """A path that was compiled; `single` says that it visits single values only."""

    def __init__(self, compiled: JSONPath) -> None:
        self._compiled = compiled
        self.single = compiled.singular_query()

    def values(self, document: Any) -> Sequence[object]:
        """What it finds; `RecursionError` where the document is nested too deeply."""
        try:
            return self._compiled.findall(document)
        except JSONPathError as error:
            raise RecursionError from error


def compiled(text: str) -> Path:
    """`text` as a path; `InvalidValue` where it is none."""
    try:
        found = _PATHS.compile(text)
    except JSONPathError as error:
        remedy = "write one as $.status or $.checks[0].state (RFC 9535; match() and search() are not available)"
        raise InvalidValue(f'"{text}" is not a JSONPath: {error.args[0]}', remedy) from None
    assert isinstance(found, JSONPath), "strict paths have no unions"
    return Path(found)

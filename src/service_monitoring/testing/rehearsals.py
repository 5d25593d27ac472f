"""The pytest plugin for rehearsal tests: every file called `*.rehearsal.yaml` is collected, one item a test.

Loaded by pytest wherever this package is installed, so it imports nothing but pytest until it finds such a file. Does
not know what a test may say (`rehearsal.trial_files`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from service_monitoring.rehearsal.trials import Trial

_ENDING = ".rehearsal.yaml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> RehearsalFile | None:
    """A file of rehearsal tests, by its name alone."""
    return RehearsalFile.from_parent(parent, path=file_path) if file_path.name.endswith(_ENDING) else None


class RehearsalFile(pytest.File):
    """A file of rehearsal tests; one that is not understood is an error of collection, with every complaint."""

    def collect(self) -> Iterator[RehearsalItem]:
        """One item a test."""
        from service_monitoring.bootstrap import trials_in
        from service_monitoring.settings import InvalidSettings

        try:
            found = trials_in(self.path)
        except InvalidSettings as invalid:
            raise self.CollectError(str(invalid)) from None
        for trial in found:
            yield RehearsalItem.from_parent(self, name=trial.name, trial=trial)


class _Fell(Exception):
    """A test did not come as expected; its arguments are the lines that say so."""


class RehearsalItem(pytest.Item):
    """One rehearsal test."""

    def __init__(self, *, trial: Trial, **more: Any) -> None:
        super().__init__(**more)
        self._trial = trial

    def runtest(self) -> None:
        """Play it."""
        from service_monitoring.rehearsal.shortfalls import tried

        outcome = tried(self._trial)
        if not outcome.held:
            raise _Fell(*outcome.lines())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | Any:
        """What was expected and what came, line by line; a traceback only where something else went wrong."""
        if isinstance(excinfo.value, _Fell):
            return "\n".join(excinfo.value.args)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands; pytest counts lines from 0."""
        return self.path, self._trial.place.line - 1, self.name

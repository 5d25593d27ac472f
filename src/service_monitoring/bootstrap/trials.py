"""Trials of this installation: files of rehearsal tests with the kinds that are installed.

Knows how such files are called, and which kinds there are. Starts nothing: no clock, no socket, no thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from service_monitoring import settings
from service_monitoring.bootstrap.loading import sink_kinds, source_kinds
from service_monitoring.errors import NotFound
from service_monitoring.rehearsal.trial_files import read_trials
from service_monitoring.rehearsal.trials import Trial
from service_monitoring.settings import Settings
from service_monitoring.settings.document import Document
from service_monitoring.settings.secrets import Secrets
from service_monitoring.views.wording import complaint, complaint_of_channel

ENDING: Final = ".rehearsal.yaml"
"""How a file of rehearsal tests is called, where it is found in a folder."""


def trials_in(path: Path) -> tuple[Trial, ...]:
    """The tests of a file; `InvalidSettings` with everything that is wrong with it, or with its configuration."""
    return read_trials(path, _load)


def trial_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are named, and of folders those that are called so; `NotFound` where there is none."""
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise NotFound(f"there is no {path}: name a file of rehearsal tests, or a folder with some")
            yield path
            continue
        found = sorted(path.rglob(f"*{ENDING}"))
        if not found:
            raise NotFound(f"no file in {path} is called NAME{ENDING}: name one, or call yours so")
        yield from found


def _load(path: Path, within: Document | None) -> Settings:
    return settings.load(
        path,
        within=within,
        sources=source_kinds(),
        sinks=sink_kinds(),
        environment={},
        secrets=Secrets.UNREAD,
        template=complaint,
        channel_template=complaint_of_channel,
    )

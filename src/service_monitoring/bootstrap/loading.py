"""Loading: the kinds that are installed, by their entry points, and settings with these kinds.

Knows the environment of the process. Opens nothing: a rehearsal and a `validate` need no more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from service_monitoring import plugins, settings
from service_monitoring.domain.configuration import Configuration
from service_monitoring.ports import SinkKind, SourceKind
from service_monitoring.settings import Secrets, Settings, Variation
from service_monitoring.views.wording import complaint, complaint_of_channel


@cache
def source_kinds() -> Mapping[str, SourceKind]:
    """The kinds of check that are installed."""
    return plugins.kinds(plugins.SOURCES)


@cache
def sink_kinds() -> Mapping[str, SinkKind]:
    """The kinds of channel that are installed."""
    return plugins.kinds(plugins.SINKS)


def load(config: Path) -> Settings:
    """Read a configuration with the kinds installed and the secrets of the environment; `InvalidSettings`."""
    return settings.load(
        config,
        sources=source_kinds(),
        sinks=sink_kinds(),
        environment=os.environ,
        template=complaint,
        channel_template=complaint_of_channel,
    )


def rehearsable(config: Path, variations: Sequence[Variation] = ()) -> Settings:
    """Read a configuration under which nothing will be sent: no secret is read, and none has to be there.

    `variations` are put in place of what the file says; `InvalidSettings`.
    """
    return settings.load(
        config,
        sources=source_kinds(),
        sinks=sink_kinds(),
        environment={},
        template=complaint,
        channel_template=complaint_of_channel,
        secrets=Secrets.UNREAD,
        variations=variations,
    )


def configuration_of(config: Path, variations: Sequence[Variation] = ()) -> Configuration:
    """What decisions know of the file at `config`; no secret is read; `InvalidSettings`."""
    return rehearsable(config, variations).configuration


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration with the kinds installed."""
    return settings.schema(source_kinds(), sink_kinds())


def initial(urls: Sequence[str]) -> str:
    """The text of a first configuration."""
    return settings.initial(urls)

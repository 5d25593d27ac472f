"""Wiring of single parts: kinds by their entry points, settings with kinds, sources and sinks with their surroundings.

Knows concrete classes and the environment of the process. Does not know when anything runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from secrets import token_hex  # noqa: TID251 - the one place that makes keys
from typing import Any

from service_monitoring import plugins, settings
from service_monitoring.ports import Clock, Sink, SinkKind, Source, SourceKind, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import Settings
from service_monitoring.views.wording import complaint


def the_clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


def new_key() -> str:
    """128 random bits as 32 hexadecimal digits: they may stand in a URL, and none begins like an option."""
    return token_hex(16)


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
    return settings.load(config, sources=source_kinds(), sinks=sink_kinds(), environment=os.environ, template=complaint)


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration with the kinds installed."""
    return settings.schema(source_kinds(), sink_kinds())


def initial(urls: Sequence[str]) -> str:
    """The text of a first configuration."""
    return settings.initial(urls)


def socket_path(chosen: Settings) -> Path:
    """Where the running program listens for its owner."""
    return chosen.store.path / "control.sock"


def surroundings(chosen: Settings, clock: Clock) -> Surroundings:
    """What every source and sink may know of the world."""
    return Surroundings(clock=clock, network=chosen.network, shared={"smtp": chosen.smtp})


def open_sources(chosen: Settings, clock: Clock) -> dict[str, Source]:
    """A source for each check, by `service.check`. Call it inside the running loop."""
    world = surroundings(chosen, clock)
    return {
        check.id: source_kinds()[check.kind].open_source(check.options, surroundings=world) for check in chosen.checks
    }


def open_canaries(chosen: Settings, clock: Clock) -> list[Source]:
    """A source for each canary. Call it inside the running loop."""
    world = surroundings(chosen, clock)
    return [source_kinds()[canary.kind].open_source(canary.options, surroundings=world) for canary in chosen.canaries]


def open_sinks(chosen: Settings, clock: Clock) -> dict[str, Sink]:
    """A sink for each channel, by name. Call it inside the running loop."""
    world = surroundings(chosen, clock)
    return {
        channel.name: sink_kinds()[channel.kind].open_sink(channel.options, surroundings=world)
        for channel in chosen.channels.values()
    }

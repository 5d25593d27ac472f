"""Wiring of single parts: sources and sinks with their surroundings, and what else one part of the program is made of.

Knows concrete classes. Does not know when anything runs, nor how settings are read (`loading`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from secrets import token_hex  # noqa: TID251 - the one place that makes keys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring import plugins
from service_monitoring.access.provider import Provider
from service_monitoring.bootstrap.loading import sink_kinds, source_kinds
from service_monitoring.domain.configuration import Check
from service_monitoring.errors import Refused
from service_monitoring.ports import (
    AddressPolicy,
    Clock,
    Links,
    Onward,
    Sink,
    Source,
    Surroundings,
    Tracing,
    no_links,
)
from service_monitoring.runtime.pulse import Outside
from service_monitoring.settings import (
    ChannelSettings,
    CheckSettings,
    Complaint,
    InvalidSettings,
    Place,
    Redactor,
    Secret,
    Settings,
    WebSettings,
)
from service_monitoring.settings.anchoring import named_files
from service_monitoring.web.encrypting import Encryption

if TYPE_CHECKING:
    from service_monitoring.web.fetching import Fetcher


def new_key() -> str:
    """128 random bits as 32 hexadecimal digits: they may stand in a URL, and none begins like an option."""
    return token_hex(16)


def new_secret() -> str:
    """256 random bits as hexadecimal digits."""
    return token_hex(32)


def surroundings(chosen: Settings, clock: Clock, links: Links = no_links, onward: Onward | None = None) -> Surroundings:
    """What every source and sink may know of the world."""
    return Surroundings(clock=clock, network=chosen.network, shared={"smtp": chosen.smtp}, links=links, onward=onward)


def open_tracing(chosen: Settings) -> Tracing | None:
    """Where spans go; None where traces are off: then not even the library is imported."""
    if not chosen.telemetry.traces:
        return None
    from service_monitoring.runtime.tracing import OpenTelemetryTracing  # noqa: PLC0415 - as the sentence above says

    return OpenTelemetryTracing()


class Opened(Struct, frozen=True):
    """The sources and sinks of one configuration; sources by `service.check`, sinks by the names of channels.

    `heartbeat` is whom to call outside, if anybody.
    `looks` has how the files looked that the options of a source name, where they name any: as certificates.
    """

    chosen: Settings
    sources: dict[str, Source]
    sinks: dict[str, Sink]
    looks: dict[str, tuple[object, ...]]
    links: Links = no_links
    heartbeat: Outside | None = None
    onward: Onward | None = None


def opening(
    chosen: Settings,
    clock: Clock,
    before: Opened | None = None,
    *,
    links: Links = no_links,
    onward: Onward | None = None,
) -> Opened:
    """Open what a configuration needs; what has the same settings as `before` is taken from there, `links` and
    `onward` always.

    Call it inside the running loop. `InvalidSettings` names everything that cannot be opened.
    """
    links, onward = (links, onward) if before is None else (before.links, before.onward)
    if before is not None and (before.chosen.network, before.chosen.smtp) != (chosen.network, chosen.smtp):
        before = None  # every source and sink was handed these besides its own options
    refused: list[Complaint] = []
    looks = {check.id: look for check in chosen.checks if (look := _look(check.options))}
    world = surroundings(chosen, clock, links, onward)
    sources = _sources(chosen, world, before, refused, looks)
    sinks = _sinks(chosen, world, before, refused)
    opened = Opened(chosen, sources, sinks, looks, links, _heartbeat(chosen, clock, before), onward)
    if refused:
        raise InvalidSettings(refused)
    return opened


def open_sources(chosen: Settings, clock: Clock) -> dict[str, Source]:
    """A source for each check, by `service.check`. Call it inside the running loop."""
    refused: list[Complaint] = []
    sources = _sources(chosen, surroundings(chosen, clock), None, refused, {})
    if refused:
        raise InvalidSettings(refused)
    return sources


def open_canaries(chosen: Settings, clock: Clock) -> list[Source]:
    """A source for each canary. Call it inside the running loop."""
    world = surroundings(chosen, clock)
    return [source_kinds()[canary.kind].open_source(canary.options, surroundings=world) for canary in chosen.canaries]


def _heartbeat(chosen: Settings, clock: Clock, before: Opened | None) -> Outside | None:
    heartbeat = chosen.heartbeat
    if heartbeat is None:
        return None
    if before is not None and before.chosen.heartbeat == heartbeat:
        return before.heartbeat
    check = heartbeat.check
    source = source_kinds()[check.kind].open_source(check.options, surroundings=surroundings(chosen, clock))
    parts = urlsplit(heartbeat.url.reveal())
    # What is said of a call may name the place without the rest of it.
    secrets = [Secret(part) for part in (parts.path, parts.query) if len(part) > 1]
    return Outside(source, heartbeat.every, Redactor((heartbeat.url, *secrets)))


def _sources(
    chosen: Settings,
    world: Surroundings,
    before: Opened | None,
    refused: list[Complaint],
    looks: Mapping[str, tuple[object, ...]],
) -> dict[str, Source]:
    known = {} if before is None else {check.id: check for check in before.chosen.checks}
    sources: dict[str, Source] = {}
    for check in chosen.checks:
        unchanged = before is not None and before.looks.get(check.id) == looks.get(check.id)
        if before is not None and unchanged and _same(known.get(check.id), check):
            sources[check.id] = before.sources[check.id]
            continue
        try:
            sources[check.id] = source_kinds()[check.kind].open_source(check.options, surroundings=world)
        except Refused as refusal:
            path = f"services.{check.service}.checks.{check.name}"
            refused.append(Complaint(Place(str(chosen.file)), path, str(refusal)))
    return sources


def _sinks(chosen: Settings, world: Surroundings, before: Opened | None, refused: list[Complaint]) -> dict[str, Sink]:
    sinks: dict[str, Sink] = {}
    for name, channel in chosen.channels.items():
        if before is not None and _same(before.chosen.channels.get(name), channel):
            sinks[name] = before.sinks[name]
            continue
        try:
            sinks[name] = open_sink(channel, world)
        except Refused as refusal:
            refused.append(Complaint(Place(str(chosen.file)), f"channels.{name}", str(refusal)))
    return sinks


def open_sink(channel: ChannelSettings, world: Surroundings) -> Sink:
    """A sink that speaks in the channel's words; `Refused` where its options cannot work."""
    kind = sink_kinds()[channel.kind]
    return kind.open_sink(channel.options, surroundings=replace(world, template=channel.template))


def encryption_of(web: WebSettings, troubled: Callable[[str], None]) -> Encryption | None:
    """The certificate of the address, where it has one; `InvalidSettings` where it cannot be used."""
    if web.tls is None:
        return None
    try:
        return Encryption(web.tls.certificate, web.tls.key, troubled=troubled)
    except Refused as refused:
        remedy = "name a certificate and its key in PEM that the user of the program may read"
        raise InvalidSettings([Complaint(web.tls.place, "web.tls", str(refused), remedy)]) from None


def provider_of(
    chosen: Settings, clock: Clock, network: Callable[[], AddressPolicy], troubled: Callable[[str], None]
) -> tuple[Provider, Fetcher] | None:
    """The identity provider, where there is one, and what is closed at the end; `InvalidSettings` without its library.

    `network` is the policy in force. The library is imported when somebody signs in, as it takes a while.
    """
    web = chosen.web
    if web is None or web.oidc is None:
        return None
    if find_spec("joserfc") is None:
        problem, remedy = "joserfc is not installed", "pip install 'service-monitoring[oidc]'"
        raise InvalidSettings([Complaint(web.oidc.place, "web.oidc", problem, remedy)])
    from service_monitoring.web.fetching import Fetcher  # noqa: PLC0415 - its library takes a while, too
    from service_monitoring.web.oidc import Oidc  # noqa: PLC0415 - likewise

    fetcher = Fetcher(network, clock)
    return Oidc(web.oidc, web.url, fetch=fetcher.fetch, clock=clock, make=new_secret, troubled=troubled), fetcher


def checks_of(chosen: Settings) -> list[Check]:
    """The checks that are polled; those that report by themselves have no source."""
    polled = {check.id for check in chosen.checks}
    return [check for service in chosen.configuration.services for check in service.checks if check.id in polled]


def kinds_of(chosen: Settings) -> set[tuple[str, str]]:
    """The kinds that a configuration uses, each after the group of its entry point."""
    heartbeat = () if chosen.heartbeat is None else (chosen.heartbeat.check,)
    checks = {(plugins.SOURCES, check.kind) for check in (*chosen.checks, *chosen.canaries, *heartbeat)}
    return checks | {(plugins.SINKS, channel.kind) for channel in chosen.channels.values()}


async def close_kinds(names: Iterable[tuple[str, str]]) -> None:
    """Let go of what the sources and sinks of these kinds share."""
    for group, name in sorted(names):
        await (source_kinds() if group == plugins.SOURCES else sink_kinds())[name].close()


def _look(options: object) -> tuple[object, ...]:
    """How the files look that the options name: a source reads them when it is opened, and perhaps never again."""
    return tuple(
        (path, seen.st_ino, seen.st_size, seen.st_mtime_ns)
        for path in named_files(options)
        if path.is_file() and (seen := path.stat())
    )


def _same(one: CheckSettings | ChannelSettings | None, other: CheckSettings | ChannelSettings) -> bool:
    if isinstance(one, ChannelSettings) and isinstance(other, ChannelSettings) and one.template != other.template:
        return False
    return one is not None and one.kind == other.kind and bool(one.options == other.options)

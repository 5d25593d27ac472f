"""The file: its complaints, who can read its secrets, and, only when asked, whether channels can be reached."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from service_monitoring import bootstrap
from service_monitoring.cli.doctor.findings import Finding, doubtful, fine, wrong
from service_monitoring.errors import MonitoringError
from service_monitoring.settings import InvalidSettings, Secret, Settings

_PATIENCE: Final = 5.0
_PORTS: Final = {"http": 80, "https": 443}


class Read(Struct, frozen=True):
    """What came of reading the file; without settings there is at least one finding."""

    settings: Any
    findings: tuple[Finding, ...]


def read(config: Path) -> Read:
    """Read the file as a run would."""
    why = "the program does not start with it, and goes on with the old one when reloading"
    if not config.exists():
        remedy = "service-monitoring init URL, or name yours with --config"
        return Read(None, (wrong("configuration", f"there is no {config}", "it says what to watch", remedy),))
    try:
        settings = bootstrap.load(config)
    except InvalidSettings as invalid:
        return Read(
            None,
            tuple(
                wrong(
                    "configuration", f"{each.place} {each.path}: {each.problem}".replace(" : ", ": "), why, each.remedy
                )
                for each in invalid.complaints
            ),
        )
    except MonitoringError as error:
        return Read(None, (wrong("configuration", str(error), why, "mend it"),))
    return Read(settings, (fine("configuration", f"{config} is valid, with {len(settings.checks)} checks"),))


def look(settings: Settings) -> list[Finding]:
    """Doubts about a valid file."""
    found = [
        doubtful("configuration", str(warning), "it is probably not what was meant", "change it, or leave it")
        for warning in settings.warnings
    ]
    found += [
        doubtful("configuration", str(each), "this version does not do it", "expect it not to happen")
        for each in settings.not_yet
    ]
    return found + [finding for file in settings.files for finding in exposed(file, settings)]


def exposed(file: Path, settings: Settings) -> Iterator[Finding]:
    """A file that others may read and that holds a secret in so many letters."""
    if not stat.S_IMODE(file.stat().st_mode) & 0o044:
        return
    text = file.read_text(encoding="utf-8")
    written = [each for each in (secret.reveal() for secret in settings.secrets) if len(each) >= 4 and each in text]
    remedy = f"chmod 600 {file}, or write {{env: NAME}} or {{file: PATH}}"
    if any(not each.startswith(("http://", "https://")) for each in written):
        why = "every user of this machine can read the secret"
        yield wrong("secrets", f"{file} holds a secret and can be read by others", why, remedy)
    elif written:
        why = "whoever knows the address of many a webhook can post to it"
        yield doubtful("secrets", f"{file} holds a webhook's address and can be read by others", why, remedy)


def reach(settings: Settings) -> list[Finding]:
    """Connect once to where each channel delivers; nothing is sent."""
    places = dict(_places(settings))
    return [_reached(name, place, settings) for name, place in places.items()]


def _places(settings: Settings) -> Iterator[tuple[str, tuple[str, int]]]:
    for name, channel in settings.channels.items():
        target = getattr(channel.options, channel.kind, None)
        url = urlsplit(target.reveal() if isinstance(target, Secret) else str(target))
        if url.scheme in _PORTS and url.hostname:
            yield name, (url.hostname, url.port or _PORTS[url.scheme])
        elif channel.kind == "email" and settings.smtp is not None:
            yield name, (settings.smtp.host, settings.smtp.port)


def _reached(name: str, place: tuple[str, int], settings: Settings) -> Finding:
    host, port = place
    why = "nobody is told through it"
    topic = f"channel {name}"
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        return wrong(topic, f"{host} has no address ({error.strerror})", why, "correct its name, or the name server")
    said: list[str] = []
    for address in sorted(addresses):
        refusal = settings.network.refusal(ip_address(address.partition("%")[0]))
        if refusal is not None:
            said.append(refusal)
            continue
        try:
            with socket.create_connection((address, port), timeout=_PATIENCE):
                return fine(topic, f"{host} takes connections on port {port}")
        except OSError as error:
            said.append(f"{address} port {port}: {error.strerror or 'no answer in time'}")
    return wrong(topic, "; ".join(said), why, "start what should listen there, or correct the address")

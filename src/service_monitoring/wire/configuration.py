"""The canonical bytes of a configuration, and the name of a revision that follows from them.

Knows nothing of files, settings or who reloaded.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Raw, Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.wire.codec import canonical, decode


def body(configuration: Configuration) -> bytes:
    """Canonical JSON of one revision: equal configurations give equal bytes."""
    return canonical(configuration)


def revision(configuration: Configuration) -> str:
    """The sha256 of the canonical bytes, in hexadecimal: what a revision goes by."""
    return named(body(configuration))


def named(canonical_bytes: bytes) -> str:
    """The revision that `body` gave these bytes for."""
    return hashlib.sha256(canonical_bytes).hexdigest()


def read(stored: bytes) -> Configuration:
    """The configuration that `body` wrote."""
    return decode(Configuration, stored)


class _Named(Struct, frozen=True):
    name: str


def read_about(stored: bytes, service: str) -> Configuration:
    """The configuration that `body` wrote, but with this service alone.

    To make values of ten thousand takes long, and nobody else has a turn meanwhile.
    """
    parts = decode(dict[str, Raw], stored)
    services = map(bytes, decode(list[Raw], bytes(parts.get("services", b"[]"))))
    said = canonical(_Named(service))[1:-1]
    mine = [Raw(each) for each in services if said in each and decode(_Named, each).name == service]
    return read(msgspec.json.encode(parts | {"services": mine}))

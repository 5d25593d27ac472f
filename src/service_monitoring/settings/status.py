"""Status pages: what of the services is public, and under which name.

Knows names and labels of services; resolves both, so that a page holds what is listed and nothing else. Does not know
what a page shows of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import sha256

from service_monitoring.domain.configuration import Service
from service_monitoring.domain.matchers import all_hold
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, StatusPageShape
from service_monitoring.settings.validation import suggestion
from service_monitoring.settings.values import PublicGroup, PublicService, StatusPageSettings


def read_status_pages(
    shape: FileShape, services: Sequence[Service], reading: Reading
) -> tuple[StatusPageSettings, ...]:
    """All pages, in the order of the file."""
    return tuple(
        _page(name, given, services, reading, ("status_pages", name)) for name, given in shape.status_pages.items()
    )


def _page(
    name: str, shape: StatusPageShape, services: Sequence[Service], reading: Reading, path: KeyPath
) -> StatusPageSettings:
    known = reading.names("services")
    shown: list[str] = []
    for place, service in _listed(shape):
        if service not in known:
            remedy = suggestion(service, known)
            reading.complain((*path, *place), f"there is no service {service}", remedy)
        elif service in shown:
            reading.complain((*path, *place), f"{service} is shown twice", "list it once")
        shown.append(service)
    matched = [
        each.name
        for each in services
        if shape.match and each.name not in shown and all_hold(shape.match, {**dict(each.labels), "service": each.name})
    ]
    if not shown and not matched:
        remedy = "write services: [NAME]" if not shape.match else "match labels that services have"
        reading.complain(path, "the page shows nothing", remedy)
    for service in shape.rename:
        if service not in (*shown, *matched):
            remedy = suggestion(service, [*shown, *matched])
            reading.complain((*path, "rename", service), f"{service} is not on the page", remedy)
    groups = [PublicGroup("", _public((*shape.services, *matched), shape)), *_groups(shape)]
    _complain_of_twins([each for group in groups for each in group.services], reading, path)
    return StatusPageSettings(
        name=name,
        title=shape.title,
        description=shape.description or "",
        groups=tuple(group for group in groups if group.services),
        history_days=shape.show.history_days,
        url=shape.url or "",
    )


def _listed(shape: StatusPageShape) -> Iterator[tuple[KeyPath, str]]:
    for index, service in enumerate(shape.services):
        yield ("services", index), service
    for place, group in enumerate(shape.groups):
        for index, service in enumerate(group.services):
            yield ("groups", place, "services", index), service


def _groups(shape: StatusPageShape) -> Iterator[PublicGroup]:
    for group in shape.groups:
        yield PublicGroup(group.name, _public(group.services, shape))


def _public(services: Sequence[str], shape: StatusPageShape) -> tuple[PublicService, ...]:
    named = ((service, shape.rename.get(service, service)) for service in services)
    return tuple(PublicService(service, name, slug_of(name)) for service, name in named)


def _complain_of_twins(services: Sequence[PublicService], reading: Reading, path: KeyPath) -> None:
    """Two that the public could not tell apart."""
    seen: dict[str, PublicService] = {}
    for each in services:
        other = seen.setdefault(each.slug, each)
        if other.service != each.service:
            problem = f"{other.service} and {each.service} have the same public name, or nearly"
            reading.complain((*path, "rename"), problem, "name one of them otherwise")


def slug_of(name: str) -> str:
    """A public name as an address has it: `Checkout & Pay` is `checkout-pay`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    return "-".join(words) or sha256(name.encode()).hexdigest()[:8]

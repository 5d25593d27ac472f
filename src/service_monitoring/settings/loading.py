"""Loading: from a file to settings, or to everything that is wrong with it at once.

Knows the order of reading: files, shapes, then what must fit together. Where a part is wrong, the rest is read without
it, so that one mistake does not hide another. Does not know what a kind does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from service_monitoring.domain.configuration import Configuration
from service_monitoring.ports import Kind
from service_monitoring.settings.complaints import Complaint, InvalidSettings, KeyPath
from service_monitoring.settings.document import Document, uncollected
from service_monitoring.settings.gather import LISTED, NAMED, Gathered, gather, gathered_from
from service_monitoring.settings.kinds import ARRIVING, LATER, Kinds
from service_monitoring.settings.maintenance import read_maintenances
from service_monitoring.settings.network import AddressPolicy
from service_monitoring.settings.oncall import read_rotas
from service_monitoring.settings.origin import Trail
from service_monitoring.settings.overriding import Sweep, Variation, blamed, in_force, override
from service_monitoring.settings.reading import Reading, TemplateCheck
from service_monitoring.settings.routes import Recipients, read_inhibitions, read_routes
from service_monitoring.settings.secrets import Redactor, SecretReader, Secrets
from service_monitoring.settings.sections import (
    read_canaries,
    read_heartbeat,
    read_smtp,
    read_store,
    read_web,
)
from service_monitoring.settings.services import read_services
from service_monitoring.settings.shapes import FileShape
from service_monitoring.settings.status import read_status_pages
from service_monitoring.settings.validation import faults
from service_monitoring.settings.values import Settings

_MOST_ROUNDS: Final = 10


def load(  # noqa: PLR0913 - by name, and most have a default
    path: Path,
    *,
    sources: Mapping[str, Kind],
    sinks: Mapping[str, Kind],
    environment: Mapping[str, str],
    template: TemplateCheck | None = None,
    channel_template: TemplateCheck | None = None,
    secrets: Secrets = Secrets.READ,
    variations: Sequence[Variation] = (),
    within: Document | None = None,
) -> Settings:
    """Read the configuration at `path`. Blocks on its files, on those of secrets and on the import of kinds.

    `template` says what is wrong with the template of a rule's text, `channel_template` with that of a channel, where
    somebody knows. `variations` are put in place of what the file says before anything is judged. `within` is a
    configuration that is part of the file at `path`. Raises `InvalidSettings` with all complaints, from which every
    known secret is struck out; nothing else for anything that a file may contain.
    """
    path = Path(path)
    trail = Trail(path)
    try:
        with uncollected():
            gathered = gather(path, trail) if within is None else gathered_from(within, path, trail)
            put = [(override(gathered, variation), variation) for variation in variations]
            reader = SecretReader(folder=path.parent, environment=environment, saw=trail.saw, secrets=secrets)
            kinds = Kinds("check", sources, arriving=ARRIVING, later=LATER), Kinds("channel", sinks)
            reading = Reading(
                gathered, secrets=reader, sources=kinds[0], sinks=kinds[1], channel_template=channel_template
            )
            try:
                settings = _load(path, reading, template)
            except InvalidSettings as invalid:
                raise InvalidSettings(blamed(invalid.complaints, put)) from None
    except InvalidSettings as invalid:
        invalid.origin = trail.origin()
        raise
    return replace(settings, origin=trail.origin())


def current(path: Path, sweeps: Sequence[Sweep]) -> tuple[str, ...] | None:
    """The values in force of what is swept, as the sweeps write them; None where one of them tries others only."""
    return in_force(gather(Path(path)), sweeps)


def _load(path: Path, reading: Reading, template: TemplateCheck | None) -> Settings:
    gathered = reading.gathered
    shape = _shaped(gathered, reading)
    settings = _read(path, shape, reading, template)
    redact = Redactor(reading.secrets.found)
    complaints = reading.complaints.found(redact=redact)
    if complaints or gathered.complaints:
        raise InvalidSettings(_in_order([*gathered.complaints, *complaints], gathered.files))
    return settings


def _read(path: Path, shape: FileShape, reading: Reading, template: TemplateCheck | None) -> Settings:
    services, checks = read_services(shape, reading, template=template)
    recipients = Recipients(shape, reading)
    routes = read_routes(shape, recipients, reading)
    owners = recipients.owners(shape.itself.notify, ("self", "notify"))
    # Where nothing will be sent, nobody is told anything; and to say where it is missing, the file is read twice.
    if not owners and not reading.secrets.stands_in:
        what = "nobody is told what concerns the monitor itself"
        reading.warn(("self",), what, "write self: {notify: [channel.NAME]}")
    if not services:
        reading.warn(("services",), "nothing is monitored", "write services: {NAME: {checks: ..., rules: ...}}")
    store = read_store(shape, path.parent, reading)
    order = {name: position for position, name in enumerate(reading.gathered.files)}
    return Settings(
        file=path,
        files=tuple(Path(name) for name in reading.gathered.files),
        folder=path.parent,
        timezone=shape.timezone,
        store=store,
        network=AddressPolicy.allowing(shape.network.allow),
        checks=checks,
        channels=recipients.channels,
        smtp=read_smtp(shape.smtp, reading),
        web=read_web(shape, path.parent, reading),
        canaries=read_canaries(shape, reading),
        configuration=Configuration(
            services,
            routes,
            owners,
            read_inhibitions(shape),
            recipients.people,
            read_rotas(shape, reading),
            read_maintenances(shape, reading),
        ),
        people=tuple(shape.people),
        heartbeat=read_heartbeat(shape, reading),
        status_pages=read_status_pages(shape, services, reading),
        public_work={each.name: each.public_name for each in shape.maintenance if each.public_name},
        contacts={person.name: person.contacts[0] for person in recipients.people if person.contacts},
        not_yet=tuple(
            sorted(reading.not_yet, key=lambda each: (order[each.place.file], each.place.line, each.place.column))
        ),
        warnings=tuple(_in_order(reading.warnings, reading.gathered.files)),
        secrets=reading.secrets.found,
    )


def _shaped(gathered: Gathered, reading: Reading) -> FileShape:
    """The file as shapes, with everything left out that is wrong. Complains of all of it."""
    data = _filled(gathered.data)
    reading.raw = _names_kept(data)
    report: Callable[..., None] | None = reading.fault
    context: dict[str, Any] = {"secrets": reading.secrets, "alike": {}}
    for _ in range(_MOST_ROUNDS):
        try:
            return FileShape.model_validate(data, context=context)
        except ValidationError as error:
            found = faults(FileShape, data, error)
            for fault in found if report else ():
                reading.fault(fault)
            # What is left without the faulty parts may have faults only because these are missing.
            report = None
            for fault in found:
                _leave_out(data, fault.path)
    return FileShape()


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """A section that is there without content is empty; so are the parts of services, which people leave empty, too."""
    filled = {section: content for section, content in data.items() if content is not None}
    services = filled.get("services")
    if isinstance(services, dict):
        filled["services"] = {
            name: {key: part for key, part in service.items() if part is not None}
            if isinstance(service, dict)
            else {}
            if service is None
            else service
            for name, service in services.items()
        }
    return filled


def _names_kept(data: dict[str, Any]) -> dict[str, Any]:
    """The tree with mappings of its own down to rules and checks, so that leaving out there loses no name here."""
    return {section: _copied(content, 3 if section in NAMED else 0) for section, content in data.items()}


def _copied(content: Any, levels: int) -> Any:
    if levels and isinstance(content, dict):
        return {key: _copied(value, levels - 1) for key, value in content.items()}
    return content


def _leave_out(data: dict[str, Any], path: KeyPath) -> None:
    """Remove the smallest part around `path` that the rest can do without."""
    depth = 1
    if path and path[0] == "services":
        depth = 4 if len(path) >= 4 and path[2] in {"rules", "checks"} else 3 if len(path) >= 3 else 2
    elif path and path[0] in (*NAMED, "defaults") and path[0] not in LISTED:
        depth = 2
    target: Any = data
    steps = path[:depth]
    for step in steps[:-1]:
        if not isinstance(target, dict) or step not in target:
            return
        target = target[step]
    if steps and isinstance(target, dict):
        target.pop(steps[-1], None)


def _in_order(complaints: list[Complaint], files: list[str]) -> list[Complaint]:
    order = {name: position for position, name in enumerate(files)}

    def key(complaint: Complaint) -> tuple[int, int, int, str]:
        place = complaint.place
        return order.get(place.file, len(order)), place.line, place.column, complaint.path

    return sorted(dict.fromkeys(complaints), key=key)

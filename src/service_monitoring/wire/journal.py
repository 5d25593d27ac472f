"""Records of the journal <-> (kind, version, body): what happened and what was decided, for as long as facts are kept.

Knows every kind that this version writes. A record of a kind that it does not know, or that a newer version wrote in
a form it cannot read, is carried along unread (`Opaque`): two versions may share one journal while one replaces the
other. Knows no table and no position.
"""

from __future__ import annotations

from typing import Any, Final, get_args

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.course import order_of
from service_monitoring.domain.events import Event, IncidentMoved, IncidentNoted, RuleMoved, SeriesFlapped, SilenceMoved
from service_monitoring.domain.inputs import (
    Acted,
    Admitted,
    Configured,
    Input,
    Observed,
    Pinged,
    Pushed,
    Requeued,
    Retired,
    Settled,
    Stamp,
    Unsilenced,
)
from service_monitoring.domain.notices import Notice
from service_monitoring.errors import Unusable
from service_monitoring.wire.codec import decode, encode
from service_monitoring.wire.configuration import revision

VERSION: Final = 1
"""The form in which this program writes records; it reads this one and all before."""


class Opaque(Struct, frozen=True):
    """A record that only a newer version understands, as it was written."""

    kind: str
    version: int
    body: bytes


class Written(Struct, frozen=True):
    """A record in bytes. The journal is asked for `service` and `subject` (incident, notice, rule, silence, revision).

    `order` is the record's place among inputs of one instant; None for a decision. A configuration's body is its
    revision alone: the bytes of a revision are kept once.
    """

    kind: str
    service: str
    subject: str
    order: int | None
    body: bytes


class Revision(Struct, frozen=True):
    """What stands in the journal for a configuration."""

    revision: str


_INPUTS: Final[tuple[type[Any], ...]] = get_args(Input)
_TAGGED: Final[tuple[type[Any], ...]] = (*_INPUTS, *get_args(Event))
_KINDS: Final[dict[str, type[Any]]] = {**{str(kind.__struct_config__.tag): kind for kind in _TAGGED}, "notice": Notice}


def written(record: Admitted | Event | Notice) -> Written:
    """A record as bytes and the columns that find it again."""
    match record:
        case IncidentMoved(incident=incident):
            return Written("incident_moved", incident.service, incident.id, None, encode(record))
        case IncidentNoted():
            return Written("incident_noted", record.service, record.incident, None, encode(record))
        case RuleMoved() | SeriesFlapped():
            kind = str(record.__struct_config__.tag)
            return Written(kind, record.service, f"{record.service}.{record.rule}", None, encode(record))
        case SilenceMoved(silence=silence):
            return Written("silence_moved", "", silence.id, None, encode(record))
        case Notice():
            return Written("notice", record.facts.service, record.group, None, encode(record))
        case Admitted():
            return _written(record)


def _written(admitted: Admitted) -> Written:
    given = admitted.input
    order = int(order_of(given))
    kind = str(given.__struct_config__.tag)
    match given:
        case Configured(configuration=configuration):
            name = revision(configuration)
            return Written(kind, "", name, order, encode(Revision(name)))
        case Acted(incident=incident):
            return Written(kind, "", incident, order, encode(given))
        case Retired(service=service, rule=rule):
            return Written(kind, service, f"{service}.{rule}", order, encode(given))
        case Unsilenced(silence=silence):
            return Written(kind, "", silence, order, encode(given))
        case Settled(notice=notice) | Requeued(notice=notice):
            return Written(kind, "", notice, order, encode(given))
        case (
            Observed(service=service, check=check)
            | Pinged(service=service, check=check)
            | Pushed(service=service, check=check)
        ):
            return Written(kind, service, f"{service}.{check}", order, encode(given))
        case _:
            return Written(kind, "", "", order, encode(given))


def read(
    kind: str, version: int, body: bytes, *, stamp: Stamp, revisions: dict[str, Configuration]
) -> Admitted | Event | Notice | Opaque:
    """The record that these bytes hold. `revisions` are the configurations that the journal may name.

    `Unusable` when a record of a form that this version knows cannot be read.
    """
    known = _KINDS.get(kind)
    if known is None and version > VERSION:
        return Opaque(kind, version, body)
    if known is None:
        raise Unusable(f"the journal holds a record of the unknown kind {kind!r} in the known form {version}")
    try:
        if known is Configured:
            return Admitted(stamp, Configured(_named(decode(Revision, body).revision, revisions)))
        value = decode(known, body)
    except Unusable:
        if version > VERSION:
            return Opaque(kind, version, body)
        raise
    return Admitted(stamp, value) if known in _INPUTS else value


def _named(name: str, revisions: dict[str, Configuration]) -> Configuration:
    try:
        return revisions[name]
    except KeyError:
        raise Unusable(f"the journal names the configuration {name}, which is not stored") from None

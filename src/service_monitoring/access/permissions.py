"""Permissions: what a route asks for, and which roles and scopes have it.

Knows names and sets. Does not know routes, sessions or tokens. Whoever has none of these may see what is public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Permission(StrEnum):
    """What a route needs. Each route names one; whatever names none is a defect that a test finds."""

    PUBLIC = "public"
    """Nothing: anybody may ask."""
    KEY = "key"
    """A key of its own in the request, which its handler looks at: reports, pushes, links of notices."""
    ACCOUNT = "account"
    """To be somebody: signing out, one's own password, sessions and tokens."""
    METRICS = "metrics"
    """Figures of the monitor itself."""
    READ = "read"
    """Everything that the console shows of services, incidents, rotas, the outbox and the monitor itself."""
    RESPOND = "respond"
    """What people on call do: acknowledge, resolve, snooze, assign, note; silences; rehearsals."""
    ADMINISTER = "administer"
    """Everything else: accounts, tokens of others, keys, requeueing, retiring, reloading, backups, the audit trail."""


class Role(StrEnum):
    """What a person is to this installation."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


EVERYBODY: Final = frozenset({Permission.PUBLIC, Permission.KEY})
"""What nobody has to be anybody for."""

_VIEWER: Final = EVERYBODY | {Permission.ACCOUNT, Permission.METRICS, Permission.READ}
_RESPONDER: Final = _VIEWER | {Permission.RESPOND}

OF_ROLE: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {Role.VIEWER: _VIEWER, Role.RESPONDER: _RESPONDER, Role.ADMIN: frozenset(Permission)}
)

SCOPES: Final = (Permission.METRICS, Permission.READ, Permission.RESPOND, Permission.ADMINISTER)
"""What a token may be good for. One does not imply another, but that whoever may respond or administer may read."""


def of_scopes(scopes: Iterable[Permission], role: Role) -> frozenset[Permission]:
    """What a token with these scopes is good for, never more than the role of whom it belongs to."""
    given = frozenset(scopes) & frozenset(SCOPES)
    if given & {Permission.RESPOND, Permission.ADMINISTER}:
        given |= {Permission.READ}
    return EVERYBODY | (given & OF_ROLE[role])

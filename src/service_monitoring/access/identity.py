"""Identity: who sent a request, as the door found out, and what that one may do.

Knows names and permissions. Does not know how anybody proves who he is.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from service_monitoring.access.permissions import EVERYBODY, OF_ROLE, Permission, Role

Via = Literal["socket", "session", "token", "open", ""]
"""How somebody came in: over the owner's socket, signed in, with a token, or where everybody on this machine may."""


class Identity(Struct, frozen=True):
    """Who asks. `name` is empty for a stranger.

    `csrf` is what forms of a session carry. `handle` names session or token for the audit trail: it opens nothing.
    """

    name: str
    role: Role | None
    permissions: frozenset[Permission]
    via: Via
    csrf: str = ""
    handle: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether this one may do what needs it."""
        return permission in self.permissions


STRANGER: Final = Identity("", None, EVERYBODY, "")
OWNER: Final = Identity("", Role.ADMIN, OF_ROLE[Role.ADMIN], "socket")
"""Whoever can open the socket of the data folder: the owner of the process. He says himself who acts (`by`)."""
